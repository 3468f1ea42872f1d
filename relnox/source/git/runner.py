"""Run git commands in one checkout, with the environment variables that they need."""

from __future__ import annotations

import os
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING

from relnox.system import process
from relnox.system.environment_variables import without_upload_credentials

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

_REMOVED_VARIABLES = frozenset(
    {
        # Set by git for its hooks: they make git use a repository other than that of the working directory.
        *("GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_COMMON_DIR", "GIT_DIR", "GIT_INDEX_FILE", "GIT_NAMESPACE"),
        *("GIT_OBJECT_DIRECTORY", "GIT_PREFIX", "GIT_WORK_TREE"),
        # Set by users: they change how git interprets paths, or which attributes files have.
        "GIT_ATTR_SOURCE",
        *("GIT_GLOB_PATHSPECS", "GIT_ICASE_PATHSPECS", "GIT_LITERAL_PATHSPECS", "GIT_NOGLOB_PATHSPECS"),
    }
)
_POETRY_CREDENTIALS = "POETRY_HTTP_BASIC_"
"""The prefix of variables with credentials of indexes, which git and its hooks do not need."""
_SETTINGS = {
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_EDITOR": "true",
    "GIT_OPTIONAL_LOCKS": "0",  # a killed `git status` would leave its lock
    "GIT_NO_REPLACE_OBJECTS": "1",  # a replaced commit has other files than the commit of this id elsewhere
    "LC_ALL": "C.UTF-8",
    "LANGUAGE": "en",
}
"""Variables that make git run without prompts, editors, optional locks and replaced objects, in English."""


class GitRunner:
    """Runs git commands in one directory.

    Args:
        root: The directory in which git is run.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    @cached_property
    def _variables(self) -> Mapping[str, str]:
        return _git_variables()

    def run(
        self,
        *arguments: str,
        stdin: str | bytes | None = None,
        stderr: bool = True,
        timeout: float | None = None,
        umask: int = -1,
        variables: Mapping[str, str] = MappingProxyType({}),
    ) -> process.Completed:
        """Run a git command without checking its exit status; for the parameters, see `process.run`.

        `variables` are set in addition to the environment of relnox.
        """
        return process.run(
            ["git", *arguments],
            cwd=self.root,
            env={**self._variables, **variables},
            stdin=stdin,
            stderr=stderr,
            timeout=timeout,
            umask=umask,
            newlines="-z" not in arguments,
        )

    def read_output(self, *arguments: str) -> str:
        """Run a git command and return its standard output, without surrounding white space.

        Raises:
            Failed: The command failed.
        """
        return self.run(*arguments, stderr=False).check(f"git {arguments[0]}").output.strip()

    def read_lines(self, *arguments: str) -> list[str]:
        """Run a git command and return the lines of its standard output that are not empty.

        Lines are split at line feeds only, since names of refs may contain other Unicode white space.

        Raises:
            Failed: The command failed.
        """
        listing = self.run(*arguments, stderr=False).check(f"git {arguments[0]}").output
        return [name for name in listing.split("\n") if name]

    def read_entries(self, command: str, *arguments: str) -> list[str]:
        """Run a git command with the option `-z`, and return the NUL-separated entries that it prints.

        Raises:
            Failed: The command failed.
        """
        listing = self.run(command, "-z", *arguments, stderr=False).check(f"git {command}").output
        return [entry for entry in listing.split("\0") if entry]

    def resolve_all(self, revisions: Sequence[str]) -> list[str | None]:
        """Return the full id of the object that each revision names, or None if this clone has no such object."""
        lines = [revision for revision in revisions if "\n" not in revision]
        ids: dict[str, str | None] = {}
        if lines:
            text = "".join(f"{line}\n" for line in lines).encode(errors="surrogateescape")
            completed = self.run("cat-file", "--batch-check=%(objectname)", stdin=text, stderr=False)
            answers = completed.check("git cat-file").output.split("\n")
            ids = {
                line: None if answer.endswith(" missing") else answer
                for line, answer in zip(lines, answers, strict=False)
            }
        return [ids[name] if name in ids else self.resolve(name) for name in revisions]

    def resolve(self, revision: str) -> str | None:
        """Return the full id of the object that a revision names, or None if this clone has no such object."""
        answer = self.run("rev-parse", "--verify", "--quiet", "--end-of-options", revision, stderr=False)
        return answer.output.strip() or None if answer.returncode == 0 else None


def _git_variables() -> dict[str, str]:
    """Return the variables for git, without credentials and without variables that select another repository."""
    return {
        name: value
        for name, value in without_upload_credentials(os.environ).items()
        if not name.startswith(_POETRY_CREDENTIALS) and name not in _REMOVED_VARIABLES
    } | _SETTINGS
