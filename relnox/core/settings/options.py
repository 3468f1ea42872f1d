"""Options of tasks: a class per task, whose attributes declare help, choices and where an option may be set.

The command line, nox's positional arguments, invoke's flags, environment variables and keys of `[tool.relnox]` are
generated from this declaration. The precedence is default < pyproject.toml < environment < command line.

The classes are not dataclasses, because invoke reads the flags of every task at each start, and dataclasses would
take most of that time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from relnox.errors import Blocked

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from relnox.core.settings import schema

__all__ = [
    "CommonOptions",
    "Option",
    "OptionValue",
    "Value",
    "file_table",
    "from_text",
    "option",
    "options_of",
    "resolve",
]

Value = str | bool | int | tuple[str, ...] | None

_DIGITS = 100
"""Digits of a number that are parsed: Python converts only some thousands, and the maximum is far below."""
_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"0", "false", "no", "off", ""})


class Option:
    """One option of a task, declared as an attribute of its `Options`.

    Attributes:
        name: The attribute's name.
        kind: `str`, `int`, `bool`, or `tuple` for an option that may be repeated.
        default: Its default.
        help: One sentence.
        choices: Its valid values; empty for any.
        metavar: The placeholder for its value in help texts.
        anywhere: Whether a file and the environment may set it. Options that choose a target or confirm an
            upload are set on the command line only.
    """

    name: str

    def __init__(  # noqa: PLR0913 - a declaration is read by its keywords
        self,
        default: Value,
        help: str,  # noqa: A002 - as in argparse and invoke
        *,
        kind: type,
        choices: tuple[str, ...],
        metavar: str,
        anywhere: bool,
    ) -> None:
        self.default = default
        self.help = help
        self.kind = kind
        self.choices = choices
        self.metavar = metavar
        self.anywhere = anywhere

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, instance: object | None, owner: type) -> Any:
        return self if instance is None else self.default

    @property
    def key(self) -> str:
        """The key in `[tool.relnox.…]`; names such as `from_` avoid keywords of Python."""
        return self.name.rstrip("_").replace("_", "-")

    @property
    def flag(self) -> str:
        """The flag on a command line."""
        return f"--{self.key}"

    @property
    def negative(self) -> str | None:
        """The flag that sets a boolean option to false, if it can be true without its flag."""
        return f"--no-{self.key}" if self.kind is bool and (self.anywhere or self.default) else None

    @property
    def environment(self) -> str:
        """The environment variable."""
        return f"RELNOX_{self.name.rstrip('_').upper()}"


class OptionValue(NamedTuple):
    """A value, and a description of where it was set."""

    value: Value
    origin: str


def option(  # noqa: PLR0913 - a declaration is read by its keywords
    default: Value,
    help: str,  # noqa: A002 - as above
    *,
    kind: type | None = None,
    choices: tuple[str, ...] = (),
    metavar: str = "",
    anywhere: bool = True,
) -> Any:
    """Declare an option; its kind is the type of the default, `str` for None."""
    default_kind = str if default is None else type(default)
    return Option(default, help, kind=kind or default_kind, choices=choices, metavar=metavar, anywhere=anywhere)


class CommonOptions:
    """Options of every task; the `Options` of each task add more. Instances are immutable."""

    dry_run: bool = option(False, "Show the plan and the problems that block it; change nothing.", anywhere=False)
    plan: str | None = option(None, "Write the plan as JSON to a file.", metavar="FILE", anywhere=False)
    report: str | None = option(None, "Write a report of the run as JSON to a file.", metavar="FILE")
    reporter: str = option(
        "auto", "The output format.", choices=("auto", "terminal", "plain", "github"), metavar="KIND"
    )
    verbose: bool = option(False, "Show the output of programs.")
    project: str | None = option(
        None, "The folder of the project; default: the working directory.", metavar="DIR", anywhere=False
    )

    def __init__(self, **values: Any) -> None:
        names = {option.name for option in options_of(type(self))}
        if unknown := values.keys() - names:
            raise TypeError(f"{type(self).__name__} has no option {', '.join(sorted(unknown))}")
        vars(self).update(values)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{name} cannot be set")

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and dict(self) == dict(other)

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __iter__(self) -> Iterator[tuple[str, Value]]:
        return ((option.name, getattr(self, option.name)) for option in options_of(type(self)))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self)})"


O = TypeVar("O", bound=CommonOptions)  # noqa: E741 - O for options


def options_of(declaration: type[CommonOptions]) -> tuple[Option, ...]:
    """Return the options that a class declares: those of the task first, common ones last."""
    own = [value for value in vars(declaration).values() if isinstance(value, Option)]
    common = [value for value in vars(CommonOptions).values() if isinstance(value, Option)]
    return tuple(own if declaration is CommonOptions else own + common)


def file_table(*declarations: type[CommonOptions], **more: schema.Kind) -> schema.Table:
    """Return the schema of the options of these tasks, and of `more` keys that are not options."""
    from relnox.core.settings import schema

    options = [option for declaration in declarations for option in options_of(declaration)]
    return schema.Table(
        help=f"Defaults for {', '.join(sorted({option.flag for option in options if option.anywhere}))}",
        keys={option.key: _kind(option) for option in options if option.anywhere} | more,
        elsewhere={
            option.key: "it can be set on the command line only" for option in options if not option.anywhere
        },
    )


def resolve(
    declaration: type[O],
    *,
    command_line: Mapping[str, Value],
    environment: Mapping[str, str],
    file: Mapping[str, Value],
    table: str,
) -> tuple[O, dict[str, OptionValue]]:
    """Merge the values of options, and record where each was set.

    Args:
        declaration: The options of the task.
        command_line: Values on the command line, by field name.
        environment: All environment variables.
        file: The validated table of `[tool.relnox]`, by key.
        table: The name of that table.

    Raises:
        Blocked: A variable has an invalid value, or may not set the option.
    """
    values: dict[str, OptionValue] = {}
    for option in options_of(declaration):
        name, variable = option.name, option.environment
        if name in command_line:
            values[name] = OptionValue(command_line[name], "command line")
        elif variable in environment:
            values[name] = OptionValue(_from_environment(option, environment[variable]), variable)
        elif option.key in file:
            values[name] = OptionValue(file[option.key], f"[tool.relnox.{table}] {option.key}")
        else:
            values[name] = OptionValue(option.default, "default")
    plain: dict[str, Any] = {name: value.value for name, value in values.items()}
    return declaration(**plain), values


def from_text(option: Option, text: str, where: str) -> Value:
    """Parse the value of an option that is not boolean.

    Args:
        option: The option.
        text: The text on the command line or in a variable; one value of an option that may be repeated.
        where: The flag or the variable, for the message.

    Raises:
        Blocked: It is not a whole number, or not one of the choices.
    """
    from relnox.core.settings import schema

    if option.kind is int:
        if not text.isdecimal():
            raise Blocked(
                "invalid-value", f"{where} = {text!r} is not a whole number", fix=f"set {where} to a whole number"
            )
        return schema.Number(option.help).check(int(text[:_DIGITS]), where)
    return schema.Text(option.help, option.choices).check(text, where)


def _from_environment(option: Option, text: str) -> Value:
    variable = option.environment
    if not option.anywhere:
        raise Blocked(
            "command-line-only",
            f"{variable} is set, but {option.flag} can be set on the command line only",
            fix=f"unset {variable}",
        )
    if option.kind is bool:
        if text.lower() not in _TRUE | _FALSE:
            raise Blocked(
                "invalid-value", f"{variable}={text} is neither true nor false", fix=f"set {variable} to 1 or 0"
            )
        return text.lower() in _TRUE
    if option.kind is tuple:
        return tuple(text.replace(",", " ").split())
    return from_text(option, text, variable)


def _kind(option: Option) -> schema.Kind:
    from relnox.core.settings import schema

    if option.kind is bool:
        return schema.Flag(option.help)
    if option.kind is int:
        return schema.Number(option.help)
    if option.kind is tuple:
        return schema.Texts(option.help, option.choices)
    return schema.Text(option.help, option.choices)
