from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relnox.core.notes import fragments
from relnox.core.notes.fragments import Fragment
from relnox.errors import Blocked

PACKAGES = ["core", "cli", "Name.Space_X"]
TWO = b"---\ncore: minor\ncli: patch\n---\nAdd a `--json` flag.\n"


def parse(content: bytes) -> Fragment:
    return fragments.parse_fragment("a.md", content, PACKAGES)


@pytest.mark.parametrize(
    ("content", "levels", "text"),
    [
        (TWO, {"core": "minor", "cli": "patch"}, "Add a `--json` flag."),
        (b'---\n"core": major\n---\n\nText.\n\n', {"core": "major"}, "Text."),
        (b"---\n'core': 'none'\n---\nText.", {"core": None}, "Text."),
        (b"---\r\ncore:minor\r\n---\r\nOne\r\ntwo.\r\n", {"core": "minor"}, "One\ntwo."),
        (b"\xef\xbb\xbf---  \n\n# why\n  core : patch  # so\n--- \nText.", {"core": "patch"}, "Text."),
        (b"---\nname-space.x: patch\n---\nText.", {"name-space-x": "patch"}, "Text."),
        (b"---\ncore: patch\n---\nText.\n---\ncli: minor\n", {"core": "patch"}, "Text.\n---\ncli: minor"),
    ],
)
def test_parsing_a_fragment(content: bytes, levels: dict[str, str | None], text: str) -> None:
    assert parse(content) == Fragment("a.md", levels, text)  # type: ignore[arg-type]  # levels are written as text


@pytest.mark.parametrize(
    ("content", "message", "fix"),
    [
        (b"", "a.md, line 1: there is no front matter", "core: minor"),
        (b"Text.\n", "a.md, line 1: there is no front matter", "core: minor"),
        (b"\n---\ncore: minor\n---\nText.", "a.md, line 1: there is no front matter", "core: minor"),
        (b"---\ncore: minor\nText.\n", "a.md, line 1: the front matter has no end", "---"),
        (b"---\n\n---\nText.", "a.md, line 3: the front matter lists no package", "cli: patch"),
        (b"---\ncoer: minor\n---\nText.", "a.md, line 2: unknown package 'coer'", "did you mean core?"),
        (b"---\nzzz: minor\n---\nText.", "line 2: unknown package 'zzz'", "choose one of cli, core, name-space-x"),
        (
            b"---\n\ncore: mino\n---\nText.",
            "line 3: invalid level 'mino' (allowed: major, minor, patch, none)",
            "did you mean minor?",
        ),
        (b"---\ncore: Minor\n---\nText.", "invalid level 'Minor'", "did you mean minor?"),
        (b"---\ncore:\n---\nText.", "invalid level ''", "choose one of major, minor, none, patch"),
        (b"---\ncore minor\n---\nText.", "line 2: 'core minor' is not a package and a level", "cli: patch"),
        (b"---\n- core: minor\n---\nText.", "unknown package '- core'", "did you mean core?"),
        (b"---\n'core: minor\n---\nText.", "is not a package and a level", "cli: patch"),
        (
            b"---\ncore: minor # so, # and\nCORE: patch\n---\nText.",
            "line 3: package core is listed twice",
            "remove one",
        ),
        (
            b"---\ncore: minor\n---\n \n\n",
            "a.md, line 3: there is no text below the front matter",
            "describe the change",
        ),
        (b"---\ncore: minor\n---\n\xc3\xbc\n\xfc\n", "a.md, line 5: invalid UTF-8", "UTF-8"),
        (b"\xff", "a.md, line 1: invalid UTF-8", "UTF-8"),
    ],
)
def test_an_invalid_fragment_is_rejected_with_its_line(content: bytes, message: str, fix: str) -> None:
    with pytest.raises(Blocked) as caught:
        parse(content)
    assert message in caught.value.message
    assert fix in (caught.value.fix or "")


@given(st.binary(max_size=40) | st.text("-\n\r core:minpath#'\"", max_size=40).map(lambda text: text.encode()))
def test_any_bytes_are_parsed_or_rejected(content: bytes) -> None:
    try:
        parsed = fragments.parse_fragment("a.md", content, PACKAGES)
    except Blocked as error:
        assert error.message.startswith("a.md, line ")  # noqa: PT017 - either of two endings is right
    else:
        assert parsed.levels
        assert parsed.text


@pytest.mark.parametrize(
    ("content", "released", "expected"),
    [
        (TWO, ["core"], b"---\ncli: patch\n---\nAdd a `--json` flag.\n"),
        (TWO, ["CLI"], b"---\ncore: minor\n---\nAdd a `--json` flag.\n"),
        (TWO, ["core", "cli", "other"], None),
        (TWO, [], TWO),
        (TWO, ["other"], TWO),
        (b"\xef\xbb\xbf---\r\n# x\r\n'core': minor\r\ncli: none\r\n---\r\ncore: minor\r\n\xff", ["core"],
         b"\xef\xbb\xbf---\r\n# x\r\ncli: none\r\n---\r\ncore: minor\r\n\xff"),
        (b"---\nname_space.x: patch # so\n\ncli: patch\n---\n", ["name-space-x"], b"---\n\ncli: patch\n---\n"),
        (b"---\n# only this\n'core': minor\n---\nText.", ["core"], None),
        (b"---\n\xc2\xa0core: minor\n\fcli: patch\n---\n", ["core"], b"---\n\fcli: patch\n---\n"),
        (b"no front matter\ncore: minor\n", ["core"], b"no front matter\ncore: minor\n"),
        (b"---\ncore: minor\n", ["core"], b"---\ncore: minor\n"),
    ],
)  # fmt: skip
def test_removing_released_packages_from_a_fragment(
    content: bytes, released: list[str], expected: bytes | None
) -> None:
    assert fragments.remove_released_packages(content, released) == expected


LEVELS = st.dictionaries(
    st.sampled_from(["core", "cli", "name-space-x"]), st.sampled_from(["major", "patch", "none"])
)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20).filter(lambda text: text.strip() != "")


@given(LEVELS.filter(bool), TEXT, st.sets(st.sampled_from(["core", "cli"])), st.sampled_from(["\n", "\r\n"]))
def test_removing_packages_keeps_the_other_packages_and_the_text(
    levels: dict[str, str], text: str, released: set[str], newline: str
) -> None:
    def fragment_bytes(names: list[str]) -> bytes:
        entries = "".join(f"{name}: {levels[name]}{newline}" for name in names)
        return f"---{newline}{entries}---{newline}{text}".encode()

    left = [name for name in levels if name not in released]
    assert fragments.remove_released_packages(fragment_bytes(list(levels)), released) == (
        fragment_bytes(left) if left else None
    )
    if left:
        parsed = parse(fragment_bytes(left))
        assert list(parsed.levels) == left
        assert parsed.text.split() == text.split()


def fragment(file: str, text: str, **levels: str | None) -> Fragment:
    return Fragment(file, levels, text)  # type: ignore[arg-type]  # levels are written as text


def test_a_text_becomes_a_list_item_with_indented_lines() -> None:
    text = "First,\nin two lines.\n\n  And more.\n \n```\ncode\n```"
    assert fragments.as_changelog_entries([fragment("a.md", text)]) == (
        "- First,\n  in two lines.\n\n    And more.\n\n  ```\n  code\n  ```"
    )


@pytest.mark.parametrize("text", ["- one,\n  a list.\n- And more.", "* one", "+ one", "1. one", "12) one"])
def test_a_text_that_is_a_list_is_unchanged(text: str) -> None:
    assert fragments.as_changelog_entries([fragment("a.md", text)]) == text


@pytest.mark.parametrize("text", ["-1 is allowed", "*Really* new", "1.0 is no item"])
def test_a_text_that_only_looks_like_a_list_becomes_an_item(text: str) -> None:
    assert fragments.as_changelog_entries([fragment("a.md", text)]) == f"- {text}"


def test_text_below_headings_follows_other_text_below_headings_of_one_level() -> None:
    texts = [
        "### Added\n\n- one",
        "two",
        "# Fixed\nIn two\nlines.\n\n## Security\n\n### Empty\n",
        "four\n\n### Added\n- not at the top",
        "Added\n-----\n```\n# five\n```",
    ]
    assert fragments.as_changelog_entries(fragment("a.md", text) for text in texts) == (
        "- two\n- four\n\n  ### Added\n  - not at the top\n\n"
        "### Added\n\n- one\n\n"
        "### Fixed\n\n- In two\n  lines.\n\n"
        "### Added\n\n- ```\n  # five\n  ```"
    )
