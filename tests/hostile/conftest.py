"""What the tests of hostile input share: how a command may end, and how much is fuzzed."""

from __future__ import annotations

import pytest
from hypothesis import settings

#: `make fuzz` runs ten times as many cases as the tests do; "brief" is for a look while something is mended.
_USUAL = settings.get_profile("default").max_examples
settings.register_profile("fuzz", max_examples=10 * _USUAL)
settings.register_profile("brief", max_examples=_USUAL // 10)


def listing(folder):
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*"))


@pytest.fixture
def tame(command, tmp_path):
    """Run a command on hostile input: it ends well, or with one clear sentence, code 3 or 5, and leaves nothing.

    Returns the outcome; ``code`` says how it must end, both ways are fine unless given.
    """

    def check(*words, code=None, out=None):
        out = out or tmp_path
        before = listing(out)
        outcome = command(*words)
        assert outcome.code in ((0, 3, 5) if code is None else (code,)), outcome
        assert "Traceback" not in outcome.err
        assert "wsss-geo: unexpected" not in outcome.err
        if outcome.code:
            assert outcome.out == ""
            lines = [line for line in outcome.err.splitlines() if line]
            assert len(lines) == 1, outcome.err
            assert lines[0].startswith("wsss-geo: ")
            assert "; " in lines[0], "what is to be done is missing"
            assert len(lines[0]) < 1500
            assert listing(out) == before
        else:
            assert not [name for name in listing(out) if ".part" in name or ".work" in name]
        return outcome

    return check


@pytest.fixture(scope="module")
def marker(tmp_path_factory):
    """A path that only code of a stranger would make a folder of."""
    return tmp_path_factory.mktemp("marker") / "it ran"
