"""The text of release pages: sections, notes that are cut, foreign text, and reStructuredText as Markdown."""

from __future__ import annotations

import pytest
from packaging.version import Version

from relnox.core.changelog import release_notes_of_version
from relnox.core.release import release_page
from relnox.core.release.restructured_text import to_markdown

TAG = "v1.0"


def section(version: str = "1.0") -> str:
    return release_page.format_installation_section(TAG, {"demo": Version(version)}, [], index_url="", limit=1000)


@pytest.mark.parametrize(
    "body", ["", "By hand", "By hand\r\n\r\n* a list\r\n", "<!-- relnox: installation v0.9 -->"]
)
def test_a_section_is_added_once_and_replaced_later(body: str) -> None:
    once = release_page.replace_section(body, TAG, section())
    assert once.startswith(body.rstrip())
    assert release_page.has_section(once, section())
    assert release_page.replace_section(once, TAG, section()) == once
    edited = once.replace("\n", "\r\n") + "\r\nMore by hand\r\n"
    assert release_page.has_section(edited, section())
    later = release_page.replace_section(edited, TAG, section("2.0"))
    assert (later.count("demo==2.0"), later.count("demo==1.0")) == (1, 0)
    assert later.endswith("\r\nMore by hand\r\n")


@pytest.mark.parametrize("tag", ["v1.0", "a/b--c-->d", "ü 1"])
def test_a_marker_is_for_its_tag_only(tag: str) -> None:
    body = release_page.format_new_page(tag, "Notes", "", section(), limit=10_000)
    assert release_page.is_made_by_relnox(body.replace("\n", "\r\n"), tag)
    assert not release_page.is_made_by_relnox(body, f"{tag}.1")
    assert not release_page.is_made_by_relnox("Notes", tag)
    assert release_page.release_marker(tag).index("-->") == len(release_page.release_marker(tag)) - len("-->")


@pytest.mark.parametrize(
    "comment", ["<!-- relnox: release v1.0 -->", "<!--RELNOX", "<!-- /relnox: installation v1.0 -->"]
)
def test_comments_of_notes_that_look_like_markers_are_text(comment: str) -> None:
    body = release_page.format_new_page("v2.0", f"A\n{comment}", "", "", limit=10_000)
    assert comment not in body
    assert "&lt;!--" in body


@pytest.mark.parametrize("limit", range(300, 700, 13))
def test_notes_are_cut_at_an_entry_outside_of_code(limit: int) -> None:
    entries = "\n".join(f"- entry {number}\n\n  ```\n  - code {number}\n  ```" for number in range(30))
    body = release_page.format_new_page(
        TAG, f"### Added\n\n{entries}\n\n### Fixed", "[all](https://example.org)", "", limit=limit
    )
    assert len(body) <= limit
    assert body.endswith("[all](https://example.org)\n")
    assert body.count("```") % 2 == 0
    assert "### Fixed" not in body


def test_hashes_are_left_out_where_there_is_no_room() -> None:
    assert "SHA-256" in section()
    assert "SHA-256" not in release_page.format_installation_section(
        TAG, {"demo": Version("1")}, [], index_url="", limit=10
    )


SUBJECTS = {
    "fix: `code` and *stars*": r"fix: \`code\` and \*stars\*",
    "thanks @octo-cat, me@example.org": "thanks @<!-- -->octo-cat, me@example.org",
    "<img src=x> [a](b)": r"\<img src=x\> \[a\](b)",
    "bell \x07": r"bell \\x07",
}


@pytest.mark.parametrize("subject", SUBJECTS)
def test_subjects_of_commits_are_shown_as_they_are(subject: str) -> None:
    assert (
        release_page.format_commit_notes([(subject, "0123456789abcdef")]) == f"- {SUBJECTS[subject]} (0123456789)"
    )


def test_paragraphs_are_on_one_line() -> None:
    text = (
        "a\nb  \nc\n\n- d\n  e\n  - f\n\n    g\n```\nh\ni\n```\n> j\n\nk\n---\n| l |\n|---|\n\n    code\n    more"
    )
    joined = "a b  \nc\n\n- d e\n  - f\n\n    g\n```\nh\ni\n```\n> j\n\nk\n---\n| l |\n|---|\n\n    code\n    more"
    assert release_page.join_paragraph_lines(text) == joined


TAGS = {"v1.0.0": "1.0.0", "v1.1.0rc1": "1.1.0rc1", "v1.1.0": "1.1.0", "v1.0.1": "1.0.1", "v2.0.dev1": "2.0.dev1"}


@pytest.mark.parametrize(
    ("version", "previous", "latest"),
    [
        ("1.1.0", "v1.0.1", True),
        ("1.1.0rc1", "v1.0.1", False),
        ("1.1.0rc2", "v1.1.0rc1", False),
        ("1.0.1", "v1.0.0", False),
        ("2.0.0", "v1.1.0", True),
        ("1.0.0", None, False),
    ],
)
def test_the_previous_tag_and_the_latest_version(version: str, previous: str | None, latest: bool) -> None:
    tags = {tag: Version(text) for tag, text in TAGS.items()}
    assert release_page.previous_tag(tags, Version(version)) == previous
    assert release_page.is_latest_release(tags.values(), Version(version)) == latest


def test_notes_have_the_links_that_they_use() -> None:
    text = "# Log\n\n## Unreleased\n\n- next\n\n## 1.1\n\n- see [a]\n\n## 1.0\n\n- [b]\n\n[a]: https://a\n[b]: https://b\n"
    assert release_notes_of_version(text, Version("1.1")) == "- see [a]\n\n[a]: https://a"
    assert release_notes_of_version(text, Version("1.0")) == "- [b]\n\n[b]: https://b"
    assert release_notes_of_version(text, Version("1.2rc1")) == "- next"
    assert release_notes_of_version(text, Version("1.2")) is None


RESTRUCTURED = {
    ":func:`~numpy.fft.fftn` :pr:`12` :doc:`the guide <guide>` `name`": "`fftn` `#12` `the guide` `name`",
    "``a|b`` and :pep:`440`": "`a|b` and [PEP 440](https://peps.python.org/pep-0440)",
    "`text <https://example.org/a(b)>`_ https://example.org": (
        "[text](https://example.org/a%28b%29) <https://example.org>"
    ),
    "far_ and `#1`_ and gone_": "[far](https://example.org/far) and #1 and gone",
    "*a* **b** c_d __e__ <f> [g]": r"*a* **b** c_d \_\_e\_\_ \<f\> \[g\]",
    "2\\ :sup:`10` H\\ :sub:`2`\\ O": "2<sup>10</sup> H<sub>2</sub>O",
    "Title\n-----\n\ntext": "### Title\n\ntext",
    "- a\n- b\n\n  more\n": "- a\n\n- b\n\n  more",
    "- a\n\n  - b\n": "- a\n  - b",
    "#. one\n#. two": "1. one\n2. two",
    "::\n\n    code\n": "```\ncode\n```",
    ".. code-block:: python\n\n    x = 1\n": "```python\nx = 1\n```",
    ".. note:: careful": "> **Note**\n>\n> careful",
    ".. versionadded:: 1.2\n   More.": "*Added in 1.2*: More.",
    ".. currentmodule:: demo\n\ntext": "text",
    ".. image:: x.png\n\n.. raw:: html\n\n   <b>x</b>\n\n.. comment\n\ntext": "text",
    ".. include:: /etc/passwd\n\ntext": "text",
    "== ==\na  b\n== ==\nc  d\n== ==": "| a | b |\n|---|---|\n| c | d |",
    "term\n  meaning": "**term**\n\nmeaning",
    "1.5. of 3": "1.5. of 3",
    "broken `link": "broken \\`link",
}


@pytest.mark.parametrize("text", RESTRUCTURED)
def test_restructured_text_becomes_markdown(text: str) -> None:
    assert to_markdown(text, ".. _far: https://example.org/far\n") == RESTRUCTURED[text]
