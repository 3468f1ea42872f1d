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


def find_repository(folder: Path) -> Git | None:
    """Return the git checkout that contains `folder`, or None if it is not in a checkout.

    Raises:
        Blocked: git refuses to work in the checkout because another user owns it.
    """
    if not any((parent / ".git").exists() for parent in (folder.resolve(), *folder.resolve().parents)):
        return None
    query = ("rev-parse", _INSIDE_WORK_TREE, "--is-shallow-repository", "--git-path", "relnox", "--show-prefix")
    # Warnings on standard error must not be parsed as the answer.
    answer = Git(folder).run(*query, stderr=False)
    if answer.returncode != 0:
        if "dubious ownership" in Git(folder).run("rev-parse", _INSIDE_WORK_TREE).output:
            raise Blocked(
                "repository-not-trusted",
                f"git refuses to use the repository {folder} (it belongs to another user)",
                fix=f"git config --global --add safe.directory {folder}",
            )
        return None
    inside, shallow, private, prefix, *_ = [*answer.output.split("\n"), ""]
    return Git(folder, prefix, private=folder / private, shallow=shallow == "true") if inside == "true" else None
