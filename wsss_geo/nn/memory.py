"""Memories that outlive a step: queues of vectors a class, and the latest image of each class.

What they hold are buffers: saved with a checkpoint, resumed from it, moved with the module. Where several processes
train together, each gathers what all of them write, so that all memories stay alike; every process must therefore
write in every step, if only zero rows. With ``places``, the rows' places in the joint batch, memories are those that
one process with that batch would have; without, rows come in the order of the processes.
"""

from __future__ import annotations

import torch
from torch import Tensor, distributed, nn

from wsss_geo.nn.processes import world_size


class ClassQueue(nn.Module):
    """The last ``length`` vectors of each of ``classes`` classes, first in, first out.

    ``entries`` float32 [K,Q,D]; the slots of class k in use are the first ``count[k]``. ``scenes`` int64 [K,Q] are the
    numbers of the parent scenes that entries come from, -1 where that was not told.
    """

    entries: Tensor
    scenes: Tensor
    count: Tensor
    place: Tensor

    def __init__(self, classes: int, length: int, width: int) -> None:
        super().__init__()
        self.register_buffer("entries", torch.zeros(classes, length, width))
        self.register_buffer("scenes", torch.full((classes, length), -1))
        self.register_buffer("count", torch.zeros(classes, dtype=torch.int64))
        self.register_buffer("place", torch.zeros(classes, dtype=torch.int64))

    @torch.no_grad()
    def push(
        self, vectors: Tensor, classes: Tensor, places: Tensor | None = None, scenes: Tensor | None = None
    ) -> None:
        """Write ``vectors`` [n,D] of ``classes`` and ``scenes`` int64 [n], the oldest first; n may be 0."""
        scenes = torch.full_like(classes, -1) if scenes is None else scenes
        vectors, classes, scenes = (gather_rows(r, places) for r in (vectors.to(self.entries), classes, scenes))
        length = self.entries.shape[1]
        member = nn.functional.one_hot(classes, len(self.count))
        new = member.sum(dim=0)
        rank = (member.cumsum(dim=0) * member).sum(dim=1) - 1
        # Of more vectors than a queue is long only the last ones stay; writing one slot twice has no certain winner.
        stays = rank >= new[classes] - length
        rank, classes = rank[stays], classes[stays]
        slots = (self.place[classes] + rank) % length
        self.entries[classes, slots] = vectors[stays]
        self.scenes[classes, slots] = scenes[stays]
        self.place.copy_((self.place + new) % length)
        self.count.copy_((self.count + new).clamp(max=length))

    @property
    def used(self) -> Tensor:
        """Slots in use: bool [K,Q]."""
        return torch.arange(self.entries.shape[1], device=self.count.device) < self.count[:, None]

    def mean(self) -> Tensor:
        """Mean vector of each class [K,D]; zero where nothing has been written."""
        total = (self.entries * self.used[:, :, None]).sum(dim=1)
        return total / self.count.clamp(min=1)[:, None]


class ImageBank(nn.Module):
    """For each of ``classes`` classes the most recent image that carries it, with its tags and validity.

    ``images`` float32 [K,N,S,S], ``valid`` bool [K,S,S], ``tags`` [K,K], ``filled`` bool [K].
    """

    images: Tensor
    valid: Tensor
    tags: Tensor
    filled: Tensor

    def __init__(self, classes: int, bands: int, size: int) -> None:
        super().__init__()
        self.register_buffer("images", torch.zeros(classes, bands, size, size))
        self.register_buffer("valid", torch.zeros(classes, size, size, dtype=torch.bool))
        self.register_buffer("tags", torch.zeros(classes, classes))
        self.register_buffer("filled", torch.zeros(classes, dtype=torch.bool))

    @torch.no_grad()
    def push(self, images: Tensor, valid: Tensor, tags: Tensor, places: Tensor | None = None) -> None:
        """Write images [n,N,S,S]; of those of one class the last stays, an image of several fills several slots."""
        images, valid, tags = (gather_rows(rows, places) for rows in (images, valid, tags))
        present = tags > 0.5
        order = torch.arange(1, len(tags) + 1, device=tags.device)
        latest = (present * order[:, None]).argmax(dim=0)
        fresh = present.any(dim=0)
        self.images[fresh] = images[latest[fresh]].to(self.images)
        self.valid[fresh] = valid[latest[fresh]]
        self.tags[fresh] = tags[latest[fresh]].to(self.tags)
        self.filled |= fresh

    def draw(self, count: int, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """Images, validity and tags of ``count`` filled slots, uniformly with replacement; none while all are empty."""
        if count < 1 or not self.filled.any():
            return self.images[:0], self.valid[:0], self.tags[:0]
        slots = torch.multinomial(self.filled.float(), count, replacement=True, generator=generator)
        return self.images[slots], self.valid[slots], self.tags[slots]


def gather_rows(rows: Tensor, places: Tensor | None = None) -> Tensor:
    """Rows [n,...] of all processes, n may differ, by rank or by ``places`` int64 [n]; ``rows`` itself outside a group.

    A collective call without gradient: all processes must make it.
    """
    world = world_size()
    if world == 1:
        return rows
    sent = rows.detach().to(torch.uint8) if rows.dtype == torch.bool else rows.detach()
    counts = [torch.zeros(1, dtype=torch.int64, device=rows.device) for _ in range(world)]
    distributed.all_gather(counts, torch.tensor([len(sent)], device=rows.device))
    lengths = [int(count) for count in counts]
    padded = sent.new_zeros(max(lengths), *sent.shape[1:])
    padded[: len(sent)] = sent
    parts = [torch.empty_like(padded) for _ in range(world)]
    distributed.all_gather(parts, padded)
    joint = torch.cat([part[:length] for part, length in zip(parts, lengths, strict=True)]).to(rows.dtype)
    return joint if places is None else joint[gather_rows(places).argsort(stable=True)]
