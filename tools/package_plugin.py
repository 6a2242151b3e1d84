"""Build the QGIS plugin from an allow-list: a folder, a zip, or a development link.

    python tools/package_plugin.py --zip dist/wsss_geo_segment.zip
    python tools/package_plugin.py --folder DIR              makes DIR/wsss_geo_segment
    python tools/package_plugin.py --link PROFILE_PLUGINS    links the checkout there instead of copying

The zip depends on the content alone: entries are sorted, times and permissions fixed.
"""

from __future__ import annotations

import argparse
import configparser
import os
import re
import shutil
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
NAME = "wsss_geo_segment"
#: Where the files at the top of the plugin come from.
TOP = {
    "__init__.py": "qgis_plugin/package_init.py",
    "LICENSE": "LICENSE",
    "README.md": "qgis_plugin/README.md",
    "icon.png": "qgis_plugin/icon.png",
    "metadata.txt": "metadata.txt",
}
TREES = ("qgis_plugin", "wsss_geo")
SUFFIXES = frozenset({".py", ".typed", ".json", ".yaml", ".html", ".ui", ".qm", ".svg", ".png"})
REQUIRED_KEYS = (
    "name", "description", "version", "qgisMinimumVersion", "author", "email", "about", "tracker", "repository",
)  # fmt: skip
MAX_BYTES = 25_000_000
_TIME = (1980, 1, 1, 0, 0, 0)


class PackageError(Exception):
    """The plugin cannot be packaged as it is."""


def plugin_files(root: Path = ROOT) -> dict[str, Path]:
    """Return path inside the plugin -> file, sorted. Raises PackageError if a file of the top is missing."""
    files = {inside: root / source for inside, source in TOP.items()}
    missing = [str(path) for path in files.values() if not path.is_file()]
    if missing:
        raise PackageError(f"missing: {', '.join(missing)}")
    placed = set(files.values())
    for tree in TREES:
        for path in (root / tree).rglob("*"):
            inside = path.relative_to(root)
            hidden = any(part.startswith(".") or part == "__pycache__" for part in inside.parts)
            if path.is_file() and path.suffix in SUFFIXES and not hidden and path not in placed:
                files[inside.as_posix()] = path
    return dict(sorted(files.items()))


def engine_version(root: Path = ROOT) -> str:
    """Return ``__version__`` of the engine's package, the one place where the version is written."""
    found = re.search(r'^__version__ = "([^"]+)"$', (root / "wsss_geo/__init__.py").read_text("utf-8"), re.MULTILINE)
    if found is None:
        raise PackageError("wsss_geo/__init__.py has no __version__")
    return found.group(1)


def metadata_faults(text: str, version: str) -> list[str]:
    """Return what the plugin site would refuse in ``metadata.txt``."""
    parser = configparser.ConfigParser(interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    try:
        parser.read_string(text)
        values = dict(parser["general"])
    except (configparser.Error, KeyError) as error:
        return [f"metadata.txt cannot be read: {error}"]
    faults = [f"metadata.txt lacks {key}" for key in REQUIRED_KEYS if not values.get(key, "").strip()]
    if not re.fullmatch(r"\d+\.\d+\.\d+", values.get("version", "")):
        faults.append(f"version {values.get('version')!r} is not like 1.2.3")
    if values.get("version") != version:
        faults.append(f"version {values.get('version')!r} is not the engine's {version!r}")
    shown = [k for k in values if k.partition("[")[0] in ("description", "about")]
    faults += [f"{k} holds HTML" for k in shown if re.search(r"<\s*/?\s*\w", values[k])]
    if "plugin" in values.get("name", "").lower():
        faults.append("the name holds the word plugin")
    if "supportsQt6" in values:
        faults.append("supportsQt6 is deprecated")
    return faults


def check(files: dict[str, Path], root: Path = ROOT) -> None:
    """Check what the plugin site checks and is cheap. Raises PackageError."""
    faults = metadata_faults(files["metadata.txt"].read_text("utf-8"), engine_version(root))
    size = sum(path.stat().st_size for path in files.values())
    if size > MAX_BYTES:
        faults.append(f"{size} bytes are more than {MAX_BYTES}")
    faults += [f"{path} is a link" for path in files.values() if path.is_symlink()]
    if faults:
        raise PackageError("; ".join(faults))


def write_zip(target: Path, root: Path = ROOT) -> Path:
    """Write the plugin's zip, whole or not at all, and return its path. Raises PackageError."""
    files = plugin_files(root)
    check(files, root)
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    try:
        with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
            for inside, path in files.items():
                entry = zipfile.ZipInfo(f"{NAME}/{inside}", _TIME)
                entry.compress_type = zipfile.ZIP_DEFLATED
                entry.create_system = 3
                entry.external_attr = 0o100644 << 16
                archive.writestr(entry, path.read_bytes())
        os.replace(part, target)
    finally:
        part.unlink(missing_ok=True)
    return target


def write_folder(parent: Path, root: Path = ROOT) -> Path:
    """Write the plugin as a folder into ``parent``, in place of an older one, and return it. Raises PackageError."""
    files = plugin_files(root)
    check(files, root)
    parent.mkdir(parents=True, exist_ok=True)
    target = parent / NAME
    with tempfile.TemporaryDirectory(dir=parent, prefix=".wsss_geo_") as scratch:
        made = Path(scratch) / NAME
        for inside, path in files.items():
            (made / inside).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, made / inside)
        _remove(target)
        os.replace(made, target)
    return target


def link(plugins: Path, root: Path = ROOT) -> Path:
    """Link the checkout as a plugin into the folder ``plugins`` of a profile and return the link's folder.

    The links are relative, so that a profile and a checkout can be moved together.
    """
    target = plugins / NAME
    target.mkdir(parents=True, exist_ok=True)
    for inside, source in {**TOP, **{tree: tree for tree in TREES}}.items():
        place = target / inside
        _remove(place)
        place.symlink_to(os.path.relpath(root / source, place.parent.resolve()))
    return target


def _remove(path: Path) -> None:
    if path.is_symlink() or path.is_file():
        path.unlink()
    elif path.is_dir():
        if path.name == NAME and not (path / "metadata.txt").exists() and any(path.iterdir()):
            raise PackageError(f"{path} holds something else; remove it first")
        shutil.rmtree(path)


def main() -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    group = parser.add_mutually_exclusive_group(required=True)
    group.add_argument("--zip", type=Path, metavar="FILE", help="write the zip for the plugin site")
    group.add_argument("--folder", type=Path, metavar="DIR", help="write the plugin's folder into DIR")
    group.add_argument("--link", type=Path, metavar="DIR", help="link the checkout into a profile's python/plugins")
    options = parser.parse_args()
    try:
        if options.zip:
            made = write_zip(options.zip)
        else:
            made = write_folder(options.folder) if options.folder else link(options.link)
    except (PackageError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 3
    print(made)
    return 0


if __name__ == "__main__":
    sys.exit(main())
