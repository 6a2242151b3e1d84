#!/bin/sh
# Train on a SLURM cluster, one task a GPU.
#
#   sbatch training/launch/slurm.sh tiles/ --recipe training/recipes/dubai/ctfa.yaml --out run/
#
# Adapt the lines below; --ntasks-per-node must equal the GPUs of a node. Tile set and run folder must be on a disk that
# all nodes share. --batch-size is that of each task: a step sees nodes x tasks times as many tiles. Only the first task
# writes.
#SBATCH --job-name=wsss-geo
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=4
#SBATCH --gpus-per-node=4
#SBATCH --cpus-per-task=8
#SBATCH --time=04:00:00
#SBATCH --output=wsss-geo_%j.log
# A queue that ends jobs early starts this one anew, and it goes on from the last checkpoint.
#SBATCH --requeue
set -eu
MASTER_ADDR=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
MASTER_PORT=$((20000 + SLURM_JOB_ID % 20000))
export MASTER_ADDR MASTER_PORT
export OMP_NUM_THREADS="${SLURM_CPUS_PER_TASK:-1}"

# A task that fails ends the others, which would wait for it.
exec srun --kill-on-bad-exit=1 "${PYTHON:-python}" -m wsss_geo.cli train "$@" --device cuda
