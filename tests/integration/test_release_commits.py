"""The release commit has the planned changes and no others, whatever git's index or a commit hook says."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest
from projects import commit_all, everything, git, pair, remote_of, repository, single, write
from running import run_blocked_bump, run_in_process

if TYPE_CHECKING:
    from pathlib import Path

    from running import Bump

RELEASE = ("--part", "minor", "--commit", "--tag", "--push")
CHANGELOG = "# Changelog\n\n## [Unreleased]\n\n- New.\n\n## [1.2.3] - 2026-01-01\n\n- Old.\n"
SETTINGS = '[tool.relnox]\npackages = ["libs/*"]\nversions = "independent"\n'


@pytest.fixture
def demo(tmp_path: Path) -> Path:
    """One package at 1.2.3, with a changelog."""
    return repository(write(single(tmp_path / "demo"), {"CHANGELOG.md": CHANGELOG}))


def package(root: Path, name: str, needs: str = "") -> Path:
    """Write a package at 1.0.0 with an independent version."""
    text = f'[project]\nname = "{name}"\nversion = "1.0.0"\ndependencies = [{needs}]\n'
    return write(root, {f"libs/{name}/pyproject.toml": text})


@pytest.fixture
def independent(tmp_path: Path) -> Path:
    """Two packages with independent versions, one of which needs the other."""
    root = write(tmp_path / "many", {"pyproject.toml": SETTINGS})
    package(root, "base")
    package(root, "top", '"base>=1,<1.1"')
    repository(root)
    for name in ("base", "top"):
        git(root, "tag", f"{name}-v1.0.0")
    return root


def hook(root: Path, name: str, script: str) -> None:
    path = write(root / ".git/hooks", {name: f"#!/bin/sh\n{script}\n"}) / name
    path.chmod(0o755)


def blocked(bump: Bump, root: Path, *options: str) -> tuple[str, str]:
    """Run a bump that must be blocked by one problem and change nothing; return its message and its fix."""
    lines = run_blocked_bump(bump, root, *options).strip().splitlines()
    assert len(lines) == 2, lines
    return lines[0].removeprefix("error: "), lines[1].removeprefix("fix: ")


def paste(root: Path, command: str) -> None:
    """Run the command of a fix in a shell."""
    environment = {**os.environ, "GIT_EDITOR": "true"}
    subprocess.run(command, cwd=root, shell=True, check=True, capture_output=True, env=environment, timeout=60)
