"""Write the sample scenes, their truth, the scene tags and the class scheme, byte for byte the same every time.

python sample_data/make_sample_data.py [--out DIR]
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import numpy as np
from landscape.canvas import GSD, SIZE
from landscape.scene import SCENES, Scene, render
from numpy.typing import NDArray

from wsss_geo.classes import IGNORE, ClassScheme, LandCoverClass, write_classes

#: Side of a tagged cell in pixels, and the share of it that a class must cover to be tagged.
CELL = 32
MINIMUM_SHARE = 0.05
CRS = "EPSG:32632"

CLASSES = ClassScheme(
    (
        LandCoverClass(0, "water", "#2b6cb0"),
        LandCoverClass(1, "woodland", "#276749"),
        LandCoverClass(2, "cropland", "#ecc94b"),
        LandCoverClass(3, "grass", "#9ae66e"),
        LandCoverClass(4, "building", "#c53030"),
        LandCoverClass(5, "road", "#4a5568"),
    )
)


def tag_cells(truth: NDArray[np.uint8], scene: Scene) -> list[tuple[float, float, str]]:
    """Map coordinates of the centre of each cell, row by row, and the classes that cover enough of it."""
    rows = []
    for row in range(0, SIZE, CELL):
        for col in range(0, SIZE, CELL):
            cell = truth[row : row + CELL, col : col + CELL]
            names = [c.name for c in CLASSES.classes if (cell == c.id).sum() >= MINIMUM_SHARE * CELL * CELL]
            x = scene.origin[0] + (col + CELL / 2) * GSD
            y = scene.origin[1] - (row + CELL / 2) * GSD
            rows.append((x, y, ";".join(names)))
    return rows


def write_tags(rows: list[tuple[float, float, str]], path: Path) -> None:
    """Write tags as CSV with the columns x, y, tags."""
    lines = ["x,y,tags", *(f"{x:.1f},{y:.1f},{tags}" for x, y, tags in rows)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")


def write_cog(bands: NDArray[np.uint8], path: Path, scene: Scene, truth: bool) -> None:
    """Write [bands, H, W] as a cloud-optimised GeoTIFF: JPEG for a picture, deflate with class colours for a truth."""
    import rasterio
    from rasterio.io import MemoryFile
    from rasterio.shutil import copy
    from rasterio.transform import from_origin

    profile = {
        "driver": "GTiff", "dtype": "uint8", "count": bands.shape[0], "height": SIZE, "width": SIZE, "crs": CRS,
        "transform": from_origin(*scene.origin, GSD, GSD), "nodata": IGNORE if truth else None, "tiled": True,
    }  # fmt: skip
    options = {"compress": "JPEG", "quality": 90, "overview_quality": 85, "overview_resampling": "average"}
    if truth:
        options = {"compress": "DEFLATE", "level": 9, "predictor": "NO", "overview_resampling": "nearest"}
    part = path.with_name(path.name + ".part.tif")
    with rasterio.Env(GDAL_NUM_THREADS="1", GDAL_PAM_ENABLED="NO"), MemoryFile() as memory:
        with memory.open(**profile) as dataset:
            dataset.write(bands)
            if truth:
                dataset.write_colormap(1, {c.id: (*c.rgb, 255) for c in CLASSES.classes})
                dataset.update_tags(1, **{f"class_{c.id}": c.name for c in CLASSES.classes})
        copy(memory.name, part, driver="COG", blocksize=512, **options)
    os.replace(part, path)


def make(out: Path) -> None:
    """Write all files of the sample data into a folder."""
    out.mkdir(parents=True, exist_ok=True)
    write_classes(CLASSES, out / "classes.json")
    for scene in SCENES:
        picture, truth = render(scene)
        write_cog(picture, out / f"{scene.name}.tif", scene, truth=False)
        write_cog(truth[None], out / f"{scene.name}_truth.tif", scene, truth=True)
        if scene is SCENES[0]:
            write_tags(tag_cells(truth, scene), out / f"{scene.name}_tags.csv")


def main() -> None:
    """Read the command line and write the files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path(__file__).resolve().parent, help="folder to write into")
    make(parser.parse_args().out)


if __name__ == "__main__":
    main()
