"""Before code of the project, of its packages, or of what these require runs: what it may not read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relnox import core, exposure
from relnox.errors import Blocked

if TYPE_CHECKING:
    from contextlib import ExitStack

    from relnox.commands.project import Project
    from relnox.core.plan import Plan
    from relnox.reporters import Reporter

__all__ = ["is_executed_by", "protect_credentials"]

_STEPS = (
    *(
        core.steps.PrepareBuildEnvironment,
        core.steps.Build,
        core.steps.CheckReproducibility,
        core.steps.BuildWheels,
    ),
    *(core.steps.RunTests, core.steps.VerifyInstall, core.steps.Stage),
)


def is_executed_by(plan: Plan) -> bool:
    """Whether a step of the plan runs such code."""
    return any(isinstance(step, _STEPS) for step in plan.steps)


def protect_credentials(project: Project, reporter: Reporter, stack: ExitStack) -> None:
    """Keep such code out of this process, and tell which credentials it could read elsewhere.

    Raises:
        Blocked: It could, and the settings say that this stops the run.
    """
    stack.enter_context(exposure.unreadable_memory())
    if not (found := exposure.exposures()):
        return
    listed = "\n".join(f"{', '.join(each.names)}: {each.where} of {each.process}" for each in found)
    message = f"upload credentials can be read by the code that this run executes:\n{listed}"
    fix = "set them for the publishing job or step alone, and build and verify in another"
    if project.config.on_visible_credentials == "refuse":
        raise Blocked("todo", message, fix=fix)
    reporter.event(core.events.Notice(message, fix), nested=False)
