"""Access to git: queries of a checkout (`repository`), commits and tags (`changes`), remotes, and clones."""

from __future__ import annotations

from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING

from relnox.errors import Blocked
from relnox.source.git.parsing import GitState, parse_tags
from relnox.source.git.repository import Git

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["Git", "GitState", "find_repository", "find_repository_in_background", "parse_tags"]

_INSIDE_WORK_TREE = "--is-inside-work-tree"
_LOCATION = ("rev-parse", _INSIDE_WORK_TREE, "--is-shallow-repository", "--git-path", "relnox", "--show-prefix")


@contextmanager
def find_repository_in_background(directory: Path) -> Iterator[Git | None]:
    """Start the query of `find_repository`, which git answers while the `with` block is executed.

    The block gets the argument `started` for `find_repository`: None if the directory cannot be in a checkout.
    """
    try:
        git = Git(directory.resolve()) if _could_be_in_checkout(directory) else None
    except (OSError, RuntimeError):  # opening the project reports a missing working directory or a loop of links
        git = None
    with git.queries_in_background(_LOCATION) if git is not None else nullcontext():
        yield git


def find_repository(directory: Path, started: Git | None = None) -> Git | None:
    """Return the git checkout that contains `directory`, or None if it is not in a checkout.

    Args:
        directory: The directory, which becomes `Git.root`.
        started: What `find_repository_in_background` yielded for the directory; None to start git now.

    Raises:
        Blocked: git refuses to work in the checkout because another user owns it.
    """
    if not _could_be_in_checkout(directory):
        return None
    # Warnings on standard error must not be parsed as the answer.
    answer = (started or Git(directory)).run(*_LOCATION, stderr=False)
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
