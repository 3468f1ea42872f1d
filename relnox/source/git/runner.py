"""Running git commands in one checkout."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeAlias

from relnox.source.git.environment import git_variables
from relnox.source.git.object_reader import ObjectReader

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from relnox.system import process

Query: TypeAlias = tuple[str, ...]
"""The arguments of a git command that changes nothing."""


class GitRunner:
    """Runs git commands in one directory.

    Args:
        root: The directory in which git is run.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._answers: dict[Query, Callable[[], process.Completed]] = {}
        self._object_reader: ObjectReader | None = None

    @cached_property
    def _variables(self) -> Mapping[str, str]:
        return git_variables()

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
        """Run a git command in this checkout without checking its exit status; see `process.run`.

        By default, git continues if relnox is killed, since it must not be stopped while it changes the
        repository.
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
    def reading_ahead(self, *queries: Query) -> Iterator[None]:
        """Run queries at the same time, while the `with` block is executed.

        The first call of `run` in the block for a query gets the answer. The block must not change the repository
        before that.
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
        """Run a git command that prints the names of refs or remotes, one per line, and return the names.

        Lines are split at line feeds only, since names may contain other Unicode white space.

        Raises:
            Failed: The command failed.
        """
        listing = self.run(*arguments, stderr=False).check(f"git {arguments[0]}").output
        return [name for name in listing.split("\n") if name]

    def read_entries(self, command: str, *arguments: str) -> list[str]:
        """Run a git command that lists files, with the option `-z`, and return the entries that it prints.

        Raises:
            Failed: The command failed.
        """
        listing = self.run(command, "-z", *arguments, stderr=False).check(f"git {command}").output
        return [entry for entry in listing.split("\0") if entry]

    def open_object_reader(self) -> None:
        """Answer all calls of `object_ids_of` with one process until `close_object_reader` is called."""
        self._object_reader = self._object_reader or ObjectReader(self.root)

    def close_object_reader(self) -> None:
        """End the process that answers calls of `object_ids_of`."""
        reader, self._object_reader = self._object_reader, None
        if reader is not None:
            reader.close()

    def object_ids_of(self, revisions: Sequence[str]) -> list[str | None]:
        """Return the full id of the object that each revision names, or None if this clone does not have it."""
        lines = [revision for revision in revisions if "\n" not in revision]
        reader = self._object_reader or ObjectReader(self.root)
        try:
            ids = dict(zip(lines, reader.object_ids(lines), strict=True))
        finally:
            if reader is not self._object_reader:
                reader.close()
        return [ids[name] if name in ids else self._parse_revision(name) for name in revisions]

    def object_id_of(self, revision: str) -> str | None:
        """Return the full id of the object that a revision names, or None if there is no such object."""
        if self._object_reader is not None:
            return self.object_ids_of([revision])[0]
        return self._parse_revision(revision)

    def _parse_revision(self, revision: str) -> str | None:
        """Return the result of `object_id_of` with a process of its own; the revision may contain line feeds."""
        answer = self.run("rev-parse", "--verify", "--quiet", "--end-of-options", revision, stderr=False)
        return answer.output.strip() or None if answer.returncode == 0 else None
