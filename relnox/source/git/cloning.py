"""Create temporary clones, to rehearse a release and to run tools that write to the checkout."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relnox.core.fixes import GIT_FAILED
from relnox.source.git.repository import Git

if TYPE_CHECKING:
    from pathlib import Path

_CLONE_COMMAND = ("clone", "--quiet", "--no-hardlinks")


def clone_with_remote(git: Git, into: Path, commit: str, branch: str, remote_name: str) -> Path:
    """Clone a repository into a bare one, and clone that into a checkout whose remote is the bare repository.

    All objects are copied, so that nothing that happens in the clones affects the original repository.

    Args:
        git: The repository to clone.
        into: An existing directory for both clones.
        commit: The commit to check out.
        branch: The name of the branch that points to the commit in both clones.
        remote_name: The name of the remote in the new checkout.

    Returns:
        The directory in the new checkout that corresponds to `git.root`.
    """
    remote, checkout = into / "remote.git", into / "checkout"
    git.run(*_CLONE_COMMAND, "--bare", "--", git.top_level(), str(remote)).check("git clone", fix=GIT_FAILED)
    Git(remote).run("update-ref", f"refs/heads/{branch}", commit).check("git update-ref", fix=GIT_FAILED)
    clone_command = (*_CLONE_COMMAND, "--branch", branch, "--", str(remote), str(checkout))
    git.run(*clone_command).check("git clone", fix=GIT_FAILED)
    if remote_name != "origin":
        # Unchecked: a URL cannot be the name of a remote, and the bump says so.
        Git(checkout).run("remote", "rename", "origin", remote_name)
    for key in ("user.name", "user.email"):
        if value := git.run("config", "--get", key, stderr=False).output.strip():
            Git(checkout).run("config", key, value).check("git config", fix=GIT_FAILED)
    return checkout / git.prefix if git.prefix else checkout


def create_shared_clone(git: Git, into: Path) -> Git:
    """Clone the current commit into a subdirectory of `into`; the clone shares the objects of the repository."""
    checkout = into / "checkout"
    options = ("--quiet", "--shared", "--no-checkout")
    git.run("clone", *options, "--", git.top_level(), str(checkout)).check("git clone", fix=GIT_FAILED)
    head = git.head() or "HEAD"
    Git(checkout).run("checkout", "--quiet", "--detach", head).check("git checkout", fix=GIT_FAILED)
    return Git(checkout / git.prefix if git.prefix else checkout, git.prefix)
