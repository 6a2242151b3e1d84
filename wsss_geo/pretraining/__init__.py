"""Pre-training: imagery without tags in, weights of a backbone out."""

from wsss_geo.nn.torchvision_ops import ensure_torchvision_imports

ensure_torchvision_imports()  # lightning imports torchvision by way of torchmetrics
