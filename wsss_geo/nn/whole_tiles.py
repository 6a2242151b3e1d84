"""What a network says of whole tiles, whatever their size: photographs and other tiles need not be whole tokens."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from wsss_geo.nn.network import Network
from wsss_geo.nn.tensors import resize


class Answers(NamedTuple):
    """Of B tiles, float32 on one grid [h,w] that covers them exactly.

    The grid is that of the network's answers where the tiles' sides are multiples of ``network.multiple``, else that of
    the pixels.
    """

    probabilities: Tensor
    """Of the classes [B,C,h,w]."""
    activations: Tensor
    """In 0..1 [B,K,h,w]; [B,0,h,w] unless asked for."""
    valid: Tensor
    """Share of data [B,1,h,w]."""


@torch.inference_mode()
def answer_tiles(
    network: Network, image01: Tensor, valid: Tensor, scores: str = "decoder", with_cam: bool = False
) -> Answers:
    """Predict for images [B,N,H,W] in 0..1 with validity bool [B,H,W]; ``scores`` as in ``Network.predict``.

    As in prediction, pixels without data show the mean of the training data. Sides that are no multiple of what the
    network takes are padded at the lower right with the edge's pixels, and the padding is cut off the enlarged answers;
    nothing is resized, so objects keep their size (published programs resize every image to the training crop here).
    """
    height, width = image01.shape[-2:]
    side = network.multiple
    image = torch.where(valid[:, None], image01, network.mean)
    beyond = (0, -width % side, 0, -height % side)
    image = functional.pad(image, beyond, mode="replicate")
    probabilities, activations = network.predict(image, scores, with_cam)
    activations = probabilities[:, :0] if activations is None else activations
    share = valid[:, None].float()
    if not any(beyond):
        return Answers(probabilities, activations, resize(share, (probabilities.shape[-2], probabilities.shape[-1])))
    whole = (image.shape[-2], image.shape[-1])
    pixels = resize(torch.cat([probabilities, activations], dim=1), whole)[..., :height, :width]
    classes = probabilities.shape[1]
    return Answers(pixels[:, :classes], pixels[:, classes:], share)
