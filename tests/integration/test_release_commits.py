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


# --- commit hooks that add files ---------------------------------------------------------------------------------


@pytest.fixture
def with_readme(demo: Path) -> Path:
    write(demo, {"staged.txt": "1\n"})
    commit_all(demo)
    git(demo, "push", "--quiet")
    return demo


@pytest.mark.parametrize("event", ["pre-commit", "post-commit"])
@pytest.mark.parametrize("options", [(), ("--then-dev",)])
def test_a_hook_that_adds_files_to_the_release_commit_fails_and_nothing_stays_staged(
    with_readme: Path, bump: Bump, event: str, options: tuple[str, ...]
) -> None:
    root = with_readme
    write(root, {"staged.txt": "2\n"})
    git(root, "add", "staged.txt")
    before = everything(root)
    guard = "grep -q dev pyproject.toml || exit 0; " if options else ""
    amend = (
        ""
        if event == "pre-commit"
        else "test -e .git/amended || { touch .git/amended; git commit -q --amend --no-edit; }"
    )
    hook(root, event, f"{guard}echo new > README.md; echo new > new.txt; git add README.md new.txt; {amend}")
    ran = bump(root, *RELEASE, "--allow-dirty", *options)
    assert ran.code == 2, ran.text
    assert "a commit hook added README.md, new.txt" in ran.text  # an amended commit has staged.txt as well
    assert "[hook-changed-files]" in ran.text
    after = everything(root)
    assert after.staged == before.staged
    assert (after.refs, after.head, after.remote, after.kept) == (
        before.refs,
        before.head,
        before.remote,
        before.kept,
    )
    # What the hook wrote stays in the checkout, since it may be work of the user.
    assert after.files == before.files | {"README.md": b"new\n", "new.txt": b"new\n"}
    assert git(root, "diff", "--cached", "--name-only") == "staged.txt"


def test_a_hook_that_adds_everything_leaves_the_files_of_the_user(with_readme: Path, bump: Bump) -> None:
    root = with_readme
    write(root, {"README.md": "in progress\n", "mine.txt": "in progress\n"})
    before = everything(root)
    hook(root, "pre-commit", "git add --all")
    ran = bump(root, *RELEASE, "--allow-dirty")
    assert ran.code == 2, ran.text
    assert "a commit hook added README.md, mine.txt to the commit" in ran.text
    assert everything(root) == before


def test_a_hook_that_fails_leaves_no_trace_of_created_files(demo: Path, bump: Bump) -> None:
    code = "open('made.txt', 'w').write('x')"
    table = f'[[tool.relnox.hooks.edit-bump]]\nrun = ["python", "-c", "{code}"]\nwrites = ["made.txt"]\n'
    (demo / "pyproject.toml").write_text((demo / "pyproject.toml").read_text() + table)
    commit_all(demo)
    git(demo, "push", "--quiet")
    before = everything(demo)
    hook(demo, "pre-commit", "exit 1")
    ran = bump(demo, *RELEASE)
    assert ran.code == 2, ran.text
    assert everything(demo) == before
    (demo / ".git/hooks/pre-commit").unlink()
    ran = bump(demo, *RELEASE)
    assert ran.code == 0, ran.text
    assert git(demo, "show", "v1.3.0:made.txt") == "x"
