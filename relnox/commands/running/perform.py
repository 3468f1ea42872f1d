"""Running a task, from its command line to its exit code, for all front ends.

Related modules: `blockers` (problems and confirmation), `untrusted_code`
(credentials), `endings` (errors and interruptions) and `reports` (files that a run writes).
"""

from __future__ import annotations

import os
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from relnox import core
from relnox.commands import COMMAND_LINE, TASKS, load
from relnox.commands.running import blockers, endings, reports, untrusted_code
from relnox.core.records import replace
from relnox.core.settings.options import resolve
from relnox.errors import ENVIRONMENT_ERRORS, Blocked, ExitCode, RelnoxError, environment_error
from relnox.system import exposure, waits
from relnox.system.secrets import mask_error

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from relnox.commands import TaskModule
    from relnox.commands.shared.project import Project
    from relnox.core.planning.events import Event, Outcome, Waiting
    from relnox.core.planning.fixes import FrontEnd
    from relnox.core.planning.plan import Inputs, Plan
    from relnox.core.planning.step import Step
    from relnox.core.settings.options import CommonOptions, OptionValue
    from relnox.core.settings.schema import Value
    from relnox.reporters import Reporter
    from relnox.steps.bump_record import Pending
    from relnox.steps.run import RunSettings
    from relnox.steps.stages import Stage

__all__ = ["Preparation", "perform", "prepare", "resolve_options", "run", "run_prepared"]


def perform(task: str, command_line: Mapping[str, Value], front_end: FrontEnd | None = None) -> ExitCode:
    """Run a task and report its progress; the arguments are those of `run`."""
    return run(task, command_line, front_end).exit_code


def run(
    task: str,
    command_line: Mapping[str, Value],
    front_end: FrontEnd | None = None,
    *,
    defaults: Mapping[str, Value] = MappingProxyType({}),
) -> Outcome:
    """Run a task and report its progress.

    Args:
        task: The name of the task.
        command_line: Options on the command line, by field name.
        front_end: How tasks are started, for the commands in fixes; None for relnox's own command line.
        defaults: Defaults of options that a noxfile or a tasks file sets, by field name.

    Returns:
        The outcome; with the error as the plan's problem if it ended before its first step.
    """
    from relnox import reporters
    from relnox.commands.shared.project import open_project

    exposure.hide_environment()
    # Until the settings are read, the command line and the environment choose the reporter.
    convert = _command_converter(front_end or COMMAND_LINE, command_line)
    reporter = reporters.choose(command_line.get("reporter"), os.environ, convert)
    report = command_line.get("report")
    ended: list[Outcome] = []
    with ExitStack() as streams:
        streams.enter_context(reports.keep_output_for(report, command_line.get("plan")))
        try:
            project = open_project(Path(str(command_line.get("project") or ".")))
            options, sources = resolve_options(task, command_line, project, defaults)
            reporter = reporters.choose(options.reporter, os.environ, convert, quiet=options.quiet)
            reporter.verbose = options.verbose
            report = options.report
            streams.enter_context(reports.keep_output_for(report, getattr(options, "json", False) and "-"))
            with endings.keep_exit_code(ended, reporter):
                _perform(task, options, sources, project, reporter, ended=ended)
            return ended[-1]
        except RelnoxError as error:
            return endings.stopped(error, task, report, reporter)
        except ENVIRONMENT_ERRORS as error:
            if (failed := environment_error(error)) is None:
                raise
            return endings.stopped(failed, task, report, reporter)
        except KeyboardInterrupt:
            return endings.interrupted(ended, task, reporter)
        except Exception as bug:  # any: its traceback is printed, and must not show a secret
            mask_error(bug)
            raise


def _command_converter(front_end: FrontEnd, command_line: Mapping[str, Value]) -> Callable[[str], str]:
    """Return a function that converts commands in a text to those of the front end."""
    folder = command_line.get("project")
    front_end = front_end._replace(options=("--project", str(folder)) if folder else ())

    def installing(requirement: str, upgrade: bool) -> str:  # noqa: FBT001 - called by `fixes.show`
        from relnox.commands.running.install_commands import install_commands  # files are looked at, for few hints

        in_nox = any(start.separator for start in front_end.tasks.values())
        return install_commands(Path(str(folder or ".")), in_nox=in_nox).command(requirement, upgrade)

    return lambda text: core.fixes.show(text, front_end, installing)


def _perform(  # noqa: PLR0913 - a run
    task: str,
    options: CommonOptions,
    sources: dict[str, OptionValue],
    project: Project,
    reporter: Reporter,
    *,
    ended: list[Outcome],
) -> None:
    from relnox.reporters.best_effort import BestEffortReporter

    if options.explain:
        from relnox.commands.running import origins

        plan = core.plan.Plan(task=task, tables=origins.tables(sources, project.config))
        reporter.tables(plan.tables)
        ended.append(_not_run(plan, ExitCode.DONE))
        return
    reports.check_distinct(options)
    if options.report is not None:
        reports.check(options.report, "report")
    with ExitStack() as end, ExitStack() as stack:
        preparation = prepare(task, options, project, reporter, stack)
        plan = preparation.plan
        if options.plan is not None:
            try:
                reports.write(options.plan, plan.to_json(), "plan")
            except Blocked as error:
                raise blockers.with_public_files(error, plan) from error
        if options.dry_run:
            reporter.plan(plan)
            exit_code = blockers.error_of(plan).exit_code if plan.problems else ExitCode.DONE
            ended.append(_not_run(plan, exit_code))
            return
        if preparation.document is not None:
            reports.write(reports.STANDARD_OUTPUT, preparation.document, "status")
        outcome = run_prepared(preparation, reporter, end, ended=ended)
        ended.append(outcome)
        endings.report_bug(outcome, reporter)
        if options.report is not None:
            from relnox.reporters.json import render

            try:
                reports.write(options.report, render(outcome), "report")
            except Blocked as error:  # the exit code says how the run itself ended
                BestEffortReporter(reporter).error(error)


class Preparation(NamedTuple):
    """A task that is planned but not run yet.

    Attributes:
        plan: The plan.
        project: The project; open until the end of the run.
        pending: The edits to record before the first step.
        waits: The waits so far; those of the run are added.
        is_approved: Whether the plan is confirmed by the file that it was read from.
        document: The snapshot as JSON, if that was requested instead of tables.
    """

    plan: Plan
    project: Project
    pending: Pending | None
    waits: list[Waiting]
    is_approved: bool = False
    document: str | None = None


def prepare(
    task: str,
    options: CommonOptions,
    project: Project,
    reporter: Reporter,
    stack: ExitStack,
) -> Preparation:
    """Read the state of the project and plan a task.

    Args:
        task: The task's name.
        options: Its options.
        project: The project.
        reporter: Where waits are shown.
        stack: Closed at the end of the run.
    """
    waited: list[Waiting] = []
    protect = cache(lambda: untrusted_code.protect_credentials(project, reporter, stack))
    project = stack.enter_context(
        replace(
            project,
            before_tools=protect,
            on_output=_output_callback(reporter, nested=False),
            documents=reports.paths(options),
        )
    )
    with waits.on_wait(_wait_callback(waited, reporter, nested=False)):
        module = load(task)
        project_time = getattr(module, "time_of_plan", None)
        date = project_time(options, project) if project_time is not None else None
        snapshot = module.observe(options, project)
        plan = module.plan(snapshot, options)
    is_approved = task == "apply"
    if not is_approved:
        plan = replace(plan, inputs=_inputs(options, project, date))
    document: Callable[[object, CommonOptions], str] | None = getattr(module, "document", None)
    return Preparation(
        plan,
        project,
        _pending(module, snapshot, plan, options),
        waited,
        is_approved,
        document(snapshot, options) if document is not None and getattr(options, "json", False) else None,
    )


def _inputs(options: CommonOptions, project: Project, date: str | None) -> Inputs:
    """Return what a plan is made from, to make it again from a file."""
    return core.plan.Inputs(
        options=core.options.of_task(options),
        commit=project.commit,
        date=date,
    )


def run_prepared(
    preparation: Preparation,
    reporter: Reporter,
    end: ExitStack,
    *,
    ended: list[Outcome] | None = None,
    interactive: bool = True,
) -> Outcome:
    """Run a plan that was prepared; the other arguments are those of `_run`."""
    with waits.on_wait(_wait_callback(preparation.waits, reporter, nested=False)):
        outcome = _run(
            preparation.plan,
            preparation.project,
            reporter,
            preparation.pending,
            end,
            ended=ended,
            interactive=interactive,
            is_approved=preparation.is_approved,
        )
    return replace(outcome, waits=tuple(preparation.waits))


def _not_run(plan: Plan, exit_code: ExitCode) -> Outcome:
    from relnox.core.planning.events import Outcome

    return Outcome(plan=plan, results=(), exit_code=exit_code, seconds=0.0, tables=plan.tables)


def _run(  # noqa: PLR0913 - a run
    plan: Plan,
    project: Project,
    reporter: Reporter,
    pending: Pending | None,
    end: ExitStack,
    *,
    nested: bool = False,
    ended: list[Outcome] | None = None,
    interactive: bool = True,
    is_approved: bool = False,
) -> Outcome:
    """Run a plan: check its problems, ask for confirmation, execute its steps, and show its tables.

    After the confirmation, a signal ends the run in a step or between two steps. Later signals do not change the
    exit code. The signal handlers stay until `end` is closed.

    Args:
        plan: The plan.
        project: The project.
        reporter: Where progress is shown.
        pending: The edits to record before the first step.
        end: Closed at the end of the task.
        nested: Whether it is a stage of a chain.
        ended: Gets the outcome as soon as there is one.
        interactive: Whether questions may be asked and signals are handled; not if Python code runs the plan.
        is_approved: Whether no confirmation is needed.
    """
    from relnox import executor
    from relnox.reporters.best_effort import BestEffortReporter
    from relnox.source.lock import exclusive_lock
    from relnox.steps.run import Run
    from relnox.steps.scratch import ScratchFolder
    from relnox.steps.stages import checkout_folder

    blockers.check_problems(plan)
    if not is_approved:
        blockers.confirm(plan, interactive=interactive)
    if not plan.steps:
        reporter.event(core.events.RunStarted(plan), nested=nested)
        reporter.tables(plan.tables)
        return _not_run(plan, ExitCode.DONE)
    reporter = BestEffortReporter(reporter)
    end.enter_context(executor.signals.watching(handled=interactive))
    with ScratchFolder() as scratch, ExitStack() as stack:
        if untrusted_code.is_executed_by(plan) and not nested:
            untrusted_code.protect_credentials(project, reporter, stack)
        if any(step.exclusive for step in plan.steps):
            stack.enter_context(exclusive_lock(project.private_folder))

        def stage(step: Stage, root: Path) -> Outcome:
            rehearsal = project.is_rehearsal or root != project.root
            return _stage(step, root, reporter, stack, rehearsal=rehearsal, interactive=interactive)

        run = stack.enter_context(
            Run(
                plan=plan,
                root=project.root,
                scratch=scratch,
                private=project.private_folder,
                git=project.git,
                indexes=lambda: project.indexes,
                emit=_emitting(reporter, nested=nested),
                stage=stage,
                pending=pending,
                settings=_settings(project, runs_project_code=untrusted_code.is_executed_by(plan)),
                handles_signals=interactive,
            )
        )
        reporter.tables(plan.tables)
        outcome = executor.execute(plan, run)
        if ended is not None:
            ended.append(outcome)
        outcome = replace(
            outcome,
            tables=(*plan.tables, *outcome.tables, *load(plan.task).summarize(outcome, checkout_folder(run))),
        )
    reporter.tables(outcome.tables[len(plan.tables) :])
    return outcome


def _settings(project: Project, *, runs_project_code: bool) -> RunSettings:
    """Return the settings that steps need; those of builds only if they are used."""
    from relnox.steps.run import RunSettings

    settings = RunSettings(
        passed=project.config.pass_env,
        limits=project.config.archives,
        folders=lambda: {package.name: package.folder for package in project.workspace.packages},
    )
    if not runs_project_code:
        return settings
    from relnox.indexes import targets
    from relnox.source import uv_settings

    return replace(
        settings,
        build_index=targets.build_simple_url(project.config),
        uv=tuple(uv_settings.read_installer_settings(project.root).items()),
    )


def _stage(  # noqa: PLR0913 - a run
    step: Stage, root: Path, reporter: Reporter, stack: ExitStack, *, rehearsal: bool, interactive: bool
) -> Outcome:
    """Observe, plan and run a task of a chain in a folder."""
    from relnox.commands.shared.project import open_project

    on_output = _output_callback(reporter, nested=True)
    project = replace(open_project(root), is_rehearsal=rehearsal, on_output=on_output)
    stack.enter_context(project)
    options, _ = resolve_options(step.task, dict(step.options), project)
    module = load(step.task)
    waited: list[Waiting] = []
    with waits.on_wait(_wait_callback(waited, reporter, nested=True)):
        snapshot = module.observe(options, project)
        plan = module.plan(snapshot, options)
        pending = _pending(module, snapshot, plan, options)
        outcome = _run(plan, project, reporter, pending, stack, nested=True, interactive=interactive)
    return replace(outcome, waits=tuple(waited))


def resolve_options(
    task: str,
    command_line: Mapping[str, Value],
    project: Project,
    defaults: Mapping[str, Value] = MappingProxyType({}),
) -> tuple[CommonOptions, dict[str, OptionValue]]:
    """Merge the options of a task from the command line, the environment and the project's settings."""
    table = TASKS[task].table if task in TASKS else ""
    in_file = getattr(project.config, table).options if table else {}
    return resolve(
        load(task).Options,
        command_line=command_line,
        environment=os.environ,
        file=in_file,
        table=table,
        defaults=defaults,
    )


def _pending(
    module: TaskModule[CommonOptions, object], snapshot: object, plan: Plan, options: CommonOptions
) -> Pending | None:
    """Return the record that a task writes before its first step, if it writes one."""
    pending: Callable[[object, Plan, CommonOptions], Pending | None] | None = getattr(module, "pending", None)
    return pending(snapshot, plan, options) if pending is not None else None


def _emitting(reporter: Reporter, *, nested: bool) -> Callable[[Event], None]:
    def emit(event: Event) -> None:
        reporter.event(event, nested=nested)

    return emit


def _output_callback(reporter: Reporter, *, nested: bool) -> Callable[[Step, str], None]:
    """Return a callback that shows the output of programs that run while a task is planned."""

    def on_output(step: Step, line: str) -> None:
        reporter.event(core.events.OutputLine(step, line), nested=nested)

    return on_output


def _wait_callback(waited: list[Waiting], reporter: Reporter, *, nested: bool) -> Callable[[Waiting], None]:
    """Return a callback that shows waits and collects them for the report."""

    def on_wait(waiting: Waiting) -> None:
        waited.append(waiting)
        reporter.event(waiting, nested=nested)

    return on_wait
