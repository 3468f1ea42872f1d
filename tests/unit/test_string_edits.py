from __future__ import annotations

import json
import tomllib
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relnox.core.documents import parse_json, read_string, replace_strings

if TYPE_CHECKING:
    from relnox.core.documents import KeyPath

PYPROJECT = """# version = "1.0"
[project]
name = "greeter" # 'version = "1.0"'
version = '1.0'
dependencies = [
  "core==1.0", # "core==1.0"
  "extra==1.0; python_version < \\"3.12\\"",
  'literal==1.0; python_version < "3.12"',
]
scale = nan
description = \"\"\"
version = "1.0"
\"\"\"

[[tool.pins]]
core = \"\"\"
1.0\"\"\"
[[tool.pins]]
"quoted.key" = { core = "1.0" }
"""


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize(
    ("path", "change", "before", "after"),
    [
        (("project", "version"), ("1.0", "2.0a1"), "version = '1.0'\ndep", "version = '2.0a1'\ndep"),
        (("project", "dependencies", 0), ("core==1.0", "core==2.0"), '"core==1.0", #', '"core==2.0", #'),
        (
            ("project", "dependencies", 1),
            ('extra==1.0; python_version < "3.12"', 'extra==2.0; python_version < "3.12"'),
            '"extra==1.0; python_version < \\"3.12\\""',
            '"extra==2.0; python_version < \\"3.12\\""',
        ),
        (
            ("project", "dependencies", 2),
            ('literal==1.0; python_version < "3.12"', 'literal==2.0; python_version < "3.12"'),
            "'literal==1.0;",
            "'literal==2.0;",
        ),
        (("tool", "pins", 0, "core"), ("1.0", "2.0"), '1.0"""\n[[', '2.0"""\n[['),
        (("tool", "pins", 1, "quoted.key", "core"), ("1.0", "2.0"), '{ core = "1.0" }', '{ core = "2.0" }'),
        (("project", "name"), ("greeter", 'a "b"'), '"greeter"', '"a \\"b\\""'),
    ],
)
def test_one_string_changes_and_no_other_character(
    path: KeyPath, change: tuple[str, str], before: str, after: str, newline: str
) -> None:
    text, before, after = (part.replace("\n", newline) for part in (PYPROJECT, before, after))
    assert text.count(before) == 1
    assert replace_strings(text, {path: change}) == text.replace(before, after)


def test_several_strings_change_at_once() -> None:
    changes: dict[KeyPath, tuple[str, str]] = {
        ("project", "dependencies", 0): ("core==1.0", "core==10.0.0"),
        ("project", "version"): ("1.0", "10.0.0"),
    }
    changed = tomllib.loads(replace_strings(PYPROJECT, changes))
    assert changed["project"]["version"] == "10.0.0"
    assert changed["project"]["dependencies"][0] == "core==10.0.0"
    assert changed["tool"] == tomllib.loads(PYPROJECT)["tool"]
    assert replace_strings(PYPROJECT, {}) == PYPROJECT


@pytest.mark.parametrize(
    ("text", "path", "old", "new", "message"),
    [
        ("a = '1'", ("b",), "1", "2", "it has no string b"),
        ("a = 1", ("a",), "1", "2", "it has no string a"),
        ("a = ['1']", ("a", 1), "1", "2", r"it has no string a\.1"),
        ("a = '1'", ("a", "b"), "1", "2", r"it has no string a\.b"),
        ("a = '2'", ("a",), "1", "3", "a has changed since it was read"),
        (r'a = "\u0031"', ("a",), "1", "2", "'1' is not written as a plain string there"),
        ("a = '1'", ("a",), "1", "it's", 'its quotes cannot hold "it\'s"'),
        ("a = ", ("a",), "1", "2", "Invalid value"),
    ],
)
def test_a_string_that_cannot_be_replaced_is_an_error(
    text: str, path: KeyPath, old: str, new: str, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        replace_strings(text, {path: (old, new)})


def test_json_is_edited_the_same_way() -> None:
    text = '{"nested": {"version": "1.0"},\n\t"version":  "1.0", "other": "\\"version\\": \\"1.0\\""}\r\n'
    changed = replace_strings(text, {("version",): ("1.0", "2.0.0-rc.1")}, parse_json)
    assert changed == text.replace('"version":  "1.0"', '"version":  "2.0.0-rc.1"')
    assert read_string(json.loads(changed), ("nested", "version")) == "1.0"


@given(
    st.lists(st.text(st.sampled_from("1.0\"'\\ =#[]\n"), max_size=6), min_size=1, max_size=6),
    st.data(),
    st.sampled_from(["2.0", 'b; python_version < "3"', "'", "\\"]),
)
def test_the_result_has_the_planned_values_or_it_is_an_error(
    values: list[str], data: st.DataObject, new: str
) -> None:
    lines = []
    for value in values:
        is_literal = not set("'\n").intersection(value) and data.draw(st.booleans())
        lines.append(f"  '{value}'," if is_literal else f"  {json.dumps(value)},")
    text = "\n".join(["a = [ # '1.0' \"1.0\"", *lines, "]\n"])
    index = data.draw(st.integers(0, len(values) - 1))
    try:
        changed = replace_strings(text, {("a", index): (values[index], new)})
    except ValueError:
        return
    assert tomllib.loads(changed)["a"] == [*values[:index], new, *values[index + 1 :]]
