"""Access to git: queries of a checkout (`repository`), commits and tags (`changes`), remotes, and clones."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relnox.errors import Blocked
from relnox.source.git.parsing import GitState, parse_tags
from relnox.source.git.repository import Git

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Git", "GitState", "find_repository", "parse_tags"]

_INSIDE_WORK_TREE = "--is-inside-work-tree"
_LOCATION = ("rev-parse", _INSIDE_WORK_TREE, "--is-shallow-repository", "--git-path", "relnox", "--show-prefix")


def find_repository(directory: Path) -> Git | None:
    """Return the git checkout that contains `directory`, or None if it is not in a checkout.

    The directory becomes `Git.root`.

    Raises:
        Blocked: git refuses to work in the checkout because another user owns it.
    """
    if not _could_be_in_checkout(directory):
        return None
    # Warnings on standard error must not be parsed as the answer.
    answer = Git(directory).run(*_LOCATION, stderr=False)
    if answer.returncode != 0:
        if "dubious ownership" in Git(directory).run("rev-parse", _INSIDE_WORK_TREE).output:
            raise Blocked(
                "repository-not-trusted",
                f"git refuses to use the repository {directory} (it belongs to another user)",
                fix=f"git config --global --add safe.directory {directory}",
            )
        return None
    inside, shallow, private, prefix, *_ = [*answer.output.split("\n"), ""]
    return (
        Git(directory, prefix, private=directory / private, shallow=shallow == "true")
        if inside == "true"
        else None
    )


def _could_be_in_checkout(directory: Path) -> bool:
    resolved = directory.resolve()
    return resolved.is_dir() and any((parent / ".git").exists() for parent in (resolved, *resolved.parents))
