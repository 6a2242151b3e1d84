"""Write what the engine consists of as a CycloneDX bill of materials: dist/wsss-geo-VERSION.cdx.json.

    python tools/sbom.py

It lists what is installed here and needed when the engine runs, the extra ``cluster`` among it; tools of development
are left out. The same environment gives the same bytes.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Collection, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
SPEC = "1.6"


def needed(name: str, extras: Collection[str] = ()) -> set[str]:
    """Return the canonical names of the installed packages that ``name`` with ``extras`` needs, its own among them.

    Raises importlib.metadata.PackageNotFoundError.
    """
    found: set[tuple[str, str]] = set()
    waiting = [(str(canonicalize_name(name)), extra) for extra in ("", *extras)]
    while waiting:
        part = waiting.pop()
        if part in found:
            continue
        found.add(part)
        for line in metadata.requires(part[0]) or ():
            wanted = Requirement(line)
            if wanted.marker is None or wanted.marker.evaluate({"extra": part[1]}):
                waiting += [(str(canonicalize_name(wanted.name)), extra) for extra in ("", *wanted.extras)]
    return {package for package, _ in found}


def listed() -> dict[str, Any]:
    """Return the bill of all that is installed beside this Python, as cyclonedx-bom makes and validates it."""
    options = ["--pyproject", str(ROOT / "pyproject.toml"), "--output-reproducible", "--spec-version", SPEC]
    command = [sys.executable, "-m", "cyclonedx_py", "environment", "--validate", *options, sys.executable]
    bill: dict[str, Any] = json.loads(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout)
    return bill


def narrowed(bill: Mapping[str, Any], names: Collection[str], version: str) -> dict[str, Any]:
    """Return the bill of the packages ``names`` and the main component, without places on this machine."""
    main = {**_public(bill["metadata"]["component"]), "version": version}
    components = [_public(c) for c in bill["components"] if canonicalize_name(c["name"]) in names]
    kept = {main["bom-ref"], *(c["bom-ref"] for c in components)}
    needs = {e["ref"]: [r for r in e.get("dependsOn", ()) if r in kept] for e in bill["dependencies"]}
    dependencies = [{"ref": r, **({"dependsOn": on} if on else {})} for r, on in needs.items() if r in kept]
    return {
        **bill,
        "metadata": {**bill["metadata"], "component": main},
        "components": components,
        "dependencies": dependencies,
    }


def _public(component: Mapping[str, Any]) -> dict[str, Any]:
    places = [r for r in component.get("externalReferences", ()) if not r["url"].startswith("file:")]
    rest = {key: value for key, value in component.items() if key != "externalReferences"}
    return {**rest, "externalReferences": places} if places else rest


def fault(text: str) -> str:
    """Return what is wrong with a bill by CycloneDX's schema, or an empty text."""
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    wrong = JsonStrictValidator(SchemaVersion.from_version(SPEC)).validate_str(text)
    return "" if wrong is None else str(wrong)


def main() -> int:
    """Entry point."""
    version = metadata.version("wsss-geo")
    bill = narrowed(listed(), needed("wsss-geo", ["cluster"]), version)
    text = json.dumps(bill, indent=2, ensure_ascii=False) + "\n"
    if wrong := fault(text):
        sys.stderr.write(f"sbom: {wrong}\n")
        return 1
    target = ROOT / "dist" / f"wsss-geo-{version}.cdx.json"
    target.parent.mkdir(exist_ok=True)
    part = target.with_suffix(".part")
    part.write_text(text, encoding="utf-8")
    os.replace(part, target)
    sys.stdout.write(f"{target.relative_to(ROOT)}: {len(bill['components'])} components\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
