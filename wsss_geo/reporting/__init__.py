"""Reports: a map or a training as one page that needs nothing else."""
