"""Public data sets by name: readers that turn their official folders into scenes with splits, masks and tags."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from wsss_geo.errors import InputError, UsageError
from wsss_geo.progress import Progress
from wsss_geo.tileset.catalog.base import Collection, DataSet, Scene, check_scenes
from wsss_geo.tileset.catalog.class_folders import EUROSAT, UC_MERCED
from wsss_geo.tileset.catalog.coco2014 import COCO2014
from wsss_geo.tileset.catalog.deepglobe import DEEPGLOBE
from wsss_geo.tileset.catalog.dlrsd import DLRSD
from wsss_geo.tileset.catalog.isaid import ISAID
from wsss_geo.tileset.catalog.loveda import LOVEDA
from wsss_geo.tileset.catalog.potsdam import POTSDAM
from wsss_geo.tileset.catalog.vaihingen import VAIHINGEN
from wsss_geo.tileset.catalog.voc2012 import VOC2012

__all__ = ["CATALOG", "Collection", "DataSet", "Scene", "defaults_of", "open_dataset"]

CATALOG: Mapping[str, DataSet] = {
    d.name: d for d in (COCO2014, DEEPGLOBE, DLRSD, EUROSAT, ISAID, LOVEDA, POTSDAM, UC_MERCED, VAIHINGEN, VOC2012)
}


def defaults_of(name: str, protocol: str | None = None) -> dict[str, Any]:
    """Values of the fields of a tile job that suit a data set under a protocol; none for what is unknown."""
    dataset = CATALOG.get(name)
    return {**dataset.defaults, **dataset.protocols.get(protocol or "official", {})} if dataset else {}


def open_dataset(name: str, root: Path, protocol: str | None, variant: str | None, report: Progress) -> Collection:
    """Read the data set ``name`` in the folder ``root``.

    Every parent scene is in one split. Raises UsageError for a protocol or variant it does not have, InputError for a
    folder that is not as expected.
    """
    dataset = CATALOG[name]
    protocol = protocol or "official"
    if protocol not in dataset.protocols:
        raise UsageError(f"{name}: has no protocol {protocol}", f"choose {' or '.join(dataset.protocols)}")
    if variant is not None and variant not in dataset.variants:
        known = f"choose {', '.join(dataset.variants)}" if dataset.variants else "leave --variant out"
        raise UsageError(f"{name}: has no variant {variant!r}", known)
    if not root.is_dir():
        raise InputError(root, "no such folder", f"give the folder of {name}")
    collection = dataset.read(root, protocol, variant)
    check_scenes(root, collection.scenes)
    for remark in collection.remarks:
        report.info(f"{root}: {remark}")
    found = len({s.parent for s in collection.scenes})
    if found < collection.expected:
        report.warn(f"{root}: holds {found} of the {collection.expected} scenes of {name}")
    return collection
