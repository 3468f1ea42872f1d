from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from packaging.version import Version

from relnox.core.bump import bump_checks
from relnox.core.bump.version_bumps import VersionBump
from relnox.core.packages import Package, VersionSource
from relnox.core.planning.changes import NewTag
from relnox.core.settings.release_lines import ReleaseLine
from relnox.errors import ExitCode, Problem

if TYPE_CHECKING:
    from collections.abc import Iterable


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


# --- tags ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("here", "there", "head", "where"),
    [
        ({}, {}, None, None),
        ({"v1.0": "a"}, {}, None, "here (a)"),
        ({}, {"v1.0": "a"}, None, "on upstream (a)"),
        ({"v1.0": "a"}, {"v1.0": "a"}, None, "here and on upstream (a)"),
        ({"v1.0": "a"}, {"v1.0": "b"}, None, "here and on upstream (a, b)"),
        ({"v1.0": "a"}, {"v1.0": "a"}, "a", None),  # the tag of this commit
        ({"v1.0": "a"}, {"v1.0": "b"}, "a", "on upstream (b)"),
        ({"v1.0": "b"}, {"v1.0": "a"}, "a", "here (b)"),
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
