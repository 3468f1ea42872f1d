"""The Python API: what the front ends do, as values.

Nothing is printed, no question is asked and no signal handler is installed. What would be an error message of a
front end is an exception with a stable code (`relnox.errors`).

    from relnox import Workspace

    workspace = Workspace.open()
    plan = workspace.plan("bump", part="minor", commit=True, tag=True)
    print(plan.to_json())
    outcome = plan.run(on_event=print)
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from relnox.errors import Blocked, Problem
from relnox.reporters.text import PlainReporter

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from os import PathLike
    from typing import Self

    from packaging.version import Version

    from relnox.core.bump.release_history import ReleaseHistory
    from relnox.core.packages import Package
    from relnox.core.planning.events import Event, Outcome
    from relnox.core.planning.plan import Plan, Table
    from relnox.core.planning.step import Step
    from relnox.core.settings.schema import Value
    from relnox.project import Project
    from relnox.runner import PlannedTask
    from relnox.system.run_scope import RunScope

_COMMAND_LINE_ONLY = {
    "project": "open a workspace for that project",
    "plan": "use TaskPlan.to_json()",
    "expect_plan": "compare TaskPlan.digest",
    "report": "use the outcome that run returns, or on_event",
}
"""Maps options that the API does not have to the fix of their error."""


class Workspace:
    """The packages of a project, and the tasks that release them; `Workspace.open` returns one.

    Properties are read on first use and cached; each plan reads the project again.
    """

    def __init__(self, project: Project) -> None:
        self._project = project

    @classmethod
    def open(cls, directory: str | PathLike[str] = ".") -> Workspace:
        """Open the project that a directory is in.

        Its root is the nearest directory, from there upwards, whose pyproject.toml has `[tool.relnox]` or defines
        a uv workspace, else the nearest one with a pyproject.toml, else the top of the git checkout.

        Raises:
            Blocked: The directory is not in a project, or the settings of the project are invalid.
        """
        from relnox.commands import options_by_table
        from relnox.project import open_project

        return cls(open_project(Path(directory), options_by_table))

    @property
    def root(self) -> Path:
        """The project's directory; paths in packages and plans are relative to it."""
        return self._project.root

    @property
    def packages(self) -> tuple[Package, ...]:
        """The packages in release order: each one after those that it needs."""
        return self._project.select(())

    @property
    def versions(self) -> Mapping[str, Version | None]:
        """The version of each package, by name; None if only its build backend can compute it."""
        from relnox.core.versions.version_locations import parse_source_version

        return {
            package.name: parse_source_version(package.source) if package.source.is_in_file else None
            for package in self.packages
        }

    @property
    def history(self) -> Mapping[str, ReleaseHistory]:
        """The last tag of each package and the commits since then, by package name; empty outside git.

        It is also empty if the repository has no commits. Commits that only start a development version are left
        out.
        """
        return self._project.history

    def plan(self, task: str, /, **options: Value) -> TaskPlan:
        """Plan a task, such as `build-all`, without changing anything.

        Its options have the names of the command line: `part="minor"`, `dry_run=True`. What blocks the task raises
        nothing here: it is in `TaskPlan.problems`.

        Raises:
            Problem: The task or an option is unknown, a value is invalid, or the project, git or an index cannot
                be read.
        """
        from relnox import arguments, runner
        from relnox.commands import find_task, options_by_table
        from relnox.project import open_project
        from relnox.system import run_scope

        for name, fix in _COMMAND_LINE_ONLY.items():
            if name in options:
                raise Blocked("option-unknown", f"{name} is not an option of the Python API", fix=fix)
        scope = run_scope.RunScope()
        with run_scope.enter_scope(scope):
            listener = _Listener()
            project = open_project(self.root, options_by_table)
            name = find_task(task).name
            resolved = runner.resolve_options(name, arguments.check_values(name, options), project)
            planned = runner.PlannedTask(name, resolved, project, listener, interactive=False)
            return TaskPlan(planned, listener, scope)

    def run(self, task: str, /, *, on_event: Callable[[Event], None] | None = None, **options: Value) -> Outcome:
        """Plan a task with its options and run it to its end, or to what stops it.

        Steps that fail are part of the outcome and raise nothing. `on_event` is called with each event as it
        happens, from one thread at a time.

        Raises:
            Problem: The task or an option is unknown, a value is invalid, the plan has problems, or it needs
                confirmation (`yes=True`).
        """
        with self.plan(task, **options) as plan:
            return plan.run(on_event)


class TaskPlan:
    """Everything that a task will do; nothing has been changed yet.

    It can be run once. Planning may start the embedded index, a package index on this machine; `run`, `close` and
    the end of a `with` block stop it.

    Attributes:
        value: The plan itself: immutable, comparable, and equal for equal inputs.
        steps: What will be done, in this order.
        problems: What blocks the plan: a plan with problems can be read but not run.
        notes: What the user should know before it runs.
        digest: SHA-256 (hex) of the task, the commit and the steps.
    """

    def __init__(self, planned: PlannedTask, listener: _Listener, scope: RunScope) -> None:
        plan = planned.plan
        self.value: Plan = plan
        self.task: str = plan.task
        self.steps: tuple[Step, ...] = plan.steps
        self.problems: tuple[Problem, ...] = plan.problems
        self.notes: tuple[str, ...] = plan.notes
        self.digest: str = plan.digest
        self._planned = planned
        self._listener = listener
        self._scope = scope
        self._is_over = False

    def to_json(self) -> str:
        """Return the plan as JSON text, as the option `--plan FILE` of the command line writes it."""
        return self.value.to_json()

    def run(self, on_event: Callable[[Event], None] | None = None) -> Outcome:
        """Run the plan and return its outcome; steps that fail are part of it, and raise nothing.

        `on_event` is called with each event as it happens. If the task was planned with `dry_run=True`, nothing
        runs, and the outcome has no results.

        Raises:
            Blocked: The plan has problems, needs confirmation (`yes=True`), or was run or closed before.
        """
        from relnox.system import run_scope

        if self._is_over:
            raise Blocked(
                "plan-differs",
                "a plan can be run only once, and not after it was closed",
                fix="create a new plan with Workspace.plan",
            )
        self._is_over = True
        self._listener.on_event = on_event
        with run_scope.enter_scope(self._scope), self._planned:
            return self._planned.run()

    def close(self) -> None:
        """Stop the index on this machine that planning may have started; a closed plan cannot be run."""
        self._is_over = True
        self._planned.closing.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def run(
    task: str,
    /,
    *,
    directory: str | PathLike[str] = ".",
    on_event: Callable[[Event], None] | None = None,
    **options: Value,
) -> Outcome:
    """Plan and run a task of the project that `directory` is in, and return the outcome, also if steps failed.

    `options` have the names of the command line, such as `dry_run=True`; `on_event` is called with each event.

    Raises:
        Problem: There is no project, the task or an option is invalid, the plan has problems, or it needs
            confirmation (`yes=True`).
    """
    return Workspace.open(directory).run(task, on_event=on_event, **options)


class _Listener(PlainReporter):
    """A reporter that shows nothing, and passes events to the callback `on_event` if it is set."""

    verbose = True
    on_event: Callable[[Event], None] | None = None

    def show_event(self, event: Event, *, nested: bool) -> None:
        del nested
        if self.on_event is not None:
            self.on_event(event)

    def show_plan(self, plan: Plan) -> None:
        pass

    def show_tables(self, tables: Sequence[Table]) -> None:
        pass
