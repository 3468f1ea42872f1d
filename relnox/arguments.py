"""One argument parser from the option schema, for the command line and for nox's positional arguments."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, NoReturn

from relnox.commands import help_of, load
from relnox.core.options import from_text, options_of
from relnox.errors import Blocked
from relnox.reporters.streams import STDOUT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from relnox.core.options import Option, Value

__all__ = ["help_text", "known_words", "parse", "parser_of", "unknown_flags"]


class _Parser(argparse.ArgumentParser):
    """Ends in an error of relnox instead of in the process's end."""

    def _print_message(self, message: str, file: object = None) -> None:  # argparse's own gives up on encodings
        del file
        STDOUT.write(message)
        STDOUT.flush()

    def error(self, message: str) -> NoReturn:
        from relnox.core.schema import did_you_mean

        unknown = message.removeprefix("unrecognized arguments: ").split()[:1] or [""]
        known = [word for action in self._actions for word in action.option_strings]
        if message.startswith("unrecognized"):
            raise Blocked("unknown-option", f"{self.prog}: {message}", fix=did_you_mean(unknown[0], known))
        raise Blocked("invalid-option", f"{self.prog}: {message}", fix=f"{self.prog} --help")


def parser_of(task: str, program: str) -> argparse.ArgumentParser:
    """The parser of one task; what was not given is not in its result."""
    summary, rest = help_of(task)
    parser = _Parser(
        prog=program,
        description=f"{summary}\n\n{rest}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        argument_default=argparse.SUPPRESS,
        allow_abbrev=False,
    )
    for each in options_of(load(task).Options):
        _add(parser, each)
    return parser


def parse(task: str, words: Sequence[str], program: str) -> dict[str, Value]:
    """What was typed, by field name of the task's options; nothing else.

    Raises:
        Blocked: An option is unknown or its value is none of the choices.
        SystemExit: Help was asked for and has been printed.
    """
    found = vars(parser_of(task, program).parse_args(list(words)))
    return {name: tuple(value) if isinstance(value, list) else value for name, value in found.items()}


def unknown_flags(task: str, words: Sequence[str]) -> tuple[str, ...]:
    """The flags among what was typed that a task does not have."""
    known = _flags_of(task)
    flags = (word.partition("=")[0] for word in words if word.startswith("-"))
    return tuple(dict.fromkeys(flag for flag in flags if flag not in known))


def known_words(task: str, words: Sequence[str]) -> list[str]:
    """What a task understands of what was typed: its flags, each with the words that follow it."""
    known = _flags_of(task)
    found, is_known = [], True
    for word in words:
        if word.startswith("-"):
            is_known = word.partition("=")[0] in known
        if is_known:
            found.append(word)
    return found


def help_text(task: str) -> str:
    """A task's help with its options, without the line of usage that differs between the doors."""
    summary, rest = help_of(task)
    lines = [summary, "", *([rest, ""] if rest else []), "Options:"]
    for each in options_of(load(task).Options):
        lines += [f"  {_spelled(each)}", f"      {described(each)}"]
    return "\n".join(lines)


def described(each: Option) -> str:
    """An option's help with its choices and its default."""
    words = [each.help]
    if each.choices:
        words.append(f"One of {', '.join(each.choices)}.")
    if each.default not in (None, False, True, (), ""):
        words.append(f"Default: {each.default}.")
    return " ".join(words)


def task_lines(names: Sequence[str]) -> list[str]:
    """Tasks, each with the one line of its help."""
    width = max(len(name) for name in names)
    return [f"  {name.ljust(width)}  {help_of(name)[0]}" for name in names]


def _flags_of(task: str) -> frozenset[str]:
    options = options_of(load(task).Options)
    return frozenset(flag for each in options for flag in (each.flag, each.negative) if flag is not None)


def _add(parser: argparse.ArgumentParser, each: Option) -> None:
    told = described(each).replace("%", "%%")
    if each.kind is bool:
        if each.negative is None:
            parser.add_argument(each.flag, dest=each.name, action="store_true", help=told)
        else:
            parser.add_argument(each.flag, dest=each.name, action=argparse.BooleanOptionalAction, help=told)
        return
    parser.add_argument(
        each.flag,
        dest=each.name,
        action="append" if each.kind is tuple else "store",
        type=lambda text: from_text(each, text, each.flag),
        metavar=each.metavar or each.name.upper(),
        help=told,
    )


def _spelled(each: Option) -> str:
    if each.kind is bool:
        return each.flag if each.negative is None else f"{each.flag}, {each.negative}"
    return f"{each.flag} {each.metavar or each.name.upper()}"
