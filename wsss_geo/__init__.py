"""Land-cover maps from scene tags.

Functions do what the commands of the same names do; each takes the fields of its job as keywords, the
positional ones also by position, and returns the job's result::

    wsss_geo.tile("scene.tif", tags="tags.csv", out="tiles")
    wsss_geo.train("tiles", out="run")
    wsss_geo.predict("scene.tif", model="run/model.safetensors", out="cover.tif", polygons="cover.shp")

Importing this package loads neither torch nor rasterio.
"""

from __future__ import annotations

__version__ = "0.1.0"

__all__ = [
    "__version__", "calibrate", "evaluate", "few_shot", "few_shot_test", "few_shot_train", "predict", "pretrain",
    "probe", "run", "tile", "train", "vectorize", "write_report",
]  # fmt: skip


def __getattr__(name: str):  # type: ignore[no-untyped-def]
    # The functions live in `api`, which only QGIS never needs: there this package is read for its jobs alone.
    if name in __all__:
        from wsss_geo import api

        return getattr(api, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
