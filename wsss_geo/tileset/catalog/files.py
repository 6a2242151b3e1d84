"""Finding the files of a data set, and saying what is missing."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from wsss_geo.errors import InputError

_ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".7z", ".rar")


def files_below(root: Path, suffixes: Iterable[str]) -> list[Path]:
    """Files below ``root`` with one of the ``suffixes``, sorted; hidden files and folders are left out."""
    wanted = set(suffixes)
    found = (p for p in root.rglob("*") if p.suffix.lower() in wanted)
    return sorted(p for p in found if not any(part.startswith(".") for part in p.relative_to(root).parts))


def named(files: Iterable[Path], pattern: str) -> dict[str, Path]:
    """Files whose whole name matches, by the first group of the pattern, their id. Raises InputError for one twice."""
    found: dict[str, Path] = {}
    for path in files:
        if match := re.fullmatch(pattern, path.name):
            other = found.setdefault(match[1], path)
            if other is not path:
                raise InputError(path, f"has the same id {match[1]} as {other}", "remove one of them")
    return found


def missing(root: Path, what: str, where: str) -> InputError:
    """The error for a folder without ``what``, expected at ``where``; it names archives that lie there unextracted."""
    archives = sorted(p.name for p in root.rglob("*") if p.suffix.lower() in _ARCHIVES)
    hint = f"expected {where}" + (f"; extract {', '.join(archives[:3])} first" if archives else "")
    return InputError(root, f"holds no {what}", hint)


def check_pairs(root: Path, images: Mapping[str, Path], masks: Mapping[str, Path], what: str) -> None:
    """Check that every image has a mask and every mask an image. Raises InputError: an archive is half extracted."""
    for have, lack, word, other in ((images, masks, "image", "mask"), (masks, images, "mask", "image")):
        alone = sorted(set(have) - set(lack))
        if alone:
            raise InputError(
                root,
                f"{len(alone)} of {len(have)} {word}s of {what} have no {other} (first: {have[alone[0]].name})",
                f"extract the {other}s of {what} again, the archive seems half extracted",
            )


def part_of(path: Path, root: Path, names: Iterable[str]) -> str | None:
    """The first folder between ``root`` and ``path`` that is one of ``names`` (lower case), None if there is none."""
    wanted = set(names)
    return next((p.lower() for p in path.relative_to(root).parts[:-1] if p.lower() in wanted), None)
