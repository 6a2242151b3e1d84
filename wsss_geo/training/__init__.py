"""Training: a tile set and a method in, a model file out."""

from wsss_geo.nn.torchvision_ops import ensure_torchvision_imports

ensure_torchvision_imports()  # lightning imports torchvision by way of torchmetrics
