"""The work folder ``<out>.work``: finished bands and manifests, so that a killed run goes on and many may share one.

Every process that computes bands has a manifest of its own, ``manifest.jsonl`` or ``manifest.<writer>.jsonl``, so no
two ever write to the same file. A manifest starts with the key: everything that the result depends on. Each finished
band adds a line after its file has got its final name, so a line is only ever written for a whole file. A torn last
line is ignored. What is finished is what any of the manifests says.
"""

from __future__ import annotations

import contextlib
import glob
import json
import os
import shutil
import threading
import uuid
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from wsss_geo.errors import EnvironmentFault, InputError


class WorkFolder:
    """``bands`` and ``groups`` hold what was noted on the finished bands and on the groups of windows, by number."""

    def __init__(self, folder: Path, key: Mapping[str, Any], writer: str = "") -> None:
        """Use ``begin`` or ``join``."""
        self.folder = folder
        self.writer = writer
        self.key: dict[str, Any] = json.loads(json.dumps(key))
        self.bands: dict[int, dict[str, Any]] = {}
        self.groups: dict[int, dict[str, Any]] = {}
        self.restarted: list[str] = []
        """The parts of the key that differ from those of dropped work."""
        self._manifest = folder / (f"manifest.{writer}.jsonl" if writer else "manifest.jsonl")
        self._known: dict[Path, int] = {}
        """The sizes of the manifests whose every line has been taken note of."""
        self._lock = threading.Lock()
        self._token = uuid.uuid4().hex[:8]

    @classmethod
    def begin(cls, folder: Path, key: Mapping[str, Any]) -> WorkFolder:
        """Open ``folder`` as the one run that uses it: what was begun with another key is dropped.

        Raises EnvironmentFault when the folder cannot be written.
        """
        for left in folder.parent.glob(f"{glob.escape(folder.name)}.*.part"):  # by a run that was killed in ``remove``
            shutil.rmtree(left, ignore_errors=True)
        work = cls(folder, key)
        work.restarted = work._strange()
        if work.restarted:
            work.remove()
        work.refresh()
        if not work.bands:
            work.remove()
        try:
            work._open()
        except EnvironmentFault:
            if not work.bands:
                work.remove()
            raise
        return work

    @classmethod
    def join(cls, folder: Path, key: Mapping[str, Any], writer: str, *, make: bool = True) -> WorkFolder:
        """Open ``folder`` beside other processes; ``writer`` is a name that no other of them has.

        With ``make`` the folder is made if it is missing. Raises InputError when the work there was begun with another
        key, or there is none and it is not to be made; EnvironmentFault when the folder cannot be written.
        """
        work = cls(folder, key, writer)
        if not make and not folder.is_dir():
            raise InputError(folder, "holds no work", "run the same command with --shard first")
        strange = work._strange()
        if strange:
            raise InputError(
                folder,
                f"was begun with another {', '.join(strange)}",
                "run everything with the same options, or delete this folder to start afresh",
            )
        work.refresh()
        if writer:
            work._open()
        return work

    @property
    def alive(self) -> bool:
        """Whether the folder is still there; whoever began it takes it away when the run is finished or cancelled."""
        return self._manifest.exists()

    def refresh(self) -> None:
        """Look what other processes have finished since."""
        for path in self.folder.glob("manifest*.jsonl"):
            with contextlib.suppress(OSError):
                size = path.stat().st_size
                if self._known.get(path) == size:
                    continue
                lines = _read(path)
                if lines and lines[0] == self.key and self._take(lines[1:]):
                    self._known[path] = size

    def _take(self, lines: list[dict[str, Any]]) -> bool:
        """Note ``lines``; tells whether the files of all bands are there."""
        whole = True
        for line in lines:
            if "group" in line:
                self.groups.setdefault(int(line["group"]), line)
            elif self._path(int(line["band"])).is_file():
                self.bands.setdefault(int(line["band"]), line)
            else:
                whole = False
        return whole

    def save(self, band: int, content: bytes, line: Mapping[str, Any]) -> None:
        """Keep the ``content`` of ``band`` and note ``line``."""
        self._put(self._path(band), zlib.compress(content, 1))
        self.bands[band] = {"band": band, **line}
        self._append(self.bands[band])

    def note_group(self, group: int, line: Mapping[str, Any]) -> None:
        """Note what a group of windows was; a group that is run again is noted once."""
        self.groups[group] = {"group": group, **line}
        self._append(self.groups[group])

    def load(self, band: int) -> bytes | None:
        """Return the content of ``band``, None if it is not finished or its file is damaged."""
        if band not in self.bands:
            return None
        try:
            return zlib.decompress(self._path(band).read_bytes())
        except (OSError, zlib.error):
            return None

    def drop(self, band: int) -> None:
        """Forget a band whose file is damaged, and the file."""
        self.bands.pop(band, None)
        self._known.clear()
        self._path(band).unlink(missing_ok=True)

    def missing(self, count: int) -> list[range]:
        """Return the runs of bands among the first ``count`` that are not finished."""
        runs: list[range] = []
        for band in (b for b in range(count) if b not in self.bands):
            if runs and runs[-1].stop == band:
                runs[-1] = range(runs[-1].start, band + 1)
            else:
                runs.append(range(band, band + 1))
        return runs

    def writers(self) -> list[str]:
        """Return the names of all processes that have worked here."""
        return sorted(path.name.split(".")[1] for path, _ in self._manifests() if path.name != "manifest.jsonl")

    def remove(self) -> None:
        """Delete the folder; other processes that still use it notice."""
        gone = self.folder.with_name(f"{self.folder.name}.{self._token}.part")
        with contextlib.suppress(OSError):  # at one blow, so that nobody can add to it while it is emptied
            self.folder.rename(gone)
        for folder in (gone, self.folder):
            shutil.rmtree(folder, ignore_errors=True)
            shutil.rmtree(folder, ignore_errors=True)  # a file that was being written may have come in between
        self.bands, self.groups, self._known = {}, {}, {}

    def _path(self, band: int) -> Path:
        return self.folder / f"band_{band:06d}"

    def _strange(self) -> list[str]:
        """Return the parts of the key in which manifests differ from this run."""
        keys = [lines[0] for _, lines in self._manifests() if lines]
        return sorted({k for other in keys for k in {*self.key, *other} if self.key.get(k) != other.get(k)})

    def _manifests(self) -> list[tuple[Path, list[dict[str, Any]]]]:
        return [(path, _read(path)) for path in sorted(self.folder.glob("manifest*.jsonl"))]

    def _open(self) -> None:
        """Write the own manifest anew with the lines of it that count, atomically."""
        lines = _read(self._manifest) or [self.key]
        with self._writing():
            self.folder.mkdir(exist_ok=True)
        self._put(self._manifest, "".join(json.dumps(line) + "\n" for line in lines).encode())

    def _put(self, path: Path, content: bytes) -> None:
        """Write a file, whole or not at all."""
        part = path.with_name(f"{path.name}.{self._token}.part")
        with self._writing():
            try:
                part.write_bytes(content)
                os.replace(part, path)
            finally:
                part.unlink(missing_ok=True)

    def _append(self, line: Mapping[str, Any]) -> None:
        with self._writing(), self._lock, self._manifest.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if isinstance(error, FileNotFoundError) and not self.folder.exists():
                problem = f"{self.folder}: was taken away while it was in use"
                raise EnvironmentFault(problem, "the run was cancelled or finished elsewhere; run again") from error
            problem = f"{self.folder}: cannot be written ({error.strerror})"
            raise EnvironmentFault(problem, "free some space, check the permissions, and run again") from error


def read_key(folder: Path) -> dict[str, Any] | None:
    """Return the key of the work in ``folder``, None if there is none."""
    found = [lines[0] for path in sorted(folder.glob("manifest*.jsonl")) if (lines := _read(path))]
    return found[0] if found else None


def _read(path: Path) -> list[dict[str, Any]]:
    """Return the whole lines of a manifest."""
    lines: list[dict[str, Any]] = []
    try:
        for text in path.read_text(encoding="utf-8").splitlines():
            line = json.loads(text)
            if not isinstance(line, dict) or (lines and not isinstance(line.get("group", line.get("band")), int)):
                break
            lines.append(line)
    except (OSError, ValueError, RecursionError):  # none there, or the last line was cut off by a kill
        return lines
    return lines
