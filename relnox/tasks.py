"""invoke tasks: `from relnox.tasks import *` in a tasks file, or a collection with settings.

    from relnox import tasks

    ns = tasks.collection(name="release", pre={"publish": [lint]}, defaults={"bump": {"part": "auto"}})

`ns` is not in `__all__`: with an `ns` in a tasks file, invoke ignores the other tasks of the file.

A task of the project with the same name is an error, in either order: Python and invoke would let the later one
replace the other. `__getattr__` (PEP 562) detects tasks that an import replaces; tasks that replace an import are
detected when invoke makes a collection of the tasks file.
"""

from __future__ import annotations

import sys
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from invoke.collection import Collection
from invoke.exceptions import Exit
from invoke.parser.argument import Argument
from invoke.tasks import Call
from invoke.tasks import Task as InvokeTask

from relnox import arguments, importing, reporters
from relnox.commands import COMMAND_LINE, TASKS, import_task_module, read_help, suggest_task
from relnox.core.fixes import FrontEnd, TaskCommand
from relnox.core.settings.schema import fields_of
from relnox.errors import Blocked, ExitCode

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import FrameType, ModuleType

    from invoke.context import Context

    from relnox.commands import Task
    from relnox.core.settings.schema import Field, Value

__all__ = [
    "auto_tag",
    "build_all",
    "bump",
    "collect",
    "publish",
    "publish_test",
    "rehearse",
    "status",
    "verify_install",
]


class ReleaseTask(InvokeTask[Any]):
    """A task whose flags are generated from relnox's options instead of a function's parameters."""

    def __init__(
        self,
        task: Task,
        *,
        pre: Sequence[Any] = (),
        post: Sequence[Any] = (),
        defaults: Mapping[str, Value] = MappingProxyType({}),
    ) -> None:
        self._task = task
        self.release_task = task.name

        def body(context: Context, **values: Any) -> None:
            _run_task(context, task, values, defaults)

        body.__name__ = task.import_name
        body.__doc__ = "\n\n".join(filter(None, (task.summary, *read_help(task.name))))
        super().__init__(
            body,
            name=task.name,
            aliases=(task.alias.replace("_", "-"),) if task.alias else (),
            positional=(),
            auto_shortflags=False,
            pre=list(pre),
            post=list(post),
        )

    def get_arguments(self, ignore_unknown_help: bool | None = None) -> list[Argument]:  # noqa: FBT001 - invoke's
        """Return the flags of the task."""
        del ignore_unknown_help
        return [
            flag
            for option in fields_of(import_task_module(self._task.name).Options)
            for flag in _flags_of_option(option)
        ]


class _Flag(Argument):
    """A flag whose value is checked while invoke parses the command line, before the first task runs.

    If `negative` is true, it sets the option to false, and `opposite` is the flag that sets it to true.
    """

    def __init__(self, option: Field, *, negative: bool = False, opposite: _Flag | None = None) -> None:
        # Numbers are parsed by `Field.parse`: invoke prints a traceback for an invalid one.
        kind = list if option.is_list else bool if option.is_flag else str
        key = (option.negative or "").removeprefix("--") if negative else option.key
        name = f"no_{option.name}" if negative else option.name
        short = option.short.removeprefix("-")
        super().__init__(
            names=(key, short) if short and not negative else (key,),
            kind=kind,
            default=False if kind is bool else None,
            help=f"Not {option.flag}." if negative else option.description,
            attr_name=name if name != key else None,  # an equal name makes invoke recurse endlessly
        )
        self._option = option
        self._opposite = opposite
        if opposite is not None:
            opposite._opposite = self  # noqa: SLF001 - the same class

    def set_value(self, value: Any, cast: bool = True) -> None:  # noqa: FBT001, FBT002 - invoke's
        """Set the value from the command line.

        Raises:
            Exit: It is not valid, or the opposite flag was used too.
        """
        super().set_value(value, cast)
        try:
            if self.kind is not bool:
                self._option.parse(value)
            elif self._opposite is not None and self._opposite.raw_value:
                raise _both_flags_error(self._option)
        except Blocked as error:
            reporters.usage_error(error)
            raise Exit(code=error.exit_code.value) from None


def _flags_of_option(option: Field) -> list[_Flag]:
    """Return the flags of an option: two for a boolean option that can be turned off, otherwise one."""
    flag = _Flag(option)
    return [flag] if option.negative is None else [flag, _Flag(option, negative=True, opposite=flag)]


def _both_flags_error(option: Field) -> Blocked:
    """Return the error if both flags of an option are used; invoke does not tell which one was last."""
    return Blocked(
        "options-conflict",
        f"{option.flag} cannot be used with {option.negative}",
        fix=f"remove {option.flag} or {option.negative}",
    )


def _run_task(context: Context, task: Task, values: dict[str, Any], defaults: Mapping[str, Value]) -> None:
    from relnox.commands.running import perform

    try:
        command_line = _add_words_after_dashes(
            task, _options_of_flags(task, values), _words_for_task(context, task)
        )
    except Blocked as error:
        reporters.usage_error(error)
        raise Exit(code=error.exit_code.value) from None
    if context.config.run.dry:
        command_line["dry_run"] = True
    if context.config.run.echo:
        command_line.setdefault("verbose", True)
    exit_code = perform.run_task(task.name, command_line, _task_commands(), defaults=defaults).exit_code
    if exit_code is not ExitCode.DONE:
        raise Exit(code=exit_code.value)


def _words_for_task(context: Context, task: Task) -> list[str]:
    """Return the words after `--` that are for a task.

    They are for the tasks that the command line names. A task that runs only before or after another one takes
    those that it has, and one that a task of the project calls takes none.
    """
    words = _words_after_dashes(context)
    frame: FrameType | None = sys._getframe() if words else None  # noqa: SLF001 - invoke passes no more than the context
    while frame is not None and frame.f_globals.get("__name__") != "invoke.executor":
        frame = frame.f_back
    call = frame.f_locals.get("call") if frame is not None else None
    if frame is None or call is None or _is_project_task(call.task):
        return []
    is_named = call in frame.f_locals.get("direct", ())
    return words if is_named else arguments.filter_words_of_task(task.name, words)


def _words_after_dashes(context: Context) -> list[str]:
    """Return the words after `--` on the command line, which invoke passes on as one text, since 3.0."""
    words = sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else []
    text: str | None = getattr(context, "remainder", None)
    return words if text is None or text == " ".join(words) else text.split()


def _add_words_after_dashes(task: Task, command_line: dict[str, Value], words: Sequence[str]) -> dict[str, Value]:
    """Return the options of the flags and of the words after `--`, as in `invoke bump -- minor`."""
    program = f"invoke {task.name} --"
    rest = arguments.parse(task.name, words, program) if words else {}
    if twice := rest.keys() & command_line.keys():
        flag = f"--{twice.pop().replace('_', '-')}"
        raise Blocked("options-conflict", f"{program}: {flag} is set before the dashes, too", fix=f"remove {flag}")
    return {**command_line, **rest}


def _task_commands() -> FrontEnd:
    """Return the command for each task: `invoke` if this tasks file has the task, otherwise `relnox`."""
    commands = {}
    for name in _collections[-1].task_names if _collections else ():
        if isinstance(task := _collections[-1][name], ReleaseTask):
            commands[task.release_task] = TaskCommand(f"invoke {name}")
    return FrontEnd({**COMMAND_LINE.tasks, **commands})


def _options_of_flags(task: Task, values: dict[str, Any]) -> dict[str, Value]:
    """Return the options on the command line by field name, without those that have invoke's defaults."""
    options: dict[str, Value] = {}
    for option in fields_of(import_task_module(task.name).Options):
        match values.get(option.name):
            case None | False | []:
                if values.get(f"no_{option.name}"):
                    options[option.name] = False
            case True if values.get(f"no_{option.name}"):
                raise _both_flags_error(option)
            case True:
                options[option.name] = True
            case list() as texts:
                options[option.name] = tuple(texts)
            case text:
                options[option.name] = option.parse(text)
    return options


_TASKS = {name: ReleaseTask(task) for name, task in TASKS.items()}
_BY_SPELLING = {spelling: _TASKS[name] for name, task in TASKS.items() for spelling in task.import_names}


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
        added_tasks, by_task = importing.check_registration(
            tasks, {"pre": pre, "post": post, "defaults": defaults}, (InvokeTask, Call)
        )
        if name == "" or not isinstance(name, str | None):
            raise Blocked(  # noqa: TRY301 - as those of other arguments
                "value-invalid", f"{name!r} is not a valid collection name", fix='write it like name="release"'
            )
    except Blocked as error:
        raise _invoke_error(error.code, error.message, error.fix or "") from None
    tasks_of_release = Collection(name)
    for task in added_tasks:
        settings = {what: values[task.name] for what, values in by_task.items() if task.name in values}
        tasks_of_release.add_task(ReleaseTask(task, **settings))
    _collections.append(tasks_of_release)
    return tasks_of_release


if TYPE_CHECKING:
    status: ReleaseTask
    bump: ReleaseTask
    version_bump: ReleaseTask
    auto_tag: ReleaseTask
    build_all: ReleaseTask
    collect: ReleaseTask
    publish_test: ReleaseTask
    testpypi: ReleaseTask
    publish: ReleaseTask
    verify_install: ReleaseTask
    rehearse: ReleaseTask
else:

    def __getattr__(name: str) -> Any:
        importer = sys._getframe(1)  # noqa: SLF001 - the only way to find the importing module
        task = _BY_SPELLING.get(name)
        if task is None:
            if not name.startswith("_") and importing.is_tasks_file(importer):
                raise _invoke_error(
                    "task-unknown", f"relnox.tasks has no task {name}", suggest_task(name, _BY_SPELLING)
                )
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        importing.check_imported_module(__name__, importer)
        if (alias := importing.alias_of(name, __name__, importer)) is not None:
            raise _invoke_error(
                "task-renamed-by-import",
                f"{name} is imported as {alias}, but its task is still named {task.name}",
                f'import {name} without "as"; for another name: '
                f'ns = Collection(); ns.add_task({name}, name="{alias}")',
            )
        if _is_project_task(importer.f_globals.get(name)):
            raise _duplicate_name_error(task.name, name)
        _imports.append((importer.f_globals, name))
        return task


_imports: list[tuple[dict[str, Any], str]] = []
"""The namespaces that tasks were imported into."""

ns = Collection("release", *_TASKS.values())


_collections: list[Collection] = []
"""Collections of tasks files; invoke runs the last one."""
_collection_of: Callable[..., Collection] = Collection.from_module.__func__  # type: ignore[attr-defined]


def _checked_collection(kind: type[Collection], module: ModuleType, *words: Any, **settings: Any) -> Collection:
    """Check the names of tasks before invoke loads a tasks file; replaces `Collection.from_module`."""
    _check_names(module)
    collection = _collection_of(kind, module, *words, **settings)
    _collections.append(collection)
    return collection


Collection.from_module = classmethod(_checked_collection)  # type: ignore[assignment]


def _check_names(module: ModuleType) -> None:
    """Check that no task of the project replaces one of relnox: by rebinding an import, or by its name."""
    existing_names = vars(module)
    for namespace, attribute in _imports:
        if namespace is existing_names and _is_project_task(existing_names.get(attribute)):
            raise _duplicate_name_error(_BY_SPELLING[attribute].name, attribute)
    if any(isinstance(existing_names.get(name), Collection) for name in ("ns", "namespace")):
        return  # invoke uses it and ignores the rest of the file
    tasks = [task for task in existing_names.values() if isinstance(task, InvokeTask)]
    own = {name for task in tasks if _is_project_task(task) for name in _command_line_names(task)}
    for task in tasks:
        if isinstance(task, ReleaseTask) and (names := own & _command_line_names(task)):
            raise _duplicate_name_error(names.pop(), task.body.__name__)


def _command_line_names(task: InvokeTask[Any]) -> set[str]:
    return {name.replace("_", "-") for name in (task.name, *task.aliases)}


def _is_project_task(task: object) -> bool:
    """Return whether an object is a task of the project, not of relnox."""
    return isinstance(task, InvokeTask) and not isinstance(task, ReleaseTask)


def _invoke_error(code: str, message: str, fix: str) -> Exit:
    """Return an exception that makes invoke exit with this error and no traceback."""
    return Exit(importing.error_text(code, message, fix), code=ExitCode.BLOCKED.value)


def _duplicate_name_error(name: str, attribute: str) -> Exit:
    return _invoke_error(
        "task-name-twice",
        f"two tasks are named {name}: relnox's {attribute}, and another one in this tasks file",
        "rename the other one, or put relnox's tasks into their own collection: "
        'ns = Collection(other, relnox.tasks.collection(name="release"))',
    )
