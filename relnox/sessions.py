"""nox sessions: `from relnox.sessions import *` in a noxfile, or the names of single tasks.

    from relnox import sessions

    sessions.add("bump", "publish", requires={"publish": ["tests"]}, defaults={"bump": {"part": "auto"}})

`add` registers sessions with settings, and `run` runs a task inside a session of the project.

Some entry points of nox run a noxfile twice and empty the registry in between, while this module stays loaded. So
sessions are registered by each from-import, in `__getattr__` (PEP 562), if they are not registered yet. Only the
sessions that a project imports or adds are registered, and they are listed in the order of a release.

A session of the project with the same name is an error, in either order: nox itself would let the later one
replace the other. Options after `--` go to all sessions of a command, so they are checked for all of them before
the first one runs.
"""

from __future__ import annotations

import inspect
import logging
import os
import shlex
import sys
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

import nox
import nox.registry

from relnox import importing
from relnox.commands import COMMAND_LINE, TASKS, read_help, suggest_task
from relnox.core.fixes import FrontEnd, TaskCommand, format_command_line
from relnox.errors import Blocked, ExitCode

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from relnox.commands import Task
    from relnox.core.planning.events import Outcome
    from relnox.core.settings.schema import Value

    SessionFunction = Callable[[nox.Session], None]

    status: SessionFunction
    bump: SessionFunction
    version_bump: SessionFunction
    auto_tag: SessionFunction
    build_all: SessionFunction
    collect: SessionFunction
    publish_test: SessionFunction
    testpypi: SessionFunction
    publish: SessionFunction
    verify_install: SessionFunction
    rehearse: SessionFunction

# What the star import registers: `add` and `run` are used as `sessions.add`.
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

_BY_SPELLING = {spelling: task for task in TASKS.values() for spelling in task.import_names}
_ORDER = list(TASKS)


class _Settings(NamedTuple):
    """The settings that `add` was given for one session; see its arguments."""

    requires: tuple[str, ...] = ()
    defaults: Mapping[str, Value] = MappingProxyType({})
    tags: tuple[str, ...] = ()

    def __deepcopy__(self, memo: object) -> _Settings:
        """Return the settings themselves: `nox -P` copies sessions, and read-only mappings cannot be copied."""
        return self


class _Registry(dict[str, Any]):
    """A registry of nox sessions that rejects a session with the name of one of relnox's."""

    def __setitem__(self, name: str, function: Any) -> None:
        registered_task, task = _task_of(self.get(name)), _task_of(function)
        if registered_task is not None and registered_task != task:
            raise _session_name_taken_error(name, registered_task)
        super().__setitem__(name, function)

    def __copy__(self) -> dict[str, Any]:
        """Return what nox works with: relnox's sessions in the order of a release, and requested import names.

        nox has no aliases: a second session would be in the listing, too, and `-t` and `-k` would run both. So a
        session is also registered under an import name (`nox -s build_all`) if the command line names it.
        """
        by_order = sorted(
            (name for name, function in self.items() if _task_of(function) is not None),
            key=lambda name: _ORDER.index(str(_task_of(self[name]))),
        )
        names = iter(by_order)
        ordered_names = [
            next(names) if _task_of(function) is not None else name for name, function in self.items()
        ]
        sessions = {name: self[name] for name in ordered_names}
        for word in _requested_names():
            task = _BY_SPELLING.get(word)
            if task is not None and task.name in sessions and _task_of(sessions[task.name]) == task.name:
                sessions.setdefault(word, sessions[task.name])
        return sessions


def add(
    *tasks: str,
    requires: Mapping[str, Sequence[str]] = MappingProxyType({}),
    defaults: Mapping[str, Mapping[str, Value]] = MappingProxyType({}),
    names: Mapping[str, str] = MappingProxyType({}),
    tags: Mapping[str, Sequence[str]] = MappingProxyType({}),
) -> None:
    """Register sessions, with settings by task.

    Args:
        *tasks: Names of tasks (`build-all`) or import names (`build_all`); none for all tasks.
        requires: Names of sessions that nox runs before that of a task.
        defaults: Defaults of a task's options, by name: `{"bump": {"part": "auto", "commit": True}}`.
            `pyproject.toml`, the environment and the command line override them. `yes` and `project` cannot have
            defaults.
        names: Names of sessions, by task, instead of the names of the tasks.
        tags: Tags of sessions, by task. `nox -t` runs all sessions with a tag: do not use the same tag for
            sessions that publish and others. Before nox 2026.4.10, tags do not select sessions of relnox.

    Raises:
        SystemExit: A name is not that of a task, an option is unknown or its value is not valid, or the project
            has a session with that name.
    """
    settings = {"requires": requires, "defaults": defaults, "names": names, "tags": tags}
    try:
        added_tasks, by_task = importing.check_registration(tasks, settings, (str,))
    except Blocked as error:
        raise importing.startup_error(error.code, error.message, error.fix or "") from None
    for task in added_tasks:
        _register_session(
            task,
            by_task["names"].get(task.name, task.name),
            _Settings(
                tuple(by_task["requires"].get(task.name, ())),
                by_task["defaults"].get(task.name, {}),
                tuple(by_task["tags"].get(task.name, ())),
            ),
        )


def run(session: nox.Session, task: str, /, *, check: bool = True, **options: Value) -> Outcome:
    """Run a task inside a session of the project; the options after `--` are left to the session.

    Args:
        session: The running session.
        task: The task's name (`build-all`) or import name (`build_all`).
        check: Whether a failure of the task fails the session.
        **options: Options with the names of the command line: `part="minor"`, `dry_run=True`.

    Returns:
        The outcome. If an error ended the task before its first step, it is the problem of the outcome's plan.
    """
    from relnox import arguments, reporters

    if not isinstance(session, nox.Session):
        raise importing.startup_error(
            "value-invalid",
            f"{session!r} is not a nox session",
            "pass the session that runs: run(session, ...)",
        )
    try:
        definition = importing.find_task(task)
        values = arguments.check_values(definition.name, options)
    except Blocked as error:
        reporters.usage_error(error)
        session.error(f"{task}: exit code {error.exit_code.value}, see above")
    if _installs_only(session):
        return _outcome_of_install_only(session, definition)
    return _run_task(session, definition, values, {}, check=check)


if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        importer = sys._getframe(1)  # noqa: SLF001 - the only way to find the importing file
        task = _BY_SPELLING.get(name)
        if task is None:
            if not name.startswith("_") and importing.is_noxfile(importer):
                fix = suggest_task(name, _BY_SPELLING)
                raise importing.startup_error("session-unknown", f"relnox.sessions has no session {name}", fix)
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        importing.check_imported_module(__name__, importer)
        if (alias := importing.alias_of(name, __name__, importer)) is not None:
            raise importing.startup_error(
                "session-renamed-by-import",
                f"{name} is imported as {alias}, but its session is still named {task.name}",
                f'sessions.add("{task.name}", names={{"{task.name}": "{alias}"}}), or import {name} without "as"',
            )
        return _register_session(task, task.name, _Settings())


def _requested_names() -> list[str]:
    """Return the words of nox's command line and of `NOXSESSION` that may be names of sessions."""
    words = sys.argv[1 : sys.argv.index("--") if "--" in sys.argv else None]
    return [*words, *(word.partition("=")[2] for word in words), *os.environ.get("NOXSESSION", "").split(",")]


def _register_session(task: Task, name: str, settings: _Settings) -> Any:
    """Register the sessions of a task unless they are registered already, and return the first one."""
    session = _register_one(task, name, settings, {})
    if task.name == "verify-install":
        for version in _configured_pythons():
            _register_one(task, f"{name}-{version}", settings, {"python": (version,)})
    return session


def _register_one(task: Task, name: str, settings: _Settings, fixed_options: Mapping[str, Value]) -> Any:
    """Register and return a session; settings given to `add` replace an import without settings."""
    _guard_registry()
    registered: Any = nox.registry.get().get(name)
    if registered is not None:
        if _task_of(registered) != task.name:
            raise _session_name_taken_error(name, task.name)
        if settings in (registered.relnox_settings, _Settings()):
            return registered
        if registered.relnox_settings != _Settings():
            raise importing.startup_error(
                "session-added-twice",
                f"the session {name} is added twice with different settings",
                "add it once",
            )
        del nox.registry._REGISTRY[name]  # noqa: SLF001 - nox has no way to replace a session

    def session_function(session: nox.Session) -> None:
        _run_session(session, task, settings.defaults, fixed_options)

    session_function.__doc__ = _docstring_of_session(task)
    session_function.__name__ = task.import_name
    session_function.relnox_task = task.name  # type: ignore[attr-defined]
    session_function.relnox_settings = settings  # type: ignore[attr-defined]
    words: dict[str, Any] = {
        "name": name,
        "python": False,
        "default": False,
        "tags": list(settings.tags),
        "requires": list(settings.requires),
    }
    if "allow_parallel" in inspect.signature(nox.session).parameters:
        words["allow_parallel"] = False
    return nox.session(**words)(session_function)


def _guard_registry() -> None:
    """Make nox's registry reject a session that would replace one of relnox.

    nox lets the later of two sessions win, with a warning since 2025.10.14.
    """
    registry = getattr(nox.registry, "_REGISTRY", None)
    if isinstance(registry, dict) and not isinstance(
        registry, _Registry
    ):  # a version of nox with another registry is left unchanged
        nox.registry._REGISTRY = _Registry(registry)  # noqa: SLF001 - nox has no hook for registrations


def _task_of(function: Any) -> str | None:
    """Return the task of a session; None for a session of the project."""
    task: str | None = getattr(function, "relnox_task", None)
    return task


def _session_name_taken_error(name: str, task: str) -> SystemExit:
    return importing.startup_error(
        "session-name-twice",
        f"two sessions are named {name}: relnox's {task}, and another one in this noxfile",
        f'rename the other one, or relnox\'s: sessions.add("{task}", names={{"{task}": "release-{task}"}})',
    )


def _docstring_of_session(task: Task) -> str:
    """Return the docstring of a session.

    It contains the options only for `nox --usage`, since importing them takes time.
    """
    if any(word.startswith("--usage") for word in sys.argv):
        from relnox import arguments

        return arguments.help_text(task.name)
    return "\n\n".join((task.summary, *read_help(task.name)))


def _run_session(
    session: nox.Session, task: Task, defaults: Mapping[str, Value], fixed_options: Mapping[str, Value]
) -> None:
    if _installs_only(session):
        _outcome_of_install_only(session, task)
        return
    _run_task(session, task, {**_parse_posargs(session, task), **fixed_options}, defaults, check=True)


def _run_task(
    session: nox.Session, task: Task, options: Mapping[str, Value], defaults: Mapping[str, Value], *, check: bool
) -> Outcome:
    """Run a task; interrupt the session if it was interrupted, and fail the session if `check` and it failed."""
    from relnox.commands.running import perform

    for name in ("build", "keyring", "urllib3"):  # nox would show the messages of these libraries unescaped
        logging.getLogger(name).setLevel(logging.CRITICAL)
    outcome = perform.run_task(task.name, options, _task_commands(), defaults=defaults)
    if outcome.exit_code in (ExitCode.INTERRUPTED, ExitCode.TERMINATED):
        raise KeyboardInterrupt
    if check and outcome.exit_code is not ExitCode.DONE:
        session.error(f"{task.name}: exit code {outcome.exit_code.value}, see above")
    return outcome


def _outcome_of_install_only(session: nox.Session, task: Task) -> Outcome:
    """Log that there is nothing to install, for `nox --install-only`, and return an empty outcome."""
    from relnox.core.planning.events import Outcome
    from relnox.core.planning.plan import Plan

    session.log(f"{task.name}: nothing to install (--install-only)")
    return Outcome(plan=Plan(task=task.name), results=(), exit_code=ExitCode.DONE, seconds=0.0)


def _task_commands() -> FrontEnd:
    """Return the command for each task: `nox -s` if this noxfile has a session for it, otherwise `relnox`."""
    commands: dict[str, TaskCommand] = {}
    for name, function in nox.registry.get().items():
        if (task := _task_of(function)) is not None:
            commands.setdefault(task, _command_of_session(name))
    return FrontEnd({**COMMAND_LINE.tasks, **commands})


def _command_of_session(name: str) -> TaskCommand:
    """Return how a session is started on the command line."""
    return TaskCommand(shlex.join(["nox", "-s", name]), "--")


def _parse_posargs(session: nox.Session, task: Task) -> dict[str, Value]:
    """Return the options after `--` by field name; fail the session if they are invalid."""
    from relnox import arguments, reporters

    try:
        words = _check_posargs(session)
        return arguments.parse(task.name, words, f"nox -s {session.name} --")
    except Blocked as error:
        reporters.usage_error(error)
        session.error(f"{task.name}: exit code {error.exit_code.value}, see above")


def _check_posargs(session: nox.Session) -> Sequence[str]:
    """Check the options after `--` for all sessions of the command, and return those of this session.

    A session that runs only because others require it takes those of the options that it has.
    """
    from relnox import arguments

    manifest = session._runner.manifest  # noqa: SLF001 - nox has no public way to see other sessions
    runners = (*manifest._consumed, *manifest._queue)  # noqa: SLF001 - in the order in which they run
    requested = session._runner.global_config.sessions or ()  # noqa: SLF001 - as above
    required_names = {name for runner in runners for name in runner.func.requires or ()}.difference(requested)
    calls = [
        (
            runner.name,
            task,
            arguments.filter_words_of_task(task, runner.posargs)
            if runner.name in required_names
            else runner.posargs,
        )
        for runner in runners
        if (task := _task_of(runner.func)) is not None
    ]
    own_words = next((words for name, _, words in calls if name == session.name), session.posargs)
    if any(word in ("-h", "--help") for _, _, words in calls for word in words):
        return own_words
    unknown_by_session = {
        name: arguments.unknown_words(task, words) for name, task, words in calls if name not in required_names
    }
    unknown = set.intersection(*map(set, unknown_by_session.values())) if unknown_by_session else set()
    if any(set(words) - unknown for words in unknown_by_session.values()):
        commands = (
            format_command_line(_command_of_session(name), arguments.filter_words_of_task(task, words))
            for name, task, words in calls
        )
        details = ", ".join(
            f"{name} has no {', '.join(words)}" for name, words in unknown_by_session.items() if words
        )
        raise Blocked(
            "option-not-for-every-session",
            f'nox passes the options after "--" to every session, but {details}',
            fix=" && ".join(commands),
        )
    for name, task, words in calls:
        arguments.parse(task, words, f"nox -s {name} --")
    return own_words


def _installs_only(session: nox.Session) -> bool:
    """Return whether nox runs with `--install-only`, which calls sessions but does not run their commands."""
    return session.run(sys.executable, "-c", "", silent=True, log=False, external=True) is None


def _configured_pythons() -> Sequence[str]:
    """Return `[tool.relnox.verify] python` of the project, without invalid ones.

    Errors in the file are reported when a session runs: nox would print a session's name unescaped.
    """
    from relnox.core.documents import load_toml

    path = Path("pyproject.toml")
    try:
        value: Any = load_toml(path.read_text(encoding="utf-8-sig")) if path.is_file() else {}
    except (OSError, ValueError, RecursionError):
        return ()
    for key in ("tool", "relnox", "verify", "python"):
        value = value.get(key) if isinstance(value, dict) else None
    if not isinstance(value, list):
        return []
    from relnox.core.settings.rules import python_version_violation

    return [version for version in value if isinstance(version, str) and python_version_violation(version) is None]
