from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from packaging.version import Version

from relnox.core.bump import bump_checks
from relnox.core.bump.version_bumps import VersionBump
from relnox.core.packages import Package, VersionSource
from relnox.core.planning.changes import NewTag
from relnox.core.settings.release_lines import ReleaseLine
from relnox.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Iterable

    from relnox.core.problems import Problem


def package(directory: str, prefix: str | None = None) -> Package:
    """Make a package in a directory; with `prefix`, one whose version comes from tags with that prefix."""
    source = VersionSource(kind="toml", file="pyproject.toml", text="1.0.0")
    if prefix is not None:
        key = (prefix,) if prefix else ()
        source = VersionSource(kind="tags", file="pyproject.toml", key=key, text="setuptools-scm")
    name = "demo" if directory == "." else directory.rpartition("/")[2]
    return Package(name=name, directory=directory, version=None, source=source, backend="hatchling.build")


def bump(directory: str, after: str, prefix: str | None = None) -> VersionBump:
    return VersionBump(package(directory, prefix), Version("1.0.0"), Version(after), "requested")


def messages(problems: Iterable[Problem]) -> list[str]:
    checked = list(problems)
    assert all(problem.code and problem.fix for problem in checked)
    return [problem.message for problem in checked]


# --- a clean tree --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dirty", "reported"),
    [
        ([], None),
        (["pkgs/b/x.py", "README.md", "pkgs/ab/x.py", "other/pkgs/a/x.py"], None),
        (["pkgs/a/x.py"], "pkgs/a/x.py"),
        (["pkgs/b/x.py", "uv.lock"], "uv.lock"),
        (["pkgs/b/x.py", "pkgs/b/pyproject.toml"], "pkgs/b/pyproject.toml"),
    ],
)
def test_only_bumped_packages_and_edited_files_must_be_clean(dirty: list[str], reported: str | None) -> None:
    edited = ["pkgs/a/pyproject.toml", "pkgs/b/pyproject.toml", "uv.lock"]
    lines = messages(bump_checks.check_no_uncommitted_changes(dirty, iter(edited), iter([package("pkgs/a")])))
    assert lines == ([f"uncommitted changes: {reported}"] if reported else [])


def test_all_files_belong_to_a_package_at_the_root() -> None:
    assert messages(bump_checks.check_no_uncommitted_changes(["docs/x.md"], [], [package(".")])) == [
        "uncommitted changes: docs/x.md"
    ]


@pytest.mark.parametrize(("count", "end"), [(5, "f4"), (6, "f4 …")])
def test_many_dirty_files_are_abbreviated(count: int, end: str) -> None:
    (message,) = messages(
        bump_checks.check_no_uncommitted_changes([f"f{number}" for number in range(count)], [], [package(".")])
    )
    assert message == f"uncommitted changes: f0, f1, f2, f3, {end}"


# --- branch and remote branch --------------------------------------------------------------------------


MAIN = (ReleaseLine("main"),)


def test_any_branch_is_allowed_unless_one_is_configured() -> None:
    assert messages(bump_checks.check_branch_allows_releases("main", MAIN, MAIN)) == []
    assert messages(bump_checks.check_branch_allows_releases("topic", (), ())) == []
    assert messages(bump_checks.check_branch_allows_releases(None, (), MAIN)) == []


def test_another_branch_is_a_problem() -> None:
    (problem,) = bump_checks.check_branch_allows_releases("topic", (), MAIN)
    assert problem.message == "branch topic is not a release branch ([tool.relnox] branch: main)"
    assert problem.fix == "git switch main"


@pytest.mark.parametrize(
    ("missing", "expected"),
    [
        (0, []),
        (1, ["the branch is behind origin/main by 1 commit"]),
        (2, ["the branch is behind origin/main by 2 commits"]),
    ],
)
def test_commits_missing_from_the_branch_are_counted(missing: int, expected: list[str]) -> None:
    assert messages(bump_checks.check_not_behind_upstream(missing, "origin/main")) == expected


# --- tags ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("here", "there", "head", "where"),
    [
        ({}, {}, None, None),
        ({"v1.0": "a"}, {}, None, "here"),
        ({}, {"v1.0": "a"}, None, "on upstream"),
        ({"v1.0": "a"}, {"v1.0": "a"}, None, "here and on upstream"),
        ({"v1.0": "a"}, {"v1.0": "a"}, "a", None),  # the tag of this commit
        ({"v1.0": "a"}, {"v1.0": "b"}, "a", "on upstream"),
        ({"v1.0": "b"}, {"v1.0": "a"}, "a", "here"),
        ({"v1.0.0": "a"}, {"w1.0": "a"}, None, None),
    ],
)
def test_an_existing_tag_is_a_problem_that_names_the_repository(
    here: dict[str, str], there: dict[str, str], head: str | None, where: str | None
) -> None:
    found = list(
        bump_checks.check_tags_do_not_exist([NewTag(name="v1.0", message="")], here, there, head, "upstream")
    )
    assert messages(found) == ([f"tag v1.0 already exists {where}"] if where else [])
    for problem in found:
        assert problem.exit_code is ExitCode.CONFLICT
        assert "git show v1.0" in problem.fix


def test_every_existing_tag_is_a_problem() -> None:
    tags = [NewTag(name=name, message="") for name in ("a-v1", "b-v1", "c-v1")]
    found = messages(bump_checks.check_tags_do_not_exist(tags, {"a-v1": "x", "c-v1": "x"}, {}, None, "origin"))
    assert [line.split(" ")[1] for line in found] == ["a-v1", "c-v1"]


@pytest.mark.parametrize(
    ("after", "released", "expected"),
    [
        ("1.1.0", "1.0.9", False),
        ("1.1.0", "1.1.0rc1", False),
        ("1.1.0", "1.1.0", False),  # check_tags_do_not_exist reports the same tag
        ("1.1", "1.1.0", True),  # one version in two forms
        ("1.1.0", "1.2.0", True),
        ("1.10.0", "1.9.0", False),
        ("1.1.0a1", "1.1.0", True),
        ("1.0.0", "1!0.1", True),
    ],
)
def test_a_version_must_be_greater_than_that_of_the_last_tag(after: str, released: str, *, expected: bool) -> None:
    tagged = {"demo": (f"v{released}", Version(released))}
    found = messages(bump_checks.check_versions_above_last_tags([bump(".", after)], {"demo": f"v{after}"}, tagged))
    assert found == ([f"demo {Version(after)} is not higher than the last release (v{released})"] * expected)


def test_packages_with_a_common_tag_give_one_problem() -> None:
    tagged = {name: ("v2.0", Version("2.0")) for name in ("a", "b")}
    bumps = [bump("a", "1.1"), bump("b", "1.1"), bump("c", "1.1")]
    names = dict.fromkeys("abc", "v1.1")
    assert messages(bump_checks.check_versions_above_last_tags(bumps, names, tagged)) == [
        "a 1.1 is not higher than the last release (v2.0)"
    ]


def test_packages_with_separate_tags_give_separate_problems() -> None:
    tagged = {name: (f"{name}-v2.0", Version("2.0")) for name in ("a", "b")}
    names = {name: f"{name}-v1.1" for name in ("a", "b")}
    assert (
        len(list(bump_checks.check_versions_above_last_tags([bump("a", "1.1"), bump("b", "1.1")], names, tagged)))
        == 2
    )


@pytest.mark.parametrize(
    ("prefix", "tag", "readable"),
    [
        (None, "v1.1", True),  # its version is in a file
        ("", "v1.1", True),  # the backend reads any tag
        ("v", "v1.1", True),
        ("release-", "v1.1", False),
        ("v", "demo-v1.1", False),
    ],
)
def test_a_tag_that_the_backend_does_not_read_is_a_problem(
    prefix: str | None, tag: str, *, readable: bool
) -> None:
    found = list(bump_checks.check_tags_readable_by_backends([bump(".", "1.1", prefix)], {"demo": tag}))
    assert not found if readable else len(found) == 1
    for problem in found:
        assert f"ignores tag {tag} (it reads only tags that begin with {prefix})" in problem.message
        assert f'tag-format = "{prefix}{{version}}"' in problem.fix
    assert not list(bump_checks.check_tags_readable_by_backends([bump(".", "1.1", prefix)], {}))
