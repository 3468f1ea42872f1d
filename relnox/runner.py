"""A task, from its options to its exit code: plan, confirm, execute, report."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from functools import cache, partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Self, TextIO

from relnox import commands, executor, reporters, run_files
from relnox.commands import COMMAND_LINE, TASKS, import_task_module
from relnox.commands.options import OPTIONS
from relnox.commands.shared.command_line_paths import relative_to_root
from relnox.commands.shared.project import Project, open_project
from relnox.core import fixes
from relnox.core.credential_variables import find_upload_credentials
from relnox.core.fixes import FrontEnd
from relnox.core.planning.events import Notice, Outcome, OutputLine, RunStarted, Waiting
from relnox.core.planning.plan import Plan, Table
from relnox.core.planning.step import Step
from relnox.core.records import replace
from relnox.core.release import publication
from relnox.core.settings.options import PATH, CommonOptions, resolve_option_values
from relnox.core.settings.schema import Value, fields_of
from relnox.core.text import join_names
from relnox.errors import ENVIRONMENT_ERRORS, Blocked, ExitCode, Failed, Problem, environment_error
from relnox.reporters import Reporter
from relnox.reporters.json import render, render_error
from relnox.reporters.streams import STDERR
from relnox.reporters.text import continuation_lines, with_code
from relnox.source import uv_settings
from relnox.source.file_locks import lock_checkout
from relnox.steps.build_environments import InstallerSettings
from relnox.steps.run import Run
from relnox.steps.stages import StageRunner, checkout_directory
from relnox.system import retries
from relnox.system.files import TemporaryDirectory, project_path
from relnox.system.secrets import mask_error

if TYPE_CHECKING:
    from relnox.steps.stages import Stage


def run_task(
    task: str,
    command_line: Mapping[str, Value],
    front_end: FrontEnd = COMMAND_LINE,
    *,
    defaults: Mapping[str, Value] = MappingProxyType({}),
) -> Outcome:
    """Run a task for a front end, report its progress, and return its outcome.

    If an error ends the run before its first step, it is the problem of the outcome's plan.

    Args:
        task: The name of the task.
        command_line: Options on the command line, by field name.
        front_end: How tasks are started, for the commands in fixes.
        defaults: Defaults of options that a noxfile or a tasks file sets, by field name.
    """
    convert = _command_converter(front_end, command_line)
    # Until the settings are read, the command line and the environment choose the reporter.
    reporter = reporters.choose(command_line.get("reporter"), os.environ, convert)
    report = command_line.get("report")
    planned: PlannedTask | None = None
    with ExitStack() as streams:
        streams.enter_context(run_files.keep_output_for(report, command_line.get("plan")))
        try:
            project = open_project(Path(str(command_line.get("project") or ".")))
            values = relative_to_root(OPTIONS[task], command_line, project.root)
            options = resolve_options(task, values, project, defaults)
            reporter = reporters.choose(options.reporter, os.environ, convert, quiet=options.quiet)
            reporter.verbose = options.verbose
            report = options.report
            streams.enter_context(run_files.keep_output_for(report, getattr(options, "json", False) and "-"))
            run_files.check_outputs(options)
            with plan_task(task, options, project, reporter) as planned:
                return _run_as_requested(planned, options)
        except BaseException as error:
            outcome = planned.outcome if planned is not None else None
            if outcome is not None and (outcome.publication or isinstance(error, KeyboardInterrupt)):
                _report_late_error(error, reporter)
                return outcome  # what is public decides the exit code
            failure = _as_relnox_error(error)
            if failure is None:
                mask_error(error)  # its traceback is printed, and must not show a secret
                raise
            return _outcome_of_error(failure, task, report, reporter)


def _command_converter(front_end: FrontEnd, command_line: Mapping[str, Value]) -> Callable[[str], str]:
    """Return a function that rewrites the `relnox` commands in a text for the front end."""
    directory = command_line.get("project")
    front_end = replace(front_end, options=("--project", str(directory)) if directory else ())
    return lambda text: fixes.show_commands(text, front_end)


def _run_as_requested(planned: PlannedTask, options: CommonOptions) -> Outcome:
    """Show or run a planned task, write the requested files, and return the outcome."""
    plan, reporter = planned.plan, planned.reporter
    try:
        if options.expect_plan is not None:
            run_files.check_expected_plan(options.expect_plan, plan)
        if options.plan is not None:
            run_files.write(options.plan, plan.to_json(), "plan")
    except Blocked as error:
        raise _with_public_files(error, plan) from error
    if options.dry_run:
        reporter.plan(plan)
        return unexecuted_outcome(plan)
    if planned.document is not None:
        run_files.write(run_files.STANDARD_OUTPUT, planned.document, "status")
    outcome = planned.run()
    _report_bug(outcome, reporter)
    if options.report is not None:
        try:
            run_files.write(options.report, render(outcome), "report")
        except Blocked as error:  # the exit code says how the run itself ended
            reporters.BestEffortReporter(reporter).error(error)
    return outcome


def resolve_options(
    task: str,
    command_line: Mapping[str, Value],
    project: Project,
    defaults: Mapping[str, Value] = MappingProxyType({}),
) -> CommonOptions:
    """Return the options of a task, from all places that can set them; values are by field name.

    Raises:
        Blocked: A value is invalid, or a path that the checkout sets leads out of it.
    """
    table = TASKS[task].table if task in TASKS else ""
    declaration = OPTIONS[task]
    options = resolve_option_values(
        declaration,
        command_line=command_line,
        environment=os.environ,
        file=getattr(project.config, table).options if table else {},
        defaults=defaults,
    )
    for field in fields_of(declaration):
        path = getattr(options, field.name)
        is_of_checkout = field.name not in {**command_line, **defaults} and field.environment not in os.environ
        # An absolute path was meant to be outside; a relative one may lead there by a link.
        if field.kind == PATH and path is not None and is_of_checkout and not Path(path).is_absolute():
            project_path(project.root, path)
    return options


def plan_task(  # noqa: PLR0913 - a run
    task: str,
    options: CommonOptions,
    project: Project,
    reporter: Reporter,
    *,
    nested: bool = False,
    interactive: bool = True,
) -> PlannedTask:
    """Read the state of the project and plan a task.

    Args:
        task: The name of the task.
        options: Its options.
        project: The project; closed with the planned task.
        reporter: Shows the progress.
        nested: Whether the task is a stage of another one, whose plan is never written to a file.
        interactive: Whether to ask for confirmation and to handle signals; False in the Python API.
    """
    waited: list[Waiting] = []

    def on_wait(waiting: Waiting) -> None:
        waited.append(waiting)
        reporter.event(waiting, nested=nested)

    def on_output(step: Step, line: str) -> None:
        reporter.event(OutputLine(step, line), nested=nested)

    if not nested:
        report_credentials = cache(partial(_report_visible_credentials, project, reporter))
        project = replace(project, before_tools=report_credentials, documents=run_files.paths(options))
    project = replace(project, on_output=on_output, remote_tags=options.remote_tags)
    module: Any = import_task_module(task)
    with ExitStack() as stack, retries.on_wait(on_wait):
        stack.enter_context(project)
        if hasattr(module, "observe"):
            snapshot = module.observe(options, project)
            plan = module.plan(snapshot, options)
        else:
            snapshot, plan = None, module.plan(options, project)
        planned = PlannedTask(
            plan if nested else replace(plan, commit=project.commit),
            project,
            reporter,
            nested=nested,
            interactive=interactive,
            waited=waited,
            on_wait=on_wait,
        )
        document = getattr(module, "document", None)
        if document is not None and getattr(options, "json", False):
            planned.document = document(snapshot, options)
        planned.closing.push(stack.pop_all())
    return planned


class PlannedTask:
    """A task that is planned, and can be run once.

    Attributes:
        plan: The plan.
        project: The project, open until the end of the `with` block.
        reporter: Shows the progress.
        document: The state of the project as JSON, if `--json` was given.
        outcome: The outcome as soon as all steps have ended, whatever fails after them; None before.
        closing: What is closed at the end of the `with` block.
    """

    document: str | None = None
    outcome: Outcome | None = None

    def __init__(  # noqa: PLR0913 - the parts of a run
        self,
        plan: Plan,
        project: Project,
        reporter: Reporter,
        *,
        nested: bool,
        interactive: bool,
        waited: list[Waiting],
        on_wait: Callable[[Waiting], None],
    ) -> None:
        self.plan = plan
        self.project = project
        self.reporter = reporter
        self.closing = ExitStack()
        self._nested = nested
        self._interactive = interactive
        self._waited = waited
        self._on_wait = on_wait
        self._handlers = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self._handlers:  # signals are handled until everything is closed
            self.closing.close()

    def run(self) -> Outcome:
        """Check the problems of the plan, ask for confirmation, execute the steps, and show the tables.

        While steps are executed, a signal ends the run. Signals after the last step do not change the exit code.

        Raises:
            Blocked: The plan has problems, or the user declined.
        """
        plan = self.plan
        with retries.on_wait(self._on_wait):
            if plan.problems:
                if not plan.steps:  # the tables are all that the task has to show
                    self.reporter.tables(plan.tables)
                raise _combine_problems(plan)
            _ask_for_confirmation(plan, interactive=self._interactive)
            if plan.steps:
                tables = self._execute()
            else:
                self.reporter.event(RunStarted(plan), nested=self._nested)
                self.reporter.tables(plan.tables)
                self.outcome, tables = unexecuted_outcome(plan), ()
        assert self.outcome is not None  # noqa: S101 - for the type checker
        self.outcome = replace(self.outcome, tables=(*plan.tables, *tables), waits=tuple(self._waited))
        return self.outcome

    def _execute(self) -> tuple[Table, ...]:
        """Execute the steps with the checkout locked, show the tables of their results, and return these."""
        plan, project = self.plan, self.project
        reporter = reporters.BestEffortReporter(self.reporter)
        self._handlers.enter_context(executor.signals.handle_signals(handled=self._interactive))
        with TemporaryDirectory() as scratch, ExitStack() as stack:
            runs_project_code = any(step.runs_project_code for step in plan.steps)
            if runs_project_code and not self._nested and not any(step.upload for step in plan.steps):
                _report_visible_credentials(project, reporter)
            if any(step.exclusive for step in plan.steps):
                stack.enter_context(lock_checkout(project.private_directory))
            run = stack.enter_context(
                Run(
                    plan=plan,
                    root=project.root,
                    scratch=scratch,
                    git=project.git,
                    indexes=lambda: project.indexes,
                    emit=partial(reporter.event, nested=self._nested),
                    passed=project.config.pass_env,
                    values=(
                        *_settings_for_steps(project, runs_project_code=runs_project_code),
                        StageRunner(partial(self._run_stage, reporter, stack)),
                    ),
                )
            )
            reporter.tables(plan.tables)
            self.outcome = executor.execute(run, handles_signals=self._interactive)
            tables = (*self.outcome.tables, *commands.summarize(self.outcome, checkout_directory(run)))
        reporter.tables(tables)
        return tables

    def _run_stage(self, reporter: Reporter, stack: ExitStack, step: Stage, root: Path) -> Outcome:
        """Plan and run the task of a stage, in the checkout or in a clone of it; closed with the whole run."""
        is_rehearsal = self.project.is_rehearsal or root != self.project.root
        opened = replace(open_project(root), is_rehearsal=is_rehearsal)
        options = resolve_options(step.task, dict(step.options), opened)
        planned = plan_task(step.task, options, opened, reporter, nested=True, interactive=self._interactive)
        return stack.enter_context(planned).run()


def unexecuted_outcome(plan: Plan) -> Outcome:
    """Return the outcome of a plan whose steps were not executed; its problems determine the exit code."""
    exit_code = _combine_problems(plan).exit_code if plan.problems else ExitCode.DONE
    return Outcome(plan=plan, results=(), exit_code=exit_code, seconds=0.0, tables=plan.tables)


def _combine_problems(plan: Plan) -> Blocked:
    """Return one error that combines the problems of a plan and lists the files that are already public."""
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
    return _with_public_files(error, plan)


def _ask_for_confirmation(plan: Plan, *, interactive: bool) -> None:
    """Ask for confirmation on the terminal, if the plan needs it.

    Raises:
        Blocked: The user declined, or stdin or stderr is not a terminal.
    """
    if plan.consent is None:
        return
    if not (interactive and _is_terminal(sys.stdin) and STDERR.isatty()):
        message = f"confirmation needed, but stdin is not a terminal: {plan.consent}"
        raise _with_public_files(Blocked("confirmation-needed", message, fix="pass --yes to confirm"), plan)
    STDERR.write_line(f"{plan.consent} [y/N] ", end="")
    try:
        answer = sys.stdin.readline().strip().lower()
    except UnicodeDecodeError:
        answer = ""
    if answer not in ("y", "yes"):
        raise _with_public_files(Blocked("aborted", "aborted by user; nothing was uploaded"), plan)


def _is_terminal(stream: TextIO | None) -> bool:
    try:
        return stream is not None and stream.isatty()
    except ValueError:  # the stream is closed
        return False


def _with_public_files(error: Blocked, plan: Plan) -> Blocked:
    """Return the error of a run that has uploaded nothing, with the files that an earlier run published added."""
    uploads = [step.upload for step in plan.steps if step.upload is not None]
    if uploads:
        names = [file.filename for _, file in uploads]
        publication.add_public_files(error, uploads[0][0], names, plan.public)
    return error


def _settings_for_steps(project: Project, *, runs_project_code: bool) -> Iterator[object]:
    """Yield the project settings that steps need; installer settings only if a step runs project code."""
    if runs_project_code:
        from relnox.indexes import targets  # with requests, which is slow to import

        yield InstallerSettings(
            only_index=targets.build_simple_url(project.config),
            uv=tuple(uv_settings.read_installer_settings(project.root, os.environ).items()),
        )


def _report_visible_credentials(project: Project, reporter: Reporter) -> None:
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
    reporter.event(Notice(message, fix), nested=False)


def _as_relnox_error(error: BaseException) -> Problem | None:
    """Return the error to report for what ended a run before its first step; None for a bug."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, KeyboardInterrupt):
        interrupted = Failed("interrupted", "interrupted; nothing was changed", fix="rerun the command")
        interrupted.exit_code = ExitCode.INTERRUPTED
        return interrupted
    return environment_error(error) if isinstance(error, ENVIRONMENT_ERRORS) else None


def _outcome_of_error(error: Problem, task: str, report: Value, reporter: Reporter) -> Outcome:
    """Show an error that ended a run before its first step, write the report, and return the outcome."""
    reporters.BestEffortReporter(reporter).error(error)
    if report:
        with contextlib.suppress(Blocked):
            run_files.write(str(report), render_error(task, error), "report")
    return unexecuted_outcome(Plan(task=task, problems=(error,)))


def _report_late_error(error: BaseException, reporter: Reporter) -> None:
    """Report an error after the last step, which does not change the exit code."""
    if isinstance(error, KeyboardInterrupt):
        return
    mask_error(error)
    if isinstance(error, Problem):
        failed: Problem = error
    else:
        why = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        message = f"relnox failed after the run had ended ({why})"
        failed = Failed("failed-after-publishing", message, fix="report the bug; a rerun uploads nothing twice")
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
