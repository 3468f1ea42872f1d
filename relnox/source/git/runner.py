"""Run git commands in one checkout, with the environment variables that they need."""

from __future__ import annotations

import os
import threading
from contextlib import ExitStack, contextmanager
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeAlias

from relnox.errors import Failed
from relnox.system.environment_variables import without_upload_credentials

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from relnox.system import process

Query: TypeAlias = tuple[str, ...]
"""The arguments of a git command that changes nothing."""
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
_BATCH = 100
"""The number of queries to send before their answers are read: git must never wait for a full pipe."""


class GitRunner:
    """Runs git commands in one directory.

    Args:
        root: The directory in which git is run.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._answers: dict[Query, Callable[[], process.Completed]] = {}
        self._resolver: RevisionResolver | None = None

    @cached_property
    def _variables(self) -> Mapping[str, str]:
        return _git_variables()

    def run(  # noqa: PLR0913 - the parameters of `process.run`
        self,
        *arguments: str,
        stdin: str | bytes | None = None,
        stderr: bool = True,
        timeout: float | None = None,
        on_start: Callable[[int], None] | None = None,
        umask: int = -1,
        outlives: bool = True,
        variables: Mapping[str, str] = MappingProxyType({}),
    ) -> process.Completed:
        """Run a git command without checking its exit status; for the parameters, see `process.run`.

        By default, git keeps running if relnox is killed, since it must not be stopped while it changes the
        repository. `variables` are set in addition to the environment of relnox.
        """
        from relnox.system import process  # takes 2 ms, and a project outside git needs none

        if not stderr and stdin is None and (result := self._answers.pop(arguments, None)) is not None:
            return result()
        return process.run(
            ["git", *arguments],
            cwd=self.root,
            env={**self._variables, **variables},
            stdin=stdin,
            stderr=stderr,
            timeout=timeout,
            on_start=on_start,
            umask=umask,
            outlives=outlives,
            newlines="-z" not in arguments,
        )

    @contextmanager
    def queries_in_background(self, *queries: Query) -> Iterator[None]:
        """Start all queries at once, and let git answer them while the `with` block is executed.

        In the block, the first call of `run` with the arguments of a query and `stderr=False` returns its answer.
        The block must not change the repository before that.
        """
        from relnox.system import process

        with ExitStack() as stack:
            for query in queries:
                answer = process.in_background(
                    ["git", *query], cwd=self.root, env=self._variables, newlines="-z" not in query
                )
                self._answers[query] = stack.enter_context(answer)
            try:
                yield
            finally:
                for query in queries:
                    self._answers.pop(query, None)

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

    def start_resolver(self) -> None:
        """Let one git process answer all calls of `resolve` and `resolve_all` until `close_resolver` is called."""
        self._resolver = self._resolver or RevisionResolver(self.root)

    def close_resolver(self) -> None:
        """End the process that answers since `start_resolver`, if there is one."""
        resolver, self._resolver = self._resolver, None
        if resolver is not None:
            resolver.close()

    def resolve_all(self, revisions: Sequence[str]) -> list[str | None]:
        """Return the full id of the object that each revision names, or None if this clone has no such object."""
        lines = [revision for revision in revisions if "\n" not in revision]
        resolver = self._resolver or RevisionResolver(self.root)
        try:
            ids = dict(zip(lines, resolver.resolve_all(lines), strict=True))
        finally:
            if resolver is not self._resolver:
                resolver.close()
        return [ids[name] if name in ids else self._parse_revision(name) for name in revisions]

    def resolve(self, revision: str) -> str | None:
        """Return the full id of the object that a revision names, or None if this clone has no such object."""
        if self._resolver is not None:
            return self.resolve_all([revision])[0]
        return self._parse_revision(revision)

    def _parse_revision(self, revision: str) -> str | None:
        """Resolve a revision, which may contain line feeds, with a git process of its own."""
        answer = self.run("rev-parse", "--verify", "--quiet", "--end-of-options", revision, stderr=False)
        return answer.output.strip() or None if answer.returncode == 0 else None


class RevisionResolver:
    """Resolves many revisions with one `git cat-file`, which is faster than a process for each of them.

    The process is started by the first query, and finds objects and refs that are created later too. It ends when
    `close` is called, or when relnox is killed, since its standard input is closed then.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._process: subprocess.Popen[bytes] | None = None
        self._querying = threading.Lock()

    def resolve_all(self, revisions: Sequence[str]) -> list[str | None]:
        """Return the full id of the object that each revision names, or None if this clone has no such object.

        The revisions must not contain line feeds.

        Raises:
            Failed: git ended unexpectedly.
        """
        from relnox.system import process

        with self._querying:
            try:
                if self._process is not None and self._process.poll() is not None:  # ended with an interrupted run
                    self._end()
                if self._process is None:
                    command = ["git", "cat-file", "--batch-check=%(objectname)"]
                    self._process = process.start(command, cwd=self._root, env=_git_variables(), has_input=True)
                return [
                    answer
                    for start in range(0, len(revisions), _BATCH)
                    for answer in _query(self._process, revisions[start : start + _BATCH])
                ]
            except BaseException:  # an interruption too: unread answers would be taken for those of later queries
                self._end()
                raise

    def close(self) -> None:
        """End the process."""
        with self._querying:
            self._end()

    def _end(self) -> None:
        from relnox.system import process

        if self._process is not None:
            process.kill(self._process)
            self._process = None


def _query(child: subprocess.Popen[bytes], revisions: Sequence[str]) -> list[str | None]:
    assert child.stdin is not None  # noqa: S101 - it is a pipe
    assert child.stdout is not None  # noqa: S101 - it is a pipe
    try:
        child.stdin.write("".join(f"{revision}\n" for revision in revisions).encode(errors="surrogateescape"))
        child.stdin.flush()
        answers = [child.stdout.readline() for _ in revisions]
    except BrokenPipeError:
        answers = [b""]
    if not all(answers):
        raise Failed(
            "program-failed",
            "git cat-file exited unexpectedly",
            fix="rerun the command; if that does not help, check the repository: git fsck",
        )
    return [None if answer.endswith(b" missing\n") else answer.decode().rstrip("\n") for answer in answers]


def _git_variables() -> dict[str, str]:
    """Return the variables for git, without credentials and without variables that select another repository."""
    return {
        name: value
        for name, value in without_upload_credentials(os.environ).items()
        if not name.startswith(_POETRY_CREDENTIALS) and name not in _REMOVED_VARIABLES
    } | _SETTINGS
