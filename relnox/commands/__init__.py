"""The tasks: a module or a package for each, with its options, its help, and how it plans.

`shared` is what several tasks observe and check; `running` runs a task from its options to the exit code.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, cast

from relnox.core.planning.fixes import FrontEnd, Start

if TYPE_CHECKING:
    from collections.abc import Container

    from relnox.commands.shared.project import Project
    from relnox.core.planning.events import Outcome
    from relnox.core.planning.plan import Plan, Table
    from relnox.core.settings.options import CommonOptions
    from relnox.core.settings.schema import Field

__all__ = ["COMMAND_LINE", "TASKS", "Task", "TaskModule", "help_of", "json_schema", "load", "options_by_table"]


class TaskModule(Protocol):
    """The module of a task; its docstring is the help text."""

    Options: type[CommonOptions]

    def observe(self, options: Any, project: Project) -> Any:
        """Collect everything that the plan depends on."""

    def plan(self, snapshot: Any, options: Any) -> Plan:
        """Make the plan: a pure function of its arguments."""

    def summarize(self, outcome: Outcome, folder: Path) -> tuple[Table, ...]:
        """Return tables to show at the end of a run."""


class Task(NamedTuple):
    """A task, as front ends see it.

    Attributes:
        name: Its name: `nox -s NAME`, `invoke NAME`, `relnox NAME`.
        attribute: Its import name in `relnox.sessions` and `relnox.tasks`.
        module: Its module in this package.
        table: The table of its options in `[tool.relnox]`; empty for none.
    """

    name: str
    attribute: str
    module: str
    table: str


TASKS = {
    task.name: task
    for task in (
        Task(name="status", attribute="status", module="status", table="status"),
        Task(name="bump", attribute="version_bump", module="bump", table="bump"),
        Task(name="build-all", attribute="build_all", module="build_all", table="build"),
        Task(name="collect", attribute="collect", module="collect", table="collect"),
        Task(name="publish-test", attribute="testpypi", module="publish_test", table="publish"),
        Task(name="publish", attribute="publish", module="publish", table="publish"),
        Task(name="verify-install", attribute="verify_install", module="verify_install", table="verify"),
        Task(name="rehearse", attribute="rehearse", module="rehearse", table="rehearse"),
    )
}
"""All tasks by name, in the order of a release."""

COMMAND_LINE = FrontEnd({name: Start(f"relnox {name}") for name in (*TASKS, "init")})
"""The front end that is always available."""


def load(name: str) -> TaskModule:
    """Import the module of a task."""
    module = TASKS[name].module if name in TASKS else name
    return cast("TaskModule", import_module(f"relnox.commands.{module}"))


def help_of(name: str) -> tuple[str, str]:
    """Return the help of a task, the docstring of its module: the first line, and the rest.

    The docstring is read without importing the module, because listing tasks needs all of them.
    """
    module = TASKS[name].module if name in TASKS else name
    file = Path(__file__).with_name(f"{module}.py")
    if not file.exists():
        file = file.with_suffix("") / "__init__.py"
    text = file.read_text(encoding="utf-8")
    summary, _, rest = text.split('"""', 2)[1].strip().partition("\n")
    return summary, rest.strip()


def options_by_table(tables: Container[str] | None = None) -> dict[str, tuple[Field, ...]]:
    """Return the options of tasks by the table of `[tool.relnox]` that has their defaults.

    Args:
        tables: The tables of interest, so that other tasks are not imported; None for all.
    """
    from relnox.core.settings.schema import fields_of

    fields: dict[str, tuple[Field, ...]] = {}
    for task in TASKS.values():
        if tables is None or task.table in tables:
            fields[task.table] = (*fields.get(task.table, ()), *fields_of(load(task.name).Options))
    return fields


def json_schema(tool_name: str = "relnox") -> dict[str, Any]:
    """Return the JSON schema of `[tool.relnox]`, for the entry point `validate_pyproject.tool_schema`."""
    from relnox.core.settings.config import config_table
    from relnox.core.settings.json_schema import schema_of

    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "$id": f"https://relnox.invalid/schema/{tool_name}.json",
    } | schema_of(config_table(options_by_table()))
