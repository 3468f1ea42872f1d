"""nox sessions: `from relnox.sessions import build_all, publish` in a noxfile.

Some entry points of nox run a noxfile twice and empty the registry in between, while this module stays loaded. So
sessions are registered by each from-import, in `__getattr__` (PEP 562), if they are not registered yet. Only the
sessions that a project imports are registered.

A session of the project with the same name is an error, in either order: nox itself would let the later one
replace the other. Options after `--` go to all sessions of a command, so they are checked for all of them before
the first one runs.
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
from relnox.core.planning.fixes import Start, command_line
from relnox.errors import Blocked, ExitCode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from relnox.commands import Task
    from relnox.core.planning.fixes import FrontEnd
    from relnox.core.settings.schema import Value

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
    """nox's registry, in which sessions of the project cannot replace those of relnox."""

    def __setitem__(self, name: str, function: Any) -> None:
        present, task = _task_of(self.get(name)), _task_of(function)
        if present is not None and present != task:
            raise _name_conflict(name, _ATTRIBUTES[present])
        super().__setitem__(name, function)

    def __copy__(self) -> dict[str, Any]:
        return dict(self)


def register(
    *names: str, prefix: str = "", name: str = "", tags: Iterable[str] = (), python: Iterable[str] = ()
) -> None:
    """Register sessions under other names, or with tags.

    Args:
        *names: Import names, such as `build_all`; none for all sessions.
        prefix: A prefix for the names of sessions.
        name: The name of the session, if only one is registered.
        tags: Tags of the sessions. `nox -t` runs all sessions with a tag: do not use the same tag for sessions
            that publish and others. Before nox 2026.4.10, tags do not select sessions of relnox.
        python: Python versions with their own session of `verify_install`, such as `verify-install-3.12`.

    Raises:
        ValueError: A name is not that of a task, or the project has a session with that name.
    """
    if name and (len(names) != 1 or prefix):
        raise ValueError(f"name={name!r} requires exactly one import name, and no prefix")
    for attribute in names:
        if attribute not in _BY_ATTRIBUTE:
            raise ValueError(f"unknown session {attribute} (choose one of {', '.join(sorted(_BY_ATTRIBUTE))})")
    for attribute in names or _BY_ATTRIBUTE:
        task = _BY_ATTRIBUTE[attribute]
        session = name or prefix + task.name
        _register(task, session, {}, tags)
        if task.name == "verify-install":
            for version in (*python, *_configured_pythons()):
                _register(task, f"{session}-{version}", {"python": (version,)}, tags)


if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        if name not in _BY_ATTRIBUTE:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        session = _BY_ATTRIBUTE[name].name
        if (alias := importing.alias_of(name, __name__, sys._getframe(1))) is not None:  # noqa: SLF001
            raise _error(
                "session-renamed-by-import",
                f"{name} is imported as {alias}, but its session is still named {session}",
                f'relnox.sessions.register("{name}", name="{alias}"), or import {name} without "as"',
            )
        register(name)
        return nox.registry.get()[session]


def _register(task: Task, name: str, fixed_options: dict[str, Value], tags: Iterable[str]) -> None:
    """Register one session, once."""
    _guard_registry()
    present = nox.registry.get().get(name)
    if present is not None:
        if _task_of(present) != task.name:
            raise _name_conflict(name, task.attribute)
        return

    def session_function(session: nox.Session) -> None:
        _run(session, task, fixed_options)

    session_function.__doc__ = _help(task)
    session_function.__name__ = task.attribute
    session_function.relnox_task = task.name  # type: ignore[attr-defined]
    settings: dict[str, Any] = {"name": name, "python": False, "default": False, "tags": list(tags)}
    if "allow_parallel" in inspect.signature(nox.session).parameters:
        settings["allow_parallel"] = False
    nox.session(**settings)(session_function)


def _guard_registry() -> None:
    """Make nox's registry reject a session that would replace one of relnox.

    nox lets the later of two sessions win, with a warning since 2025.10.14.
    """
    present = getattr(nox.registry, "_REGISTRY", None)
    if isinstance(present, dict) and not isinstance(
        present, _Registry
    ):  # a version of nox with another registry is left unchanged
        nox.registry._REGISTRY = _Registry(present)  # noqa: SLF001 - nox has no hook for registrations


def _task_of(function: Any) -> str | None:
    """Return the task of a session; None for a session of the project."""
    task: str | None = getattr(function, "relnox_task", None)
    return task


def _name_conflict(name: str, attribute: str) -> ValueError:
    return _error(
        "session-name-twice",
        f"two sessions are named {name}: relnox's {attribute}, and another one in this noxfile",
        f'rename the other one, or relnox\'s: relnox.sessions.register("{attribute}", name="release-{name}")',
    )


def _error(code: str, message: str, fix: str) -> ValueError:
    """Return an error of a noxfile, which nox prints with a traceback."""
    return ValueError(f"{message} [{code}]\nfix: {fix}")


def _help(task: Task) -> str:
    """Return the docstring for `nox --list`, and with options, which take time to import, for `nox --usage`."""
    if any(word.startswith("--usage") for word in sys.argv):
        from relnox import arguments

        return arguments.help_text(task.name)
    return "\n\n".join(help_of(task.name))


def _run(session: nox.Session, task: Task, fixed_options: dict[str, Value]) -> None:
    if _installs_only(session):
        session.log(f"{task.name}: nothing to install (--install-only)")
        return
    from relnox.commands.running.perform import perform

    for name in ("build", "urllib3"):  # nox shows all loggers, unescaped
        logging.getLogger(name).setLevel(logging.CRITICAL)
    exit_code = perform(task.name, {**_parsed(session, task), **fixed_options}, _front_end())
    if exit_code in (ExitCode.INTERRUPTED, ExitCode.TERMINATED):
        raise KeyboardInterrupt
    if exit_code is not ExitCode.DONE:
        session.error(f"{task.name}: exit code {exit_code.value}, see above")


def _front_end() -> FrontEnd:
    """Return how tasks are started with this noxfile; others are started with relnox."""
    commands: dict[str, Start] = {}
    for name, function in nox.registry.get().items():
        if (task := _task_of(function)) is not None:
            commands.setdefault(task, _start(name))
    return COMMAND_LINE._replace(tasks={**COMMAND_LINE.tasks, **commands})


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
    """Check the options after `--` for all sessions of the command, before the first one runs.

    Raises:
        Blocked: A session has no such option, or its value is not valid.
    """
    from relnox import arguments

    manifest = session._runner.manifest  # noqa: SLF001 - nox has no public way to see other sessions
    runners = (*manifest._consumed, *manifest._queue)  # noqa: SLF001 - in the order in which they run
    calls = [
        (runner.name, task, runner.posargs) for runner in runners if (task := _task_of(runner.func)) is not None
    ]
    if any(word in ("-h", "--help") for _, _, words in calls for word in words):
        return
    unknown_by_session = {name: arguments.unknown_flags(task, words) for name, task, words in calls}
    unknown = set.intersection(*map(set, unknown_by_session.values()))
    if any(set(flags) - unknown for flags in unknown_by_session.values()):
        commands = (command_line(_start(name), arguments.known_words(task, words)) for name, task, words in calls)
        details = ", ".join(
            f"{name} has no {', '.join(flags)}" for name, flags in unknown_by_session.items() if flags
        )
        raise Blocked(
            "option-not-for-every-session",
            f'nox passes the options after "--" to every session, but {details}',
            fix=" && ".join(commands),
        )
    for name, task, words in calls:
        arguments.parse(task, words, f"nox -s {name} --")


def _installs_only(session: nox.Session) -> bool:
    """Return whether nox runs with --install-only, with which it calls sessions too."""
    return session.run(sys.executable, "-c", "", silent=True, log=False, external=True) is None


def _configured_pythons() -> Sequence[str]:
    """Return `[tool.relnox.verify] python` of the project; errors in the file are reported when a session runs."""
    import tomllib

    path = Path("pyproject.toml")
    try:
        value: Any = tomllib.loads(path.read_text(encoding="utf-8-sig")) if path.is_file() else {}
    except (OSError, ValueError, RecursionError):
        return ()
    for key in ("tool", "relnox", "verify", "python"):
        value = value.get(key) if isinstance(value, dict) else None
    return [version for version in value if isinstance(version, str)] if isinstance(value, list) else []
