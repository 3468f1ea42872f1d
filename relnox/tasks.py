"""The door for invoke: `from relnox.tasks import *` in a tasks file, or `Collection.from_module(relnox.tasks)`.

`ns` is left out of `__all__`: a tasks file that holds an `ns` would lose its own tasks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from invoke.collection import Collection
from invoke.exceptions import Exit
from invoke.parser.argument import Argument
from invoke.tasks import Task as InvokeTask

from relnox import arguments, reporters
from relnox.commands import TASKS, help_of, load
from relnox.core.options import from_text, options_of
from relnox.errors import ExitCode, Refused

if TYPE_CHECKING:
    from invoke.context import Context

    from relnox.commands import Task
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


def _flags(each: Option) -> list[Argument]:
    """An option as invoke knows it; a switch that may be switched off is two, so that "not given" is exact."""
    told = arguments.described(each)
    # A number is read by `from_text`: invoke ends in a traceback where one cannot be read.
    kind = list if each.kind is tuple else bool if each.kind is bool else str
    flags = [_flag(each.key, each.name, kind, told)]
    if each.negative is not None:
        flags.append(_flag(each.negative.removeprefix("--"), f"no_{each.name}", bool, f"Not {each.flag}."))
    return flags


def _flag(key: str, name: str, kind: type, told: str) -> Argument:
    # An `attr_name` equal to the name sends invoke into an endless recursion.
    attribute = name if name != key else None
    return Argument(name=key, kind=kind, default=False if kind is bool else None, help=told, attr_name=attribute)


def _run(context: Context, task: Task, given: dict[str, Any]) -> None:
    from relnox.commands.perform import perform

    try:
        command_line = _typed(task, given)
    except Refused as error:
        reporters.usage_error(error)
        raise Exit(code=error.exit_code.value) from None
    if context.config.run.dry:
        command_line["dry_run"] = True
    exit_code = perform(task.name, command_line)
    if exit_code is not ExitCode.DONE:
        raise Exit(code=exit_code.value)


def _typed(task: Task, given: dict[str, Any]) -> dict[str, Value]:
    """What was typed, by field name; invoke's defaults say that something was not."""
    found: dict[str, Value] = {}
    for each in options_of(load(task.name).Options):
        match given.get(each.name):
            case None | False | []:
                if given.get(f"no_{each.name}"):
                    found[each.name] = False
            case True if given.get(f"no_{each.name}"):
                # invoke keeps no order, so that the last one cannot win.
                raise Refused(f"{each.flag} and {each.negative} are both given", hint="leave one of them out")
            case True:
                found[each.name] = True
            case list() as texts:
                found[each.name] = tuple(texts)
            case text:
                found[each.name] = from_text(each, text, each.flag)
    return found


status = ReleaseTask(TASKS["status"])
version_bump = ReleaseTask(TASKS["bump"])
build_all = ReleaseTask(TASKS["build-all"])
collect = ReleaseTask(TASKS["collect"])
testpypi = ReleaseTask(TASKS["publish-test"])
publish = ReleaseTask(TASKS["publish"])
verify_install = ReleaseTask(TASKS["verify-install"])
rehearse = ReleaseTask(TASKS["rehearse"])

ns = Collection("release", status, version_bump, build_all, collect, testpypi, publish, verify_install, rehearse)
