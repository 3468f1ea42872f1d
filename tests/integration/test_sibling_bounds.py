"""Requirements on siblings: those without a version, and pins that are ahead."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING

import pytest
from projects import HATCHLING, repository, write
from running import run_blocked_bump, run_in_process

if TYPE_CHECKING:
    from pathlib import Path

    from running import Bump

pytestmark = pytest.mark.heavy


def workspace(directory: Path, requirement: str, base: str = "1.4.2", top: str = "2.0.0") -> Path:
    """The package top, which requires the package base."""
    files = {"pyproject.toml": '[tool.relnox]\npackages = ["packages/*"]\nversions = "independent"\n'}
    for name, version, needs in (("base", base, ""), ("top", top, f'"{requirement}"')):
        head = f'[project]\nname = "{name}"\nversion = "{version}"\ndependencies = [{needs}]\n\n{HATCHLING}'
        files[f"packages/{name}/pyproject.toml"] = head
        files[f"packages/{name}/src/{name}/__init__.py"] = ""
    return repository(write(directory, files))


def required(root: Path) -> str:
    """What top requires."""
    document = tomllib.loads((root / "packages/top/pyproject.toml").read_text())
    (need,) = document["project"]["dependencies"]
    return str(need)


def test_a_requirement_without_a_version_gives_a_note(tmp_path: Path, bump: Bump) -> None:
    root = workspace(tmp_path / "two", "base")
    ran = bump(root, "--package", "top", "--part", "minor", "--commit")
    assert ran.code == 0, ran.text
    assert required(root) == "base"
    words = "requirements on siblings without a version: top on base"
    assert words in ran.text
    assert words in run_in_process(root, "build-all", "--dry-run").text


@pytest.mark.parametrize("before", ["base>=3.0", "base==3.0", "base~=3.1", "base>=3,<4"])
def test_a_requirement_that_is_ahead_is_not_lowered(tmp_path: Path, bump: Bump, before: str) -> None:
    root = workspace(tmp_path / "two", before)
    said = run_blocked_bump(bump, root, "--package", "base", "--part", "minor", "--commit")
    assert (
        f"packages/top/pyproject.toml: '{before}' requires a newer version than base 1.5.0, and would be lowered"
        in said
    )
    assert bump(root, "--package", "base", "--to", "3.1.0", "--commit").code == 0


def test_a_lowered_version_lowers_its_requirements(tmp_path: Path, bump: Bump) -> None:
    root = workspace(tmp_path / "two", "base==1.4.2")
    assert bump(root, "--package", "base", "--to", "1.3.0", "--allow-lower", "--commit").code == 0
    assert required(root) == "base==1.3.0"
