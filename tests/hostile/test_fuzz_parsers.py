"""Whatever a file holds, its parser reads it or refuses it with an error of our own; no other leaves.

Documents are valid ones in which some places have been changed, or bytes of any kind. `make fuzz` tries many more.
"""

from __future__ import annotations

import contextlib
import json
import math
import struct

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from changed_documents import anything, changed, text_of
from wsss_geo import jobs
from wsss_geo.classes import ClassScheme, read_classes
from wsss_geo.errors import WsssGeoError
from wsss_geo.job_fields import parse_bytes, parse_shard


def fuzzed(share):
    """As many cases as ``share`` tells; in total some 10 000, far more in the profile "fuzz"."""
    count = share * settings.default.max_examples
    return settings(max_examples=count, deadline=None, suppress_health_check=list(HealthCheck), database=None)


@contextlib.contextmanager
def tamely():
    """Nothing but errors of our own."""
    with contextlib.suppress(WsssGeoError):
        yield


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzz")


CLASSES = [{"id": 3, "name": "water", "color": "#2b6cb0"}, {"id": 5, "name": "field", "color": "#d69e2e"}]
SCHEMES = (CLASSES, {"background": "surrogate:field", "classes": CLASSES})
STATISTICS = {"low": [0.0] * 3, "high": [255.0] * 3, "mean": [0.5] * 3, "std": [0.2] * 3}
CARD = {
    "format": 1, "method": "toco", "network": {"backbone": "vit_tiny_patch16_224", "backbone_args": {"depth": 2}},
    "classes": CLASSES, "background": "none", "bands": ["red", "green", "blue"], "normalisation": STATISTICS,
    "gsd": 0.5, "tile_size": 64, "tag_counts": {"water": 3, "field": 4}, "scores": {"f1": 0.5},
    "area": {"bbox": [5.0, 48.0, 6.0, 49.0], "crs": "EPSG:4326"}, "data_hash": "", "licence": "",
    "versions": {"a": "1"}, "settings": {"decoder_width": 16},
}  # fmt: skip
BACKBONE = {
    "format": 1, "backbone": "mevt", "arguments": {"depths": [1, 1, 1, 1]}, "bands": ["red"],
    "normalisation": {k: v[:1] for k, v in STATISTICS.items()}, "size": 64, "gsd": None, "method": "", "images": 3,
    "data_hash": "", "versions": {}, "settings": {},
}  # fmt: skip
FEWSHOT = {
    "format": 1, "network": {"backbone": "mevt", "parts": 2}, "seen": ["a"], "held": ["b"], "bands": ["red"],
    "normalisation": {k: v[:1] for k, v in STATISTICS.items()}, "gsd": 1.0, "tile_size": 64, "episodes": 3,
    "data_hash": "", "versions": {}, "settings": {},
}  # fmt: skip
JOBS = (
    {"command": "tile", "rasters": ["a.tif"], "out": "tiles", "tags": "t.csv", "bands": [1, 2, 3], "val": 0.2},
    {"command": "train", "tiles": "tiles", "out": "run", "settings": {"lr": 0.1}, "backbone_args": {"depth": 2}},
    {"command": "predict", "rasters": ["a.tif"], "model": "m", "out": "o.tif", "scales": [0.5, 1], "shard": "1/2"},
    {"command": "evaluate", "prediction": "a.tif", "reference": "b.tif"},
    {"command": "vectorize", "mask": "a.tif", "out": "o.gpkg", "min_area": 3.5},
    {"command": "fewshot", "rasters": ["a.tif"], "model": "m", "support": "s.shp", "support_raster": "a.tif",
     "out": "o"},
)  # fmt: skip
ITEM = {
    "type": "Feature", "stac_version": "1.0.0", "id": "scene", "properties": {}, "geometry": None, "links": [],
    "assets": {
        "visual": {"href": "./a.tif", "type": "image/tiff; application=geotiff", "roles": ["visual"]},
        "data": {"href": "./b.tif", "roles": ["data"]},
    },
}  # fmt: skip


@fuzzed(12)
@given(st.sampled_from(JOBS).flatmap(changed))
def test_jobs(data):
    with tamely():
        job = jobs.from_json(data)
        text = json.dumps(job.to_json())  # as text, for a setting may be no number, which equals nothing
        assert json.dumps(jobs.from_json(json.loads(text)).to_json()) == text
        assert job.command_line().startswith("wsss-geo ")


@fuzzed(6)
@given(st.one_of(st.binary(max_size=60), st.sampled_from(JOBS).flatmap(changed).map(lambda d: text_of(d).encode())))
def test_job_files(place, content):
    from wsss_geo.api import build_job
    from wsss_geo.worker import read_job_file

    (place / "job.json").write_bytes(content)
    with tamely():
        data = read_job_file(str(place / "job.json"))
        if "recipe" not in data:
            build_job(str(data.get("command")), data)


YAML = (
    "a", ": ", "- ", "&x ", "*x", "{", "}", "[", "]", "!!python/object:os.system ", "2001-99-99", "\n", "  ", "<<: ",
    "|", ">", "0x", "1_", "~", "!!int ''", "? ", "!!timestamp x", "!!binary x", "!!omap ",
)  # fmt: skip


@fuzzed(4)
@given(
    st.one_of(
        st.binary(max_size=60),
        st.text(max_size=60).map(lambda t: t.encode("utf-8", "surrogatepass")),
        changed({"method": "toco", "steps": 5, "settings": {"lr": 1}}).map(lambda d: text_of(d).encode()),
        st.lists(st.sampled_from(YAML), max_size=12).map(lambda parts: "".join(parts).encode()),
    )
)
def test_recipes(place, content):
    from wsss_geo.api import build_job

    (place / "recipe.yaml").write_bytes(content)
    with tamely():
        build_job("train", {"tiles": "t", "out": "o", "recipe": str(place / "recipe.yaml")})


@fuzzed(10)
@given(st.sampled_from(SCHEMES).flatmap(changed))
def test_class_schemes(place, data):
    (place / "classes.json").write_text(text_of(data))
    with tamely():
        scheme = read_classes(place / "classes.json")
        assert ClassScheme.from_json(json.loads(json.dumps(scheme.to_json()))) == scheme
        assert all(len(c.rgb) == 3 and c.name.encode() for c in scheme.classes)


@fuzzed(3)
@given(st.binary(max_size=60))
def test_bytes_for_classes(place, content):
    (place / "classes.json").write_bytes(content)
    with tamely():
        read_classes(place / "classes.json")


def _model(text):
    from wsss_geo.nn.card import parse_card
    from wsss_geo.nn.model_file import ModelCard

    return parse_card("m.safetensors", text, 1, ModelCard.from_json, "again")


def _backbone(text):
    from wsss_geo.nn.card import parse_card
    from wsss_geo.nn.weights_file import BackboneCard

    return parse_card("m.safetensors", text, 1, BackboneCard.from_json, "again")


def _few_shot(text):
    from wsss_geo.nn.card import parse_card
    from wsss_geo.nn.fewshot_file import FewShotCard

    return parse_card("m.safetensors", text, 1, FewShotCard.from_json, "again")


@pytest.mark.parametrize(("card", "parse"), [(CARD, _model), (BACKBONE, _backbone), (FEWSHOT, _few_shot)])
def test_whole_cards_are_read(card, parse):
    found = parse(text_of(card))
    assert parse(text_of(found.to_json())) == found


@fuzzed(12)
@given(changed(CARD))
def test_model_cards(data):
    with tamely():
        card = _model(text_of(data))
        assert len(card.normalisation.low) == len(card.normalisation.std)
        assert card.tile_size <= 1 << 13
        json.dumps(card.to_json())


@fuzzed(5)
@given(changed(BACKBONE))
def test_backbone_cards(data):
    with tamely():
        json.dumps(_backbone(text_of(data)).to_json())


@fuzzed(5)
@given(changed(FEWSHOT))
def test_few_shot_cards(data):
    with tamely():
        json.dumps(_few_shot(text_of(data)).to_json())


def head(entries, body=b"\0" * 64, length=None):
    """A weights file with any header."""
    text = entries if isinstance(entries, bytes) else text_of(entries).encode()
    return struct.pack("<Q", (len(text) if length is None else length) & (2**64 - 1)) + text + body


HEAD = {
    "__metadata__": {"wsss_geo": text_of(CARD)},
    "a": {"dtype": "F32", "shape": [2, 4], "data_offsets": [0, 32]},
    "b": {"dtype": "F16", "shape": [16], "data_offsets": [32, 64]},
}


@fuzzed(8)
@given(
    st.one_of(
        st.binary(max_size=60),
        changed(HEAD).map(head),
        st.builds(head, st.binary(max_size=30), length=st.integers(0, 2**64 - 1)),
        st.builds(lambda key, data: head({**HEAD, "__metadata__": {key: text_of(data)}}),
                  st.sampled_from(["wsss_geo", "wsss_geo_backbone", "wsss_geo_fewshot"]), changed(CARD)),
    )
)  # fmt: skip
@example(head({"__metadata__": {"wsss_geo": text_of(CARD | {"network": CARD["network"] | {"backbone_args": True}})}}))
def test_heads_of_model_files(place, content):
    from wsss_geo.nn.fewshot_file import read_few_shot_card
    from wsss_geo.nn.model_file import read_card
    from wsss_geo.nn.weights_file import read_backbone, read_backbone_card

    path = place / "m.safetensors"
    path.write_bytes(content)
    for read in (read_card, read_few_shot_card, read_backbone_card, read_backbone):
        with tamely():
            read(path)


LINES = st.lists(
    st.one_of(
        st.text(max_size=30),
        changed({"band": 1, "pixels": [1, 2], "area": [0.5, 1.0]}).map(text_of),
        changed({"group": 0, "windows": 3}).map(text_of),
        st.just('{"band": 0, "pixels": [1, 2], "area": [0.5, 1.0]}'),
    ),
    max_size=4,
)


@fuzzed(8)
@given(LINES, st.booleans())
def test_manifests(tmp_path_factory, lines, same_key):
    from wsss_geo.inference.manifest import WorkFolder, read_key

    folder = tmp_path_factory.getbasetemp() / "cover.tif.work"
    folder.mkdir(exist_ok=True)
    first = [text_of({"input": 1})] if same_key else []
    (folder / "manifest.jsonl").write_text("\n".join([*first, *lines]) + "\n", "utf-8", "surrogatepass")
    (folder / "band_000000").write_bytes(b"no zlib")
    with tamely():
        read_key(folder)
        work = WorkFolder.join(folder, {"input": 1}, "")
        assert work.load(0) is None
        assert all(isinstance(band, int) for run in work.missing(3) for band in run)
    with tamely():
        WorkFolder.begin(folder, {"input": 1}).remove()


FACTS = {
    "format": 1, "size": 64, "gsd": 0.5, "resampled_gsd": None, "bands": [1, 2, 3], "band_names": ["r", "g", "b"],
    "seed": 0, "materialized": False, "all_bands": True, "normalisation": STATISTICS,
    "coding": {"values": {"3": "water"}, "colors": {"#2b6cb0": "water"}, "binary": False},
}  # fmt: skip


@fuzzed(8)
@given(changed(FACTS))
def test_facts_of_tile_sets(place, data):
    from wsss_geo.tileset.index import parse_facts

    scheme = ClassScheme.from_json(CLASSES)
    assert parse_facts(place, scheme, None, text_of(FACTS)).facts() == FACTS
    with tamely():
        found = parse_facts(place, scheme, None, text_of(data))
        assert 1 <= found.size <= 1 << 13
        assert len(found.bands) == len(found.normalisation.std)
        assert found.coding is None or {*found.coding.values.values()} <= {None, "water", "field"}
        json.dumps(found.facts())


COLUMNS = (
    "tile_id",
    "source",
    "row_off",
    "col_off",
    "height",
    "width",
    "tags",
    "tagged",
    "scene_id",
    "split",
    "mask",
    "gsd",
)


@fuzzed(6)
@given(st.sampled_from(COLUMNS), st.lists(anything, min_size=2, max_size=2), st.booleans())
def test_rows_of_tile_sets(column, values, both):
    import pandas

    from wsss_geo.tileset.index_rows import check_rows

    row = {
        "tile_id": "a", "source": "a.tif", "row_off": 0, "col_off": 0, "height": 64, "width": 64, "tags": ["water"],
        "tagged": True, "scene_id": "a", "split": "train", "mask": None, "gsd": 0.5,
    }  # fmt: skip
    frame = pandas.DataFrame([row, {**row, "tile_id": "b"}])
    check_rows("index.parquet", frame, 64)
    given_values = [values[0], values[1] if both else row[column]]
    try:
        frame[column] = pandas.Series(given_values)
    except (OverflowError, ValueError):
        return  # pandas itself has no such column
    with tamely():
        check_rows("index.parquet", frame, 64)
        assert frame["height"].between(1, 64).all()
        assert all(isinstance(tag, str) for tags in frame["tags"] for tag in tags)


@fuzzed(10)
@given(
    st.one_of(
        changed(ITEM), st.lists(changed(ITEM), max_size=2).map(lambda f: {"type": "FeatureCollection", "features": f})
    ),
    st.sampled_from([None, "visual", "gone"]),
)
def test_stac_items(place, data, asset):
    from wsss_geo.raster.sources import list_sources

    (place / "item.json").write_text(text_of(data))
    with tamely():
        for source in list_sources([str(place / "item.json")], asset):
            assert source.name.strip(" .") == source.name != ""
            assert not set(source.name) & set("/\\\0\n")


TABLE = st.text('xytags_idpath,;|\t\n\r"[]01.einf-\0é', max_size=80)


@fuzzed(10)
@given(
    st.one_of(
        st.binary(max_size=80), TABLE.map(lambda t: ("x,y,path,tile_id,tags\n" + t).encode("utf-8", "surrogatepass"))
    ),
    st.sampled_from([None, ("water", "field")]),
)
def test_tag_tables(place, content, names):
    from wsss_geo.tileset.tags_csv import read_rows

    (place / "tags.csv").write_bytes(content)
    with tamely():
        for row in read_rows(place / "tags.csv", names):
            assert row.xy is None or all(map(math.isfinite, row.xy))
            assert all(name.strip() for name in row.names)


@fuzzed(4)
@given(st.one_of(st.text(max_size=40), anything.map(text_of)))
def test_lists_of_tags(text):
    from wsss_geo.tileset.tags_csv import split_tags

    with tamely():
        assert all(isinstance(name, str) and name for name in split_tags(text, "tags.csv", 1))


@fuzzed(4)
@given(st.one_of(st.text(max_size=12), st.from_regex(r"\A\d{1,12}(\.\d+)? ?[a-zA-Z]{0,3}\Z")))
def test_amounts_and_shards(text):
    with tamely():
        assert parse_bytes("predict.max_memory", text) >= 0
    with tamely():
        number, count = parse_shard(text)
        assert 1 <= number <= count
