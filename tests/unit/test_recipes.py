"""Every recipe that is shipped becomes a job and the settings of its method."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from wsss_geo.api import build_job, read_recipe
from wsss_geo.errors import InputError, UsageError
from wsss_geo.fewshot.train import make_settings as few_shot_settings
from wsss_geo.jobs import FewShotTrainJob, PretrainJob, TrainJob
from wsss_geo.methods import METHODS, settings_from
from wsss_geo.pretraining.run import make_settings
from wsss_geo.tileset.catalog import CATALOG

ROOT = Path(__file__).resolve().parents[2]
PRETRAINING = sorted((ROOT / "training/recipes/pretrain").glob("*.yaml"))
FEW_SHOT = sorted((ROOT / "training/recipes/fewshot").glob("*.yaml"))
RECIPES = sorted(set((ROOT / "training/recipes").rglob("*.yaml")) - set(PRETRAINING) - set(FEW_SHOT))


def name_of(path: Path) -> str:
    return path.relative_to(ROOT / "training/recipes").as_posix()


def test_there_are_recipes() -> None:
    assert RECIPES
    assert PRETRAINING
    assert FEW_SHOT


@pytest.mark.parametrize("recipe", RECIPES, ids=name_of)
def test_recipe_becomes_a_job_with_settings(recipe: Path) -> None:
    job = build_job("train", {"tiles": "tiles", "out": "run", "recipe": str(recipe)})
    assert isinstance(job, TrainJob)
    written = yaml.safe_load(recipe.read_text(encoding="utf-8"))
    for field, value in written.items():
        assert getattr(job, field) == (tuple(value) if isinstance(value, list) else value)
    settings = settings_from(METHODS[job.method].settings_type, dict(job.settings))
    for field, value in (written.get("settings") or {}).items():
        assert getattr(settings, field) == (tuple(value) if isinstance(value, list) else value)


@pytest.mark.parametrize("recipe", RECIPES, ids=name_of)
def test_recipe_is_named_after_its_method_and_leaves_files_to_the_user(recipe: Path) -> None:
    written = yaml.safe_load(recipe.read_text(encoding="utf-8"))
    assert written["method"] == recipe.stem
    assert not {"tiles", "out", "recipe", "weights"} & set(written)


@pytest.mark.parametrize("recipe", RECIPES[:1], ids=name_of)
def test_a_form_that_fills_every_field_lets_the_recipe_speak(recipe: Path) -> None:
    form = TrainJob(tiles="tiles", out="run", recipe=str(recipe), seed=5, settings={"rare": 0.125})
    given = form.to_json(chosen=True)
    assert set(given) == {"command", "tiles", "out", "recipe", "seed", "settings"}
    written = yaml.safe_load(recipe.read_text(encoding="utf-8"))
    job = build_job("train", {k: v for k, v in given.items() if k != "command"})
    assert isinstance(job, TrainJob)
    assert (job.steps, job.backbone, job.seed) == (written["steps"], written["backbone"], 5)
    assert job.settings["rare"] == 0.125
    words = form.command_line(chosen=True).split()
    assert words[:3] == ["wsss-geo", "train", "tiles"]
    assert {w for w in words if w.startswith("--")} == {"--out", "--recipe", "--seed", "--set"}
    assert "--steps" in job.command_line()  # which repeats the run whatever becomes of the recipe


@pytest.mark.parametrize("recipe", RECIPES[:1], ids=name_of)
def test_what_is_given_beside_a_recipe_wins(recipe: Path) -> None:
    given = {"tiles": "tiles", "out": "run", "recipe": str(recipe), "steps": 7, "settings": {"rare": 0.125}}
    fields = read_recipe(recipe, given)
    written = yaml.safe_load(recipe.read_text(encoding="utf-8"))
    assert fields["steps"] == 7
    assert fields["settings"] == {**(written.get("settings") or {}), "rare": 0.125}


def settings_of(name: str) -> tuple[TrainJob, object]:
    job = build_job(
        "train", {"tiles": "tiles", "out": "run", "recipe": str(ROOT / "training/recipes" / f"{name}.yaml")}
    )
    assert isinstance(job, TrainJob)
    return job, settings_from(METHODS[job.method].settings_type, dict(job.settings))


TOCO = {
    "lr": 6e-5, "head_lr": 10.0, "weight_decay": 0.01, "clip": 0.0, "middle": 10 / 12, "w_ptc": 0.2, "w_ctc": 0.5,
    "w_seg": 0.1, "w_reg": 0.05, "momentum": 0.9, "crops": 8, "crop_share": 96 / 448, "background_share": 0.2,
    "cam_scales": (1.0, 0.5, 1.5), "energy": "dense", "turns": False, "decoder_width": 512, "dilation": 5,
}  # fmt: skip
VOC = {"start": 0.1, "contrast_start": 0.0, "aux_until": 0.0, "high": 0.7, "low": 0.25, "temperature": 0.5}
COCO = {"start": 0.1, "contrast_start": 0.15, "aux_until": 0.15, "high": 0.65, "low": 0.25, "temperature": 1.0}
CTFA = {
    **TOCO, "w_ptc": 0.3, "clip": 1.0, "crop_share": 96 / 320, "warmup": 0.075, "high": 0.7, "low": 0.25,
    "temperature": 0.5, "scale": (0.8, 3.2),
}  # fmt: skip
CTI = {
    "lr": 6.25e-5, "head_lr": 1.0, "weight_decay": 0.05, "warmup": 5 / 60, "memory": 30, "w_bg": 0.1, "turns": False,
    "infusion": 4 / 12, "attention": 0.5,
}  # fmt: skip
#: Steps, batch, crop and settings that the papers or their programs tell.
PUBLISHED = {
    "voc2012/toco": (20_000, 4, 448, {**TOCO, **VOC, "warmup": 0.075}),
    "voc2012/stcl": (20_000, 4, 448, {**TOCO, **VOC, "warmup": 0.075}),
    "coco2014/toco": (80_000, 8, 448, {**TOCO, **COCO, "warmup": 1500 / 80_000}),
    "coco2014/stcl": (80_000, 8, 448, {**TOCO, **COCO, "warmup": 1500 / 80_000}),
    "isaid/ctfa": (20_000, 8, 320, {**CTFA, "head_lr": 8.0, "start": 0.2, "w_joi": 0.3}),
    "potsdam/ctfa": (20_000, 8, 320, {**CTFA, "lr": 4e-5, "head_lr": 8.0, "start": 0.1, "w_joi": 0.3}),
    "deepglobe/ctfa": (20_000, 8, 320, {**CTFA, "lr": 2e-5, "start": 0.2, "w_seg": 0.2, "w_joi": 0.2}),
    "voc2012/sfc": (3960, 16, 512, {"bank": 4, "extra": 396.0, "w_dw": 1.6, "w_ms": 0.8, "clip": 1.0, "turns": False}),
    "voc2012/cti": (9900, 64, 224, {**CTI, "w_intra": 1.0, "w_cross": 1.0, "delay": 0.0, "detach_maps": False}),
    "coco2014/cti": (77_580, 64, 224, {**CTI, "w_intra": 0.1, "w_cross": 0.1, "delay": 0.0333, "detach_maps": True}),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_recipe_says_what_was_published(name: str) -> None:
    job, settings = settings_of(name)
    steps, batch, crop, values = PUBLISHED[name]
    assert (job.steps, job.batch_size, job.crop, job.pretrained) == (steps, batch, crop, True)
    for field, value in values.items():
        assert getattr(settings, field) == (pytest.approx(value) if isinstance(value, float) else value), field


@pytest.mark.parametrize("recipe", RECIPES, ids=name_of)
def test_photographs_are_not_turned_and_land_is(recipe: Path) -> None:
    """What is seen from above has no up; the published programs for it mirror it only."""
    _, settings = settings_of(name_of(recipe).removesuffix(".yaml"))
    folder = recipe.parent.name
    published = folder in ("isaid", "potsdam", "deepglobe") and recipe.stem == "ctfa"
    assert getattr(settings, "turns") == (folder not in ("voc2012", "coco2014") and not published)  # noqa: B009


def test_every_data_set_has_a_recipe_of_ours() -> None:
    """Those that the documentation lists, by the names under which they are tiled."""
    ours = {r.parent.name for r in RECIPES if r.stem == "aerial"}
    assert ours >= set(CATALOG)
    listed = (ROOT / "docs/datasets.md").read_text(encoding="utf-8")
    assert all(f"`{name}`" in listed for name in CATALOG)


@pytest.mark.parametrize("recipe", PRETRAINING, ids=name_of)
def test_recipe_of_pretraining_becomes_a_job_with_settings(recipe: Path) -> None:
    job = build_job("pretrain", {"sources": ["images"], "out": "run", "recipe": str(recipe)})
    assert isinstance(job, PretrainJob)
    written = yaml.safe_load(recipe.read_text(encoding="utf-8"))
    assert not {"sources", "out", "recipe", "weights"} & set(written)
    for field, value in written.items():
        assert getattr(job, field) == value
    settings = make_settings(job)
    for field, value in written["settings"].items():
        assert getattr(settings, field) == (tuple(value) if isinstance(value, list) else value)


def test_recipe_with_an_unknown_field_is_refused(tmp_path: Path) -> None:
    recipe = tmp_path / "wrong.yaml"
    recipe.write_text("method: aerial\nstepps: 3\n", encoding="utf-8")
    with pytest.raises(InputError, match="stepps"):
        build_job("train", {"tiles": "tiles", "out": "run", "recipe": str(recipe)})


def test_recipe_with_an_unknown_setting_is_refused() -> None:
    with pytest.raises(UsageError, match="no_such_setting"):
        settings_from(METHODS["aerial"].settings_type, {"no_such_setting": 1})


@pytest.mark.parametrize("recipe", FEW_SHOT, ids=name_of)
def test_recipe_of_few_shot_training_becomes_a_job_with_settings(recipe: Path) -> None:
    job = build_job("fewshot-train", {"tiles": "tiles", "out": "run", "recipe": str(recipe)})
    assert isinstance(job, FewShotTrainJob)
    written = yaml.safe_load(recipe.read_text(encoding="utf-8"))
    assert all(getattr(job, field) == value for field, value in written.items())
    assert all(getattr(few_shot_settings(job), field) == value for field, value in written["settings"].items())
    assert not {"tiles", "out", "recipe", "weights", "held"} & set(written)
