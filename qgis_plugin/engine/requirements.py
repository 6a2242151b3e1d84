"""What the engine's Python must have. The engine itself comes with the plugin and is not installed."""

from __future__ import annotations

#: The dependencies of the engine, as pip takes them.
REQUIREMENTS = (
    "attrs>=24", "click>=8.1", "geopandas>=1.0", "lightning>=2.4", "matplotlib>=3.8", "numba>=0.60", "numpy>=1.26",
    "pillow>=10", "pyarrow>=15", "pyogrio>=0.9", "pyproj>=3.6", "pyyaml>=6", "rasterio>=1.4", "safetensors>=0.4",
    "scipy>=1.11", "shapely>=2.1", "tensorboard>=2.16", "timm>=1.0.12", "torch>=2.4", "torchmetrics>=1.4",
    "tqdm>=4.66",
)  # fmt: skip

#: What PyTorch's own indexes have, in builds that fit each other.
TORCH = ("torch>=2.4", "torchvision")

#: Modules that every job needs, by which a Python is judged without loading them.
PACKAGES = (
    "torch", "timm", "lightning", "safetensors", "rasterio", "geopandas", "pyogrio", "pyproj", "shapely",
    "pyarrow", "numba", "numpy", "scipy",
)  # fmt: skip

#: What a test loads, in the order of a job: timm only after what it needs of torchvision is made sure of.
LOADED = ("torch", "wsss_geo", "wsss_geo.nn.torchvision_ops:ensure_torchvision_imports", *PACKAGES)
