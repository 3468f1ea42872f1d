"""The body of release pull requests: its limit, and untrusted text in it."""

from __future__ import annotations

import re

import pytest
from hostile_text import TEXTS
from hypothesis import given
from hypothesis import strategies as st

from relnox.core.bump import pull_request_text
from relnox.core.bump.pull_request_text import PullRequestPackage
from relnox.core.settings.checklist import ManualItem, task_list


def package(
    name: str = "core", reason: str = "minor", changes: str = "- A change", *, private: bool = False
) -> PullRequestPackage:
    return PullRequestPackage(
        name=name, before="1.0", after="1.1", reason=reason, tag=f"{name}-v1.1", changes=changes, private=private
    )


def test_the_body_says_what_is_released() -> None:
    packages = [package(), package("tools", private=True), package("base", changes="### Added\n\n\t- ~~One~~")]
    assert pull_request_text.format_pull_request_body(packages, "main").split("\n") == [
        "| package | from | to | why | tag |",
        "|---|---|---|---|---|",
        "| `core` | 1.0 | 1.1 | `minor` | `core-v1.1` |",
        "| `tools` (private) | 1.0 | 1.1 | `minor` | `tools-v1.1` |",
        "| `base` | 1.0 | 1.1 | `minor` | `base-v1.1` |",
        "",
        "After the merge, `auto-tag` on `main` tags it. Private packages are not published.",
        "",
        "**Changes of `core`, `tools`**",
        "",
        "    - A change",
        "",
        "**Changes of `base`**",
        "",
        "    ### Added",
        "",
        "        - ~~One~~",
    ]


MANUAL = (
    ManualItem(title="Look at the <b>page</b>", link="https://example.org/page"),
    ManualItem(title="Tell @all of #1", when="after"),
)
TASKS = [
    "- [ ] [Look at the &#60;b&#62;page&#60;/b&#62;](https://example.org/page)",
    "- [ ] Tell &#64;&#8203;all of &#35;1 (after publishing)",
]


def test_what_a_person_does_is_a_task_list_whose_ticks_stay() -> None:
    body = pull_request_text.format_pull_request_body([package()], "main", tasks=task_list(MANUAL))
    assert body.split("\n")[6:8] == TASKS
    ticked = body.replace("- [ ] Tell", "- [x] Tell")
    assert pull_request_text.keep_checked_tasks(body.replace("1.1", "1.2"), ticked) == ticked.replace("1.1", "1.2")
    assert [pull_request_text.uncheck_task(line) for line in ticked.split("\n")] == body.split("\n")
    assert task_list(MANUAL, "after") == TASKS[1].removesuffix(" (after publishing)")
    assert task_list((), "before") == ""


@given(st.text() | st.sampled_from(TEXTS))
def test_text_is_in_code_and_takes_one_row(text: str) -> None:
    changed = package(text, text, f"x{text}")
    lines = pull_request_text.format_pull_request_body([changed], text).split("\n")
    assert [line.count("|") for line in lines[:4]] == [6, 6, 6, 0]
    assert lines[4].startswith("After the merge")
    assert all(not line or line.startswith("    ") for line in lines[8:])
    for line in (lines[2], lines[4], lines[6]):
        assert line.isprintable()
        assert re.fullmatch(r"[\w .,*|-]*", re.sub("`[^`]*`", "", line))


@pytest.mark.parametrize("count", [1, 3, 2000])
@pytest.mark.parametrize("limit", [1000, 65_536])
def test_the_body_is_shortened(count: int, limit: int) -> None:
    text = pull_request_text.format_pull_request_body(
        [package(changes="- A chänge\n" * 20_000)] * count, "main", limit
    )
    assert len(text.encode()) <= limit
    assert text.endswith("_Shortened: the rest is in the changed files._")


def test_a_title_is_one_line_of_limited_length() -> None:
    assert pull_request_text.format_pull_request_title("Release 1.0\n\nMore") == "Release 1.0"
    assert len(pull_request_text.format_pull_request_title("x" * 1000)) == pull_request_text.MAX_TITLE_LENGTH
