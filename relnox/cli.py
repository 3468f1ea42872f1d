"""The command line: `relnox TASK [options]`."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from relnox import arguments
from relnox.commands import COMMANDS, SYNONYMS, find_task
from relnox.errors import Blocked, problem_of
from relnox.reporters.streams import STDOUT
from relnox.reporters.text import PlainReporter

_SUGGESTIONS = {
    "upload": "relnox publish",
    "version": "relnox status shows versions, relnox bump sets them, relnox --version shows relnox's own",
    "test": "relnox build-all --test",
}
"""Maps words that are no tasks to a fix: the commands that do what the word suggests."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the task that the arguments name (by default `sys.argv[1:]`), and return its exit code; print errors."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:  # closed: relnox status 2>&-
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: PTH123, SIM115 - stays open
    try:
        if "_ARGCOMPLETE" in os.environ:
            return _print_completions()
        return _run(list(sys.argv[1:] if argv is None else argv))
    except Exception as error:
        if (problem := problem_of(error)) is None:
            raise
        PlainReporter().show_error(problem)
        return problem.exit_code


def _run(words: Sequence[str]) -> int:
    """Run the task or show the help that the arguments ask for, and return the exit code."""
    match words:
        case [] | ["-h" | "--help", *_] | ["help"]:
            return _print_unescaped(_usage_text())
        case ["-V" | "--version", *_]:
            from importlib.metadata import version

            return _print_unescaped(f"relnox {version('relnox')}\n")
        case ["help", task, *_]:
            return _run([task, "--help"])
        case ["completion", *rest]:
            return _print_unescaped(_completion_script(rest))
        case [word, *rest]:
            from relnox.runner import run_task

            name = _task_name(word)
            return run_task(name, arguments.parse_options(name, rest, f"relnox {name}")).exit_code
        case _:
            raise AssertionError(words)


def _task_name(word: str) -> str:
    """Return the name of the task for the first word of the command line; raise `Blocked` if there is none."""
    if word.startswith("-"):
        raise Blocked(
            "task-unknown",
            f"the task is missing (the command line begins with {word})",
            "write the task first: relnox TASK [options]; relnox --help lists the tasks",
        )
    try:
        return find_task(SYNONYMS.get(word, word)).name
    except Blocked as error:
        raise error.but(fix=_SUGGESTIONS.get(word, error.fix)) from None


def _print_unescaped(text: str) -> int:
    """Print text as it is, and return the exit code 0."""
    STDOUT.write(text)
    STDOUT.flush()
    return 0


def _usage_text() -> str:
    """Return the help of `relnox` without a task: the usage, and a list of all tasks."""
    tasks = "\n".join(f"  {name:<14}  {task.summary}" for name, task in COMMANDS.items())
    return f"""usage: relnox TASK [options]

Release Python packages: planned, resumable, verified.

tasks:
{tasks}

relnox completion bash, zsh or fish prints the code for shell completion.
relnox TASK --help shows the options of a task; nox -s TASK and invoke TASK run the same tasks.
"""


def _completion_script(words: Sequence[str]) -> str:
    """Return the code that enables completion in a shell; raise `Blocked` unless `words` are the name of one."""
    from argcomplete.shell_integration import shellcode  # nox requires argcomplete as well

    match words:
        case [shell] if shell in arguments.SHELLS:
            return shellcode(["relnox"], shell=shell) + "\n"
        case _:
            raise Blocked(
                "option-invalid",
                f"relnox completion needs the name of a shell: {', '.join(arguments.SHELLS)}",
                'for bash, add to ~/.bashrc: eval "$(relnox completion bash)"',
            )


def _print_completions() -> int:
    """Print the completions of the command line that the shell passes in the environment, and exit the process.

    If argcomplete does not exit, since no shell waits for completions, return the exit code 1.
    """
    import argcomplete

    parser = arguments.completion_parser(os.environ.get("COMP_LINE", ""))
    argcomplete.autocomplete(parser, always_complete_options="long")
    return 1  # there is no shell that waits for completions
