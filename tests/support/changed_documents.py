"""Valid JSON documents in which some places have been changed."""

from __future__ import annotations

import copy
import json
import math

from hypothesis import strategies as st

#: Values that have been the end of many a parser.
NASTY = (
    None, True, False, 0, -1, 1, 255, 256, 2**31, 2**63, -(2**63), 10**400, 0.5, -0.0, 1e-320, 1e308, math.nan,
    math.inf, -math.inf, "", " ", "\0", "\ud800", "a\nb", "x" * 1000, "../../../etc/passwd", "/dev/zero", "NaN",
    "1e999", "0x10", "1/0", [], {}, [[]], [None], [[[[[[[]]]]]]], {"": None}, {"a": {"b": {"c": []}}}, ["a", 1, None],
    "9" * 5000,
)  # fmt: skip
anything = st.one_of(
    st.sampled_from(NASTY),
    st.recursive(
        st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8)),
        lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)),
        max_leaves=5,
    ),
)


def places(value, found=()):
    """All (container, key) of a JSON document."""
    if isinstance(value, dict):
        pairs = [(value, key) for key in value]
    elif isinstance(value, list):
        pairs = [(value, key) for key in range(len(value))]
    else:
        return []
    return pairs + [place for container, key in pairs for place in places(container[key])]


@st.composite
def changed(draw, document):
    """The ``document`` with one to three places changed, left out or added."""
    whole = [copy.deepcopy(document)]
    for _ in range(draw(st.integers(1, 3))):
        spots = [(whole, 0), *places(whole[0])]
        container, key = spots[draw(st.integers(0, len(spots) - 1))]
        how = draw(st.integers(0, 5))
        if how == 0 and container is not whole:
            del container[key]
        elif how == 1 and isinstance(container, dict):
            container[draw(st.text(max_size=8))] = copy.deepcopy(draw(anything))
        else:
            container[key] = copy.deepcopy(draw(anything))
    return whole[0]


def text_of(document):
    """JSON text of a document; its halves of characters stay escaped."""
    return json.dumps(document)
