"""Foreign text is shown and does nothing: not to a terminal, not to a CI provider."""

from __future__ import annotations

import json

import pytest
from hostile_text import TEXTS
from hypothesis import given
from hypothesis import strategies as st
from workflow_commands import commands

from relnox.core.text import escape_json, escape_line, split_lines

TEXT = st.text(st.characters(codec=None)) | st.sampled_from(TEXTS)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain text, naïve 中文 ünïcode", "plain text, naïve 中文 ünïcode"),
        ("\x1b[2J", r"\x1b[2J"),
        ("a\nb\tc", r"a\nb\tc"),
        ("\u202etxt.exe", r"\u202etxt.exe"),
        ("a\u200bb", r"a\u200bb"),
        ("\x85\x9b", r"\x85\x9b"),
        ("\udcff", r"\udcff"),
        ("\U000e0041", r"\U000e0041"),
        ("♻\ufe0f refactor", "♻\ufe0f refactor"),
        ("a\ufe0fb", r"a\ufe0fb"),
        ("::error::x", r"\x3a:error::x"),
        ("  ::error::x", r"  \x3a:error::x"),
        ("tests/test_a.py::test_b", "tests/test_a.py::test_b"),
        ("x ##[error]y", r"x ##\x5berror]y"),
        ("##vso[task.complete]", r"##vso\x5btask.complete]"),
        ("## [1.0]", "## [1.0]"),
        (r"C:\new", r"C:\new"),
    ],
)
def test_what_is_shown_of_a_text(text: str, expected: str) -> None:
    assert escape_line(text) == expected


@given(TEXT)
def test_an_escaped_line_is_printable_and_no_command(text: str) -> None:
    line = escape_line(text)
    assert line.isprintable()
    assert commands(line) == []
    assert escape_line(line) == line


@given(st.lists(st.sampled_from([":", "#", "[", "]", " ", "error", "\u200b", "\t", "\x85"]), max_size=12))
def test_no_arrangement_of_the_marks_is_a_command(parts: list[str]) -> None:
    assert commands(escape_line("".join(parts))) == []


@given(st.recursive(TEXT, lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner), max_leaves=5))
def test_an_escaped_document_has_the_same_content(document: object) -> None:
    for ascii_only in (True, False):
        written = escape_json(json.dumps(document, indent=2, ensure_ascii=ascii_only))
        assert json.loads(written) == document
        assert written.replace("\n", "").isprintable()
        assert commands(written) == []


def test_the_parser_of_these_tests_finds_what_the_runner_finds() -> None:
    text = (
        "::set-output name=a::b\n \t\u00a0::ERROR file=x::y%0Az\nx ##[warning]w\n"
        "::unknown::x\n:: error::x\nx ::error::y\n##[unknown]x\n::error\n\u200b::error::x"
    )
    assert [tuple(command) for command in commands(text)] == [
        ("set-output", "b"),
        ("error", "y\nz"),
        ("warning", "w"),
        ("error", "x"),
    ]
    assert [command.name for command in commands("::stop-commands::t\n::T::\nover\r::debug::x")] == [
        "stop-commands",
        "resume",
        "debug",
    ]


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("", []),
        ("a", ["a"]),
        ("a\nb\n", ["a", "b"]),
        ("a\r\nb\r\n", ["a", "b"]),
        ("a\x0b\u2028b", ["a\x0b\u2028b"]),
    ],
)
def test_lines_end_at_line_ends_alone(text: str, lines: list[str]) -> None:
    assert split_lines(text) == lines
