#!/bin/sh
# Run the tests: tools/test.sh [engine] [gui] [qgis]; all unless some are named. Fails if any of them fails.
#
#   engine   all that needs no QGIS, with .venv
#   gui      a real QGIS window on a virtual screen
#   qgis     the plugin in the system's QGIS without a window; it starts the engine of .venv
set -u
cd "$(dirname "$0")/.."
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
failed=

test_engine() {
    OMP_NUM_THREADS=1 .venv/bin/python -m pytest tests --ignore=tests/qgis --ignore=tests/gui -n 2 --dist loadfile
}

test_gui() {
    WSSS_GEO_PYTHON="$PWD/.venv/bin/python" .venv/bin/python -m pytest tests/gui
}

test_qgis() {
    HOME="$scratch" QT_QPA_PLATFORM=offscreen WSSS_GEO_PYTHON="$PWD/.venv/bin/python" OMP_NUM_THREADS=2 \
        PYTHONDONTWRITEBYTECODE=1 /usr/bin/python3 -m pytest -p no:cacheprovider tests/qgis
}

for part in ${*:-engine gui qgis}; do
    printf '\n== tests: %s\n' "$part"
    "test_$part" || failed="$failed $part"
done
[ -z "$failed" ] || { printf 'failed:%s\n' "$failed" >&2; exit 1; }
