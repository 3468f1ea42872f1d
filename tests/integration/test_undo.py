"""`bump --undo`: the release at HEAD is undone completely, or not at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from projects import commit_all, everything, git, remote_of, repository, shell, write
from running import run_blocked_bump

if TYPE_CHECKING:
    from pathlib import Path

    from running import Bump

pytestmark = pytest.mark.heavy

RELEASE = ("--part", "minor", "--commit", "--tag")
TOP = "packages/top/pyproject.toml"


@pytest.mark.parametrize(
    "options",
    [
        ("--part", "minor", "--commit"),
        RELEASE,
        (*RELEASE, "--then-dev"),
        ("--to", "1.0", "--allow-lower", "--commit"),
    ],
)
def test_undo_restores_every_byte(two: Path, bump: Bump, options: tuple[str, ...]) -> None:
    before = everything(two)
    assert bump(two, *options).code == 0
    assert everything(two) != before
    bump(two, "--undo", code=0)
    assert everything(two) == before
    assert bump(two, *options).code == 0


def test_line_ends_and_other_changes_stay(two: Path, bump: Bump) -> None:
    write(two, {".gitattributes": "*.toml text eol=crlf\n", "mine.txt": "1\n", "other.txt": "1\n"})
    for path in two.rglob("pyproject.toml"):
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    commit_all(two, push=True)
    before = (two / TOP).read_bytes()
    assert bump(two, *RELEASE).code == 0
    write(two, {"mine.txt": "2\n", "other.txt": "2\n", "new.txt": ""})
    git(two, "add", "mine.txt")
    assert bump(two, "--undo").code == 0
    assert git(two, "status", "--porcelain").splitlines() == ["M  mine.txt", " M other.txt", "?? new.txt"]
    assert (two / TOP).read_bytes() == before


def test_only_the_last_of_two_releases_is_undone(two: Path, bump: Bump) -> None:
    assert bump(two, *RELEASE).code == 0
    between = everything(two)
    assert bump(two, "--part", "patch", "--commit", "--tag", "--again").code == 0
    assert bump(two, "--undo").code == 0
    assert everything(two) == between


# --- refused -------------------------------------------------------------------------------------------


def test_what_is_no_release_commit_is_undone_with_git(two: Path, bump: Bump) -> None:
    said = run_blocked_bump(bump, two, "--undo")
    assert "is not a release commit" in said
    assert "git revert" in said
    assert bump(two, "--part", "minor").code == 0
    said = run_blocked_bump(bump, two, "--undo")
    files = "packages/base/pyproject.toml packages/top/pyproject.toml"
    assert f"git diff {files}; to undo a bump without --commit: git restore {files}" in said


def test_a_tag_without_a_commit_is_deleted_with_git(tmp_path: Path, bump: Bump) -> None:
    scm = '[project]\nname = "scm"\ndynamic = ["version"]\n\n[tool.setuptools_scm]\n'
    root = repository(write(tmp_path / "scm", {"pyproject.toml": scm}))
    git(root, "tag", "v1.0.0")
    assert bump(root, "--part", "minor", "--tag").code == 0
    assert "fix: git tag --delete v1.1.0" in run_blocked_bump(bump, root, "--undo")
    git(root, "push", "--quiet", "origin", "v1.1.0")
    said = run_blocked_bump(bump, root, "--undo")
    assert "already on origin: v1.1.0" in said
    assert "fix: release a higher version" in said


@pytest.mark.parametrize("how", ["by the bump", "the branch", "the tag", "to another remote"])
def test_a_pushed_release_is_not_undone(two: Path, bump: Bump, how: str) -> None:
    assert bump(two, *RELEASE, *(["--push"] if how == "by the bump" else [])).code == 0
    if how == "the branch":  # without a remote-tracking branch
        git(two, "push", "--quiet", str(remote_of(two)), "main")
    elif how == "the tag":
        git(two, "push", "--quiet", "origin", "v2.1.0")
    elif how == "to another remote":
        git(two, "remote", "add", "mirror", str(remote_of(two)))
        git(two, "push", "--quiet", "mirror", "main")
    said = run_blocked_bump(bump, two, "--undo")
    assert "is already pushed to " in said
    assert "release a higher version" in said


@pytest.mark.parametrize("options", [(), ("--then-dev",)])
def test_undo_is_blocked_by_a_later_commit(two: Path, bump: Bump, options: tuple[str, ...]) -> None:
    assert bump(two, *RELEASE, *options).code == 0
    write(two, {"more.txt": ""})
    commit_all(two, "More")
    assert "is not a release commit" in run_blocked_bump(bump, two, "--undo")
    git(two, "reset", "--quiet", "--hard", "HEAD~1")
    assert bump(two, "--undo").code == 0
    assert git(two, "log", "--format=%s") == "Start"


@pytest.mark.parametrize("staged", [False, True])
def test_files_that_changed_since_the_release_are_named(two: Path, bump: Bump, *, staged: bool) -> None:
    assert bump(two, *RELEASE).code == 0
    path = two / TOP
    released = path.read_bytes()
    path.write_bytes(released + b"# mine\n")
    if staged:
        git(two, "add", TOP)
        path.write_bytes(released)
    said = run_blocked_bump(bump, two, "--undo")
    assert f"files changed since the release: {TOP}" in said


def test_an_amended_release_is_undone_completely(two: Path, bump: Bump) -> None:
    before = everything(two)
    assert bump(two, *RELEASE).code == 0
    (two / TOP).write_text((two / TOP).read_text() + "# amended\n")
    git(two, "commit", "--quiet", "--amend", "--no-edit", "--all")
    git(two, "tag", "--delete", "v2.1.0")
    assert bump(two, *RELEASE).code == 0
    assert bump(two, "--undo").code == 0
    assert everything(two) == before


def test_an_undo_whose_refs_cannot_be_moved_restores_the_files(two: Path, bump: Bump) -> None:
    assert bump(two, *RELEASE).code == 0
    released = everything(two)
    shell(two / ".git/hooks/reference-transaction", "[ $1 != prepared ]")
    assert bump(two, "--undo").code == 2
    assert everything(two) == released
