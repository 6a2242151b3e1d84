"""The plugin in Qt 6: all its modules load, its windows can be made, and no name is one of Qt 5 alone.

No Debian has a QGIS with Qt 6 yet, so QGIS's own classes are stood in for (see the folder qt6); Qt is the real one.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).with_name("qt6")


@pytest.fixture(scope="module")
def check():
    """Run the check on a plugin's folder, in a process of its own: two Qts do not go together."""
    probe = "import PyQt6.QtGui, PyQt6.QtWidgets"
    if subprocess.run([sys.executable, "-c", probe], capture_output=True, check=False).returncode:
        pytest.skip("PyQt6 is missing; install it (Debian: python3-pyqt6)")

    def run(folder):
        environment = {
            **os.environ, "PYTHONPATH": str(HERE), "QT_QPA_PLATFORM": "offscreen", "PYTHONDONTWRITEBYTECODE": "1",
        }  # fmt: skip
        command = [sys.executable, str(HERE / "check.py"), str(folder)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    return run


def test_all_modules_load_and_all_windows_can_be_made(check, tool, tmp_path):
    folder = tool.write_folder(tmp_path)
    found = check(tmp_path)
    assert found["faults"] == []
    assert found["modules"] == sum(1 for p in (folder / "qgis_plugin").rglob("*.py")) - 1  # without that of the whole
    assert len(found["windows"]) >= 9


SPOILT = """
from qgis.PyQt.QtCore import Qt
from qgis.PyQt.QtWidgets import QDialog, QSizePolicy


def show():
    dialog = QDialog()
    dialog.setLayoutDirection(Qt.RightToLeft)
    dialog.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Fixed)
    dialog.exec_()
"""


def test_what_only_qt_5_has_is_found(check, tool, tmp_path):
    folder = tool.write_folder(tmp_path)
    (folder / "qgis_plugin/spoilt.py").write_text(SPOILT, "utf-8")
    (folder / "qgis_plugin/gone.py").write_text("from qgis.PyQt.QtWidgets import QAction\n", "utf-8")
    (folder / "qgis_plugin/gone_too.py").write_text("from qgis.PyQt.QtCore import QRegExp\n", "utf-8")
    faults = "\n".join(check(tmp_path)["faults"])
    for word in ("Qt.RightToLeft", "QSizePolicy.Fixed", "exec_ is gone", "'QAction'", "'QRegExp'"):
        assert word in faults
    assert "Expanding" not in faults


def test_results_are_read_whether_numbers_or_enums(package):
    from enum import Enum, IntEnum

    is_well = package("compat").is_well
    names = {"Success": 0, "CreateDatasourceError": 2}
    for kind in (Enum("Result", names), IntEnum("Result", names)):
        assert is_well(kind.Success)
        assert not is_well(kind.CreateDatasourceError)
    assert is_well(0)
    assert not is_well(2)
