"""Scores that need tags only."""

from __future__ import annotations

from types import SimpleNamespace

import torch

from wsss_geo.nn.tensors import split_cells
from wsss_geo.training.scores import TagScores


class Oracle(SimpleNamespace):
    """Answers for a view of 2 x 2 tiles of 4 px: class 0 to the left, class 1 to the right, at 2 px an answer."""

    classes = taggable = 3
    cold = None
    multiple = 2
    mean = torch.zeros(1, 3, 1, 1)

    def predict(self, image01, scores, with_cam):
        assert with_cam
        label = torch.tensor([0, 0, 1, 1]).expand(len(image01), 4, 4)
        maps = torch.nn.functional.one_hot(label, 3).permute(0, 3, 1, 2).float()
        return maps, maps


def tags(*names: str) -> torch.Tensor:
    """Tags [1,3,2,2] of a mosaic, given tile by tile as strings of class numbers."""
    cells = torch.zeros(1, 3, 2, 2)
    for place, name in enumerate(names):
        for c in name:
            cells[0, int(c), place // 2, place % 2] = 1
    return cells


def score(cells: torch.Tensor) -> dict[str, float]:
    scores = TagScores(Oracle())
    scores.add(torch.zeros(1, 3, 8, 8), torch.ones(1, 8, 8, dtype=torch.bool), cells)
    return scores.result()


def test_each_tile_of_a_mosaic_is_a_scene():
    assert score(tags("0", "1", "0", "1")) == {"score": 1.0, "tag_f1": 1.0, "within": 1.0, "cam_f1": 1.0}
    swapped = score(tags("1", "0", "1", "0"))
    assert swapped["within"] == swapped["tag_f1"] == 0
    half = score(tags("0", "1", "1", "1"))
    assert half["within"] == 0.75
    assert half["tag_f1"] == (2 / 3 + 4 / 5) / 2


def test_tiles_without_a_tag_do_not_count_in_a_mosaic():
    assert score(tags("0", "1", "", ""))["within"] == 1
    assert score(tags("0", "", "", "1"))["within"] == 1


def test_tags_of_a_whole_view_count_once():
    scores = TagScores(Oracle())
    scores.add(torch.zeros(1, 3, 8, 8), torch.ones(1, 8, 8, dtype=torch.bool), torch.tensor([[1.0, 0.0, 0.0]]))
    assert scores.result()["within"] == 0.5


def test_cells_are_cut_row_by_row():
    maps = torch.arange(2 * 1 * 4 * 6).view(2, 1, 4, 6)
    cells = split_cells(maps, 2, 3)
    assert cells.shape == (12, 1, 2, 2)
    literal = [maps[b, :, 2 * r : 2 * r + 2, 2 * c : 2 * c + 2] for b in range(2) for r in range(2) for c in range(3)]
    assert torch.equal(cells, torch.stack(literal))
