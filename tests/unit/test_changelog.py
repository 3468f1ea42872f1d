from __future__ import annotations

import re
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.version import Version

from relnox.core import changelog
from relnox.errors import Blocked

DAY = date(2026, 11, 21)
HUB = "https://github.com/o/r"


def released(text: str, tag: str | None = "v1.2.0", previous_tag: str | None = None) -> str:
    return changelog.add_release(text, version="1.2.0", date=DAY, tag=tag, previous_tag=previous_tag)


EXAMPLE = f"""\
# Changelog

All notable changes.

## [Unreleased]

### Added

- One.
- Two,
  in two lines.

### Fixed

- Three.

## [1.1.0] - 2026-01-31

### Added

- Four.

## [1.0.0] - 2025-12-01 [YANKED]

- Five.

[unreleased]: {HUB}/compare/v1.1.0...HEAD
[1.1.0]: {HUB}/compare/v1.0.0...v1.1.0
[1.0.0]: {HUB}/releases/tag/v1.0.0
"""


# --- Unreleased ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (EXAMPLE, True),
        ("## Unreleased", True),
        ("\ufeff## [UNRELEASED]\r\n", True),
        ("# Unreleased\n", True),
        ("###### unreleased ##\n", True),
        ("## \\[Unreleased\\]\n", True),
        ("## **Unreleased**\n", True),
        ("## [Unreleased](https://example.org/compare/v1...HEAD)\n", True),
        ("## [Unreleased][next]\n", True),
        ("## [Unreleased] - yyyy-mm-dd\n", True),
        ("## Unreleased (soon)\n", True),
        ("Unreleased\n----------\n", True),
        ("----------\nUnreleased\n----------\n", True),
        ("- item\n\n## Unreleased\n", True),
        ("text <!--\n## Unreleased\n-->\n", True),  # a heading ends a paragraph
        ("", False),
        ("## [1.0.0]\n", False),
        ("Unreleased\n", False),
        ("##Unreleased\n", False),
        ("####### Unreleased\n", False),
        ("    ## Unreleased\n", False),
        ("## Unreleased changes of others\n", False),
        ("## Not unreleased\n", False),
        ("- item\n  ## Unreleased\n", False),
        ("- item\n\n  ## Unreleased\n", False),
        ("- Unreleased\n---\n", False),
        ("some text\nUnreleased\n----------\n", False),
        ("Unreleased\n~~~~~\n", False),
        ("```\n## Unreleased\n```\n", False),
        ("~~~ md\n## Unreleased\n```\n## Unreleased\n~~~~\n", False),
        ("````\n```\n## Unreleased\n````\n", False),
        ("- ```\n  # Unreleased\n  ```\n", False),
        ("> ```\n> # x\n> ```\n", False),
        ("<!-- ## Unreleased -->\n", False),
        ("<!--\n## Unreleased\n\n## Unreleased\n-->\n", False),
        ("<!--\n```\n-->\n<!--\n# Unreleased\n-->\n```\n# Unreleased\n```", False),
        ("Changelog\n=========\n\n<!--\nUnreleased\n----------\n-->\n", False),
    ],
)
def test_detecting_a_heading_for_unreleased_changes(text: str, *, expected: bool) -> None:
    assert changelog.has_unreleased_heading(text) is expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "there is no heading for Unreleased"),
        ("# Changelog\n\n```\n## Unreleased\n```\n", "there is no heading for Unreleased"),
        ("## Unreleased\n\n## 1.0\n\n### [unreleased]\n", "2 headings for Unreleased (lines 1, 5)"),
        (EXAMPLE.replace("1.1.0] -", "1.2.0] -"), "version 1.2.0 already has a heading (line 17)"),
        ("## Unreleased\n\n## v1.2 (2026-01-01)\n", "version 1.2.0 already has a heading (line 3)"),
        ("## Unreleased\n\n# [1.2.0](x)\n", "version 1.2.0 already has a heading (line 3)"),
        ("## Unreleased\n\n## Version 1.2.0 Bionic\n", "version 1.2.0 already has a heading (line 3)"),
        ("Unreleased\n----------\n\n1.2\n---\n", "version 1.2.0 already has a heading (line 4)"),
    ],
)
def test_an_invalid_changelog_is_rejected(text: str, message: str) -> None:
    with pytest.raises(Blocked) as caught:
        released(text, "- more")
    assert message in caught.value.message
    assert caught.value.fix


# --- headings --------------------------------------------------------------------------------------


def test_a_release_in_the_example_of_keep_a_changelog() -> None:
    expected = EXAMPLE.replace("## [Unreleased]\n", "## [Unreleased]\n\n## [1.2.0] - 2026-11-21\n").replace(
        f"[unreleased]: {HUB}/compare/v1.1.0...HEAD\n",
        f"[unreleased]: {HUB}/compare/v1.2.0...HEAD\n[1.2.0]: {HUB}/compare/v1.1.0...v1.2.0\n",
    )
    assert released(EXAMPLE) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("## Unreleased\n\n- a\n", "## Unreleased\n\n## 1.2.0 - 2026-11-21\n\n- a\n"),
        ("## Unreleased\n- a", "## Unreleased\n\n## 1.2.0 - 2026-11-21\n- a"),
        ("# unreleased", "# unreleased\n\n# 1.2.0 - 2026-11-21"),
        ("\ufeff## [Unreleased]\r\n", "\ufeff## [Unreleased]\r\n\r\n## [1.2.0] - 2026-11-21\r\n"),
        ("##  Unreleased ##\n", "##  Unreleased ##\n\n##  1.2.0 - 2026-11-21 ##\n"),
        ("## \\[Unreleased]\n", "## \\[Unreleased]\n\n## \\[1.2.0] - 2026-11-21\n"),
        ("## **Unreleased**\n", "## **Unreleased**\n\n## **1.2.0** - 2026-11-21\n"),
        ("## [Unreleased] - TBD\n", "## [Unreleased] - TBD\n\n## [1.2.0] - 2026-11-21\n"),
        ("## [Unreleased][next]\n", "## [Unreleased][next]\n\n## [1.2.0] - 2026-11-21\n"),
        # the last version's `v`, and how its date stands
        (
            "## [Unreleased]\n\n## [v1.1.0] (2026-01-01)\n",
            "## [Unreleased]\n\n## [v1.2.0] (2026-11-21)\n\n## [v1.1.0] (2026-01-01)\n",
        ),
        (
            "## Unreleased\n\n### 2.0 migration (2020-01-01)\n\n## 1.1.0\n\n## v1.0.0, 2026-01-01\n",
            (
                "## Unreleased\n\n## 1.2.0, 2026-11-21\n\n### 2.0 migration (2020-01-01)\n\n## 1.1.0\n\n"
                "## v1.0.0, 2026-01-01\n"
            ),
        ),
        (
            "## Unreleased\n\n## 1.1.0 - January 2026\n",
            "## Unreleased\n\n## 1.2.0 - 2026-11-21\n\n## 1.1.0 - January 2026\n",
        ),
        # after a name, in headings of one level
        *(
            (
                f"# Since 0.9\n\n## Unreleased\n\n### Python 3.12\n\n## {old}\n",
                f"# Since 0.9\n\n## Unreleased\n\n## {new}\n\n### Python 3.12\n\n## {old}\n",
            )
            for old, new in (
                ("greeter 1.1.0 (2026-01-05)", "greeter 1.2.0 (2026-11-21)"),
                ("My Greeter v1.1.0", "My Greeter v1.2.0"),
                ("greeter-v1.1.0 - 2026-01-05", "greeter-v1.2.0 - 2026-11-21"),
                ("What's new in 1.1.0", "What's new in 1.2.0"),
                ("Version 1.1.0 (2026-01-31)", "Version 1.2.0 (2026-11-21)"),
                ("1.1.0 (31 January 2026)", "1.2.0 (21 November 2026)"),
                ("1.1.0 (January 3, 2026)", "1.2.0 (November 21, 2026)"),
                ("1.1.0 / 2026/01/31", "1.2.0 / 2026/11/21"),
            )
        ),
        # underlined
        (
            "Unreleased\n----------\n\n- a\n",
            "Unreleased\n----------\n\n1.2.0 - 2026-11-21\n------------------\n\n- a\n",
        ),
        ("Unreleased\n---\n\n# x\n", "Unreleased\n---\n\n1.2.0 - 2026-11-21\n---\n\n# x\n"),
        (
            "==========\r\nUnreleased\r\n==========\r\n\r\nAdded\r\n~~~~~\r\n",
            (
                "==========\r\nUnreleased\r\n==========\r\n\r\n"
                "==================\r\n1.2.0 - 2026-11-21\r\n==================\r\n\r\nAdded\r\n~~~~~\r\n"
            ),
        ),
        (
            f"Unreleased\n{'-' * 30}\n",
            f"Unreleased\n{'-' * 30}\n\n1.2.0 - 2026-11-21\n{'-' * 30}\n",
        ),
    ],
)
def test_the_versions_heading_is_spelled_as_in_the_file(text: str, expected: str) -> None:
    assert released(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("## 1.2.0 (unreleased)\n\n- x\n", "## 1.2.0 (2026-11-21)\n\n- x\n"),
        ("## [1.2.0] - Unreleased\n- x\n", "## [1.2.0] - 2026-11-21\n- x\n"),
        ("## 1.2.0 unreleased\n- x\n", "## 1.2.0 2026-11-21\n- x\n"),
        (
            "## v1.2 (unreleased)\n- x\n## v1.1 (January 5, 2026)\n",
            "## v1.2.0 (November 21, 2026)\n- x\n## v1.1 (January 5, 2026)\n",
        ),
        (  # as in the changelogs of Pallets
            ("Version 1.2.0\n-------------\n\nUnreleased\n\n-   x\n\n"
            "Version 1.1.0\n-------------\n\nReleased 2026-01-05\n"),
            ("Version 1.2.0\n-------------\n\nReleased 2026-11-21\n\n-   x\n\n"
            "Version 1.1.0\n-------------\n\nReleased 2026-01-05\n"),
        ),
        (
            "\ufeff1.2.0 (unreleased)\r\n==================\r\n- x",
            "\ufeff1.2.0 (2026-11-21)\r\n==================\r\n- x",
        ),
        ("1.2 (unreleased)\n----------------\n\n- x\n", "1.2.0 (2026-11-21)\n------------------\n\n- x\n"),
        ("## 1.1.1 (unreleased)\n", "## 1.2.0 (2026-11-21)\n"),  # of the development version before
        (
            f"## [1.2.0] - unreleased\n\n[1.2.0]: {HUB}/compare/v1.1.0...HEAD\n",
            f"## [1.2.0] - 2026-11-21\n\n[1.2.0]: {HUB}/compare/v1.1.0...v1.2.0\n",
        ),
        ("## 1.2 (unreleased)\n### Added\n### Fixed\n- x\n", "## 1.2.0 (2026-11-21)\n### Added\n### Fixed\n- x\n"),
    ],
)  # fmt: skip
def test_a_version_that_is_not_released_yet_gets_its_date(text: str, expected: str) -> None:
    assert released(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("## 1.2.0 (unreleased)\n", True),
        ("## 1.3.0 (unreleased)\n", False),
        ("## 1.1.0\n## 1.2.0 (unreleased)\n", False),
        ("## Unreleased\n## 0.9.0 (unreleased)\n", True),
        ("Version 1.2.0\n-------------\n\nUnreleased\n", True),
    ],
)
def test_the_version_that_is_not_released_yet_is_the_first_one_and_the_new_one(
    text: str, *, expected: bool
) -> None:
    assert changelog.has_unreleased_heading(text, {Version("1.2.0")}) == expected


# --- links -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("link", "tag", "previous_tag", "expected"),
    [
        ("x/o/r/compare/v1.1...HEAD", "v1.2", None, ["x/o/r/compare/v1.2...HEAD", "x/o/r/compare/v1.1...v1.2"]),
        ("x/r/-/compare/1.1...main", "1.2", None, ["x/r/-/compare/1.2...main", "x/r/-/compare/1.1...1.2"]),
        ("x/compare/a-v1..HEAD", "a-v2", "a-v1.5", ["x/compare/a-v2..HEAD", "x/compare/a-v1.5..a-v2"]),
        ("x/compare/a/v1...HEAD?w=1", "a/v2", None, ["x/compare/a/v2...HEAD?w=1", "x/compare/a/v1...a/v2?w=1"]),
        ("x/compare/compare/1...HEAD", "2", None, ["x/compare/compare/2...HEAD", "x/compare/compare/1...2"]),
        ("x/compare/p%231...HEAD", "p#2", None, ["x/compare/p%232...HEAD", "x/compare/p%231...p%232"]),
        ("<x/compare/v1...HEAD> 'since'", "v2", None, ["<x/compare/v2...HEAD> 'since'", "<x/compare/v1...v2>"]),
    ],
)  # fmt: skip
def test_comparison_links_are_updated(link: str, tag: str, previous_tag: str | None, expected: list[str]) -> None:
    text = f"## [Unreleased]\n\n- a\n\n[Unreleased]:  {link}"
    assert released(text, tag=tag, previous_tag=previous_tag) == (
        "## [Unreleased]\n\n## [1.2.0] - 2026-11-21\n\n- a\n\n"
        f"[Unreleased]:  {expected[0]}\n[1.2.0]:  {expected[1]}"
    )


@pytest.mark.parametrize(
    "definition",
    [
        "[unreleased]: https://example.org/commits/main",
        "[unreleased]: https://example.org/compare/HEAD",
        "[unreleased]: https://example.org/compare/...HEAD",
        "[unreleased]: https://example.org/log/v1.1.0...HEAD",
        "[unreleased]: https://example.org/compare/HEAD..v1.1.0",
        "[1.1.0]: https://example.org/compare/v1.0.0...v1.1.0",
        "```\n[unreleased]: https://example.org/compare/v1.1.0...HEAD\n```",
        "",
    ],
)
def test_without_a_comparison_link_none_is_added(definition: str) -> None:
    text = f"## Unreleased\n\n- a\n\n{definition}\n"
    assert released(text) == text.replace("leased\n", "leased\n\n## 1.2.0 - 2026-11-21\n", 1)


def test_without_a_tag_links_are_unchanged() -> None:
    assert released(EXAMPLE, tag=None) == EXAMPLE.replace("eased]\n", "eased]\n\n## [1.2.0] - 2026-11-21\n", 1)


def test_an_existing_link_is_not_added_again() -> None:
    text = EXAMPLE + "[1.2.0]: https://example.org\n"
    assert released(text).count("\n[1.2.0]: ") == 1


def test_the_label_is_the_one_in_the_heading() -> None:
    text = f"## [Unreleased]\n\n## [v1.1.0]\n\n[unreleased]: {HUB}/compare/v1.1.0...HEAD\n"
    assert f"...HEAD\n[v1.2.0]: {HUB}/compare/v1.1.0...v1.2.0\n" in released(text)


@pytest.mark.parametrize(
    ("link", "tag", "expected"),
    [
        (
            "x/compare/v1...HEAD", "v2",
            "## [Unreleased](x/compare/v2...HEAD)\n\n## [1.2.0](x/compare/v1...v2) - 2026-11-21",
        ),
        ("x/compare/v1...HEAD", None, "## [Unreleased](x/compare/v1...HEAD)\n\n## 1.2.0 - 2026-11-21"),
        ("x/commits", "v2", "## [Unreleased](x/commits)\n\n## 1.2.0 - 2026-11-21"),
    ],
)  # fmt: skip
def test_a_link_in_the_heading_is_updated(link: str, tag: str | None, expected: str) -> None:
    assert released(f"## [Unreleased]({link})\n- a\n", tag=tag) == f"{expected}\n- a\n"


# --- sections --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("heading", "version"),
    [
        ("## 1.2.0", "1.2.0"),
        ("## v1.2", "1.2.0"),
        ("## [1.2.0]", "v1.2"),
        ("## [v1.2.0] - 2026-11-21", "1.2.0"),
        ("## [1.2.0 - 2026-11-21]", "1.2.0"),
        ("## [1.2.0](https://example.org) (2026-11-21)", "1.2.0"),
        ("## [1.2.0][] - 2026-11-21 [YANKED]", "1.2.0"),
        ("# Version 1.2.0: Bionic", "1.2.0"),
        ("## Release v1.2.0 Bionic Beaver ##", "1.2.0"),
        ("## **1.2.0** 21 November 2026", "1.2.0"),
        ("## \\[1.2.0\\]", "1.2.0"),
        ("## `1.2.0`", "1.2.0"),
        ("## 1.2.0-rc.1", "1.2.0rc1"),
        ("## 1!1.2+local", "1!1.2.0+local"),
        ("1.2.0 (2026-11-21)\n==================", "1.2.0"),
        ("------\n v1.2\n------", "1.2.0"),
    ],
)
def test_finding_the_section_of_a_version(heading: str, version: str) -> None:
    assert changelog.section_of_version(f"{heading}\n\n- a\n\n", version) == "- a"
    assert changelog.section_of_version(f"{heading}\n\n- a\n\n", "1.3.0") is None


@pytest.mark.parametrize(
    ("version", "notes"),
    [
        ("1.1", "### Added\n\n- Four."),
        ("1.0.0", "- Five."),
        ("1.2.0", None),
        ("1.0.0rc1", None),
        ("unreleased", None),
    ],
)
def test_a_section_ends_with_the_next_version_or_the_links(version: str, notes: str | None) -> None:
    assert changelog.section_of_version(EXAMPLE, version) == notes


@pytest.mark.parametrize(
    ("text", "notes"),
    [
        ("## 1.0", ""),
        ("## 1.0\n\n## 0.9\n", ""),
        ("## 1.0\n  - indented\n  - list\n", "  - indented\n  - list"),
        ("## 1.0\n\n- a\n\n[1]: x\n[1.0]: y\n[Unreleased]: z\n[^keep]: w\n", "- a"),
        ("## 1.0\n```\n[x]\n```\n\n[x]: y\n", "```\n[x]\n```"),
        ("## 1.0\n\n- [a][1], [A b]\n\n[1]: x\n[a B]: y\n[b]: z\n", "- [a][1], [A b]\n\n[1]: x\n[a B]: y"),
        ("## 1.0\n\n```\n## 0.9\n[1.0]: x\n```\n\n# 0.8\n", "```\n## 0.9\n[1.0]: x\n```"),
        ("## 1.0\n\n### 0.9.1\n- a\n", ""),
        ("## 1.0\n- a\n### 1.0 migration\n- b\n### [Unreleased]\n- c\n", "- a\n### 1.0 migration\n- b"),
        ("## Unreleased\n### 1.0 migration\n- b\n## 1.0\n- a\n", "- a"),
        ("## 1.0\r\n\r\n- a\r\n- b\r\n", "- a\r\n- b"),
        ("```\n## 1.0\n```\n## 1.0\n- a\n", "- a"),
        ("## 1.0.1\n- x\n## 10.0\n- y\n", None),
        ("## 2026-01-01\n", None),
        ("1.0\n", None),
    ],
)
def test_the_text_of_a_section(text: str, notes: str | None) -> None:
    assert changelog.section_of_version(text, "1.0") == notes


# --- for any changelog -----------------------------------------------------------------------------

WORDS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Zl", "Zp"]), max_size=8)
BLOCKS = st.one_of(
    st.builds("- {}".format, WORDS),
    st.builds("- {}\n  more".format, WORDS),
    st.sampled_from(["### Added", "### Fixed", "Text.", "> quoted", ""]),
    st.sampled_from(["```\n## [Unreleased]\n```", "<!--\n## 9.0\n-->"]),
)  # fmt: skip
CONTENTS = st.lists(BLOCKS, max_size=6).map("\n".join)
LINK = "[unreleased]: https://example.org/compare/v1.1.0...HEAD"


def stripped(text: str) -> str:
    """A text without the blank lines around it."""
    return re.sub(r"\A(?:[ \t]*[\r\n]+)+", "", text).rstrip()


@st.composite
def changelogs(draw: st.DrawFn) -> tuple[str, str]:
    """A changelog, and what it has below `Unreleased`."""
    title = draw(st.sampled_from(["# Changelog", "# Changes\n\n<!-- ## [Unreleased] -->", "Changelog\n========="]))
    heading = draw(st.sampled_from(["## [Unreleased]", "## Unreleased", "## unreleased - soon", "# UNRELEASED"]))
    contents = draw(CONTENTS)
    older = draw(st.sampled_from(["", "## [1.1.0] - 2026-01-31\n\n- old", "## v1.1 (2026-01-31)\n- old"]))
    links = draw(st.sampled_from(["", LINK, "[x]: y\n"]))
    newline = draw(st.sampled_from(["\n", "\r\n"]))
    bom = draw(st.sampled_from(["", "\ufeff"]))
    text = bom + f"{title}\n\n{heading}\n\n{contents}\n\n{older}\n\n{links}".replace("\n", newline)
    return text, stripped(contents.replace("\n", newline))


def lines_of(text: str) -> list[str]:
    return re.findall(r"[^\r\n]*(?:\r\n|\n|$)", text)


@given(changelogs())
def test_every_line_but_the_link_is_unchanged(generated: tuple[str, str]) -> None:
    text, _ = generated
    result = released(text)
    after = iter(line.rstrip("\r\n") for line in lines_of(result))
    unchanged = [line.rstrip("\r\n") for line in lines_of(text) if not line.startswith("[unreleased]: ")]
    assert all(line in after for line in unchanged)  # in this order: an iterator is used up
    if "\r\n" in text:
        assert "\n" not in result.replace("\r\n", "")


@given(changelogs())
def test_the_unreleased_text_becomes_that_of_the_version(generated: tuple[str, str]) -> None:
    text, contents = generated
    result = released(text)
    assert changelog.section_of_version(result, "1.2.0") == contents
    assert changelog.section_of_version(result, "1.1.0") == changelog.section_of_version(text, "1.1.0")


@given(changelogs())
def test_a_second_release_follows_the_first(generated: tuple[str, str]) -> None:
    text, _ = generated
    first = released(text)
    second = changelog.add_release(first, version="1.3.0", date=DAY, tag="v1.3.0", previous_tag=None)
    assert changelog.section_of_version(second, "1.3.0") == ""
    assert changelog.section_of_version(second, "1.2.0") == changelog.section_of_version(first, "1.2.0")
    assert ("compare/v1.2.0...v1.3.0" in second) is ("compare/v1.1.0...HEAD" in text)
    with pytest.raises(Blocked, match="already has a heading"):
        released(second)


PIECES = ["#", "##", " ", "\n", "\r", "- ", "`", "```", "~~~", "<!--", "-->", "[", "]", "(", ")", ": ", "=", "---"]
PIECES += [
    "1.2",
    "v",
    "Unreleased",
    "x",
    "> ",
    "\ufeff",
    "/compare/",
    "...",
    "HEAD",
    "2026-01-01",
    "\t",
    "*",
    "\\",
]


@given(st.lists(st.sampled_from(PIECES), max_size=30).map("".join))
def test_any_text_is_released_or_rejected(text: str) -> None:
    has_one = changelog.has_unreleased_heading(text)
    has_version = changelog.has_unreleased_heading(text, {Version("1.2")})
    assert changelog.section_of_version(text, "1.2") is None or "1.2" in text
    try:
        result = released(text)
    except Blocked:
        return
    assert has_version
    assert changelog.has_unreleased_heading(result) == has_one
    assert "2026-11-21" in result


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("## Unreleased\n", True),
        ("## Unreleased\n\n### Added\n\n<!-- here -->\n\n## 1.0\n\n- a\n", True),
        ("## Unreleased\n\n[unreleased]: https://example.invalid\n", True),
        ("## Unreleased\n\n- a\n", False),
        ("## Unreleased\n\nText.\n", False),
    ],
)
def test_detecting_text_below_unreleased(text: str, *, expected: bool) -> None:
    assert changelog.is_unreleased_section_empty(text) == expected


@pytest.mark.parametrize(
    ("before", "after", "version", "expected"),
    [
        ("# 1.0\n\nby hand\n", "# 1.1\n\nnew\n\n# 1.0\n\ntool\n", "1.1", "# 1.1\n\nnew\n\n# 1.0\n\nby hand\n"),
        # What is not released yet is left to the tool: Unreleased, and a section of the same version.
        ("# Unreleased\n\na\n\n# 1.0\nb\n", "# 1.1\n\nc\n\n# 1.0\n", "1.1", "# 1.1\n\nc\n\n# 1.0\nb\n"),
        ("# 1.1\n\na\n\n# 1.0\nb\n", "# 1.1\n\nc\n\n# 1.0\n", "1.1", "# 1.1\n\nc\n\n# 1.0\nb\n"),
        ("# 1.1rc1\na\n", "# 1.1\nc\n# 1.1rc1\nb\n", "1.1", "# 1.1\nc\n# 1.1rc1\na\n"),
        # Names before versions, and a title that has a number as well.
        (
            "# News 2.0\n\n## a-v1.0\nhand\n",
            "# News 2.0\n\n## a-v1.1\nnew\n\n## a-v1.0\ntool\n",
            "1.1",
            "# News 2.0\n\n## a-v1.1\nnew\n\n## a-v1.0\nhand\n",
        ),
        (
            "# News\n\n## b 1.1 (monday)\nhand\n",
            "# News\n\n## a 1.1\nnew\n\n## b 1.1 (tuesday)\ntool\n",
            "a 1.1, c 3.0",
            "# News\n\n## a 1.1\nnew\n\n## b 1.1 (monday)\nhand\n",
        ),
        ("# News\r\n", "# News\n\n## 1.1\n", "1.1", "# News\r\n\r\n## 1.1\r\n"),
        ("1.0\n===\n\nhand\n", "1.1\n===\n\nnew\n\n1.0\n===\n", "1.1", "1.1\n===\n\nnew\n\n1.0\n===\n\nhand\n"),
    ],
)
def test_a_tool_writes_the_new_section_only(before: str, after: str, version: str, expected: str) -> None:
    assert changelog.keep_earlier_releases(before, after, version) == expected
