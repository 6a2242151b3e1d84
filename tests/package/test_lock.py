"""The lock files: every file by its hash, nothing from elsewhere, all that the project asks for."""

from __future__ import annotations

import importlib.util
import json
import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
LOCKS = ("requirements.lock", "torch.lock")
_PIN = re.compile(r"^([a-z0-9][a-z0-9.-]*)==([^ ]+)( ; [^\\]+)?( \\)?$")


def pins(name: str) -> dict[str, str]:
    found = {}
    for line in (ROOT / name).read_text(encoding="utf-8").splitlines():
        if line and not line.startswith((" ", "#")):
            match = _PIN.fullmatch(line)
            assert match, f"{name}: {line}"
            found[match[1]] = match[2]
    return found


def tool(name: str):
    spec = importlib.util.spec_from_file_location(f"tools_{name}", ROOT / "tools" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", LOCKS)
def test_every_package_has_hashes_and_nothing_else(name):
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    for line, following in zip(lines, [*lines[1:], ""], strict=True):
        if line.startswith("    "):
            assert re.fullmatch(r"    --hash=sha256:[0-9a-f]{64}( \\)?", line)
        elif not line.startswith("#"):
            assert _PIN.fullmatch(line)
            assert following.startswith("    --hash="), line


def test_constraints_are_the_locked_versions():
    locked = {k: v for lock in LOCKS for k, v in pins(lock).items()}
    alone = pins("constraints.txt")
    assert {k: locked[k] for k in alone} == alone
    assert all(re.match("nvidia-|cuda-|triton$", name) for name in set(locked) - set(alone))


def test_torch_is_apart_because_it_has_many_builds():
    assert {"torch", "torchvision"} <= set(pins("torch.lock"))
    assert not set(pins("requirements.lock")) & set(pins("torch.lock"))


def test_the_lock_has_all_that_the_project_asks_for():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    groups = [*project["project"]["optional-dependencies"].values(), *project["dependency-groups"].values()]
    groups += [project["project"]["dependencies"], project["build-system"]["requires"]]
    wanted = [line for group in groups for line in group]
    versions = pins("constraints.txt")
    for requirement in map(Requirement, wanted):
        version = versions.get(str(canonicalize_name(requirement.name)))
        assert version is not None, f"{requirement} is not locked; run make lock"
        assert version in requirement.specifier, f"{requirement} is locked at {version}; run make lock"


def test_what_the_index_does_not_answer_is_not_sound():
    judge = tool("audit").judge
    sound = {"name": "a", "version": "1", "vulns": []}
    silent = {"name": "b", "skip_reason": "not found"}
    weak = {"name": "c", "version": "2", "vulns": [{"id": "CVE-1", "fix_versions": ["3"]}]}
    assert judge({"dependencies": [sound]})[0] == 0
    code, lines = judge({"dependencies": [sound, silent]})
    assert code == 4
    assert "1 of 2 packages (b)" in lines[0]
    code, lines = judge({"dependencies": [weak, silent]})
    assert code == 1
    assert lines[0] == "c 2: CVE-1, mended in 3"


def test_the_bill_names_what_runs_and_no_place():
    pytest.importorskip("cyclonedx", reason="cyclonedx-bom is not installed; run make setup")
    sbom = tool("sbom")
    place = {"type": "distribution", "url": "file:///home/somebody/wsss-geo"}
    main = {"type": "application", "name": "wsss-geo", "bom-ref": "root", "externalReferences": [place]}
    names = ("numpy", "typing_extensions", "pytest")
    bill = {
        "bomFormat": "CycloneDX",
        "specVersion": sbom.SPEC,
        "version": 1,
        "metadata": {"component": main},
        "components": [{"type": "library", "name": n, "bom-ref": n, "version": "1"} for n in names],
        "dependencies": [{"ref": "root", "dependsOn": ["numpy", "pytest"]}, {"ref": "numpy"}, {"ref": "pytest"}],
    }
    out = sbom.narrowed(bill, {"numpy", "typing-extensions"}, "1.2.3")
    assert [c["name"] for c in out["components"]] == ["numpy", "typing_extensions"]
    assert out["dependencies"] == [{"ref": "root", "dependsOn": ["numpy"]}, {"ref": "numpy"}]
    assert out["metadata"]["component"]["version"] == "1.2.3"
    assert "somebody" not in str(out)
    assert sbom.fault(json.dumps(out)) == ""
    assert "specVersion" in sbom.fault('{"bomFormat": "CycloneDX"}')


def test_what_runs_is_what_packages_ask_for():
    found = tool("sbom").needed("wsss-geo", ["cluster"])
    assert {"wsss-geo", "torch", "rasterio", "distributed", "numpy"} <= found
    assert not found & {"pytest", "ruff", "mypy", "bandit", "uv"}
