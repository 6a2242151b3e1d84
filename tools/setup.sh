#!/bin/sh
# Prepare this machine, doing only what is not done yet.
#
#   tools/setup.sh engine   .venv with the engine and the tools of development and documentation
#   tools/setup.sh qgis     QGIS and what its tests need, from the system's packages (Debian, Ubuntu)
#   tools/setup.sh latest   the newest QGIS that Debian has, in a folder of its own (root alone; about 2 GB)
#   tools/setup.sh browser  Chromium, in which the tests look at reports, from the system's packages (Debian)
#
# PYTHON chooses the interpreter that .venv is made with. Exit code 4: something is missing that cannot be installed.
set -eu
cd "$(dirname "$0")/.."

say() { printf 'setup: %s\n' "$*" >&2; }
fail() { say "$*"; exit 4; }

# Install the named system packages that are missing.
need_packages() {
    missing=
    for package in "$@"; do
        status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
        [ "$status" = installed ] || missing="$missing $package"
    done
    [ -n "$missing" ] || return 0
    command -v apt-get >/dev/null || fail "install$missing with your system's package manager, then run again"
    as_root=
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null || fail "as root, run: apt-get install$missing"
        as_root=sudo
    fi
    say "installing system packages:$missing"
    $as_root apt-get update -q >/dev/null || say "the package lists could not be refreshed; trying with the old ones"
    # shellcheck disable=SC2086 # a list of words
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $missing >/dev/null \
        || fail "the system packages$missing could not be installed"
}

# Print a Python of version 3.11 or later; the version that constraints.txt was made with comes first.
find_python() {
    for candidate in ${PYTHON:-python3.11 python3 python3.12 python3.13}; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
    return 1
}

# Is .venv one that $1 made, in this folder?
venv_fits() {
    [ "$(.venv/bin/python -V 2>/dev/null)" = "$("$1" -V)" ] \
        && .venv/bin/python -c 'import pip' 2>/dev/null && grep -qF "$PWD/.venv" .venv/pyvenv.cfg
}

pip=".venv/bin/python -m pip --disable-pip-version-check install -q"

setup_engine() {
    python=$(find_python) || {
        [ -z "${PYTHON:-}" ] || fail "$PYTHON is no Python of version 3.11 or later"
        need_packages python3 python3-venv
        python=$(find_python) || fail "Python 3.11 or later is needed; name one with PYTHON=/path/to/python"
    }
    "$python" -c 'import venv, ensurepip' 2>/dev/null || need_packages python3-venv
    wanted=$( (cat requirements.lock constraints.txt pyproject.toml tools/setup.sh && "$python" -V) | cksum)
    if ! venv_fits "$python"; then
        say "making .venv with $python ($("$python" -V))"
        "$python" -m venv --clear .venv || fail "$python cannot make a virtual environment"
    elif [ "$(cat .venv/setup-done 2>/dev/null)" = "$wanted" ]; then
        return
    fi
    say "installing packages into .venv (the first time this takes some minutes)"
    # Wheels alone, so that no package's own program runs here, and none but those whose hashes are known.
    $pip --require-hashes --no-deps --only-binary :all: -r requirements.lock || fail "the packages could not be installed"
    # torch by its version: any build of it will do, one that is there already stays. torch.lock has hashes of some.
    { $pip -c constraints.txt torch torchvision && $pip --no-deps --no-build-isolation -e .; } \
        || fail "torch and the engine could not be installed"
    printf '%s\n' "$wanted" >.venv/setup-done
    say ".venv is ready; the program is .venv/bin/wsss-geo"
}

setup_qgis() {
    /usr/bin/python3 -c 'import osgeo.gdal, pytest, qgis.core, PyQt6.QtWidgets' 2>/dev/null \
        && command -v gdalinfo >/dev/null && command -v Xvfb >/dev/null \
        || need_packages qgis python3-qgis python3-gdal python3-pytest python3-pyqt6 gdal-bin xvfb
}

# A whole Debian in the folder $WSSS_GEO_LATEST, with the QGIS of its backports where these have a newer one.
setup_latest() {
    suite=${WSSS_GEO_SUITE:-stable}
    root=${WSSS_GEO_LATEST:-${XDG_CACHE_HOME:-$HOME/.cache}/wsss-geo/qgis-$suite}
    [ "$(id -u)" -eq 0 ] || fail "a Debian in a folder can be made and entered by root alone"
    if [ ! -d "$root" ]; then
        need_packages debootstrap
        say "making a Debian ($suite) in $root; this takes some minutes"
        rm -rf "$root.part"
        mkdir -p "$root.part"
        debootstrap --variant=minbase "$suite" "$root.part" >"$root.log" 2>&1 \
            || fail "Debian $suite could not be fetched; $root.log tells more"
        printf '#!/bin/sh\nexit 101\n' >"$root.part/usr/sbin/policy-rc.d" # no service is to start
        chmod 755 "$root.part/usr/sbin/policy-rc.d"
        chroot "$root.part" dpkg-divert --quiet --local --rename --add /usr/bin/py3compile
        ln -s /bin/true "$root.part/usr/bin/py3compile" # nobody starts these programs often
        mirror=$(sed -n 's/^deb \([^ ]*\) .*/\1/p' "$root.part/etc/apt/sources.list" | head -n 1)
        [ "$suite" = sid ] || printf 'deb %s %s-backports main\n' "$mirror" "$suite" >>"$root.part/etc/apt/sources.list"
        mv "$root.part" "$root"
    fi
    backports=
    [ "$suite" = sid ] || backports="-t $suite-backports"
    # a mirror that lags behind this clock has lists that count as expired
    tools/enter_latest.sh "$root" env DEBIAN_FRONTEND=noninteractive sh -euc "
        apt-get update -q || apt-get update -q -o Acquire::Check-Valid-Until=false \
            || echo the package lists could not be refreshed
        apt-get install -q -y --no-install-recommends $backports \
            qgis python3-qgis python3-gdal python3-pytest gdal-bin
        apt-get clean" >"$root.log" 2>&1 || fail "QGIS could not be installed in $root; $root.log tells more"
}

setup_browser() {
    command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null \
        || need_packages chromium
}

case "${1:-engine}" in
    engine) setup_engine ;;
    qgis) setup_qgis ;;
    latest) setup_latest ;;
    browser) setup_browser ;;
    *) say "unknown part $1: engine, qgis, latest or browser"; exit 2 ;;
esac
