"""Take the pictures of the QGIS plugin for the documentation.

    python tools/screenshots.py [--few-shot MODEL] [--only segment|similar|tag|dialogs]...

The tests in tests/gui drive a real QGIS on a virtual screen and save what they see, in its light and dark theme; the
pictures that the documentation shows are reduced to a palette and put into docs/images. Needs QGIS, Xvfb, the engine in
.venv and the sample data. Without a few-shot model those of Find Similar show what an untrained one finds.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
IMAGES = ROOT / "docs/images"
TESTS = ("segment", "similar", "tag", "dialogs")

#: Pictures of the documentation and the colours each may have: maps need more than dialogs.
PICTURES = {
    "segment_dock": 256,
    "segment_dock_dark": 256,
    "similar_examples": 256,
    "similar_dock": 256,
    "similar_dock_dark": 256,
    "tag_scenes": 256,
    "map": 256,
    "dialog_segment": 64,
    "dialog_find_similar": 64,
    "dialog_train": 64,
    "dialog_train_few_shot": 64,
    "dialog_models": 64,
    "dialog_set_up": 64,
    "options_page": 64,
}


def take(folder: Path, tests: list[str], few_shot: str) -> None:
    """Run the tests, which save their pictures in ``folder``. Raises CalledProcessError if one fails."""
    environment = {**os.environ, "WSSS_GEO_PICTURES": str(folder), "PYTHONPATH": str(ROOT)}
    environment.setdefault("WSSS_GEO_PYTHON", str(ROOT / ".venv/bin/python"))
    if few_shot:
        environment["WSSS_GEO_FEW_SHOT"] = os.path.abspath(few_shot)
    files = [f"tests/gui/test_gui_{name}.py" for name in tests]
    subprocess.run([sys.executable, "-m", "pytest", *files], cwd=ROOT, env=environment, check=True)


def reduce(source: Path, target: Path, colours: int) -> int:
    """Write a picture with a palette of so many colours; return its size in bytes."""
    with Image.open(source) as picture:  # by an octree: legends and grey windows keep their colours beside imagery
        small = picture.convert("RGB").quantize(colours, method=Image.Quantize.FASTOCTREE)
    small.save(target, optimize=True)
    return target.stat().st_size


def keep(folder: Path) -> list[str]:
    """Reduce those pictures in ``folder`` that the documentation shows; return a line about each."""
    found = [(name, folder / f"{name}.png", colours) for name, colours in PICTURES.items()]
    return [
        f"docs/images/{name}.png  {reduce(path, IMAGES / path.name, colours) / 1000:.0f} kB"
        for name, path, colours in found
        if path.is_file()
    ]


def main() -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--few-shot", default="", metavar="MODEL", help="few-shot model for Find Similar")
    parser.add_argument("--only", action="append", choices=TESTS, help="take those of this test alone")
    parser.add_argument("--folder", help="reduce the pictures in this folder instead of taking them")
    given = parser.parse_args()
    if given.folder:
        sys.stdout.write("\n".join(keep(Path(given.folder))) + "\n")
        return 0
    with tempfile.TemporaryDirectory(prefix="wsss_geo_") as folder:
        take(Path(folder), given.only or list(TESTS), given.few_shot)
        sys.stdout.write("\n".join(keep(Path(folder))) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
