"""Checks of the remote before a bump, and the state after a rejected push."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
from projects import HATCHLING, commit_all, everything, git, remote_of, repository, shell, write
from running import run_blocked_bump, run_in_process

from relnox.source.git import remotes

if TYPE_CHECKING:
    from pathlib import Path

    from running import Bump

pytestmark = pytest.mark.heavy

RELEASE = ("--part", "minor", "--commit", "--tag")


def protected(root: Path) -> Path:
    """Let the remote reject every push to main."""
    return shell(
        remote_of(root) / "hooks" / "update", '[ "$1" != refs/heads/main ] || { echo protected; exit 1; }'
    )


def clone_with_commit(root: Path) -> Path:
    """Clone the remote, and commit a change that is not pushed."""
    other = root.parent / "colleague"
    git(root.parent, "clone", "--quiet", str(remote_of(root)), str(other))
    write(other, {"packages/base/theirs.py": "theirs = 1\n"})
    commit_all(other, "Theirs")
    return other


def colleague(root: Path, *tags: str) -> None:
    """Push a commit and tags from another clone."""
    other = clone_with_commit(root)
    for tag in tags:
        git(other, "tag", tag)
    git(other, "push", "--quiet", "--tags", "origin", "main")


# --- before ----------------------------------------------------------------------------------------


def test_a_remote_that_does_not_answer_blocks_only_a_push(two: Path, bump: Bump) -> None:
    git(two, "tag", "v2.0.0")
    shutil.move(remote_of(two), two.parent / "away.git")
    assert "git cannot connect to remote origin" in run_blocked_bump(bump, two, *RELEASE, "--push", code=2)
    ran = bump(two, *RELEASE, code=0)
    assert "does not appear to be a git repository): tags and commits of origin were not checked" in ran.text


def test_a_hanging_remote_times_out(two: Path, bump: Bump, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remotes, "NETWORK_TIMEOUT", 0.5)
    slow = shell(two.parent / "slow/ssh", "exec sleep 60")
    monkeypatch.setenv("GIT_SSH", str(slow))
    git(two, "remote", "set-url", "origin", "ssh://slow.example.invalid/pair.git")
    git(two, "tag", "v2.0.0")
    ran = bump(two, *RELEASE, code=0)
    assert "timed out after 0.5 s" in ran.text


def test_editing_files_only_does_not_query_the_remote(two: Path, bump: Bump) -> None:
    shutil.move(remote_of(two), two.parent / "away.git")
    ran = bump(two, "--part", "minor", code=0)
    assert "origin" not in ran.text


# --- a push that is refused ------------------------------------------------------------------------


def test_a_bump_whose_push_was_rejected_can_be_undone(two: Path, bump: Bump) -> None:
    protected(two)
    before = everything(two)
    ran = bump(two, *RELEASE, "--push", code=2)
    assert "protected" in ran.text
    assert f"relnox bump --project {two} --undo" in ran.text
    assert git(remote_of(two), "tag") == ""
    ran = bump(two, "--undo", code=0)
    assert everything(two) == before


META = '[project]\nname = "meta"\nversion = "1.0"\ndependencies = ["six"]\n\n'


@pytest.mark.parametrize(
    ("system", "files", "settings", "is_pushed"),
    [
        (HATCHLING, [], "", False),
        (HATCHLING, ["tests/test_meta.py", "docs/conf.py", "noxfile.py"], "", False),
        (HATCHLING, ["meta/__init__.py"], "", True),
        (HATCHLING, [], "[tool.hatch.build.targets.wheel]\nbypass-selection = true\n", True),
        (HATCHLING, [], '[tool.relnox]\nmetadata-only = ["meta"]\n', True),
        (HATCHLING, [], '[[tool.relnox.hooks.before-build]]\nrun = ["make"]\n', True),
        ('[build-system]\nrequires = []\nbuild-backend = "own"\nbackend-path = ["."]\n', [], "", True),
    ],
)
def test_a_metapackage_that_does_not_say_so_is_found_before_its_tag_is_pushed(
    tmp_path: Path, system: str, files: list[str], settings: str, *, is_pushed: bool
) -> None:
    root = write(tmp_path / "meta", {"pyproject.toml": f"{META}{system}\n{settings}", **dict.fromkeys(files, "")})
    repository(root)
    ran = run_in_process(root, "bump", "--part", "minor", "--commit", "--tag", "--push")
    assert ran.code == (0 if is_pushed else 1), ran.text
    assert ("the wheel of meta would be empty (git tracks no module in .)" in ran.err) is not is_pushed
    assert bool(git(remote_of(root), "tag")) is is_pushed


def test_new_commits_on_the_remote_are_reported_when_resuming(two: Path, bump: Bump) -> None:
    # The remote moves after it was asked: a hook of the push itself plays the colleague.
    other = clone_with_commit(two)
    racing = shell(two / ".git/hooks" / "pre-push", f"cd {other} && unset GIT_DIR && git push --quiet origin main")
    assert bump(two, *RELEASE, "--push").code == 2
    racing.unlink()
    assert git(remote_of(two), "tag") == ""
    said = run_blocked_bump(bump, two, *RELEASE, "--push")
    assert "origin has commits on main that this checkout does not have" in said
    assert "git pull --rebase origin main" in said
    git(two, "pull", "--quiet", "--rebase", "origin", "main")
    bump(two, *RELEASE, "--push", code=0)
    commit = git(two, "rev-parse", "HEAD")
    assert git(remote_of(two), "rev-parse", "main", "v2.1.0^{}").split() == [commit, commit]
    assert git(two, "log", "--format=%s").split("\n") == ["Release 2.1.0", "Theirs", "Start"]


def set_by_hand(two: Path) -> str:
    """Set and push version 2.0.1 by hand; return its commit."""
    for file in two.glob("packages/*/pyproject.toml"):
        file.write_text(file.read_text().replace("2.0.0", "2.0.1"))
    return commit_all(two, "chore: 2.0.1", push=True)


TAG_ONLY = ("--part", "auto", "--commit", "--tag", "--push")
"""A release that needs no commit, because its version was set by hand."""


def test_a_tag_alone_is_pushed_while_a_colleague_pushes_to_the_branch(two: Path, bump: Bump) -> None:
    released = set_by_hand(two)
    racing = shell(
        two / ".git/hooks" / "pre-push",
        f"cd {clone_with_commit(two)} && unset GIT_DIR && git push --quiet origin main",
    )
    bump(two, *TAG_ONLY, code=0)
    racing.unlink()
    assert git(remote_of(two), "rev-parse", "v2.0.1^{}", "main^") == f"{released}\n{released}"


def test_a_release_that_a_colleague_built_on_at_once_is_pushed(two: Path, bump: Bump) -> None:
    # The colleague pulls the release and pushes, before the bump looks at the remote again.
    other = clone_with_commit(two)
    script = f"unset GIT_DIR GIT_QUARANTINE_PATH; cd {other} && git pull --quiet --rebase && git push --quiet"
    racing = shell(remote_of(two) / "hooks" / "post-update", f'rm "$0"\n{script}')
    ran = bump(two, *RELEASE, "--push")
    assert not racing.exists()
    assert ran.code == 0, ran.text
    assert git(remote_of(two), "rev-parse", "main^", "v2.1.0^{}").split() == [git(two, "rev-parse", "HEAD")] * 2


def test_a_tag_alone_stays_on_its_commit_after_a_pull(two: Path, bump: Bump) -> None:
    released = set_by_hand(two)
    refusing = shell(two / ".git/hooks" / "pre-push", "exit 1")
    assert bump(two, *TAG_ONLY).code == 2
    refusing.unlink()
    colleague(two)
    git(two, "pull", "--quiet", "--rebase", "origin", "main")
    bump(two, *TAG_ONLY, code=0)
    assert git(remote_of(two), "rev-parse", "v2.0.1^{}") == released


def test_a_tag_that_was_pushed_meanwhile_is_not_moved(two: Path, bump: Bump) -> None:
    refusing = protected(two)
    assert bump(two, *RELEASE, "--push").code == 2
    refusing.unlink()
    git(remote_of(two), "tag", "v2.1.0", "main")
    said = run_blocked_bump(bump, two, *RELEASE, "--push", code=4)
    assert "tag v2.1.0 already exists on origin" in said


@pytest.mark.parametrize("refuses", ["nothing", "main", "tags"])
def test_a_remote_without_atomic_pushes_gets_the_branch_first(two: Path, bump: Bump, refuses: str) -> None:
    git(remote_of(two), "config", "receive.advertiseAtomic", "false")
    refusing = None
    if refuses == "main":
        refusing = protected(two)
    elif refuses == "tags":
        refusing = shell(remote_of(two) / "hooks" / "update", 'case "$1" in refs/tags/*) exit 1;; esac')
    ran = bump(two, *RELEASE, "--push")
    assert ran.code == {"nothing": 0, "main": 2, "tags": 3}[refuses], ran.text
    assert ("--undo" in ran.text) == (refuses == "main")
    tags = git(remote_of(two), "tag")
    assert tags == ("" if refusing else "v2.1.0")
    if refusing is not None:
        refusing.unlink()
        assert bump(two, *RELEASE, "--push").code == 0
    commit = git(two, "rev-parse", "HEAD")
    assert git(remote_of(two), "rev-parse", "main", "v2.1.0^{}").split() == [commit, commit]


def test_the_reason_of_git_is_shown_without_warnings(
    two: Path, bump: Bump, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuses = write(
        two.parent / "refuses", {"ssh": "#!/bin/sh\necho Warning: added host >&2\necho no route >&2\nexit 255\n"}
    )
    (refuses / "ssh").chmod(0o755)
    monkeypatch.setenv("GIT_SSH", str(refuses / "ssh"))
    git(two, "remote", "set-url", "origin", "ssh://refuses.example.invalid/pair.git")
    said = run_blocked_bump(bump, two, *RELEASE, "--push", code=2)
    assert "git cannot connect to remote origin (no route)" in said


def test_a_push_to_another_url_is_verified_there(two: Path, bump: Bump) -> None:
    target = two.parent / "push.git"
    git(two.parent, "clone", "--quiet", "--bare", str(remote_of(two)), str(target))
    git(two, "config", "remote.origin.pushurl", str(target))
    bump(two, *RELEASE, "--push", code=0)
    head = git(two, "rev-parse", "HEAD")
    assert git(target, "rev-parse", "main", "v2.1.0^{}").splitlines() == [head, head]
    bump(two, *RELEASE, "--push", code=0)
    git(target, "tag", "--delete", "v2.1.0")
    assert bump(two, *RELEASE, "--push").code == 0
    assert git(target, "rev-parse", "v2.1.0^{}") == head
