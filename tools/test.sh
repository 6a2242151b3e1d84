#!/bin/sh
# Run the tests: tools/test.sh [engine] [qgis]; both unless one is named. Fails if any of them fails.
#
#   engine   all that needs no QGIS, with .venv
#   qgis     the plugin in the system's QGIS, which starts the engine of .venv
set -u
cd "$(dirname "$0")/.."
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
failed=

test_engine() {
    OMP_NUM_THREADS=1 .venv/bin/python -m pytest tests --ignore=tests/qgis --ignore=tests/gui -n 2 --dist loadfile
}

test_qgis() {
    HOME="$scratch" QT_QPA_PLATFORM=offscreen WSSS_GEO_PYTHON="$PWD/.venv/bin/python" OMP_NUM_THREADS=2 \
        PYTHONDONTWRITEBYTECODE=1 /usr/bin/python3 -m pytest -p no:cacheprovider tests/qgis
}

for part in ${*:-engine qgis}; do
    printf '\n== tests: %s\n' "$part"
    "test_$part" || failed="$failed $part"
done
[ -z "$failed" ] || { printf 'failed:%s\n' "$failed" >&2; exit 1; }
