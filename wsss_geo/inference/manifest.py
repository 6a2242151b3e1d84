"""The work folder ``<out>.work``: finished bands and a manifest, so that a killed run goes on where it was.

``manifest.jsonl`` starts with the key: everything that the result depends on. Each finished band adds a line after its
file has got its final name, so a line is only ever written for a whole file. A torn last line is ignored.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import threading
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from wsss_geo.errors import EnvironmentFault


class WorkFolder:
    """The bands ``0 .. finished - 1`` of a run; ``lines`` and ``groups`` hold what was noted on bands and groups."""

    def __init__(self, folder: Path, key: Mapping[str, Any]) -> None:
        """Open ``folder`` and keep its bands if ``key`` is the same; otherwise start afresh.

        ``restarted`` names the parts of the key that differ, if any. Raises EnvironmentFault when the folder cannot
        be written.
        """
        self._folder = folder
        self._lock = threading.Lock()
        self._manifest = folder / "manifest.jsonl"
        self.key = json.loads(json.dumps(key))
        self.lines: list[dict[str, Any]] = []
        self.groups: dict[int, dict[str, Any]] = {}
        self.restarted: list[str] = []
        found = self._read()
        if found and found[0] == self.key:
            for line in found[1:]:
                if "group" in line:
                    self.groups[int(line["group"])] = line
                    continue
                if line.get("band") != len(self.lines) or not self._path(len(self.lines)).is_file():
                    break
                self.lines.append(line)
        elif found:
            self.restarted = sorted(k for k in {*self.key, *found[0]} if self.key.get(k) != found[0].get(k))
        self._begin()

    @property
    def finished(self) -> int:
        """How many bands are there."""
        return len(self.lines)

    def save(self, band: int, content: bytes, line: Mapping[str, Any]) -> None:
        """Keep the ``content`` of ``band``, the next one, and note ``line``."""
        path = self._path(band)
        part = path.with_suffix(".part")
        with self._writing():
            part.write_bytes(zlib.compress(content, 1))
            os.replace(part, path)
        self.lines.append({"band": band, **line})
        self._append(self.lines[-1])

    def note_group(self, group: int, line: Mapping[str, Any]) -> None:
        """Note what a group of windows was; a group that is run again is noted once."""
        self.groups[group] = {"group": group, **line}
        self._append(self.groups[group])

    def _append(self, line: Mapping[str, Any]) -> None:
        with self._writing(), self._lock, self._manifest.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def load(self, band: int) -> bytes | None:
        """Return the content of ``band``, None if its file is damaged."""
        try:
            return zlib.decompress(self._path(band).read_bytes())
        except (OSError, zlib.error):
            return None

    def forget_from(self, band: int) -> None:
        """Drop ``band`` and all after it."""
        self.lines = self.lines[:band]
        self._begin()

    def remove(self) -> None:
        """Delete the folder."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _path(self, band: int) -> Path:
        return self._folder / f"band_{band:06d}"

    def _read(self) -> list[dict[str, Any]]:
        lines = []
        try:
            for text in self._manifest.read_text(encoding="utf-8").splitlines():
                line = json.loads(text)
                if not isinstance(line, dict):
                    break
                lines.append(line)
        except (OSError, ValueError):  # none there, or the last line was cut off by a kill
            return lines
        return lines

    def _begin(self) -> None:
        """Write the manifest anew with the lines that count, atomically."""
        if not self.lines:
            self.remove()
        part = self._manifest.with_suffix(".part")
        lines = [self.key, *self.groups.values(), *self.lines]
        with self._writing():
            self._folder.mkdir(exist_ok=True)
            part.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
            os.replace(part, self._manifest)

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            problem = f"{self._folder}: cannot be written ({error.strerror})"
            raise EnvironmentFault(problem, "free some space, check the permissions, and run again") from error
