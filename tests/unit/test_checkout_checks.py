from __future__ import annotations

import pytest

from relnox.commands.shared.checks import uncommitted_change_problems
from relnox.core.packages import Package, VersionSource

EDITED = ["pkgs/a/pyproject.toml", "pkgs/b/pyproject.toml", "uv.lock"]


@pytest.mark.parametrize(
    ("directory", "dirty", "reported"),
    [
        ("pkgs/a", [], None),
        ("pkgs/a", ["pkgs/b/x.py", "README.md", "pkgs/ab/x.py", "other/pkgs/a/x.py"], None),
        ("pkgs/a", ["pkgs/a/x.py"], "pkgs/a/x.py"),
        ("pkgs/a", ["pkgs/b/x.py", "uv.lock"], "uv.lock"),
        ("pkgs/a", ["pkgs/b/x.py", "pkgs/b/pyproject.toml"], "pkgs/b/pyproject.toml"),
        (".", ["docs/x.md"], "docs/x.md"),
        (".", [f"f{number}" for number in range(5)], "f0, f1, f2, f3, f4"),
        (".", [f"f{number}" for number in range(6)], "f0, f1, f2, f3, f4 …"),
    ],
)
def test_only_bumped_packages_and_edited_files_must_be_clean(
    directory: str, dirty: list[str], reported: str | None
) -> None:
    source = VersionSource(kind="toml", file="pyproject.toml", text="1.0.0")
    package = Package(name="demo", directory=directory, version=None, source=source, backend="hatchling.build")
    problems = list(uncommitted_change_problems(dirty, EDITED, [package]))
    assert [problem.message for problem in problems] == ([f"uncommitted changes: {reported}"] if reported else [])
    assert all(problem.code == "tree-dirty" and problem.fix for problem in problems)
