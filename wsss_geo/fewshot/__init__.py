"""Few-shot segmentation: from a few examples of a thing to all that is like it."""

from wsss_geo.nn.torchvision_ops import ensure_torchvision_imports

ensure_torchvision_imports()  # lightning imports torchvision by way of torchmetrics
