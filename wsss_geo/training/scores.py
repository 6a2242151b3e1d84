"""Scores of a model in training that need tags only, no mask."""

from __future__ import annotations

import torch
from torch import Tensor

from wsss_geo.nn.network import Network
from wsss_geo.nn.tensors import split_cells
from wsss_geo.nn.whole_tiles import answer_tiles


class TagScores:
    """How well the decoder's masks agree with the tags of scenes it was not trained on.

    ``tag_f1``: the tags that follow from the mask (a class that covers at least ``share`` of the scene) against the
    given ones, F1 averaged over the classes that occur. ``within``: share of pixels whose class is among the tags.
    ``score`` is their mean and chooses the checkpoint; ``cam_f1`` is the F1 of the classifier's evidence.
    """

    def __init__(self, network: Network, share: float = 0.05) -> None:
        self.network = network
        self.share = share
        cold = network.cold
        self.channels = [c for c in range(network.classes) if c != cold]
        self.counts = torch.zeros(2, 3, network.taggable, dtype=torch.float64)
        self.inside = self.pixels = 0.0

    def add(self, image01: Tensor, valid: Tensor, tags: Tensor) -> None:
        """Count B views: images [B,N,H,W] in 0..1, validity bool [B,H,W], tags [B,K] or, of mosaics, [B,K,g,g].

        Each tile of a mosaic counts as a scene of its own; those without a tag do not count. Sides are what they are,
        see ``answer_tiles``.
        """
        cells = tags[:, :, None, None] if tags.dim() == 2 else tags
        grid = (cells.shape[-2], cells.shape[-1])
        probabilities, cam, share = answer_tiles(self.network, image01, valid, with_cam=True)
        label, seen, usable = (
            split_cells(maps, *grid) for maps in (probabilities.argmax(dim=1, keepdim=True), cam, share > 0.5)
        )
        given = split_cells(cells, *grid).flatten(1) > 0.5
        known = given.any(dim=1) if grid != (1, 1) else torch.ones_like(given[:, 0])
        self._add_scenes(label[known, 0], seen[known], usable[known, 0], given[known])

    def _add_scenes(self, label: Tensor, cam: Tensor, usable: Tensor, given: Tensor) -> None:
        total = usable.flatten(1).sum(1).clamp(min=1)
        covers = torch.stack([((label == c) & usable).flatten(1).sum(1) / total for c in self.channels], dim=1)
        self._count(0, covers >= self.share, given)
        seen = torch.where(usable[:, None], cam, 0).flatten(2)
        best = seen.topk(max(1, round(seen.shape[2] / 12)), dim=2).values.mean(2)
        self._count(1, best > 0.5, given)
        cold = self.network.cold
        if cold is not None:
            given = torch.cat([given[:, :cold], torch.ones_like(given[:, :1]), given[:, cold:]], 1)
        hit = given.gather(1, label.flatten(1)).view_as(label) & usable
        self.inside += float(hit.sum())
        self.pixels += float(usable.sum())

    def result(self) -> dict[str, float]:
        """The scores in 0..1; empty when nothing was counted."""
        if not self.pixels:
            return {}
        tag_f1, cam_f1 = (_macro_f1(c) for c in self.counts)
        within = self.inside / self.pixels
        return {"score": (tag_f1 + within) / 2, "tag_f1": tag_f1, "within": within, "cam_f1": cam_f1}

    def _count(self, row: int, found: Tensor, given: Tensor) -> None:
        hits = torch.stack([(found & given).sum(0), (found & ~given).sum(0), (~found & given).sum(0)])
        self.counts[row] += hits.cpu()


def _macro_f1(counts: Tensor) -> float:
    hits, false, missed = counts
    occurs = hits + missed > 0
    f1 = 2 * hits / (2 * hits + false + missed).clamp(min=1)
    return float(f1[occurs].mean()) if occurs.any() else 0.0
