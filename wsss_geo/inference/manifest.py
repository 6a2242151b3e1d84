"""The work folder ``<out>.work``: finished bands and a manifest, so that a killed run goes on where it was.

``manifest.jsonl`` starts with the key: everything that the result depends on. Each finished band adds a line after its
file has got its final name, so a line is only ever written for a whole file. A torn last line is ignored.
"""

from __future__ import annotations

import json
import os
import shutil
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from wsss_geo.errors import InputError


class WorkFolder:
    """The bands ``0 .. finished - 1`` of a run; ``lines`` holds what was noted for each."""

    def __init__(self, folder: Path, key: Mapping[str, Any]) -> None:
        """Open ``folder`` and keep its bands if ``key`` is the same; otherwise start afresh.

        ``restarted`` names the parts of the key that differ, if any. Raises InputError when the folder cannot be made.
        """
        self._folder = folder
        self._manifest = folder / "manifest.jsonl"
        self.key = json.loads(json.dumps(key))
        self.lines: list[dict[str, Any]] = []
        self.restarted: list[str] = []
        found = self._read()
        if found and found[0] == self.key:
            for line in found[1:]:
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
        part.write_bytes(zlib.compress(content, 1))
        os.replace(part, path)
        self.lines.append({"band": band, **line})
        with self._manifest.open("a", encoding="utf-8") as file:
            file.write(json.dumps(self.lines[-1]) + "\n")

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
        try:
            self._folder.mkdir(exist_ok=True)
        except OSError as error:
            raise InputError(self._folder, f"work folder cannot be made ({error.strerror})", "choose another output") from None
        part = self._manifest.with_suffix(".part")
        part.write_text("".join(json.dumps(line) + "\n" for line in [self.key, *self.lines]), encoding="utf-8")
        os.replace(part, self._manifest)
