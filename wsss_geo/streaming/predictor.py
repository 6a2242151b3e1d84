"""Runs a network on batches of windows and returns whole-numbered scores on the token grid."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wsss_geo.errors import EnvironmentFault, ModelError
from wsss_geo.jobs import PredictJob
from wsss_geo.nn.model_file import LoadedModel
from wsss_geo.raster.normalisation import Normalisation
from wsss_geo.streaming.accumulator import SCALE
from wsss_geo.streaming.batches import Batch
from wsss_geo.streaming.views import View, list_views


class TokenModel(Protocol):
    """What is asked of a network."""

    @property
    def patch(self) -> int:
        """Pixels of a token along an axis."""

    def predict(self, image01: Tensor, scores: str = ..., with_cam: bool = ...) -> tuple[Tensor, Tensor | None]:
        """Return probabilities [B, C, h, w] on the token grid and, if asked for, class activation maps [B, K, h, w]."""


class Predictor:
    """From raster values of a batch to scores; halves the batch where the accelerator's memory is too small."""

    def __init__(
        self,
        model: TokenModel,
        normalisation: Normalisation,
        device: str | torch.device = "cpu",
        scores: str = "decoder",
        with_cam: bool = False,
        views: Sequence[View] = (View(),),
        name: str = "model",
    ) -> None:
        self._model = model
        self._device = torch.device(device)
        self._scores, self._with_cam = scores, with_cam
        self._views = tuple(views)
        self._name = name
        self._stretch_by(normalisation)
        self.limit: int | None = None
        """Windows that fit in the accelerator's memory, once it has been found too small."""

    def stretching(self, normalisation: Normalisation) -> Predictor:
        """Return a predictor with the same network that stretches raster values by ``normalisation``."""
        other = copy(self)
        other._stretch_by(normalisation)
        return other

    def _stretch_by(self, normalisation: Normalisation) -> None:
        low = torch.tensor(normalisation.low, dtype=torch.float32)
        span = (torch.tensor(normalisation.high, dtype=torch.float32) - low).clamp(min=1e-12)
        self._low, self._span, self._mean = (
            t.reshape(1, -1, 1, 1).to(self._device)
            for t in (low, span, torch.tensor(normalisation.mean, dtype=torch.float32))
        )

    def __call__(self, batch: Batch) -> NDArray[np.uint16]:
        """Return scores [B, n, n, C + K] in 0..SCALE: C probabilities, then K class activation maps if asked for.

        Raises ModelError when the network's answer has the wrong shape or is not a number, EnvironmentFault when not
        even one window fits in memory.
        """
        done, found = 0, []
        while done < len(batch.pixels):
            count = min(self.limit or len(batch.pixels), len(batch.pixels) - done)
            part = slice(done, done + count)
            try:
                found.append(self._run(batch.pixels[part], None if batch.valid is None else batch.valid[part]))
            except torch.OutOfMemoryError as error:
                if count == 1:
                    raise EnvironmentFault(
                        f"not even one window fits in the memory of {self._device}", "use --device cpu"
                    ) from error
                self.limit = count // 2
                torch.cuda.empty_cache()
            else:
                done += count
        return found[0] if len(found) == 1 else np.concatenate(found)

    @torch.inference_mode()
    def _run(self, pixels: NDArray[Any], valid: NDArray[np.bool_] | None) -> NDArray[np.uint16]:
        image = self.image01(pixels, valid)
        tokens = image.shape[2] // self._model.patch
        total = self._seen(self._views[0], image, tokens)
        for view in self._views[1:]:
            total += self._seen(view, image, tokens)
        count = len(self._views)
        mean = (total + count // 2).div(count, rounding_mode="floor") if count > 1 else total
        return mean.permute(0, 2, 3, 1).cpu().numpy().astype(np.uint16)

    def _seen(self, view: View, image: Tensor, tokens: int) -> Tensor:
        """Return the maps of one view of a batch on the windows' own grid, int32 [B, C + K, n, n] in 0..SCALE."""
        maps = self._maps(view.of(image, getattr(self._model, "multiple", self._model.patch)))
        return (view.undone(maps, tokens).clamp(0, 1) * SCALE).round().to(torch.int32)

    def _maps(self, image: Tensor) -> Tensor:
        """Return all maps of one batch as float32 [B, C + K, n, n]."""
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._device.type == "cuda"):
            probabilities, cam = self._model.predict(image, scores=self._scores, with_cam=self._with_cam)
        maps = probabilities.float() if cam is None else torch.cat([probabilities.float(), cam.float()], dim=1)
        expected = tuple(side // self._model.patch for side in image.shape[2:])
        if maps.shape[0] != image.shape[0] or tuple(maps.shape[2:]) != expected:
            raise ModelError(
                self._name, f"gives maps of shape {tuple(maps.shape)} for {expected} tokens", "train again"
            )
        if not bool(torch.isfinite(maps).all()):
            raise ModelError(self._name, "gives scores that are not numbers", "its weights are damaged, train again")
        return maps

    def image01(self, pixels: NDArray[Any], valid: NDArray[np.bool_] | None) -> Tensor:
        """Stretch pixels [B, C, h, w] to 0..1 as in training; those not ``valid`` [B, h, w] become its mean."""
        if pixels.dtype not in (np.uint8, np.int16, np.float32):
            pixels = pixels.astype(np.float32)
        image = torch.from_numpy(pixels).to(self._device)
        image = image.to(torch.float32, copy=image.dtype == torch.float32)  # the batch may be needed again
        if pixels.dtype == np.float32:
            image.nan_to_num_(nan=0.0)
        image.sub_(self._low).div_(self._span).clamp_(0, 1)
        if valid is not None:
            image = torch.where(torch.from_numpy(valid).to(self._device)[:, None], image, self._mean)
        return image


def build_predictor(model: LoadedModel, device: torch.device, job: PredictJob) -> Predictor:
    """Return the predictor that ``job`` asks for."""
    views = list_views(job.scales, job.flips, job.rotations)
    return Predictor(model.network, model.card.normalisation, device, job.scores, job.cam is not None, views, job.model)
