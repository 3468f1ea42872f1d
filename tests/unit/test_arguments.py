"""Simple command lines are parsed without argparse, and have the values that argparse finds."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from relnox import arguments
from relnox.argument_parser import parser_of
from relnox.errors import Blocked

if TYPE_CHECKING:
    from collections.abc import Callable

WORDS = [
    *(
        "--part",
        "patch",
        "minor",
        "--to",
        "1.2",
        "--commit",
        "--no-commit",
        "--tag",
        "-n",
        "-nv",
        "--package",
        "demo",
    ),
    *(
        "--package=demo",
        "--all",
        "--no-all",
        "--unknown",
        "--par",
        "--",
        "-",
        "-1",
        "",
        "a b",
        "--from",
        "time",
        "-h",
    ),
]


def outcome(parse: Callable[[], Any]) -> Any:
    """Return the values, or the error."""
    try:
        return parse()
    except Blocked as error:
        return error.code, error.message, error.fix
    except SystemExit:
        return "help"


@settings(deadline=None, max_examples=500)
@given(st.lists(st.sampled_from(WORDS), max_size=5))
@example(["--package", "a", "--package", "b", "--no-commit", "--commit", "-n"])
@example(["--to", "-1"])
@example(["--part", "huge"])
def test_simple_command_lines_have_the_values_of_argparse(words: list[str]) -> None:
    values = outcome(lambda: arguments._simple_values("bump", words))

    if values is not None:
        assert values == outcome(lambda: vars(parser_of("bump", "relnox bump").parse_args(words)))


@pytest.mark.parametrize(
    ("words", "values"),
    [
        (["minor", "--commit", "--no-tag"], {"part": "minor", "commit": True, "tag": False}),
        (["--package", "a", "--to", "1.2", "--package", "b"], {"package": ("a", "b"), "to": "1.2"}),
    ],
)
def test_a_simple_command_line_needs_no_argparse(
    words: list[str], values: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "relnox.argument_parser", None)

    assert arguments.parse("bump", words, "relnox bump") == values
