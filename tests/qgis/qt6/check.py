"""Runs with this folder first on the path: imports the plugin in Qt 6 and makes its windows; prints what is wrong.

python check.py PLUGINS_FOLDER
"""

from __future__ import annotations

import ast
import importlib
import json
import pkgutil
import sys
import traceback
from pathlib import Path

from PyQt6.QtWidgets import QApplication, QMainWindow
from qgis.loose import Loose

NAME = "wsss_geo_segment"
#: Gone from Qt 6 or PyQt6, whatever they are asked of.
GONE = frozenset(
    {"exec_", "print_", "setMargin", "toTime_t", "setTime_t", "setResizeMode", "setTabStopWidth", "setCodec"}
)


def modules(package):
    for found in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        yield found.name


def imported(name):
    try:
        return importlib.import_module(name), None
    except Exception:
        return None, f"{name}: {traceback.format_exc(limit=-2)}"


def flat(path, module):
    """Names of Qt's classes that PyQt6 does not know, and calls that are gone."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if not isinstance(node, ast.Attribute):
            continue
        if node.attr in GONE:
            yield f"{path.name}:{node.lineno}: {node.attr} is gone"
        chain, inner = [node.attr], node.value
        while isinstance(inner, ast.Attribute):
            chain.insert(0, inner.attr)
            inner = inner.value
        owner = getattr(module, inner.id, None) if isinstance(inner, ast.Name) else None
        if isinstance(owner, type) and owner.__module__.startswith("PyQt6."):
            for word in chain:
                if not hasattr(owner, word):
                    yield f"{path.name}:{node.lineno}: {inner.id}.{'.'.join(chain)} does not exist"
                    break
                owner = getattr(owner, word)


class Iface(Loose):
    """A window without QGIS."""

    def __init__(self):
        self.window = QMainWindow()

    def mainWindow(self):
        return self.window


def windows():
    """Make the windows; yield the name of each, and what went wrong or nothing."""
    iface = Iface()
    makers = {
        "gui.class_rows": lambda m: m.ClassRows().set_classes(m.ClassScheme.from_names(["a", "b"])),
        "gui.tag_page": lambda m: m.TagPage(),
        "gui.tag_setup": lambda m: m.TagSetup(),
        "gui.setup_dialog": lambda m: m.SetUpDialog(),
        "gui.models_dialog": lambda m: m.ModelsDialog(lambda: None, lambda: None),
        "gui.options_page": lambda m: m.OptionsPage(lambda: None, lambda: None),
        "gui.segment_dock": lambda m: m.SegmentDock(iface, lambda given: None),
        "gui.tag_dock": lambda m: m.TagDock(iface, lambda given: None),
        "gui.similar_dock": lambda m: m.SimilarDock(iface, lambda given: None),
    }
    for name, make in makers.items():
        try:
            make(sys.modules[f"{NAME}.qgis_plugin.{name}"])
        except Exception:
            yield name, f"{name}: {traceback.format_exc(limit=-3)}"
        else:
            yield name, ""


def main():
    sys.path.append(sys.argv[1])
    app = QApplication([])
    names = sorted(modules(importlib.import_module(f"{NAME}.qgis_plugin")))
    faults, checked = [], 0
    for name in names:
        module, fault = imported(name)
        if fault:
            faults.append(fault)
            continue
        checked += 1
        faults += flat(Path(module.__file__), module)
    made = dict(windows())
    faults += [fault for fault in made.values() if fault]
    print(json.dumps({"modules": checked, "windows": [n for n, fault in made.items() if not fault], "faults": faults}))
    app.quit()


if __name__ == "__main__":
    main()
