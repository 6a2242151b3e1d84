"""A report as a browser shows it: nothing runs, nothing is fetched, and it is readable by day and by night."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from wsss_geo.nn.calibration import Bin, Calibration
from wsss_geo.reporting.page import page
from wsss_geo.reporting.sections import facts, reliability, section

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
HOSTILE = "<img src=x onerror=\"document.title='run'\"><script>document.title='run'</script></title><b>"

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium; `tools/setup.sh browser` installs it")


@pytest.fixture(scope="module")
def browse(tmp_path_factory):
    """Run headless Chromium on a page and return what it says; it may not reach any host."""
    profile = tmp_path_factory.mktemp("browser")

    def call(path: Path, *options: str) -> str:
        done = subprocess.run(
            [
                str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--disable-sync",
                "--disable-background-networking", "--no-first-run", "--host-resolver-rules=MAP * ~NOTFOUND",
                f"--user-data-dir={profile}", "--enable-logging=stderr", *options, path.as_uri(),
            ],
            capture_output=True, text=True, timeout=240, check=True,
        )  # fmt: skip
        assert "CONSOLE" not in done.stderr, done.stderr  # what breaks the page's policy is told there
        return done.stdout

    return call


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    curve = (Bin(0.55, 0.5, 0.2), Bin(0.95, 0.93, 0.8))
    found = Calibration(1.7, HOSTILE, 12, True, 0.3, 0.2, curve, curve)
    path = tmp_path_factory.mktemp("page") / "<b>&'.html"
    parts = [section("Confidence", reliability(found, "")), section(HOSTILE, facts({HOSTILE: HOSTILE}))]
    path.write_text(page(HOSTILE, HOSTILE, [(HOSTILE, HOSTILE)], parts), encoding="utf-8")
    return path


def test_hostile_names_are_text_in_a_browser(browse, written):
    shown = browse(written, "--dump-dom")
    assert "<title>&lt;img src=x onerror=" in shown
    assert "<img" not in shown
    assert "<script" not in shown
    assert shown.count("&lt;script&gt;document.title") >= 6


def test_light_and_dark_are_those_of_the_reader(browse, written, tmp_path):
    found = {}
    for name, preferred in (("dark", 0), ("light", 1)):
        shot = tmp_path / f"{name}.png"
        browse(
            written,
            f"--screenshot={shot}",
            "--window-size=900,900",
            f"--blink-settings=preferredColorScheme={preferred}",
        )
        found[name] = np.asarray(Image.open(shot).convert("L")).astype(int)
    assert found["light"][5, 5] > 230 > 50 > found["dark"][5, 5]
    for picture in found.values():  # ink that is far from the paper, and enough of it
        contrast = abs(picture - picture[5, 5])
        assert 0.01 < (contrast > 120).mean() < 0.3


def test_a_narrow_window_needs_no_scrolling_aside(browse, written, tmp_path):
    shot = tmp_path / "narrow.png"
    browse(written, f"--screenshot={shot}", "--window-size=500,1500", "--blink-settings=preferredColorScheme=1")
    picture = np.asarray(Image.open(shot).convert("L")).astype(int)
    assert picture.shape[1] == 500
    assert (abs(picture[:, -8:] - picture[5, 5]) < 8).all()  # the margin at the right is empty
