#!/bin/sh
# Write constraints.txt: resolve the newest versions that pyproject.toml allows, in a fresh environment.
#
#   tools/lock.sh [TORCH]   TORCH is the version of torch to keep to; that of the present constraints.txt unless given
#
# torch is chosen by hand, because its newest release often has no build without a GPU's libraries.
set -eu
cd "$(dirname "$0")/.."
torch=${1:-$(sed -n 's/^torch==//p' constraints.txt)}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

"${PYTHON:-python3.11}" -m venv "$scratch/venv"
pip="$scratch/venv/bin/python -m pip --disable-pip-version-check"
groups=$("$scratch/venv/bin/python" -c '
import tomllib
print(*sum(tomllib.load(open("pyproject.toml", "rb"))["dependency-groups"].values(), []))')
# shellcheck disable=SC2086 # lists of words
$pip install -q "torch==$torch" $groups && $pip install -q "torch==$torch" --no-build-isolation -e .
{
    echo "# Versions that the tests have passed with; written by tools/lock.sh (make lock)."
    $pip list --format=freeze --exclude pip --exclude setuptools --exclude wsss-geo | sed 's/+[a-z0-9.]*$//'
} >constraints.txt.part
mv constraints.txt.part constraints.txt
