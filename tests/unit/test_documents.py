"""TOML documents have the values or errors of tomllib, whichever parser reads them."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, Any

import pytest
import tomli
from hypothesis import given, settings
from hypothesis import strategies as st

from relnox.core.documents import load_toml

if TYPE_CHECKING:
    from collections.abc import Callable

PYPROJECT = """\
[project]
name = "demo"
license = { text = "MIT" }
authors = [{ name = "A", email = 'a@example.org' }, { name = "B" }]
dependencies = [
  "requests>=2", # comment
  'flask; python_version < "3.12"',
]
[tool.demo]
empty = {}
moment = 1979-05-27T07:32:00Z
start = 07:32:00
numbers = [1, 2.5, 0x10, inf, true]
text = \"\"\"two
lines\"\"\"
"""

ONLY_TOML_1_1 = [
    "a = { b = 1,\n c = 2 }",
    "a = { b = 1, }",
    "a = { b = 1 ,\t}",
    "a = { # comment\n b = 1 }",
    'a = { b = "}",\n c = 1 }',
    'a = { b = "{", c = "}",\n d = 1 }',
    "a = [ '{', { b = '}', } ]",
    'a = { b = """}""",\n c = 1 }',
    "a = { b = { c = 1,\n d = 2 } }",
    "a = {\r\n b = 1 }",
    "a = 07:32",
    "a = 1979-05-27T07:32Z",
    "a = 1979-05-27 07:32",
    r'a = "\e"',
    r'a = "\x41"',
    'a = """\n\\e"""',
]


def outcome(load: Callable[[str], Any], text: str) -> str:
    """Return what a parser makes of a text, so that NaN and types of numbers can be compared."""
    try:
        return repr(load(text))
    except (ValueError, RecursionError) as error:
        return f"{type(error)}: {error}"


def test_a_document_of_toml_1_0_is_read_by_the_compiled_parser(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = tomllib.loads(PYPROJECT)
    monkeypatch.setattr(tomllib, "loads", None)

    assert load_toml(PYPROJECT) == expected


@pytest.mark.parametrize("text", ONLY_TOML_1_1)
def test_a_document_of_toml_1_1_is_an_error_as_in_build_backends(text: str) -> None:
    tomli.loads(text)  # a document that the compiled parser would accept

    with pytest.raises(tomllib.TOMLDecodeError):
        load_toml(text)


@pytest.mark.parametrize("text", ["a = ", "a = 1\na = 2", f"a = {'[' * 500}{']' * 500}", f"a = {'[' * 50_000}"])
def test_the_error_is_the_one_of_tomllib(text: str) -> None:
    assert outcome(load_toml, text) == outcome(tomllib.loads, text)


def test_floats_are_parsed_as_asked_by_both_parsers() -> None:
    assert load_toml("a = 1.50", parse_float=str) == {"a": "1.50"}
    assert load_toml("a = 1.50\nb = '{'", parse_float=str) == {"a": "1.50", "b": "{"}


PIECES = st.sampled_from(
    [
        *("{", "}", "[", "]", ",", "\n", "\r\n", "\r", "#", "=", ".", '"', "'", '"""', "'''", "\\", "\t", " "),
        *("\\e", "\\x41", "07:32", "07:32:00", "1979-05-27", ":30", "+07:00"),
        *("{}", '"{"', "'}'", "{ b = 1 }", ",}"),
    ]
)


@settings(deadline=None, max_examples=300)
@given(st.lists(st.tuples(st.integers(0, len(PYPROJECT)), st.integers(0, 3), PIECES), max_size=4))
def test_changed_documents_are_read_as_tomllib_reads_them(edits: list[tuple[int, int, str]]) -> None:
    text = PYPROJECT
    for position, removed, inserted in edits:
        text = text[:position] + inserted + text[position + removed :]

    assert outcome(load_toml, text) == outcome(tomllib.loads, text)
