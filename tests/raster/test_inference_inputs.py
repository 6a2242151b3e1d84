"""What predict reads besides one local file: several rasters as one, servers, STAC items."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import rasterio
import rasterio.shutil
import torch
from affine import Affine

from wsss_geo.classes import ClassScheme
from wsss_geo.errors import InputError, UsageError
from wsss_geo.inference import run
from wsss_geo.jobs import PredictJob
from wsss_geo.nn.model_file import LoadedModel, ModelCard
from wsss_geo.progress import Progress
from wsss_geo.raster.normalisation import Normalisation

SCHEME = ClassScheme.from_names(["red", "green", "blue"])
FIXED = Normalisation((0.0,) * 3, (255.0,) * 3, (0.5,) * 3, (1.0,) * 3)
CARD = ModelCard("test", {}, SCHEME, ("red", "green", "blue"), FIXED, None, 64)
GRID = Affine(0.5, 0, 600_000, 0, -0.5, 5_400_000)


class Colours:
    """Class scores are the mean colours of the token."""

    patch = multiple = 8

    def predict(self, image01, scores="decoder", with_cam=False):
        maps = torch.nn.functional.avg_pool2d(image01, self.patch)
        return maps, maps if with_cam else None


@pytest.fixture(autouse=True)
def model(monkeypatch, tmp_path):
    path = tmp_path / "colours.safetensors"
    path.write_bytes(b"weights")
    monkeypatch.setattr(run, "load_model", lambda *_: LoadedModel(Colours(), CARD, "0" * 64))
    return str(path)


def picture(height, width, seed=0):
    coarse = np.random.default_rng(seed).random((1, 3, height // 40 + 2, width // 40 + 2), np.float32)
    smooth = torch.nn.functional.interpolate(torch.from_numpy(coarse), size=(height, width), mode="bicubic")
    return (smooth[0].clamp(0, 1) * 255).to(torch.uint8).numpy()


def write(path, pixels, transform=GRID, **options):
    profile = {
        "driver": "GTiff", "height": pixels.shape[1], "width": pixels.shape[2], "count": 3, "dtype": "uint8",
        "transform": transform, "crs": "EPSG:32632", "tiled": True, "blockxsize": 128, "blockysize": 128,
    }  # fmt: skip
    with rasterio.open(path, "w", **(profile | options)) as file:
        file.write(pixels)
    return str(path)


def predict(model, rasters, out, **options):
    rasters = (rasters,) if isinstance(rasters, str) else tuple(rasters)
    return run.run(PredictJob(rasters, model, str(out), device="cpu", **options), Progress())


def read(path):
    with rasterio.open(path) as file:
        return file.read(1)


def test_tiles_joined_into_one_give_the_mask_of_the_whole(model, tmp_path):
    pixels = picture(300, 420)
    whole = write(tmp_path / "whole.tif", pixels)
    tiles = tmp_path / "tiles"
    tiles.mkdir()
    for row in (0, 150):
        for col in (0, 210):
            write(
                tiles / f"{row}_{col}.tif",
                pixels[:, row : row + 150, col : col + 210],
                GRID * Affine.translation(col, row),
            )
    for refine in ("none", "par"):
        predict(model, whole, tmp_path / "a.tif", refine=refine)
        result = predict(
            model, str(tiles), tmp_path / "b.tif", refine=refine, mosaic="first", polygons=str(tmp_path / "b.gpkg")
        )
        np.testing.assert_array_equal(read(tmp_path / "a.tif"), read(tmp_path / "b.tif"))
    assert result.polygon_count > 3
    assert not result.parts
    record = json.loads((tmp_path / "b.tif.json").read_text())
    assert record["job"]["mosaic"] == "first"
    assert record["job"]["rasters"] == [str(tiles)]
    assert {Path(i["path"]).name for i in record["inputs"]} == {"b.vrt", *(p.name for p in tiles.iterdir())}
    assert (tmp_path / "b.vrt").exists()
    assert not [p for p in tmp_path.iterdir() if ".part" in p.name or p.suffix == ".work"]


def test_mosaic_of_a_refused_run_goes(model, tmp_path):
    raster = write(tmp_path / "a.tif", picture(60, 60))
    before = sorted(tmp_path.iterdir())
    with pytest.raises(InputError, match="bands were chosen"):
        predict(model, raster, tmp_path / "out.tif", mosaic="last", bands=(1, 2))
    assert sorted(tmp_path.iterdir()) == before
    with pytest.raises(UsageError, match="replace an input"):
        predict(model, write(tmp_path / "m.vrt", picture(60, 60)), tmp_path / "m.tif", mosaic="last")


def test_several_rasters_have_results_of_their_own(model, tmp_path):
    rasters = [write(tmp_path / f"s{i}.tif", picture(90, 70 + i, i)) for i in range(3)]
    result = predict(model, rasters, tmp_path / "out", polygons=str(tmp_path / "all.gpkg"))
    assert [Path(p.mask).name for p in result.parts] == ["s0.tif", "s1.tif", "s2.tif"]
    assert sum(p.polygon_count for p in result.parts) == result.polygon_count
    assert sum(p.windows for p in result.parts) == result.windows
    for name, area in result.area_m2.items():
        assert area == pytest.approx(sum(p.area_m2[name] for p in result.parts))
    record = json.loads((tmp_path / "out.json").read_text())
    assert [p["width"] for p in record["result"]["parts"]] == [70, 71, 72]
    assert json.loads(json.dumps(result.to_json()))["parts"][1]["mask"] == result.parts[1].mask


#: Serves the folder argv[1] by ranges, in a process of its own: GDAL may hold Python's lock while it asks. Says its
#: port, then every request and how many bytes it gave.
SERVER = """
import hashlib, http.server, sys
from pathlib import Path

class Ranges(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        path = Path(sys.argv[1]) / self.path.split("?")[0].lstrip("/")
        if not path.is_file():
            print(self.command, path.name, 0, flush=True)
            return self.send_error(404)
        content, span = path.read_bytes(), self.headers.get("Range")
        first, last = 0, len(content) - 1
        if span:
            begin, end = span.removeprefix("bytes=").split("-")
            first, last = int(begin), min(int(end or last), last)
        body = b"" if self.command == "HEAD" else content[first:last + 1]
        print(self.command, path.name, len(body), flush=True)
        self.send_response(206 if span else 200)
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("ETag", hashlib.md5(content).hexdigest())
        self.send_header("Content-Length", str(last - first + 1))
        if span:
            self.send_header("Content-Range", f"bytes {first}-{last}/{len(content)}")
        self.end_headers()
        self.wfile.write(body)

    do_HEAD = do_GET

    def log_message(self, *_):
        pass

server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Ranges)
print(server.server_port, flush=True)
server.serve_forever()
"""


@pytest.fixture
def server(tmp_path):
    """Address of a server of the folder ``served``, that folder, and a function that lists the requests so far."""
    folder, said = tmp_path / "served", tmp_path / "said.txt"
    folder.mkdir()
    with said.open("w") as file:
        process = subprocess.Popen([sys.executable, "-c", SERVER, str(folder)], stdout=file)

    def requests():
        lines = [line.split() for line in said.read_text().splitlines()[1:]]
        return [(command, name, int(size)) for command, name, size in lines]

    deadline = time.monotonic() + 60
    while not said.read_text() and time.monotonic() < deadline:
        time.sleep(0.02)
    yield f"http://127.0.0.1:{said.read_text().split()[0]}", folder, requests
    process.kill()
    process.wait()


def make_cog(path):
    pixels = np.random.default_rng(0).integers(0, 256, (3, 1500, 1500), dtype=np.uint8)
    plain = write(path.with_name("plain.part.tif"), pixels)
    rasterio.shutil.copy(plain, path, driver="COG", blocksize=128, compress="deflate", overviews="none")
    Path(plain).unlink()


def test_of_a_file_on_a_server_only_the_ranges_needed_are_read(model, tmp_path, server):
    address, folder, requests = server
    make_cog(folder / "scene.tif")
    box = "600200,5399700,600250,5399750"  # 100 of 1500 pixels along each side
    remote = predict(model, f"{address}/scene.tif?sig=1", tmp_path / "out.tif", aoi=box)
    asked = requests()
    got = sum(size for _, name, size in asked if name == "scene.tif")
    whole = (folder / "scene.tif").stat().st_size
    assert 0 < got < 0.5 * whole  # the rows of blocks around the box, not the file
    assert sum(1 for command, _, _ in asked if command == "GET") < 120
    assert max(size for _, _, size in asked) < whole / 4
    local = predict(model, str(folder / "scene.tif"), tmp_path / "local.tif", aoi=box)
    np.testing.assert_array_equal(read(remote.mask), read(local.mask))
    assert (read(remote.mask) != 255).sum() == 100 * 100


def test_an_object_of_a_bucket(model, tmp_path, server, monkeypatch):
    address, folder, requests = server
    (folder / "bucket" / "deep").mkdir(parents=True)
    make_cog(folder / "bucket" / "deep" / "scene.tif")
    for name, value in {
        "AWS_S3_ENDPOINT": address.removeprefix("http://"), "AWS_HTTPS": "NO", "AWS_VIRTUAL_HOSTING": "FALSE",
        "AWS_NO_SIGN_REQUEST": "YES",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    box = "600200,5399700,600250,5399750"
    remote = predict(model, "s3://bucket/deep/scene.tif", tmp_path / "out.tif", aoi=box)
    got = [size for _, name, size in requests() if name == "scene.tif"]
    assert 0 < sum(got) < (folder / "bucket/deep/scene.tif").stat().st_size
    local = predict(model, str(folder / "bucket/deep/scene.tif"), tmp_path / "local.tif", aoi=box)
    np.testing.assert_array_equal(read(remote.mask), read(local.mask))


def test_stac_items_on_a_server(model, tmp_path, server):
    address, folder, _ = server
    write(folder / "image.tif", picture(90, 70))
    item = {
        "type": "Feature", "id": "tile 7", "geometry": None,
        "assets": {"image": {"href": f"{address}/image.tif", "roles": ["data"], "type": "image/tiff"}},
    }  # fmt: skip
    path = tmp_path / "item.json"
    path.write_text(json.dumps(item))
    result = predict(model, str(path), tmp_path / "m.tif", polygons=str(tmp_path / "m.parquet"))
    assert read(result.mask).shape == (90, 70)
    import geopandas

    assert set(geopandas.read_parquet(tmp_path / "m.parquet")["source"]) == {"tile 7"}


def test_a_server_without_the_file(model, tmp_path, server):
    with pytest.raises(InputError, match="cannot be opened"):
        predict(model, f"{server[0]}/none.tif", tmp_path / "m.tif")
    assert not (tmp_path / "m.tif").exists()


def test_a_file_that_is_replaced_on_its_server_is_noticed(model, tmp_path, server):
    address, folder, _ = server
    write(folder / "scene.tif", picture(90, 70))
    write(folder / "other.tif", picture(90, 70, 1))

    class Replacing(Progress):
        def step(self, done, total, note="", stage=""):
            if stage == "predict" and done > 0 and (folder / "other.tif").exists():
                (folder / "other.tif").replace(folder / "scene.tif")

    job = PredictJob((f"{address}/scene.tif",), model, str(tmp_path / "m.tif"), device="cpu")
    before = sorted(tmp_path.iterdir())
    with pytest.raises(InputError, match="was changed while it was read"):
        run.run(job, Replacing())
    assert sorted(tmp_path.iterdir()) == before
    assert run.run(job, Progress()).valid_share == 1
