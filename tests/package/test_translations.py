"""Every text of the QGIS plugin goes through the translator, and no language lacks one."""

from __future__ import annotations

import ast
import configparser
import importlib.util
import re
import shutil
import subprocess
import sys
import zipfile
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PLUGIN = ROOT / "qgis_plugin"
#: The report for whoever helps is in English, and so is what the engine's Python says to the plugin.
ENGLISH = {"diagnose.py", "probe.py"}
#: Two words of a sentence or title, side by side.
WORDS = re.compile(r"[A-Za-z]{2,}[,.;:]? +[a-z(“{]|^[A-Z][a-z]+ [A-Z][a-z]+")
#: Neither markup nor what other programs print is for the user to read.
NO_SENTENCES = re.compile(r"[<>]|\{text-align|body\{")
FOREIGN = {"engine/faults.py"}


def load(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / f"tools/{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def tool():
    return load("translations")


def test_there_is_a_second_language_and_none_lacks_a_text(tool):
    assert [p.name for p in tool.translations()] == ["wsss_geo_de.ts"]
    assert tool.lacks() == []
    assert len(tool.source_texts()) > 400


def places(text):
    """What a translation must keep: places of values, markup, space around, and whether a dialog opens."""
    marks = Counter(re.findall(r"\{[^}]*\}|</?(?:b|br|small)>|%[vm]", text))
    return marks, text[: len(text) - len(text.lstrip())], text.endswith("…"), text.count("\n"), text.endswith(".")


def test_translations_keep_what_is_filled_in(tool):
    for path in tool.translations():
        for source, translation in tool.read_ts(path).items():
            assert places(source) == places(translation), source
            first = [m for m in re.findall(r"\{[^}]*\}", source) if m != "{}"]
            assert first == [m for m in re.findall(r"\{[^}]*\}", translation) if m != "{}"], source


def test_keyboard_words_and_quotes_are_german(tool):
    for translation in tool.read_ts(PLUGIN / "i18n/wsss_geo_de.ts").values():
        assert translation.count("„") == translation.count("“"), translation
        assert "”" not in translation


def untranslated(source, marks):
    """Texts of a module that read like language and go through neither ``tr`` nor ``mark``, with their lines."""
    tree = ast.parse(source)
    passed = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            passed.add(id(node.value))  # a docstring
        elif isinstance(node, ast.Call) and marks.called(node) in ("tr", "mark") and node.args:
            passed.update(id(text) for text in marks.literals(node.args[0]))
    texts = [n for n in ast.walk(tree) if isinstance(n, ast.Constant) and isinstance(n.value, str)]
    return [
        f"{n.lineno}: {n.value}"
        for n in texts
        if id(n) not in passed and WORDS.search(n.value) and not NO_SENTENCES.search(n.value)
    ]


@pytest.mark.parametrize("path", sorted(PLUGIN.rglob("*.py")), ids=lambda p: str(p.relative_to(PLUGIN)))
def test_what_reads_like_language_goes_through_the_translator(tool, path):
    name = path.relative_to(PLUGIN).as_posix()
    if path.name in ENGLISH or name in FOREIGN:
        pytest.skip("English by design")
    allowed = {"not checked"} if name == "engine/locate.py" else set()  # never shown
    assert [t for t in untranslated(path.read_text("utf-8"), tool) if t.partition(": ")[2] not in allowed] == []


def test_the_scan_finds_what_is_forgotten(tool):
    spoilt = 'label.setText("Choose a layer")\nbar.push(tr("Choose a model"))\nraise E(f"the layer {x} is gone")\n'
    assert untranslated(spoilt, tool) == ["1: Choose a layer", "3: the layer ", "3:  is gone"]


def test_no_text_is_put_together_before_it_is_translated(tool):
    """``tr(f"...")`` and ``tr("a" + b)`` find no translation."""
    for path in PLUGIN.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and tool.called(node) in ("tr", "mark") and node.args:
                assert not isinstance(node.args[0], (ast.JoinedStr, ast.BinOp)), f"{path.name}:{node.lineno}"
                formatted = isinstance(node.args[0], ast.Call) and tool.called(node.args[0]) == "format"
                assert not formatted, f"{path.name}:{node.lineno}"


def test_a_new_text_is_missed_and_an_old_one_noticed(tool, tmp_path):
    copy = tmp_path / "qgis_plugin"
    shutil.copytree(PLUGIN, copy, ignore=shutil.ignore_patterns("__pycache__"))
    before = set(tool.source_texts(copy))
    (copy / "new.py").write_text('x = tr("One more text") + self.tr("and another")\n', "utf-8")
    assert set(tool.source_texts(copy)) - before == {"One more text", "and another"}


def test_every_language_has_a_help_page_with_the_same_chapters(tool):
    def chapters(name):
        return re.findall(r' id="(\w+)"| href="#(\w+)"', (PLUGIN / "help" / name).read_text("utf-8"))

    for path in tool.translations():
        own = tool.read_ts(path)["index.html"]
        assert own != "index.html"
        assert chapters(own) == chapters("index.html")


def test_every_language_has_what_the_plugin_manager_shows(tool):
    """QGIS looks for keys as description[de] in the metadata."""
    values = configparser.ConfigParser(interpolation=None)
    values.optionxform = str
    values.read(ROOT / "metadata.txt", encoding="utf-8")
    for path in tool.translations():
        code = path.stem.rpartition("_")[2]
        for key in ("name", "description", "about", "tags"):
            assert values["general"][f"{key}[{code}]"] not in ("", values["general"][key])


def test_files_of_translations_are_written_as_they_are_read(tool, tmp_path):
    texts = {"a < b & “c”": "a < b & „c“", "two\nlines": "zwei\nZeilen", " px": " px", "new": ""}
    path = tmp_path / "wsss_geo_de.ts"
    tool.write_ts(path, texts)
    assert tool.read_ts(path) == texts
    assert path.read_text("utf-8").count('type="unfinished"') == 1
    for own in tool.translations():
        again = tmp_path / own.name
        tool.write_ts(again, tool.read_ts(own))
        assert again.read_bytes() == own.read_bytes()


def test_the_zip_carries_the_compiled_languages_alone(tmp_path):
    archive = load("package_plugin").write_zip(tmp_path / "plugin.zip")
    names = [n for n in zipfile.ZipFile(archive).namelist() if "/i18n/" in n]
    assert names == ["wsss_geo_segment/qgis_plugin/i18n/wsss_geo_de.qm"]


def test_compiled_languages_are_those_of_the_sources(tool, tmp_path):
    if not any(shutil.which(p) for p in tool._LRELEASE):
        pytest.skip("lrelease is not installed; the test in QGIS compares the texts")
    for path in tool.translations():
        made = tmp_path / "made.qm"
        program = next(p for p in map(shutil.which, tool._LRELEASE) if p)
        subprocess.run([program, "-silent", str(path), "-qm", str(made)], check=True)
        assert made.read_bytes() == path.with_suffix(".qm").read_bytes(), "run: make translations"


def test_the_command_line_says_what_lacks():
    command = [sys.executable, str(ROOT / "tools/translations.py"), "check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")
