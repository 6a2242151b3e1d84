"""Matching the colours of a raster to those of the training scenes."""

from __future__ import annotations

import dataclasses

import numpy as np
import rasterio
import torch
from rasterio.transform import from_origin

from small_model import CARD as SMALL
from small_model import write_model
from wsss_geo.inference import run
from wsss_geo.jobs import PredictJob
from wsss_geo.progress import Progress
from wsss_geo.raster.normalisation import Normalisation
from wsss_geo.raster.reader import RasterReader
from wsss_geo.streaming.colours import match_colours

TRAINED = Normalisation((0.0, 0.0, 10.0), (255.0, 255.0, 210.0), (0.5, 0.4, 0.3), (0.2, 0.1, 0.15))
CARD = dataclasses.replace(SMALL, normalisation=TRAINED)


def write(path, pixels, nodata=None):
    profile = {
        "driver": "GTiff", "height": pixels.shape[1], "width": pixels.shape[2], "count": 3, "dtype": pixels.dtype,
        "nodata": nodata, "crs": "EPSG:32632", "transform": from_origin(600000, 5400000, 0.5, 0.5),
    }  # fmt: skip
    with rasterio.open(path, "w", **profile) as file:
        file.write(pixels)
    return path


def scene(seed=0, height=200, width=300):
    coarse = torch.from_numpy(np.random.default_rng(seed).random((1, 3, 12, 18), np.float32))
    smooth = torch.nn.functional.interpolate(coarse, size=(height, width), mode="bicubic")[0].clamp(0, 1)
    return (60 + 120 * smooth.numpy()).astype(np.float32)


def test_matched_bands_have_the_statistics_of_the_training(tmp_path):
    pixels = np.round(scene()).astype(np.uint16)
    with RasterReader(str(write(tmp_path / "a.tif", pixels)), (1, 2, 3)) as reader:
        stretched = match_colours(TRAINED, reader).stretch(pixels)
    np.testing.assert_allclose(stretched.mean((1, 2)), TRAINED.mean, atol=0.02)
    np.testing.assert_allclose(stretched.std((1, 2)), TRAINED.std, atol=0.02)


def test_pixels_without_data_do_not_count_and_constant_bands_are_only_shifted(tmp_path):
    pixels = np.round(scene()).astype(np.uint16)
    pixels[:, :, :150] = 0
    pixels[2, :, 150:] = 70
    with RasterReader(str(write(tmp_path / "a.tif", pixels, nodata=0)), (1, 2, 3)) as reader:
        found = match_colours(TRAINED, reader)
    np.testing.assert_allclose(found.stretch(pixels)[0, :, 150:].mean(), TRAINED.mean[0], atol=0.02)
    np.testing.assert_allclose(found.stretch(pixels)[2, :, 150:], TRAINED.mean[2], atol=1e-5)
    with RasterReader(str(write(tmp_path / "b.tif", pixels * 0, nodata=0)), (1, 2, 3)) as reader:
        assert match_colours(TRAINED, reader) == TRAINED


def test_a_scene_of_other_light_gives_the_same_mask(tmp_path):
    write_model(tmp_path / "m.safetensors", CARD, seed=3)
    pixels = scene()
    dim = np.array([0.3, 0.9, 0.2], np.float32)[:, None, None] * pixels + np.float32(40)
    masks = {}
    for name, values in (("plain", pixels), ("dim", dim)):
        write(tmp_path / f"{name}.tif", values)
        for match in (False, True):
            out = tmp_path / f"{name}_{match}.tif"
            model = str(tmp_path / "m.safetensors")
            run.run(
                PredictJob((str(tmp_path / f"{name}.tif"),), model, str(out), match_colours=match, device="cpu"),
                Progress(),
            )
            with rasterio.open(out) as file:
                masks[name, match] = file.read(1)
    assert len(np.unique(masks["plain", True])) > 1
    assert (masks["plain", True] == masks["dim", True]).mean() > 0.999
    assert (masks["plain", False] == masks["dim", False]).mean() < 0.95
