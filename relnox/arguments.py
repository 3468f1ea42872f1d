"""The argument parser of a task, for the command line and for nox's positional arguments."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, NoReturn

from relnox.commands import help_of, load
from relnox.core.settings.schema import did_you_mean, fields_of
from relnox.errors import Blocked
from relnox.reporters.streams import STDOUT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from relnox.core.settings.schema import Field, Value

__all__ = ["help_text", "known_words", "parse", "parser_of", "unknown_flags"]


class _Parser(argparse.ArgumentParser):
    """A parser that raises errors of relnox instead of exiting."""

    def _print_message(self, message: str, file: object = None) -> None:  # argparse's own fails for some encodings
        del file
        STDOUT.write(message)
        STDOUT.flush()

    def error(self, message: str) -> NoReturn:
        unknown = message.removeprefix("unrecognized arguments: ").split()[:1] or [""]
        flags = [flag for action in self._actions for flag in action.option_strings]
        if message.startswith("unrecognized"):
            raise Blocked("option-unknown", f"{self.prog}: {message}", fix=did_you_mean(unknown[0], flags))
        raise Blocked("option-invalid", f"{self.prog}: {message}", fix=f"{self.prog} --help")


def parser_of(task: str, program: str) -> argparse.ArgumentParser:
    """Return the parser of a task, whose result has only the options on the command line."""
    summary, rest = help_of(task)
    parser = _Parser(
        prog=program,
        description=f"{summary}\n\n{rest}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        argument_default=argparse.SUPPRESS,
        allow_abbrev=False,
    )
    for option in fields_of(load(task).Options):
        _add(parser, option)
    return parser


def parse(task: str, words: Sequence[str], program: str) -> dict[str, Value]:
    """Parse a command line into values by field name of the task's options.

    Raises:
        Blocked: An option is unknown, or its value is not valid.
        SystemExit: Help was requested and printed.
    """
    values = vars(parser_of(task, program).parse_args(list(words)))
    return {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}


def unknown_flags(task: str, words: Sequence[str]) -> tuple[str, ...]:
    """Return the flags of a command line that a task does not have."""
    task_flags = _flags_of(task)
    flags = (word.partition("=")[0] for word in words if word.startswith("-"))
    return tuple(dict.fromkeys(flag for flag in flags if flag not in task_flags))


def known_words(task: str, words: Sequence[str]) -> list[str]:
    """Return the flags of a command line that a task has, each with its value."""
    flags = _flags_of(task)
    result, is_known = [], True
    for word in words:
        if word.startswith("-"):
            is_known = word.partition("=")[0] in flags
        if is_known:
            result.append(word)
    return result


def help_text(task: str) -> str:
    """Return the help of a task with its options, without the usage line, which differs between front ends."""
    summary, rest = help_of(task)
    lines = [summary, "", *([rest, ""] if rest else []), "Options:"]
    for option in fields_of(load(task).Options):
        lines += [f"  {_usage(option)}", f"      {description(option)}"]
    return "\n".join(lines)


def description(option: Field) -> str:
    """Return the help of an option with its choices and its default."""
    words = [option.help]
    if option.choices:
        words.append(f"One of {', '.join(option.choices)}.")
    if option.default not in (None, False, True, (), ""):
        words.append(f"Default: {option.default}.")
    return " ".join(words)


def task_lines(names: Sequence[str]) -> list[str]:
    """Format tasks with the first line of their help."""
    width = max(len(name) for name in names)
    return [f"  {name.ljust(width)}  {help_of(name)[0]}" for name in names]


def _flags_of(task: str) -> frozenset[str]:
    options = fields_of(load(task).Options)
    return frozenset(flag for option in options for flag in (option.flag, option.negative) if flag is not None)


def _add(parser: argparse.ArgumentParser, option: Field) -> None:
    text = description(option).replace("%", "%%")
    if option.is_flag:
        if option.negative is None:
            parser.add_argument(option.flag, dest=option.name, action="store_true", help=text)
        else:
            parser.add_argument(option.flag, dest=option.name, action=argparse.BooleanOptionalAction, help=text)
        return
    parser.add_argument(
        option.flag,
        dest=option.name,
        action="append" if option.is_list else "store",
        type=option.parse,
        metavar=option.metavar or option.name.upper(),
        help=text,
    )


def _usage(option: Field) -> str:
    if option.is_flag:
        return option.flag if option.negative is None else f"{option.flag}, {option.negative}"
    return f"{option.flag} {option.metavar or option.name.upper()}"
