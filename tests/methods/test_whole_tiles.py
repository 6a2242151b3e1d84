"""Tiles whose sides are no multiple of the patch: validation, pictures, calibration and evaluation take them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

import wsss_geo
from wsss_geo.classes import ClassScheme
from wsss_geo.nn.network import Network
from wsss_geo.nn.whole_tiles import answer_tiles
from wsss_geo.training.preview import write_preview
from wsss_geo.training.scores import TagScores

PATCH = 8
TINY = {"patch_size": PATCH, "depth": 2, "embed_dim": 32, "num_heads": 2}


@pytest.fixture
def network():
    torch.manual_seed(0)
    return Network(
        "vit_tiny_patch16_224", classes=3, taggable=3, mean=[0.4] * 3, std=[0.2] * 3, image_size=32, decoder_width=8,
        dilation=1, backbone_args=TINY,
    ).eval()  # fmt: skip


def test_whole_tokens_give_what_the_network_gives(network):
    image = torch.rand(2, 3, 32, 24)
    answers = answer_tiles(network, image, torch.ones(2, 32, 24, dtype=torch.bool), with_cam=True)
    probabilities, cam = network.predict_with_cam(image)
    torch.testing.assert_close(answers.probabilities, probabilities)
    torch.testing.assert_close(answers.activations, cam)
    assert answers.valid.shape == (2, 1, 4, 3)
    assert answer_tiles(network, image, image[:, 0] >= 0).activations.shape == (2, 0, 4, 3)


def test_other_sides_are_padded_and_the_padding_is_cut_off(network):
    image, valid = torch.rand(2, 3, 29, 43), torch.rand(2, 29, 43) > 0.1
    answers = answer_tiles(network, image, valid, with_cam=True)
    assert answers.probabilities.shape == answers.activations.shape == (2, 3, 29, 43)
    assert torch.equal(answers.valid[:, 0] > 0.5, valid)
    padded = torch.where(valid[:, None], image, torch.tensor(0.4))[:, :, [*range(29), 28, 28, 28]]
    padded = padded[..., [*range(43), *[42] * 5]]
    expected = torch.nn.functional.interpolate(network.predict(padded)[0], scale_factor=PATCH, mode="bilinear")
    torch.testing.assert_close(answers.probabilities, expected[..., :29, :43])


def test_pixels_without_data_show_the_mean(network):
    image, valid = torch.rand(1, 3, 32, 32), torch.ones(1, 32, 32, dtype=torch.bool)
    valid[:, :, 20:] = False
    other = torch.where(valid[:, None], image, torch.rand(1, 3, 32, 32))
    assert torch.equal(
        answer_tiles(network, image, valid).probabilities, answer_tiles(network, other, valid).probabilities
    )


@pytest.mark.parametrize("cells", [1, 2])
def test_scores_and_pictures_take_any_side(network, tmp_path, cells):
    scores, side = TagScores(network), 26 * cells
    tags = torch.ones(2, 3) if cells == 1 else torch.ones(2, 3, cells, cells)
    valid = torch.ones(2, side, side, dtype=torch.bool)
    scores.add(torch.rand(2, 3, side, side), valid, tags)
    assert scores.pixels == 2 * side * side
    assert scores.result()["within"] == 1.0
    scheme = ClassScheme.from_names(["a", "b", "c"], "none")
    write_preview(tmp_path / "seen.png", network, scheme, torch.rand(2, 3, 30, 30), torch.ones(2, 3))
    assert Image.open(tmp_path / "seen.png").height > 300


def test_photographs_of_many_sizes_from_tiles_to_scores(tiny_scene, tmp_path, write_tiff):
    """Tiles of 60 px and a smaller one, seen at 32 px by a patch of 8: training, calibration and evaluation finish."""
    rng = np.random.default_rng(0)
    folder, masks = tmp_path / "photos", tmp_path / "masks"
    folder.mkdir()
    masks.mkdir()
    for number, (height, width) in enumerate([(60, 45), (45, 60), (60, 60), (37, 51), (60, 60), (60, 42)]):
        truth = np.full((height, width), 3 + 2 * (number % 2), np.uint8)
        truth[height // 2 :] = 9
        noise, origin = rng.integers(0, 60, (3, height, width)), (500_000.0 + 99 * number, 5e6)
        write_tiff(folder / f"{number}.tif", (truth[None] * 15 + noise).astype(np.uint8), origin)
        write_tiff(masks / f"{number}.tif", truth, origin)
    wsss_geo.tile(
        folder, tags=masks, classes=tiny_scene / "classes.json", size=60, val=0.4, test=0.0, out=tmp_path / "tiles"
    )
    for method in ("toco", "cti"):
        run = wsss_geo.train(
            tmp_path / "tiles", out=tmp_path / method, method=method, backbone="vit_tiny_patch16_224",
            backbone_args=TINY, crop=32, steps=2, batch_size=2, check_every=2, device="cpu", precision="float32",
            settings={"decoder_width": 8, "dilation": 1, "scale": (1.0, 2.0)},
        )  # fmt: skip
        assert 0 <= run.scores["score"] <= 1
        assert list((tmp_path / method / "preview").glob("*.png"))
        scored = wsss_geo.evaluate(model=run.model, tiles=tmp_path / "tiles", split="all", device="cpu")
        assert 0 <= scored.miou <= 1
