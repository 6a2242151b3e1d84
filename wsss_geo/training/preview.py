"""The pictures of a run: image, activation map, pseudo label and prediction, side by side."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from torch import Tensor

from wsss_geo.classes import ClassScheme
from wsss_geo.nn.network import Network
from wsss_geo.nn.tensors import resize
from wsss_geo.nn.whole_tiles import answer_tiles
from wsss_geo.outputs import replacing

_SIDE = 160
_GAP = 6


def write_preview(
    path: Path, network: Network, scheme: ClassScheme, image01: Tensor, tags: Tensor, valid: Tensor | None = None
) -> None:
    """Write one row a scene: image, strongest activation, pseudo label, prediction.

    ``image01`` [B,N,H,W] in 0..1, of any side; ``tags`` [B,K]; ``valid`` bool [B,H,W], all unless given.
    The activation of a pixel is shown in the colour of its strongest class, as bright as it is strong. The pseudo
    label is the strongest tagged class.
    """
    there = torch.ones_like(image01[:, 0], dtype=torch.bool) if valid is None else valid
    probabilities, cam, _ = answer_tiles(network, image01, there, with_cam=True)
    present = (tags > 0.5)[:, :, None, None]
    colours = np.array([c.rgb for c in scheme.classes], np.uint8)
    taggable = np.array([scheme.by_name(n).rgb for n in scheme.taggable], np.uint8)
    cam = resize(cam, (_SIDE, _SIDE))
    strength = cam.amax(1).cpu().numpy()[..., None]
    hottest = taggable[cam.argmax(1).cpu().numpy()]
    pseudo = taggable[cam.masked_fill(~present, -1).argmax(1).cpu().numpy()]
    predicted = colours[resize(probabilities, (_SIDE, _SIDE)).argmax(1).cpu().numpy()]
    columns = [_photo(image01), (hottest * strength).astype(np.uint8), pseudo, predicted]
    rows = len(image01)
    sheet = Image.new("RGB", (4 * (_SIDE + _GAP) + _GAP, rows * (_SIDE + 16 + _GAP) + 20), "white")
    draw = ImageDraw.Draw(sheet)
    for j, title in enumerate(("image", "activation", "pseudo label", "prediction")):
        draw.text((_GAP + j * (_SIDE + _GAP), 4), title, fill="black")
        for i in range(rows):
            sheet.paste(Image.fromarray(columns[j][i]), (_GAP + j * (_SIDE + _GAP), 20 + i * (_SIDE + 16 + _GAP)))
    for i in range(rows):
        names = ", ".join(n for n, t in zip(scheme.taggable, tags[i].tolist(), strict=True) if t > 0.5)
        draw.text((_GAP, 20 + i * (_SIDE + 16 + _GAP) + _SIDE + 1), names, fill="black")
    with replacing(path) as part:
        sheet.save(part)


def _photo(image01: Tensor) -> NDArray[np.uint8]:
    """The first three bands (or one, thrice) as bytes [B,side,side,3]."""
    bands = image01[:, :3] if image01.shape[1] >= 3 else image01[:, :1].expand(-1, 3, -1, -1)
    shown = resize(bands.float(), (_SIDE, _SIDE)).clamp(0, 1) * 255
    photo: NDArray[np.uint8] = shown.to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
    return photo
