"""Planning a task: its options, what it observes, and its plan."""

from __future__ import annotations

import os
from functools import cache, partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from relnox import core
from relnox.commands import TASKS, import_task_module
from relnox.commands.options import OPTIONS
from relnox.commands.running import reports
from relnox.core.credential_variables import find_upload_credentials
from relnox.core.records import Record, replace
from relnox.core.settings.options import PATH, resolve_option_values
from relnox.core.settings.schema import fields_of
from relnox.core.text import join_names
from relnox.errors import Blocked
from relnox.system import waits
from relnox.system.files import project_path

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import ExitStack

    from relnox.commands.shared.project import Project
    from relnox.core.planning.events import Waiting
    from relnox.core.planning.plan import Plan
    from relnox.core.planning.step import Step
    from relnox.core.settings.options import CommonOptions
    from relnox.core.settings.schema import Value
    from relnox.reporters import Reporter
    from relnox.steps.bump_record import PendingBump


class Preparation(Record):
    """A task that is planned but not run yet.

    Attributes:
        project: The project; open until the end of the run.
        pending: The edits of a bump to record before the first step, or None.
        waits: The waits during planning; those during the run are added to it.
        document: The snapshot as JSON if `--json` was given, otherwise None.
    """

    plan: Plan
    project: Project
    pending: PendingBump | None
    waits: list[Waiting]
    document: str | None = None


def plan_task(  # noqa: PLR0913 - a run
    task: str,
    options: CommonOptions,
    project: Project,
    reporter: Reporter,
    stack: ExitStack,
    *,
    nested: bool = False,
) -> Preparation:
    """Read the state of the project and plan a task.

    The caller closes `stack` at the end of the run. If the task is a stage of another one (`nested`), its plan is
    never written to a file.
    """
    if not nested:
        report = cache(partial(report_visible_credentials, project, reporter))
        project = replace(project, before_tools=report, documents=reports.paths(options))

    def on_output(step: Step, line: str) -> None:
        reporter.event(core.events.OutputLine(step, line), nested=nested)

    project = stack.enter_context(replace(project, on_output=on_output))
    waited: list[Waiting] = []
    module = import_task_module(task)
    with waits.on_wait(wait_callback(waited, reporter, nested=nested)):
        snapshot = module.observe(options, project)
        plan = module.plan(snapshot, options)
    if not nested:
        plan = replace(plan, commit=project.commit)
    pending: Callable[[object, Plan, CommonOptions], PendingBump | None] | None = getattr(module, "pending", None)
    document: Callable[[object, CommonOptions], str] | None = getattr(module, "document", None)
    return Preparation(
        plan,
        project,
        pending(snapshot, plan, options) if pending is not None else None,
        waited,
        document(snapshot, options) if document is not None and getattr(options, "json", False) else None,
    )


def resolve_options(
    task: str,
    command_line: Mapping[str, Value],
    project: Project,
    defaults: Mapping[str, Value] = MappingProxyType({}),
) -> CommonOptions:
    """Return the options of a task, from all places that can set them.

    `defaults` are those that a noxfile or a tasks file sets, by field name.
    """
    table = TASKS[task].table if task in TASKS else ""
    in_file = getattr(project.config, table).options if table else {}
    declaration = OPTIONS[task]
    options = resolve_option_values(
        declaration,
        command_line=command_line,
        environment=os.environ,
        file=in_file,
        defaults=defaults,
    )
    for field in fields_of(declaration):
        path = getattr(options, field.name)
        is_of_checkout = field.name not in {**command_line, **defaults} and field.environment not in os.environ
        # An absolute path was meant to be outside; a relative one may lead there by a link.
        if field.kind == PATH and path is not None and is_of_checkout and not Path(path).is_absolute():
            project_path(project.root, path)
    return options


def wait_callback(waits: list[Waiting], reporter: Reporter, *, nested: bool) -> Callable[[Waiting], None]:
    """Return a callback that shows each wait and appends it to `waits`, for the report."""

    def on_wait(waiting: Waiting) -> None:
        waits.append(waiting)
        reporter.event(waiting, nested=nested)

    return on_wait


def report_visible_credentials(project: Project, reporter: Reporter) -> None:
    """Report upload credentials in the environment of a task that runs code of the project or of packages.

    Raises:
        Blocked: There are any, and `on-visible-credentials` is `refuse`.
    """
    if not (names := find_upload_credentials(os.environ)):
        return
    message = (
        f"{join_names(sorted(names))}: set while this task runs code of the project, which does not get "
        "upload credentials in its environment, but may find them elsewhere"
    )
    fix = "set them only for the job or step that publishes, and build and verify in another one"
    if project.config.on_visible_credentials == "refuse":
        raise Blocked("credentials-exposed", message, fix=fix)
    reporter.event(core.events.Notice(message, fix), nested=False)
