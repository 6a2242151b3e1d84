"""Local crops: where they may lie, what they show, how they are flagged."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from wsss_geo.errors import UsageError
from wsss_geo.nn.crops import box_sums, cut_crops, region_map, sample_crops, shows_main_class


def test_region_map_follows_the_rule() -> None:
    cam = torch.tensor([[[[0.25, 0.5, 0.75, 0.1]], [[0.9, 0.9, 0.9, 0.9]]]])
    assert region_map(cam, torch.tensor([[1, 0]]), 0.75, 0.25).tolist() == [[[0, 1, 2, 0]]]
    assert region_map(cam, torch.tensor([[0, 0]]), 0.75, 0.25).tolist() == [[[0, 0, 0, 0]]]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 8), st.integers(2, 9))
def test_crops_are_candidates_inside_without_repetition(seed: int, count: int, size: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    regions = torch.randint(0, 3, (2, 20, 17), generator=generator)
    crops = sample_crops(regions, count, size, generator=generator)
    assert crops.corners.shape == (2, count, 2)
    assert crops.positive.shape == (2, count)
    for b in range(2):
        corners = crops.corners[b].tolist()
        assert len({tuple(c) for c in corners}) == count
        for (row, col), positive in zip(corners, crops.positive[b].tolist(), strict=True):
            assert 0 <= row <= 20 - size
            assert 0 <= col <= 17 - size
            assert regions[b, row + size // 2, col + size // 2] <= 1
            window = regions[b, row : row + size, col : col + size].double()
            assert positive == (window.mean().item() > 0.2)


def test_too_few_candidates_fall_back_to_any_position_image_by_image() -> None:
    regions = torch.full((2, 16, 16), 2)
    regions[0, 8, 8] = 1  # one candidate where four are wanted
    regions[1, 4:12, 4:12] = 0
    crops = sample_crops(regions, 4, 4, generator=torch.Generator().manual_seed(0))
    centres = crops.corners + 2
    assert (regions[0][centres[0, :, 0], centres[0, :, 1]] == 2).any()
    assert (regions[1][centres[1, :, 0], centres[1, :, 1]] == 0).all()


def test_all_candidates_are_drawn_equally_often() -> None:
    regions = torch.full((2000, 6, 6), 2)
    regions[:, 2, 2:5] = 0
    crops = sample_crops(regions, 1, 2, generator=torch.Generator().manual_seed(0))
    counts = torch.bincount(crops.corners[:, 0, 1], minlength=5)
    assert counts[:1].sum() == 0
    assert (counts[1:4] - 667).abs().max() < 100


def test_crops_avoid_invalid_pixels_where_they_can() -> None:
    regions = torch.zeros(2, 20, 20, dtype=torch.long)
    valid = torch.zeros(2, 20, 20, dtype=torch.bool)
    valid[0, 5:15, 3:16] = True  # the second image has none
    crops = sample_crops(regions, 8, 6, valid=valid, generator=torch.Generator().manual_seed(0))
    assert crops.cut(valid[:, None].float())[0].min() == 1
    assert len({tuple(c) for c in crops.corners[1].tolist()}) == 8


def test_no_room_is_refused() -> None:
    for side in (7, 8, 9):
        with pytest.raises(UsageError, match="do not fit"):
            sample_crops(torch.zeros(1, side, side), 8, 8)


def test_cut_crops_equal_slices() -> None:
    image = torch.randn(2, 3, 12, 15)
    corners = torch.tensor([[[0, 0], [7, 10], [3, 4]], [[1, 2], [5, 5], [7, 0]]])
    cut = cut_crops(image, corners, 5)
    assert cut.shape == (2, 3, 3, 5, 5)
    for b in range(2):
        for n in range(3):
            r, c = corners[b, n].tolist()
            assert torch.equal(cut[b, n], image[b, :, r : r + 5, c : c + 5])


def dihedral(maps: torch.Tensor, element: int) -> torch.Tensor:
    turned = torch.rot90(maps, element % 4, (-2, -1))
    return turned.flip(-1) if element >= 4 else turned


@pytest.mark.parametrize("element", range(8))
def test_crops_of_image_and_regions_agree_for_all_dihedral_elements(element: int) -> None:
    """A marker painted on the image and in the regions must show in the same crops at the same place."""
    generator = torch.Generator().manual_seed(element)
    image, regions = torch.zeros(1, 1, 18, 18), torch.zeros(1, 18, 18, dtype=torch.long)
    image[0, 0, 5:9, 11:14] = 1
    regions[0, 5:9, 11:14] = 1
    view, view_regions = dihedral(image, element), dihedral(regions, element)
    crops = sample_crops(view_regions, 60, 6, background_share=0.1, generator=generator)
    shown = crops.cut(view)[:, :, 0]
    assert torch.equal(shown, crops.cut(view_regions[:, None].float())[:, :, 0])
    assert torch.equal(crops.positive, shown.mean((-2, -1)) > 0.1)
    assert crops.positive.any()
    assert not crops.positive.all()


def test_box_sums_equal_slices() -> None:
    values = torch.randint(0, 3, (2, 7, 9))
    sums = box_sums(values, 3)
    for r in range(5):
        for c in range(7):
            assert torch.equal(sums[:, r, c].long(), values[:, r : r + 3, c : c + 3].sum((1, 2)))


def test_main_class_flags_without_background() -> None:
    labels = torch.zeros(1, 12, 12, dtype=torch.long)
    labels[:, :, 8:] = 2
    labels[:, :4, :4] = 255
    crops = sample_crops(torch.zeros_like(labels), 60, 4, generator=torch.Generator().manual_seed(0))
    flags = shows_main_class(labels, crops, 3)
    for (row, col), flag in zip(crops.corners[0].tolist(), flags[0].tolist(), strict=True):
        window = labels[0, row : row + 4, col : col + 4]
        assert flag == ((window == 0).sum() >= (window == 2).sum()).item()
    assert not flags.all()
    assert shows_main_class(torch.full_like(labels, 255), crops, 3).all()
