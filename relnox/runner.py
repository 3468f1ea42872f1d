"""A task, from its options to its exit code: plan, confirm, execute, report."""

from __future__ import annotations

import contextlib
import os
import posixpath
import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import cache, partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Self

from relnox import commands, executor, reporters, run_files
from relnox.commands import COMMAND_LINE, COMMANDS, import_task_module
from relnox.commands.shared import policies
from relnox.core import fixes
from relnox.core.credential_variables import find_upload_credential_variables
from relnox.core.fixes import FrontEnd
from relnox.core.planning.checklist import problems_of_checklist
from relnox.core.planning.events import Outcome, OutputLine, RunFinished, RunStarted, Waiting
from relnox.core.planning.plan import Plan, Table
from relnox.core.planning.step import Step
from relnox.core.records import replace
from relnox.core.release import publication
from relnox.core.settings.options import PATH, PATHS, CommonOptions, resolve_option_values
from relnox.core.settings.schema import Field, Value, fields_of
from relnox.core.text import join_names
from relnox.errors import Blocked, ExitCode, Failed, Problem, problem_of
from relnox.project import Project, open_project
from relnox.reporters import text
from relnox.reporters.streams import STDERR, STDIN, STDOUT
from relnox.run_files import lock_checkout
from relnox.source import uv_settings
from relnox.steps.build_environments import InstallerSettings
from relnox.steps.run import Run
from relnox.steps.stages import StageCallbacks, directory_of_stages
from relnox.system import retries
from relnox.system.files import project_path, temporary_directory
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

    This also writes the report and the outputs for CI. Options on the `command_line`, and `defaults` that a
    noxfile or a tasks file sets, are by field name. `front_end` decides how fixes write commands, for example with
    `nox`. If an error ends the task before its first step, it is the only problem of the outcome's plan. A bug is
    raised; but if something may be public, the outcome has its traceback.
    """
    directory = command_line.get("project")
    front_end = replace(front_end, options=("--project", str(directory)) if directory else ())
    convert = partial(fixes.adapt_commands, front_end=front_end)
    # Until the settings are read, the command line and the environment choose the reporter.
    reporter = reporters.choose_reporter(command_line.get("reporter"), os.environ, convert)
    report = command_line.get("report")
    planned: PlannedTask | None = None
    with ExitStack() as streams:
        streams.enter_context(run_files.reserve_standard_output(report, command_line.get("plan")))
        try:
            project = _open_project(command_line)
            options = _options_from_command_line(task, command_line, project, defaults)
            reporter = reporters.choose_reporter(options.reporter, os.environ, convert, quiet=options.quiet)
            reporter.verbose = options.verbose
            report = options.report
            json_path = run_files.STANDARD_OUTPUT if getattr(options, "json", False) else None
            streams.enter_context(run_files.reserve_standard_output(report, json_path))
            run_files.check_output_paths(options)
            with PlannedTask(task, options, project, reporter) as planned:
                outcome = planned.run()
                _report_bug(outcome, reporter)
                if outcome.exit_code is ExitCode.DONE and not options.dry_run:
                    _write_outputs_for_ci(outcome, options, project, reporter)
                    reporter.show_next_command(outcome.plan.next_command)
                if not options.dry_run:
                    try:
                        _write_report(report, outcome, convert)
                    except Blocked as error:  # the exit code says how the run itself ended
                        reporter.show_error(error)
                return outcome
        except BaseException as error:  # signals and bugs too: they do not hide what is public
            ended = planned.outcome if planned is not None else None
            if ended is not None and (ended.publication or isinstance(error, KeyboardInterrupt)):
                _report_late_error(error, reporter)
                return ended  # what is public decides the exit code
            if (problem := problem_of(error)) is None:
                mask_error(error)  # its traceback is printed, and must not show a secret
                raise
            reporter.show_error(problem)
            blocked = Plan(task=task, problems=(problem,))
            outcome = Outcome(plan=blocked, results=(), exit_code=problem.exit_code, seconds=0.0)
            with contextlib.suppress(Blocked):
                _write_report(report, outcome, convert)
            return outcome


def _open_project(command_line: Mapping[str, Value]) -> Project:
    """Return the project in the directory of `--project`, or with `--manifest` the one that this file describes.

    `command_line` has the values of options by field name. Without these two options, it is the project that the
    working directory is in.

    Raises:
        Blocked: `--manifest` is combined with `--project` or `--dist`, or the project is not valid.
    """
    if (manifest := command_line.get("manifest")) is None:
        return open_project(Path(str(command_line.get("project") or ".")), commands.options_by_table)
    if conflicts := [f"--{name}" for name in ("project", "dist") if command_line.get(name)]:
        message = f"--manifest names the directory of the files, and so does {join_names(conflicts)}"
        raise Blocked("options-conflict", message, fix=f"remove {join_names(conflicts)}")
    return policies.open_project_of_manifest(Path(str(manifest)), commands.options_by_table)


def _options_from_command_line(
    task: str, command_line: Mapping[str, Value], project: Project, defaults: Mapping[str, Value]
) -> CommonOptions:
    """Return the options of a task; paths on the command line are relative to the working directory.

    With `--manifest`, `dist` is the directory of that file. `defaults` are those of a noxfile or tasks file.
    """
    values = {
        name: _relative_to_root(value, project.root) if name in _path_options(task) else value
        for name, value in command_line.items()
    }
    if manifest := values.get("manifest"):
        values["dist"] = posixpath.dirname(str(manifest)) or "."
    return resolve_options(task, values, project, defaults)


def _write_report(path: Value, outcome: Outcome, convert: Callable[[str], str]) -> None:
    """Write the report to a file; do nothing without a path. `convert` adapts commands in it to the front end."""
    if path:
        run_files.write_document(str(path), reporters.render(outcome, str(path), convert), "report")


def _write_outputs_for_ci(
    outcome: Outcome, options: CommonOptions, project: Project, reporter: reporters.PlainReporter
) -> None:
    """Write what a run released to files for the next CI jobs.

    Show the names of the variables that the dotenv file cannot have; an error is shown, too, and not raised.
    """
    try:
        refused = run_files.write_ci_outputs(outcome, options, project)
    except Blocked as error:
        reporter.show_error(error)
        return
    if refused:
        why = "GitLab reads 5 kB at most, and neither blanks nor $ in values"
        left_out = Problem("", f"left out of the file of --outputs: {join_names(refused)} ({why})", level="note")
        reporter.show_event(left_out, nested=False)


def resolve_options(
    task: str,
    command_line: Mapping[str, Value],
    project: Project,
    defaults: Mapping[str, Value] = MappingProxyType({}),
) -> CommonOptions:
    """Return the options of a task, each from the first source that sets it; values are by field name.

    The sources are the command line, the environment, the settings, and the `defaults` of a noxfile or tasks file.
    Paths are relative to the root.

    Raises:
        Blocked: A value is invalid, or a relative path in the settings leads out of the checkout.
    """
    declaration, table = COMMANDS[task].options, COMMANDS[task].table
    settings = dict(getattr(project.config, table.replace("-", "_")).options) if table else {}
    for field in fields_of(declaration):
        other_table, _, key = field.setting.partition(".")
        if key and key in (shared := getattr(project.config, other_table).options):
            settings.setdefault(field.name, shared[key])
    options = resolve_option_values(
        declaration,
        command_line=command_line,
        environment=_environment_for_options(declaration),
        file=settings,
        defaults=defaults,
    )
    for name, field in _path_options(task).items():
        path = getattr(options, name)
        is_of_checkout = name not in {**command_line, **defaults} and field.environment_variable not in os.environ
        # An absolute path was meant to be outside; a relative one may lead there by a link.
        if is_of_checkout and isinstance(path, str) and not Path(path).is_absolute():
            project_path(project.root, path)
    return options


def _environment_for_options(declaration: type[CommonOptions]) -> Mapping[str, str]:
    """Return the environment, without variables for options that only other tasks read from there.

    Without this, such a variable would be an error for a task (`declaration`) that takes the option on the command
    line only.
    """
    fields = [field for task in COMMANDS.values() for field in fields_of(task.options)]
    settable = {field.environment_variable for field in fields if "environment" in field.sources}
    others = {field.environment_variable for field in fields_of(declaration) if "environment" not in field.sources}
    return {name: value for name, value in os.environ.items() if name not in settable & others}


def _path_options(task: str) -> dict[str, Field]:
    """Return the fields of a task's options that are paths, by name."""
    return {field.name: field for field in fields_of(COMMANDS[task].options) if field.kind in (PATH, PATHS)}


def _relative_to_root(value: Any, root: Path) -> Any:
    """Return a path, or a tuple of paths, relative to the root instead of the working directory.

    A path outside of the root becomes absolute, unless the root is the working directory. An absolute path stays
    as it is.
    """
    if isinstance(value, tuple):
        return tuple(_relative_to_root(item, root) for item in value)
    if Path(value).is_absolute() or os.path.samefile(root, os.curdir):  # noqa: PTH121 - as below
        return value
    path = Path(os.path.abspath(value))  # noqa: PTH100 - links are kept
    return (path.relative_to(root) if path.is_relative_to(root) else path).as_posix()


class PlannedTask:
    """A task that is planned on creation, and can be run once, in a `with` block that closes what it opened.

    Args:
        project: The project; closed with the planned task.
        nested: Whether the task is a stage of another one.
        interactive: Whether to ask for confirmation and to handle signals; False in the Python API.

    Attributes:
        plan: The plan, which may have problems.
        outcome: The outcome as soon as all steps have ended, whatever fails after them; None before.
        closing: What is closed at the end of the `with` block.
    """

    def __init__(  # noqa: PLR0913 - a run
        self,
        task: str,
        options: CommonOptions,
        project: Project,
        reporter: reporters.PlainReporter,
        *,
        nested: bool = False,
        interactive: bool = True,
    ) -> None:
        self.outcome: Outcome | None = None
        self.closing = ExitStack()
        self._options = options
        self._reporter = reporter
        self._nested = nested
        self._interactive = interactive
        self._waits: list[Waiting] = []
        self._handlers = ExitStack()
        self._document: str | None = None
        module: Any = import_task_module(task)
        if not nested:
            report_credentials = cache(partial(_report_visible_credentials, project, reporter))
            project = replace(
                project, before_tools=report_credentials, documents=run_files.document_paths(options)
            )
        self._project = project = replace(project, on_output=self._on_output, remote_tags=options.remote_tags)
        with ExitStack() as stack, retries.use_wait_listener(self._on_wait):
            stack.enter_context(project)
            plan = module.plan(options, project)
            if getattr(options, "json", False):
                self._document = module.document(options, project)
            self.plan: Plan = plan if nested else replace(plan, commit=project.commit)
            self.closing.push(stack.pop_all())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self._handlers:  # signals are handled until everything is closed
            self.closing.close()

    def _on_wait(self, waiting: Waiting) -> None:
        """Show a wait, such as before a retry, and record it for the outcome."""
        self._waits.append(waiting)
        self._reporter.show_event(waiting, nested=self._nested)

    def _on_output(self, step: Step, line: str) -> None:
        self._reporter.show_event(OutputLine(step, line), nested=self._nested)

    def run(self) -> Outcome:
        """Check the plan, ask for confirmation, execute the steps, show the tables, and return the outcome.

        The file of `--plan` is written first. With `--dry-run`, the plan is shown, and nothing is executed. With
        `--json`, the JSON document of the task is printed. A signal ends the run while steps are executed; after
        the last one, it does not change the exit code.

        Raises:
            Blocked: The plan has problems, except those of a checklist, or is not the one of `--expect-plan`; the
                user declined; or a file cannot be written.
        """
        plan, options = self.plan, self._options
        try:
            if options.expect_plan is not None:
                run_files.check_expected_plan(options.expect_plan, plan)
            if options.plan is not None:
                run_files.write_document(options.plan, plan.to_json(), "plan")
            if options.dry_run:
                self._reporter.show_plan(plan)
                return self._outcome_without_steps()
            if self._document is not None and self._interactive:
                run_files.write_document(run_files.STANDARD_OUTPUT, self._document, "status")
            if plan.problems and not plan.items:
                if not plan.steps:  # the tables are all that the task has to show
                    self._reporter.show_tables(plan.tables)
                self._reporter.annotate_problems(plan.problems)
                raise text.combine_problems(plan)
            if plan.consent is not None:
                _ask_for_confirmation(plan.consent, interactive=self._interactive)
        except Blocked as error:
            raise self._add_public_files(error) from None
        tables = self._execute_or_show()
        outcome = self.outcome or self._outcome_without_steps()
        self.outcome = replace(outcome, tables=(*plan.tables, *tables), waits=tuple(self._waits))
        return self.outcome

    def _execute_or_show(self) -> tuple[Table, ...]:
        """Execute the steps and return the tables of their results; without steps, show those of the plan."""
        plan, reporter = self.plan, self._reporter
        for problem in problems_of_checklist(plan.items):
            reporter.show_event(problem, nested=self._nested)
        if plan.steps:
            with retries.use_wait_listener(self._on_wait):
                return self._execute()
        reporter.show_event(RunStarted(plan), nested=self._nested)
        if plan.items:
            reporter.show_event(RunFinished(self._outcome_without_steps()), nested=self._nested)
        reporter.show_tables(plan.tables)
        return ()

    def _outcome_without_steps(self) -> Outcome:
        """Return the outcome of a plan that is not executed: `DONE`, or the exit code of its problems."""
        plan = self.plan
        exit_code = ExitCode.DONE
        if plan.problems:
            exit_code = self._add_public_files(text.combine_problems(plan)).exit_code
        return Outcome(plan=plan, results=(), exit_code=exit_code, seconds=0.0, tables=plan.tables)

    def _add_public_files(self, error: Blocked) -> Blocked:
        """Add the files that an earlier run published to an error that blocks the plan, and return that error."""
        if uploads := [step.upload for step in self.plan.steps if step.upload is not None]:
            names = [file.filename for _, file in uploads]
            publication.add_public_files_to_error(error, uploads[0][0], names, self.plan.public)
        return error

    def _execute(self) -> tuple[Table, ...]:
        """Execute the steps, set `outcome`, show the tables of the plan and of the results, and return the latter.

        The checkout is locked if a step changes it.
        """
        plan, project, reporter = self.plan, self._project, self._reporter
        signals = self._handlers.enter_context(executor.signals.handle_signals(enabled=self._interactive))
        runs_project_code = any(step.runs_project_code for step in plan.steps)
        with STDOUT.ignoring_errors(), temporary_directory() as scratch, ExitStack() as stack:
            if runs_project_code and not any(step.upload for step in plan.steps):
                project.before_tools()
            if any(step.exclusive for step in plan.steps):
                stack.enter_context(lock_checkout(project.persistent_directory))
            confirm = partial(_ask_for_confirmation, interactive=self._interactive)
            stages = StageCallbacks(partial(self._run_stage, stack), partial(self._plan_stage, stack), confirm)
            values: list[object] = [stages]
            if runs_project_code:
                values.append(_read_installer_settings(project))
            run = stack.enter_context(
                Run(
                    plan=plan,
                    root=project.root,
                    scratch=scratch,
                    git=project.git,
                    indexes=lambda: project.indexes,
                    emit=partial(reporter.show_event, nested=self._nested),
                    passed=project.config.pass_env,
                    values=values,
                )
            )
            reporter.show_tables(plan.tables)
            self.outcome = executor.execute(run, signals)
            tables = (*self.outcome.tables, *commands.summarize(self.outcome, directory_of_stages(run)))
            stack.close()
            reporter.show_tables(tables)
        return tables

    def _run_stage(self, stack: ExitStack, step: Stage, root: Path) -> Outcome:
        return self._open_planned_task(stack, step, root).run()

    def _plan_stage(self, stack: ExitStack, step: Stage, root: Path) -> Plan:
        """Return the plan of a stage; raise `Blocked` if it has problems."""
        planned = self._open_planned_task(stack, step, root)
        if planned.plan.problems:
            raise planned._add_public_files(text.combine_problems(planned.plan))  # noqa: SLF001 - of this class
        return planned.plan

    def _open_planned_task(self, stack: ExitStack, step: Stage, root: Path) -> PlannedTask:
        """Plan the task of a stage in `root`, the checkout or a clone; `stack` closes it after the whole run."""
        is_rehearsal = self._project.is_rehearsal or root != self._project.root
        project = replace(open_project(root, commands.options_by_table), is_rehearsal=is_rehearsal)
        options = resolve_options(step.task, dict(step.options), project)
        planned = PlannedTask(
            step.task, options, project, self._reporter, nested=True, interactive=self._interactive
        )
        return stack.enter_context(planned)


def _ask_for_confirmation(question: str, *, interactive: bool) -> None:
    """Ask on the terminal; raise `Blocked` if the user declines, or cannot be asked.

    The user cannot be asked without a terminal, or if the task is not `interactive`.
    """
    if not (interactive and STDIN.isatty() and STDERR.isatty()):
        message = f"confirmation needed, but stdin is not a terminal: {question}"
        raise Blocked("confirmation-needed", message, "pass --yes")
    STDERR.write_line(f"{question} [y/N] ", end="")
    try:
        answer = sys.stdin.readline().strip().lower()
    except UnicodeDecodeError:
        answer = ""
    if answer not in ("y", "yes"):
        raise Blocked("aborted", "aborted by user; nothing was uploaded")


def _read_installer_settings(project: Project) -> InstallerSettings:
    """Return the settings for installers in build environments, from `trusted-index` and the settings of uv."""
    from relnox.indexes import targets  # with requests, which is slow to import

    return InstallerSettings(
        only_index=targets.build_simple_url(project.config),
        uv=tuple(uv_settings.read_installer_settings(project.root, os.environ).items()),
    )


def _report_visible_credentials(project: Project, reporter: reporters.PlainReporter) -> None:
    """Show a warning if the environment of this task, which runs project code, has upload credentials.

    Raises:
        Blocked: It has some, and the setting `on-visible-credentials` is `refuse`.
    """
    if names := find_upload_credential_variables(os.environ):
        problem = Blocked(
            "credentials-exposed",
            f"{join_names(sorted(names))}: set while this task runs code of the project (which does not get "
            "upload credentials, but may find them)",
            f"unset {' '.join(sorted(names))}; in CI, set them only in the step that publishes",
        )
        if project.config.on_visible_credentials == "refuse":
            raise problem
        reporter.show_event(problem.but(level="warning"), nested=False)


def _report_late_error(error: BaseException, reporter: reporters.PlainReporter) -> None:
    """Show an error that was raised after the last step, and does not change the exit code.

    `KeyboardInterrupt` is not shown.
    """
    if isinstance(error, KeyboardInterrupt):
        return
    mask_error(error)
    message = f"relnox failed after the run had ended ({type(error).__name__}: {error})"
    failed = Failed("failed-after-publishing", message, "report the bug; a rerun uploads nothing twice")
    with contextlib.suppress(Exception):  # the reporter may have failed
        reporter.show_error(problem_of(error) or failed)


def _report_bug(outcome: Outcome, reporter: reporters.PlainReporter) -> None:
    """Report the bug in relnox that ended a run, if any, with its traceback in verbose mode."""
    if outcome.traceback is None:
        return
    last = outcome.traceback.strip().splitlines()[-1]
    detail = f":\n{outcome.traceback.strip()}" if reporter.verbose else f" ({last})"
    fix = "rerun the command, and report the bug with the output of --verbose or --report FILE"
    with contextlib.suppress(Exception):  # the reporter may have the bug
        reporter.show_error(Failed("internal-error", f"internal error{detail}", fix))
