"""The tasks: a module or a package for each, with its options, its help, and how it plans.

`shared` has what several tasks read, check and plan.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from relnox.commands.options import COMMANDS as COMMANDS
from relnox.commands.options import TASKS as TASKS
from relnox.commands.options import Task as Task
from relnox.core.fixes import FrontEnd, TaskCommand
from relnox.core.text import suggest_name
from relnox.errors import Blocked

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable

    from relnox.core.planning.events import Outcome
    from relnox.core.planning.plan import Plan, Table
    from relnox.core.settings.options import CommonOptions as CommonOptions
    from relnox.core.settings.schema import Field
    from relnox.project import Project


class TaskModule(Protocol):
    """The module or package of a task; the docstring of the module is the help text of the task.

    It may also have `summarize(outcome, directory)`, which returns tables to show at the end of a run, and
    `document(options, project)`, which returns the JSON text for standard output, if an option requests it.
    """

    def plan(self, options: CommonOptions, project: Project) -> Plan:
        """Return what the task would do, without doing any of it; `options` has the class of the task's options.

        What prevents the task is in the problems of the plan.

        Raises:
            Problem: The project, git or an index cannot be read.
        """


SYNONYMS = {"build": "build-all", "verify": "verify-install"}
"""Maps other words for a task to its name; none of these tasks pushes or uploads anything."""

COMMAND_LINE = FrontEnd({name: TaskCommand(f"relnox {name}") for name in COMMANDS})
"""The front end `relnox NAME`, which is always available."""


def find_task(word: str, choices: Iterable[str] = COMMANDS) -> Task:
    """Return the task with this name (`build-all`), import name (`build_all`) or alias, if `choices` has its name.

    Raises:
        Blocked: There is none. The fix suggests a similar name, but never a task that pushes or uploads something.
    """
    spellings = {spelling: task for task in COMMANDS.values() for spelling in task.import_names}
    task = spellings.get(str(word).replace("-", "_"))
    names = list(choices)
    if task is not None and task.name in names:
        return task
    fix = suggest_name(str(word), names)
    if fix in {f"did you mean {task.name}?" for task in COMMANDS.values() if task.sends}:
        fix = f"choose one of {', '.join(names)}"
    raise Blocked("task-unknown", f"unknown task {word}", fix)


def import_task_module(name: str) -> TaskModule:
    """Import the module of the task with this name, such as `build-all`, and return it."""
    return cast("TaskModule", import_module(f"relnox.commands.{COMMANDS[name].import_name}"))


def summarize(outcome: Outcome, directory: Path) -> tuple[Table, ...]:
    """Return the tables that the task of an outcome shows after a run; none if its module has no `summarize`.

    `directory` is the checkout, or the temporary clone in which the task ran.
    """
    of_task: Callable[[Outcome, Path], tuple[Table, ...]] | None = getattr(
        import_task_module(outcome.plan.task), "summarize", None
    )
    return of_task(outcome, directory) if of_task is not None else ()


def read_help(name: str) -> tuple[str, str]:
    """Return the first line and the rest of a task's help, which is the docstring of its module.

    The docstring is read without importing the module, because lists of tasks need all of them.
    """
    file = Path(__file__).with_name(f"{COMMANDS[name].import_name}.py")
    if not file.exists():
        file = file.with_suffix("") / "__init__.py"
    text = file.read_text(encoding="utf-8")
    summary, _, rest = text.split('"""', 2)[1].strip().partition("\n")
    return summary, rest.strip()


def options_by_table(tables: Container[str] | None = None) -> dict[str, tuple[Field, ...]]:
    """Return the options whose defaults can be set in `[tool.relnox]`, by the name of the table for them.

    Several tasks may share a table. Only tables in `tables` are included; None includes all.
    """
    from relnox.core.settings.schema import fields_of

    fields: dict[str, tuple[Field, ...]] = {}
    for task in TASKS.values():
        if task.table and (tables is None or task.table in tables):
            fields[task.table] = (*fields.get(task.table, ()), *fields_of(task.options))
    return fields


def json_schema(tool_name: str = "relnox") -> dict[str, Any]:
    """Return the JSON schema of `[tool.relnox]`, with `tool_name` in its `$id`, for `validate_pyproject`."""
    from relnox.core.settings.config import config_table

    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "$id": f"https://relnox.invalid/schema/{tool_name}.json",
    } | config_table(options_by_table()).json_schema()
