"""The folds of published few-shot benchmarks: which classes each leaves out of training and scores.

A fold is written ``isaid-5i:0``. iSAID-5i (Yao et al., "Scale-aware detailed matching", TGRS 2021) takes the fifteen
classes of iSAID in their standard order, five a fold; one relative numbers its folds backwards, so that its fold 0 is
fold 2 here. DLRSD-5i takes fifteen of the seventeen classes of DLRSD in their order, here the first fifteen, as PCFNet
does (Ao et al., TGRS 2023); trees and water are neither learned nor scored. Others leave out field and sea instead:
name the classes for that.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from wsss_geo.classes import ClassScheme
from wsss_geo.errors import InputError, UsageError
from wsss_geo.progress import Progress


@dataclass(frozen=True)
class Benchmark:
    """``title`` as published, ``source`` to tile (a name that ``tile`` knows), and the classes of each fold."""

    title: str
    source: str
    folds: tuple[tuple[str, ...], ...]


BENCHMARKS: Mapping[str, Benchmark] = {
    "isaid-5i": Benchmark(
        "iSAID-5i",
        "isaid",
        (
            ("ship", "storage tank", "baseball diamond", "tennis court", "basketball court"),
            ("ground track field", "bridge", "large vehicle", "small vehicle", "helicopter"),
            ("swimming pool", "roundabout", "soccer ball field", "plane", "harbour"),
        ),
    ),
    "dlrsd-5i": Benchmark(
        "DLRSD-5i",
        "dlrsd",
        (
            ("airplane", "bare soil", "buildings", "cars", "chaparral"),
            ("court", "dock", "field", "grass", "mobile home"),
            ("pavement", "sand", "sea", "ship", "tanks"),
        ),
    ),
}
_FOLD = re.compile(r"\s*([a-z]+-5i)\s*:\s*(\w*)\s*", re.IGNORECASE)


@dataclass(frozen=True)
class Choice:
    """Classes by name, in channel order: ``chosen`` ones, and the ``others`` that may be learned from."""

    chosen: tuple[str, ...]
    others: tuple[str, ...]


def choose(text: str | None, scheme: ClassScheme, field: str, where: object, report: Progress) -> Choice:
    """The classes that ``text`` means: names separated by commas, or a fold, whose classes are then told.

    With a fold, the others are those of the benchmark's other folds alone. Raises UsageError for a class that the tile
    set ``where`` does not know and for a fold that there is not, InputError for a tile set without the benchmark's
    classes.
    """
    found = _FOLD.fullmatch(text or "")
    if found is None or text in scheme.taggable:
        names = _named(text, scheme, field)
        return Choice(names, tuple(n for n in scheme.taggable if n not in names))
    benchmark, number = _fold(found[1].lower(), found[2], field)
    held = benchmark.folds[number]
    every = [n for fold in benchmark.folds for n in fold]
    lacking = [n for n in (*held, *every) if n not in scheme.taggable]
    if lacking:
        listed = ", ".join(held)
        problem = f"knows no class {lacking[0]!r}, so it is no {benchmark.title}, whose fold {number} is {listed}"
        option = field.split(".")[1]
        hint = f"tile that data set (--dataset {benchmark.source}), or name classes of this one with --{option}"
        raise InputError(where, problem, hint)
    report.info(f"{where}: fold {number} of {benchmark.title} is {', '.join(held)}")
    chosen, others = (tuple(n for n in scheme.taggable if n in part) for part in (held, set(every) - set(held)))
    return Choice(chosen, others)


def _fold(name: str, number: str, field: str) -> tuple[Benchmark, int]:
    benchmark = BENCHMARKS.get(name)
    if benchmark is None:
        raise UsageError(f"{field}: {name!r} is no benchmark", f"choose {' or '.join(BENCHMARKS)}")
    if number not in [str(n) for n in range(len(benchmark.folds))]:
        last = len(benchmark.folds) - 1
        raise UsageError(f"{field}: {benchmark.title} has no fold {number!r}", f"choose {name}:0 to {name}:{last}")
    return benchmark, int(number)


def _named(text: str | None, scheme: ClassScheme, field: str) -> tuple[str, ...]:
    names = [part.strip() for part in (text or "").split(",") if part.strip()]
    unknown = [n for n in names if n not in scheme.taggable]
    if unknown:
        hint = f"choose among {', '.join(scheme.taggable)}, or a fold such as isaid-5i:0"
        raise UsageError(f"{field}: {unknown[0]!r} is no class here", hint)
    return tuple(n for n in scheme.taggable if n in names)
