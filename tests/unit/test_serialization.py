from __future__ import annotations

import functools
import json
import operator
import re
import types
from typing import Any, Literal, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.version import Version

from relnox import steps
from relnox.core.planning.changes import CombinedEdit, Edit, NewTag
from relnox.core.records import Record, field_names
from relnox.core.release.manifest import Distribution, Manifest
from relnox.core.release.publishers import Publisher
from relnox.core.serialization import decode, encode
from relnox.core.settings.build_settings import BuildSettings, Constraints
from relnox.core.settings.config_tables import InstallChecks
from relnox.core.settings.hook_settings import Hook
from relnox.core.tagging.derived_versions import CommitTag, CommitTags
from relnox.errors import ExitCode
from relnox.steps import bump_record
from relnox.steps.bump_record import PendingBump
from relnox.steps.hooks import EventPackage

KINDS: tuple[type[Any], ...] = steps.step_classes()
ANY_STEP = functools.reduce(operator.or_, KINDS)

TEXT = st.text(max_size=8)
VERSIONS = st.sampled_from(["1.0", "1!2.0rc1", "0.1.dev3+g1234"]).map(Version)
DIGESTS = st.text("0123456789abcdef", min_size=64, max_size=64)
CONTENT = st.none() | st.binary(max_size=16) | st.sampled_from([b'version = "1"\r\n', b"\xef\xbb\xbf\xff"])
st.register_type_strategy(Version, VERSIONS)
st.register_type_strategy(str, TEXT)
st.register_type_strategy(Edit, st.builds(Edit, file=TEXT, before=CONTENT, after=CONTENT))
st.register_type_strategy(
    CombinedEdit, st.builds(CombinedEdit, file=TEXT, before=CONTENT, intermediate=CONTENT, after=CONTENT)
)
st.register_type_strategy(
    steps.Stage,
    st.builds(
        steps.Stage,
        task=TEXT,
        options=st.lists(
            st.tuples(TEXT, TEXT | st.booleans() | st.integers() | st.lists(TEXT).map(tuple)), max_size=3
        ).map(tuple),
        needs=st.lists(TEXT).map(tuple),
    ),
)


def records(kind: type[Any]) -> st.SearchStrategy[Any]:
    """Any record of a kind, by the types of its fields."""
    fixes = get_type_hints(kind)
    return st.builds(kind, **{name: st.from_type(fixes[name]) for name in field_names(kind)})


OF_BUILDS = (Constraints, BuildSettings, CommitTag, CommitTags)
OTHERS = (
    Distribution,
    Manifest,
    Publisher,
    InstallChecks,
    NewTag,
    Hook,
    EventPackage,
)
for each in (*OF_BUILDS, *OTHERS, steps.RunHook, *KINDS):
    if each is not steps.Stage:
        st.register_type_strategy(each, records(each))

RECORDED_STEPS = st.one_of(*(st.from_type(kind) for kind in KINDS if kind.recorded))
RECORDS = st.builds(
    PendingBump,
    request=st.lists(TEXT).map(tuple),
    steps=st.lists(RECORDED_STEPS, max_size=3).map(tuple),
    head=st.none() | TEXT,
)


def through_json(value: Any) -> Any:
    return json.loads(json.dumps(encode(value)))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_kind_of_step_comes_back_as_it_was(kind: type[Any]) -> None:
    @settings(deadline=None)
    @given(st.from_type(kind))
    def comes_back(step: Any) -> None:
        assert decode(kind, through_json(step)) == step
        again = decode(ANY_STEP, through_json(step))
        assert again == step
        assert type(again) is kind

    comes_back()


@settings(deadline=None)
@given(RECORDS)
def test_the_record_of_an_interrupted_bump_comes_back(pending: PendingBump) -> None:
    decoded = bump_record.decode(through_json(pending))
    assert decoded == pending
    assert list(map(type, decoded.steps)) == list(map(type, pending.steps))


@pytest.mark.parametrize("kind", ["Upload", "Step", "import_module", "__getattr__", "missing", None, 3])
def test_a_record_with_another_kind_of_step_is_invalid(kind: object) -> None:
    document = {**through_json(PendingBump(request=(), steps=())), "steps": [{"kind": kind}]}
    with pytest.raises(ValueError, match="unknown step of a bump"):
        bump_record.decode(document)


@pytest.mark.parametrize(
    ("before", "after"), [(None, b""), (b"", None), (b"\xff\0", b"a\r\n"), (b'{"base64": "YQ=="}', b"base64")]
)
def test_no_file_an_empty_file_and_bytes_that_are_no_text_stay_apart(
    before: bytes | None, after: bytes | None
) -> None:
    edit = Edit(file="f", before=before, after=after)
    assert decode(Edit, through_json(edit)) == edit


def test_a_yes_does_not_become_a_one() -> None:
    stage = steps.Stage(task="t", options=(("a", True), ("b", 1), ("c", "1"), ("d", ("x",)), ("e", ())))
    again = decode(steps.Stage, through_json(stage))
    assert [type(value) for _, value in again.options] == [bool, int, str, tuple, tuple]


def test_an_enumeration_is_its_value() -> None:
    assert encode(ExitCode.PARTLY_PUBLIC) == 3
    assert decode(ExitCode, 3) is ExitCode.PARTLY_PUBLIC


def test_other_types_cannot_be_encoded() -> None:
    with pytest.raises(TypeError, match="set cannot be encoded"):
        encode({"a"})
    with pytest.raises(TypeError, match="type cannot be encoded"):
        encode(NewTag)


class Sample(Record):
    content: bytes
    size: int
    letter: Literal["a", "b"]
    pair: tuple[str, int]
    edits: tuple[Edit, ...]
    version: Version | None
    code: ExitCode


SAMPLE = Sample(b"x", 1, "a", ("p", 2), (Edit(file="f", before=None, after=b"y"),), Version("1.0"), ExitCode.DONE)
NOTHING = object()


def test_the_sample_is_sound() -> None:
    assert decode(Sample, through_json(SAMPLE)) == SAMPLE


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("kind", "Other"),
        ("letter", "c"),
        ("letter", []),
        ("content", 3),
        ("content", None),
        ("content", {"base64": "?"}),
        ("content", {"base65": ""}),
        ("content", {"base64": 1}),
        ("size", "1"),
        ("size", True),
        ("size", NOTHING),
        ("pair", ["p"]),
        ("pair", ["p", 2, 3]),
        ("pair", "pq"),
        ("edits", {}),
        ("edits", [{"kind": "Edit"}]),
        ("edits", [None]),
        ("version", "one"),
        ("version", 1),
        ("code", 99),
        ("code", "DONE"),
    ],
)
def test_invalid_values_raise_one_exception_class(key: str, value: Any) -> None:
    document = through_json(SAMPLE)
    if value is NOTHING:
        del document[key]
    else:
        document[key] = value
    with pytest.raises(ValueError, match=r"."):
        decode(Sample, document)


@pytest.mark.parametrize(
    ("expected", "value", "message"),
    [
        (int, "x", "expected an integer, not 'x'"),
        (int | None, "x", "expected an integer or null, not 'x'"),
        (str, None, "expected a string, not None"),
        (bool, 1, "expected true or false, not 1"),
        (tuple[str, ...], {}, "expected a list, not {}"),
        (Literal["a", "b"], "c", "expected 'a' or 'b', not 'c'"),
        (Version, 1, "expected a version, not 1"),
        (tuple[str, ...] | None, 1, "expected a list or null, not 1"),
    ],
)
def test_errors_name_types_as_users_know_them(expected: Any, value: Any, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        decode(expected, value)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["kind", "edits", "base64", "steps", "request"]), inner, max_size=3)
        | st.fixed_dictionaries(
            {"kind": st.sampled_from(["EditFiles", "Edit", "Push", "PendingBump"])},
            optional={"edits": inner, "file": inner},
        )
    ),
    max_leaves=8,
)


@settings(deadline=None)
@given(JSON)
def test_foreign_json_is_a_value_or_a_value_error(document: Any) -> None:
    with pytest.raises(ValueError, match="not "):
        bump_record.decode(document)
    for expected in (steps.Push | steps.EditFiles, Distribution, tuple[str, ...], bytes | None):
        try:
            value = decode(expected, document)
        except ValueError:
            continue
        assert isinstance(expected, types.UnionType | types.GenericAlias)
        assert value is None or isinstance(value, bytes | tuple)
