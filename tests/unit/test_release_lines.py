"""Release lines: their settings, the line of a branch, and the versions that belong to it."""

from __future__ import annotations

import pytest
from packaging.version import Version

from relnox.core.settings import release_lines
from relnox.core.settings.config import Config
from relnox.core.settings.release_lines import ReleaseLine
from relnox.core.tags import TagFormat, latest_tags
from relnox.errors import Blocked

TWO = {"main": ">=2", "release/1.x": "<2"}


def parse(value: object) -> tuple[ReleaseLine, ...]:
    return Config.parse({"branch": value}).branch


def error(value: object) -> Blocked:
    with pytest.raises(Blocked) as blocked:
        parse(value)
    return blocked.value


def test_a_branch_a_list_and_a_table_are_release_lines() -> None:
    assert Config.parse({}).branch == ()
    assert parse("main") == (ReleaseLine("main"),)
    assert parse(["main", "release/*", "main"]) == (ReleaseLine("main"), ReleaseLine("release/*"))
    assert parse(TWO) == (ReleaseLine("main", ">=2"), ReleaseLine("release/1.x", "<2"))
    assert parse({"main": "", "v?": ""}) == (ReleaseLine("main"), ReleaseLine("v?"))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (True, "tool.relnox.branch = True is not a string, a list of strings, or a table of strings"),
        (["main", 1], "tool.relnox.branch[1] = 1 is not a string"),
        ({"main": [">=2"]}, "tool.relnox.branch.main = ['>=2'] is not a string"),
        ({"main": {"bounds": ">=2"}}, "is not a string"),
        ("a b", "git rejects it: a git ref cannot contain ' '"),
        (["release/[12]"], "git rejects it"),
        ({"..": "<2"}, "git rejects it"),
        ({"main": "2"}, "it is not a version specifier (PEP 440)"),
        ({"main": ">=two"}, "it is not a version specifier (PEP 440)"),
        ({"main": "===2"}, "=== compares texts"),
        ({"main": "<2.0rc1"}, "2.0rc1 is not a final release"),
        ({"main": ">1.0.post1"}, "1.0.post1 is not a final release"),
    ],
)
def test_other_shapes_and_specifiers_are_errors(value: object, message: str) -> None:
    blocked = error(value)
    assert blocked.code == "value-invalid"
    assert message in blocked.message
    assert blocked.fix


@pytest.mark.parametrize(
    ("version", "line"),
    [
        ("1.9", "release/1.x"),
        ("1.9.post1", "release/1.x"),
        ("1.10.dev3", "release/1.x"),
        ("2.0a1", "main"),
        ("2.0.dev0", "main"),
        ("2.0", "main"),
        ("1!0.1", "main"),
    ],
)
def test_a_prerelease_belongs_to_the_line_of_its_final_release(version: str, line: str) -> None:
    assert [each.branch for each in parse(TWO) if each.contains(Version(version))] == [line]


def test_a_branch_has_the_line_that_names_it_or_a_glob() -> None:
    lines = parse({"release/*": "<2", "release/2.x": "==2.*", "main": ">=3"})
    assert release_lines.release_lines_of_branch("release/2.x", lines) == (ReleaseLine("release/2.x", "==2.*"),)
    assert release_lines.release_lines_of_branch("release/1/4", lines) == (ReleaseLine("release/1/4", "<2"),)
    assert release_lines.release_lines_of_branch("feature", lines) == ()
    assert release_lines.release_lines_of_branch("Main", lines) == ()


def test_globs_with_different_bounds_that_match_one_branch_are_ambiguous() -> None:
    lines = parse({"release/*": "<2", "*/2.x": ">=2"})
    assert len(release_lines.release_lines_of_branch("hot/2.x", lines)) == 1
    with pytest.raises(Blocked, match=r"branch release/2\.x matches several release lines") as blocked:
        release_lines.release_lines_of_branch("release/2.x", lines)
    assert blocked.value.code == "setting-invalid"


def test_the_last_tag_is_that_of_the_line_or_the_one_that_the_line_begins_at() -> None:
    formats = {"demo": TagFormat(prefix="v", suffix="", scheme="pep440")}
    main, old = parse(TWO)
    tags = ["v1.9", "v2.0a1", "v1.10"]
    assert latest_tags(formats, tags)["demo"][0] == "v2.0a1"
    assert latest_tags(formats, tags, lines=[old])["demo"][0] == "v1.10"
    assert latest_tags(formats, tags, lines=[main])["demo"][0] == "v2.0a1"
    assert latest_tags(formats, ["v1.9", "v1.10"], lines=[main])["demo"][0] == "v1.10"
    assert latest_tags(formats, tags, lines=[main, old])["demo"][0] == "v2.0a1"
