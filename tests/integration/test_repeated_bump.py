"""Rerunning a finished bump, here or in a rerun CI job, does not release a second time."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
from projects import commit_all, everything, git, pair, remote_of, repository, single, write

if TYPE_CHECKING:
    from pathlib import Path

    from running import Bump

pytestmark = pytest.mark.heavy

RELEASE = ("--part", "minor", "--commit", "--tag")
SCM = '[project]\nname = "scm"\ndynamic = ["version"]\n\n[tool.setuptools_scm]\n'


@pytest.fixture
def two(tmp_path: Path) -> Path:
    """Two packages in lockstep, at 2.0.0, one of which pins the other."""
    return repository(pair(tmp_path / "pair"))


def clone(root: Path, directory: Path, *options: str) -> Path:
    """A new clone of the remote, as a CI job makes one."""
    git(root.parent, "clone", "--quiet", *options, f"file://{remote_of(root)}", str(directory))
    git(directory, "config", "user.name", "Maintainer")
    git(directory, "config", "user.email", "maintainer@example.invalid")
    return directory


@pytest.mark.parametrize("options", [("--part", "minor"), ("--part", "minor", "--commit"), RELEASE])
def test_the_same_bump_again_changes_nothing(two: Path, bump: Bump, options: tuple[str, ...]) -> None:
    assert bump(two, *options).code == 0
    before = everything(two)
    for _ in range(2):
        ran = bump(two, *options)
        assert ran.code == 0, ran.text
        assert "already done" in ran.text
        assert "--again" in ran.text
        assert everything(two) == before


def test_the_same_bump_again_is_not_pushed_a_second_time(two: Path, bump: Bump) -> None:
    assert bump(two, *RELEASE, "--push").code == 0
    before = everything(two)
    ran = bump(two, *RELEASE, "--push")
    assert ran.code == 0, ran.text
    assert "already done" in ran.text
    assert everything(two) == before
    assert git(remote_of(two), "tag") == "v2.1.0"


def test_again_bumps_once_more(two: Path, bump: Bump) -> None:
    assert bump(two, *RELEASE).code == 0
    assert bump(two, *RELEASE, "--again").code == 0
    assert git(two, "tag").split() == ["v2.1.0", "v2.2.0"]
    assert "already done" in bump(two, *RELEASE).text


def test_another_bump_without_new_commits_gives_a_note(two: Path, bump: Bump) -> None:
    assert bump(two, *RELEASE).code == 0
    ran = bump(two, "--part", "patch", "--commit", "--tag")
    assert ran.code == 0, ran.text
    assert f"no commits since the last bump (relnox bump --project {two} --part minor --commit --tag)" in ran.text
    assert git(two, "tag").split() == ["v2.1.0", "v2.1.1"]


def test_with_a_commit_since_the_same_bump_releases_again(two: Path, bump: Bump) -> None:
    assert bump(two, *RELEASE).code == 0
    write(two, {"packages/base/more.py": ""})
    commit_all(two)
    assert bump(two, *RELEASE).code == 0
    assert git(two, "tag").split() == ["v2.1.0", "v2.2.0"]


def test_after_an_undo_or_a_reset_the_same_bump_is_repeated(two: Path, bump: Bump) -> None:
    assert bump(two, *RELEASE).code == 0
    assert bump(two, "--undo").code == 0
    assert bump(two, *RELEASE).code == 0
    assert git(two, "tag") == "v2.1.0"
    git(two, "tag", "--delete", "v2.1.0")
    git(two, "reset", "--quiet", "--hard", "HEAD~1")
    assert bump(two, *RELEASE).code == 0
    assert git(two, "tag") == "v2.1.0"


def test_an_added_push_pushes_the_finished_bump(two: Path, bump: Bump) -> None:
    assert bump(two, *RELEASE).code == 0
    commit = git(two, "rev-parse", "HEAD")
    ran = bump(two, *RELEASE, "--push")
    assert ran.code == 0, ran.text
    assert git(two, "rev-parse", "HEAD") == commit
    assert git(remote_of(two), "rev-parse", "main", "v2.1.0^{}").split() == [commit, commit]
    assert git(two, "tag") == "v2.1.0"


def test_a_deleted_tag_is_created_again_on_the_same_commit(two: Path, bump: Bump) -> None:
    assert bump(two, *RELEASE).code == 0
    commit = git(two, "rev-parse", "HEAD")
    git(two, "tag", "--delete", "v2.1.0")
    assert bump(two, *RELEASE).code == 0
    assert git(two, "rev-parse", "HEAD", "v2.1.0^{}").split() == [commit, commit]


def test_a_tag_without_a_commit_is_not_bumped_again(tmp_path: Path, bump: Bump) -> None:
    root = repository(write(tmp_path / "scm", {"pyproject.toml": SCM}))
    git(root, "tag", "v1.0.0")
    write(root, {"more.py": ""})
    commit_all(root)
    assert bump(root, "--part", "minor", "--tag").code == 0
    ran = bump(root, "--part", "minor", "--tag")
    assert ran.code == 0, ran.text
    assert "already done" in ran.text
    assert git(root, "tag").split() == ["v1.0.0", "v1.1.0"]


def test_outside_git_the_same_bump_again_changes_nothing(tmp_path: Path, bump: Bump) -> None:
    root = single(tmp_path / "demo")
    assert bump(root, "--part", "patch").code == 0
    assert bump(root, "--part", "patch").code == 0
    assert 'version = "1.2.4"' in (root / "pyproject.toml").read_text()
    assert bump(root, "--part", "patch", "--again").code == 0
    assert 'version = "1.2.5"' in (root / "pyproject.toml").read_text()


def test_a_dry_run_reports_a_finished_bump(two: Path, bump: Bump) -> None:
    assert bump(two, *RELEASE).code == 0
    ran = bump(two, *RELEASE, "--dry-run")
    assert ran.code == 0
    assert "already done" in ran.text


# --- another clone, which has no record ------------------------------------------------------------


@pytest.mark.parametrize("request_again", [RELEASE, ("--to", "2.1.0", "--commit", "--tag")])
def test_a_rerun_job_on_the_release_commit(
    two: Path, tmp_path: Path, bump: Bump, request_again: tuple[str, ...]
) -> None:
    assert bump(two, *RELEASE, "--push").code == 0
    job = clone(two, tmp_path / "job")
    before = git(remote_of(two), "for-each-ref")
    ran = bump(job, *request_again, "--push")
    assert ran.code == 0, ran.text
    assert "already done" in ran.text
    assert "v2.1.0" in ran.text
    assert git(remote_of(two), "for-each-ref") == before


def test_another_bump_in_another_clone(two: Path, tmp_path: Path, bump: Bump) -> None:
    assert bump(two, *RELEASE, "--push").code == 0
    job = clone(two, tmp_path / "job")
    assert bump(job, "--part", "patch", "--commit", "--tag", "--push").code == 0
    assert git(remote_of(two), "tag").split() == ["v2.1.0", "v2.1.1"]


@pytest.mark.parametrize("depth", [(), ("--depth", "1", "--no-tags")])
def test_a_rerun_job_on_the_commit_before_the_release(
    two: Path, tmp_path: Path, bump: Bump, depth: tuple[str, ...]
) -> None:
    # A rerun checks out the commit that the first run began with.
    assert bump(two, *RELEASE, "--push").code == 0
    job = clone(two, tmp_path / "job")
    git(job, "reset", "--quiet", "--hard", "HEAD~1")
    if depth:
        again = tmp_path / "shallow"
        git(tmp_path, "init", "--quiet", "--initial-branch", "main", str(again))
        git(again, "remote", "add", "origin", f"file://{remote_of(two)}")
        git(again, "fetch", "--quiet", *depth, "origin", git(job, "rev-parse", "HEAD"))
        git(again, "checkout", "--quiet", "-B", "main", "FETCH_HEAD")
        job = again
    before = git(remote_of(two), "for-each-ref")
    ran = bump(job, *RELEASE, "--push")
    assert ran.code == 0, ran.text
    assert "already done" in ran.text
    assert git(remote_of(two), "for-each-ref") == before


def test_a_tag_on_another_branch_is_no_release_of_this_commit(two: Path, tmp_path: Path, bump: Bump) -> None:
    job = clone(two, tmp_path / "job")
    write(two, {"packages/base/more.py": ""})
    commit_all(two)
    assert bump(two, *RELEASE, "--push").code == 0
    ran = bump(job, *RELEASE, "--push")
    assert ran.code == 4, ran.text
    assert "v2.1.0" in ran.text


# --- a repeated bump looks at the remote -----------------------------------------------------------


@pytest.mark.parametrize("forget", [False, True])
@pytest.mark.parametrize("lost", ["v2.1.0", "main"])
def test_what_the_remote_lost_is_pushed_again(two: Path, bump: Bump, lost: str, *, forget: bool) -> None:
    git(two, "push", "--quiet", "origin", "main")
    assert bump(two, *RELEASE, "--push").code == 0
    if forget:
        shutil.rmtree(two / ".git/relnox")
    commit = git(two, "rev-parse", "HEAD")
    change = ":v2.1.0" if lost == "v2.1.0" else f"{commit}^:main"
    git(two, "push", "--quiet", "--force", "origin", change)
    ran = bump(two, *RELEASE, "--push")
    assert ran.code == 0, ran.text
    assert git(remote_of(two), "rev-parse", "main", "v2.1.0^{}").split() == [commit, commit]


@pytest.mark.parametrize("forget", [False, True])
def test_a_tag_that_was_moved_on_the_remote_is_an_error(two: Path, bump: Bump, *, forget: bool) -> None:
    assert bump(two, *RELEASE, "--push").code == 0
    if forget:
        shutil.rmtree(two / ".git/relnox")
    git(two, "push", "--quiet", "--force", "origin", "HEAD^:refs/tags/v2.1.0")
    ran = bump(two, *RELEASE, "--push")
    assert ran.code == 4, ran.text
    assert "tag v2.1.0 already exists on origin" in ran.text


@pytest.mark.parametrize("forget", [False, True])
@pytest.mark.parametrize("switch", [("--detach",), ("--create", "feature")])
def test_a_finished_bump_is_pushed_from_its_own_branch_only(
    two: Path, bump: Bump, switch: tuple[str, ...], *, forget: bool
) -> None:
    assert bump(two, *RELEASE).code == 0
    if forget:
        shutil.rmtree(two / ".git/relnox")
    git(two, "switch", "--quiet", *switch)
    before = git(remote_of(two), "for-each-ref")
    ran = bump(two, *RELEASE, "--push")
    assert ran.code == 1, ran.text
    assert git(remote_of(two), "for-each-ref") == before


@pytest.mark.parametrize("annotated", [True, False])
@pytest.mark.parametrize(
    "dropped", [("reset", "--quiet", "--hard", "HEAD~1"), ("switch", "--quiet", "--detach", "HEAD~1")]
)
def test_a_tag_that_relnox_did_not_create_is_neither_moved_nor_deleted(
    two: Path, bump: Bump, dropped: tuple[str, ...], *, annotated: bool
) -> None:
    for name in ("base", "top"):
        file = two / f"packages/{name}/pyproject.toml"
        file.write_text(file.read_text().replace("2.0.0", "2.1.0"))
    commit_all(two, "v2.1.0")
    git(two, "tag", *(["--annotate", "--message", "v2.1.0"] if annotated else []), "v2.1.0")
    git(two, *dropped)
    if "--detach" in dropped:
        git(two, "switch", "--quiet", "--create", "maintenance")
    before = everything(two)
    ran = bump(two, *RELEASE, "--push", "--allow-branch")
    assert ran.code == 4, ran.text
    assert "tag v2.1.0 already exists here" in ran.text
    assert everything(two) == before


def test_a_release_on_another_branch_of_the_remote_is_pushed_to_its_own(
    two: Path, tmp_path: Path, bump: Bump
) -> None:
    before = git(two, "rev-parse", "HEAD")
    colleague = clone(two, tmp_path / "colleague")
    git(colleague, "switch", "--quiet", "--create", "next")
    ran = bump(colleague, *RELEASE, "--push", "--allow-branch")
    assert ran.code == 0, ran.text
    git(two, "fetch", "--quiet", "--tags")
    git(two, "merge", "--quiet", "--ff-only", "origin/next")
    ran = bump(two, *RELEASE, "--push")
    assert ran.code == 0, ran.text
    release = git(two, "rev-parse", "HEAD")
    assert git(remote_of(two), "rev-parse", "main", "next", "v2.1.0^{}").splitlines() == [release] * 3
    git(two, "push", "--quiet", "--force", "origin", f"{before}:main")
    git(two, "reset", "--quiet", "--hard", before)
    ran = bump(two, *RELEASE, "--push")
    assert ran.code == 4, ran.text
    assert "[tag-exists]" in ran.text
    assert git(two, "rev-parse", "HEAD") == before


@pytest.mark.parametrize(
    ("first", "later"),
    [
        (("--part", "minor"), RELEASE),
        (("--part", "minor", "--commit"), (*RELEASE, "--push")),
        (("--part", "minor"), ("--part", "minor", "--commit")),
    ],
)
def test_a_commit_or_tag_added_to_the_last_bump_does_not_bump_twice(
    two: Path, bump: Bump, first: tuple[str, ...], later: tuple[str, ...]
) -> None:
    before = everything(two)
    assert bump(two, *first).code == 0
    bumped = everything(two)
    ran = bump(two, *later)
    assert ran.code == 1, ran.text
    assert "[bump-already-done]" in ran.text
    assert " --undo, then rerun the command; to bump once more: --again" in ran.text
    assert everything(two) == bumped
    assert bump(two, "--undo").code == 0
    assert everything(two) == before
    ran = bump(two, *later)
    assert ran.code == 0, ran.text
    assert git(two, "tag") == ("v2.1.0" if "--tag" in later else "")
    assert 'version = "2.1.0"' in (two / "packages/base/pyproject.toml").read_text()


@pytest.mark.parametrize("way", ["--undo", "--abort"])
def test_a_bump_whose_message_a_hook_changed_can_be_undone(two: Path, bump: Bump, way: str) -> None:
    before = everything(two)
    hooks = {"commit-msg": 'sed -i "1s/^/JIRA-1 /" "$1"', "pre-push": "exit 1"}
    for name, script in hooks.items():
        write(two / ".git/hooks", {name: f"#!/bin/sh\n{script}\n"})
        (two / ".git/hooks" / name).chmod(0o755)
    ran = bump(two, *RELEASE, *(["--push"] if way == "--abort" else []))
    assert ran.code == (2 if way == "--abort" else 0), ran.text
    assert git(two, "log", "-1", "--format=%s") == "JIRA-1 Release 2.1.0"
    ran = bump(two, way)
    assert ran.code == 0, ran.text
    assert everything(two) == before


def test_the_tag_that_a_reset_left_is_undone(two: Path, bump: Bump) -> None:
    before = everything(two)
    assert bump(two, *RELEASE).code == 0
    git(two, "reset", "--quiet", "--hard", "HEAD~1")
    ran = bump(two, "--undo")
    assert ran.code == 0, ran.text
    assert git(two, "tag") == ""
    assert everything(two) == before


def test_a_pushed_tag_is_not_undone_after_a_reset(two: Path, bump: Bump) -> None:
    assert bump(two, *RELEASE, "--push").code == 0
    git(two, "reset", "--quiet", "--hard", "HEAD~1")
    ran = bump(two, "--undo")
    assert ran.code == 1, ran.text
    assert "[bump-missing]" in ran.text
    assert git(two, "tag") == "v2.1.0"
