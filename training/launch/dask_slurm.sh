#!/bin/sh
# Run a command with a Dask cluster inside one SLURM allocation: a scheduler, and one worker a task.
#
#   sbatch training/launch/dask_slurm.sh predict scene.tif --model model.safetensors --out cover.tif
#
# Adapt the lines below. On GPU nodes add --gpus-per-task=1. All nodes must see the same files.
#SBATCH --job-name=wsss-geo
#SBATCH --ntasks=8
#SBATCH --cpus-per-task=4
#SBATCH --mem-per-cpu=2G
#SBATCH --time=04:00:00
#SBATCH --output=wsss-geo_%j.log
set -eu
PYTHON=${PYTHON:-python}
known="$PWD/.dask_$SLURM_JOB_ID.json"

"$PYTHON" -m distributed.cli.dask_scheduler --scheduler-file "$known" --no-dashboard --port 0 &
scheduler=$!
srun --kill-on-bad-exit=0 env OMP_NUM_THREADS="$SLURM_CPUS_PER_TASK" \
    "$PYTHON" -m distributed.cli.dask_worker --scheduler-file "$known" --nthreads 1 --no-nanny --no-dashboard &
workers=$!
trap 'kill $workers $scheduler 2>/dev/null || true; rm -f "$known"' EXIT

waited=0
while [ ! -s "$known" ]; do
    waited=$((waited + 1))
    [ "$waited" -le 120 ] || { echo "the scheduler did not start" >&2; exit 4; }
    sleep 1
done
address=$("$PYTHON" -c 'import json, sys; print(json.load(open(sys.argv[1]))["address"])' "$known")
"$PYTHON" -m wsss_geo.cli "$@" --scheduler "$address"
