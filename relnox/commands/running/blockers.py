"""Checks before the first step: the problems that block a plan, and the confirmation that it needs."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, TextIO

from relnox import core
from relnox.errors import Blocked, ExitCode
from relnox.reporters.streams import STDERR

if TYPE_CHECKING:
    from relnox.core.planning.plan import Plan


def combine_problems(plan: Plan) -> Blocked:
    """Return one error that combines the problems of a plan and lists the files that are already public."""
    from relnox.reporters.text import further_lines, with_code

    if len(plan.problems) == 1:
        problem = plan.problems[0]
        error = Blocked(problem.code, problem.message, fix=problem.fix)
    else:
        lines = [
            line
            for problem in plan.problems
            for line in (
                *further_lines(f"- {with_code(problem.message, problem.code)}", "  "),
                *further_lines(f"fix: {problem.fix}", "    "),
            )
        ]
        heading = f"{plan.task} is blocked by {len(plan.problems)} problems"
        error = Blocked("several-problems", "\n".join([heading, *lines]))
    error.exit_code = ExitCode.worst([problem.exit_code for problem in plan.problems])
    return with_public_files(error, plan)


def confirm(plan: Plan, *, interactive: bool = True) -> None:
    """Ask for confirmation on the terminal, if the plan needs it.

    Raises:
        Blocked: The user declined, or stdin or stderr is not a terminal.
    """
    if plan.consent is None:
        return
    if not (interactive and _is_terminal(sys.stdin) and STDERR.isatty()):
        message = f"confirmation needed, but stdin is not a terminal: {plan.consent}"
        raise with_public_files(Blocked("confirmation-needed", message, fix="pass --yes to confirm"), plan)
    STDERR.line(f"{plan.consent} [y/N] ", end="")
    try:
        answer = sys.stdin.readline().strip().lower()
    except UnicodeDecodeError:
        answer = ""
    if answer not in ("y", "yes"):
        raise with_public_files(Blocked("aborted", "aborted by user; nothing was uploaded"), plan)


def with_public_files(error: Blocked, plan: Plan) -> Blocked:
    """Return the error of a run that has uploaded nothing, with the files that an earlier run published added."""
    uploads = [step.upload for step in plan.steps if step.upload is not None]
    if uploads:
        names = [file.filename for _, file in uploads]
        core.publication.add_public_files(error, uploads[0][0], names, plan.public)
    return error


def _is_terminal(stream: TextIO | None) -> bool:
    try:
        return stream is not None and stream.isatty()
    except ValueError:  # the stream is closed
        return False
