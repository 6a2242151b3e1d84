"""Two workers against one: what sharing a prediction among processes of one machine is worth.

    python benchmarks/dask_scaling.py [--height 8192] [--width 4096] [--repeats 3] [--backbone NAME] [--folder DIR]

Every worker has one thread for the network and one that decodes. A ViT-Small/16 with random weights predicts a
synthetic scene with windows of 224 px, end to end as ``wsss-geo predict --workers N`` does; starting the workers and
loading the model is left out of the time, as it does not grow with the raster. The masks must be the same to the byte.
The processor time of all processes tells what sharing costs, also on a machine that does other things meanwhile.
Last line: time with one worker / time with two.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import os
import platform
import statistics
import tempfile
import time
from pathlib import Path

import psutil
import rasterio
import torch
from predict import make_raster

from wsss_geo.classes import ClassScheme
from wsss_geo.inference.cluster import Team, gather_team
from wsss_geo.inference.compute import Engine, open_task
from wsss_geo.inference.one_raster import predict_raster, work_folder
from wsss_geo.inference.targets import Targets
from wsss_geo.jobs import PredictJob
from wsss_geo.nn.model_file import ModelCard, build_network, load_model, save_model
from wsss_geo.progress import Progress
from wsss_geo.raster.normalisation import Normalisation
from wsss_geo.streaming.predictor import build_predictor

WINDOW = 224


def make_model(path: Path, backbone: str) -> None:
    """Write a ViT with random weights."""
    scheme = ClassScheme.from_names([f"class {i}" for i in range(7)])
    fixed = Normalisation((0.0,) * 3, (255.0,) * 3, (0.5,) * 3, (0.25,) * 3)
    card = ModelCard("aerial", {"backbone": backbone}, scheme, ("red", "green", "blue"), fixed, None, WINDOW)
    torch.manual_seed(0)
    save_model(path, build_network(card), card)


def processor_time() -> float:
    """Return the seconds that this process and its workers have computed."""
    own = psutil.Process()
    return sum(sum(p.cpu_times()[:2]) for p in (own, *own.children(recursive=True)))


def timed(team: Team, job: PredictJob) -> tuple[float, float]:
    """Predict once and return the seconds and the processor time."""
    model = load_model(job.model)
    engine = Engine(job, model, build_predictor(model, torch.device("cpu"), job), team.device("cpu"))
    targets, report = Targets(Path(job.out), None, None), Progress()
    started, computed = time.perf_counter(), processor_time()
    task = open_task(job.rasters[0], engine, report)
    with (
        rasterio.Env(GDAL_CACHEMAX=task.limits.cache),
        contextlib.closing(task.scene),
        work_folder(task, targets, report) as work,
        team.share(task, work, report) as fill,
    ):
        predict_raster(task, targets, work, report, fill)
    return time.perf_counter() - started, processor_time() - computed


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--height", type=int, default=8192)
    parser.add_argument("--width", type=int, default=4096)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--backbone", default="vit_small_patch16_224")
    parser.add_argument("--folder", type=Path)
    given = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        raster, model = Path(folder) / "scene.tif", Path(folder) / "model.safetensors"
        make_raster(raster, given.width, given.height)
        make_raster(raster.with_name("warm-up.tif"), 256, 4096)  # something for each worker
        make_model(model, given.backbone)
        machine = f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores"
        print(f"{machine}, {given.height} x {given.width} px, {given.backbone}")
        runs: dict[int, list[tuple[float, float]]] = {1: [], 2: []}
        masks = []
        for _ in range(given.repeats):  # in turns, so that whatever else the machine does is shared fairly
            for workers in (1, 2):
                out = Path(folder) / f"{workers}.tif"
                job = PredictJob((str(raster),), str(model), str(out), device="cpu", threads=1, workers=workers)
                small = dataclasses.replace(job, rasters=(str(raster.with_name("warm-up.tif")),))
                with gather_team(job, Progress()) as team:
                    timed(team, small)
                    runs[workers].append(timed(team, job))
                seconds, computed = runs[workers][-1]
                print(f"{workers} worker(s): {seconds:8.1f} s, {computed:8.1f} s of processors", flush=True)
                masks.append(out.read_bytes())
        if len(set(masks)) > 1:
            raise SystemExit("the masks differ")
    one, two = (statistics.median(r[0] for r in runs[n]) for n in (1, 2))
    work = [statistics.median(r[1] for r in runs[n]) for n in (1, 2)]
    print(f"processor time, 2 workers / 1 worker: {work[1] / work[0]:.2f}")
    print(f"1 worker / 2 workers: {one / two:.2f}")


if __name__ == "__main__":
    main()
