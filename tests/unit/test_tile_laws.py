"""Laws of what the tile job is made of: splits, names of sources, tables of tags."""

from __future__ import annotations

import contextlib
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely.geometry import box

from wsss_geo.errors import InputError
from wsss_geo.tileset.cells import source_names
from wsss_geo.tileset.splits import leaking, split_scenes
from wsss_geo.tileset.tags_csv import read_rows


@settings(max_examples=60, deadline=None)
@given(
    scenes=st.lists(st.integers(0, 12), min_size=1, max_size=60),
    val=st.floats(0.05, 0.4),
    test=st.floats(0.0, 0.4),
    seed=st.integers(0, 99),
)
def test_split_law(scenes, val, test, seed):
    """Whole scenes, the same for the same seed, something always trains, held-out shares are met."""
    names = [f"s{i}" for i in scenes]
    tags = np.random.default_rng(seed).random((len(names), 3)) < 0.4
    split = split_scenes(names, tags, val, test, seed)
    assert split == split_scenes(names, tags, val, test, seed)
    assert set(split) == set(names)
    assert "train" in split.values()
    if len(split) >= 3:
        assert "val" in split.values()


def test_split_shows_rare_classes_to_both_sides():
    names = [f"s{i}" for i in range(40)]
    tags = np.zeros((40, 2), bool)
    tags[:, 0] = True
    tags[[5, 17], 1] = True
    for seed in range(10):
        split = split_scenes(names, tags, 0.1, 0.0, seed)
        assert sorted({split["s5"], split["s17"]}) == ["train", "val"]


def test_leaking_spares_touching_tiles():
    areas = np.array([box(0, 0, 10, 10), box(10, 0, 20, 10), box(15, 0, 25, 10), None])
    split = np.array(["val", "train", "train", "train"], dtype=object)
    assert leaking(areas, split).tolist() == [False, False, False, False]
    areas[1] = box(9, 0, 19, 10)
    assert leaking(areas, split).tolist() == [False, True, False, False]


@given(st.lists(st.text("ab/. é-", min_size=1, max_size=8).filter(lambda t: t.strip("/. ")), max_size=8, unique=True))
def test_source_names_are_unique_words(parts):
    names = source_names([Path("/data") / p.strip("/") for p in parts])
    assert len(set(names)) == len(parts)
    assert not any("/" in n or " " in n for n in names)


@settings(max_examples=300, deadline=None)
@given(
    st.one_of(
        st.binary(max_size=80),
        st.text('xytags_idpath,;|\t\n\r"[]01.einf-\0é', max_size=80).map(
            lambda t: ("x,y,path,tile_id,tags\n" + t).encode("utf-8", "surrogatepass")
        ),
    )
)
def test_any_bytes_are_read_or_refused(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "fuzz.csv"
    path.write_bytes(content)
    with contextlib.suppress(InputError):
        assert all(r.xy is None or np.isfinite(r.xy).all() for r in read_rows(path))
