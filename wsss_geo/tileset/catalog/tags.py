"""Tags and masks of a data set by tile."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from wsss_geo.progress import Progress
from wsss_geo.tileset.catalog.base import Collection
from wsss_geo.tileset.cells import Source
from wsss_geo.tileset.tag_table import TagTable
from wsss_geo.tileset.tags_mask import tags_of_masks


def collection_tags(
    collection: Collection, sources: Sequence[Source], min_area: float, report: Progress, origin: Path
) -> TagTable:
    """Tag the tiles of ``sources``, which are the scenes of ``collection`` in order.

    Tags of a whole image hold for its tile; else those classes are tags that cover ``min_area`` of the tile in its
    mask. Raises InputError for a mask that cannot be read or does not fit its image.
    """
    pairs = list(zip(sources, collection.scenes, strict=True))
    from_masks = {s.path: c.mask for s, c in pairs if c.mask is not None and c.tags is None}
    tags, masks = tags_of_masks(from_masks, sources, collection.scheme, min_area, report, origin, collection.coding)
    for source, scene in pairs:
        if scene.tags is not None:
            tags.update(dict.fromkeys(source.tile_ids, scene.tags))
            if scene.mask is not None:
                masks.update(dict.fromkeys(source.tile_ids, scene.mask))
    return TagTable(tags, masks, given=len(sources))
