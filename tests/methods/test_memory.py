"""Memories: what they keep equals what a literal loop keeps, over checkpoints and over processes."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections import deque
from pathlib import Path

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from wsss_geo.nn.memory import ClassQueue, ImageBank, gather_rows

ROOT = Path(__file__).resolve().parents[2]


def content(queue: ClassQueue) -> list[list[float]]:
    """First component of every entry of every class, the oldest first."""
    found = []
    for k in range(len(queue.count)):
        n, length = int(queue.count[k]), queue.entries.shape[1]
        start = int(queue.place[k]) - n
        found.append([float(queue.entries[k, (start + i) % length, 0]) for i in range(n)])
    return found


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 4), st.integers(1, 5), st.lists(st.lists(st.integers(0, 3), max_size=9), max_size=6))
def test_a_queue_keeps_what_a_loop_keeps(classes: int, length: int, pushes: list[list[int]]) -> None:
    queue, loop = ClassQueue(classes, length, 2), [deque[float](maxlen=length) for _ in range(classes)]
    value, origin = 0.0, dict[float, int]()
    for push in pushes:
        written = [min(c, classes - 1) for c in push]
        vectors = torch.arange(len(push), dtype=torch.float32)[:, None].repeat(1, 2) + value
        scenes = 7 * torch.arange(len(push)) + int(value)
        queue.push(vectors, torch.tensor(written, dtype=torch.int64), scenes=scenes)
        origin.update({value + i: int(scene) for i, scene in enumerate(scenes)})
        for i, c in enumerate(written):
            loop[c].append(value + i)
        value += len(push)
        assert content(queue) == [list(entries) for entries in loop]
        assert torch.equal(queue.used.sum(1), queue.count)
        kept = zip(queue.entries[queue.used][:, 0].tolist(), queue.scenes[queue.used].tolist(), strict=True)
        assert all(origin[entry] == scene for entry, scene in kept)
        assert (queue.scenes[~queue.used] == -1).all()
        for k, entries in enumerate(loop):
            assert abs(float(queue.mean()[k, 0]) - (sum(entries) / len(entries) if entries else 0)) < 1e-4


def test_a_queue_is_saved_and_goes_on_as_before() -> None:
    generator = torch.Generator().manual_seed(0)
    first, second = ClassQueue(3, 4, 5), ClassQueue(3, 4, 5)
    for step in range(6):
        vectors = torch.randn(3, 5, generator=generator)
        classes = torch.randint(3, (3,), generator=generator)
        scenes = torch.randint(9, (3,), generator=generator)
        if step == 3:
            second.load_state_dict(first.state_dict())
        first.push(vectors, classes, scenes=scenes)
        if step >= 3:
            second.push(vectors, classes, scenes=scenes)
    assert (first.scenes >= 0).any()
    assert all(torch.equal(a, b) for a, b in zip(first.buffers(), second.buffers(), strict=True))


def test_what_is_pushed_carries_no_gradient() -> None:
    queue, vectors = ClassQueue(2, 3, 4), torch.randn(2, 4, requires_grad=True)
    queue.push(vectors, torch.tensor([0, 1]))
    assert not queue.entries.requires_grad


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 4), st.integers(0, 10_000))
def test_a_bank_keeps_the_latest_image_of_each_class(classes: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    bank = ImageBank(classes, 1, 2)
    latest: list[tuple[float, list[float]] | None] = [None] * classes
    for step in range(4):
        tags = (torch.rand(3, classes, generator=generator) > 0.6).float()
        images = torch.arange(3.0)[:, None, None, None].expand(3, 1, 2, 2) + 10 * step
        bank.push(images, torch.ones(3, 2, 2, dtype=torch.bool), tags)
        for i in range(3):
            for c in range(classes):
                if tags[i, c]:
                    latest[c] = (10 * step + i, tags[i].tolist())
        for c, kept in enumerate(latest):
            assert bool(bank.filled[c]) == (kept is not None)
            if kept is not None:
                assert float(bank.images[c, 0, 0, 0]) == kept[0]
                assert bank.tags[c].tolist() == kept[1]
                assert bank.valid[c].all()


def test_a_bank_draws_filled_slots_alike_and_nothing_from_an_empty_one() -> None:
    bank = ImageBank(4, 3, 2)
    assert [len(part) for part in bank.draw(5)] == [0, 0, 0]
    tags = torch.tensor([[0.0, 1, 0, 0], [0, 0, 0, 1]])
    bank.push(torch.tensor([1.0, 3.0])[:, None, None, None].expand(2, 3, 2, 2), torch.ones(2, 2, 2) > 0, tags)
    images, valid, drawn = bank.draw(4000, torch.Generator().manual_seed(0))
    assert valid.all()
    assert torch.equal(images[:, 0, 0, 0], drawn @ torch.arange(4.0))
    share = (drawn[:, 1] > 0).float().mean()
    assert abs(share - 0.5) < 0.05
    again = bank.draw(4000, torch.Generator().manual_seed(0))
    assert torch.equal(images, again[0])


def test_rows_outside_a_group_of_processes_are_those_given() -> None:
    rows = torch.randn(3, 2)
    assert gather_rows(rows) is rows


def test_processes_share_their_memories(tmp_path: Path) -> None:
    """Two processes write different rows, one of them none at first; both hold what one process would hold."""
    script = tmp_path / "worker.py"
    script.write_text(
        textwrap.dedent(
            """
            import sys, torch
            from torch import distributed
            from wsss_geo.nn.memory import ClassQueue, ImageBank

            rank, store, out = int(sys.argv[1]), sys.argv[2], sys.argv[3]
            distributed.init_process_group("gloo", init_method="file://" + store, rank=rank, world_size=2)
            queue, bank = ClassQueue(2, 3, 1), ImageBank(2, 1, 2)
            for step in range(4):
                places = torch.arange(6)[rank::2] if step == 3 else torch.arange(rank * (step + 1))
                values, classes = places + 10.0 * step, places % 3 % 2
                queue.push(values[:, None], classes, places, (values * 3).long())
                images = values[:, None, None, None].expand(-1, 1, 2, 2)
                bank.push(images, torch.ones(len(places), 2, 2, dtype=torch.bool), torch.eye(2)[classes], places)
            torch.save([*queue.buffers(), *bank.buffers()], out)
            distributed.destroy_process_group()
            """
        )
    )
    outs = [tmp_path / f"{rank}.pt" for rank in (0, 1)]
    store = tmp_path / "store"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    workers = [
        subprocess.Popen([sys.executable, str(script), str(rank), str(store), str(outs[rank])], env=environment)
        for rank in (0, 1)
    ]
    assert [worker.wait(timeout=120) for worker in workers] == [0, 0]
    one, two = (torch.load(out, weights_only=True) for out in outs)
    assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))
    queue, bank = ClassQueue(2, 3, 1), ImageBank(2, 1, 2)
    for step in range(4):
        places = torch.arange(6 if step == 3 else step + 1)
        values, classes = places + 10.0 * step, places % 3 % 2
        queue.push(values[:, None], classes, scenes=(values * 3).long())
        images = values[:, None, None, None].expand(-1, 1, 2, 2)
        bank.push(images, torch.ones(len(places), 2, 2) > 0, torch.eye(2)[classes])
    assert all(torch.equal(a, b) for a, b in zip(one, [*queue.buffers(), *bank.buffers()], strict=True))
