"""The options of a task as a command line or Python code sets them: parsing, help, shell completion."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from relnox.commands import COMMANDS, SYNONYMS, TASKS, find_task, read_help
from relnox.core.settings.options import positional_options, positional_usage
from relnox.core.settings.schema import fields_of
from relnox.core.text import suggest_name
from relnox.errors import Blocked

if TYPE_CHECKING:
    from relnox.commands import Task
    from relnox.core.settings.schema import Field, Value

SHELLS = ("bash", "zsh", "fish")
"""The shells with completion."""
_NO_DEFAULTS = ("yes", "project")
"""Options that a noxfile or a tasks file cannot set a default for."""


def parse_options(
    task: str, words: Sequence[str], program: str, other_tasks: Iterable[str] = ()
) -> dict[str, Value]:
    """Parse the words after a task, and return the values of the options given, by field name (`dry_run`).

    Args:
        task: The name of the task.
        words: The words; those that ask for help print it and raise `SystemExit`.
        program: What the user typed before the words, for help and errors.
        other_tasks: Tasks that get the same words; options that only they have are ignored.

    Raises:
        Blocked: An option is unknown, or its value is invalid.
    """
    summary, rest = read_help(task)
    parser = _RaisingParser(
        prog=program,
        description=f"{summary}\n\n{rest}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        argument_default=argparse.SUPPRESS,
        allow_abbrev=False,
    )
    _add_options(parser, task)
    names = {field.name for field in fields_of(COMMANDS[task].options)}
    if not {"-h", "--help"}.intersection(words):
        for other in other_tasks:
            _add_options(parser, other)
    values: dict[str, Any] = vars(parser.parse_args(list(words)))
    word = values.pop("word", None)
    values = {name: value for name, value in values.items() if name in names}
    if word is not None and COMMANDS[task].options.positional:
        option = _positional_option(task, word)
        if twice := [name for name in COMMANDS[task].options.positional if name in values]:
            flag = f"--{twice[0]}"
            raise Blocked("options-conflict", f"{program}: {word} cannot be used with {flag}", f"remove {flag}")
        values[option.name] = option.kind.parse(word, f"{program} {option.metavar}")
    return {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}


def _positional_option(task: str, word: str) -> Field:
    """Return the option of a task that a word without a flag sets: the one that has the word among its choices.

    If none has it, a word with digits, such as a version, sets the first option without choices; any other word
    sets the first option.
    """
    options = positional_options(COMMANDS[task].options)
    without_choices = [option for option in options if not option.choices]
    is_text = any(character.isdigit() for character in word) and without_choices
    by_choice = next((option for option in options if word in option.choices), None)
    return by_choice or (without_choices if is_text else options)[0]


class _RaisingParser(argparse.ArgumentParser):
    """An argument parser that raises `Blocked` for invalid arguments instead of exiting."""

    def _print_message(self, message: str, file: object = None) -> None:  # argparse's own fails for some encodings
        del file
        from relnox.reporters.streams import STDOUT  # a listing prints no help

        STDOUT.write(message)
        STDOUT.flush()

    def error(self, message: str) -> NoReturn:
        """Raise `Blocked` for an error in the arguments that argparse found, with a fix for it."""
        if not message.startswith("unrecognized arguments: "):
            raise Blocked("option-invalid", f"{self.prog}: {message}", f"to see the options: {self.prog} --help")
        word = message.removeprefix("unrecognized arguments: ").split()[0]
        flags = [flag for action in self._actions for flag in action.option_strings]
        fix = suggest_name(word, flags)
        if not word.startswith("-"):
            fix = f"remove {word}" if self.epilog else f"{self.prog} --package {word}"
        raise Blocked("option-unknown", f"{self.prog}: {message}", fix)


def _add_options(parser: argparse.ArgumentParser, task: str) -> None:
    """Add the options of a task to a parser, except those that it has already."""
    declaration = COMMANDS[task].options
    destinations = {action.dest for action in parser._actions}  # noqa: SLF001 - argparse has no other way
    for option in fields_of(declaration):
        if option.name not in destinations:
            _add_option(parser, option)
    if declaration.positional and "word" not in destinations:
        options = positional_options(declaration)
        usage = positional_usage(options)
        word = parser.add_argument("word", nargs="?", default=None, help=argparse.SUPPRESS)
        choices = [choice for option in options for choice in option.choices]
        word.completer = lambda **_: choices  # type: ignore[attr-defined]  # argcomplete's
        parser.usage = f"{parser.prog.replace('%', '%%')} [{usage}] [options]"
        parser.epilog = f"{usage}: {' '.join(option.help for option in options)}"


def _add_option(parser: argparse.ArgumentParser, option: Field) -> None:
    words: dict[str, Any] = {"dest": option.name, "help": option.description.replace("%", "%%")}
    if option.is_flag:
        words["action"] = "store_true" if option.negative_flag is None else argparse.BooleanOptionalAction
    else:
        words["action"] = "append" if option.is_list else "store"
        words |= {"type": option.parse, "metavar": option.metavar or option.name.upper()}
    argument = parser.add_argument(*filter(None, (option.short, option.flag)), **words)
    if option.choices:
        argument.completer = lambda **_: option.choices  # type: ignore[attr-defined]  # argcomplete's


def completion_parser(line: str) -> argparse.ArgumentParser:
    """Return a parser of the whole command line for shell completion; `line` is what was typed so far.

    It has the names of all tasks, but only those synonyms that are in `line`, so that completion proposes no
    others.
    """
    parser = argparse.ArgumentParser("relnox", allow_abbrev=False)
    tasks = parser.add_subparsers()
    for name, task in COMMANDS.items():
        spellings = {word for word, of_task in SYNONYMS.items() if of_task == name} | {*task.import_names} - {name}
        aliases = sorted(spellings.intersection(line.split()))  # no others, which would be proposed as well
        _add_options(tasks.add_parser(name, help=task.summary, aliases=aliases), name)
    completion = tasks.add_parser("completion", help="Print the code for shell completion")
    completion.add_argument("shell", choices=SHELLS)
    return parser


def check_values(task: str, options: Mapping[str, Value]) -> dict[str, Value]:
    """Check options that Python code sets, and return their values by field name.

    `options` has values of Python types by the names of the options of `task`. Raise `Blocked` if one is unknown
    or its value is invalid.
    """
    options_by_name = {option.name: option for option in fields_of(COMMANDS[task].options)}
    values: dict[str, Value] = {}
    for name, value in options.items():
        option = options_by_name.get(name) or options_by_name.get(f"{name}_")
        if option is None:
            raise Blocked("option-unknown", f"{task} has no option {name}", suggest_name(name, options_by_name))
        if value is None and option.default is None:
            values[option.name] = None
        else:
            is_text = option.is_list and not isinstance(value, tuple | list)
            items = [str(value)] if is_text else list(value) if isinstance(value, tuple) else value
            values[option.name] = option.kind.check(items, option.name)
    return values


def settings_by_task(
    tasks: Sequence[str], settings: Mapping[str, Mapping[str, Any]]
) -> dict[Task, dict[str, Any]]:
    """Check the arguments of `sessions.add` or `tasks.collection`; return those for each task, by argument name.

    `tasks` has names of tasks, none for all tasks. `settings` maps each keyword argument, such as `defaults`, to
    its values by name of task.

    Raises:
        Blocked: A task or option is unknown, a default is invalid, or a value is for a task that is not in
            `tasks`.
    """
    by_task: dict[Task, dict[str, Any]] = {
        task: {} for task in ([find_task(name, TASKS) for name in tasks] or TASKS.values())
    }
    for name, values in settings.items():
        for word, value in values.items():
            task = find_task(word, TASKS)
            if task not in by_task:
                message = f"{name} has a value for {task.name}, which is not among the tasks of this call"
                fix = f'add "{task.name}" to the tasks, or remove its key from {name}'
                raise Blocked("task-unknown", message, fix)
            by_task[task][name] = _check_defaults(task.name, value) if name == "defaults" else value
    return by_task


def _check_defaults(task: str, options: Mapping[str, Any]) -> dict[str, Value]:
    """Check the defaults that a noxfile or tasks file sets for a task's options, and return them by field name.

    Raise `Blocked` if an option is unknown, its value is invalid, or only the command line may set it.
    """
    for name in _NO_DEFAULTS:
        if name in options:
            message = f"defaults set {name} for {task}, but it can only be set on the command line"
            fix = f'remove "{name}" from defaults, and pass it on the command line'
            raise Blocked("command-line-only", message, fix)
    try:
        return check_values(task, options)
    except Blocked as error:
        raise error.but(message=f"defaults of {task}: {error.message}") from None
