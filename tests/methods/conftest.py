"""What the tests of several methods share: textured tiles to learn by heart, and a run that breaks off and goes on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

SIDE = 32


@dataclass(frozen=True)
class Textures:
    """Tiles ``image`` [6,3,32,32] of a flat, a striped and a noisy texture, whole or halves; their tags and masks."""

    image: Any
    tags: Any
    masks: Any

    def batch(self, step: int = 0) -> Any:
        """All tiles as a batch that has every view a method may need."""
        import torch

        from wsss_geo.methods.base import Batch

        valid = torch.ones(len(self.image), SIDE, SIDE, dtype=torch.bool)
        generator = torch.Generator().manual_seed(step)
        return Batch(self.image, self.image, self.tags, valid, self.image, self.image.flip(-1), generator=generator)


@pytest.fixture
def textures() -> Textures:
    """See ``Textures``."""
    import torch

    generator = torch.Generator().manual_seed(0)
    rows = torch.arange(SIDE)
    stripes = (0.5 + 0.4 * torch.sin(rows * 0.8))[:, None].expand(SIDE, SIDE)
    plain = [torch.full((SIDE, SIDE), 0.2), stripes, torch.rand(SIDE, SIDE, generator=generator)]
    pairs = [(0, 0), (1, 1), (2, 2), (0, 1), (1, 2), (2, 0)]
    masks = torch.stack([torch.where(rows < SIDE // 2, a, b).expand(SIDE, SIDE) for a, b in pairs])
    image = torch.stack([torch.where(m == 0, plain[0], torch.where(m == 1, plain[1], plain[2])) for m in masks])
    tags = torch.stack([torch.stack([(m == c).any() for c in range(3)]) for m in masks]).float()
    return Textures(image[:, None].expand(-1, 3, -1, -1).contiguous(), tags, masks)


@dataclass(frozen=True)
class Runs:
    """Models of a run of six steps: in one go, and broken off after step 3 and resumed from step 2."""

    whole: Path
    cut: Path
    checkpoint: Any
    """State of the broken run."""


@pytest.fixture
def broken_run(tiny, tmp_path):
    """Function ``(method, settings)`` that makes ``Runs`` on the tiny tile set."""
    import torch

    import wsss_geo
    from wsss_geo.progress import Progress

    class PowerCut(Progress):
        def emit(self, kind, fields):
            if kind == "progress" and fields["done"] > 2:
                raise RuntimeError("power cut")

    def run(method, settings):
        given = {
            "method": method, "backbone": "vit_tiny_patch16_224", "batch_size": 3, "device": "cpu",
            "backbone_args": {"patch_size": 8, "depth": 2, "embed_dim": 32, "num_heads": 2},
            "precision": "float32", "settings": {"decoder_width": 16, **settings}, "steps": 6, "check_every": 2,
        }  # fmt: skip
        whole = wsss_geo.train(tiny.tiles, out=tmp_path / "whole", **given)
        with pytest.raises(RuntimeError, match="power cut"):
            wsss_geo.train(tiny.tiles, out=tmp_path / "cut", report=PowerCut(), **given)
        kept = torch.load(tmp_path / "cut" / "resume.ckpt", weights_only=True)
        cut = wsss_geo.train(tiny.tiles, out=tmp_path / "cut", **given)
        assert (tmp_path / "whole" / "metrics.csv").read_text() == (tmp_path / "cut" / "metrics.csv").read_text()
        return Runs(Path(whole.model), Path(cut.model), kept)

    return run
