"""Overhead of prediction: a model that costs almost nothing, so that what is left is the pipeline.

    python benchmarks/predict.py [--size 4096,8192] [--repeats 3] [--folder DIR] [--only wsss-geo,plain,monai]
                                 [--repeat-pixels FILE] [--rows N] [--backbone NAME] [--threads N]

Compared in the same run, each in a process of its own: wsss-geo (mask written as COG), a plain loop that stitches
full-size float32 scores and writes the mask, and MONAI's sliding window (gaussian blending) where it is installed
(``pip install --no-deps monai`` is enough). With ``--repeat-pixels`` the scene is a VRT that repeats the pixels of an
image, so that its size costs no disk: ``--size 32768,100000 --only wsss-geo`` shows that memory and pace stay as they
are. ``--rows 2048`` stops after so many rows: memory depends on the width alone. Last line of each size: time of
wsss-geo / time of the fastest of the others.

With ``--backbone vit_small_patch16_224`` a network with random weights takes the place of the cheap model in
wsss-geo, which then runs alone; last line: time of all / time within the network, by the clock and, where that has
one thread (``--threads 1``), by the processor.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import rasterio
import torch
from rasterio.transform import from_origin
from rasterio.windows import Window

CLASSES, PATCH, WINDOW, STRIDE, BATCH = 7, 16, 448, 384, 8

#: Above this the others would hold more than 20 GB.
LARGEST_OTHERS = 16384


class Dummy:
    """Class scores from token means: no more work than looking at the pixels; all classes occur, in patches."""

    patch = multiple = PATCH

    def __init__(self) -> None:
        self.weight = 20 * torch.randn(CLASSES, 3, generator=torch.Generator().manual_seed(1))

    def predict(self, image01, scores="decoder", with_cam=False):
        """Return probabilities on the token grid."""
        means = image01[:, :, ::4, ::4].unfold(2, 4, 4).unfold(3, 4, 4).mean(dim=(4, 5))
        return torch.einsum("kc,bchw->bkhw", self.weight, means - 0.47).softmax(dim=1), None


class Watched:
    """A network of this package with random weights that notes how long it computes."""

    def __init__(self, backbone: str) -> None:
        from wsss_geo.nn.model_file import build_network

        torch.manual_seed(0)
        self._network = build_network(make_card(backbone)).eval()
        self.patch, self.multiple = self._network.patch, self._network.multiple
        self.seconds = self.cpu = 0.0

    def predict(self, image01, scores="decoder", with_cam=False):
        """Return what the network does."""
        started, worked = time.perf_counter(), time.thread_time()
        found = self._network.predict(image01, scores=scores, with_cam=with_cam)
        self.seconds += time.perf_counter() - started
        self.cpu += time.thread_time() - worked
        return found


def make_card(backbone: str):
    """Return the card of a model that answers with seven classes."""
    from wsss_geo.classes import ClassScheme
    from wsss_geo.nn.model_file import ModelCard
    from wsss_geo.raster.normalisation import Normalisation

    scheme = ClassScheme.from_names([f"class {i}" for i in range(CLASSES)])
    fixed = Normalisation((0.0,) * 3, (255.0,) * 3, (0.5,) * 3, (0.25,) * 3)
    return ModelCard("aerial", {"backbone": backbone}, scheme, ("red", "green", "blue"), fixed, None, WINDOW)


def make_raster(path: Path, size: int, height: int | None = None) -> None:
    """Write smooth hills with texture, tiled and deflated like an orthophoto; a square unless ``height`` is given."""
    rng = np.random.default_rng(0)
    height = height or size
    coarse = torch.from_numpy(rng.random((1, 3, height // 64 + 2, size // 64 + 2), np.float32))
    profile = {
        "driver": "GTiff", "height": height, "width": size, "count": 3, "dtype": "uint8", "crs": "EPSG:32632",
        "transform": from_origin(600000, 5400000, 0.5, 0.5), "tiled": True, "blockxsize": 512, "blockysize": 512,
        "compress": "deflate", "zlevel": 1, "interleave": "pixel",
    }  # fmt: skip
    texture = rng.normal(0, 2, (3, 512, size)).astype(np.float32)
    with rasterio.open(path, "w", **profile) as out:
        for row in range(0, height, 512):
            rows = min(512, height - row)
            part = coarse[:, :, row // 64 : row // 64 + rows // 64 + 2]
            hills = torch.nn.functional.interpolate(part, size=(rows, size), mode="bilinear")[0].numpy()
            pixels = np.clip(hills * 200 + 20 + texture[:, :rows], 0, 255).astype(np.uint8)
            out.write(pixels, window=Window(0, row, size, rows))


def make_vrt(path: Path, size: int, rows: int, image: Path) -> None:
    """Write a VRT of ``rows`` x ``size`` pixels that repeats the first three bands of ``image``."""
    with rasterio.open(image) as source:
        height, width = source.height, source.width
    spots = [(r, c) for r in range(0, rows, height) for c in range(0, size, width)]
    bands = []
    for band, color in enumerate(("Red", "Green", "Blue"), start=1):
        parts = "".join(
            f'<SimpleSource><SourceFilename relativeToVRT="0">{image.absolute()}</SourceFilename>'
            f'<SourceBand>{band}</SourceBand><SrcRect xOff="0" yOff="0" xSize="{width}" ySize="{height}"/>'
            f'<DstRect xOff="{c}" yOff="{r}" xSize="{width}" ySize="{height}"/></SimpleSource>'
            for r, c in spots
        )
        bands.append(
            f'<VRTRasterBand dataType="Byte" band="{band}"><ColorInterp>{color}</ColorInterp>{parts}</VRTRasterBand>'
        )
    path.write_text(
        f'<VRTDataset rasterXSize="{size}" rasterYSize="{rows}"><SRS>EPSG:32632</SRS>'
        f"<GeoTransform>600000, 0.5, 0, 5400000, 0, -0.5</GeoTransform>{''.join(bands)}</VRTDataset>"
    )


def run_wsss_geo(raster: str, out: str, network: Dummy | Watched | None = None) -> None:
    """Predict through the engine, without the model file."""
    from wsss_geo.inference.compute import Engine, open_task
    from wsss_geo.inference.one_raster import here, predict_raster, work_folder
    from wsss_geo.inference.targets import Targets
    from wsss_geo.jobs import PredictJob
    from wsss_geo.nn.model_file import LoadedModel
    from wsss_geo.progress import Progress
    from wsss_geo.streaming.predictor import Predictor

    card = make_card("none")
    model = LoadedModel(network or Dummy(), card, "0" * 64)  # type: ignore[arg-type]
    job = PredictJob((raster,), "dummy", out, overlap=1 - STRIDE / WINDOW, batch_size=BATCH)
    engine = Engine(job, model, Predictor(model.network, card.normalisation), "cpu")
    targets, report = Targets(Path(out), None, None), Progress()
    task = open_task(raster, engine, report)
    with (
        rasterio.Env(GDAL_CACHEMAX=task.limits.cache),
        contextlib.closing(task.scene),
        work_folder(task, targets, report) as work,
        here(task, work, report) as fill,
    ):
        predict_raster(task, targets, work, report, fill)


def starts(size: int) -> list[int]:
    """Window starts of the plain loop."""
    return [*range(0, size - WINDOW, STRIDE), size - WINDOW]


def upsampled(model: Dummy, batch: torch.Tensor) -> torch.Tensor:
    """Scores on the pixels, as the others need them."""
    return torch.nn.functional.interpolate(model.predict(batch)[0], scale_factor=PATCH, mode="bilinear")


def write_mask(mask: np.ndarray, like: str, out: str) -> None:
    """Write the finished mask in one go."""
    with rasterio.open(like) as source:
        profile = {**source.profile, "count": 1, "nodata": 255}
    with rasterio.open(out, "w", **profile) as file:
        file.write(mask, 1)


def run_plain(raster: str, out: str) -> None:
    """Window by window into full-size float32 sums."""
    model, batch, places = Dummy(), [], []
    with rasterio.open(raster) as source, torch.inference_mode():
        size = source.height
        total = np.zeros((CLASSES, size, size), np.float32)
        weight = np.zeros((size, size), np.float32)
        ramp = np.minimum(np.arange(WINDOW) + 1, np.arange(WINDOW)[::-1] + 1).astype(np.float32)
        profile = np.minimum(ramp[:, None], ramp[None, :]) / ramp.max()
        corners = [(r, c) for r in starts(size) for c in starts(size)]
        for number, (row, col) in enumerate(corners):
            batch.append(source.read(window=Window(col, row, WINDOW, WINDOW)).astype(np.float32) / 255)
            places.append((row, col))
            if len(batch) == BATCH or number == len(corners) - 1:
                found = upsampled(model, torch.from_numpy(np.stack(batch))).numpy()
                for (r, c), maps in zip(places, found, strict=True):
                    total[:, r : r + WINDOW, c : c + WINDOW] += maps * profile
                    weight[r : r + WINDOW, c : c + WINDOW] += profile
                batch, places = [], []
    total /= weight
    write_mask(total.argmax(axis=0).astype(np.uint8), raster, out)


def run_monai(raster: str, out: str) -> None:
    """MONAI's sliding window over the whole image in memory."""
    from monai.inferers import sliding_window_inference

    model = Dummy()
    with rasterio.open(raster) as source, torch.inference_mode():
        image = torch.from_numpy(source.read()[None]).float() / 255
        scores = sliding_window_inference(
            image, (WINDOW, WINDOW), BATCH, lambda x: upsampled(model, x), overlap=1 - STRIDE / WINDOW, mode="gaussian"
        )
        write_mask(scores[0].argmax(dim=0).to(torch.uint8).numpy(), raster, out)


RUNS = {"wsss-geo": run_wsss_geo, "plain": run_plain, "monai": run_monai}


def measure(name: str, raster: Path, out: Path, backbone: str | None, threads: int | None) -> dict[str, float]:
    """Run one of them in its own process; returns seconds and the peak memory in MiB."""
    command = [sys.executable, __file__, "--measure", name, "--raster", str(raster), "--out", str(out)]
    command += ["--backbone", backbone] if backbone else []
    command += ["--threads", str(threads)] if threads else []
    environment = {
        **os.environ,
        "PYTHONPATH": str(Path(__file__).parent.parent) + os.pathsep + os.environ.get("PYTHONPATH", ""),
    }
    answer = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if answer.returncode:
        raise SystemExit(answer.stderr)
    return json.loads(answer.stdout.splitlines()[-1])


def measured(name: str, raster: str, out: str, backbone: str | None, threads: int | None) -> dict[str, float]:
    """Time one of them in this process, after a small warm-up that loads and compiles everything."""
    if threads:
        torch.set_num_threads(threads)
    network = Watched(backbone) if backbone else None
    run = functools.partial(RUNS[name], network=network) if network else RUNS[name]
    run(str(Path(raster).with_name("warm-up.tif")), out)
    if network:
        network.seconds = network.cpu = 0.0
    imports = peak_memory()
    started, worked = time.perf_counter(), time.process_time()
    run(raster, out)
    seconds, cpu = time.perf_counter() - started, time.process_time() - worked
    inside = {"network": network.seconds, "network_cpu": network.cpu} if network else {}
    return {"seconds": seconds, "cpu": cpu, "peak": peak_memory(), "imports": imports, **inside}


def peak_memory() -> float:
    """Return the most memory this process has had, in MiB."""
    status = Path("/proc/self/status")
    if status.exists():  # ru_maxrss would count what the parent had when it forked
        return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM")) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024**2 if sys.platform == "darwin" else 1024)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="8192", help="side of the scene in pixels, or several: 4096,8192")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--repeat-pixels", type=Path, metavar="FILE", help="image whose pixels a VRT repeats")
    parser.add_argument("--rows", type=int, help="rows of the scene; as many as columns unless given")
    parser.add_argument("--only", default=",".join(RUNS))
    parser.add_argument("--backbone", help="network in place of the cheap model, for example vit_small_patch16_224")
    parser.add_argument("--threads", type=int, help="threads of the network; as many as cores unless given")
    for hidden in ("--measure", "--raster", "--out"):
        parser.add_argument(hidden, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure:
        print(json.dumps(measured(given.measure, given.raster, given.out, given.backbone, given.threads)))
        return
    names = ["wsss-geo"] if given.backbone else given.only.split(",")
    try:
        import monai  # noqa: F401
    except ImportError:
        if "monai" in names:
            names.remove("monai")
            print("monai is not installed: left out")
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores")
    for size in (int(text) for text in given.size.split(",")):
        with tempfile.TemporaryDirectory(dir=given.folder) as folder:
            raster = Path(folder) / ("scene.vrt" if given.repeat_pixels else "scene.tif")
            rows = given.rows or size
            if given.repeat_pixels:
                make_vrt(raster, size, rows, given.repeat_pixels)
            else:
                make_raster(raster, size, rows)
            make_raster(raster.with_name("warm-up.tif"), 1024)
            others = rows == size <= LARGEST_OTHERS  # they take squares
            compared = [n for n in names if n == "wsss-geo" or others]
            compare(raster, rows, size, compared, given)


def compare(raster: Path, rows: int, size: int, names: list[str], given: argparse.Namespace) -> None:
    """Print the lines of one size."""
    print(f"{rows} x {size} px")
    print(f"{'':10} {'s':>8} {'CPU s':>8} {'ns/px':>8} {'peak MiB':>9} {'imports MiB':>12}")
    table = {}
    for name in names:
        out = raster.with_name(f"{name}.tif")
        runs = [measure(name, raster, out, given.backbone, given.threads) for _ in range(given.repeats)]
        row = {key: statistics.median(r[key] for r in runs) for key in runs[0]}
        table[name] = row
        pace = row["seconds"] / (rows * size) * 1e9
        times = f"{row['seconds']:8.2f} {row['cpu']:8.2f} {pace:8.1f}"
        print(f"{name:10} {times} {row['peak']:9.0f} {row['imports']:12.0f}", flush=True)
    if "wsss-geo" in table and "monai" in table:
        print(f"wsss-geo / monai: {table['wsss-geo']['seconds'] / table['monai']['seconds']:.3f}")
    if given.backbone:
        own = table["wsss-geo"]
        print(f"within the network: {own['network']:.2f} s, {own['network_cpu']:.2f} s of processor in its own thread")
        print(f"all / network: {own['seconds'] / own['network']:.3f} by the clock", end="")
        print(f", {own['cpu'] / own['network_cpu']:.3f} by the processor" if given.threads == 1 else "")
    others = [table[n]["seconds"] for n in table if n != "wsss-geo"]
    if "wsss-geo" in table and others:
        print(f"wsss-geo / fastest other: {table['wsss-geo']['seconds'] / min(others):.3f}")


if __name__ == "__main__":
    main()
