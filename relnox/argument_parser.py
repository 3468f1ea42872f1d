"""The `argparse` parser of a task: for help, shell completion, and command lines that are not simple."""

from __future__ import annotations

import argparse
import functools
from typing import TYPE_CHECKING, NoReturn

from relnox.commands import read_help
from relnox.commands.options import OPTIONS
from relnox.core.settings.options import positional_options, positional_usage
from relnox.core.settings.schema import fields_of
from relnox.core.text import did_you_mean
from relnox.errors import Blocked

if TYPE_CHECKING:
    from relnox.core.settings.schema import Field


class _NonExitingParser(argparse.ArgumentParser):
    """An argument parser that raises `Blocked` instead of exiting."""

    def _print_message(self, message: str, file: object = None) -> None:  # argparse's own fails for some encodings
        del file
        from relnox.reporters.streams import STDOUT  # a listing prints no help

        STDOUT.write(message)
        STDOUT.flush()

    def format_help(self) -> str:
        self.formatter_class = argparse.RawDescriptionHelpFormatter  # as wide as the terminal
        return super().format_help()

    def error(self, message: str) -> NoReturn:
        unknown = message.removeprefix("unrecognized arguments: ").split()[:1] or [""]
        flags = [flag for action in self._actions for flag in action.option_strings]
        if message.startswith("unrecognized"):
            is_package = "--package" in flags and not unknown[0].startswith("-")
            fix = f"{self.prog} --package {unknown[0]}" if is_package else did_you_mean(unknown[0], flags)
            raise Blocked("option-unknown", f"{self.prog}: {message}", fix=fix)
        raise Blocked("option-invalid", f"{self.prog}: {message}", fix=f"{self.prog} --help")


def parser_of(task: str, program: str) -> argparse.ArgumentParser:
    """Return the parser of a task, whose result has only the options on the command line."""
    summary, rest = read_help(task)
    parser = _NonExitingParser(
        prog=program,
        description=f"{summary}\n\n{rest}",
        # argparse checks each option with a formatter: finding the terminal's width imports slow modules.
        formatter_class=functools.partial(argparse.RawDescriptionHelpFormatter, width=80),
        argument_default=argparse.SUPPRESS,
        allow_abbrev=False,
    )
    declaration = OPTIONS[task]
    for option in fields_of(declaration):
        _add_flags(parser, option)
    if declaration.positional:
        options = positional_options(declaration)
        parser.usage = f"{program.replace('%', '%%')} [{positional_usage(options)}] [options]"
        parser.epilog = f"{positional_usage(options)}: {' '.join(option.help for option in options)}"
    return parser


def add_arguments_for_completion(parser: argparse.ArgumentParser, task: str) -> None:
    """Add the options and positional arguments of a task to a parser, for shell completion."""
    declaration = OPTIONS[task]
    for option in fields_of(declaration):
        _add_flags(parser, option)
    if declaration.positional:
        choices = [choice for option in positional_options(declaration) for choice in option.choices]
        word = parser.add_argument("word", nargs="?")
        word.completer = lambda **_: choices  # type: ignore[attr-defined]  # argcomplete's


def _add_flags(parser: argparse.ArgumentParser, option: Field) -> None:
    """Add the flags of an option to a parser."""
    text = option.description.replace("%", "%%")
    flags = [option.short, option.flag] if option.short else [option.flag]
    if option.is_flag:
        if option.negative is None:
            parser.add_argument(*flags, dest=option.name, action="store_true", help=text)
        else:
            parser.add_argument(*flags, dest=option.name, action=argparse.BooleanOptionalAction, help=text)
        return
    argument = parser.add_argument(
        *flags,
        dest=option.name,
        action="append" if option.is_list else "store",
        type=option.parse,
        metavar=option.metavar or option.name.upper(),
        help=text,
    )
    if option.choices:
        argument.completer = lambda **_: option.choices  # type: ignore[attr-defined]  # argcomplete's
