"""invoke tasks: `from relnox.tasks import *` in a tasks file, or a collection with settings.

    from relnox import tasks

    ns = tasks.collection(name="release", pre={"publish": [lint]}, defaults={"bump": {"part": "auto"}})

`ns` is not in `__all__`: with an `ns` in a tasks file, invoke ignores the other tasks of the file.
"""

from __future__ import annotations

import inspect
import sys
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NoReturn

from invoke.collection import Collection
from invoke.exceptions import Exit
from invoke.tasks import Task as InvokeTask

from relnox import arguments
from relnox.commands import COMMAND_LINE, TASKS, read_help
from relnox.core.fixes import FrontEnd, TaskCommand
from relnox.core.settings.schema import fields_of
from relnox.errors import Blocked, ExitCode, Problem

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from invoke.context import Context

    from relnox.commands import Task
    from relnox.core.settings.schema import Field, Value

__all__ = [
    "auto_tag",
    "build_all",
    "bump",
    "check",
    "ci",
    "collect",
    "forge_release",
    "publish",
    "publish_test",
    "rehearse",
    "release",
    "status",
    "verify_install",
]


def _make_task(
    task: Task, defaults: Mapping[str, Value] = MappingProxyType({}), **settings: Any
) -> InvokeTask[Any]:
    """Return an invoke task that runs a task of relnox.

    `defaults` are the values of options that are not given, by field name; `settings` are passed to invoke's
    `Task`.
    """
    fields = fields_of(task.options)
    parameters: dict[str, Any] = {}
    for field in fields:
        parameters[field.name] = [] if field.is_list else False if field.is_flag else None
        if field.negative_flag is not None:
            parameters[f"no_{field.name}"] = False

    def body(context: Context, **values: Any) -> None:
        _run_task(context, task, fields, values, defaults)

    body.__name__ = task.import_name
    body.__doc__ = "\n\n".join(filter(None, (task.summary, *read_help(task.name))))
    body.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [
            inspect.Parameter("context", inspect.Parameter.POSITIONAL_OR_KEYWORD),
            *(
                inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=value)
                for name, value in parameters.items()
            ),
        ]
    )
    return InvokeTask(
        body,
        name=task.name,
        aliases=(task.alias.replace("_", "-"),) if task.alias else (),
        positional=(),
        auto_shortflags=False,
        help={field.name: field.description for field in fields},
        iterable=[field.name for field in fields if field.is_list],
        **settings,
    )


def _run_task(
    context: Context, task: Task, fields: Sequence[Field], values: dict[str, Any], defaults: Mapping[str, Value]
) -> None:
    """Run a task with the values that invoke parsed; raise `Exit` with its exit code unless it succeeds.

    `fields` are the options of the task, and `defaults` the values, by field name, of those that are not set.
    """
    from relnox.runner import run_task

    try:
        _check_no_words_after_dashes(task)
        parsed_values = {field.name: _parse_value(field, values) for field in fields}
    except Blocked as error:
        _exit(error)
    command_line = {name: value for name, value in parsed_values.items() if value is not None}
    if context.config.run.dry:
        command_line["dry_run"] = True
    exit_code = run_task(task.name, command_line, _collection_front_end(task), defaults=defaults).exit_code
    if exit_code is not ExitCode.DONE:
        raise Exit(code=exit_code.value)


def _exit(error: Problem) -> NoReturn:
    """Print an error, and end invoke with its exit code."""
    from relnox.reporters.text import PlainReporter

    PlainReporter().show_error(error)
    raise Exit(code=error.exit_code.value) from None


def _check_no_words_after_dashes(task: Task) -> None:
    """Raise `Blocked` if the command line calls the task and has words after `--`, which invoke would ignore."""
    if (words := _words_of_command_line()[1]) and _task_word_on_command_line(task):
        raise Blocked(
            "option-invalid",
            f"invoke {task.name} takes no words after the dashes: {' '.join(words)}",
            fix=f"write them before the dashes; invoke --help {task.name} lists the options",
        )


def _parse_value(field: Field, values: Mapping[str, Any]) -> Value:
    """Return the value of an option among those that invoke parsed, or None if the command line does not set it.

    `values` has them by parameter name, with `no_NAME` for a negative flag.

    Raises:
        Blocked: The value is not valid, or a flag and its negative one are both set.
    """
    value = values.get(field.name)
    if field.is_list:
        return tuple(map(field.parse, value or ())) or None
    if not field.is_flag:
        return field.parse(value) if value is not None else None
    negative = values.get(f"no_{field.name}")
    if value and negative:
        raise Blocked(
            "options-conflict",
            f"{field.flag} cannot be used with {field.negative_flag}",
            fix=f"remove {field.flag} or {field.negative_flag}",
        )
    return True if value else False if negative else None


def _words_of_command_line() -> tuple[list[str], list[str]]:
    """Return the words of invoke's command line before the first `--`, and those after it."""
    words = sys.argv[1:]
    end = words.index("--") if "--" in words else len(words)
    return words[:end], words[end + 1 :]


def _task_word_on_command_line(task: Task) -> str:
    """Return the word with which the command line calls a task, such as `release.bump`; empty if it does not."""
    names = {name.replace("_", "-") for name in task.import_names}
    return next((word for word in _words_of_command_line()[0] if word.rpartition(".")[2] in names), "")


def _collection_front_end(task: Task) -> FrontEnd:
    """Return the commands by which fixes in messages start tasks.

    They begin with `invoke` for tasks in the collection, or the tasks file, from which the command line calls
    `task`, and with `relnox` for others.
    """
    prefix = "".join(_task_word_on_command_line(task).rpartition(".")[:2])
    names = _collections.get(prefix.removesuffix(".") or None)
    if names is None:
        names = list(TASKS) if prefix else [name for name, task in _TASKS.items() if _is_imported(task)]
    return FrontEnd({**COMMAND_LINE.tasks, **{name: TaskCommand(f"invoke {prefix}{name}") for name in names}})


def _is_imported(task: InvokeTask[Any]) -> bool:
    """Return whether a module, such as the tasks file, has imported a task from here."""
    others = [module for name, module in list(sys.modules.items()) if name != __name__]
    return any(getattr(module, "__dict__", {}).get(task.body.__name__) is task for module in others)


_collections: dict[str | None, list[str]] = {}
"""Maps the name of each collection to the names of its tasks."""


def collection(
    *tasks: str,
    name: str | None = "release",
    pre: Mapping[str, Sequence[Any]] = MappingProxyType({}),
    post: Mapping[str, Sequence[Any]] = MappingProxyType({}),
    defaults: Mapping[str, Mapping[str, Value]] = MappingProxyType({}),
) -> Collection:
    """Return a collection of relnox's tasks, with settings by task.

    Args:
        *tasks: Names of tasks (`build-all`) or import names (`build_all`); none for all tasks.
        name: The name of the collection; None for the root of a tasks file.
        pre: Tasks of the project that invoke runs before a task.
        post: Tasks of the project that invoke runs after a task.
        defaults: Defaults of a task's options, by name: `{"bump": {"part": "auto", "commit": True}}`.
            `pyproject.toml`, the environment and the command line override them. `yes` and `project` cannot have
            one.

    Raises:
        Exit: A name is not that of a task, an option is unknown, or a value is not valid.
    """
    try:
        settings = arguments.settings_by_task(tasks, {"pre": pre, "post": post, "defaults": defaults})
    except Blocked as error:
        _exit(error)
    release = Collection(name)
    for task, values in settings.items():
        release.add_task(_make_task(task, **values))
    _collections[name] = [task.name for task in settings]
    return release


_TASKS = {name: _make_task(task) for name, task in TASKS.items()}

ns = Collection("release", *_TASKS.values())

status = _TASKS["status"]
check = _TASKS["check"]
bump = version_bump = _TASKS["bump"]
auto_tag = _TASKS["auto-tag"]
build_all = _TASKS["build-all"]
collect = _TASKS["collect"]
publish_test = testpypi = _TASKS["publish-test"]
publish = _TASKS["publish"]
verify_install = _TASKS["verify-install"]
forge_release = _TASKS["forge-release"]
release = _TASKS["release"]
rehearse = _TASKS["rehearse"]
ci = _TASKS["ci"]
