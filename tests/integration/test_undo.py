"""`bump --undo`: the last bump is undone completely, or not at all."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from projects import HATCHLING, commit_all, everything, git, pair, remote_of, repository, write
from running import run_blocked_bump

from relnox.source.file_locks import lock_checkout

if TYPE_CHECKING:
    from pathlib import Path

    from running import Bump

pytestmark = pytest.mark.heavy

RELEASE = ("--part", "minor", "--commit", "--tag")


@pytest.fixture
def two(tmp_path: Path) -> Path:
    """Two packages in lockstep, at 2.0.0, one of which pins the other."""
    return repository(pair(tmp_path / "pair"))


@pytest.mark.parametrize(
    "options",
    [("--part", "minor"), ("--part", "minor", "--commit"), RELEASE, ("--to", "1.0", "--allow-lower", "--commit")],
)
def test_undo_restores_every_byte(two: Path, bump: Bump, options: tuple[str, ...]) -> None:
    before = everything(two)
    assert bump(two, *options).code == 0
    assert everything(two) != before
    ran = bump(two, "--undo")
    assert ran.code == 0, ran.text
    assert f"reverting: relnox bump --project {two} {' '.join(options)}" in ran.text
    assert everything(two) == before


def test_undo_keeps_other_staged_and_changed_files(two: Path, bump: Bump) -> None:
    write(two, {"mine.txt": "1\n", "other.txt": "1\n"})
    commit_all(two)
    assert bump(two, *RELEASE).code == 0
    write(two, {"mine.txt": "2\n", "other.txt": "2\n", "new.txt": ""})
    git(two, "add", "mine.txt")
    assert bump(two, "--undo").code == 0
    assert git(two, "status", "--porcelain").splitlines() == ["M  mine.txt", " M other.txt", "?? new.txt"]


def test_hundreds_of_tags_are_deleted_in_one_transaction(tmp_path: Path, bump: Bump) -> None:
    names = [f"p{number:03}" for number in range(300)]
    files = {
        f"packages/{name}/pyproject.toml": f'[project]\nname = "{name}"\nversion = "1.0.0"\n\n{HATCHLING}'
        for name in names
    }
    settings = '[tool.relnox]\npackages = ["packages/*"]\nversions = "independent"\n'
    root = repository(write(tmp_path / "many", files | {"pyproject.toml": settings}))
    git(root, "tag", "p000-v1.0.0")
    before = everything(root)
    assert bump(root, "--all", *RELEASE).code == 0
    assert len(git(root, "tag").splitlines()) == 301
    hook = root / ".git/hooks/reference-transaction"
    write(hook.parent, {hook.name: '#!/bin/sh\n[ "$1" = committed ] && grep -c refs/tags >> counted; exit 0\n'})
    hook.chmod(0o755)
    ran = bump(root, "--undo")
    hook.unlink()
    assert ran.code == 0, ran.text
    assert 300 in {int(line) for line in (root / "counted").read_text().split()}
    (root / "counted").unlink()
    assert everything(root) == before


def test_a_tag_without_a_commit_is_undone(tmp_path: Path, bump: Bump) -> None:
    scm = '[project]\nname = "scm"\ndynamic = ["version"]\n\n[tool.setuptools_scm]\n'
    root = repository(write(tmp_path / "scm", {"pyproject.toml": scm}))
    git(root, "tag", "v1.0.0")
    before = everything(root)
    assert bump(root, "--part", "minor", "--tag").code == 0
    assert bump(root, "--undo").code == 0
    assert everything(root) == before


# --- refused -------------------------------------------------------------------------------------------


def test_nothing_to_undo(two: Path, bump: Bump) -> None:
    assert "no bump on this machine to undo" in run_blocked_bump(bump, two, "--undo")
    assert bump(two, *RELEASE).code == 0
    assert bump(two, "--undo").code == 0
    for _ in range(2):
        assert "no bump on this machine to undo" in run_blocked_bump(bump, two, "--undo")


def test_only_the_last_of_two_bumps_is_undone(two: Path, bump: Bump) -> None:
    assert bump(two, *RELEASE).code == 0
    between = everything(two)
    assert bump(two, "--part", "patch", "--commit", "--tag").code == 0
    assert bump(two, "--undo").code == 0
    assert everything(two)._replace(kept=[]) == between._replace(kept=[])
    assert "no bump on this machine to undo" in run_blocked_bump(bump, two, "--undo")


@pytest.mark.parametrize("how", ["by the bump", "by hand", "the branch by hand", "a tag by hand"])
def test_a_pushed_bump_is_not_undone(two: Path, bump: Bump, how: str) -> None:
    assert bump(two, *RELEASE, *(["--push"] if how == "by the bump" else [])).code == 0
    if how in {"by hand", "the branch by hand"}:
        git(two, "push", "--quiet", "origin", "main")
    if how in {"by hand", "a tag by hand"}:
        git(two, "push", "--quiet", "origin", "v2.1.0")
    said = run_blocked_bump(bump, two, "--undo")
    assert f"the last bump (relnox bump --project {two} --part minor --commit --tag" in said
    assert "origin" in said
    assert "is already pushed to" in said
    assert "release a higher version" in said


def test_a_pushed_tag_is_not_undone(tmp_path: Path, bump: Bump) -> None:
    scm = '[project]\nname = "scm"\ndynamic = ["version"]\n\n[tool.setuptools_scm]\n'
    root = repository(write(tmp_path / "scm", {"pyproject.toml": scm}))
    git(root, "tag", "v1.0.0")
    assert bump(root, "--part", "minor", "--tag").code == 0
    git(root, "push", "--quiet", "origin", "v1.1.0")
    assert "is already pushed to origin" in run_blocked_bump(bump, root, "--undo")


def test_a_bump_pushed_to_another_remote_is_not_undone(two: Path, bump: Bump) -> None:
    git(two, "remote", "add", "mirror", str(remote_of(two)))
    assert bump(two, *RELEASE).code == 0
    git(two, "push", "--quiet", "mirror", "main")
    assert "is already pushed to mirror/main" in run_blocked_bump(bump, two, "--undo")


def test_undo_is_blocked_by_a_later_commit(two: Path, bump: Bump) -> None:
    assert bump(two, *RELEASE).code == 0
    write(two, {"more.txt": ""})
    commit_all(two, "More")
    said = run_blocked_bump(bump, two, "--undo")
    assert (
        f"the last commit is not that of the bump (relnox bump --project {two} --part minor --commit --tag)"
        in said
    )
    git(two, "reset", "--quiet", "--hard", "HEAD~1")
    assert bump(two, "--undo").code == 0
    assert git(two, "log", "--format=%s") == "Start"


def test_files_that_changed_since_the_commit_are_named(two: Path, bump: Bump) -> None:
    assert bump(two, *RELEASE).code == 0
    path = two / "packages/top/pyproject.toml"
    path.write_bytes(path.read_bytes() + b"# mine\n")
    said = run_blocked_bump(bump, two, "--undo")
    assert "files changed since the last bump: packages/top/pyproject.toml" in said
    git(two, "checkout", "--quiet", "packages")
    assert bump(two, "--undo").code == 0


def test_edited_files_that_changed_since_are_not_restored(two: Path, bump: Bump) -> None:
    assert bump(two, "--part", "minor").code == 0
    path = two / "packages/top/pyproject.toml"
    ours = path.read_bytes()
    path.write_bytes(ours + b"# mine\n")
    before = everything(two)
    ran = bump(two, "--undo")
    assert ran.code == 4, ran.text
    assert "packages/top/pyproject.toml has changed since the plan was made" in ran.err
    assert everything(two).files == before.files
    path.write_bytes(ours)
    ran = bump(two, "--undo")
    assert ran.code == 0, ran.text
    assert git(two, "status", "--porcelain") == ""


def test_an_amended_release_is_undone_completely_or_not_at_all(two: Path, bump: Bump) -> None:
    assert bump(two, *RELEASE).code == 0
    file = two / "packages/base/pyproject.toml"
    file.write_text(file.read_text() + "# amended\n")
    git(two, "commit", "--quiet", "--amend", "--no-edit", "--all")
    git(two, "tag", "--force", "--annotate", "--message", "v2.1.0", "v2.1.0")
    before = everything(two)
    ran = bump(two, "--undo")
    assert ran.code == 4, ran.text
    assert everything(two) == before


def test_an_undo_that_failed_before_it_changed_anything_blocks_no_other_bump(two: Path, bump: Bump) -> None:
    assert bump(two, "--part", "minor").code == 0
    path = two / "packages/top/pyproject.toml"
    path.write_bytes(path.read_bytes() + b"# mine\n")
    assert bump(two, "--undo").code == 4
    ran = bump(two, "--part", "patch", "--allow-dirty")
    assert ran.code == 0, ran.text
    assert path.read_bytes().endswith(b"# mine\n")


@pytest.mark.parametrize("more", [("--part", "minor"), ("--all",), ("--always-increment",), ("--to", "3.0")])
def test_undo_takes_no_other_options(two: Path, bump: Bump, more: tuple[str, ...]) -> None:
    assert bump(two, *RELEASE).code == 0
    assert "--undo takes no other options of bump" in run_blocked_bump(bump, two, "--undo", *more)


def test_undo_of_an_interrupted_bump_undoes_that_one(two: Path, bump: Bump) -> None:
    hook = two / ".git/hooks/pre-push"
    write(hook.parent, {hook.name: "#!/bin/sh\nexit 1\n"})
    hook.chmod(0o755)
    assert bump(two, *RELEASE).code == 0
    last = everything(two)
    assert bump(two, "--part", "patch", "--commit", "--tag", "--push").code == 2
    ran = bump(two, "--undo")
    assert ran.code == 0, ran.text
    assert f"reverting: relnox bump --project {two} --part patch --commit --tag --push" in ran.text
    assert everything(two) == last


@pytest.mark.parametrize("what", ["undo", "tag"])
def test_undo_is_blocked_during_another_run(tmp_path: Path, bump: Bump, what: str) -> None:
    # Neither edits a file first, and both change what the other run may be changing.
    scm = '[project]\nname = "scm"\ndynamic = ["version"]\n\n[tool.setuptools_scm]\n'
    root = repository(write(tmp_path / "scm", {"pyproject.toml": scm}))
    git(root, "tag", "v1.0.0")
    assert bump(root, "--part", "minor", "--tag").code == 0
    with lock_checkout(root / ".git/relnox"):
        said = run_blocked_bump(bump, root, *(["--undo"] if what == "undo" else ["--part", "minor", "--tag"]))
    assert "another relnox is running in this checkout" in said


# --- interrupted ---------------------------------------------------------------------------------------

KILLING = """\
#!{python}
import os, pathlib, signal, subprocess, sys

if sys.argv[1] == {moment!r}:
    pathlib.Path(__file__).unlink()
    git = os.getppid()
    relnox = int(subprocess.check_output(["ps", "-o", "ppid=", "-p", str(git)]))
    for victim in {victims}:
        os.kill(victim, signal.SIGKILL)
"""


@pytest.mark.skipif(os.name != "posix", reason="signals and hooks as POSIX has them")
@pytest.mark.parametrize("victims", ["relnox", "relnox, git"])
@pytest.mark.parametrize("moment", ["prepared", "committed"])
def test_a_killed_undo_is_finished_by_a_rerun(two: Path, bump: Bump, moment: str, victims: str) -> None:
    before = everything(two)
    assert bump(two, *RELEASE).code == 0
    hook = two / ".git/hooks/reference-transaction"
    hook.write_text(KILLING.format(python=sys.executable, moment=moment, victims=f"({victims},)"))
    hook.chmod(0o755)
    ran = subprocess.run(
        [sys.executable, "-m", "relnox", "bump", "--undo"], cwd=two, capture_output=True, check=False
    )
    assert ran.returncode == -signal.SIGKILL, ran.stderr
    assert not hook.exists()
    assert (two / ".git/relnox/pending.json").exists()
    for lock in (two / ".git").rglob("*.lock"):
        lock.unlink()  # as git says itself
    aborted = bump(two, "--abort")
    assert aborted.code == 1
    assert "an undo was interrupted and must be finished first" in aborted.err
    assert f"finish it: relnox bump --project {two} --undo" in aborted.err
    other = bump(two, "--part", "patch")
    assert other.code == 1
    assert f"finish it: relnox bump --project {two} --undo" in other.err
    again = bump(two, "--undo")
    assert again.code == 0, again.text
    assert everything(two) == before
    assert not list((two / ".git").rglob("*.lock"))
    assert "no interrupted bump to abort" in run_blocked_bump(bump, two, "--abort")
    assert bump(two, *RELEASE).code == 0
