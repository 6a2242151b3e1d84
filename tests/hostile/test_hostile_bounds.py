"""What hostile input costs: memory stays bounded; and rasters that are not wholly numbers teach models all the same."""

from __future__ import annotations

import json
import os
import struct
from pathlib import Path

import geopandas
import numpy as np
import pytest
import rasterio
import shapely
from rasterio.transform import from_origin
from safetensors import safe_open
from safetensors.torch import save_file

ROOT = Path(__file__).resolve().parents[2]
HERE = from_origin(500_000.0, 5_400_000.0, 0.5, 0.5)
#: Runs commands, a JSON list of words a line, and says of each how it ended and the most memory so far, in MiB.
RUNNER = """
import json, sys
from click.testing import CliRunner
from wsss_geo.cli import main
for line in open(sys.argv[1], encoding="utf-8"):
    done = CliRunner().invoke(main, [*json.loads(line), "--progress", "none"])
    status = open("/proc/self/status", encoding="ascii").read()  # ru_maxrss would count what the parent had
    peak = int(status.split("VmHWM:")[1].split()[0]) >> 10
    sys.__stdout__.write(json.dumps([done.exit_code, done.stderr.strip(), peak]) + "\\n")
"""
VRT = '<VRTDataset rasterXSize="{0}" rasterYSize="{0}">{1}</VRTDataset>'
ITSELF = (
    '<VRTRasterBand dataType="Byte" band="1"><SimpleSource><SourceFilename relativeToVRT="1">self.vrt'
    "</SourceFilename><SourceBand>1</SourceBand></SimpleSource></VRTRasterBand>"
)


def sparse(path, side, bands=1, **options):
    with rasterio.open(
        path, "w", driver="GTiff", count=bands, height=side, width=side, dtype="uint8", crs="EPSG:32632",
        transform=HERE, SPARSE_OK=True, BIGTIFF="YES", tiled=True, **options,
    ):  # fmt: skip
        pass
    return path


def greedy_model(model, path, **network):
    """A copy of a model whose card means a far larger network."""
    with safe_open(model, framework="pt") as file:
        card = json.loads(file.metadata()["wsss_geo"])
        weights = {n: file.get_tensor(n) for n in file.keys()}  # noqa: SIM118
    card["network"] = {**card["network"], **network}
    save_file(weights, path, metadata={"wsss_geo": json.dumps(card)})
    return path


def test_small_files_do_not_fill_the_memory(shell, tiny, tmp_path):
    """Files of at most some MiB that claim to be terabytes; one process reads them all in a GiB."""
    bomb = sparse(tmp_path / "bomb.tif", 40_000, compress="deflate", blockxsize=40_000, blockysize=40_000)
    wide = sparse(tmp_path / "wide.tif", 400_000, blockxsize=8192, blockysize=8192)
    thick = sparse(tmp_path / "thick.tif", 256, 30_000, interleave="band", compress="deflate")
    endless, own = tmp_path / "endless.vrt", tmp_path / "self.vrt"
    endless.write_text(VRT.format(2_000_000_000, '<VRTRasterBand dataType="Byte" band="1"/>'))
    own.write_text(VRT.format(64, ITSELF))
    deep = {"patch_size": 8, "depth": 60_000, "embed_dim": 32, "num_heads": 1}
    wide_model = {"patch_size": 8, "depth": 2, "embed_dim": 60_000, "num_heads": 1}
    models = [
        greedy_model(tiny.model, tmp_path / "deep.safetensors", backbone_args=deep),
        greedy_model(tiny.model, tmp_path / "wide.safetensors", backbone_args=wide_model),
        greedy_model(tiny.model, tmp_path / "views.safetensors", image_size=60_000),
    ]
    lying = tmp_path / "lying.safetensors"
    lying.write_bytes(struct.pack("<Q", 1 << 30) + b"{" + b"\0" * 1000)
    table = tmp_path / "tags.csv"
    with table.open("w") as file:
        file.write("x,y,tags\n")
        file.writelines(f"{500_000 + i % 128},{5_399_999 - i // 128 % 128},water\n" for i in range(250_000))
    quoted = tmp_path / "quoted.csv"
    quoted.write_text('path,tags\nscene.tif,"' + "water\n" * 1_000_000)
    tiles = tmp_path / "tiles"
    commands = [
        (0, ["tile", tiny.scene, "--tags", table, "--size", 64, "--out", tiles]),
        (3, ["tile", tiny.scene, "--tags", quoted, "--size", 64, "--out", tmp_path / "t"]),
        *((3, ["tile", raster, "--size", 256, "--out", tmp_path / "t"]) for raster in (bomb, wide, thick, endless)),
        *((3, ["vectorize", raster, "--out", tmp_path / "v.gpkg"]) for raster in (bomb, endless)),
        *((3, ["predict", raster, "--bands", "1,1,1", "--no-resample", "--model", tiny.model, "--out",
              tmp_path / "o.tif"]) for raster in (bomb, endless)),
        *((5, ["predict", tiny.scene, "--model", model, "--out", tmp_path / "o.tif"]) for model in (*models, lying)),
        (3, ["tile", own, "--size", 64, "--out", tmp_path / "t"]),
    ]  # fmt: skip
    listed = tmp_path / "commands.jsonl"
    listed.write_text("".join(json.dumps([str(w) for w in words]) + "\n" for _, words in commands))
    (tmp_path / "hostile_runner.py").write_text(RUNNER)
    done = shell("hostile_runner", listed, PYTHONPATH=os.pathsep.join([str(ROOT), str(tmp_path)]))
    assert done.code == 0, done.err[-2000:]
    for (code, words), (got, said, peak) in zip(commands, done.messages(), strict=True):
        assert got == code, (words, said)
        assert "unexpected" not in said
        assert peak < 1400, (words, peak)


@pytest.fixture
def holed(tmp_path, write_tiff):
    """Two rasters of odd names, some of whose float pixels are no numbers, and their tags."""
    folder = tmp_path / 'it\'s "half" é'
    folder.mkdir()
    rng = np.random.default_rng(7)
    for name, low in (("a b", 0.1), ("c,d;e", 0.6)):
        array = rng.uniform(low, low + 0.3, (3, 128, 128)).astype(np.float32)
        array[0, :20, :20], array[1, 40, 40], array[2, 90:95] = np.nan, np.inf, -np.inf
        write_tiff(folder / f"{name}.tif", array)
    (folder / "tags.csv").write_text('path,tags\n"a b.tif",dark\n"c,d;e.tif",light\n')
    return folder


BACKBONE = ("--backbone", "vit_tiny_patch16_224", "--backbone-arg", "patch_size=8", "--backbone-arg", "depth=2",
            "--backbone-arg", "embed_dim=32", "--backbone-arg", "num_heads=1")  # fmt: skip
BRIEF = ("--steps", "2", "--batch-size", "2", "--device", "cpu", "--precision", "float32")


def test_training_and_prediction_with_pixels_that_are_no_numbers(tame, holed, tmp_path):
    tiles, run, out = (tmp_path / name for name in ("tiles", "run", "out"))
    tame("tile", holed, "--tags", holed / "tags.csv", "--size", 32, "--val", 0, "--out", tiles, code=0)
    tame("train", tiles, "--method", "toco", *BACKBONE, *BRIEF, "--set", "decoder_width=16", "--out", run, code=0)
    out.mkdir()
    tame("predict", holed, "--model", run / "model.safetensors", "--out", out, code=0)
    for name in ("a b", "c,d;e"):
        with rasterio.open(out / f"{name}.tif") as made, rasterio.open(holed / f"{name}.tif") as given:
            bad = ~np.isfinite(given.read()).all(axis=0)
            np.testing.assert_array_equal(made.read(1) == 255, bad)
    tame("evaluate", "--prediction", out / "a b.tif", "--reference", out / "c,d;e.tif", code=0)


def test_pretraining_with_pixels_that_are_no_numbers(tame, holed, tmp_path):
    small = {"hidden": 16, "embedding": 8, "prototypes": 16, "tokens": 8, "queue": 16}
    settings = [word for k, v in small.items() for word in ("--set", f"{k}={v}")]
    run = tmp_path / "run"
    tame("pretrain", holed, *BACKBONE, *BRIEF, "--size", 32, *settings, "--out", run, code=0)
    assert list(run.glob("*.safetensors"))


def test_examples_and_queries_that_are_odd(tame, tiny, holed, tmp_path):
    """A few-shot model of random weights: what it finds is not the point."""
    from wsss_geo.nn.fewshot_file import FewShotCard, save_few_shot
    from wsss_geo.raster.normalisation import Normalisation

    network = {
        "backbone": "mevt", "width": 8, "parts": 2, "regions": 2, "layers": 1, "image_size": 64,
        "backbone_args": {"widths": [8, 8, 16, 16], "depths": [1, 1, 1, 1], "heads": [1, 1, 2, 2], "fusion": 16},
    }  # fmt: skip
    scale = Normalisation((0.0,) * 3, (1.0,) * 3, (0.5,) * 3, (0.2,) * 3)
    card = FewShotCard(network, ("a",), ("b",), ("red", "green", "blue"), scale, None, 64)
    model = tmp_path / "few.safetensors"
    save_few_shot(model, card.build(), card)
    corners = (15, 5), (40, 20), (5, 40)
    squares = [shapely.box(500_000 + x, 5_399_980 - y, 500_010 + x, 5_399_990 - y) for x, y in corners]
    good, far = tmp_path / "good.gpkg", tmp_path / "far.gpkg"
    geopandas.GeoDataFrame({"a": [1, 2, 3]}, geometry=squares, crs="EPSG:32632").to_file(good)
    geopandas.GeoDataFrame({"a": [1]}, geometry=[shapely.box(0, 0, 1, 1)], crs="EPSG:32632").to_file(far)
    first, second = holed / "a b.tif", holed / "c,d;e.tif"

    def search(support, query, code, card_file=model):
        words = ("fewshot", "--support", support, "--support-raster", first, "--query", query, "--model", card_file)
        return tame(*words, "--device", "cpu", "--out", tmp_path / "found.tif", code=code)

    search(good, second, 0)
    with rasterio.open(tmp_path / "found.tif") as made, rasterio.open(second) as given:
        assert made.shape == given.shape
        assert made.crs == given.crs
    (tmp_path / "found.tif").unlink()
    search(far, second, 3)
    search(good, tmp_path / "gone.tif", 3)
    search(tiny.classes, second, 3)
    search(good, second, 5, card_file=tiny.model)
