"""The door for invoke: `from relnox.tasks import *` in a tasks file, or `Collection.from_module(relnox.tasks)`.

`ns` is left out of `__all__`: a tasks file that holds an `ns` would lose its own tasks.

A task of the project's own under the same name is an error, whichever of the two comes first: Python and invoke
themselves would let the later one replace the other. What an import replaces is seen by `__getattr__` (PEP 562),
what replaces an import when invoke makes a collection of the tasks file.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from invoke.collection import Collection
from invoke.exceptions import Exit
from invoke.parser.argument import Argument
from invoke.tasks import Task as InvokeTask

from relnox import arguments, importing, reporters
from relnox.commands import COMMAND_LINE, TASKS, help_of, load
from relnox.core.fixes import Start
from relnox.core.options import from_text, options_of
from relnox.errors import Blocked, ExitCode

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from invoke.context import Context

    from relnox.commands import Task
    from relnox.core.fixes import FrontEnd
    from relnox.core.options import Option, Value

__all__ = [
    "build_all",
    "collect",
    "publish",
    "rehearse",
    "status",
    "testpypi",
    "verify_install",
    "version_bump",
]


class ReleaseTask(InvokeTask[Any]):
    """A task whose flags come from relnox's option schema instead of from a function's parameters."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self.release_task = task.name

        def body(context: Context, **given: Any) -> None:
            _run(context, task, given)

        body.__name__ = task.attribute
        summary, rest = help_of(task.name)
        body.__doc__ = f"{summary}\n\n{rest}" if rest else summary
        alias = task.attribute.replace("_", "-")
        aliases = (alias,) if alias != task.name else ()
        super().__init__(body, name=task.name, aliases=aliases, positional=(), auto_shortflags=False)

    def get_arguments(self, ignore_unknown_help: bool | None = None) -> list[Argument]:  # noqa: FBT001 - invoke's
        """The task's flags, as invoke asks for them."""
        del ignore_unknown_help
        return [each for declared in options_of(load(self._task.name).Options) for each in _flags(declared)]


class _Flag(Argument):
    """A flag whose value is checked as it is read: a wrong one ends the call before its first task runs.

    Args:
        declared: Its option.
        negative: Whether it switches the option off.
        opposite: The flag that switches it on.
    """

    def __init__(self, declared: Option, *, negative: bool = False, opposite: _Flag | None = None) -> None:
        # A number is read by `from_text`: invoke ends in a traceback where one cannot be read.
        kind = list if declared.kind is tuple else bool if declared.kind is bool else str
        key = (declared.negative or "").removeprefix("--") if negative else declared.key
        name = f"no_{declared.name}" if negative else declared.name
        super().__init__(
            name=key,
            kind=kind,
            default=False if kind is bool else None,
            help=f"Not {declared.flag}." if negative else arguments.described(declared),
            attr_name=name
            if name != key
            else None,  # one equal to the name sends invoke into an endless recursion
        )
        self._declared = declared
        self._opposite = opposite
        if opposite is not None:
            opposite._opposite = self  # noqa: SLF001 - the two know each other

    def set_value(self, value: Any, cast: bool = True) -> None:  # noqa: FBT001, FBT002 - invoke's
        """Take what was typed.

        Raises:
            Exit: It is none of the option's choices, or the opposite was typed as well.
        """
        super().set_value(value, cast)
        try:
            if self.kind is not bool:
                from_text(self._declared, value, self._declared.flag)
            elif self._opposite is not None and self._opposite.raw_value:
                raise _contradiction(self._declared)
        except Blocked as error:
            reporters.usage_error(error)
            raise Exit(code=error.exit_code.value) from None


def _flags(declared: Option) -> list[_Flag]:
    """An option as invoke knows it; a switch that may be switched off is two, so that "not given" is exact."""
    flag = _Flag(declared)
    return [flag] if declared.negative is None else [flag, _Flag(declared, negative=True, opposite=flag)]


def _contradiction(declared: Option) -> Blocked:
    """Both flags of a switch: invoke keeps no order, so that the last one cannot win."""
    return Blocked(
        "contradicting-options",
        f"{declared.flag} and {declared.negative} exclude each other",
        fix=f"remove {declared.flag} or {declared.negative}",
    )


def _run(context: Context, task: Task, given: dict[str, Any]) -> None:
    from relnox.commands.perform import perform

    try:
        command_line = _typed(task, given)
    except Blocked as error:
        reporters.usage_error(error)
        raise Exit(code=error.exit_code.value) from None
    if context.config.run.dry:
        command_line["dry_run"] = True
    exit_code = perform(task.name, command_line, _front_end())
    if exit_code is not ExitCode.DONE:
        raise Exit(code=exit_code.value)


def _front_end() -> FrontEnd:
    """How tasks are started with this tasks file; one that it does not hold is a command of relnox."""
    found = {}
    for name in _collections[-1].task_names if _collections else ():
        if isinstance(task := _collections[-1][name], ReleaseTask):
            found[task.release_task] = Start(f"invoke {name}")
    return COMMAND_LINE._replace(tasks={**COMMAND_LINE.tasks, **found})


def _typed(task: Task, given: dict[str, Any]) -> dict[str, Value]:
    """What was typed, by field name; invoke's defaults say that something was not."""
    found: dict[str, Value] = {}
    for each in options_of(load(task.name).Options):
        match given.get(each.name):
            case None | False | []:
                if given.get(f"no_{each.name}"):
                    found[each.name] = False
            case True if given.get(f"no_{each.name}"):
                raise _contradiction(each)
            case True:
                found[each.name] = True
            case list() as texts:
                found[each.name] = tuple(texts)
            case text:
                found[each.name] = from_text(each, text, each.flag)
    return found


_BY_ATTRIBUTE = {task.attribute: ReleaseTask(task) for task in TASKS.values()}

if TYPE_CHECKING:
    status: ReleaseTask
    version_bump: ReleaseTask
    build_all: ReleaseTask
    collect: ReleaseTask
    testpypi: ReleaseTask
    publish: ReleaseTask
    verify_install: ReleaseTask
    rehearse: ReleaseTask
else:

    def __getattr__(name: str) -> Any:
        if name not in _BY_ATTRIBUTE:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        task = _BY_ATTRIBUTE[name]
        importer = sys._getframe(1)  # noqa: SLF001 - nothing else says who imports
        if (alias := importing.alias_of(name, __name__, importer)) is not None:
            raise _blocked(
                "task-renamed-by-import",
                f"{name} is imported as {alias}, but its task is still called {task.name}",
                f'import {name} without "as"; for another name: '
                f'ns = Collection(); ns.add_task({name}, name="{alias}")',
            )
        if _is_own(importer.f_globals.get(name)):
            raise _taken(task.name, name)
        _imports.append((importer.f_globals, name))
        return task


_imports: list[tuple[dict[str, Any], str]] = []
"""The namespaces that tasks were imported into."""

ns = Collection("release", *_BY_ATTRIBUTE.values())


_collections: list[Collection] = []
"""Those that were made, the one that invoke runs at the end."""
_collection_of: Callable[..., Collection] = Collection.from_module.__func__  # type: ignore[attr-defined]


def _checked_collection(kind: type[Collection], module: ModuleType, *words: Any, **settings: Any) -> Collection:
    """`Collection.from_module`, by which invoke finds the tasks of a tasks file, after a look at their names."""
    _check_names(module)
    collection = _collection_of(kind, module, *words, **settings)
    _collections.append(collection)
    return collection


Collection.from_module = classmethod(_checked_collection)  # type: ignore[assignment]


def _check_names(module: ModuleType) -> None:
    """Refuse a tasks file in which one of the project's tasks takes the place of one of relnox's.

    Raises:
        Exit: A task that was imported is bound to another one now, or two have one name on the command line.
    """
    present = vars(module)
    for namespace, attribute in _imports:
        if namespace is present and _is_own(present.get(attribute)):
            raise _taken(_BY_ATTRIBUTE[attribute].name, attribute)
    if any(isinstance(present.get(name), Collection) for name in ("ns", "namespace")):
        return  # invoke takes that, and nothing else of the file
    found = [task for task in present.values() if isinstance(task, InvokeTask)]
    own = {name for task in found if _is_own(task) for name in _names(task)}
    for task in found:
        if isinstance(task, ReleaseTask) and (names := own & _names(task)):
            raise _taken(names.pop(), task.body.__name__)


def _names(task: InvokeTask[Any]) -> set[str]:
    """The names of a task on the command line, as far as it chooses them."""
    return {name.replace("_", "-") for name in (task.name, *task.aliases)}


def _is_own(task: object) -> bool:
    """Whether it is a task, and none of relnox's."""
    return isinstance(task, InvokeTask) and not isinstance(task, ReleaseTask)


def _blocked(code: str, message: str, fix: str) -> Exit:
    """An error of a tasks file; invoke prints it without a traceback."""
    return Exit(f"error: {message} [{code}]\nfix: {fix}", code=ExitCode.BLOCKED.value)


def _taken(name: str, attribute: str) -> Exit:
    return _blocked(
        "task-name-twice",
        f"two tasks are named {name}: relnox's {attribute}, and another one in this tasks file",
        "rename the other one, or have relnox's in a collection of their own: "
        'ns = Collection(other, Collection.from_module(relnox.tasks, name="release"))',
    )
