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
