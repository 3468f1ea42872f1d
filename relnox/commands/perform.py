"""A task from what was typed to an exit code: the one way that all doors take."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from relnox import core, exposure
from relnox.commands import TASKS, load
from relnox.core.options import resolve
from relnox.core.records import replace
from relnox.core.secrets import mask_error, masked
from relnox.errors import ExitCode, Failed, Refused, RelnoxError, failure_of_the_machine
from relnox.reporters.streams import STDERR

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from relnox.commands.project import Project
    from relnox.core.events import Event, Outcome, Waiting
    from relnox.core.options import CommonOptions, Given, Value
    from relnox.core.plan import Plan
    from relnox.core.steps import Stage
    from relnox.reporters import Reporter

__all__ = ["perform"]

_RUNS_FOREIGN_CODE = (
    *(core.steps.ProvideEnvironment, core.steps.Build, core.steps.BuildAgain, core.steps.BuildWheels),
    *(core.steps.RunTests, core.steps.VerifyInstall, core.steps.Stage),
)
"""Steps that run code of the project, of its packages, or of what these require."""


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

    exposure.hide_environment()
    # Until the settings are read, what was typed and the environment choose how things are told.
    reporter = reporters.choose(command_line.get("reporter"), os.environ)
    report = command_line.get("report")
    ended: list[Outcome] = []
    try:
        project = open_project(Path(str(command_line.get("project") or ".")))
        options, given = _options(task, command_line, project)
        reporter = reporters.choose(options.reporter, os.environ)
        reporter.verbose = options.verbose
        report = options.report
        with _what_is_public_counts(ended, reporter):
            _perform(task, options, given, project, reporter, ended=ended)
        return ended[-1].exit_code
    except RelnoxError as error:
        return _refused(error, task, report, reporter)
    except OSError as error:
        if (failed := failure_of_the_machine(error)) is None:
            raise
        return _refused(failed, task, report, reporter)
    except KeyboardInterrupt:
        if ended:  # it came after the last step
            return ended[-1].exit_code
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


@contextlib.contextmanager
def _what_is_public_counts(ended: list[Outcome], reporter: Reporter) -> Iterator[None]:
    """Tell what fails after a release was sent, and keep the exit code that says what is public.

    Args:
        ended: Has the outcome as soon as there is one.
        reporter: Is told.
    """
    try:
        yield
    except BaseException as error:
        if not ended or not ended[-1].publication:
            raise
        mask_error(error)
        if isinstance(error, RelnoxError):
            failed: RelnoxError = error
        else:
            why = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
            failed = Failed(f"the run had ended, and then failed ({why})", hint="what it said before is so")
        with contextlib.suppress(Exception):
            reporter.error(failed)


def _tell_fault(outcome: Outcome, reporter: Reporter) -> None:
    """A bug that ended a run: after what is public was told, and with all of it where that was asked for."""
    if outcome.fault is None:
        return
    last = outcome.fault.strip().splitlines()[-1]
    shown = f":\n{outcome.fault.strip()}" if reporter.verbose else f" ({last})"
    hint = "rerun the command; please report it with what --verbose prints or --report FILE writes"
    with contextlib.suppress(Exception):
        reporter.error(Failed(f"relnox failed because of a bug{shown}", hint=hint))


def _perform(  # noqa: PLR0913 - a run
    task: str,
    options: CommonOptions,
    given: dict[str, Given],
    project: Project,
    reporter: Reporter,
    *,
    ended: list[Outcome],
) -> None:
    from relnox.reporters.steadfast import Steadfast

    if options.report is not None:
        _check_file(options.report, "report")
    waited: list[Waiting] = []
    with ExitStack() as end, ExitStack() as stack:
        protect = cache(lambda: _protect(project, reporter, stack))
        project = stack.enter_context(replace(project, before_tools=protect))
        stack.enter_context(core.waits.told_to(_hearing(waited, reporter, nested=False)))
        module = load(task)
        snapshot = module.observe(options, project)
        plan = module.plan(snapshot, options)
        if getattr(options, "explain", False):
            plan = replace(plan, tables=(*plan.tables, _explained(given)))
        if options.plan is not None:
            try:
                _write(options.plan, plan.to_json(), "plan")
            except Refused as error:
                raise _with_public_files(error, plan) from error
        if options.dry_run:
            reporter.plan(plan)
            ended.append(_not_run(plan, _blocked(plan).exit_code if plan.refusals else ExitCode.DONE))
            return
        outcome = _run(plan, project, reporter, _pending(module, snapshot, plan, options), end, ended=ended)
        outcome = replace(outcome, waits=tuple(waited))
        ended.append(outcome)
        _tell_fault(outcome, reporter)
        if options.report is not None:
            from relnox.reporters.json import render

            try:
                _write(options.report, render(outcome), "report")
            except Refused as error:  # what was done is done, and the exit code tells that
                Steadfast(reporter).error(error)


def _not_run(plan: Plan, exit_code: ExitCode) -> Outcome:
    from relnox.core.events import Outcome

    return Outcome(plan=plan, results=(), exit_code=exit_code, seconds=0.0, tables=plan.tables)


def _run(  # noqa: PLR0913 - a run
    plan: Plan,
    project: Project,
    reporter: Reporter,
    pending: Any,
    end: ExitStack,
    *,
    nested: bool = False,
    ended: list[Outcome] | None = None,
) -> Outcome:
    """Run a plan: after the refusals and the question, before the table at the end.

    From the question on a signal ends the run between two of its steps, or in one; what comes later finds nothing
    left to end, and changes the exit code no more. That lasts until `end` is closed.

    Args:
        plan: What is done.
        project: Where.
        reporter: Is told.
        pending: What is written down before the first step.
        end: Closed when the task is over.
        nested: Whether it is a stage of a chain.
        ended: Gets the outcome before anything else can fail.
    """
    from relnox import executor
    from relnox.executor.run import Run
    from relnox.executor.scratch import ScratchFolder
    from relnox.reporters.steadfast import Steadfast
    from relnox.source.lock import alone

    _refuse(plan)
    _ask(plan)
    if not plan.steps:
        reporter.event(core.events.RunStarted(plan), nested=nested)
        reporter.tables(plan.tables)
        return _not_run(plan, ExitCode.DONE)
    reporter = Steadfast(reporter)
    steps = core.steps
    in_git = steps.EditFiles | steps.CreateTags | steps.TakeBack | steps.Export
    in_output = steps.CleanFolder | steps.Build | steps.BuildWheels | steps.Collect
    changes = any(isinstance(step, in_git | in_output) for step in plan.steps)
    end.enter_context(executor.signals.watching())
    build_index = None
    with ScratchFolder() as scratch, ExitStack() as stack:
        if any(isinstance(step, _RUNS_FOREIGN_CODE) for step in plan.steps):
            from relnox.indexes import targets

            build_index = targets.build_simple_url(project.config)
            if not nested:
                _protect(project, reporter, stack)
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
                build_index=build_index,
                passed=project.config.pass_env,
                limits=project.config.archives,
            )
        )
        reporter.tables(plan.tables)
        outcome = executor.execute(plan, run)
        if ended is not None:
            ended.append(outcome)
        outcome = replace(
            outcome,
            tables=(*plan.tables, *load(plan.task).conclude(outcome, run.clone or project.root)),
        )
    reporter.tables(outcome.tables[len(plan.tables) :])
    return outcome


def _protect(project: Project, reporter: Reporter, stack: ExitStack) -> None:
    """Before foreign code runs: keep it out of this process, and tell which credentials it could read elsewhere.

    Raises:
        Refused: It could, and the settings say that this stops the run.
    """
    stack.enter_context(exposure.unreadable_memory())
    if not (found := exposure.exposures()):
        return
    listed = "\n".join(f"{', '.join(each.names)}: {each.where} of {each.process}" for each in found)
    message = f"upload credentials can be read by the code that this run executes:\n{listed}"
    hint = "set them for the publishing job or step alone, and build and verify in another"
    if project.config.on_visible_credentials == "refuse":
        raise Refused(message, hint=hint)
    reporter.event(core.events.Notice(message, hint), nested=False)


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
        outcome = _run(plan, project, reporter, _pending(module, snapshot, plan, options), stack, nested=True)
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
    if plan.refusals:
        raise _blocked(plan)


def _blocked(plan: Plan) -> Refused:
    """All refusals of a plan as one error, with what is public already."""
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
    return _with_public_files(error, plan)


def _ask(plan: Plan) -> None:
    if plan.consent is None:
        return
    if not (_is_terminal(sys.stdin) and STDERR.isatty()):
        error = Refused(f"nobody is there to be asked: {plan.consent}", hint="add --yes where this is meant")
        raise _with_public_files(error, plan)
    STDERR.line(f"{plan.consent} [y/N] ", end="")
    try:
        answer = sys.stdin.readline().strip().lower()
    except UnicodeDecodeError:
        answer = ""
    if answer not in ("y", "yes"):
        raise _with_public_files(Refused("not agreed: nothing was sent", hint="nothing was changed"), plan)


def _with_public_files(error: Refused, plan: Plan) -> Refused:
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
        raise _unwritable(path, what, error.strerror) from error


def _check_file(path: str, what: str) -> None:
    """Refuse a file that cannot be written, before anything is done that it would tell of.

    Raises:
        Refused: It is a folder, its folder is missing, or permissions are.
    """
    try:
        at = Path(path)
        target = at if at.exists() else at.parent
        if at.is_dir() or not at.parent.is_dir() or not os.access(target, os.W_OK):
            code = errno.EISDIR if at.is_dir() else errno.EACCES if at.parent.is_dir() else errno.ENOENT
            raise OSError(code, os.strerror(code))  # noqa: TRY301 - as writing would
    except OSError as error:
        raise _unwritable(path, what, error.strerror) from error


def _unwritable(path: str, what: str, why: str | None) -> Refused:
    return Refused(f"the {what} cannot be written to {path}: {why}", hint="name another file")
