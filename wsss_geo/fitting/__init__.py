"""What every training has in common: the trainer, the run folder, progress, metrics and the way back after a kill."""

from wsss_geo.nn.torchvision_ops import ensure_torchvision_imports

ensure_torchvision_imports()  # lightning imports torchvision by way of torchmetrics
