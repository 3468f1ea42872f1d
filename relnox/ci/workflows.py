"""Workflow files of GitHub Actions as data, in which each value knows its line.

All scalars are texts, as they are written: `on` is not a Boolean, and `3.10` is not a number.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import yaml

from relnox.core.records import Record
from relnox.errors import Blocked, Level, Problem

IDENTITY = "id-token: write"
"""The permission of jobs that publish by Trusted Publishing."""
_MAX_SIZE = 1 << 20
"""The maximum size of a workflow file, in bytes; GitHub accepts half of it."""


class Text(str):
    """A scalar of a YAML file; `line` is that of its first character, or of its first line if it is a block."""

    __slots__ = ("line",)
    line: int


class Items(list[Any]):
    """A list of a YAML file; `line` is the line of its first item."""

    line: int


class Table(dict[str, Any]):
    """A mapping of a YAML file; `line` is the line of its first key, `lines` has that of each key."""

    line: int
    lines: dict[str, int]


def decode_utf8(content: bytes, name: str) -> str:
    """Return the text of a file, without a byte order mark; raise `Blocked`, with `name`, if it is not UTF-8."""
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = 1 + content.count(b"\n", 0, error.start)
        raise _invalid_file_error(name, line, f"it is not UTF-8 ({error.reason})") from None


def parse_yaml(content: bytes, name: str) -> Any:
    """Return the content of a YAML file as `Table`, `Items` and `Text`; an empty `Table` if it is empty.

    Raises:
        Blocked: The file (`name`) is not UTF-8 or not valid YAML, or too large or too deeply nested.
    """
    if len(content) > _MAX_SIZE:
        raise _invalid_file_error(name, 1, f"it has more than {_MAX_SIZE >> 20} MiB")
    text = decode_utf8(content, name)
    try:
        node = yaml.compose(text, Loader=yaml.BaseLoader)
        return _node_to_table_or_text(node, {}) if node is not None else _empty_table(1)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        reason, line = str(error.problem or error.context), mark.line + 1 if mark is not None else 1
    except (yaml.YAMLError, ValueError) as error:
        reason, line = " ".join(str(error).split()), 1
    except RecursionError:
        reason, line = "it is nested too deeply, or contains itself", 1
    raise _invalid_file_error(name, line, f"it is not valid YAML ({reason})")


def parse_mapping(content: bytes, name: str) -> Table:
    """Return the content of a YAML file (`name`) as `parse_yaml` does; raise `Blocked` if it is not a mapping."""
    table = parse_yaml(content, name)
    if not isinstance(table, Table):
        raise _invalid_file_error(name, 1, "it is not a mapping")
    return table


def _invalid_file_error(name: str, line: int, message: str) -> Blocked:
    """Return the error that a workflow file is invalid at a line (from 1); `message` says why."""
    return Blocked("project-file-invalid", message, fix=f"correct line {line} of {name}", file=f"{name}:{line}")


def _empty_table(line: int) -> Table:
    """Return a table without keys that is at a line (from 1) of its file."""
    table = Table()
    table.line, table.lines = line, {}
    return table


def _node_to_table_or_text(node: yaml.Node, converted: dict[int, Any]) -> Any:
    """Return a node as `Table`, `Items` or `Text`; `converted` has results by `id`, since aliases repeat nodes."""
    if id(node) in converted:
        return converted[id(node)]
    line = node.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        table = _empty_table(line)
        for key, value in node.value:
            table[str(key.value)] = _node_to_table_or_text(value, converted)
            table.lines[str(key.value)] = key.start_mark.line + 1
        converted[id(node)] = table
    elif isinstance(node, yaml.SequenceNode):
        items = Items(_node_to_table_or_text(item, converted) for item in node.value)
        items.line = line
        converted[id(node)] = items
    else:
        text = Text(node.value)
        text.line = line + (isinstance(node, yaml.ScalarNode) and node.style in ("|", ">"))
        converted[id(node)] = text
    return converted[id(node)]


def _as_table(value: Any) -> Table:
    """Return a mapping as it is; for a text or a list of texts, a table that maps these to empty tables.

    So `on: push` is the same as `on: {push: {}}`. Any other value gives an empty table.
    """
    if isinstance(value, Table):
        return value
    table = _empty_table(getattr(value, "line", 1))
    for key in value if isinstance(value, Items) else [value] if value else ():
        if isinstance(key, Text):
            table[key], table.lines[key] = _empty_table(key.line), key.line
    return table


class Step(Record):
    """A step of a job; `table` is its mapping in the workflow file."""

    table: Table

    @property
    def line(self) -> int:
        """Its first line in the file."""
        return self.table.line

    @property
    def action(self) -> str:
        """The action that it uses, without the version; empty if it runs a script."""
        return str(self.table.get("uses", "")).partition("@")[0]

    @property
    def inputs(self) -> Table:
        """The inputs of the action; empty if there are none."""
        return _as_table(self.table.get("with"))

    def input(self, name: str, default: str = "") -> str:
        """Return an input of the action, or else `default`. `name` has dashes; the file may have underscores."""
        value = self.inputs.get(name, self.inputs.get(name.replace("-", "_"), default))
        return str(value)

    @cached_property
    def commands(self) -> tuple[tuple[int, str], ...]:
        """The line numbers and texts of the script's commands; continued lines are joined, comments left out."""
        script = self.table.get("run", "")
        commands: list[tuple[int, str]] = []
        continued = False
        for number, line in enumerate(str(script).split("\n"), getattr(script, "line", 0)):
            text = line.strip()
            if not continued and text and not text.startswith("#"):
                commands.append((number, text))
            elif continued:
                commands[-1] = (commands[-1][0], f"{commands[-1][1].removesuffix(chr(92)).rstrip()} {text}")
            continued = text.endswith("\\") and (continued or not text.startswith("#"))
        return tuple(commands)


class Job(Record):
    """A job of a workflow file; `name` is its key there, and `table` its mapping."""

    workflow: Workflow
    name: str
    table: Table

    @property
    def line(self) -> int:
        """The line of its name in the file."""
        return int(self.workflow.jobs_table.lines[self.name])

    @cached_property
    def steps(self) -> tuple[Step, ...]:
        """Its steps; none if it calls another workflow."""
        steps = self.table.get("steps")
        return tuple(Step(step) for step in steps if isinstance(step, Table)) if isinstance(steps, Items) else ()

    @property
    def permissions(self) -> Mapping[str, str] | None:
        """Maps permissions of its token to levels; None if the file sets none, so that the repository decides.

        A job without permissions of its own has those of the workflow. `write-all` is given as `id-token` and
        `contents`, which releases need, both with `write`; `read-all` as an empty mapping.
        """
        own = self.table.get("permissions", self.workflow.table.get("permissions"))
        if isinstance(own, Text):
            return {"id-token": "write", "contents": "write"} if own == "write-all" else {}
        return own if isinstance(own, Table) else None

    @property
    def environment(self) -> str:
        """The name of its environment, or an empty string."""
        value = self.table.get("environment", "")
        return str(value.get("name", "") if isinstance(value, Table) else value)

    @property
    def has_identity(self) -> bool:
        """Whether its permissions let it request an identity token (`id-token: write`)."""
        return (self.permissions or {}).get("id-token") == "write"


class Workflow(Record):
    """A workflow file; for the pipeline file of GitLab, only these fields and `problem` are used.

    Attributes:
        file: Its path relative to the root of the repository.
        table: Its content.
    """

    file: str
    table: Table

    def problem(self, line: int, message: str, fix: str, *, level: Level = "error") -> Problem:
        """Return a problem with the code `workflow-unsafe` for a line of the file."""
        return Problem("workflow-unsafe", message, fix, level=level, file=f"{self.file}:{line}")

    @property
    def triggers(self) -> Table:
        """Maps the events that start it to their filters, which may be empty; empty if the file has no `on`."""
        return _as_table(self.table.get("on"))

    @property
    def jobs_table(self) -> Table:
        """The jobs by name, as the file has them; empty if it has none."""
        return _as_table(self.table.get("jobs"))

    @cached_property
    def jobs(self) -> tuple[Job, ...]:
        """All jobs, including those that call another workflow."""
        return tuple(Job(self, name, job) for name, job in self.jobs_table.items() if isinstance(job, Table))


def parse_workflow(file: str, content: bytes) -> Workflow:
    """Return a workflow file as data; raise `Blocked` if it is not a mapping in valid YAML."""
    return Workflow(file, parse_mapping(content, file))
