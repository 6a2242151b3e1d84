#!/bin/sh
# Run the tests: tools/test.sh [engine] [gui] [qgis] [latest]; the first three unless some are named. Fails if any fails.
#
#   engine   all that needs no QGIS, with .venv
#   gui      a real QGIS window on a virtual screen
#   qgis     the plugin in the system's QGIS without a window; it starts the engine of .venv
#   latest   the same in the QGIS that tools/setup.sh latest has fetched
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

test_latest() {
    root=${WSSS_GEO_LATEST:-${XDG_CACHE_HOME:-$HOME/.cache}/wsss-geo/qgis-${WSSS_GEO_SUITE:-stable}}
    chroot "$root" dpkg-query -W -f 'in QGIS ${Version}\n' qgis || return
    # shellcheck disable=SC2086 # a list of words
    tools/enter_latest.sh "$root" env -i PATH=/usr/local/bin:/usr/bin:/bin LANG=C.UTF-8 HOME="$scratch" \
        QT_QPA_PLATFORM=offscreen WSSS_GEO_PYTHON=/usr/local/bin/wsss-geo-python OMP_NUM_THREADS=2 \
        PYTHONDONTWRITEBYTECODE=1 python3 -m pytest -p no:cacheprovider ${TESTS:-tests/qgis}
}

for part in ${*:-engine gui qgis}; do
    printf '\n== tests: %s\n' "$part"
    "test_$part" || failed="$failed $part"
done
[ -z "$failed" ] || { printf 'failed:%s\n' "$failed" >&2; exit 1; }
