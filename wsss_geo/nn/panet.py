"""The baselines: prototypes as masked averages, and nothing else.

PANet (Wang et al., ICCV 2019) labels every place by the nearer of two masked average prototypes and, in training, lets
the query's answer segment the examples in turn. Here its backbone is frozen, as that of DSMF-Net is, and a linear map
of the features is what it learns.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from wsss_geo.nn.dsmf import Answer, Examples, pixel_loss, projection
from wsss_geo.nn.frozen import Features
from wsss_geo.nn.prototypes import as_vectors, cosine_to, masked_average

#: Factor of the cosine (Wang et al., section 3.3).
_SHARPNESS = 20.0


def nearest_prototype(query: Tensor, examples: Tensor, share: Tensor, other: Tensor) -> Tensor:
    """Logits [B,2,h,w] (other, sought) of maps [B,D,h,w] by the masked averages of [B,S,D,h,w] under [B,S,h,w]."""
    vectors, seen = as_vectors(query[:, None]), as_vectors(examples)
    near = [cosine_to(vectors, masked_average(seen, weight.flatten(1))) for weight in (other, share)]
    return _SHARPNESS * torch.stack(near, dim=1).unflatten(2, query.shape[-2:])


class PANet(nn.Module):
    """Masked average prototypes of projected features of the ``widths`` middle and deep; the deep ones are not used."""

    def __init__(self, widths: tuple[int, int], width: int = 256) -> None:
        super().__init__()
        self.reduce = projection(widths[0], width)

    def forward(self, query: Features, examples: Examples) -> Answer:
        """Answer for the features of B queries."""
        reduced, known = self._projected(query, examples)
        return Answer(nearest_prototype(reduced, known, examples.share, examples.other), [])

    def losses(self, query: Features, examples: Examples, target: Tensor, masks: Tensor) -> dict[str, Tensor]:
        """Cross-entropy of queries and, by their answers, of examples; ``masks`` [B,S,H,W], ``target`` [B,H,W]."""
        reduced, known = self._projected(query, examples)
        logits = nearest_prototype(reduced, known, examples.share, examples.other)
        sought = logits.argmax(dim=1).to(reduced.dtype)[:, None]
        back = torch.stack(
            [nearest_prototype(known[:, shot], reduced[:, None], sought, 1 - sought) for shot in range(known.shape[1])],
            dim=1,
        )
        return {
            "panet": pixel_loss(logits, target),
            "panet_align": pixel_loss(back.flatten(0, 1), masks.flatten(0, 1)),
        }

    def _projected(self, query: Features, examples: Examples) -> tuple[Tensor, Tensor]:
        known = self.reduce(examples.middle.flatten(0, 1)).unflatten(0, examples.middle.shape[:2])
        return self.reduce(query.middle), known
