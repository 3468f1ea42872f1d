"""Run tools that change files on a copy of the checkout, so that their changes become part of the plan.

The copy is a temporary clone with the planned edits. The files that a tool changes there are later edited in the
checkout, in the same transaction as all other files.
"""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Collection, Mapping, Sequence

from relnox.errors import Blocked
from relnox.source.copies import copy_of, read_changes
from relnox.source.git import Git
from relnox.system import files, process
from relnox.system.process import clean_environment, search_path

_LOCK_COMMANDS = {"poetry.lock": ("poetry", "lock"), "pdm.lock": ("pdm", "lock")}
"""Maps lock files that only their own tools can write to the commands that update them."""


def run_tool_on_copy(  # noqa: PLR0913 - the tool and its surroundings
    git: Git,
    directory: str,
    command: Sequence[str],
    *,
    contents: Mapping[str, bytes | None],
    alternative: str,
    pass_env: Collection[str] = (),
) -> dict[str, bytes | None]:
    """Run a tool on a temporary copy of the checkout with planned edits, and return the files that it changes.

    Args:
        git: The checkout, whose current commit is copied.
        directory: The directory to run the tool in, relative to the root.
        command: The tool and its arguments.
        contents: The planned edits: the new content of each file, or None for a removed file, by path relative to
            the root.
        alternative: How to avoid running the tool, for the fixes in error messages.
        pass_env: Variables that are passed to the tool even if they look like credentials.

    Returns:
        The new contents of the files that the tool changes, in the form of `contents`.

    Raises:
        Blocked: The tool is not installed.
        Failed: The tool fails.
    """
    with files.TemporaryDirectory() as scratch:
        clone = copy_of(git, git.head() or "HEAD", scratch.path, contents)
        program = shutil.which(command[0], path=search_path(os.environ))
        if program is None:
            raise Blocked(
                "tool-not-found", f"{command[0]} is not on PATH", fix=f"install {command[0]}; {alternative}"
            )
        variables = clean_environment(os.environ, passed=pass_env)
        completed = process.run([program, *command[1:]], cwd=clone.root / directory, env=variables)
        rerun = f"cd {shlex.quote(str(directory))} && {shlex.join(command)}"
        completed.check(command[0], fix=f"reproduce it: {rerun}; {alternative}")
        return read_changes(clone, contents)


def update_lock_files(
    git: Git, locks: Sequence[str], *, planned: Mapping[str, bytes | None], pass_env: Collection[str] = ()
) -> dict[str, bytes | None]:
    """Update lock files of Poetry and PDM with their own tools, and return their new contents by path.

    `locks` are paths relative to the root; `planned` are the edits that the tools see. For the rest, see
    `run_tool_on_copy`.
    """
    contents: dict[str, bytes | None] = {}
    for lock in locks:
        directory, _, name = lock.rpartition("/")
        changes = run_tool_on_copy(
            git,
            directory or ".",
            _LOCK_COMMANDS[name],
            contents=planned,
            alternative="without --lock the lock file is not updated",
            pass_env=pass_env,
        )
        contents |= {file: content for file, content in changes.items() if file == lock}
    return contents
