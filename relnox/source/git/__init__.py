"""git: how it is run, what it is asked, what is done with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relnox.errors import Blocked
from relnox.source.git.commands import Git
from relnox.source.git.queries import GitState

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Git", "GitState", "find"]


def find(folder: Path) -> Git | None:
    """The git checkout that `folder` is in, or None."""
    if not any((parent / ".git").exists() for parent in (folder.resolve(), *folder.resolve().parents)):
        return None
    # What git warns of goes to standard error and must not be taken for the answer.
    asking = (
        "rev-parse",
        "--is-inside-work-tree",
        "--is-shallow-repository",
        "--git-path",
        "relnox",
        "--show-prefix",
    )
    asked = Git(folder).run(*asking, stderr=False)
    if asked.returncode != 0:
        if "dubious ownership" in Git(folder).run("rev-parse", "--is-inside-work-tree").output:
            raise Blocked(
                "todo",
                f"git does not trust {folder}, whose owner is somebody else",
                fix=f"git config --global --add safe.directory {folder}",
            )
        return None
    inside, shallow, private, prefix, *_ = [*asked.output.split("\n"), ""]
    return Git(folder, prefix, private=folder / private, shallow=shallow == "true") if inside == "true" else None
