"""Batches of a training, read in this process or in others."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch.utils.data import DataLoader, Dataset, default_collate

from wsss_geo.errors import WsssGeoError
from wsss_geo.fitting.trainer import uses_cuda
from wsss_geo.jobs import FewShotTrainJob, PretrainJob, TrainJob


def step_loader(dataset: Any, sampler: Any, job: TrainJob | PretrainJob | FewShotTrainJob) -> DataLoader[Any]:
    """The batches that ``sampler`` lists, read by ``job.workers`` processes that stay; by this one if there are none.

    What goes wrong while reading is raised here as it was raised there.
    """
    return _Loader(
        _Told(dataset),
        batch_sampler=sampler,
        collate_fn=_collate,
        num_workers=job.workers,
        persistent_workers=job.workers > 0,
        pin_memory=uses_cuda(job),
    )


class _Told(Dataset[Any]):
    """Hands out errors as items: what another process raises, PyTorch turns into a text with a traceback."""

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: Any) -> Any:
        try:
            return self.dataset[index]
        except WsssGeoError as error:
            return error


def _collate(items: list[Any]) -> Any:
    return next((item for item in items if isinstance(item, WsssGeoError)), None) or default_collate(items)


class _Loader(DataLoader[Any]):
    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        for batch in super().__iter__():
            if isinstance(batch, WsssGeoError):
                raise batch
            yield batch
