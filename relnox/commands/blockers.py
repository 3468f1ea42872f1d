"""Before the first step: the problems that block a plan, and the confirmation that it needs."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, TextIO

from relnox import core
from relnox.errors import Blocked, ExitCode
from relnox.reporters.streams import STDERR

if TYPE_CHECKING:
    from relnox.core.plan import Plan

__all__ = ["blocked", "confirm", "refuse", "with_public_files"]


def refuse(plan: Plan) -> None:
    """Raise all problems of a plan as one error."""
    if plan.problems:
        raise blocked(plan)


def blocked(plan: Plan) -> Blocked:
    """All problems of a plan as one error, with what is public already."""
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


def confirm(plan: Plan) -> None:
    """Ask at the terminal what the plan wants confirmed.

    Raises:
        Blocked: The answer is not yes, or there is no terminal to ask at.
    """
    if plan.consent is None:
        return
    if not (_is_terminal(sys.stdin) and STDERR.isatty()):
        error = Blocked(
            "todo", f"nobody is there to be asked: {plan.consent}", fix="add --yes where this is meant"
        )
        raise with_public_files(error, plan)
    STDERR.line(f"{plan.consent} [y/N] ", end="")
    try:
        answer = sys.stdin.readline().strip().lower()
    except UnicodeDecodeError:
        answer = ""
    if answer not in ("y", "yes"):
        raise with_public_files(Blocked("todo", "not agreed: nothing was sent", fix="nothing was changed"), plan)


def with_public_files(error: Blocked, plan: Plan) -> Blocked:
    """An error before the first byte, with the files that are public from an earlier run."""
    uploads = [step for step in plan.steps if isinstance(step, core.steps.Upload)]
    if uploads:
        names = [step.file.filename for step in uploads]
        core.publication.blocked(error, uploads[0].index, names, plan.public)
    return error


def _is_terminal(stream: TextIO | None) -> bool:
    try:
        return stream is not None and stream.isatty()
    except ValueError:  # it is closed
        return False
