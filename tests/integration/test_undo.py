"""`bump --undo`: the last bump is taken back whole, or not at all."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from projects import HATCHLING, commit_all, everything, git, pair, remote_of, repository, write
from running import refused

from relnox.source.lock import exclusive_lock

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
def test_what_a_bump_did_is_undone_to_the_byte(two: Path, bump: Bump, options: tuple[str, ...]) -> None:
    before = everything(two)
    assert bump(two, *options).code == 0
    assert everything(two) != before
    ran = bump(two, "--undo")
    assert ran.code == 0, ran.text
    assert f"takes back: relnox bump --project {two} {' '.join(options)}" in ran.text
    assert everything(two) == before


def test_files_that_a_bump_made_or_removed_are_as_before(two: Path, bump: Bump) -> None:
    settings = (two / "pyproject.toml").read_text()
    write(
        two,
        {
            "pyproject.toml": f'{settings}fragments = ".changes"\n',
            ".changes/one.md": "---\npair-base: minor\n---\nOne.\n",
            "CHANGELOG.md": "# Changelog\n\n## [Unreleased]\n",
        },
    )
    commit_all(two)
    before = everything(two)
    assert bump(two, *RELEASE).code == 0
    assert not (two / ".changes/one.md").exists()
    assert bump(two, "--undo").code == 0
    assert everything(two) == before


def test_what_else_is_staged_or_changed_stays(two: Path, bump: Bump) -> None:
    write(two, {"mine.txt": "1\n", "other.txt": "1\n"})
    commit_all(two)
    assert bump(two, *RELEASE).code == 0
    write(two, {"mine.txt": "2\n", "other.txt": "2\n", "new.txt": ""})
    git(two, "add", "mine.txt")
    assert bump(two, "--undo").code == 0
    assert git(two, "status", "--porcelain").splitlines() == ["M  mine.txt", " M other.txt", "?? new.txt"]


def test_hundreds_of_tags_go_in_one_transaction(tmp_path: Path, bump: Bump) -> None:
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


def test_a_tag_alone_is_taken_back(tmp_path: Path, bump: Bump) -> None:
    scm = '[project]\nname = "scm"\ndynamic = ["version"]\n\n[tool.setuptools_scm]\n'
    root = repository(write(tmp_path / "scm", {"pyproject.toml": scm}))
    git(root, "tag", "v1.0.0")
    before = everything(root)
    assert bump(root, "--part", "minor", "--tag").code == 0
    assert bump(root, "--undo").code == 0
    assert everything(root) == before


# --- refused -------------------------------------------------------------------------------------------


def test_where_nothing_was_done_nothing_is_undone(two: Path, bump: Bump) -> None:
    assert "there is no last bump on this machine" in refused(bump, two, "--undo")
    assert bump(two, *RELEASE).code == 0
    assert bump(two, "--undo").code == 0
    for _ in range(2):
        assert "there is no last bump on this machine" in refused(bump, two, "--undo")


def test_of_two_bumps_the_last_one_is_taken_back_and_no_more(two: Path, bump: Bump) -> None:
    assert bump(two, *RELEASE).code == 0
    between = everything(two)
    assert bump(two, "--part", "patch", "--commit", "--tag").code == 0
    assert bump(two, "--undo").code == 0
    assert everything(two)._replace(kept=[]) == between._replace(kept=[])
    assert "there is no last bump" in refused(bump, two, "--undo")


@pytest.mark.parametrize("how", ["by the bump", "by hand", "the branch by hand", "a tag by hand"])
def test_what_is_pushed_stays(two: Path, bump: Bump, how: str) -> None:
    assert bump(two, *RELEASE, *(["--push"] if how == "by the bump" else [])).code == 0
    if how in {"by hand", "the branch by hand"}:
        git(two, "push", "--quiet", "origin", "main")
    if how in {"by hand", "a tag by hand"}:
        git(two, "push", "--quiet", "origin", "v2.1.0")
    said = refused(bump, two, "--undo")
    assert f"the last bump (relnox bump --project {two} --part minor --commit --tag" in said
    assert "origin" in said
    assert "already: others may have it" in said
    assert "release a higher version" in said


def test_a_tag_alone_that_is_pushed_stays(tmp_path: Path, bump: Bump) -> None:
    scm = '[project]\nname = "scm"\ndynamic = ["version"]\n\n[tool.setuptools_scm]\n'
    root = repository(write(tmp_path / "scm", {"pyproject.toml": scm}))
    git(root, "tag", "v1.0.0")
    assert bump(root, "--part", "minor", "--tag").code == 0
    git(root, "push", "--quiet", "origin", "v1.1.0")
    assert "is on origin already" in refused(bump, root, "--undo")


def test_pushed_to_a_remote_of_another_name_it_stays(two: Path, bump: Bump) -> None:
    git(two, "remote", "add", "mirror", str(remote_of(two)))
    assert bump(two, *RELEASE).code == 0
    git(two, "push", "--quiet", "mirror", "main")
    assert "is on mirror/main already" in refused(bump, two, "--undo")


def test_after_another_commit_that_one_has_to_go_first(two: Path, bump: Bump) -> None:
    assert bump(two, *RELEASE).code == 0
    write(two, {"more.txt": ""})
    commit_all(two, "More")
    said = refused(bump, two, "--undo")
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
    said = refused(bump, two, "--undo")
    assert "packages/top/pyproject.toml changed since the last bump" in said
    git(two, "checkout", "--quiet", "packages")
    assert bump(two, "--undo").code == 0


def test_edited_files_that_changed_since_are_left_alone(two: Path, bump: Bump) -> None:
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


def test_an_undo_that_failed_before_it_changed_anything_blocks_no_other_bump(two: Path, bump: Bump) -> None:
    assert bump(two, "--part", "minor").code == 0
    path = two / "packages/top/pyproject.toml"
    path.write_bytes(path.read_bytes() + b"# mine\n")
    assert bump(two, "--undo").code == 4
    ran = bump(two, "--part", "patch", "--force")
    assert ran.code == 0, ran.text
    assert path.read_bytes().endswith(b"# mine\n")


@pytest.mark.parametrize("more", [("--part", "minor"), ("--all",), ("--exact",), ("--to", "3.0")])
def test_undo_goes_alone(two: Path, bump: Bump, more: tuple[str, ...]) -> None:
    assert bump(two, *RELEASE).code == 0
    assert "--undo goes alone" in refused(bump, two, "--undo", *more)


def test_an_interrupted_bump_comes_first(two: Path, bump: Bump) -> None:
    hook = two / ".git/hooks/pre-push"
    write(hook.parent, {hook.name: "#!/bin/sh\nexit 1\n"})
    hook.chmod(0o755)
    assert bump(two, *RELEASE).code == 0
    last = everything(two)
    assert bump(two, "--part", "patch", "--commit", "--tag", "--push").code == 2
    ran = bump(two, "--undo")
    assert ran.code == 0, ran.text
    assert f"takes back: relnox bump --project {two} --part patch --commit --tag --push" in ran.text
    assert everything(two) == last


@pytest.mark.parametrize("what", ["undo", "tag"])
def test_no_change_is_made_beside_another_run(tmp_path: Path, bump: Bump, what: str) -> None:
    # Neither edits a file first, and both change what the other run may be changing.
    scm = '[project]\nname = "scm"\ndynamic = ["version"]\n\n[tool.setuptools_scm]\n'
    root = repository(write(tmp_path / "scm", {"pyproject.toml": scm}))
    git(root, "tag", "v1.0.0")
    assert bump(root, "--part", "minor", "--tag").code == 0
    with exclusive_lock(root / ".git/relnox"):
        said = refused(bump, root, *(["--undo"] if what == "undo" else ["--part", "minor", "--tag"]))
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
def test_killed_in_the_middle_the_same_command_ends_it(two: Path, bump: Bump, moment: str, victims: str) -> None:
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
    aborted = bump(two, "--abort")
    assert aborted.code == 1
    assert "an undo was interrupted: it goes on, not back" in aborted.err
    assert f"finish it: relnox bump --project {two} --undo" in aborted.err
    other = bump(two, "--part", "patch")
    assert other.code == 1
    assert f"finish it: relnox bump --project {two} --undo" in other.err
    again = bump(two, "--undo")
    assert again.code == 0, again.text
    assert everything(two) == before
    assert not list((two / ".git").rglob("*.lock"))
    assert "there is no interrupted bump" in refused(bump, two, "--abort")
    assert bump(two, *RELEASE).code == 0
