"""Tags, tile sets, classes and records from strangers: what is in them cannot make the program run code, take any
memory or leave the sentence out."""

from __future__ import annotations

import json
import pickle
import zipfile

import numpy as np
import pytest

from trap import Trap


def test_pickles_are_not_run(tame, tiny, tmp_path, marker):
    import torch

    bare, whole, zipped = (tmp_path / f"{n}.pth" for n in ("bare", "whole", "zipped"))
    bare.write_bytes(pickle.dumps(Trap(marker)))
    torch.save({"state_dict": {"a": torch.zeros(1)}, "more": Trap(marker)}, whole)
    with zipfile.ZipFile(zipped, "w") as archive:
        archive.writestr("../../evil/data.pkl", pickle.dumps(Trap(marker)))
    packed = tmp_path / "packed.pth"
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("packed/data/0", bytes(50 << 20))
    for path in (bare, whole, zipped, packed):
        words = (
            "train",
            tiny.tiles,
            "--out",
            tmp_path / "run",
            "--weights",
            path,
            "--backbone",
            "vit_tiny_patch16_224",
        )
        tame(*words, "--steps", 1, "--batch-size", 2)
        tame("probe", path, "--tiles", tiny.tiles)
        assert path.stat().st_size < 1 << 20
    resumed = tmp_path / "old"
    resumed.mkdir()
    (resumed / "resume.ckpt").write_bytes(pickle.dumps(Trap(marker)))
    (tmp_path / "elsewhere").mkdir()
    words = ("train", tiny.tiles, "--out", resumed, "--steps", 1, "--batch-size", 2)
    assert "resume.ckpt" in tame(*words, code=3, out=tmp_path / "elsewhere").err
    assert not marker.exists()


def test_python_in_rasters_is_not_run(tame, tiny, tmp_path, marker):
    code = f"import os\nos.mkdir({str(marker)!r})\ndef run(*_): pass"
    band = (
        '<VRTRasterBand dataType="Byte" band="{}" subClass="VRTDerivedRasterBand"><PixelFunctionType>run'
        "</PixelFunctionType><PixelFunctionLanguage>Python</PixelFunctionLanguage>"
        f"<PixelFunctionCode><![CDATA[{code}]]></PixelFunctionCode></VRTRasterBand>"
    )
    raster = tmp_path / "python.vrt"
    raster.write_text(
        '<VRTDataset rasterXSize="64" rasterYSize="64">' + "".join(band.replace("{}", str(n)) for n in (1, 2, 3))
        + "</VRTDataset>"
    )  # fmt: skip
    tame("predict", raster, "--model", tiny.model, "--out", tmp_path / "out.tif", code=3)
    tame("tile", raster, "--size", 64, "--out", tmp_path / "tiles", code=3)
    assert not marker.exists()


def arrow_with_trap(path, marker):
    """A parquet file whose schema names an extension type of Arrow that older versions unpickled."""
    import pyarrow as pa
    from pyarrow import parquet

    trap = {
        b"ARROW:extension:name": b"arrow.py_extension_type",
        b"ARROW:extension:metadata": pickle.dumps(Trap(marker)),
    }
    fields = [pa.field("tile_id", pa.binary(3), metadata=trap), pa.field("geometry", pa.binary())]
    table = pa.table([pa.array([b"abc"], pa.binary(3)), pa.array([b""], pa.binary())], schema=pa.schema(fields))
    about = {"version": "1.0.0", "primary_column": "geometry", "columns": {"geometry": {"encoding": "WKB"}}}
    pandas = {"index_columns": ["gone"], "columns": [{"name": "tile_id", "pandas_type": "object", "numpy_type": "O"}]}
    notes = {b"geo": json.dumps(about).encode(), b"pandas": json.dumps(pandas).encode()}
    parquet.write_table(table.replace_schema_metadata(notes), path)


def test_pickles_in_parquet_are_not_run(tame, tiny, tmp_path, marker):
    layer = tmp_path / "tags.parquet"
    arrow_with_trap(layer, marker)
    tame("tile", tiny.scene, "--tags", layer, "--out", tmp_path / "tiles", code=3)
    tame("evaluate", "--prediction", tiny.truth, "--reference", layer, code=3)
    tame("predict", tiny.scene, "--model", tiny.model, "--aoi", layer, "--out", tmp_path / "out.tif", code=3)
    folder = tile_set(tiny, tmp_path)
    arrow_with_trap(folder / "index.parquet", marker)
    tame("info", folder, code=3)
    assert not marker.exists()


def tile_set(tiny, tmp_path, **columns):
    """A copy of the small tile set, some columns of its index changed."""
    import geopandas

    folder = tmp_path / "tiles"
    folder.mkdir()
    for name in ("classes.json", "tileset.json"):
        (folder / name).write_bytes((tiny.tiles / name).read_bytes())
    index = geopandas.read_parquet(tiny.tiles / "index.parquet")
    index["source"] = str(tiny.scene)
    for name, value in columns.items():
        if value is None:
            del index[name]
        else:
            index[name] = value if isinstance(value, (list, np.ndarray)) else [value] * len(index)
    index.to_parquet(folder / "index.parquet")
    return folder


COLUMNS = {
    "tiles of a billion pixels": {"height": 1 << 30},
    "tiles before the raster": {"row_off": -5},
    "offsets beyond all": {"col_off": 1 << 40},
    "no height": {"height": 0},
    "half a row": {"row_off": 0.5},
    "rows as text": {"row_off": "12"},
    "tags as text": {"tags": "water"},
    "tags as numbers": {"tags": 7},
    "lists of lists": {"tags": [["water"]]},
    "unknown tags": {"tags": ["lava"]},
    "tagged as text": {"tagged": "yes"},
    "a split of its own": {"split": "secret"},
    "one name for all": {"tile_id": "same"},
    "numbers as names": {"tile_id": 5},
    "numbers as sources": {"source": 5},
    "numbers as masks": {"mask": 5},
    "distance as text": {"gsd": "far"},
    "nested rows": {"source": {"a": {"b": [1]}}},
    "no column": {"width": None},
    "no place": {"geometry": None},
}


@pytest.mark.parametrize("columns", COLUMNS.values(), ids=COLUMNS)
def test_indexes_of_strangers(tame, tiny, tmp_path, columns):
    if columns.get("tags") == ["lava"]:
        columns = {"tags": [["lava"]] * len(tiny_index(tiny))}
    if "tags" in columns and columns["tags"] == [["water"]]:
        columns = {"tags": [[["water"]]] * len(tiny_index(tiny))}
    folder = tile_set(tiny, tmp_path, **columns)
    words = (
        "train",
        folder,
        "--out",
        tmp_path / "run",
        "--steps",
        1,
        "--batch-size",
        2,
        "--backbone",
        "vit_tiny_patch16_224",
    )
    for command in (("info", folder), words, ("evaluate", "--model", tiny.model, "--tiles", folder)):
        tame(*command, code=3)


def tiny_index(tiny):
    import geopandas

    return geopandas.read_parquet(tiny.tiles / "index.parquet")


@pytest.mark.parametrize(
    "source",
    [
        "/vsicurl/http://127.0.0.1:9/a.tif",
        "http://127.0.0.1:9/a.tif",
        "../../../etc/passwd",
        "/dev/zero",
        "",
        "\n",
        "a\0b",
    ],
)
def test_sources_of_tiles_are_files_that_are_there(tame, tiny, tmp_path, source):
    folder = tile_set(tiny, tmp_path, source=source)
    words = ("evaluate", "--model", tiny.model, "--tiles", folder)
    tame(*words, code=3)


ENCODINGS = {
    "UTF-8 with mark": ("utf-8-sig", True), "UTF-16": ("utf-16", False), "UTF-32": ("utf-32", False),
    "Latin 1": ("latin-1", False), "KOI8": ("koi8-r", False),
}  # fmt: skip


@pytest.mark.parametrize("kind", ENCODINGS)
def test_encodings_of_tags(tame, tiny, tmp_path, kind):
    encoding, fine = ENCODINGS[kind]
    name = "Лес" if kind == "KOI8" else "Gewässer"
    (tmp_path / "tags.csv").write_bytes(f"path;tags\nscene.tif;{name}\n".encode(encoding))
    words = ("tile", tiny.scene, "--tags", tmp_path / "tags.csv", "--size", 64, "--out", tmp_path / "tiles")
    made = tame(*words, code=0 if fine else 3)
    if fine:
        assert json.loads((tmp_path / "tiles.json").read_text())["result"]["classes"] == (name,) or name in made.out
    else:
        assert "UTF-8" in made.err


TABLES = {
    "semicolons": ("path;tags\nscene.tif;water\n", 0),
    "tabs": ("path\ttags\nscene.tif\twater\n", 0),
    "old line ends": ("path,tags\r\nscene.tif,water\r\n", 0),
    "the same tile twice": ("tile_id,tags\nscene_r0_c0,water\nscene_r0_c0,field\n", 0),
    "an unknown class": ("path,tags\nscene.tif,lava\n", 3),
    "a class of two lines": ('path,tags\nscene.tif,"wa\nter"\n', 3),
    "a class that moves the cursor": ("path,tags\nscene.tif,\x1b[2Jwater\n", 3),
    "a class without end": ("path,tags\nscene.tif," + "x" * 100_000 + "\n", 3),
    "a quote without end": ('path,tags\nscene.tif,"water\n' + "x\n" * 100_000, 3),
    "no line feed": ("path,tags" + ",x" * 100_000, 3),
    "zeros": ("path,tags\nscene.tif,\0\0\0\n", 3),
    "300 classes": ("path,tags\nscene.tif," + ";".join(f"c{i}" for i in range(300)) + "\n", 3),
    "a formula": ("path,tags\nscene.tif,=cmd|' /C calc'!A0\n", 0),
}


@pytest.mark.parametrize("kind", TABLES)
@pytest.mark.parametrize("known", [True, False], ids=["classes", "no classes"])
def test_tables_of_tags(tame, tiny, tmp_path, kind, known):
    text, code = TABLES[kind]
    (tmp_path / "tags.csv").write_text(text, newline="")
    words = ("tile", tiny.scene, "--tags", tmp_path / "tags.csv", "--size", 64, "--out", tmp_path / "tiles")
    if known:
        words += ("--classes", tiny.classes)
    code = {("an unknown class", False): 0, ("a formula", True): 3}.get((kind, known), code)
    tame(*words, code=code)


CLASS_FILES = {
    "deep": "[" * 100_000,
    "a number without end": '[{"name": "a", "id": ' + "9" * 5000 + "}]",
    "half a character": '[{"name": "\\ud800"}]',
    "two lines": '[{"name": "a\\nb"}]',
    "a colour that styles more": '[{"name": "a", "color": "red;}</style>"}]',
    "names without end": '[{"name": "' + "x" * 100_000 + '"}]',
    "300": json.dumps([{"name": f"c{i}"} for i in range(300)]),
    "names that are lists": '[{"name": ["a"], "id": []}]',
}


@pytest.mark.parametrize("kind", CLASS_FILES)
def test_class_files(tame, tiny, tmp_path, kind):
    (tmp_path / "classes.json").write_text(CLASS_FILES[kind])
    words = (
        "tile",
        tiny.scene,
        "--tags",
        tiny.truth,
        "--classes",
        tmp_path / "classes.json",
        "--out",
        tmp_path / "tiles",
    )
    assert len(tame(*words, code=3).err) < 700


LAYERS = {
    "no JSON": "{",
    "deep": '{"type":' * 5000,
    "NaN": '{"type":"FeatureCollection","features":[{"type":"Feature","properties":{"class":"water"},"geometry":'
    '{"type":"Polygon","coordinates":[[[NaN,0],[1,1],[2,2],[NaN,0]]]}}]}',
    "one point": '{"type":"FeatureCollection","features":[{"type":"Feature","properties":{"class":"water"},"geometry":'
    '{"type":"Polygon","coordinates":[[[0,0]]]}}]}',
    "beyond the Earth": '{"type":"FeatureCollection","features":[{"type":"Feature","properties":{"class":"water"},'
    '"geometry":{"type":"Polygon","coordinates":[[[1e300,0],[1e300,1e300],[0,1e300],[1e300,0]]]}}]}',
    "no geometry": '{"type":"FeatureCollection","features":[{"type":"Feature","properties":{"class":"water"},'
    '"geometry":null}]}',
    "unknown CRS": '{"type":"FeatureCollection","crs":{"type":"name","properties":{"name":"EPSG:999999"}},"features":'
    '[{"type":"Feature","properties":{"class":"water"},"geometry":{"type":"Point","coordinates":[0,0]}}]}',
}


@pytest.mark.parametrize("kind", LAYERS)
def test_layers(tame, tiny, tmp_path, kind):
    layer = tmp_path / "layer.geojson"
    layer.write_text(LAYERS[kind])
    tame("tile", tiny.scene, "--tags", layer, "--size", 64, "--out", tmp_path / "tiles", code=3)
    tame("evaluate", "--prediction", tiny.truth, "--reference", layer, code=3)
    tame("predict", tiny.scene, "--model", tiny.model, "--aoi", layer, "--out", tmp_path / "out.tif", code=3)


def test_jobs_reach_no_place_by_their_names(tame, tiny, tmp_path):
    """What a STAC item is called does not lead out of the folder of the outputs."""
    (tmp_path / "items").mkdir()
    names = ["../../escaped", "/escaped", "..", "a/b\\c", "\u0000", "x" * 5000]
    features = [
        {"type": "Feature", "id": name, "assets": {"a": {"href": str(tiny.scene), "type": "image/tiff"}}}
        for name in names
    ]
    (tmp_path / "items.json").write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    (tmp_path / "out").mkdir()
    tame("predict", tmp_path / "items.json", "--model", tiny.model, "--out", tmp_path / "out", code=0)
    made = {p.name for p in (tmp_path / "out").glob("*.tif")}
    assert len(made) == len(names)
    assert not list(tmp_path.parent.glob("escaped*"))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["items", "items.json", "out", "out.json"]
