"""A task from what was typed to an exit code: the one way that all doors take."""

from __future__ import annotations

import contextlib
import os
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relnox import core
from relnox.commands import TASKS, load
from relnox.core.options import resolve
from relnox.core.records import replace
from relnox.core.secrets import mask_error, masked
from relnox.errors import ExitCode, Failed, Refused, RelnoxError, failure_of_the_machine

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from relnox.commands.project import Project
    from relnox.core.events import Event, Outcome, Waiting
    from relnox.core.options import CommonOptions, Given, Value
    from relnox.core.plan import Plan
    from relnox.core.steps import Stage
    from relnox.reporters import Reporter

__all__ = ["perform"]


def perform(task: str, command_line: Mapping[str, Value]) -> ExitCode:
    """Carry a task out and tell how it goes.

    Args:
        task: Its name.
        command_line: What was typed, by field name of its options; nothing else.

    Returns:
        The exit code of the contract; what happened has been told.
    """
    from relnox import reporters
    from relnox.commands.project import open_project

    # Until the settings are read, what was typed and the environment choose how things are told.
    reporter = reporters.choose(command_line.get("reporter"), os.environ)
    report = command_line.get("report")
    try:
        project = open_project(Path(str(command_line.get("project") or ".")))
        options, given = _options(task, command_line, project)
        reporter = reporters.choose(options.reporter, os.environ)
        reporter.verbose = options.verbose
        report = options.report
        return _perform(task, options, given, project, reporter)
    except RelnoxError as error:
        return _refused(error, task, report, reporter)
    except OSError as error:
        if (failed := failure_of_the_machine(error)) is None:
            raise
        return _refused(failed, task, report, reporter)
    except KeyboardInterrupt:
        reporter.error(
            Failed("interrupted while nothing was being changed", hint="to see how things stand: relnox status")
        )
        return ExitCode.INTERRUPTED
    except Exception as bug:
        mask_error(bug)
        raise


def _refused(error: RelnoxError, task: str, report: Any, reporter: Reporter) -> ExitCode:
    """Tell what ended a run before its first step."""
    from relnox.reporters.steadfast import Steadfast

    Steadfast(reporter).error(error)
    if report:
        _write_refusal(str(report), task, error)
    return error.exit_code


def _perform(
    task: str, options: CommonOptions, given: dict[str, Given], project: Project, reporter: Reporter
) -> ExitCode:
    waited: list[Waiting] = []
    with project, core.waits.told_to(_hearing(waited, reporter, nested=False)):
        module = load(task)
        snapshot = module.observe(options, project)
        plan = module.plan(snapshot, options)
        if getattr(options, "explain", False):
            plan = replace(plan, tables=(*plan.tables, _explained(given)))
        if options.plan is not None:
            _write(options.plan, plan.to_json(), "plan")
        if options.dry_run:
            reporter.plan(plan)
            return ExitCode.worst([refusal.exit_code for refusal in plan.refusals])
        outcome = _run(plan, project, reporter, _pending(module, snapshot, plan, options))
        outcome = replace(outcome, waits=tuple(waited))
        if options.report is not None:
            from relnox.reporters.json import render

            _write(options.report, render(outcome), "report")
        return outcome.exit_code


def _run(plan: Plan, project: Project, reporter: Reporter, pending: Any, *, nested: bool = False) -> Outcome:
    """Run a plan: after the refusals and the question, before the table at the end."""
    from relnox import executor
    from relnox.core.events import Outcome
    from relnox.executor.run import Run
    from relnox.executor.scratch import ScratchFolder
    from relnox.reporters.steadfast import Steadfast
    from relnox.source.lock import alone

    _refuse(plan)
    _ask(plan)
    if not plan.steps:
        reporter.event(core.events.RunStarted(plan), nested=nested)
        reporter.tables(plan.tables)
        return Outcome(plan=plan, results=(), exit_code=ExitCode.DONE, seconds=0.0, tables=plan.tables)
    reporter = Steadfast(reporter)
    steps = core.steps
    in_git = steps.EditFiles | steps.CreateTags | steps.TakeBack | steps.Export
    in_output = steps.CleanFolder | steps.Build | steps.BuildWheels | steps.Collect
    changes = any(isinstance(step, in_git | in_output) for step in plan.steps)
    with ScratchFolder() as scratch, ExitStack() as stack:
        if changes:
            stack.enter_context(alone(project.private))

        def stage(step: Stage, root: Path) -> Outcome:
            return _stage(step, root, reporter, stack)

        run = stack.enter_context(
            Run(
                root=project.root,
                scratch=scratch,
                private=project.private,
                git=project.git,
                indexes=lambda: project.indexes,
                emit=_emitting(reporter, nested=nested),
                stage=stage,
                pending=pending,
            )
        )
        reporter.tables(plan.tables)
        outcome = executor.execute(plan, run)
        outcome = replace(
            outcome,
            tables=(*plan.tables, *load(plan.task).conclude(outcome, run.clone or project.root)),
        )
    reporter.tables(outcome.tables[len(plan.tables) :])
    return outcome


def _stage(step: Stage, root: Path, reporter: Reporter, stack: ExitStack) -> Outcome:
    """Observe, plan and run a task of a chain in a folder."""
    from relnox.commands.project import open_project

    project = open_project(root)
    stack.enter_context(project)
    options, _ = _options(step.task, dict(step.options), project)
    module = load(step.task)
    waited: list[Waiting] = []
    with core.waits.told_to(_hearing(waited, reporter, nested=True)):
        snapshot = module.observe(options, project)
        plan = module.plan(snapshot, options)
        outcome = _run(plan, project, reporter, _pending(module, snapshot, plan, options), nested=True)
    return replace(outcome, waits=tuple(waited))


def _options(
    task: str, command_line: Mapping[str, Value], project: Project
) -> tuple[CommonOptions, dict[str, Given]]:
    table = TASKS[task].table if task in TASKS else ""
    return resolve(
        load(task).Options,
        command_line=command_line,
        environment=os.environ,
        file=project.config.options.get(table, {}),
        table=table,
    )


def _pending(module: Any, snapshot: Any, plan: Plan, options: CommonOptions) -> Any:
    """What a task wants to be written down before its first step."""
    pending: Callable[..., Any] | None = getattr(module, "pending", None)
    return pending(snapshot, plan, options) if pending is not None else None


def _refuse(plan: Plan) -> None:
    """Raise all refusals of a plan as one error."""
    if not plan.refusals:
        return
    exit_code = ExitCode.worst([refusal.exit_code for refusal in plan.refusals])
    if len(plan.refusals) == 1:
        error = Refused(plan.refusals[0].message, hint=plan.refusals[0].hint)
    else:
        listed = "\n".join(f"  - {refusal.message}\n    hint: {refusal.hint}" for refusal in plan.refusals)
        error = Refused(f"{len(plan.refusals)} things stand against {plan.task}:\n{listed}")
    error.exit_code = exit_code
    raise error


def _ask(plan: Plan) -> None:
    if plan.consent is None:
        return
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise Refused(f"nobody is there to be asked: {plan.consent}", hint="add --yes where this is meant")
    print(f"{plan.consent} [y/N] ", end="", file=sys.stderr, flush=True)  # noqa: T201 - a question to a person
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise Refused("not agreed: nothing was sent", hint="nothing was changed")


def _explained(given: Mapping[str, Given]) -> Any:
    from relnox.commands.status import explain

    return explain(dict(given))


def _emitting(reporter: Reporter, *, nested: bool) -> Callable[[Event], None]:
    def emit(event: Event) -> None:
        reporter.event(event, nested=nested)

    return emit


def _hearing(waited: list[Waiting], reporter: Reporter, *, nested: bool) -> Callable[[Waiting], None]:
    """Have waits told, before the first step too, and kept for the report."""

    def hear(waiting: Waiting) -> None:
        waited.append(waiting)
        reporter.event(waiting, nested=nested)

    return hear


def _write_refusal(path: str, task: str, error: RelnoxError) -> None:
    """A report of a run that came to no step; one that cannot be written changes nothing of how the run ended."""
    from relnox.reporters.json import render_error

    with contextlib.suppress(Refused):
        _write(path, render_error(task, error), "report")


def _write(path: str, text: str, what: str) -> None:
    try:
        Path(path).write_text(masked(text), encoding="utf-8")
    except OSError as error:
        raise Refused(
            f"the {what} cannot be written to {path}: {error.strerror}", hint="name another file"
        ) from error
