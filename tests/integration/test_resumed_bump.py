"""A bump that was interrupted is resumed on its own branch, and its tags get its own commit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from projects import commit_all, everything, git, pair, remote_of, repository, write

if TYPE_CHECKING:
    from pathlib import Path

    from running import Bump

pytestmark = pytest.mark.heavy

RELEASE = ("--part", "minor", "--commit", "--tag", "--push")


def reject_push(root: Path) -> Path:
    """Put a hook into the checkout that rejects each push; return it, to be removed again."""
    file = root / ".git/hooks/pre-push"
    file.parent.mkdir(exist_ok=True)
    file.write_text("#!/bin/sh\nexit 1\n")
    file.chmod(0o755)
    return file


@pytest.fixture
def interrupted(tmp_path: Path, bump: Bump) -> Path:
    """Two packages in lockstep whose release 2.1.0 is committed and tagged, but was not pushed."""
    root = repository(pair(tmp_path / "pair"))
    git(root, "push", "--quiet", "origin", "main")
    hook = reject_push(root)
    assert bump(root, *RELEASE).code == 2
    hook.unlink()
    return root


@pytest.mark.parametrize("other", [("--create", "feature", "origin/main"), ("--detach", "origin/main")])
def test_a_bump_is_not_resumed_on_another_branch(interrupted: Path, bump: Bump, other: tuple[str, ...]) -> None:
    release = git(interrupted, "rev-parse", "main")
    git(interrupted, "switch", "--quiet", *other)
    write(interrupted, {"packages/base/half_done.py": ""})
    commit_all(interrupted, "feat: half done")
    before = everything(interrupted)
    for request in (RELEASE, ("--abort",)):
        ran = bump(interrupted, *request)
        assert ran.code == 1, ran.text
        assert "the bump began on branch main, but" in ran.text
        assert "git switch main, then rerun the command" in ran.text
        assert everything(interrupted) == before
    git(interrupted, "switch", "--quiet", "main")
    assert bump(interrupted, *RELEASE).code == 0
    refs = git(remote_of(interrupted), "rev-parse", "main", "v2.1.0^{}").splitlines()
    assert refs == [release, release]


def test_the_fix_for_a_file_that_changed_meanwhile_keeps_the_change(interrupted: Path, bump: Bump) -> None:
    file = interrupted / "packages/base/pyproject.toml"
    git(interrupted, "tag", "--delete", "v2.1.0")
    git(interrupted, "reset", "--quiet", "--soft", "HEAD~1")
    git(interrupted, "reset", "--quiet")
    file.write_text(file.read_text() + "# mine\n")
    ran = bump(interrupted, *RELEASE)
    assert ran.code == 4, ran.text
    assert "fix: git stash push -- packages/base/pyproject.toml" in ran.text.replace("put the change aside: ", "")
    git(interrupted, "stash", "push", "--quiet", "--", "packages/base/pyproject.toml")
    ran = bump(interrupted, *RELEASE)
    assert ran.code == 0, ran.text
    assert "# mine" in git(interrupted, "stash", "show", "--patch")
    assert git(remote_of(interrupted), "tag") == "v2.1.0"


@pytest.mark.parametrize("has_tag", [True, False])
def test_the_release_commit_is_tagged_if_other_commits_follow_it(
    interrupted: Path, bump: Bump, *, has_tag: bool
) -> None:
    release = git(interrupted, "rev-parse", "main")
    if not has_tag:
        git(interrupted, "tag", "--delete", "v2.1.0")
    write(interrupted, {"packages/base/README.md": "more\n"})
    later = commit_all(interrupted, "docs: more")
    ran = bump(interrupted, *RELEASE)
    assert ran.code == 0, ran.text
    refs = git(remote_of(interrupted), "rev-parse", "main", "v2.1.0^{}").splitlines()
    assert refs == [later, release]
    assert f"already committed in {release[:10]}" in ran.text


def test_a_released_file_may_be_edited_before_the_bump_is_resumed(interrupted: Path, bump: Bump) -> None:
    release = git(interrupted, "rev-parse", "main")
    file = interrupted / "packages/base/pyproject.toml"
    file.write_text(file.read_text() + "# more\n")
    later = commit_all(interrupted, "chore: a comment")
    ran = bump(interrupted, *RELEASE)
    assert ran.code == 0, ran.text
    refs = git(remote_of(interrupted), "rev-parse", "main", "v2.1.0^{}").splitlines()
    assert refs == [later, release]


def test_a_rebased_release_is_tagged_again(interrupted: Path, bump: Bump, tmp_path: Path) -> None:
    colleague = tmp_path / "colleague"
    git(tmp_path, "clone", "--quiet", str(remote_of(interrupted)), str(colleague))
    git(colleague, "config", "user.name", "Colleague")
    git(colleague, "config", "user.email", "colleague@example.invalid")
    write(colleague, {"packages/top/more.py": ""})
    commit_all(colleague, "feat: more")
    git(colleague, "push", "--quiet")
    assert "git pull --rebase origin main, then rerun the command" in bump(interrupted, *RELEASE).text
    git(interrupted, "pull", "--quiet", "--rebase", "origin", "main")
    ran = bump(interrupted, *RELEASE)
    assert ran.code == 0, ran.text
    head = git(interrupted, "rev-parse", "HEAD")
    assert git(remote_of(interrupted), "rev-parse", "main", "v2.1.0^{}").splitlines() == [head, head]


def test_a_partly_pushed_release_is_finished_as_the_fix_says(
    interrupted: Path, bump: Bump, tmp_path: Path
) -> None:
    # A remote without atomic pushes may have the tag, but not the branch.
    release = git(interrupted, "rev-parse", "main")
    git(interrupted, "push", "--quiet", "origin", "v2.1.0")
    colleague = tmp_path / "colleague"
    git(tmp_path, "clone", "--quiet", str(remote_of(interrupted)), str(colleague))
    git(colleague, "config", "user.name", "Colleague")
    git(colleague, "config", "user.email", "colleague@example.invalid")
    write(colleague, {"packages/top/more.py": ""})
    commit_all(colleague, "feat: more")
    git(colleague, "push", "--quiet")
    ran = bump(interrupted, *RELEASE)
    assert "fix: git pull --no-rebase --no-edit origin main, then rerun the command" in ran.text
    git(interrupted, "pull", "--quiet", "--no-rebase", "--no-edit", "origin", "main")
    ran = bump(interrupted, *RELEASE)
    assert ran.code == 0, ran.text
    head = git(interrupted, "rev-parse", "HEAD")
    assert git(remote_of(interrupted), "rev-parse", "main", "v2.1.0^{}").splitlines() == [head, release]


def test_a_merged_release_keeps_its_tag(interrupted: Path, bump: Bump, tmp_path: Path) -> None:
    release = git(interrupted, "rev-parse", "main")
    colleague = tmp_path / "colleague"
    git(tmp_path, "clone", "--quiet", str(remote_of(interrupted)), str(colleague))
    git(colleague, "config", "user.name", "Colleague")
    git(colleague, "config", "user.email", "colleague@example.invalid")
    write(colleague, {"packages/top/more.py": ""})
    commit_all(colleague, "feat: more")
    git(colleague, "push", "--quiet")
    git(interrupted, "pull", "--quiet", "--no-rebase", "--no-edit", "origin", "main")
    ran = bump(interrupted, *RELEASE)
    assert ran.code == 0, ran.text
    head = git(interrupted, "rev-parse", "HEAD")
    assert git(remote_of(interrupted), "rev-parse", "main", "v2.1.0^{}").splitlines() == [head, release]
