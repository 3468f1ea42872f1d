"""Shell completion of `relnox`, with argcomplete, which nox requires as well."""

from __future__ import annotations

import argparse
import os
import shlex
from typing import TYPE_CHECKING

from relnox import argument_parser
from relnox.commands import COMMANDS, SYNONYMS, find_command
from relnox.errors import Blocked

if TYPE_CHECKING:
    from collections.abc import Sequence

SHELLS = ("bash", "zsh", "fish")


def shell_script(words: Sequence[str]) -> str:
    """Return the code that enables completion in a shell, for its startup file.

    Raises:
        Blocked: The words are not the name of a supported shell.
    """
    from argcomplete.shell_integration import shellcode

    match words:
        case [shell] if shell in SHELLS:
            return shellcode(["relnox"], shell=shell) + "\n"
        case _:
            raise Blocked(
                "option-invalid",
                f"relnox completion needs the name of a shell: {', '.join(SHELLS)}",
                fix='for bash, add to ~/.bashrc: eval "$(relnox completion bash)"',
            )


def complete() -> int:
    """Print the completions of the command line that the shell passes in the environment, and exit."""
    import argcomplete

    argcomplete.autocomplete(_completion_parser(), always_complete_options="long")
    return 1  # there is no shell that waits for completions


def _completion_parser() -> argparse.ArgumentParser:
    """Return a parser for all tasks; only the task on the command line gets its options, to save time."""
    parser = argparse.ArgumentParser("relnox", allow_abbrev=False)
    tasks = parser.add_subparsers()
    words = shlex.split(os.environ.get("COMP_LINE", "").partition(" ")[2].replace("'", "").replace('"', ""))
    for name, task in COMMANDS.items():
        inner = tasks.add_parser(name, help=task.summary, allow_abbrev=False)
        if name in words:
            argument_parser.add_arguments_for_completion(inner, name)
    word = words[0] if words else ""
    command = find_command(SYNONYMS.get(word, word))
    if command is not None and command.name != word:
        argument_parser.add_arguments_for_completion(tasks.add_parser(word), command.name)
    tasks.add_parser("completion", help="Print the code for shell completion").add_argument(
        "shell", choices=SHELLS
    )
    return parser
