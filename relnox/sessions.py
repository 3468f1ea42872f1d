"""The door for nox: `from relnox.sessions import build_all, publish` in a noxfile.

nox runs a noxfile twice under some of its entry points and empties its registry in between, while this module
stays loaded. So nothing is registered by importing the module: each from-import asks `__getattr__` (PEP 562)
anew, and that registers the one session, unless it is registered already. Only what a project imports is there.

A session of the project's own under the same name is an error, whichever of the two comes first: nox itself would
let the later one replace the other. What follows `--` goes to every session of a call, so that it is checked for
all of them before the first one runs.
"""

from __future__ import annotations

import inspect
import logging
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nox
import nox.registry

from relnox import importing
from relnox.commands import COMMAND_LINE, TASKS, help_of
from relnox.core.fixes import Start, command_line
from relnox.errors import Blocked, ExitCode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from relnox.commands import Task
    from relnox.core.fixes import FrontEnd
    from relnox.core.options import Value

    SessionFunction = Callable[[nox.Session], None]

    status: SessionFunction
    version_bump: SessionFunction
    build_all: SessionFunction
    collect: SessionFunction
    testpypi: SessionFunction
    publish: SessionFunction
    verify_install: SessionFunction
    rehearse: SessionFunction

__all__ = [
    "build_all",
    "collect",
    "publish",
    "register",
    "rehearse",
    "status",
    "testpypi",
    "verify_install",
    "version_bump",
]

_BY_ATTRIBUTE = {task.attribute: task for task in TASKS.values()}
_ATTRIBUTES = {task.name: task.attribute for task in TASKS.values()}


class _Registry(dict[str, Any]):
    """nox's registry of sessions, in which the project's own replace none of relnox's."""

    def __setitem__(self, name: str, function: Any) -> None:
        present, task = _task_of(self.get(name)), _task_of(function)
        if present is not None and present != task:
            raise ValueError(_taken(name, _ATTRIBUTES[present]))
        super().__setitem__(name, function)

    def __copy__(self) -> dict[str, Any]:
        return dict(self)


def register(
    *names: str, prefix: str = "", name: str = "", tags: Iterable[str] = (), python: Iterable[str] = ()
) -> None:
    """Register sessions under chosen names; the form for noxfiles that want another name or a tag.

    Args:
        *names: Import names, such as `build_all`; none for all of them.
        prefix: What stands before each session's name.
        name: The whole name of the session, where one is registered.
        tags: Tags of these sessions. `nox -t` runs every session of a tag: do not share one between harmless
            sessions and ones that publish. Before nox 2026.4.10 a tag selects no session of relnox.
        python: For `verify_install`: Python versions that get a session of their own, such as
            `verify-install-3.12`.

    Raises:
        ValueError: A name is no task's, or is registered already by the project.
    """
    if name and (len(names) != 1 or prefix):
        raise ValueError(f"name={name!r} names one session: give it one import name and no prefix")
    for each in names:
        if each not in _BY_ATTRIBUTE:
            raise ValueError(f"relnox has no session {each}; there are {', '.join(sorted(_BY_ATTRIBUTE))}")
    for each in names or _BY_ATTRIBUTE:
        task = _BY_ATTRIBUTE[each]
        session = name or prefix + task.name
        _registered(task, session, {}, tags)
        if task.name == "verify-install":
            for version in (*python, *_configured_pythons()):
                _registered(task, f"{session}-{version}", {"python": (version,)}, tags)


if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        if name not in _BY_ATTRIBUTE:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        session = _BY_ATTRIBUTE[name].name
        if (alias := importing.alias_of(name, __name__, sys._getframe(1))) is not None:  # noqa: SLF001
            raise ValueError(
                f"{name} is imported as {alias}, but its session is still named {session} "
                f"[session-renamed-by-import]\n"
                f'fix: relnox.sessions.register("{name}", name="{alias}"), or import {name} without "as"'
            )
        register(name)
        return nox.registry.get()[session]


def _registered(task: Task, name: str, settled: dict[str, Value], tags: Iterable[str]) -> None:
    """Register one session, once."""
    _guard_registry()
    present = nox.registry.get().get(name)
    if present is not None:
        if _task_of(present) != task.name:
            raise ValueError(_taken(name, task.attribute))
        return

    def session_function(session: nox.Session) -> None:
        _run(session, task, settled)

    session_function.__doc__ = _help(task)
    session_function.__name__ = task.attribute
    session_function.relnox_task = task.name  # type: ignore[attr-defined]
    settings: dict[str, Any] = {"name": name, "python": False, "default": False, "tags": list(tags)}
    if "allow_parallel" in inspect.signature(nox.session).parameters:
        settings["allow_parallel"] = False
    nox.session(**settings)(session_function)


def _guard_registry() -> None:
    """Have nox's registry refuse a session that would replace one of relnox's.

    nox lets the later of two sessions win: with a warning since 2025.10.14, silently before, as an error some day.
    """
    present = getattr(nox.registry, "_REGISTRY", None)
    if isinstance(present, dict) and not isinstance(
        present, _Registry
    ):  # where nox keeps its sessions elsewhere, what nox says of it has to do
        nox.registry._REGISTRY = _Registry(present)  # noqa: SLF001 - there is no other way to see what comes later


def _task_of(function: Any) -> str | None:
    """The task behind a session; None for one of the project's own."""
    task: str | None = getattr(function, "relnox_task", None)
    return task


def _taken(name: str, attribute: str) -> str:
    return (
        f"two sessions are named {name}: relnox's {attribute}, and another one in this noxfile "
        f"[session-name-twice]\n"
        f"fix: rename the other one, or give relnox's another name: "
        f'relnox.sessions.register("{attribute}", name="release-{name}")'
    )


def _help(task: Task) -> str:
    """What `nox --list` and `nox --usage` show; the options, which take time to gather, for --usage only."""
    if any(word.startswith("--usage") for word in sys.argv):
        from relnox import arguments

        return arguments.help_text(task.name)
    return "\n\n".join(help_of(task.name))


def _run(session: nox.Session, task: Task, settled: dict[str, Value]) -> None:
    if _installs_only(session):
        session.log(f"{task.name} installs nothing: --install-only leaves nothing to do")
        return
    from relnox.commands.perform import perform

    for name in ("build", "urllib3"):  # nox shows every logger, unescaped; the reporters tell what matters
        logging.getLogger(name).setLevel(logging.CRITICAL)
    exit_code = perform(task.name, {**_parsed(session, task), **settled}, _front_end())
    if exit_code in (ExitCode.INTERRUPTED, ExitCode.TERMINATED):
        raise KeyboardInterrupt
    if exit_code is not ExitCode.DONE:
        session.error(f"{task.name}: exit code {exit_code.value}, see above")


def _front_end() -> FrontEnd:
    """How tasks are started with this noxfile; one that it does not register is a command of relnox."""
    found: dict[str, Start] = {}
    for name, function in nox.registry.get().items():
        if (task := _task_of(function)) is not None:
            found.setdefault(task, _start(name))
    return COMMAND_LINE._replace(tasks={**COMMAND_LINE.tasks, **found})


def _start(name: str) -> Start:
    return Start(shlex.join(["nox", "-s", name]), "--")


def _parsed(session: nox.Session, task: Task) -> dict[str, Value]:
    from relnox import arguments, reporters

    words: Sequence[str] = session.posargs
    try:
        _check_words(session)
        return arguments.parse(task.name, words, f"nox -s {session.name} --")
    except Blocked as error:
        reporters.usage_error(error)
        session.error(f"{task.name}: exit code {error.exit_code.value}, see above")


def _check_words(session: nox.Session) -> None:
    """Check what follows `--` for every session of the call, before the first of them has changed anything.

    Raises:
        Blocked: A session has no such option, or its value is none of the choices.
    """
    from relnox import arguments

    manifest = session._runner.manifest  # noqa: SLF001 - sessions learn of each other in no other way
    runners = (*manifest._consumed, *manifest._queue)  # noqa: SLF001 - in the order in which they run
    calls = [
        (runner.name, task, runner.posargs) for runner in runners if (task := _task_of(runner.func)) is not None
    ]
    if any(word in ("-h", "--help") for _, _, words in calls for word in words):
        return
    lacking = {name: arguments.unknown_flags(task, words) for name, task, words in calls}
    unknown = set.intersection(*map(set, lacking.values()))
    if any(set(flags) - unknown for flags in lacking.values()):
        commands = (command_line(_start(name), arguments.known_words(task, words)) for name, task, words in calls)
        listed = ", ".join(f"{name} has no {', '.join(flags)}" for name, flags in lacking.items() if flags)
        raise Blocked(
            "option-not-for-every-session",
            f'nox passes the options after "--" to every session, but {listed}',
            fix=" && ".join(commands),
        )
    for name, task, words in calls:
        arguments.parse(task, words, f"nox -s {name} --")


def _installs_only(session: nox.Session) -> bool:
    """Whether nox runs with --install-only, under which it calls every session all the same."""
    return session.run(sys.executable, "-c", "", silent=True, log=False, external=True) is None


def _configured_pythons() -> Sequence[str]:
    """`[tool.relnox.verify] python` of the noxfile's project; a wrong file is told when a session runs."""
    import tomllib

    path = Path("pyproject.toml")
    try:
        found: Any = tomllib.loads(path.read_text(encoding="utf-8-sig")) if path.is_file() else {}
    except (OSError, ValueError, RecursionError):
        return ()
    for key in ("tool", "relnox", "verify", "python"):
        found = found.get(key) if isinstance(found, dict) else None
    return [version for version in found if isinstance(version, str)] if isinstance(found, list) else []
