"""Options of tasks: a class per task, whose attributes are fields (`schema`).

The command line, nox's positional arguments, invoke's flags, environment variables and keys of `[tool.relnox]` are
generated from this declaration. The precedence is default < `defaults` of
a noxfile or tasks file < pyproject.toml < environment < command line.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from relnox.core.records import Record
from relnox.core.settings import rules
from relnox.core.settings.kinds import Text
from relnox.core.settings.schema import Field, Settings, fields_of, kind_of
from relnox.errors import Blocked

if TYPE_CHECKING:
    from collections.abc import Mapping

    from relnox.core.settings.kinds import Kind
    from relnox.core.settings.schema import Source, Value

DOCUMENT = Text(rule=rules.document)
"""The path of a document that is written or read."""


class OptionValue(Record):
    """A value, and a description of where it was set."""

    value: Value
    origin: str


def option(  # noqa: PLR0913 - a declaration is read by its keywords
    default: Value,
    help: str,  # noqa: A002 - as in argparse and invoke
    *,
    kind: Kind | None = None,
    choices: tuple[str, ...] = (),
    metavar: str = "",
    short: str = "",
    anywhere: bool = True,
    in_file: bool = True,
) -> Any:
    """Declare an option; its kind is that of the default, a string for None.

    Args:
        default: The default.
        help: One sentence.
        kind: Its kind, if the default does not tell.
        choices: The valid strings.
        metavar: The placeholder for its value in help texts.
        short: A short flag, such as `-n`.
        anywhere: Whether a file and the environment may set it. Options that choose a target or confirm an
            upload are set on the command line only.
        in_file: Whether a file may set it as well as the environment; not for a value of one run.
    """
    sources: tuple[Source, ...] = ("file", "environment", "command line")
    return Field(
        default,
        help,
        kind or kind_of(default, choices),
        sources=sources[0 if in_file else 1 :] if anywhere else ("command line",),
        metavar=metavar,
        short=short,
    )


class CommonOptions(Settings):
    """Options of every task; the `Options` of each task add more.

    Attributes:
        positional: Names of options that a word without a flag sets: the first one that has it as a choice, or the
            one without choices. At most one of them has a value.
    """

    positional: ClassVar[tuple[str, ...]] = ()

    dry_run: bool = option(
        False, "Show the plan and the problems that block it; change nothing.", short="-n", anywhere=False
    )
    explain: bool = option(
        False, "Show the value of each option and setting, and where it comes from; run nothing.", anywhere=False
    )
    plan: str | None = option(
        None,
        "Write the plan as JSON to a file; - is standard output.",
        kind=DOCUMENT,
        metavar="FILE",
        anywhere=False,
    )
    report: str | None = option(
        None, "Write a report of the run as JSON to a file; - is standard output.", kind=DOCUMENT, metavar="FILE"
    )
    reporter: str = option(
        "auto", "The output format.", choices=("auto", "terminal", "plain", "github"), metavar="KIND"
    )
    verbose: bool = option(False, "Show the output of programs.", short="-v")
    quiet: bool = option(False, "Show only results, warnings and errors.", short="-q")
    project: str | None = option(
        None, "The folder of the project; default: the working directory.", metavar="DIR", anywhere=False
    )


O = TypeVar("O", bound=CommonOptions)  # noqa: E741 - O for options


def of_task(options: CommonOptions) -> tuple[tuple[str, Value], ...]:
    """Return the options of a task by field name, without those of every task."""
    common = {field.name for field in fields_of(CommonOptions)}
    return tuple(
        (field.name, getattr(options, field.name))
        for field in fields_of(type(options))
        if field.name not in common
    )


def resolve(  # noqa: PLR0913 - the places that set options
    declaration: type[O],
    *,
    command_line: Mapping[str, Value],
    environment: Mapping[str, str],
    file: Mapping[str, Value],
    table: str,
    defaults: Mapping[str, Value] = MappingProxyType({}),
) -> tuple[O, dict[str, OptionValue]]:
    """Merge the values of options, and record where each was set.

    Args:
        declaration: The options of the task.
        command_line: Values on the command line, by field name.
        environment: All environment variables.
        file: Values in the file, by field name.
        table: The name of their table in `[tool.relnox]`.
        defaults: Defaults that a noxfile or a tasks file sets, by field name.

    Raises:
        Blocked: A variable has an invalid value, or may not set the option.
    """
    values: dict[str, OptionValue] = {}
    is_positional_set = any(name in command_line for name in declaration.positional)
    for option in fields_of(declaration):
        name, variable = option.name, option.environment
        if name in command_line:
            values[name] = OptionValue(command_line[name], "command line")
        elif variable in environment:
            if "environment" not in option.sources:
                raise Blocked(
                    "command-line-only",
                    f"{variable} is set, but {option.flag} can be set on the command line only",
                    fix=f"unset {variable}",
                )
            values[name] = OptionValue(option.kind.parse(environment[variable], variable), variable)
        elif name in file:
            values[name] = OptionValue(file[name], f"[tool.relnox.{table}] {option.key}")
        elif name in defaults and not (name in declaration.positional and is_positional_set):
            values[name] = OptionValue(defaults[name], "defaults of the session or task")
        else:
            values[name] = OptionValue(option.default, "default")
    plain: dict[str, Any] = {name: value.value for name, value in values.items()}
    return declaration(**plain), values
