"""Commit hooks that reformat what a bump edits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from projects import everything, git, pair, repository, write

if TYPE_CHECKING:
    from pathlib import Path

    from running import Bump

pytestmark = pytest.mark.heavy

RELEASE = ("--part", "minor", "--commit", "--tag")
FILE = "packages/base/pyproject.toml"
FORMATTED = f"grep -q formatted {FILE} || {{ echo '# formatted' >> {FILE}; echo reformatted; exit 1; }}"


@pytest.fixture
def two(tmp_path: Path) -> Path:
    """Two packages in lockstep, at 2.0.0."""
    return repository(pair(tmp_path / "pair"))


def hook(root: Path, script: str) -> None:
    path = write(root / ".git/hooks", {"pre-commit": f"#!/bin/sh\n{script}\n"}) / "pre-commit"
    path.chmod(0o755)


@pytest.mark.parametrize(
    "script", [FORMATTED, f"echo '# formatted' >> {FILE}; git add {FILE}"], ids=["fails first", "adds"]
)
def test_formatting_by_a_commit_hook_is_accepted(two: Path, bump: Bump, script: str) -> None:
    before = everything(two)
    hook(two, script)
    ran = bump(two, *RELEASE)
    assert ran.code == 0, ran.text
    assert f"{FILE} as a commit hook reformatted it" in ran.text
    assert "# formatted" in git(two, "show", f"HEAD:{FILE}")
    assert git(two, "status", "--porcelain") == ""
    assert "already done" in bump(two, *RELEASE).text
    (two / ".git/hooks/pre-commit").unlink()
    assert bump(two, "--undo").code == 0
    assert everything(two) == before


@pytest.mark.parametrize("change", ["s/2.1.0/2.2.0/", "s/pair-base/pair-bass/"])
def test_a_content_change_by_a_commit_hook_fails(two: Path, bump: Bump, change: str) -> None:
    before = everything(two)
    hook(two, f"sed -i {change} {FILE}; echo reformatted; exit 1")
    ran = bump(two, *RELEASE)
    assert ran.code == 2, ran.text
    assert f"a commit hook changed the content of {FILE}" in ran.text
    assert everything(two) == before
