"""Fields that several jobs have: they mean the same, take the same and say the same everywhere."""

from __future__ import annotations

from functools import partial

from ..job_fields import DEVICES, REQUIRED, setting

SCORES = ("decoder", "cam", "both")
REFINEMENTS = ("none", "par", "crf")

run_folder = partial(setting, REQUIRED, "path", "Run folder")
recipe = partial(setting, None, "path", "YAML file of settings; options given beside it win")
backbone_args = partial(setting, {}, "mapping", "Arguments of the backbone, name=value", advanced=True)
pretrained = partial(setting, False, "flag", "Start from the weights that timm publishes for the backbone")
weights = partial(setting, None, "path", "Start from the backbone weights in this file")
method_settings = partial(setting, {}, "mapping", "Settings of the method, name=value")
precision = partial(setting, "auto", "choice", "Arithmetic", choices=("auto", "float32", "bfloat16"), advanced=True)
workers = partial(setting, 0, "int", "Processes that load tiles", low=0, advanced=True)
check_every = partial(setting, 500, "int", "Steps between checkpoints", low=1, advanced=True)
seed = partial(setting, 0, "int", "Seed of everything random", low=0)
result_file = partial(setting, None, "path", "Write the result to this JSON file")
device = partial(setting, "auto", "choice", "Where to compute", choices=DEVICES)
polygons = partial(setting, None, "path", "Polygons to write (.shp .gpkg .parquet .fgb .geojson)")
confidence = partial(setting, None, "path", "Confidence raster to write (.tif)")
bands = partial(setting, None, "ints", "Bands to use, from 1, as in 1,2,3", low=1, high=65535)
min_area = partial(setting, 0.0, "float", "Smallest polygon in square metres (pixels without CRS)", low=0.0)
simplify = partial(setting, 0.0, "float", "Simplification tolerance of the polygons in pixels", low=0.0)
threshold = partial(setting, 0.0, "float", "Pixels of lower confidence become nodata", low=0.0, high=1.0)
window = partial(setting, None, "int", "Window side in pixels; the model's tile size unless given", low=8)
overlap = partial(setting, 0.25, "float", "Overlap of windows", low=0.0, high=0.9, advanced=True)
scores = partial(setting, "decoder", "choice", "Whose scores decide", choices=SCORES)
flips = partial(setting, False, "flag", "Average over flips as well", advanced=True)
rotations = partial(setting, False, "flag", "Average over quarter turns as well", advanced=True)
scales = partial(
    setting, None, "floats", "Average over these scales of the windows, as in 0.75,1,1.25", low=0.1, high=8.0,
    advanced=True,
)  # fmt: skip
refine = partial(setting, "none", "choice", "Move borders to where the image's are", choices=REFINEMENTS, advanced=True)
resample = partial(setting, True, "flag", "Resample to the model's ground sample distance", advanced=True)
windows_a_batch = partial(setting, 8, "int", "Windows a batch", low=1, advanced=True)
threads = partial(setting, 2, "int", "Threads that decode the raster", low=1, high=64, advanced=True)
