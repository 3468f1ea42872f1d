"""Protection of credentials from untrusted code: code of the project, its packages, and their requirements."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relnox import core
from relnox.errors import Blocked
from relnox.system import exposure

if TYPE_CHECKING:
    from contextlib import ExitStack

    from relnox.commands.shared.project import Project
    from relnox.core.planning.plan import Plan
    from relnox.reporters import Reporter


def is_executed_by(plan: Plan) -> bool:
    """Return whether a step of the plan runs untrusted code."""
    return any(step.runs_project_code for step in plan.steps)


def protect_credentials(project: Project, reporter: Reporter, stack: ExitStack) -> None:
    """Make this process's memory unreadable, and report credentials that untrusted code can read elsewhere.

    Raises:
        Blocked: Untrusted code can read credentials, and `on-visible-credentials` is `refuse`.
    """
    stack.enter_context(exposure.protected_memory())
    if not (exposures := tuple(exposure.find_exposed_credentials())):
        return
    lines = "\n".join(f"{', '.join(exposed.names)}: {exposed.where} of {exposed.process}" for exposed in exposures)
    message = f"upload credentials are readable by code that this run executes:\n{lines}"
    fix = "set them only for the job or step that publishes, and build and verify in another one"
    if project.config.on_visible_credentials == "refuse":
        raise Blocked("credentials-exposed", message, fix=fix)
    reporter.event(core.events.Notice(message, fix), nested=False)
