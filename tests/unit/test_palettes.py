"""Colours of classes as the data sets' owners publish them, written out here as red, green and blue."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from wsss_geo.tileset.catalog import deepglobe, dlrsd, isaid, isprs, loveda, voc2012

#: iSAID, in its official order.
ISAID = {
    "background": (0, 0, 0), "ship": (0, 0, 63), "storage tank": (0, 63, 63), "baseball diamond": (0, 63, 0),
    "tennis court": (0, 63, 127), "basketball court": (0, 63, 191), "ground track field": (0, 63, 255),
    "bridge": (0, 127, 63), "large vehicle": (0, 127, 127), "small vehicle": (0, 0, 127), "helicopter": (0, 0, 191),
    "swimming pool": (0, 0, 255), "roundabout": (0, 191, 127), "soccer ball field": (0, 127, 191),
    "plane": (0, 127, 255), "harbour": (0, 100, 155),
}  # fmt: skip
ISPRS = {
    "impervious surface": (255, 255, 255), "building": (0, 0, 255), "low vegetation": (0, 255, 255),
    "tree": (0, 255, 0), "car": (255, 255, 0), "clutter": (255, 0, 0),
}  # fmt: skip
DEEPGLOBE = {
    "urban": (0, 255, 255), "agriculture": (255, 255, 0), "rangeland": (255, 0, 255), "forest": (0, 255, 0),
    "water": (0, 0, 255), "barren": (255, 255, 255),
}  # fmt: skip
LOVEDA = {
    "background": (255, 255, 255), "building": (255, 0, 0), "road": (255, 255, 0), "water": (0, 0, 255),
    "barren": (159, 129, 183), "forest": (0, 255, 0), "agriculture": (255, 195, 128),
}  # fmt: skip
DLRSD = {
    "airplane": (166, 202, 240), "bare soil": (128, 128, 0), "buildings": (0, 0, 128), "cars": (255, 0, 0),
    "chaparral": (0, 128, 0), "court": (128, 0, 0), "dock": (255, 233, 233), "field": (160, 160, 164),
    "grass": (0, 128, 128), "mobile home": (90, 87, 255), "pavement": (255, 255, 0), "sand": (255, 192, 0),
    "sea": (0, 0, 255), "ship": (255, 0, 192), "tanks": (128, 0, 128), "trees": (0, 255, 0), "water": (0, 255, 255),
}  # fmt: skip
VOC = {
    "background": (0, 0, 0), "aeroplane": (128, 0, 0), "bicycle": (0, 128, 0), "bird": (128, 128, 0),
    "boat": (0, 0, 128), "bottle": (128, 0, 128), "bus": (0, 128, 128), "car": (128, 128, 128), "cat": (64, 0, 0),
    "chair": (192, 0, 0), "cow": (64, 128, 0), "diningtable": (192, 128, 0), "dog": (64, 0, 128),
    "horse": (192, 0, 128), "motorbike": (64, 128, 128), "person": (192, 128, 128), "pottedplant": (0, 64, 0),
    "sheep": (128, 64, 0), "sofa": (0, 192, 0), "train": (128, 192, 0), "tvmonitor": (0, 64, 128),
}  # fmt: skip
TABLES = {
    "isaid": (isaid.COLORS, ISAID),
    "isprs": (isprs.COLORS, ISPRS),
    "deepglobe": (deepglobe.COLORS, DEEPGLOBE),
    "loveda": (loveda.COLORS, LOVEDA),
    "dlrsd": (dlrsd.COLORS, DLRSD),
    "voc2012": ({name: voc2012.palette(i) for i, name in enumerate(voc2012.NAMES)}, VOC),
}


@pytest.mark.parametrize("name", TABLES)
def test_colours_and_order_are_the_published_ones(name: str) -> None:
    ours, published = TABLES[name]
    found = {n: (int(c[1:3], 16), int(c[3:5], 16), int(c[5:7], 16)) for n, c in ours.items()}
    assert list(found.items()) == list(published.items())


def test_a_mask_in_published_colours_is_read_as_the_published_classes(tmp_path) -> None:
    """Baseball diamond and ground track field keep their places, which CTFA's own table interchanges."""
    from wsss_geo.tileset.masks import MaskReader

    colours = np.array(list(ISAID.values()), np.uint8)[None]
    Image.fromarray(colours).save(tmp_path / "mask.png")
    collection = isaid.scheme_of(isaid.COLORS, background="explicit")
    reader = MaskReader(tmp_path / "mask.png", collection, 1, len(ISAID), isaid._coding())
    from wsss_geo.raster.grid import Window

    assert reader.positions(Window(0, 0, 1, len(ISAID)))[0].tolist() == list(range(16))
    assert collection.names[3] == "baseball diamond"
    assert collection.names[6] == "ground track field"
