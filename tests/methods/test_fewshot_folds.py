"""The folds of iSAID-5i and DLRSD-5i: what they hold, and what training and scoring make of them."""

from __future__ import annotations

import json

import numpy as np
import pytest

import wsss_geo
from hearing import Hearing
from wsss_geo import api
from wsss_geo.classes import ClassScheme, LandCoverClass
from wsss_geo.errors import InputError, UsageError
from wsss_geo.fewshot.folds import BENCHMARKS, choose
from wsss_geo.progress import Progress
from wsss_geo.tileset.catalog import CATALOG, dlrsd, isaid

MEVT = {"widths": [8, 8, 8, 8], "depths": [1, 1, 1, 1], "heads": [1, 1, 1, 1], "fusion": 16, "stride": 4}
TRAIN = {
    "backbone": "mevt", "backbone_args": MEVT, "steps": 2, "batch_size": 1, "shots": 1, "device": "cpu",
    "settings": {"width": 8, "parts": 2, "regions": 2, "layers": 1}, "precision": "float32",
}  # fmt: skip
FIRST = ("ship", "storage tank", "baseball diamond", "tennis court", "basketball court")


def scheme(names, background="none"):
    pairs = enumerate(names)
    return ClassScheme(tuple(LandCoverClass(i, n, f"#{i:06x}") for i, n in pairs), background)


ISAID = scheme(isaid.COLORS, "explicit")
DLRSD = scheme(dlrsd.COLORS)


@pytest.mark.parametrize(("name", "order"), [("isaid-5i", [*isaid.COLORS][1:]), ("dlrsd-5i", [*dlrsd.COLORS][:15])])
def test_folds_are_the_classes_in_their_order_five_by_five(name, order):
    benchmark = BENCHMARKS[name]
    assert [n for fold in benchmark.folds for n in fold] == order
    assert [len(fold) for fold in benchmark.folds] == [5, 5, 5]
    assert benchmark.source in CATALOG


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_fold_leaves_the_other_folds_to_learn_from(number):
    held = choose(f"isaid-5i:{number}", ISAID, "fewshot-train.held", "tiles", Progress())
    assert held.chosen == ISAID.names[5 * number + 1 : 5 * number + 6]
    assert set(held.others) == set(ISAID.names[1:]) - set(held.chosen)


def test_what_is_in_no_fold_is_not_learned_either():
    heard = Hearing()
    held = choose(" DLRSD-5i : 2", DLRSD, "fewshot-train.held", "tiles", heard)
    assert held.chosen == ("pavement", "sand", "sea", "ship", "tanks")
    assert len(held.others) == 10
    assert not {"trees", "water"} & set(held.others)
    assert heard.said() == "tiles: fold 2 of DLRSD-5i is pavement, sand, sea, ship, tanks"


def test_names_are_as_before():
    assert choose("plane, ship", ISAID, "f.held", "tiles", Progress()).chosen == ("ship", "plane")
    nothing = choose(None, ISAID, "f.held", "tiles", Progress())
    assert (nothing.chosen, nothing.others) == ((), ISAID.taggable)
    odd = choose("site-5i:1", scheme(["site-5i:1", "rest"]), "f.held", "tiles", Progress())
    assert odd.chosen == ("site-5i:1",)


@pytest.mark.parametrize("text", ["isaid-5i:3", "isaid-5i:", "isaid-5i:-1", "isaid-5i:x", "coco-5i:0", "isaid-5i"])
def test_folds_that_there_are_not_are_refused(text):
    with pytest.raises(UsageError, match=r"no fold|no benchmark|no class here"):
        choose(text, ISAID, "fewshot-train.held", "tiles", Progress())


def test_another_tile_set_is_refused():
    with pytest.raises(InputError, match="tiles: knows no class 'ship', so it is no iSAID-5i, whose fold 0 is ship, "):
        choose("isaid-5i:0", DLRSD_WITHOUT_SHIP, "fewshot-train.held", "tiles", Progress())


DLRSD_WITHOUT_SHIP = scheme([n for n in dlrsd.COLORS if n != "ship"])


@pytest.fixture(scope="module")
def tiles(tmp_path_factory, write_tiff):
    """A tile set with the classes of iSAID, squares of 16 px; those of fold 0 in the lower half alone."""
    folder = tmp_path_factory.mktemp("isaid")
    rng = np.random.default_rng(0)
    kinds = rng.integers(6, 16, (24, 24))
    kinds[12:] = rng.integers(0, 16, (12, 24))
    truth = np.kron(kinds, np.ones((16, 16))).astype(np.uint8)
    scene = np.stack([truth * 12 + 20, 250 - truth * 11, truth % 4 * 60 + 10]) + rng.integers(0, 9, (3, 384, 384))
    write_tiff(folder / "scene.tif", scene.astype(np.uint8))
    write_tiff(folder / "truth.tif", truth)
    listed = [{"id": i, "name": n} for i, n in enumerate(isaid.COLORS)]
    (folder / "classes.json").write_text(json.dumps({"classes": listed, "background": "explicit"}))
    wsss_geo.tile(
        folder / "scene.tif", tags=folder / "truth.tif", classes=folder / "classes.json", size=64, val=0.0,
        scene_block=64, out=folder / "tiles",
    )  # fmt: skip
    return folder / "tiles"


def test_training_and_scoring_keep_to_the_fold(tiles, tmp_path, command):
    heard = Hearing()
    model = api.few_shot_train(tiles, out=tmp_path / "run", held="isaid-5i:0", **TRAIN, report=heard)
    assert model.held == FIRST
    assert set(model.seen) == set(ISAID.names[6:])
    assert model.tiles == 18  # the upper half
    assert f"fold 0 of iSAID-5i is {', '.join(FIRST)}" in heard.said()
    given = {"tiles": tiles, "split": "all", "episodes": 4, "shots": (1,), "device": "cpu"}
    scored = api.few_shot_test(model.model, **given)
    assert scored.classes == FIRST
    assert api.few_shot_test(model.model, **given, classes="isaid-5i:0") == scored
    words = ("--split", "all", "--episodes", 2, "--shots", 1, "--classes", "isaid-5i:1")
    done = command("fewshot-test", model.model, "--tiles", tiles, *words)
    assert (done.code, "ground track field, bridge, large vehicle, small vehicle, helicopter" in done.out) == (0, True)


def test_a_fold_of_another_data_set_is_one_sentence(tiles, tmp_path, command):
    done = command("fewshot-train", tiles, "--held", "dlrsd-5i:0", "--out", tmp_path / "run")
    assert done.code == 3
    assert "knows no class 'airplane', so it is no DLRSD-5i, whose fold 0 is airplane, bare soil, " in done.err
    assert done.err.count("\n") == 1
    assert not (tmp_path / "run").exists()
