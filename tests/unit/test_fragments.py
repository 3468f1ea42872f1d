from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relnox.core import fragments
from relnox.core.fragments import Fragment
from relnox.errors import Blocked

KNOWN = ["core", "cli", "Name.Space_X"]
TWO = b"---\ncore: minor\ncli: patch\n---\nAdd a `--json` flag.\n"


def parsed(content: bytes) -> Fragment:
    return fragments.parse("a.md", content, KNOWN)


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
def test_what_a_fragment_says(content: bytes, levels: dict[str, str | None], text: str) -> None:
    assert parsed(content) == Fragment("a.md", levels, text)  # type: ignore[arg-type]  # levels are written as text


@pytest.mark.parametrize(
    ("content", "said", "fix"),
    [
        (b"", "a.md, line 1: there is no front matter", "core: minor"),
        (b"Text.\n", "a.md, line 1: there is no front matter", "core: minor"),
        (b"\n---\ncore: minor\n---\nText.", "a.md, line 1: there is no front matter", "core: minor"),
        (b"---\ncore: minor\nText.\n", "a.md, line 1: the front matter has no end", "---"),
        (b"---\n\n---\nText.", "a.md, line 3: no package is named", "cli: patch"),
        (b"---\ncoer: minor\n---\nText.", "a.md, line 2: there is no package 'coer'", "did you mean core?"),
        (b"---\nzzz: minor\n---\nText.", "line 2: there is no package 'zzz'", "known are cli, core, name-space-x"),
        (b"---\n\ncore: mino\n---\nText.", "line 3: 'mino' is none of major, minor, patch", "did you mean minor?"),
        (b"---\ncore: Minor\n---\nText.", "'Minor' is none of", "did you mean minor?"),
        (b"---\ncore:\n---\nText.", "'' is none of major", "known are major, minor, none, patch"),
        (b"---\ncore minor\n---\nText.", "line 2: 'core minor' is not a package and a level", "cli: patch"),
        (b"---\n- core: minor\n---\nText.", "there is no package '- core'", "did you mean core?"),
        (b"---\n'core: minor\n---\nText.", "is not a package and a level", "cli: patch"),
        (b"---\ncore: minor # so, # and\nCORE: patch\n---\nText.", "line 3: core is named twice", "leave one"),
        (b"---\ncore: minor\n---\n \n\n", "a.md, line 3: nothing is told", "write a sentence"),
        (b"---\ncore: minor\n---\n\xc3\xbc\n\xfc\n", "a.md, line 5: this is no UTF-8", "UTF-8"),
        (b"\xff", "a.md, line 1: this is no UTF-8", "UTF-8"),
    ],
)
def test_what_is_no_fragment_is_refused_with_its_line(content: bytes, said: str, fix: str) -> None:
    with pytest.raises(Blocked) as caught:
        parsed(content)
    assert said in caught.value.message
    assert fix in (caught.value.fix or "")


@given(st.binary(max_size=40) | st.text("-\n\r core:minpath#'\"", max_size=40).map(lambda text: text.encode()))
def test_nothing_but_a_refusal_comes_of_any_bytes(content: bytes) -> None:
    try:
        found = fragments.parse("a.md", content, KNOWN)
    except Blocked as refused:
        assert refused.message.startswith("a.md, line ")  # noqa: PT017 - either of two endings is right
    else:
        assert found.levels
        assert found.text


@pytest.mark.parametrize(
    ("content", "released", "left"),
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
        (b"no front matter\ncore: minor\n", ["core"], b"no front matter\ncore: minor\n"),
        (b"---\ncore: minor\n", ["core"], b"---\ncore: minor\n"),
    ],
)  # fmt: skip
def test_a_fragment_after_some_of_its_packages_were_released(
    content: bytes, released: list[str], left: bytes | None
) -> None:
    assert fragments.remove_packages(content, released) == left


LEVELS = st.dictionaries(
    st.sampled_from(["core", "cli", "name-space-x"]), st.sampled_from(["major", "patch", "none"])
)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20).filter(lambda text: text.strip() != "")


@given(LEVELS.filter(bool), TEXT, st.sets(st.sampled_from(["core", "cli"])), st.sampled_from(["\n", "\r\n"]))
def test_without_leaves_the_other_packages_and_the_text(
    levels: dict[str, str], text: str, released: set[str], newline: str
) -> None:
    def written(names: list[str]) -> bytes:
        entries = "".join(f"{name}: {levels[name]}{newline}" for name in names)
        return f"---{newline}{entries}---{newline}{text}".encode()

    left = [name for name in levels if name not in released]
    assert fragments.remove_packages(written(list(levels)), released) == (written(left) if left else None)
    if left:
        found = parsed(written(left))
        assert list(found.levels) == left
        assert found.text.split() == text.split()


def fragment(file: str, text: str, **levels: str | None) -> Fragment:
    return Fragment(file, levels, text)  # type: ignore[arg-type]  # levels are written as text


SEVERAL = [
    fragment("c.md", "Third.", core="minor", cli="patch"),
    fragment("a.md", "First,\nin two lines.\n\n  And more.\n \n```\ncode\n```", core="patch", cli=None),
    fragment("b.md", "- Second,\n  a list.\n- And more.", core="major"),
]


@pytest.mark.parametrize(
    ("package", "level"), [("core", "major"), ("Core", "major"), ("cli", "patch"), ("other", None)]
)
def test_the_highest_level_counts(package: str, level: str | None) -> None:
    assert fragments.highest_level(SEVERAL, package) == level
    assert fragments.highest_level(reversed(SEVERAL), package) == level


def test_none_asks_for_no_release_and_hinders_none() -> None:
    assert fragments.highest_level(SEVERAL[1:], "cli") is None
    assert fragments.highest_level(
        [fragment("a.md", "x", core="minor"), fragment("b.md", "y", core="patch")], "core"
    ) == ("minor")


def test_notes_are_items_in_the_order_of_the_files() -> None:
    assert fragments.notes(SEVERAL, "CORE") == (
        "- First,\n  in two lines.\n\n    And more.\n\n  ```\n  code\n  ```\n"
        "- Second,\n  a list.\n- And more.\n"
        "- Third."
    )
    assert fragments.notes(SEVERAL, "cli") == "- Third."
    assert fragments.notes(SEVERAL, "other") == ""


@pytest.mark.parametrize("text", ["* one", "+ one", "1. one", "12) one"])
def test_a_text_that_is_a_list_stays_one(text: str) -> None:
    assert fragments.list_item(fragment("a.md", text)) == text


@pytest.mark.parametrize("text", ["-1 is allowed", "*Really* new", "1.0 is no item"])
def test_a_text_that_only_looks_like_a_list_becomes_an_item(text: str) -> None:
    assert fragments.list_item(fragment("a.md", text)) == f"- {text}"
