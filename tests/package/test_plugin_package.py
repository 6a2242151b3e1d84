"""The plugin's zip obeys the rules of the plugin site."""

from __future__ import annotations

import ast
import configparser
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import wsss_geo

ROOT = Path(__file__).resolve().parents[2]
NAME = "wsss_geo_segment"


@pytest.fixture(scope="module")
def tool():
    spec = importlib.util.spec_from_file_location("package_plugin", ROOT / "tools/package_plugin.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def archive(tool, tmp_path_factory):
    with zipfile.ZipFile(tool.write_zip(tmp_path_factory.mktemp("zip") / "plugin.zip")) as opened:
        yield opened


@pytest.fixture
def copy(tmp_path):
    """A copy of what the tool packages, to be spoilt."""
    for name in ("metadata.txt", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path / name)
    for tree in ("qgis_plugin", "wsss_geo"):
        shutil.copytree(ROOT / tree, tmp_path / tree, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def metadata():
    parser = configparser.ConfigParser(interpolation=None)
    parser.optionxform = str
    parser.read(ROOT / "metadata.txt", encoding="utf-8")
    return parser["general"]


def test_one_folder_with_all_that_the_site_wants(archive):
    names = archive.namelist()
    assert {n.split("/")[0] for n in names} == {NAME}
    assert {f"{NAME}/{n}" for n in ("__init__.py", "metadata.txt", "LICENSE", "README.md", "icon.png")} <= set(names)
    assert f"{NAME}/qgis_plugin/plugin.py" in names
    assert f"{NAME}/wsss_geo/worker.py" in names
    assert f"{NAME}/qgis_plugin/help/index.html" in names


def test_nothing_else_travels(archive):
    for entry in archive.infolist():
        parts = entry.filename.split("/")
        assert not any(p.startswith(".") or p == "__pycache__" or p == "tests" for p in parts), entry.filename
        assert not re.search(r"\.(pyc|so|dll|exe|sh|bat|safetensors|pth|tif|part)$", entry.filename), entry.filename
        assert entry.external_attr >> 16 == 0o100644, entry.filename
    assert sum(e.compress_size for e in archive.infolist()) < 2_000_000


def test_the_zip_depends_on_the_content_alone(tool, tmp_path, copy):
    first = tool.write_zip(tmp_path / "a.zip", copy).read_bytes()
    os.utime(copy / "metadata.txt", (1, 1))
    (copy / "qgis_plugin/plugin.py").chmod(0o755)
    (copy / "qgis_plugin/leftover.tif").touch()
    (copy / "wsss_geo/.hidden.py").touch()
    assert tool.write_zip(tmp_path / "b.zip", copy).read_bytes() == first
    assert not list(tmp_path.glob("*.part"))


def test_version_and_metadata(tool):
    values = metadata()
    assert values["version"] == wsss_geo.__version__ == tool.engine_version()
    assert tool.metadata_faults((ROOT / "metadata.txt").read_text("utf-8"), wsss_geo.__version__) == []
    assert (values["category"], values["hasProcessingProvider"]) == ("Raster", "yes")
    assert (values["qgisMinimumVersion"], values["qgisMaximumVersion"]) == ("3.22", "4.99")
    assert (ROOT / "qgis_plugin" / values["icon"]).read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("version=0.1.0", "version=0.1", "not like 1.2.3"),
        ("version=0.1.0", "version=0.2.0", "not the engine's"),
        ("about=", "about=<b>fine</b> ", "about holds HTML"),
        ("tracker=", "tracked=", "lacks tracker"),
        ("name=", "name=The plugin ", "word plugin"),
        ("[general]", "", "cannot be read"),
    ],
)
def test_bad_metadata_stops_the_tool(tool, tmp_path, copy, old, new, fault):
    text = (copy / "metadata.txt").read_text("utf-8")
    (copy / "metadata.txt").write_text(text.replace(old, new), "utf-8")
    with pytest.raises(tool.PackageError, match=re.escape(fault)):
        tool.write_zip(tmp_path / "plugin.zip", copy)
    assert not list(tmp_path.glob("*.zip*"))


def test_a_missing_licence_stops_the_tool(tool, tmp_path, copy):
    (copy / "LICENSE").unlink()
    with pytest.raises(tool.PackageError, match="LICENSE"):
        tool.write_zip(tmp_path / "plugin.zip", copy)


def test_a_folder_is_replaced_whole_and_a_strangers_is_not(tool, tmp_path):
    first = tool.write_folder(tmp_path)
    (first / "qgis_plugin/stale.py").touch()
    assert tool.write_folder(tmp_path) == first
    assert not (first / "qgis_plugin/stale.py").exists()
    (first / "metadata.txt").unlink()
    with pytest.raises(tool.PackageError, match="something else"):
        tool.write_folder(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == [NAME]


def test_a_development_link_is_relative_and_leads_here(tool, tmp_path):
    target = tool.link(tmp_path / "plugins")
    assert tool.link(tmp_path / "plugins") == target
    for name in ("__init__.py", "metadata.txt", "qgis_plugin", "wsss_geo", "icon.png"):
        assert (target / name).exists()
        assert not os.path.isabs(os.readlink(target / name))
    assert (target / "wsss_geo").resolve() == ROOT / "wsss_geo"


def test_the_command_line_says_where_it_wrote(tmp_path):
    made = tmp_path / "dist/plugin.zip"
    command = [sys.executable, str(ROOT / "tools/package_plugin.py"), "--zip", str(made)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(made)
    assert zipfile.is_zipfile(made)


SOURCES = sorted([*(ROOT / "qgis_plugin").rglob("*.py"), *(ROOT / "wsss_geo").rglob("*.py")])


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_the_scanner_has_nothing_to_find(path):
    """What the site's scanner blocks, found by reading the code; the scanner itself runs below where it is there."""
    tree = ast.parse(path.read_text("utf-8"))
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Assert):
            found.append("assert")
        elif isinstance(node, ast.ExceptHandler):
            swallowed = len(node.body) == 1 and isinstance(node.body[0], ast.Pass)
            broad = node.type is None or (isinstance(node.type, ast.Name) and node.type.id == "Exception")
            if (swallowed and broad) or node.type is None:
                found.append("except")
        elif isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            shell = any(k.arg == "shell" and getattr(k.value, "value", None) is True for k in node.keywords)
            if name in {"exec", "eval", "os.system", "os.popen", "yaml.load", "tempfile.mktemp"} or shell:
                found.append(name)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            modules = {a.name.split(".")[0] for a in node.names} | {(getattr(node, "module", "") or "").split(".")[0]}
            found += sorted(modules & {"pickle", "marshal", "shelve", "dill", "telnetlib", "ftplib"})
    assert found == []


@pytest.mark.parametrize("tree", ["qgis_plugin", "wsss_geo"])
def test_bandit_finds_nothing(tree):
    pytest.importorskip("bandit")
    command = [sys.executable, "-m", "bandit", "-q", "-r", tree, "-f", "txt"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_qgis_side_is_python_3_9():
    for path in [*(ROOT / "qgis_plugin").rglob("*.py"), ROOT / "wsss_geo/__init__.py"]:
        ast.parse(path.read_text("utf-8"), feature_version=(3, 9))
