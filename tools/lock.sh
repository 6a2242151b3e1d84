#!/bin/sh
# Resolve the newest versions that pyproject.toml allows, for every system and every Python that it allows, and write
#
#   requirements.lock   all packages but torch's, those of development and documentation too, with the hashes of their files
#   torch.lock          torch, torchvision and the GPU libraries that they need on Linux, with the hashes of their files
#   constraints.txt     the versions alone
#
#   tools/lock.sh [TORCH]   TORCH is the version of torch to keep to; that of the present constraints.txt unless given
#
# torch is chosen by hand, because its newest release often has no build without a GPU's libraries. It is apart, because one
# version of it has many builds (for processors, for each generation of GPUs), from several indexes; the hashes are those
# of the builds in the Python package index alone. Nothing is installed: only what packages say of themselves is read.
set -eu
cd "$(dirname "$0")/.."
torch=${1:-$(sed -n 's/^torch==//p' constraints.txt)}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"; rm -f requirements.lock.part torch.lock.part constraints.txt.part' EXIT

echo "torch==$torch" >"$scratch/torch.txt"
.venv/bin/uv pip compile pyproject.toml --extra cluster --group dev --group docs --upgrade --universal \
    --python-version 3.11 --fork-strategy fewest --constraint "$scratch/torch.txt" --generate-hashes \
    --no-header --no-annotate --quiet --output-file "$scratch/all.lock" || exit 4

echo "# Written by tools/lock.sh (make lock)." | tee requirements.lock.part torch.lock.part >constraints.txt.part
awk '/^[^ ]/ { file = /^(torch|torchvision|triton|cuda-|nvidia-)[a-z0-9-]*==/ && !/^torchmetrics==/ ? "torch" : "requirements" }
     { print >>(file ".lock.part") }' "$scratch/all.lock"
# The GPU libraries are left out of the versions: each build of torch asks for its own.
sed -n -e '/^nvidia-\|^cuda-\|^triton=/d' -e 's/^\([a-z0-9.-]*==[^ ]*\).*/\1/p' "$scratch/all.lock" >>constraints.txt.part
for name in requirements.lock torch.lock constraints.txt; do mv "$name.part" "$name"; done
