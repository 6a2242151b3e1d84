"""Why a step of the set-up failed: a sentence for the user from what pip or venv printed."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ..translate import tr


def explain(title: str, code: int, log: Sequence[str], folder: str, version: str) -> str:
    """Return one sentence.

    ``title`` names the step, ``code`` is its exit code, ``folder`` that of the wheels (empty: from the network) and
    ``version`` the Python's.
    """
    text = "\n".join(log)
    found = re.search(r"No matching distribution found for ([^\s;]+)", text)
    wanted = found.group(1) if found else ""
    if _has(text, "No space left on device", "WinError 112", "Disk quota exceeded"):
        return tr("{} failed because the disk is full; free some space and set up again.").format(title)
    if _has(text, "CERTIFICATE_VERIFY_FAILED", "SSLError", "SSLCertVerificationError"):
        return tr(
            "{} failed because the server's certificate is not trusted here; ask who runs the network for pip's "
            "setting “cert”, or install from a folder of wheels."
        ).format(title)
    if not folder and _has(text, *_NO_NETWORK):
        return tr(
            "{} failed because the package index cannot be reached; check network and proxy (Settings > Options > "
            "Network), or install from a folder of wheels."
        ).format(title)
    if wanted and folder:
        return tr(
            "Folder {} has no wheel of {} for Python {}; add it and what it depends on, and set up again."
        ).format(folder, wanted, version)
    if wanted:
        return tr("The package index has no wheel of {} for Python {}; choose another Python, best 3.12.").format(
            wanted, version
        )
    if _has(text, "ensurepip is not available", "No module named ensurepip", "No module named venv"):
        return tr("This Python cannot make environments; install its venv package or choose another.")
    if _has(text, "PermissionError", "Permission denied", "Access is denied", *_LOCKED):
        return tr(
            "{} was kept from writing or starting a file, as by an antivirus program or missing rights; allow the "
            "folder there and set up again."
        ).format(title)
    if code < 0:
        return tr("{} was ended from outside (signal {}); set up again, or look for an antivirus program.").format(
            title, -code
        )
    return tr("{} failed (exit {}); the log tells more.").format(title, code)


_NO_NETWORK = (
    "Failed to establish a new connection", "Name or service not known", "Temporary failure in name resolution",
    "getaddrinfo failed", "ConnectTimeoutError", "ReadTimeoutError", "ProxyError", "Network is unreachable",
    "Connection refused", "NameResolutionError",
)  # fmt: skip
_LOCKED = ("WinError 5]", "WinError 32]", "WinError 225]", "Operation did not complete successfully because the file")


def _has(text: str, *marks: str) -> bool:
    return any(mark in text for mark in marks)
