"""Options, declared once: a class per task whose attributes carry help, choices and where they may be set.

From the same declaration come the command line, nox's positional arguments, invoke's flags, the
environment's names and the keys of `[tool.relnox]`. Merging is sparse: what was not given is not there, so
that each value knows where it came from (default < pyproject.toml < environment < command line).

The declaration is plain on purpose: invoke reads every task's flags at each start, and dataclasses cost more than
all the rest of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from relnox.errors import Blocked

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from relnox.core import schema

__all__ = [
    "CommonOptions",
    "Given",
    "Option",
    "Value",
    "file_table",
    "from_text",
    "option",
    "options_of",
    "resolve",
]

Value = str | bool | int | tuple[str, ...] | None

_DIGITS = 100
"""Digits of a number that are read: Python converts no more than some thousands, and fewer are too many."""
_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"0", "false", "no", "off", ""})


class Option:
    """One option of a task, declared as an attribute of its `Options`.

    Attributes:
        name: The attribute's name.
        kind: `str`, `int`, `bool`, or `tuple` for an option that may be repeated.
        default: Its value when nobody says anything.
        help: One sentence.
        choices: The values it may take; empty for any.
        metavar: What stands for the value in a help text.
        anywhere: Whether a file and the environment may set it. What chooses a target or consents is set on
            the command line only.
    """

    name: str

    def __init__(  # noqa: PLR0913 - a declaration is read by its keywords
        self,
        default: Value,
        help: str,  # noqa: A002 - the word that argparse, invoke and dataclasses' readers know
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
        """The option as a key of `[tool.relnox.…]`; Python keeps some words for itself: `from_`."""
        return self.name.rstrip("_").replace("_", "-")

    @property
    def flag(self) -> str:
        """The option on a command line."""
        return f"--{self.key}"

    @property
    def negative(self) -> str | None:
        """The flag that switches a switch off, where there is something to switch off."""
        return f"--no-{self.key}" if self.kind is bool and (self.anywhere or self.default) else None

    @property
    def environment(self) -> str:
        """The option as an environment variable."""
        return f"RELNOX_{self.name.rstrip('_').upper()}"


class Given(NamedTuple):
    """A value and where it came from, in words."""

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
    """Declare an option; its kind is the default's, `str` for None."""
    guessed = str if default is None else type(default)
    return Option(default, help, kind=kind or guessed, choices=choices, metavar=metavar, anywhere=anywhere)


class CommonOptions:
    """What every task understands; each task's `Options` adds its own. Values are read, never set."""

    dry_run: bool = option(False, "Show the plan and what would refuse it; change nothing.", anywhere=False)
    plan: str | None = option(None, "Write the plan as JSON to a file.", metavar="FILE", anywhere=False)
    report: str | None = option(None, "Write how the run went as JSON to a file.", metavar="FILE")
    reporter: str = option(
        "auto", "How the run is told.", choices=("auto", "terminal", "plain", "github"), metavar="KIND"
    )
    verbose: bool = option(False, "Show what the programs that are run print.")
    project: str | None = option(
        None, "The project's folder, if it is not the present one.", metavar="DIR", anywhere=False
    )

    def __init__(self, **values: Any) -> None:
        known = {each.name for each in options_of(type(self))}
        if unknown := values.keys() - known:
            raise TypeError(f"{type(self).__name__} has no option {', '.join(sorted(unknown))}")
        vars(self).update(values)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{name} is read, never set")

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and dict(self) == dict(other)

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __iter__(self) -> Iterator[tuple[str, Value]]:
        return ((each.name, getattr(self, each.name)) for each in options_of(type(self)))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self)})"


O = TypeVar("O", bound=CommonOptions)  # noqa: E741 - O for options


def options_of(declaration: type[CommonOptions]) -> tuple[Option, ...]:
    """The options that a class declares: the task's own first, those of every task last."""
    own = [each for each in vars(declaration).values() if isinstance(each, Option)]
    common = [each for each in vars(CommonOptions).values() if isinstance(each, Option)]
    return tuple(own if declaration is CommonOptions else own + common)


def file_table(*declarations: type[CommonOptions], **more: schema.Kind) -> schema.Table:
    """The table of `[tool.relnox]` that sets options of these tasks, with `more` keys that are no options."""
    from relnox.core import schema

    every = [each for declaration in declarations for each in options_of(declaration)]
    return schema.Table(
        help=f"Defaults for {', '.join(sorted({each.flag for each in every if each.anywhere}))}",
        keys={each.key: _kind(each) for each in every if each.anywhere} | more,
        elsewhere={each.key: "it counts on the command line only" for each in every if not each.anywhere},
    )


def resolve(
    declaration: type[O],
    *,
    command_line: Mapping[str, Value],
    environment: Mapping[str, str],
    file: Mapping[str, Value],
    table: str,
) -> tuple[O, dict[str, Given]]:
    """Merge what was given, and say of each value where it came from.

    Args:
        declaration: The task's options.
        command_line: What was typed, by field name; nothing else.
        environment: All environment variables.
        file: The task's checked table of `[tool.relnox]`, by key.
        table: That table's name, for the origin.

    Raises:
        Blocked: A value of the environment is none of the choices or may not be set there.
    """
    given: dict[str, Given] = {}
    for each in options_of(declaration):
        if each.name in command_line:
            given[each.name] = Given(command_line[each.name], "command line")
        elif each.environment in environment:
            given[each.name] = Given(_from_environment(each, environment[each.environment]), each.environment)
        elif each.key in file:
            given[each.name] = Given(file[each.key], f"[tool.relnox.{table}] {each.key}")
        else:
            given[each.name] = Given(each.default, "default")
    values: dict[str, Any] = {name: each.value for name, each in given.items()}
    return declaration(**values), given


def from_text(each: Option, text: str, where: str) -> Value:
    """The value that was written for an option, on a command line or in a variable; a switch is no such value.

    Args:
        each: The option.
        text: What was written. For an option that may be repeated, one of its values.
        where: The flag or the variable, for the message.

    Raises:
        Blocked: It is not a whole number or none of the choices, where the option asks for one.
    """
    from relnox.core import schema

    if each.kind is int:
        if not text.isdecimal():
            raise Blocked("todo", f"{where} = {text!r} is not a whole number", fix="write a number")
        return schema.Number(each.help).check(int(text[:_DIGITS]), where)
    return schema.Text(each.help, each.choices).check(text, where)


def _from_environment(each: Option, text: str) -> Value:
    if not each.anywhere:
        raise Blocked(
            "todo",
            f"{each.environment} is set, but {each.flag} counts on the command line only",
            fix=f"unset {each.environment} and write {each.flag} out where it is meant",
        )
    if each.kind is bool:
        if text.lower() not in _TRUE | _FALSE:
            raise Blocked("todo", f"{each.environment}={text} is neither true nor false", fix="write 1 or 0")
        return text.lower() in _TRUE
    if each.kind is tuple:
        return tuple(text.replace(",", " ").split())
    return from_text(each, text, each.environment)


def _kind(each: Option) -> schema.Kind:
    from relnox.core import schema

    if each.kind is bool:
        return schema.Flag(each.help)
    if each.kind is int:
        return schema.Number(each.help)
    if each.kind is tuple:
        return schema.Texts(each.help, each.choices)
    return schema.Text(each.help, each.choices)
