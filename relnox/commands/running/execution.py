"""Running a prepared plan: its problems, its confirmation, its steps, and the tasks that are stages of it."""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, TextIO

from relnox import commands, core
from relnox.commands.running.preparation import (
    plan_task,
    report_visible_credentials,
    resolve_options,
    wait_callback,
)
from relnox.core.records import replace
from relnox.errors import Blocked, ExitCode
from relnox.reporters.streams import STDERR
from relnox.system import waits

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from relnox.commands.running.preparation import Preparation
    from relnox.commands.shared.project import Project
    from relnox.core.planning.events import Outcome
    from relnox.core.planning.plan import Plan
    from relnox.reporters import Reporter
    from relnox.steps.stages import Stage


def run_prepared(  # noqa: PLR0913 - a run
    preparation: Preparation,
    reporter: Reporter,
    end: ExitStack,
    *,
    nested: bool = False,
    outcomes: list[Outcome] | None = None,
    interactive: bool = True,
) -> Outcome:
    """Run a plan: check its problems, ask for confirmation, execute its steps, and show its tables.

    While steps are executed, a signal ends the run. Signals after the last step do not change the exit code. The
    signal handlers stay installed until the caller closes `end`, at the end of the task.

    Args:
        preparation: The plan and the project.
        reporter: Shows the progress.
        end: The stack to close at the end of the task.
        nested: Whether the plan is a stage of another task, such as `rehearse`.
        outcomes: Receives the outcome when the steps have ended.
        interactive: Whether to ask for confirmation and handle signals; False in the Python API.
    """
    plan = preparation.plan
    with waits.on_wait(wait_callback(preparation.waits, reporter, nested=nested)):
        if plan.problems:
            if not plan.steps:  # the tables are all that the task has to show
                reporter.tables(plan.tables)
            raise _combine_problems(plan)
        _ask_for_confirmation(plan, interactive=interactive)
        if plan.steps:
            outcome = _execute_plan(
                preparation,
                reporter,
                end,
                nested=nested,
                outcomes=[] if outcomes is None else outcomes,
                interactive=interactive,
            )
        else:
            reporter.event(core.events.RunStarted(plan), nested=nested)
            reporter.tables(plan.tables)
            outcome = unexecuted_outcome(plan)
    return replace(outcome, waits=tuple(preparation.waits))


def unexecuted_outcome(plan: Plan) -> Outcome:
    """Return the outcome of a plan whose steps were not executed; its problems determine the exit code."""
    exit_code = _combine_problems(plan).exit_code if plan.problems else ExitCode.DONE
    return core.events.Outcome(plan=plan, results=(), exit_code=exit_code, seconds=0.0, tables=plan.tables)


def _combine_problems(plan: Plan) -> Blocked:
    """Return one error that combines the problems of a plan and lists the files that are already public."""
    from relnox.reporters.text import continuation_lines, with_code

    if len(plan.problems) == 1:
        problem = plan.problems[0]
        error = Blocked(problem.code, problem.message, fix=problem.fix)
    else:
        lines = [
            line
            for problem in plan.problems
            for line in (
                *continuation_lines(f"- {with_code(problem.message, problem.code)}", "  "),
                *continuation_lines(f"fix: {problem.fix}", "    "),
            )
        ]
        heading = f"{plan.task} is blocked by {len(plan.problems)} problems"
        error = Blocked("several-problems", "\n".join([heading, *lines]))
    error.exit_code = ExitCode.worst([problem.exit_code for problem in plan.problems])
    return with_public_files(error, plan)


def _ask_for_confirmation(plan: Plan, *, interactive: bool = True) -> None:
    """Ask for confirmation on the terminal, if the plan needs it.

    Raises:
        Blocked: The user declined, or stdin or stderr is not a terminal.
    """
    if plan.consent is None:
        return
    if not (interactive and _is_terminal(sys.stdin) and STDERR.isatty()):
        message = f"confirmation needed, but stdin is not a terminal: {plan.consent}"
        raise with_public_files(Blocked("confirmation-needed", message, fix="pass --yes to confirm"), plan)
    STDERR.write_line(f"{plan.consent} [y/N] ", end="")
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


def _execute_plan(  # noqa: PLR0913 - as above
    preparation: Preparation,
    reporter: Reporter,
    end: ExitStack,
    *,
    nested: bool,
    outcomes: list[Outcome],
    interactive: bool,
) -> Outcome:
    """Execute the steps of a plan with credentials protected and the project locked, and show the tables."""
    from relnox import executor
    from relnox.commands.shared.opening import open_project
    from relnox.reporters import BestEffortReporter
    from relnox.source.file_locks import lock_checkout
    from relnox.steps.run import Run
    from relnox.steps.stages import StageRunner, checkout_directory
    from relnox.system.files import TemporaryDirectory

    plan, project = preparation.plan, preparation.project
    reporter = BestEffortReporter(reporter)
    end.enter_context(executor.signals.handle_signals(handled=interactive))
    with TemporaryDirectory() as scratch, ExitStack() as stack:
        runs_project_code = any(step.runs_project_code for step in plan.steps)
        if runs_project_code and not nested and not any(step.upload for step in plan.steps):
            report_visible_credentials(project, reporter)
        if any(step.exclusive for step in plan.steps):
            stack.enter_context(lock_checkout(project.private_directory))

        def run_stage(step: Stage, root: Path) -> Outcome:
            is_rehearsal = project.is_rehearsal or root != project.root
            opened = replace(open_project(root), is_rehearsal=is_rehearsal)
            options = resolve_options(step.task, dict(step.options), opened)
            prepared = plan_task(step.task, options, opened, reporter, stack, nested=True)
            return run_prepared(prepared, reporter, stack, nested=True, interactive=interactive)

        run = stack.enter_context(
            Run(
                plan=plan,
                root=project.root,
                scratch=scratch,
                private=project.private_directory,
                git=project.git,
                indexes=lambda: project.indexes,
                emit=partial(reporter.event, nested=nested),
                passed=project.config.pass_env,
                values=(
                    *([preparation.pending] if preparation.pending is not None else []),
                    *_settings_for_steps(project, runs_project_code=runs_project_code),
                    StageRunner(run_stage),
                ),
            )
        )
        reporter.tables(plan.tables)
        outcome = executor.execute(run, handles_signals=interactive)
        outcomes.append(outcome)
        tables = (*outcome.tables, *commands.summarize(outcome, checkout_directory(run)))
    reporter.tables(tables)
    return replace(outcome, tables=(*plan.tables, *tables))


def _settings_for_steps(project: Project, *, runs_project_code: bool) -> Iterator[object]:
    """Yield the project settings that steps need; installer settings only if a step runs project code."""
    from relnox.steps.export_commit import PackageDirectories

    yield project.config.archives
    yield PackageDirectories(lambda: {package.name: package.directory for package in project.workspace.packages})
    if runs_project_code:
        from relnox.indexes import targets
        from relnox.source import uv_settings
        from relnox.steps.build_environments import InstallerSettings

        yield InstallerSettings(
            only_index=targets.build_simple_url(project.config),
            uv=tuple(uv_settings.read_installer_settings(project.root, os.environ).items()),
        )
