"""Evaluation: predictions against references."""

from wsss_geo.nn.torchvision_ops import ensure_torchvision_imports

ensure_torchvision_imports()  # torchmetrics imports torchvision
