"""Matching bands to the channels of a model."""

import dataclasses

import numpy as np
import pytest
import rasterio
from rasterio.enums import ColorInterp

from wsss_geo.errors import InputError
from wsss_geo.raster.bands import canonical_name, match_bands
from wsss_geo.raster.reader import describe

RGB = ("red", "green", "blue")


@pytest.fixture
def raster(tmp_path):
    """Make the header of a raster with the given colours and descriptions."""

    def make(colors, descriptions=None, palette=None):
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.tif"
        with rasterio.open(path, "w", driver="GTiff", height=4, width=4, count=len(colors), dtype="uint8") as out:
            out.write(np.zeros((len(colors), 4, 4), np.uint8))
            if palette:
                out.write_colormap(1, palette)
            else:
                out.colorinterp = [ColorInterp[c] for c in colors]
            if descriptions:
                out.descriptions = descriptions
        return describe(str(path))

    return make


def test_names_win_over_order(raster):
    info = raster(["blue", "green", "red"])
    assert match_bands(info, RGB).bands == (3, 2, 1)
    assert "by name" in match_bands(info, RGB).how
    info = raster(["gray", "undefined", "undefined", "undefined"], ["NIR", "Red band", "Green", "blue"])
    assert match_bands(info, (*RGB, "nir")).bands == (2, 3, 4, 1)


def test_a_description_that_says_nothing_leaves_the_colour(raster):
    assert match_bands(raster(["blue", "green", "red"], ["Band 1", "Band 2", "Band 3"]), RGB).bands == (3, 2, 1)


def test_a_description_wins_over_the_colour_it_is_shown_in(raster):
    assert match_bands(raster(["red", "green", "blue"], ["nir", "red", "green"]), ("red", "green")).bands == (2, 3)


def test_sentinel_2_band_numbers(raster):
    names = [f"B{n}" for n in range(1, 9)] + ["B8A", "B9", "B10", "B11", "B12"]
    info = raster(["gray"] + ["undefined"] * 12, names)
    assert match_bands(info, (*RGB, "nir", "swir1")).bands == (4, 3, 2, 8, 12)


def test_unnamed_bands_go_by_order_and_say_so(raster):
    match = match_bands(raster(["gray", "undefined", "undefined", "undefined"]), (*RGB, "nir"))
    assert match.bands == (1, 2, 3, 4)
    assert "order" in match.how
    assert match_bands(raster(["red", "green", "blue", "undefined"]), (*RGB, "nir")).bands == (1, 2, 3, 4)


def test_alpha_is_never_an_image_band(raster):
    info = raster(["red", "green", "blue", "alpha"])
    assert match_bands(info).bands == (1, 2, 3)
    for wanted, requested in [((*RGB, "nir"), None), (None, (1, 2, 4))]:
        with pytest.raises(InputError, match="--bands"):
            match_bands(info, wanted, requested=requested)


def test_order_that_contradicts_a_name_is_refused(raster):
    with pytest.raises(InputError, match=r"blue where red.*--bands"):
        match_bands(raster(["blue", "undefined", "red"]), RGB)


def test_too_few_bands(raster):
    with pytest.raises(InputError, match=r"1 image band, 3 are needed.*--bands 1,1,1"):
        match_bands(raster(["gray"]), RGB)
    assert match_bands(raster(["gray"]), RGB, requested=(1, 1, 1)).bands == (1, 1, 1)


def test_requests_are_checked(raster):
    info = raster(["red", "green", "blue"])
    assert match_bands(info, RGB, requested=(3, 1, 2)).bands == (3, 1, 2)
    for requested in ((1, 2), (1, 2, 4), (0, 1, 2)):
        with pytest.raises(InputError, match="--bands"):
            match_bands(info, RGB, requested=requested)


def test_a_palette_is_expanded_where_three_channels_are_wanted(raster):
    info = raster(["gray"], palette={0: (1, 2, 3, 255)})
    assert match_bands(info, RGB).palette
    assert match_bands(info).palette
    assert not match_bands(info, ("gray",)).palette
    assert not match_bands(dataclasses.replace(info, palette=None)).palette


@pytest.mark.parametrize(
    ("given", "name"),
    [("R", "red"), ("Near Infrared", "nir"), ("NIR band", "nir"), ("SR_red", "red"), ("Red", "red"), ("B8A", "b8a")],
)
def test_canonical_names(given, name):
    assert canonical_name(given) == name
