"""Clones that are thrown away: one to rehearse a release in, one for programs that write."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relnox.source.git.commands import Git

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["scratch", "throw_away"]

_WHOLE = ("--quiet", "--no-hardlinks")


def throw_away(git: Git, into: Path, commit: str, branch: str) -> Path:
    """Clone a repository into `into`: a bare remote, and a checkout of it at a commit.

    The objects are copied: nothing that happens there reaches the repository.

    Args:
        git: The repository.
        into: An existing folder.
        commit: What the checkout is at.
        branch: Name of the branch that it is on.

    Returns:
        The folder in the new checkout that `root` is in that one.
    """
    remote, checkout = into / "remote.git", into / "checkout"
    git.run("clone", *_WHOLE, "--bare", "--", git.top(), str(remote), outlives=False).check("git clone")
    Git(remote).run("update-ref", f"refs/heads/{branch}", commit).check("git update-ref")
    cloned = git.run("clone", *_WHOLE, "--branch", branch, "--", str(remote), str(checkout), outlives=False)
    cloned.check("git clone")
    for key in ("user.name", "user.email"):
        if value := git.run("config", "--get", key, stderr=False).output.strip():
            Git(checkout).run("config", key, value).check("git config")
    return checkout / git.prefix if git.prefix else checkout


def scratch(git: Git, into: Path) -> Git:
    """A clone at the present commit for programs that write; it borrows objects and is soon thrown away.

    Args:
        git: The repository.
        into: An existing folder.
    """
    checkout = into / "checkout"
    cloning = ("clone", "--quiet", "--shared", "--no-checkout", "--")
    git.run(*cloning, git.top(), str(checkout), outlives=False).check("git clone")
    asked = Git(checkout).run("checkout", "--quiet", "--detach", git.head() or "HEAD", outlives=False)
    asked.check("git checkout")
    return Git(checkout / git.prefix if git.prefix else checkout, git.prefix)
