"""What relnox keeps is private, and it removes only what it made."""

from __future__ import annotations

import stat
import sys
from typing import TYPE_CHECKING

import pytest
from backends import in_tree
from projects import repository, write
from running import run

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="permissions as POSIX has them")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def test_what_the_embedded_index_keeps_is_private(tmp_path: Path) -> None:
    root = repository(in_tree(tmp_path / "home"))
    assert run(root, "relnox", "build-all").code == 0
    run(root, "relnox", "publish-test", "--index", "embedded", "--no-verify", code=0)
    assert mode(root / ".git" / "relnox") == 0o700
    assert mode(root / ".git" / "relnox" / "index") == 0o700


def test_clean_removes_archives_of_the_project_alone(tmp_path: Path) -> None:
    root = repository(in_tree(tmp_path / "home"))
    mine = ["other-1.0.tar.gz", "other-1.0-py3-none-any.whl", ".relnox-notes", "backup.whl"]
    write(root / "dist", dict.fromkeys(mine, "mine") | {"home-0.9.tar.gz": "old", "home-0.8.tar.gz/x": "mine"})
    ran = run(root, "relnox", "build-all", "--clean", code=0)
    found = {path.name for path in (root / "dist").iterdir()}
    assert found >= {*mine, "home-0.8.tar.gz", "home-1.0.tar.gz"}
    assert "home-0.9.tar.gz" not in found
    assert "dist has files that are not archives of this project" in ran.err
    assert run(root, "relnox", "build-all").code == 0
    manifest = root / "dist" / "manifest.json"
    manifest.write_text(manifest.read_text(encoding="utf-8").replace("home-1.0.tar.gz", "other-1.0.tar.gz"))
    assert run(root, "relnox", "build-all", "--clean").code == 0
    assert not (root / "dist" / "other-1.0.tar.gz").exists()  # a package that was renamed since
