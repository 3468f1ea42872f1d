"""Before the first step: the problems that block a plan, and the confirmation that it needs."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, TextIO

from relnox import core
from relnox.errors import ExitCode, Refused
from relnox.reporters.streams import STDERR

if TYPE_CHECKING:
    from relnox.core.plan import Plan

__all__ = ["blocked", "confirm", "refuse", "with_public_files"]


def refuse(plan: Plan) -> None:
    """Raise all problems of a plan as one error."""
    if plan.refusals:
        raise blocked(plan)


def blocked(plan: Plan) -> Refused:
    """All problems of a plan as one error, with what is public already."""
    from relnox.reporters.text import further_lines

    if len(plan.refusals) == 1:
        error = Refused(plan.refusals[0].message, hint=plan.refusals[0].hint)
    else:
        listed = [
            line
            for refusal in plan.refusals
            for line in (
                *further_lines(f"- {refusal.message}", "  "),
                *further_lines(f"hint: {refusal.hint}", "    "),
            )
        ]
        error = Refused("\n".join([f"{len(plan.refusals)} things stand against {plan.task}:", *listed]))
    error.exit_code = ExitCode.worst([refusal.exit_code for refusal in plan.refusals])
    return with_public_files(error, plan)


def confirm(plan: Plan) -> None:
    """Ask at the terminal what the plan wants confirmed.

    Raises:
        Refused: The answer is not yes, or there is no terminal to ask at.
    """
    if plan.consent is None:
        return
    if not (_is_terminal(sys.stdin) and STDERR.isatty()):
        error = Refused(f"nobody is there to be asked: {plan.consent}", hint="add --yes where this is meant")
        raise with_public_files(error, plan)
    STDERR.line(f"{plan.consent} [y/N] ", end="")
    try:
        answer = sys.stdin.readline().strip().lower()
    except UnicodeDecodeError:
        answer = ""
    if answer not in ("y", "yes"):
        raise with_public_files(Refused("not agreed: nothing was sent", hint="nothing was changed"), plan)


def with_public_files(error: Refused, plan: Plan) -> Refused:
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
