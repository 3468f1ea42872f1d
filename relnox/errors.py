"""Problems: one value for what is wrong, with a class for each way in which a task can fail.

A message names the package or file, what failed and why; the fix is one command or edit. A user's mistake, or a
server's, is always one of these classes. Any other exception is a bug.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Container, Iterable
from enum import IntEnum
from typing import Any, Literal, NamedTuple, Self


class ExitCode(IntEnum):
    """The exit codes of a run; the numbers are part of the public interface."""

    DONE = 0
    """Done and verified, or only shown."""
    BLOCKED = 1
    """Blocked, usage errors included; nothing was changed."""
    FAILED = 2
    """Failed; nothing is public."""
    PARTLY_PUBLIC = 3
    """Partly public; rerun the command to finish."""
    CONFLICT = 4
    """Conflict: a different file has that name, or the tag is on a different commit; manual action is required."""
    TRY_LATER = 5
    """Try again later: the index is down, or does not list the files yet."""
    INTERRUPTED = 130
    """Interrupted by Ctrl-C; the current step was finished or undone."""
    TERMINATED = 143
    """Terminated by a signal; the current step was finished or undone."""

    @classmethod
    def worst(cls, codes: list[ExitCode]) -> ExitCode:
        """Return the code that takes precedence: 130, 143, 4, 3, 5, 2, then 1; return 0 if `codes` is empty."""
        order = (cls.INTERRUPTED, cls.TERMINATED, cls.CONFLICT, cls.PARTLY_PUBLIC, cls.TRY_LATER)
        return next((code for code in (*order, cls.FAILED, cls.BLOCKED) if code in codes), cls.DONE)


Level = Literal["error", "warning", "note", "rejected-by-index"]


class Problem(Exception):
    """What is wrong: raised where it ends the task, or listed in a plan.

    Args:
        code: The stable, documented name of the kind of problem, such as `tag-exists`.
        message: What is wrong, for which package or file, and why.
        fix: One command or edit that solves it; empty if there is none.
        exit_code: The exit code of a run that it ends; None for that of the class.
        allow: The field name of the option with which the user ignores it, such as `allow_branch`; or empty.
        level: `error` ends a run; `warning` does not, except with `--strict`; `note` is information, which needs
            no code and no fix. `rejected-by-index` stands for an error that becomes a warning if the package is
            private.
        file: The file that is wrong, perhaps with its line, which the message leaves out; or empty.
        why: One sentence on why it matters, or empty.
    """

    exit_code = ExitCode.BLOCKED
    rejected = False
    """Whether a server responded that it rejects the upload."""

    def __init__(  # noqa: PLR0913 - a value
        self,
        code: str,
        message: str,
        fix: str = "",
        *,
        exit_code: ExitCode | None = None,
        allow: str = "",
        level: Level = "error",
        file: str = "",
        why: str = "",
    ) -> None:
        super().__init__(message)
        self.code, self.message, self.fix = code, message, fix
        self.allow, self.level, self.file, self.why = allow, level, file, why
        if exit_code is not None:
            self.exit_code = exit_code

    @property
    def as_note(self) -> str:
        """The message, followed by the fix, if any, on a line of its own."""
        return f"{self.message}\n  fix: {self.fix}" if self.fix else self.message

    def but(self, **changes: Any) -> Self:
        """Return a copy of the problem, with other values for some arguments of the class, given by name."""
        return type(self)(**(self._fields() | changes))

    def _fields(self) -> dict[str, Any]:
        names = ("code", "message", "fix", "exit_code", "allow", "level", "file", "why")
        return {name: getattr(self, name) for name in names}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Problem) and self._fields() == other._fields()

    def __hash__(self) -> int:
        return hash(tuple(self._fields().values()))


class Blocked(Problem):
    """A usage or configuration error, invalid input, or a failed preflight check; nothing was changed."""

    exit_code = ExitCode.BLOCKED


class Failed(Problem):
    """A failed operation; nothing is public."""

    exit_code = ExitCode.FAILED


class Conflict(Problem):
    """A conflict with another file of the same name or another commit of the same tag; needs manual action."""

    exit_code = ExitCode.CONFLICT


class TryLater(Problem):
    """An error that may be gone later: the index is down, or does not list the uploaded files yet."""

    exit_code = ExitCode.TRY_LATER


_INTERRUPTED = Failed(
    "interrupted", "interrupted; nothing was changed", "rerun the command", exit_code=ExitCode.INTERRUPTED
)
_OUT_OF_MEMORY = Failed(
    "out-of-memory",
    "out of memory",
    "close other programs, or raise the memory limit (ulimit -v, or the container's), then rerun the command",
)
_MEMORY_MESSAGES = ("can't start new thread", "failed to map segment", "cannot allocate memory")
"""Parts of the lowercase messages of other exceptions that too little memory causes."""
_NO_TEMPORARY_DIRECTORY = "No usable temporary directory"
"""How the message of `tempfile` starts if no temporary directory is writable; its errno is always ENOENT."""
_FIXES = {
    **dict.fromkeys(
        (errno.EACCES, errno.EPERM, errno.EROFS),
        "grant read and write permission for it (chmod u+rw), or work in a copy of the project",
    ),
    **dict.fromkeys(
        (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EMFILE, errno.ENFILE, errno.EBUSY),
        "free disk space, or close open files",
    ),
}


def problem_of(error: BaseException) -> Problem | None:
    """Return the problem to report for an exception, or None if the exception is a bug.

    A `Problem` is returned as it is. Ctrl-C, a lack of memory and errors of the operating system become a
    `Failed`.
    """
    if isinstance(error, Problem):
        return error
    if isinstance(error, KeyboardInterrupt):
        return _INTERRUPTED.but()
    if isinstance(error, MemoryError) or any(words in str(error).lower() for words in _MEMORY_MESSAGES):
        return _OUT_OF_MEMORY.but()
    if not isinstance(error, OSError) or error.strerror is None:
        return None
    fix = _FIXES.get(error.errno or 0, "check the path, the type of the file and its file system")
    if error.strerror.startswith(_NO_TEMPORARY_DIRECTORY):
        fix = "set TMPDIR to a writable directory"
    elif error.errno == errno.ENOENT and error.filename is None:
        message = "the working directory no longer exists"
        return Failed("file-not-writable", message, "cd into the project's directory, or pass it: --project DIR")
    message = f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return Failed("system-error", message, f"{fix}, then rerun the command")


ANY_STATUS = range(1000)


class ProblemRule(NamedTuple):
    """A rule that recognizes the problem in a response of a server, by its status and its text.

    Attributes:
        statuses: The HTTP statuses that the rule applies to.
        pattern: A regular expression that is searched in the text; it ignores case.
        error: The class of the problem.
        code: The code of the problem.
        message: The template of the message, for `str.format`; see `find_problem`.
        fix: The template of the fix, likewise.
    """

    statuses: Container[int]
    pattern: str
    error: type[Problem]
    code: str
    message: str
    fix: str


def find_problem(rules: Iterable[ProblemRule], text: str, status: int = 0, **details: str) -> Problem:
    """Return the problem of the first rule that matches; the last one must match everything.

    `text` is what a server says, and `status` its HTTP status (0 if the rules use none). In the templates of a
    rule, `{text}` stands for the text, and the name of each of `details` for its value.
    """
    rule = next(rule for rule in rules if status in rule.statuses and re.search(rule.pattern, text, re.IGNORECASE))
    fields = {"text": text, **details}
    return rule.error(rule.code, rule.message.format(**fields), rule.fix.format(**fields))
