"""Temporary clones: one to rehearse a release in, one for tools that write to the checkout."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relnox.source.git.repository import Git

if TYPE_CHECKING:
    from pathlib import Path

_CLONE = ("clone", "--quiet", "--no-hardlinks")


def clone_with_remote(git: Git, into: Path, commit: str, branch: str, remote_name: str) -> Path:
    """Clone a repository to a bare remote, and that remote to a checkout of one commit on a branch.

    All objects are copied, so that nothing done there reaches the repository.

    Returns:
        The folder in the new checkout that corresponds to `git.root`.
    """
    remote, checkout = into / "remote.git", into / "checkout"
    git.run(*_CLONE, "--bare", "--", git.top_level(), str(remote), outlives=False).check("git clone")
    Git(remote).run("update-ref", f"refs/heads/{branch}", commit).check("git update-ref")
    git.run(*_CLONE, "--branch", branch, "--", str(remote), str(checkout), outlives=False).check("git clone")
    if remote_name != "origin":
        # Unchecked: a URL cannot be the name of a remote, and the bump says so.
        Git(checkout).run("remote", "rename", "origin", remote_name)
    for key in ("user.name", "user.email"):
        if value := git.run("config", "--get", key, stderr=False).output.strip():
            Git(checkout).run("config", key, value).check("git config")
    return checkout / git.prefix if git.prefix else checkout


def shared_clone(git: Git, into: Path) -> Git:
    """Clone the current commit into a folder for a short time; the clone borrows the repository's objects."""
    checkout = into / "checkout"
    options = ("--quiet", "--shared", "--no-checkout")
    git.run("clone", *options, "--", git.top_level(), str(checkout), outlives=False).check("git clone")
    head = git.head() or "HEAD"
    Git(checkout).run("checkout", "--quiet", "--detach", head, outlives=False).check("git checkout")
    return Git(checkout / git.prefix if git.prefix else checkout, git.prefix)
