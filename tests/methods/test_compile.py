"""``--compile`` changes the pace, not the result."""

from __future__ import annotations

import shutil

import pytest
from safetensors.torch import load_file

import wsss_geo
from wsss_geo.errors import EnvironmentFault

GIVEN = {
    "method": "toco", "backbone": "vit_tiny_patch16_224", "device": "cpu", "precision": "float32", "steps": 2,
    "backbone_args": {"patch_size": 8, "depth": 1, "embed_dim": 32, "num_heads": 2}, "batch_size": 2,
    "settings": {"decoder_width": 8, "dilation": 1, "middle": 1.0, "cam_scales": (1.0,), "crop_share": 0.5, "lr": 1e-3},
}  # fmt: skip


@pytest.mark.skipif(shutil.which("g++") is None, reason="needs a C++ compiler")
def test_a_compiled_run_ends_with_the_same_weights(tiny, tmp_path):
    plain = wsss_geo.train(tiny.tiles, out=tmp_path / "plain", **GIVEN)
    compiled = wsss_geo.train(tiny.tiles, out=tmp_path / "compiled", compile=True, **GIVEN)
    still = {**GIVEN, "settings": {**GIVEN["settings"], "lr": 0.0}}
    start = load_file(wsss_geo.train(tiny.tiles, out=tmp_path / "start", **still).model)
    one, other = load_file(plain.model), load_file(compiled.model)
    assert one.keys() == other.keys()
    moved = sum(((one[n] - start[n]) ** 2).sum() for n in one) ** 0.5
    apart = sum(((one[n] - other[n]) ** 2).sum() for n in one) ** 0.5
    assert moved > 0.01
    assert apart < 0.02 * moved


def test_without_a_compiler_it_is_said_before_the_run_begins(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(EnvironmentFault, match="no C\\+\\+ compiler"):
        wsss_geo.train(tiny.tiles, out=tmp_path / "run", compile=True, **GIVEN)
    assert not (tmp_path / "run").exists()
