"""Keep the translations of the QGIS plugin: collect its texts, compile what was translated.

    python tools/translations.py update     brings every .ts file up to date with the texts of the plugin
    python tools/translations.py release    compiles them to .qm files (needs lrelease of Qt)
    python tools/translations.py check      says what lacks a translation

The texts are the literals that go through ``tr`` and ``mark``, and what the jobs of the algorithms say of their fields.
"""

from __future__ import annotations

import argparse
import ast
import dataclasses
import importlib
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from xml.etree import ElementTree as Xml
from xml.sax.saxutils import escape

ROOT = Path(__file__).resolve().parents[1]
PLUGIN = ROOT / "qgis_plugin"
FOLDER = PLUGIN / "i18n"
CONTEXT = "wsss_geo"
_MARKS = frozenset({"tr", "mark"})
_LRELEASE = ("lrelease", "lrelease-qt5", "lrelease-qt6", "lrelease6")


class TranslationError(Exception):
    """The translations cannot be made; the message is a sentence."""


def source_texts(plugin: Path = PLUGIN) -> list[str]:
    """Return all texts of the plugin that have to be translated, sorted."""
    trees = [ast.parse(path.read_text("utf-8")) for path in sorted(plugin.rglob("*.py"))]
    found = {text for tree in trees for text in marked_texts(tree)}
    found.update(text for tree in trees for text in _field_texts(tree, _labelled(plugin)))
    return sorted(found)


def marked_texts(tree: ast.AST) -> Iterator[str]:
    """Yield the literals that go through ``tr`` or ``mark``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and called(node) in _MARKS and node.args:
            yield from (n.value for n in literals(node.args[0]))


def called(node: ast.Call) -> str:
    """Return the last name of what a call calls."""
    function = node.func
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def literals(node: ast.expr) -> Iterator[ast.Constant]:
    """Yield the texts that an expression may be: itself, or either side of a condition."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node
    elif isinstance(node, ast.IfExp):
        yield from literals(node.body)
        yield from literals(node.orelse)


def _labelled(plugin: Path) -> set[str]:
    """Return the fields of jobs that have a label of their own."""
    tree = ast.parse((plugin / "algorithms/settings.py").read_text("utf-8"))
    given = {t.id: n.value for n in tree.body for t in _targets(n)}
    labels = given.get("LABELS")
    return {k.value for k in labels.keys if isinstance(k, ast.Constant)} if isinstance(labels, ast.Dict) else set()


def _field_texts(tree: ast.AST, labelled: set[str]) -> Iterator[str]:
    """Yield what an algorithm shows of the fields of its job: their helps, and names where there is no label."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.ClassDef):
            continue
        given = {t.id: n.value for n in node.body for t in _targets(n)}
        if isinstance(given.get("JOB"), ast.Name):
            own = [n for name in ("PLACED", "HIDDEN") for n in ast.literal_eval(given.get(name, ast.Tuple([])))]
            job = getattr(importlib.import_module("wsss_geo.jobs"), given["JOB"].id)
            for field in dataclasses.fields(job):
                if field.name not in own:
                    yield field.metadata["help"]
                if field.name not in (*own, *labelled):
                    yield field.name.replace("_", " ").capitalize()


def _targets(node: ast.stmt) -> Iterator[ast.Name]:
    if isinstance(node, ast.Assign):
        for target in node.targets:
            listed = target.elts if isinstance(target, ast.Tuple) else [target]
            if listed == [target]:
                yield from (t for t in listed if isinstance(t, ast.Name))
    elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None:
        yield node.target


def read_ts(path: Path) -> dict[str, str]:
    """Return source -> translation of a .ts file; what is not translated yet is an empty text."""
    messages = Xml.parse(path).getroot().iter("message")
    return {m.findtext("source", ""): m.findtext("translation", "") for m in messages}


def write_ts(path: Path, texts: Mapping[str, str]) -> None:
    """Write a .ts file: source -> translation, empty where there is none yet."""
    language = path.stem.rpartition("_")[2]
    lines = [
        '<?xml version="1.0" encoding="utf-8"?>', "<!DOCTYPE TS>",
        f'<TS version="2.1" language="{language}" sourcelanguage="en">', "<context>", f"    <name>{CONTEXT}</name>",
    ]  # fmt: skip
    for source, translation in sorted(texts.items()):
        state = "" if translation else ' type="unfinished"'
        lines += [
            "    <message>", f"        <source>{escape(source)}</source>",
            f"        <translation{state}>{escape(translation)}</translation>", "    </message>",
        ]  # fmt: skip
    path.write_text("\n".join([*lines, "</context>", "</TS>", ""]), "utf-8")


def translations() -> list[Path]:
    """Return the .ts files, one a language."""
    return sorted(FOLDER.glob(f"{CONTEXT}_*.ts"))


def update() -> None:
    """Add new texts to every .ts file, untranslated, and drop those that are gone."""
    texts = source_texts()
    for path in translations():
        known = read_ts(path)
        write_ts(path, {text: known.get(text, "") for text in texts})


def release() -> None:
    """Compile every .ts file to a .qm file beside it. Raises TranslationError."""
    program = next((p for p in map(shutil.which, _LRELEASE) if p), None)
    if program is None:
        raise TranslationError("lrelease is missing; install it (Debian: qttools5-dev-tools)")
    for path in translations():
        command = [program, "-silent", "-nounfinished", str(path), "-qm", str(path.with_suffix(".qm"))]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise TranslationError(f"{path.name} cannot be compiled: {done.stderr.strip()}")


def lacks() -> list[str]:
    """Return a line for every text that a language lacks or has too many."""
    texts, found = set(source_texts()), []
    for path in translations():
        known = read_ts(path)
        found += [f"{path.name} lacks: {text}" for text in sorted(texts) if not known.get(text)]
        found += [f"{path.name} has no more use for: {text}" for text in sorted(set(known) - texts)]
    return found


def main() -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", choices=["update", "release", "check"])
    task = parser.parse_args().task
    sys.path.insert(0, str(ROOT))
    try:
        if task == "update":
            update()
        elif task == "release":
            release()
    except (TranslationError, OSError, SyntaxError, Xml.ParseError) as error:
        sys.stderr.write(f"{error}\n")
        return 3
    missing = lacks() if task != "release" else []
    sys.stdout.write("".join(f"{line}\n" for line in missing))
    return 1 if missing and task == "check" else 0


if __name__ == "__main__":
    sys.exit(main())
