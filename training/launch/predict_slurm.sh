#!/bin/sh
# Predict with a SLURM array: PARTS tasks compute, one more joins them when all have succeeded.
#
#   sh training/launch/predict_slurm.sh PARTS scene.tif --model model.safetensors --out cover.tif [...]
#
# Adapt the resources below: RESOURCES is what one part gets, JOINING what the last step gets. Raster, model and output
# must be on a disk that all nodes share. Run the same line again after a failure: what is finished is kept.
set -eu
RESOURCES=${RESOURCES:---cpus-per-task=4 --mem=8G --time=04:00:00}
JOINING=${JOINING:---cpus-per-task=2 --mem=4G --time=02:00:00}
PYTHON=${PYTHON:-python}

parts=${1:?how many parts}
shift

# Write the words so that a shell reads them back as they are, also with spaces.
words=
for word in "$@"; do
    words="$words '$(printf %s "$word" | sed "s/'/'\\\\''/g")'"
done

# shellcheck disable=SC2086 # lists of options
array=$(sbatch --parsable --job-name=wsss-geo --array="1-$parts" --requeue $RESOURCES --output=wsss-geo_%A_%a.log \
    --wrap "OMP_NUM_THREADS=\$SLURM_CPUS_PER_TASK $PYTHON -m wsss_geo.cli predict$words --shard \$SLURM_ARRAY_TASK_ID/$parts")
# shellcheck disable=SC2086
sbatch --job-name=wsss-geo-finish --dependency="afterok:${array%%;*}" $JOINING --output=wsss-geo_%j.log \
    --wrap "$PYTHON -m wsss_geo.cli predict$words --finish"
