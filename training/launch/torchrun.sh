#!/bin/sh
# Train on all devices of one or more machines with torchrun.
#
#   training/launch/torchrun.sh tiles/ --recipe training/recipes/dubai/ctfa.yaml --out run/
#
# One machine with several devices needs no launcher: `wsss-geo train ... --devices 4` does the same.
# On several machines run this on each of them, with the same job and
#
#   NODES=2 NODE_RANK=0|1 MASTER_ADDR=first.machine training/launch/torchrun.sh ...
#
# Tile set and run folder must be on a disk that all machines share. --batch-size is that of each process: a step sees
# NODES x DEVICES times as many tiles, and the losses are those of all of them. Only the first process writes. The same
# command goes on where an interrupted run was.
set -eu
DEVICES=${DEVICES:-$(nvidia-smi --list-gpus 2>/dev/null | wc -l)}
[ "$DEVICES" -gt 0 ] || DEVICES=2  # no GPU: two processes on the CPU
PYTHON=${PYTHON:-python}

exec "$PYTHON" -m torch.distributed.run \
    --nnodes "${NODES:-1}" --node-rank "${NODE_RANK:-0}" --nproc-per-node "$DEVICES" \
    --master-addr "${MASTER_ADDR:-127.0.0.1}" --master-port "${MASTER_PORT:-29500}" \
    --local-ranks-filter 0 \
    -m wsss_geo.cli train "$@"
