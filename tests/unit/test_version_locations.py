"""Versions in files other than TOML, among similar code."""

from __future__ import annotations

import ast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relnox.core.text import replace_spans
from relnox.core.versions import version_locations

DECOYS = '''\
# -*- coding: utf-8 -*-
"""__version__ = "0.0.1" in a docstring"""
__build__ = 0x023101
target_version = "3.11"
other.__version__ = "9.9"


def f():
    __version__ = "0.0.2"
    return f(version="1.43.2")


__version__: str = '1.2.3'  # "1.2.3", and an ü
'''


def test_the_assignment_is_found_among_similar_code() -> None:
    span = version_locations.find_assigned_string(DECOYS, "__version__")
    assert span.text == "1.2.3"
    changed = replace_spans(DECOYS, [(span.start, span.end, "2.0.0rc1")])
    assert changed == DECOYS.replace("'1.2.3'", "'2.0.0rc1'")


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("x = 1\n", "assigned 0 times"),
        ('__version__ = "1"\n__version__ = "2"\n', "assigned 2 times"),
        ('try:\n    __version__ = "1"\nexcept ImportError:\n    __version__ = "unknown"\n', "assigned 2 times"),
        ("__version__ = version('demo')\n", "not a plain string"),
        ("__version__ = 1\n", "not a plain string"),
        ('__version__ = ""\n', "not a plain string"),
        ('__version__ = "1.\\x30"\n', "not a plain string"),
        ("__version__ = \n", "not valid Python"),
    ],
)
def test_an_attribute_that_is_not_one_plain_string_is_an_error(code: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        version_locations.find_assigned_string(code, "__version__")


@pytest.mark.parametrize(
    "code", ['ü = 1; __version__ = "1.0"', 'if True:\r\n    __version__ = "1.0"\r\n', 'v = __version__ = "1.0"']
)
def test_positions_are_right_after_any_text(code: str) -> None:
    span = version_locations.find_assigned_string(code, "__version__")
    assert code[span.start : span.end] == "1.0"


@given(
    st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=20),
    st.sampled_from(["1.0", "2024.1.2", "1!3.0rc1"]),
    st.sampled_from(["'", '"', "'''", '"""']),
    st.sampled_from(["\n", "\r\n"]),
)
def test_only_the_version_changes(before: str, version: str, quote: str, newline: str) -> None:
    code = f"# {before}{newline}__version__ = {quote}{version}{quote}{newline}x = {before!r}{newline}"
    span = version_locations.find_assigned_string(code, "__version__")
    changed = replace_spans(code, [(span.start, span.end, "9.8.7")])
    assert (changed[: span.start], changed[span.start + 5 :]) == (code[: span.start], code[span.end :])
    assert version_locations.find_assigned_string(changed, "__version__").text == "9.8.7"
    assert len(ast.parse(changed).body) == len(ast.parse(code).body)


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ('__version__ = "1.2.3"\n', "1.2.3"),
        ('x = 1\nVERSION: str = "v1.2.3"\n', "1.2.3"),
        ("__version__='1.0'\n", "1.0"),
    ],
)
def test_the_default_pattern_of_hatchling(text: str, version: str) -> None:
    assert version_locations.find_pattern_matches(text, version_locations.HATCH_PATTERN)[0].text == version


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("nothing(?P<version>x)", "matches 0 times"),
        ('"(?P<version>[^"]+)"', "matches 2 times"),
        ('"([^"]+)"', "invalid pattern"),
        ("(", "invalid pattern"),
    ],
)
def test_a_pattern_must_match_once(expression: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        version_locations.find_pattern_matches('a = "1"\nb = "2"\n', expression)


def test_a_file_that_contains_only_the_version() -> None:
    text = "\n 1.0 \r\n"
    span = version_locations.find_only_word(text)
    assert replace_spans(text, [(span.start, span.end, "2.0")]) == "\n 2.0 \r\n"
    for text in ("", " \n", "1.0\n2.0\n"):
        with pytest.raises(ValueError, match="exactly one version"):
            version_locations.find_only_word(text)
