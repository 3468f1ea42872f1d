"""The arguments of a task, from the command line or as nox's positional arguments, and their help."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from relnox import argument_parser
from relnox.commands import COMMANDS
from relnox.commands.options import OPTIONS
from relnox.core.settings.options import positional_options, positional_usage
from relnox.core.settings.schema import fields_of
from relnox.core.text import did_you_mean
from relnox.errors import Blocked

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from relnox.core.settings.schema import Field, Value


def parse(task: str, words: Sequence[str], program: str) -> dict[str, Value]:
    """Parse a command line into values by field name of the task's options.

    Raises:
        Blocked: An option is unknown, or its value is not valid.
        SystemExit: Help was requested and printed.
    """
    declaration = OPTIONS[task]
    positional: dict[str, Value] = {}
    bare = [group[0] for group in _split_into_groups(task, words) if not _is_flag(group[0])]
    if declaration.positional and bare:
        options = positional_options(declaration)
        if len(bare) > 1:
            raise Blocked(
                "option-invalid",
                f"{program} takes one argument ({positional_usage(options)}), not {len(bare)}: {', '.join(bare)}",
                fix=f"{program} {bare[0]}",
            )
        words = [word for group in _split_into_groups(task, words) if group != bare for word in group]
        positional = _positional_value(options, bare[0], program)
    values: dict[str, Any] = vars(argument_parser.parser_of(task, program).parse_args(list(words)))
    if twice := positional.keys() & values.keys():
        flag = f"--{twice.pop()}"
        raise Blocked("options-conflict", f"{program}: {bare[0]} cannot be used with {flag}", fix=f"remove {flag}")
    return positional | {
        name: tuple(value) if isinstance(value, list) else value for name, value in values.items()
    }


def words_for(task: str, words: Sequence[str], other_tasks: Sequence[str]) -> list[str]:
    """Return the words of a command line without those that only one of the other tasks has."""
    return [
        word
        for group in _split_into_groups(task, words)
        if _accepts(task, group) or not any(_accepts(other, group) for other in other_tasks)
        for word in group
    ]


def check_values(task: str, options: Mapping[str, Value]) -> dict[str, Value]:
    """Check the names and types of options that Python code sets, and return their values by field name.

    Raises:
        Blocked: An option is unknown, or its value is not valid.
    """
    options_by_name = {option.name: option for option in fields_of(OPTIONS[task])}
    values: dict[str, Value] = {}
    for name, value in options.items():
        option = options_by_name.get(name) or options_by_name.get(f"{name}_")
        if option is None:
            raise Blocked(
                "option-unknown", f"{task} has no option {name}", fix=did_you_mean(name, options_by_name)
            )
        values[option.name] = _check_value(option, value)
    return values


def _check_value(option: Field, value: Value) -> Value:
    """Return a value set by Python code, converted to the type of its option."""
    if value is None and option.default is None:
        return None
    if option.is_list and not isinstance(value, tuple | list):
        value = (str(value),)
    result: Value = option.kind.check(list(value) if isinstance(value, tuple) else value, option.name)
    return result


def _split_into_groups(task: str, words: Sequence[str]) -> list[list[str]]:
    """Split a command line into groups: a flag with its value if any, or a single positional word.

    The next word counts as the value of an unknown flag, unless it is a flag itself.
    """
    flags = _flags_of(task)
    groups: list[list[str]] = []
    needs_value = False
    for word in words:
        if needs_value and (flags.get(groups[-1][0]) or not _is_flag(word)):
            groups[-1].append(word)
            needs_value = False
        else:
            groups.append([word])
            is_flag = _is_flag(word) and "=" not in word and not _is_bundle(word, flags)
            needs_value = is_flag and flags.get(word, True)
    return groups


def _is_flag(word: str) -> bool:
    """Return whether a word is a flag; `-` is not, as it stands for standard input or output."""
    return word.startswith("-") and word != "-"


def _is_bundle(word: str, flags: Mapping[str, bool]) -> bool:
    """Return whether a word is several short flags without values, such as `-nv`."""
    return (
        len(word) > len("-n") and word[1] != "-" and not any(flags.get(f"-{letter}", True) for letter in word[1:])
    )


def _accepts(task: str, group: Sequence[str]) -> bool:
    """Return whether a task accepts the flag or positional word of a group; see `_groups`."""
    flag, flags = group[0].partition("=")[0], _flags_of(task)
    if not _is_flag(flag):
        return bool(OPTIONS[task].positional)
    return flag in flags or _is_bundle(flag, flags)


def _positional_value(options: Sequence[Field], word: str, program: str) -> dict[str, Value]:
    """Return the name and value of the option that a positional word sets."""
    without_choices = [option for option in options if not option.choices]
    is_text = any(character.isdigit() for character in word) and without_choices
    chosen_option = next((option for option in options if word in option.choices), None)
    option = chosen_option or (without_choices if is_text else options)[0]
    return {option.name: option.kind.parse(word, f"{program} {option.metavar}")}


def task_lines(names: Iterable[str]) -> list[str]:
    """Format tasks with their summaries."""
    names = list(names)
    width = max(map(len, names))
    return [f"  {name.ljust(width)}  {COMMANDS[name].summary}" for name in names]


def _flags_of(task: str) -> dict[str, bool]:
    """Return the flags of a task, and whether each takes a value."""
    return {flag: not option.is_flag for option in fields_of(OPTIONS[task]) for flag in option.flags}
