"""Tagging scenes by keys and clicks in a real QGIS window; no engine is needed."""

from __future__ import annotations

import sqlite3


def test_scenes_are_tagged_by_keys_and_clicks(in_qgis, tmp_path):
    found = in_qgis("press_tag.py", WSSS_GEO_PYTHON="")
    assert (found["scenes"], found["tagged"]) == (256, 70)
    assert found["clipped"] == []
    current, undone = found["undone"]
    assert (current, undone) == (70, 69)
    before, clicked = found["clicked"]
    assert clicked != before
    assert sum(int(c) for c in found["counts"]) > 100
    with sqlite3.connect(tmp_path / "work/scenes.gpkg") as file:
        texts = [row[0] for row in file.execute("SELECT tags FROM scenes ORDER BY row, col")]
    assert texts[9] == ""
    assert texts.count(None) == 256 - 70
    assert all(set(t.split(";")) <= {"water", "woodland", "cropland", "grass", "building", "road"} for t in texts if t)
