"""The tracer where compiled code cannot be kept on disk."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import wsss_geo

PROGRAM = """
import numpy as np
from wsss_geo.vector.trace import Scanner
scanner = Scanner(3, 255)
scanner.push(np.array([[1, 1, 2], [1, 2, 2]], np.uint8))
assert len(scanner.rings()) == 2
"""


@pytest.mark.skipif(os.name != "posix", reason="folders are made read-only by a file in their place")
def test_no_folder_for_compiled_code(tmp_path):
    package = tmp_path / "wsss_geo"
    shutil.copytree(Path(wsss_geo.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    (package / "vector" / "__pycache__").write_text("no folder")
    (tmp_path / "home").write_text("no folder")
    environment = {
        **os.environ,
        "PYTHONPATH": str(tmp_path),
        "HOME": str(tmp_path / "home"),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    for name in ("XDG_CACHE_HOME", "NUMBA_CACHE_DIR"):
        environment.pop(name, None)
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
