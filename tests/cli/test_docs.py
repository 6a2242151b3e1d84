"""What README and documentation tell people to type and to look at exists."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from wsss_geo import api
from wsss_geo.cli import main

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
WITHOUT_JOB = ("info", "doctor", "demo", "run")
_COMMAND = re.compile(r"^(?:    |srun |\$ )?(wsss-geo [^\n]*(?:\\\n[^\n]*)*)$", re.MULTILINE)
_LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]+)")


def commands() -> list[tuple[str, str]]:
    """Page and command of every line that starts with the program's name; ellipses and NAME are not for typing."""
    found = []
    for page in PAGES:
        for text in _COMMAND.findall(page.read_text(encoding="utf-8")):
            if "..." not in text and not re.search(r"\bNAME\b|\[|<", text):
                found.append((page.relative_to(ROOT).as_posix(), text.replace("\\\n", " ")))
    return found


def test_there_are_commands_in_readme_and_tutorial() -> None:
    assert {"README.md", "docs/tutorial.md"} <= {page for page, _ in commands()}


@pytest.mark.parametrize(("page", "text"), commands())
def test_a_command_can_be_typed(page: str, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    words = shlex.split(text, comments=True)[1:]
    jobs = []
    monkeypatch.setattr(api, "run", lambda job, report: jobs.append(job))
    monkeypatch.chdir(ROOT)
    if words[0] in WITHOUT_JOB:
        assert CliRunner().invoke(main, [words[0], "--help"]).exit_code == 0
        return
    done = CliRunner().invoke(main, [*words, "--debug"])
    assert done.exit_code == 0, f"{page}: {text}: {done.output}{done.exception!r}"
    assert [job.command for job in jobs] == words[:1]


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    for target in _LINK.findall(page.read_text(encoding="utf-8")):
        if not target.startswith(("http://", "https://", "mailto:")):
            assert (page.parent / target).exists(), target
