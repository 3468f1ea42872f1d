"""Records as JSON types, as they are in plans and reports."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relnox.core.documents import encode
from relnox.core.planning.step import Edit, NewTag
from relnox.errors import ExitCode
from relnox.steps.stages import Stage

CONTENT = st.none() | st.binary(max_size=16) | st.sampled_from([b'version = "1"\r\n', b"\xef\xbb\xbf\xff"])


def test_a_step_is_its_kind_and_its_fields() -> None:
    stage = Stage(task="t", options=(("a", True), ("b", 1), ("c", "1"), ("d", ("x",)), ("e", ())))
    assert encode(stage) == {
        "kind": "Stage",
        "needs": [],
        "task": "t",
        "options": [["a", True], ["b", 1], ["c", "1"], ["d", ["x"]], ["e", []]],
    }


@settings(deadline=None)
@given(CONTENT, CONTENT)
def test_different_contents_have_different_json(content: bytes | None, other: bytes | None) -> None:
    first, second = (encode(Edit(file="f", before=None, after=after)) for after in (content, other))
    assert (first == second) == (content == other)


def test_an_enumeration_is_its_value() -> None:
    assert encode(ExitCode.PARTLY_PUBLIC) == 3


@pytest.mark.parametrize("value", [{"a"}, NewTag])
def test_other_types_cannot_be_encoded(value: object) -> None:
    with pytest.raises(TypeError, match="cannot be encoded"):
        encode(value)
