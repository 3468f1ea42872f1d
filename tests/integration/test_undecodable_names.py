"""File names that are not UTF-8, in a real repository: tasks work with them, or name the file."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING

import pytest
from projects import HATCHLING, commit_all, git, remote_of, repository, write
from running import run_in_process

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="names are bytes there")

NAME = os.fsdecode(b"caf\xe9")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    files = {
        "pyproject.toml": f'[project]\nname = "acme"\nversion = "1.0.0"\n{HATCHLING}',
        "src/acme/__init__.py": "",
        f"src/acme/{NAME}.py": '__version__ = "1.0.0"\n',
        f"more/{NAME}/pyproject.toml": '[project]\nname = "other"\nversion = "2.0"\n',
    }
    root = repository(write(tmp_path / "acme", files))
    git(root, "tag", "v1.0.0")
    git(root, "push", "--quiet", "--tags")
    write(root, {f"src/acme/{NAME}.py": '__version__ = "1.0.0"\nX = 1\n'})
    commit_all(root, "feat: x", push=True)
    return root


def test_status_lists_them(root: Path) -> None:
    ran = run_in_process(root, "status", "--json", code=0)
    assert json.loads(ran.out)["packages"][0]["commits"] == 1


def test_an_uncommitted_file_is_named(root: Path) -> None:
    write(root, {f"src/acme/{NAME}.py": '__version__ = "1.0.0"\nX = 2\n'})
    ran = run_in_process(root, "bump", "--part", "minor", "--commit", code=1)
    assert r"src/acme/caf\udce9.py" in ran.err


def test_a_bump_edits_commits_and_pushes_them(root: Path) -> None:
    run_in_process(root, "bump", "--part", "auto", "--commit", "--tag", "--push", code=0)
    assert (root / f"src/acme/{NAME}.py").read_text() == '__version__ = "1.1.0"\nX = 1\n'
    assert git(root, "status", "--porcelain") == ""
    assert git(remote_of(root), "rev-parse", "v1.1.0^{}") == git(root, "rev-parse", "HEAD")
    again = run_in_process(root, "auto-tag", "--no-check-index", code=0)
    assert "tagged at HEAD" in again.out


@pytest.mark.heavy
@pytest.mark.network
def test_a_backend_that_cannot_archive_them_fails_with_their_names(root: Path) -> None:
    ran = run_in_process(root, "build-all", code=2)
    assert r"fix: rename more/caf\udce9/pyproject.toml" in ran.err
    assert r"src/acme/caf\udce9.py to a name in UTF-8" in ran.err
