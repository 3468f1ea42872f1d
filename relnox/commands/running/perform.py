"""Running a task, from its command line to its exit code, for all front ends."""

from __future__ import annotations

import contextlib
import os
from contextlib import ExitStack
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from relnox import core
from relnox.commands import COMMAND_LINE
from relnox.commands.options import OPTIONS
from relnox.commands.running import expected_plan, reports
from relnox.commands.running.execution import run_prepared, unexecuted_outcome, with_public_files
from relnox.commands.running.preparation import plan_task, resolve_options
from relnox.commands.shared.command_line_paths import relative_to_root
from relnox.commands.shared.opening import open_project
from relnox.core.records import replace
from relnox.errors import ENVIRONMENT_ERRORS, Blocked, ExitCode, Failed, RelnoxError, environment_error
from relnox.system.secrets import mask_error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from relnox.commands.shared.project import Project
    from relnox.core.fixes import FrontEnd
    from relnox.core.planning.events import Outcome
    from relnox.core.settings.options import CommonOptions
    from relnox.core.settings.schema import Value
    from relnox.reporters import Reporter


def run_task(
    task: str,
    command_line: Mapping[str, Value],
    front_end: FrontEnd | None = None,
    *,
    defaults: Mapping[str, Value] = MappingProxyType({}),
) -> Outcome:
    """Run a task, report its progress, and return its outcome.

    If an error ends the run before its first step, it is the problem of the outcome's plan.

    Args:
        task: The name of the task.
        command_line: Options on the command line, by field name.
        front_end: How tasks are started, for the commands in fixes.
        defaults: Defaults of options that a noxfile or a tasks file sets, by field name.
    """
    from relnox import reporters

    # Until the settings are read, the command line and the environment choose the reporter.
    convert = _command_converter(front_end or COMMAND_LINE, command_line)
    reporter = reporters.choose(command_line.get("reporter"), os.environ, convert)
    report = command_line.get("report")
    ended: list[Outcome] = []
    with ExitStack() as streams:
        streams.enter_context(reports.keep_output_for(report, command_line.get("plan")))
        try:
            project = open_project(Path(str(command_line.get("project") or ".")))
            values = relative_to_root(OPTIONS[task], command_line, project.root)
            options = resolve_options(task, values, project, defaults)
            reporter = reporters.choose(options.reporter, os.environ, convert, quiet=options.quiet)
            reporter.verbose = options.verbose
            report = options.report
            streams.enter_context(reports.keep_output_for(report, getattr(options, "json", False) and "-"))
            with _keep_exit_code(ended, reporter):
                _plan_or_run(task, options, project, reporter, outcomes=ended)
            return ended[-1]
        except RelnoxError as error:
            return _outcome_of_error(error, task, report, reporter)
        except ENVIRONMENT_ERRORS as error:
            if (failure := environment_error(error)) is None:
                raise
            return _outcome_of_error(failure, task, report, reporter)
        except KeyboardInterrupt:
            return _outcome_of_interruption(ended, task, reporter)
        except Exception as bug:  # any: its traceback is printed, and must not show a secret
            mask_error(bug)
            raise


def _command_converter(front_end: FrontEnd, command_line: Mapping[str, Value]) -> Callable[[str], str]:
    """Return a function that rewrites the `relnox` commands in a text for the front end."""
    directory = command_line.get("project")
    front_end = replace(front_end, options=("--project", str(directory)) if directory else ())

    return lambda text: core.fixes.show_commands(text, front_end)


def _plan_or_run(
    task: str,
    options: CommonOptions,
    project: Project,
    reporter: Reporter,
    *,
    outcomes: list[Outcome],
) -> None:
    """Plan or run a task as requested, write the requested files, and add the outcome to `outcomes`."""
    from relnox.reporters import BestEffortReporter

    reports.check_distinct(options)
    if options.report is not None:
        reports.check(options.report, "report")
    with ExitStack() as end, ExitStack() as stack:
        preparation = plan_task(task, options, project, reporter, stack)
        plan = preparation.plan
        try:
            if options.expect_plan is not None:
                expected_plan.check(options.expect_plan, plan)
            if options.plan is not None:
                reports.write(options.plan, plan.to_json(), "plan")
        except Blocked as error:
            raise with_public_files(error, plan) from error
        if options.dry_run:
            reporter.plan(plan)
            outcomes.append(unexecuted_outcome(plan))
            return
        if preparation.document is not None:
            reports.write(reports.STANDARD_OUTPUT, preparation.document, "status")
        outcome = run_prepared(preparation, reporter, end, outcomes=outcomes)
        outcomes.append(outcome)
        _report_bug(outcome, reporter)
        if options.report is not None:
            from relnox.reporters.json import render

            try:
                reports.write(options.report, render(outcome), "report")
            except Blocked as error:  # the exit code says how the run itself ended
                BestEffortReporter(reporter).error(error)


def _outcome_of_error(error: RelnoxError, task: str, report: Value, reporter: Reporter) -> Outcome:
    """Show an error that ended a run before its first step, write the report, and return the outcome."""
    from relnox.reporters import BestEffortReporter

    BestEffortReporter(reporter).error(error)
    if report:
        from relnox.reporters.json import render_error

        with contextlib.suppress(Blocked):
            reports.write(str(report), render_error(task, error), "report")
    return _failed_outcome(task, error, error.exit_code)


def _outcome_of_interruption(ended: list[Outcome], task: str, reporter: Reporter) -> Outcome:
    """Return the outcome of a run that Ctrl-C interrupted before its first step or after its last step."""
    if ended:
        return ended[-1]
    error = Failed("interrupted", "interrupted; nothing was changed", fix="rerun the command")
    reporter.error(error)
    return _failed_outcome(task, error, ExitCode.INTERRUPTED)


def _failed_outcome(task: str, error: RelnoxError, exit_code: ExitCode) -> Outcome:
    """Return the outcome of a run without steps, with the error as the problem of its plan."""
    problem = core.problems.Problem.from_error(error, exit_code)
    return unexecuted_outcome(core.plan.Plan(task=task, problems=(problem,)))


@contextlib.contextmanager
def _keep_exit_code(ended: list[Outcome], reporter: Reporter) -> Iterator[None]:
    """Report errors after a release was published (`ended` has its outcome), without changing its exit code."""
    try:
        yield
    except BaseException as error:  # an interruption too: the exit code says what is public
        if not ended or not ended[-1].publication:
            raise
        mask_error(error)
        if isinstance(error, RelnoxError):
            failed: RelnoxError = error
        else:
            why = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
            message = f"relnox failed after the run had ended ({why})"
            failed = Failed(
                "failed-after-publishing", message, fix="report the bug; a rerun uploads nothing twice"
            )
        with contextlib.suppress(Exception):  # the reporter may have failed
            reporter.error(failed)


def _report_bug(outcome: Outcome, reporter: Reporter) -> None:
    """Report a bug that ended a run, with its traceback in verbose mode."""
    if outcome.traceback is None:
        return
    last = outcome.traceback.strip().splitlines()[-1]
    detail = f":\n{outcome.traceback.strip()}" if reporter.verbose else f" ({last})"
    fix = "rerun the command, and report the bug with the output of --verbose or --report FILE"
    with contextlib.suppress(Exception):  # the reporter may have the bug
        reporter.error(Failed("internal-error", f"internal error{detail}", fix=fix))
