"""The body of release pull requests: its limit, and untrusted text in it."""

from __future__ import annotations

import re

import pytest
from hostile_text import TEXTS
from hypothesis import given
from hypothesis import strategies as st

from relnox.core.notes import pull_request
from relnox.core.notes.pull_request import PullRequestContent, PullRequestPackage
from relnox.core.records import replace

ACTIVE = re.compile(
    r"[@<][^\s\u200b]|[#!%&$]\d|(?<!~)~\w|\bGH-\d|\b(clos(e[sd]?|ing)|fix(e[sd]|ing)?|resolv(e[sd]?|ing))\b",
    re.IGNORECASE,
)


def release(
    *, name: str = "core", reason: str = "minor", changes: str | None = "- A change", count: int = 1
) -> PullRequestContent:
    package = PullRequestPackage(
        name=name, before="1.0", after="1.1", reason=reason, tag=f"{name}-v1.1", changes=changes
    )
    return PullRequestContent(
        packages=(package,) * count,
        unchanged=("other",),
        files=("pyproject.toml",) * count,
        branch="main",
    )


def test_the_body_says_what_is_released() -> None:
    text = pull_request.format_body(release())
    assert "| core | 1.0 | 1.1 | minor |" in text
    assert "- to publish: core" in text
    assert "- unchanged: other" in text
    assert "not published" not in text
    assert "> ### Added\n>\n> - ~~One~~" in pull_request.format_body(release(changes="### Added\n\n- ~~One~~"))
    assert "**core 1.1**\n\n> - A change" in text


def test_packages_that_are_not_published_are_listed() -> None:
    public = release()
    private = replace(public.packages[0], name="tools", private=True)
    text = pull_request.format_body(replace(public, packages=(*public.packages, private)))
    assert "- to publish: core\n- not published (private): tools\n" in text


@pytest.mark.parametrize(
    "text",
    [
        *("fixes #1", "Closes: https://github.com/a/b/issues/1", "resolved GH-12", "implements !3"),
        *("@team", "mail me@example.invalid", "<script>", "<!-- hidden", "</details>", "a#1", "~label %1 $2 &3"),
    ],
)
def test_nothing_in_text_is_active(text: str) -> None:
    body = pull_request.format_body(release(name=text, reason=text, changes=text))
    assert ACTIVE.search(body) is None
    assert pull_request.neutralize_references(text).replace("\u200b", "") == text


@given(st.text() | st.sampled_from(TEXTS))
def test_text_is_quoted_and_takes_one_row(text: str) -> None:
    body = pull_request.format_body(release(name=text, reason=text, changes=f"x{text}"))
    assert ACTIVE.search(body) is None
    lines = body.split("\n")
    quoted = lines[next(number for number, line in enumerate(lines) if line.startswith("**")) + 2 :]
    assert all(line.startswith(">") for line in quoted)
    assert lines[3] == ""


@pytest.mark.parametrize("count", [1, 3, 2000])
@pytest.mark.parametrize("limit", [1000, 65_536])
def test_the_body_is_shortened(count: int, limit: int) -> None:
    text = pull_request.format_body(release(changes="- A chänge\n" * 20_000, count=count), limit)
    assert len(text.encode()) <= limit
    assert text.endswith("_Shortened: the rest is in the changed files._")


def test_a_title_is_one_line_of_limited_length() -> None:
    assert pull_request.format_title("Release 1.0\n\nMore") == "Release 1.0"
    assert len(pull_request.format_title("x" * 1000)) == pull_request.MAX_TITLE_LENGTH
