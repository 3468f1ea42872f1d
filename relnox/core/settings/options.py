"""Options of tasks: each task has a class whose attributes declare its options; see `schema`.

These declarations define the flags of the command line, the arguments of nox sessions and invoke tasks, the
environment variables, and the keys in `[tool.relnox]`. In order of increasing precedence, a value comes from the
default, the `defaults` in a noxfile or tasks file, pyproject.toml, the environment, or the command line.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar, Literal, TypeVar

from relnox.core.settings import rules
from relnox.core.settings.schema import (
    Field,
    ListOf,
    PathText,
    SettingKind,
    Settings,
    Source,
    Text,
    Value,
    fields_of,
    kind_of_default,
)
from relnox.errors import Blocked

RemoteTags = Literal["never", "if-none", "always"]

DOCUMENT = Text(rule=rules.document_problem)
"""The kind of an option that is the path of a document to read or write."""
PATH = PathText(rule=rules.document_problem)
"""The kind of an option that is the path of a file or directory of the project."""
PATHS = ListOf(PATH)
"""The kind of a list of such paths."""
PYTHON_VERSIONS = ListOf(Text(rule=rules.python_version_problem))
"""The kind of a list of Python versions."""


def option(  # noqa: PLR0913 - a declaration is read by its keywords
    default: Value,
    help: str,  # noqa: A002 - as in argparse and invoke
    *,
    kind: SettingKind | None = None,
    choices: tuple[str, ...] = (),
    metavar: str = "",
    short: str = "",
    setting: str = "",
    anywhere: bool = False,
    in_environment: bool = False,
) -> Any:
    """Declare an option of a task; see `Field` for the arguments that are not described here.

    If `kind` is None, it follows from the default and the choices. By default, only the command line can set the
    option, since it chooses a target, consents to something or is for one run. With `in_environment`, an
    environment variable can set it as well; with `anywhere` or `setting`, a variable and pyproject.toml.
    """
    sources: tuple[Source, ...] = ("command line",)
    if anywhere or setting:
        sources = ("file", "environment", "command line")
    elif in_environment:
        sources = ("environment", "command line")
    kind = kind or kind_of_default(default, choices)
    return Field(default, help, kind, sources, metavar=metavar, short=short, setting=setting)


class CommonOptions(Settings):
    """Options of every task; the `Options` of each task add more.

    Attributes:
        positional: The names of the options that an argument without a flag can set: it sets the first one that
            has it as a choice, else the one without choices. At most one of these options may be set.
        remote_tags: When tags of the remote count besides those of the clone; `if-none`: if the clone has none.
    """

    positional: ClassVar[tuple[str, ...]] = ()
    remote_tags: ClassVar[RemoteTags] = "never"

    dry_run: bool = option(False, "Show the plan and the problems that block it; change nothing.", short="-n")
    plan: str | None = option(
        None,
        "Write the plan as JSON to a file; - is standard output.",
        kind=DOCUMENT,
        metavar="FILE",
    )
    expect_plan: str | None = option(
        None,
        "Run only the plan in this file, which --plan wrote, or with this digest; refuse another one.",
        kind=DOCUMENT,
        metavar="FILE|DIGEST",
    )
    report: str | None = option(
        None,
        "Write a report of the run to a file: Markdown (.md), JUnit (.xml), else JSON; - is standard output.",
        kind=DOCUMENT,
        metavar="FILE",
        in_environment=True,
    )
    reporter: str = option(
        "auto",
        "The output format.",
        choices=("auto", "terminal", "plain", "github"),
        metavar="KIND",
        anywhere=True,
    )
    verbose: bool = option(False, "Show the output of programs.", short="-v", anywhere=True)
    quiet: bool = option(False, "Show only results, warnings and errors.", short="-q", anywhere=True)
    project: str | None = option(
        None, "The directory of the project; default: the working directory.", metavar="DIR"
    )


def positional_options(declaration: type[CommonOptions]) -> list[Field]:
    """Return the options that an argument without a flag can set; empty if the task takes no such argument."""
    by_name = {option.name: option for option in fields_of(declaration)}
    return [by_name[name] for name in declaration.positional]


def positional_usage(options: Sequence[Field]) -> str:
    """Return the placeholder for the argument that sets one of these options without a flag: `PART|VERSION`."""
    return "|".join(option.metavar for option in options)


O = TypeVar("O", bound=CommonOptions)  # noqa: E741 - O for options


def resolve_option_values(
    declaration: type[O],
    *,
    command_line: Mapping[str, Value],
    environment: Mapping[str, str],
    file: Mapping[str, Value],
    defaults: Mapping[str, Value] = MappingProxyType({}),
) -> O:
    """Return the options of a task, each with its value from the first of the four places that sets it.

    These are, in this order, `command_line`, `environment` (the environment variables), `file` (the task's table
    in the settings) and `defaults` (what a noxfile or tasks file sets). Except for `environment`, they have values
    by field name. An option that none of them sets has the default of its declaration. For an option in
    `positional`, `defaults` count only if the command line sets no other one of these.

    Raises:
        Blocked: An environment variable has an invalid value, or the option may not be set in the environment.
    """
    values: dict[str, Any] = {}
    is_positional_set = any(name in command_line for name in declaration.positional)
    for option in fields_of(declaration):
        name, variable = option.name, option.environment_variable
        if name in command_line:
            values[name] = command_line[name]
        elif variable in environment:
            if "environment" not in option.sources:
                message = f"{variable} is set, but {option.flag} can be set on the command line only"
                raise Blocked("command-line-only", message, fix=f"unset {variable}")
            values[name] = option.kind.parse(environment[variable], variable)
        elif name in file:
            values[name] = file[name]
        elif name in defaults and not (name in declaration.positional and is_positional_set):
            values[name] = defaults[name]
    return declaration(**values)
