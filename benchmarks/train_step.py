"""A training step of ToCo and CTFA against the published procedure, in one run, on the same weights and views.

    python benchmarks/train_step.py [--method toco,ctfa] [--rounds 5] [--device cpu]

A step is losses, gradients, clipping, AdamW and the teacher's update; all sides get the same views and start from the
same weights, and take turns of two steps, of which the second is timed. Our steps run as `train` runs them, in a
process that keeps the memory it frees; the published ones leave that to the system, as their program does.
``published_step.py`` is the published procedure.

By itself our step has another pairwise energy, a window around each pixel in place of all pairs; "ours, dense" is our
step with the published one, computed on a coarse grid. Before anything is timed all losses and the gradients of that
step are compared in float32 with those of the published procedure on the same grid: they must agree to 1e-4. The
published step that is timed takes a permutohedral lattice. The last lines are the ratios.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import math
import os
import platform
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass, replace

import torch
from published_step import Part, Published, plain_attention
from torch import Tensor

from wsss_geo.classes import ClassScheme
from wsss_geo.fitting.memory import kept_memory
from wsss_geo.methods import METHODS, settings_from
from wsss_geo.methods import ctfa as ctfa_module
from wsss_geo.methods import toco as toco_module
from wsss_geo.methods.base import Batch, Labeller
from wsss_geo.methods.toco import ToCo
from wsss_geo.nn.energy import dense_energy
from wsss_geo.nn.heads import LargeFOV, Projection
from wsss_geo.nn.network import Network
from wsss_geo.nn.tensors import resize
from wsss_geo.training.batches import make_batch

STEPS = 1000
TOLERANCE = 1e-4
#: Published crop sides in pixels, batch sizes, and numbers of classes beside the background (VOC, iSAID).
SIZE, BATCH, CLASSES = {"toco": 448, "ctfa": 320}, {"toco": 4, "ctfa": 8}, {"toco": 20, "ctfa": 15}
MODES = ("published", "ours", "ours, dense", "ours bf16")


class Clock:
    """Seconds by part; a part within a part counts for the outer one."""

    def __init__(self, device: str, processor: bool) -> None:
        self.device, self.now = device, time.process_time if processor else time.perf_counter
        self.parts: dict[str, float] = defaultdict(float)
        self.busy = False

    def read(self) -> float:
        """Return the time once the device is idle."""
        if self.device == "cuda":
            torch.cuda.synchronize()
        return self.now()

    @contextlib.contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Add the time of the block to a part."""
        if self.busy:
            yield
            return
        self.busy, started = True, self.read()
        yield
        self.busy = False
        self.parts[name] += self.read() - started


def make_method(name: str, backbone: str, size: int, device: str) -> ToCo:
    """Build the method as published, on a network from scratch: with the extra positive of the programs."""
    torch.manual_seed(0)
    classes = CLASSES[name]
    scheme = ClassScheme.from_names(["background", *(f"class {i}" for i in range(classes))], "explicit")
    network = Network(
        backbone, classes=classes + 1, taggable=classes, cold=0, mean=[0.45] * 3, std=[0.22] * 3, image_size=size
    )
    settings = settings_from(METHODS[name].settings_type, {"reference_term": True, "scale": (1.0, 1.0)})
    method = METHODS[name](network, scheme, settings, STEPS)
    # From scratch the final norm leaves little but noise; a bolder classifier gives maps of all temperatures.
    for part in (network.classifier, network.aux_classifier):
        part.weight.data.mul_(5)
    for teacher, student in zip(method.teacher_projection.parameters(), method.projection.parameters(), strict=True):
        teacher.data.copy_(student.data + 0.01 * torch.randn_like(student) * student.data.std().nan_to_num())
    assert isinstance(method, ToCo)
    return method.to(device)


def make_views(method: ToCo, count: int, size: int, device: str) -> Batch:
    """Draw views of smooth, textured pictures with one to three tags each."""
    generator = torch.Generator().manual_seed(1)
    picture = torch.zeros(count, 3, size, size)
    for cells, strength in ((8, 0.5), (32, 0.3), (size, 0.1)):
        coarse = torch.rand(count, 3, cells, cells, generator=generator)
        picture += strength * torch.nn.functional.interpolate(coarse, size=(size, size), mode="bilinear")
    tags = torch.zeros(count, len(method.scheme.taggable))
    for i in range(count):
        tags[i, torch.randperm(tags.shape[1], generator=generator)[: 1 + i % 3]] = 1
    items = {"image01": picture, "valid": torch.ones(count, size, size, dtype=torch.bool), "tags": tags}
    return make_batch({k: v.to(device) for k, v in items.items()}, method, size, 0, 0)


@contextlib.contextmanager
def clocked(part: Part) -> Iterator[None]:
    """Put clocks around the functions that our step calls."""
    places: list[tuple[object, str, str]] = [
        (toco_module, "multi_scale_cam", "activation maps"),
        (Labeller, "pixel_labels", "pseudo labels"),
        (toco_module, "local_pairwise_energy", "energy"),
        (Labeller, "loss", "dense losses"),
        (ctfa_module, "joint_loss", "dense losses"),
        (toco_module, "patch_token_contrast", "contrasts"),
        (toco_module, "class_token_contrast", "contrasts"),
        (toco_module, "sample_crops", "crops"),
        (Network, "encode", "forward passes"),
        (Network, "encode_beside", "forward passes"),
        (Network, "summarise", "forward passes"),
        (LargeFOV, "forward", "forward passes"),
        (Projection, "forward", "forward passes"),
    ]
    kept = [(owner, name, getattr(owner, name)) for owner, name, _ in places]

    def wrapped(function: Callable[..., object], title: str) -> Callable[..., object]:
        def call(*values: object, **named: object) -> object:
            with part(title):
                return function(*values, **named)

        return call

    for (owner, name, function), (_, _, title) in zip(kept, places, strict=True):
        setattr(owner, name, wrapped(function, title))
    try:
        yield
    finally:
        for owner, name, function in kept:
            setattr(owner, name, function)


@contextlib.contextmanager
def same_energy() -> Iterator[None]:
    """Give our step the pairwise energy of the published procedure, on a coarse grid."""

    def dense(shares: Tensor, image: Tensor, labels: Tensor, valid: Tensor) -> Tensor:
        # There logits are enlarged before the softmax; logarithms of shares are logits but for a constant of the pixel.
        logits = resize(shares.log(), (labels.shape[-2], labels.shape[-1]))
        return dense_energy(logits.softmax(dim=1), 255 * image, labels, valid=valid)

    kept, toco_module.local_pairwise_energy = toco_module.local_pairwise_energy, dense  # type: ignore[assignment]
    try:
        yield
    finally:
        toco_module.local_pairwise_energy = kept


@dataclass(frozen=True)
class Comparison:
    """Losses by name, ours and the published ones, and relative differences of gradients, by parameter and in all."""

    losses: dict[str, tuple[float, float]]
    gradients: dict[str, float]
    gradient: float


def both(method: ToCo, batch: Batch, fused: bool) -> Comparison:
    """Compare one step of ours, with the published energy, to the published one; no weight changes."""

    def taken(terms: dict[str, Tensor]) -> tuple[dict[str, float], dict[str, Tensor]]:
        torch.stack(list(terms.values())).sum().backward()  # type: ignore[no-untyped-call]
        gradients = {k: p.grad for k, p in method.named_parameters() if p.grad is not None}
        method.zero_grad()
        return {k: float(v.detach()) for k, v in terms.items()}, gradients

    def views() -> Batch:
        return replace(batch, generator=torch.Generator(batch.image.device).manual_seed(7))

    with same_energy():
        ours, our_slopes = taken(method.losses(views(), STEPS - 1))
    with plain_attention(method, not fused):
        published = Published(method, lambda _: contextlib.nullcontext(), exact=True)
        theirs, their_slopes = taken(published.losses(views(), True))
    assert set(ours) == set(theirs)
    assert set(our_slopes) == set(their_slopes)
    apart = {k: float((our_slopes[k] - v).norm()) for k, v in their_slopes.items()}
    norms = {k: max(float(v.norm()), 1e-30) for k, v in their_slopes.items()}
    return Comparison(
        {k: (ours[k], theirs[k]) for k in ours},
        {k: apart[k] / norms[k] for k in apart},
        math.hypot(*apart.values()) / math.hypot(*norms.values()),
    )


class Bench:
    """One method, its views, and a step of either kind."""

    def __init__(self, name: str, given: argparse.Namespace) -> None:
        self.given, self.size = given, given.size or SIZE[name]
        self.count = given.batch or BATCH[name]
        self.method = make_method(name, given.backbone, self.size, given.device)
        self.batch = make_views(self.method, self.count, self.size, given.device)
        self.start = deepcopy(self.method.state_dict())
        # As training has it in float32, see TagTraining.configure_optimizers.
        ours = torch.optim.AdamW(self.method.parameter_groups(), fused=True if given.device == "cpu" else None)
        plain = torch.optim.AdamW(self.method.parameter_groups())
        self.optimizers = {m: plain if m in ("published", "ours bf16") else ours for m in MODES}

    def losses(self, mode: str, active: bool, part: Part) -> dict[str, Tensor]:
        """Weighted losses of one step."""
        batch = replace(self.batch, generator=torch.Generator(self.given.device).manual_seed(7))
        if mode == "published":
            with plain_attention(self.method, not self.given.fused):
                return Published(self.method, part).losses(batch, active)
        with torch.autocast(self.given.device, torch.bfloat16, enabled=mode.endswith("bf16")):
            return self.method.losses(batch, STEPS - 1 if active else 0)

    def step(self, mode: str, active: bool) -> tuple[float, dict[str, float]]:
        """Seconds of one step, and of its parts."""
        self.method.load_state_dict(self.start)
        clock = Clock(self.given.device, self.given.cpu_time)
        started = clock.read()
        with contextlib.ExitStack() as around:
            if mode.endswith("dense"):
                around.enter_context(same_energy())
            if mode != "published":
                around.enter_context(clocked(clock.part))
            terms = self.losses(mode, active, clock.part)
        total = torch.stack([t.float() for t in terms.values()]).sum()
        with clock.part("backward"):
            total.backward()
        with clock.part("optimiser"):
            torch.nn.utils.clip_grad_norm_(self.method.parameters(), 1.0)
            self.optimizers[mode].step()
            self.optimizers[mode].zero_grad()
            self.method.after_step(0)
        return clock.read() - started, dict(clock.parts)

    def compare(self) -> None:
        """Print the losses of both procedures and fail where they differ by more than the tolerance."""
        found = both(self.method, self.batch, self.given.fused)
        print(f"{'loss':10}{'published':>14}{'ours, dense':>14}{'difference':>14}")
        for name, (ours, theirs) in found.losses.items():
            print(f"{name:10}{theirs:14.6f}{ours:14.6f}{abs(theirs - ours):14.1e}")
        worst = max(abs(theirs - ours) for ours, theirs in found.losses.values())
        assert worst <= TOLERANCE, f"losses differ by {worst:.1e}"
        assert found.gradient <= TOLERANCE, f"gradients differ by {found.gradient:.1e} of their norm"
        print(f"losses agree to {worst:.1e}, gradients to {found.gradient:.1e} of their norm (bar {TOLERANCE:.0e})")

    def measure(self, active: bool) -> dict[str, float]:
        """Time all modes in turn; print the parts; return medians of the ratios to the published step."""
        asked = {"ours, dense": self.given.dense, "ours bf16": self.given.bf16}
        modes = [m for m in MODES if asked.get(m, True)]
        runs: dict[str, list[tuple[float, dict[str, float]]]] = {m: [] for m in modes}
        clocks: dict[str, list[float]] = {m: [] for m in modes}
        # Else Python looks through all it has imported, in one step of many, wherever that falls.
        gc.collect()
        gc.freeze()
        for _ in range(self.given.rounds):
            for mode in modes:
                # The first step of two warms up: a training finds its memory as the step before has left it.
                with contextlib.nullcontext() if mode == "published" else kept_memory():
                    self.step(mode, active)
                    started = time.perf_counter()
                    runs[mode].append(self.step(mode, active))
                    clocks[mode].append(time.perf_counter() - started)
        titles = sorted({t for r in runs.values() for _, parts in r for t in parts})
        print(f"{'seconds':18}" + "".join(f"{m:>12}" for m in modes))
        for title in titles:
            row = [statistics.median(parts.get(title, 0.0) for _, parts in runs[m]) for m in modes]
            print(f"{title:18}" + "".join(f"{v:12.3f}" for v in row))
        medians = {m: statistics.median(s for s, _ in runs[m]) for m in modes}
        print(f"{'whole step':18}" + "".join(f"{medians[m]:12.3f}" for m in modes))
        print(f"{'by the clock':18}" + "".join(f"{statistics.median(clocks[m]):12.3f}" for m in modes), flush=True)
        bare = {m: statistics.median(s - parts.get("energy", 0.0) for s, parts in runs[m]) for m in modes}
        ratios = {m: medians[m] / medians["published"] for m in modes[1:]}
        return {**ratios, "ours, neither energy counted": bare["ours"] / bare["published"]}


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--method", default="toco,ctfa")
    parser.add_argument("--backbone", default="vit_small_patch16_224")
    parser.add_argument("--size", type=int, help="side of the views in pixels; as published unless given")
    parser.add_argument("--batch", type=int, help="images a step; as published unless given")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, help="threads of PyTorch")
    parser.add_argument("--phase", choices=("both", "warm-up", "full"), default="both")
    parser.add_argument("--fused", action="store_true", help="let the published step use the fused attention too")
    parser.add_argument("--dense", action="store_true", help="time our step with the published energy as well")
    parser.add_argument("--bf16", action="store_true", help="time our step in bfloat16 as well")
    parser.add_argument("--cpu-time", action="store_true", help="processor seconds: for one thread on a busy machine")
    given = parser.parse_args()
    if given.threads:
        torch.set_num_threads(given.threads)
    lines = []
    for name in given.method.split(","):
        bench = Bench(name, given)
        machine = torch.cuda.get_device_name() if given.device == "cuda" else platform.machine()
        print(f"\n{name}: {given.backbone}, {bench.count} views of {bench.size} px, {machine}, {os.cpu_count()} cores")
        print(f"torch {torch.__version__}, {torch.get_num_threads()} threads")
        bench.compare()
        for active, title in ((True, "full"), (False, "warm-up")):
            if given.phase in ("both", title):
                print(f"\n{title} phase: segmentation and energy losses {'count' if active else 'have weight 0'}")
                found = bench.measure(active)
                lines += [f"{name} {title}: {mode} / published = {ratio:.3f}" for mode, ratio in found.items()]
    print("\n" + "\n".join(lines))


if __name__ == "__main__":
    main()
