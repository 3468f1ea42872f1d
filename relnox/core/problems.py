"""Problems: failed preflight checks, each with a stable code, a message and a fix."""

from __future__ import annotations

from relnox.core.records import Record
from relnox.errors import ExitCode, RelnoxError


class Problem(Record, kw_only=True):
    """A reason why a plan cannot run.

    Attributes:
        code: The stable code of the problem, such as `tag-exists`.
        message: What is wrong, and why.
        fix: One command or edit that solves the problem.
        exit_code: The exit code of a run that is blocked by this problem.
    """

    code: str
    message: str
    fix: str
    exit_code: ExitCode = ExitCode.BLOCKED

    @classmethod
    def from_error(cls, error: RelnoxError, exit_code: ExitCode | None = None) -> Problem:
        """Convert an error to a problem; `exit_code` replaces the exit code of the error."""
        code = error.exit_code if exit_code is None else exit_code
        return cls(code=error.code, message=error.message, fix=error.fix or "", exit_code=code)
