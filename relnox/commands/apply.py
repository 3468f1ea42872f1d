"""Run a plan that `--plan FILE` wrote before, here or on another machine.

The task is planned again with the options in the file. If the new plan is another one, nothing runs, and the
difference is shown; otherwise the file is the confirmation. Rerunning the command finishes an interrupted run.
"""

from __future__ import annotations

import io
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

from relnox import core, steps
from relnox.commands import TASKS, import_task_module
from relnox.commands.shared.command_line_paths import relative_to_working_directory
from relnox.core.records import replace
from relnox.core.settings.options import DOCUMENT, CommonOptions, option
from relnox.core.settings.schema import fields_of
from relnox.errors import Blocked

if TYPE_CHECKING:
    from collections.abc import Iterator

    from relnox.commands.shared.project import Project
    from relnox.core.planning.plan import Inputs, Plan

_MAX_SIZE = 64 << 20
"""The maximum size of a plan file, in bytes."""


class Options(CommonOptions):
    """Options of `apply`."""

    positional = ("file",)

    file: str | None = option(
        None, "The file that --plan wrote; - is standard input.", kind=DOCUMENT, metavar="PLAN", anywhere=False
    )


class Snapshot(NamedTuple):
    """An approved plan, and the state that its task is planned from again.

    Attributes:
        file: The path of the plan file.
        approved_plan: The plan in the file.
        inputs: The options, commit and date that the new plan is made from.
        options: The options of the task.
        current: The snapshot of the task.
        words: The options of the plan that are not the default, as on the command line.
        is_finished: Whether the checkout has all tags of the plan, so the plan already ran, here or elsewhere.
    """

    file: str
    approved_plan: Plan
    inputs: Inputs
    options: CommonOptions
    current: Any
    words: tuple[str, ...]
    is_finished: bool


def observe(options: Options, project: Project) -> Snapshot:
    """Read the plan file, and everything that the task in it depends on."""
    file, approved = _read_plan_file(options)
    inputs = approved.inputs
    assert inputs is not None  # noqa: S101 - or else the file is not a valid plan
    task_options = _options_from_plan(file, approved.task, inputs, options)
    if inputs.date is not None:
        try:
            project.set_now(inputs.date)
        except ValueError as error:
            raise Blocked(
                "plan-file-invalid",
                f"{file} cannot be applied: its date is {inputs.date!r}",
                fix="write it again with this version of relnox: relnox TASK --dry-run --plan FILE",
            ) from error
    current = import_task_module(approved.task).observe(task_options, project)
    return Snapshot(
        file=file,
        approved_plan=approved,
        inputs=core.plan.Inputs(
            options=core.options.option_fields(task_options),
            commit=project.commit,
            date=inputs.date,
        ),
        options=task_options,
        current=current,
        words=tuple(_command_line(task_options, project.root)),
        is_finished=_is_finished(approved, project),
    )


def plan(snapshot: Snapshot, options: Options) -> Plan:
    """Plan the task again, with a problem if the new plan differs from the approved one."""
    del options
    approved = snapshot.approved_plan
    current = replace(
        import_task_module(approved.task).plan(snapshot.current, snapshot.options), inputs=snapshot.inputs
    )
    if not current.steps and not current.problems and snapshot.is_finished:
        reason = f"already done: the checkout has all tags of {snapshot.file}"
        return replace(current, resumes=True, notes=(reason, *current.notes))
    lines = core.comparison.plan_differences(approved, current)
    if not lines:
        return current
    problem = core.problems.Problem(
        code="plan-outdated",
        message="\n".join([f"{snapshot.file} no longer matches the state of the project", *lines]),
        fix="plan again: "
        + core.fixes.task_command(approved.task, *snapshot.words, "--dry-run", "--plan", snapshot.file),
    )
    return replace(current, problems=(problem, *current.problems))


def pending(snapshot: Snapshot, planned: Plan, options: Options) -> Any:
    """Return the record that the task writes before the first step, such as a `PendingBump`, or None."""
    del options
    task_pending = getattr(import_task_module(snapshot.approved_plan.task), "pending", None)
    return task_pending(snapshot.current, planned, snapshot.options) if task_pending is not None else None


def _read_plan_file(options: Options) -> tuple[str, Plan]:
    """Return the path of the plan file and the plan in it.

    Raises:
        Blocked: No file is given, or it cannot be read or is not a valid plan.
    """
    if options.file is None:
        raise Blocked("plan-file-missing", "apply requires a plan file", fix="relnox apply FILE")
    name = "standard input" if options.file == "-" else options.file
    try:
        with nullcontext(_standard_input()) if options.file == "-" else Path(options.file).open("rb") as file:
            data = file.read(_MAX_SIZE + 1)
        text = data[:_MAX_SIZE].decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise Blocked(
            "plan-file-missing",
            f"{name} cannot be read: {reason}",
            fix="write it: relnox TASK --dry-run --plan FILE",
        ) from error
    try:
        if len(data) > _MAX_SIZE:
            raise ValueError(f"it is larger than {_MAX_SIZE >> 20} MiB")  # noqa: TRY301 - one class, see below
        if not text.strip():
            raise ValueError("the file is empty")  # noqa: TRY301 - one class, see below
        approved = core.plan.Plan.from_json(text, steps.step_classes())
        if approved.task not in TASKS or approved.inputs is None:
            raise ValueError(f"unknown task {approved.task!r}")  # noqa: TRY301 - one class for all invalid files
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise Blocked(
            "plan-file-invalid",
            f"{name} cannot be applied: {error}",
            fix="write it again with this version of relnox: relnox TASK --dry-run --plan FILE",
        ) from error
    return options.file, approved


def _standard_input() -> BinaryIO:
    """Return standard input, which stays open; in a notebook, its text."""
    buffer: BinaryIO | None = getattr(sys.stdin, "buffer", None)
    return buffer if buffer is not None else io.BytesIO(sys.stdin.read().encode())


def _options_from_plan(file: str, task: str, inputs: Inputs, options: Options) -> CommonOptions:
    """Return the task's own options from the plan file, with the common options from the command line."""
    declaration = import_task_module(task).Options
    recorded_options = dict(inputs.options)
    common = {field.name for field in fields_of(CommonOptions)}
    own = {field.name: field for field in fields_of(declaration) if field.name not in common}
    if recorded_options.keys() != own.keys():
        names = ", ".join(sorted(recorded_options.keys() ^ own.keys()))
        raise Blocked(
            "plan-file-invalid",
            f"{file} was written by another version of relnox (options: {names})",
            fix="write it again with this version of relnox: relnox TASK --dry-run --plan FILE",
        )
    for name, value in recorded_options.items():
        if value is not None:
            own[name].kind.check(list(value) if isinstance(value, tuple) else value, f"{file}: {name}")
    values: dict[str, Any] = {**recorded_options, **{name: getattr(options, name) for name in common}}
    return declaration(**values)


def _command_line(options: CommonOptions, root: Path) -> Iterator[str]:
    """Yield the options of a task that are not the default, as words of a command line."""
    declaration = type(options)
    defaults = {field.name: field.default for field in fields_of(declaration)}
    changed = {name: value for name, value in core.options.option_fields(options) if value != defaults[name]}
    for name, value in relative_to_working_directory(declaration, changed, root).items():
        yield from core.fixes.option_words(name, value)


def _is_finished(approved_plan: Plan, project: Project) -> bool:
    """Return whether all tags of the plan exist on the commit that they belong on."""
    tags = [tag.name for step in approved_plan.steps if isinstance(step, steps.CreateTags) for tag in step.tags]
    state, git = project.state, project.git
    if state is None or git is None:
        return False
    has_development = any(isinstance(step, steps.CommitDevelopment) for step in approved_plan.steps)
    tagged_commit = git.parent_commit() if has_development else state.head
    return bool(tags) and all(state.tags.get(tag) == tagged_commit for tag in tags)
