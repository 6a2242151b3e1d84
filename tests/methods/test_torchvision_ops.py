"""timm must import whether or not torchvision's compiled operators fit the installed PyTorch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def run(program: str) -> str:
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module", autouse=True)
def _needs_timm() -> None:
    # Not importorskip: importing timm here would fail in the very case these tests are about.
    from importlib.util import find_spec

    if find_spec("timm") is None or find_spec("torchvision") is None:
        pytest.skip("timm and torchvision are not installed")


def test_timm_imports_and_builds_a_network() -> None:
    out = run(
        "import sys\n"
        "from wsss_geo.nn.torchvision_ops import ensure_torchvision_imports\n"
        "ensure_torchvision_imports()\n"
        "assert 'torchvision' not in sys.modules, 'must not import it itself'\n"
        "ensure_torchvision_imports()\n"
        "import timm\n"
        "ensure_torchvision_imports()\n"
        "print(timm.create_model('vit_tiny_patch16_224', num_classes=0).num_features)"
    )
    assert out.split()[-1] == "192"


def test_declared_operators_refuse_to_run_and_compiled_ones_run() -> None:
    out = run(
        "from wsss_geo.nn import torchvision_ops\n"
        "torchvision_ops.ensure_torchvision_imports()\n"
        "import torch, torchvision\n"
        "declared = bool(torchvision_ops._declared)\n"
        "assert declared != torchvision.extension._has_ops()\n"
        "boxes, scores = torch.tensor([[0., 0., 1., 1.]]), torch.ones(1)\n"
        "try:\n"
        "    torch.ops.torchvision.nms(boxes, scores, 0.5)\n"
        "    assert not declared\n"
        "except NotImplementedError:\n"
        "    assert declared\n"
        "print('fine')"
    )
    assert out.split()[-1] == "fine"


def test_existing_operators_are_left_alone() -> None:
    out = run(
        "import torch\n"
        "mine = torch.library.Library('torchvision', 'FRAGMENT')\n"
        "for name in ('nms', 'qnms'):\n"
        "    mine.define(name + '(Tensor dets, Tensor scores, float iou_threshold) -> Tensor')\n"
        "from wsss_geo.nn import torchvision_ops\n"
        "torchvision_ops.ensure_torchvision_imports()\n"
        "print(len(torchvision_ops._declared))"
    )
    assert out.split()[-1] == "0"


def test_a_missing_torchvision_is_no_error() -> None:
    out = run(
        "import wsss_geo.nn.torchvision_ops as ops\n"
        "ops.find_spec = lambda name: None\n"
        "ops.ensure_torchvision_imports()\n"
        "print(len(ops._declared))"
    )
    assert out.split()[-1] == "0"
