"""What the page on security claims: strangers' files run no program, name no server, leave no folder."""

from __future__ import annotations

import ast
import contextlib
import json
import os
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from wsss_geo.errors import InputError, ModelError, WsssGeoError

ROOT = Path(__file__).resolve().parents[2]
FILES = [path for room in ("wsss_geo", "qgis_plugin") for path in sorted((ROOT / room).rglob("*.py"))]
TREES = {path.relative_to(ROOT).as_posix(): ast.parse(path.read_text(encoding="utf-8")) for path in FILES}
UNPICKLERS = {"pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib", "jsonpickle"}
RUNNERS = {"eval", "exec", "compile", "__import__", "execfile"}


def calls() -> Iterator[tuple[str, str, ast.Call]]:
    """File, dotted name of what is called, and the call."""
    for name, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                yield name, ast.unparse(node.func), node


def keywords(call: ast.Call) -> dict[str, str]:
    return {k.arg: ast.unparse(k.value) for k in call.keywords if k.arg}


def test_no_module_unpickles():
    for name, tree in TREES.items():
        for node in ast.walk(tree):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not {n.split(".")[0] for n in names} & UNPICKLERS, name


def test_what_could_unpickle_is_told_not_to():
    seen = set()
    for name, called, call in calls():
        last = called.rsplit(".", 1)[-1]
        if called == "torch.load":
            seen.add(called)
            assert keywords(call).get("weights_only") == "True", name
        if last == "fit" and "ckpt_path" in keywords(call):
            seen.add("fit")
            assert keywords(call).get("weights_only") == "True", name
        assert "allow_pickle" not in keywords(call), name
        assert last not in ("read_pickle", "load_from_checkpoint"), name
    assert seen == {"torch.load", "fit"}


def test_no_text_is_run():
    for name, called, call in calls():
        assert called not in RUNNERS, f"{name}:{call.lineno}"
        assert not called.startswith(("os.system", "os.popen", "os.exec", "os.spawn", "subprocess.getoutput")), name
        assert keywords(call).get("shell", "False") == "False", f"{name}:{call.lineno}"
        assert called not in ("yaml.load", "yaml.load_all", "yaml.full_load", "yaml.unsafe_load"), name


def test_programs_are_started_from_lists():
    found = [(n, c) for n, called, c in calls() if called in ("subprocess.run", "subprocess.Popen", "subprocess.call")]
    assert found
    for name, call in found:
        assert not isinstance(call.args[0], (ast.Constant, ast.JoinedStr, ast.BinOp)), f"{name}:{call.lineno}"


def test_temporary_files_have_no_fixed_place():
    for name, called, call in calls():
        assert called not in ("tempfile.mktemp", "tempfile.NamedTemporaryFile", "tempfile.mkstemp"), name
        texts = [a.value for a in call.args if isinstance(a, ast.Constant) and isinstance(a.value, str)]
        assert not any(t.startswith(("/tmp", "/var/tmp")) for t in texts), f"{name}:{call.lineno}"
    with tempfile.TemporaryDirectory() as folder:
        assert os.name == "nt" or stat.S_IMODE(os.stat(folder).st_mode) == 0o700


def test_a_qgis_project_names_no_program():
    """Paths of programs come from the user's profile: a project, which strangers send, has no say in them."""
    for name, called, _ in calls():
        if name.startswith("qgis_plugin"):
            assert not called.endswith((".readEntry", ".customVariables", ".projectScope")), name


class Trap:
    """Pickled, a program that makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.fixture
def trap(tmp_path):
    """A file of PyTorch with a program in it, and what the program would make."""
    marker = tmp_path / "sprung"
    torch.save({"global_step": 3, "state_dict": {"a": torch.zeros(2)}, "x": Trap(marker)}, tmp_path / "trap.ckpt")
    return tmp_path / "trap.ckpt", marker


def test_the_trap_works(trap):
    torch.load(trap[0], weights_only=False)
    assert trap[1].is_dir()


def test_a_checkpoint_to_resume_runs_nothing(trap):
    from wsss_geo.fitting.checkpoint import resumed_step

    with pytest.raises(InputError, match="checkpoint cannot be read"):
        resumed_step(trap[0])
    assert not trap[1].exists()


@pytest.mark.parametrize("name", ["weights.pth", "weights.ckpt", "weights.safetensors"])
def test_weights_run_nothing(trap, name):
    from wsss_geo.nn.weights_file import read_backbone

    with pytest.raises(InputError, match="cannot be read"):
        read_backbone(trap[0].rename(trap[0].with_name(name)))
    assert not trap[1].exists()


def test_a_model_runs_nothing(trap):
    from wsss_geo.nn.model_file import load_model

    with pytest.raises(ModelError):
        load_model(trap[0].rename(trap[0].with_name("model.safetensors")))
    assert not trap[1].exists()


def test_a_model_has_no_other_files_loaded(trap):
    from wsss_geo.nn.encoder import timm_model

    for argument in ("checkpoint_path", "cache_dir", "pretrained_cfg"):
        with pytest.raises(ValueError, match=argument):
            timm_model("vit_tiny_patch16_224", False, {argument: str(trap[0])})
    assert not trap[1].exists()


def test_a_recipe_runs_nothing(tmp_path):
    from wsss_geo.api import read_recipe

    marker = tmp_path / "sprung"
    (tmp_path / "recipe.yaml").write_text(f"method: !!python/object/apply:os.mkdir ['{marker.as_posix()}']\n")
    with pytest.raises(InputError, match="recipe cannot be read"):
        read_recipe(tmp_path / "recipe.yaml", {})
    assert not marker.exists()


def test_a_virtual_raster_runs_nothing(tmp_path):
    from wsss_geo.raster.files import open_raster, reading

    marker = tmp_path / "sprung"
    path = tmp_path / "trap.tif"
    path.write_text(
        '<VRTDataset rasterXSize="4" rasterYSize="4">'
        '<VRTRasterBand dataType="Byte" band="1" subClass="VRTDerivedRasterBand">'
        "<PixelFunctionType>f</PixelFunctionType><PixelFunctionLanguage>Python</PixelFunctionLanguage>"
        f"<PixelFunctionCode><![CDATA[\nimport os\nos.mkdir({str(marker)!r})\n"
        "def f(bands, out, *args, **more):\n    out[:] = 1\n]]></PixelFunctionCode></VRTRasterBand></VRTDataset>"
    )
    with pytest.raises(InputError), open_raster(str(path)) as raster, reading(str(path)):
        raster.read(1)
    assert not marker.exists()


def test_a_file_names_no_server(tmp_path):
    from wsss_geo.raster.reader import describe

    path = tmp_path / "ortho.tif"
    path.write_text(
        '<GDAL_WMS><Service name="TMS"><ServerUrl>http://127.0.0.1:9/${z}/${x}/${y}.png</ServerUrl></Service>'
        "<DataWindow><UpperLeftX>0</UpperLeftX><UpperLeftY>1</UpperLeftY><LowerRightX>1</LowerRightX>"
        "<LowerRightY>0</LowerRightY><TileLevel>1</TileLevel></DataWindow><BandsCount>3</BandsCount></GDAL_WMS>"
    )
    with pytest.raises(InputError, match="not a raster"):
        describe(str(path))


def test_annotations_do_not_explode(tmp_path):
    from wsss_geo.tileset.catalog.voc2012 import _objects

    lines = ['<!ENTITY a0 "lol">'] + [f'<!ENTITY a{i} "{f"&a{i - 1};" * 10}">' for i in range(1, 12)]
    path = tmp_path / "a.xml"
    path.write_text(f"<!DOCTYPE d [{''.join(lines)}]><d><object><name>&a11;</name></object></d>")
    with pytest.raises(InputError, match="is damaged"):
        _objects(path)


def test_annotations_read_no_other_file(tmp_path):
    from wsss_geo.tileset.catalog.voc2012 import _objects

    (tmp_path / "secret").write_text("cat")
    path = tmp_path / "a.xml"
    entity = (tmp_path / "secret").as_uri()
    path.write_text(f'<!DOCTYPE d [<!ENTITY x SYSTEM "{entity}">]><d><object><name>&x;</name></object></d>')
    with contextlib.suppress(InputError):
        assert _objects(path) == ()


def test_an_item_names_no_folder_for_outputs(tmp_path):
    from wsss_geo.raster.stac import read_items

    item = {
        "type": "Feature", "id": "../../home/\0x", "assets": {"a": {"href": "s.tif", "type": "image/tiff"}},
    }  # fmt: skip
    (tmp_path / "item.json").write_text(json.dumps(item))
    name = read_items(str(tmp_path / "item.json"))[0].name
    assert Path(name).name == name
    assert "\0" not in name
    assert not name.startswith(".")


@pytest.mark.parametrize("text", ["[" * 100_000, "{", "[]", '{"command": "rm"}', '{"command": "predict", "x": 1}'])
def test_job_files_are_refused_in_a_sentence(tmp_path, text):
    from wsss_geo.progress import Progress
    from wsss_geo.worker import run_file

    (tmp_path / "job.json").write_text(text)
    with pytest.raises(WsssGeoError):
        run_file(str(tmp_path / "job.json"), Progress())


def test_companions_take_no_module_from_the_present_folder(tmp_path):
    """The folder somebody is in may be a stranger's, with a ``json.py`` in it."""
    lists = [
        [ast.unparse(e) for e in node.elts]
        for name, tree in TREES.items()
        if name.startswith("wsss_geo")
        for node in ast.walk(tree)
        if isinstance(node, ast.List) and any(isinstance(e, ast.Constant) and e.value == "-m" for e in node.elts)
    ]
    assert lists
    assert all("'-P'" in parts for parts in lists)
    marker = tmp_path / "sprung"
    (tmp_path / "json.py").write_text(f"import os; os.mkdir({str(marker)!r})")
    variables = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-P", "-m", "wsss_geo.worker"]
    done = subprocess.run(command, cwd=tmp_path, env=variables, capture_output=True, text=True, check=False)
    assert "no job file given" in done.stdout
    assert not marker.exists()


def test_helpers_of_libraries_take_no_module_from_the_present_folder(tmp_path):
    """Those of Dask and of loaders are started by libraries, in the folder somebody is in."""
    (tmp_path / "colorsys.py").write_text("stranger = True")
    code = (
        "import subprocess, sys\n"
        "from wsss_geo.console import run_guarded\n"
        "from wsss_geo.progress import Progress\n"
        "helper = [sys.executable, '-c', 'import colorsys; print(hasattr(colorsys, \"stranger\"))']\n"
        "def run(): print(subprocess.run(helper, capture_output=True, text=True, check=True).stdout)\n"
        "run()\n"
        "run_guarded(run, Progress())\n"
    )
    variables = {k: v for k, v in os.environ.items() if k != "PYTHONSAFEPATH"} | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-P", "-c", code]
    done = subprocess.run(command, cwd=tmp_path, env=variables, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "False"]


def test_bandit_finds_nothing():
    pytest.importorskip("bandit", reason="bandit is not installed; run make setup")
    folders = [str(ROOT / room) for room in ("wsss_geo", "qgis_plugin")]
    command = [sys.executable, "-m", "bandit", "-q", "-r", *folders, "-f", "json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    report = json.loads(done.stdout)
    assert [(r["filename"], r["line_number"], r["test_id"]) for r in report["results"]] == []
    assert report["errors"] == []
