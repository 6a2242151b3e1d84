"""Scene classification sets, whose images lie in one folder a class: EuroSAT and UC Merced."""

from __future__ import annotations

from pathlib import Path

from wsss_geo.classes import ClassScheme
from wsss_geo.tileset.catalog.base import Collection, DataSet, Scene
from wsss_geo.tileset.catalog.files import files_below, missing

EUROSAT_CLASSES = (
    "AnnualCrop", "Forest", "HerbaceousVegetation", "Highway", "Industrial", "Pasture", "PermanentCrop", "Residential",
    "River", "SeaLake",
)  # fmt: skip
UC_MERCED_CLASSES = (
    "agricultural", "airplane", "baseballdiamond", "beach", "buildings", "chaparral", "denseresidential", "forest",
    "freeway", "golfcourse", "harbor", "intersection", "mediumresidential", "mobilehomepark", "overpass", "parkinglot",
    "river", "runway", "sparseresidential", "storagetanks", "tenniscourt",
)  # fmt: skip
_SUFFIXES = {"rgb": (".jpg", ".jpeg", ".png"), "ms": (".tif", ".tiff")}


def read_eurosat(root: Path, protocol: str, variant: str | None) -> Collection:
    """Read the pictures (``rgb``) or, where asked for or alone, the 13 bands (``ms``). Raises InputError."""
    found = {v: _images(root, EUROSAT_CLASSES, s) for v, s in _SUFFIXES.items()}
    variant = variant or ("rgb" if found["rgb"] else "ms")
    where = "folders named after the classes, such as AnnualCrop/AnnualCrop_1.jpg (EuroSAT_MS: .tif)"
    return _collection(
        root, "EuroSAT", EUROSAT_CLASSES, found[variant], where, None if variant == "ms" else 3, 10.0, 27_000
    )


def read_uc_merced(root: Path, protocol: str, variant: str | None) -> Collection:
    """Read ``Images/``. Raises InputError. Some images are not quite 256 x 256."""
    found = _images(root, UC_MERCED_CLASSES, (".tif", ".png", ".jpg"))
    where = "folders named after the classes, such as Images/airplane/airplane00.tif"
    return _collection(root, "UC Merced", UC_MERCED_CLASSES, found, where, 3, 0.3, 2100)


def _images(root: Path, classes: tuple[str, ...], suffixes: tuple[str, ...]) -> list[Path]:
    return [p for p in files_below(root, suffixes) if p.parent.name in classes]


def _collection(
    root: Path,
    title: str,
    classes: tuple[str, ...],
    images: list[Path],
    where: str,
    channels: int | None,
    gsd: float,
    expected: int,
) -> Collection:
    if not images:
        raise missing(root, f"{title} image", where)
    absent = [c for c in classes if c not in {p.parent.name for p in images}]
    return Collection(
        ClassScheme.from_names(list(classes)),
        tuple(Scene(p, p.stem, p.stem, None, None, (p.parent.name,)) for p in images),
        channels=channels,
        gsd=gsd,
        expected=expected,
        remarks=(f"no image of the classes {', '.join(absent)}",) if absent else (),
    )


EUROSAT = DataSet("eurosat", read_eurosat, {"size": 64, "test": 0.2}, variants=tuple(_SUFFIXES))
UC_MERCED = DataSet("ucmerced", read_uc_merced, {"size": 288, "test": 0.2})
