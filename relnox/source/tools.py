"""Run a project's own tools for a plan: beside the tree, so that what they change can be shown before it happens.

A tool works in a throw-away clone that holds the planned edits; the files that it changes there become part of the
plan, and of the same transaction as everything else.
"""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from relnox import process
from relnox.errors import Failed
from relnox.files import TemporaryFolder
from relnox.source.git import cloning

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from relnox.source.git import Git

__all__ = ["run_on_copy", "update_lock_files"]

_LOCKING = {"poetry.lock": ("poetry", "lock"), "pdm.lock": ("pdm", "lock")}
"""Lock files that only their own tools can write, and how."""


def run_on_copy(  # noqa: PLR0913 - what a tool is given
    git: Git,
    folder: str,
    command: Sequence[str],
    *,
    planned: Mapping[str, bytes | None],
    without: str,
    pass_env: Collection[str] = (),
) -> dict[str, bytes | None]:
    """What a tool changes besides what is planned: files relative to the root, None for one that it removes.

    Args:
        git: The checkout; the tool sees its present commit.
        folder: Where the tool is run, relative to the root.
        command: The tool and its arguments.
        planned: What files will hold, None for one that goes.
        without: What to do without the tool, for the hint.
        pass_env: Variables that the tool may see although they look like credentials.

    Raises:
        Failed: The tool is not there, or fails; what it printed is told.
    """
    with TemporaryFolder() as scratch:
        clone = cloning.shared_clone(git, scratch.path)
        for name, content in planned.items():
            path = clone.root / name
            if content is None:
                path.unlink(missing_ok=True)
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
        places = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
        program = shutil.which(command[0], path=places)
        if program is None:
            raise Failed("todo", f"{command[0]} is not to be found", fix=f"is {command[0]} installed? {without}")
        variables = process.clean_environment(os.environ, passed=pass_env)
        ran = process.run([program, *command[1:]], cwd=clone.root / folder, env=variables)
        ran.check(command[0], fix=f"try in {folder}: {shlex.join(command)}; {without}")
        changed = {name: _content(clone.root / name) for name in clone.changed_files()}
    return {name: content for name, content in changed.items() if name not in planned or planned[name] != content}


def update_lock_files(
    git: Git, locks: Sequence[str], *, planned: Mapping[str, bytes | None], pass_env: Collection[str] = ()
) -> dict[str, bytes | None]:
    """What lock files hold after their own tools have made them anew for the planned edits.

    Args:
        git: The checkout.
        locks: The lock files, relative to the root.
        planned: What files will hold.
        pass_env: Variables that the tools may see although they look like credentials.
    """
    found: dict[str, bytes | None] = {}
    for lock in locks:
        folder, _, name = lock.rpartition("/")
        changed = run_on_copy(
            git,
            folder or ".",
            _LOCKING[name],
            planned=planned,
            without="without --lock the lock stays as it is",
            pass_env=pass_env,
        )
        found |= {file: content for file, content in changed.items() if file == lock}
    return found


def _content(file: Path) -> bytes | None:
    return file.read_bytes() if file.is_file() else None
