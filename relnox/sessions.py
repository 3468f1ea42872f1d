"""nox sessions: `from relnox.sessions import *` in a noxfile, or the names of single tasks.

    from relnox import sessions

    sessions.add("bump", "publish", requires={"publish": ["tests"]}, defaults={"bump": {"part": "auto"}})

`add` registers sessions with settings, and `run` runs a task inside a session of the project.

Some entry points of nox run a noxfile twice and empty the registry in between, while this module stays loaded. So
sessions are registered by each from-import, in `__getattr__` (PEP 562), if they are not registered yet. Only the
sessions that a project imports or adds are registered.
"""

from __future__ import annotations

import inspect
import logging
import shlex
import sys
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

import nox
import nox.registry

from relnox import arguments
from relnox.commands import COMMAND_LINE, TASKS, find_task, read_help
from relnox.core.fixes import FrontEnd, TaskCommand
from relnox.errors import Blocked, ExitCode, Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from relnox.commands import Task
    from relnox.core.planning.events import Outcome
    from relnox.core.settings.schema import Value

    SessionFunction = Callable[[nox.Session], None]

    status: SessionFunction
    check: SessionFunction
    bump: SessionFunction
    version_bump: SessionFunction
    auto_tag: SessionFunction
    build_all: SessionFunction
    collect: SessionFunction
    publish_test: SessionFunction
    testpypi: SessionFunction
    publish: SessionFunction
    verify_install: SessionFunction
    forge_release: SessionFunction
    release: SessionFunction
    rehearse: SessionFunction
    ci: SessionFunction

# What the star import registers, in the order of a release: `add` and `run` are used as `sessions.add`.
__all__ = [  # noqa: RUF022 - nox lists sessions in this order
    "status",
    "check",
    "bump",
    "auto_tag",
    "build_all",
    "collect",
    "publish_test",
    "publish",
    "verify_install",
    "forge_release",
    "release",
    "rehearse",
    "ci",
]

_BY_IMPORT_NAME = {name: task for task in TASKS.values() for name in task.import_names}


class _Settings(NamedTuple):
    """The settings of one session, with the names and values that `add` was given for its task.

    `names` is the name of the session, or empty for that of the task.
    """

    requires: tuple[str, ...] = ()
    defaults: Mapping[str, Value] = MappingProxyType({})
    names: str = ""
    tags: tuple[str, ...] = ()

    def __deepcopy__(self, memo: object) -> _Settings:
        """Return the settings themselves: `nox -P` copies sessions, and read-only mappings cannot be copied."""
        return self


_registered_tasks: dict[str, str] = {}
"""Maps the name of each session that was registered here to its task."""


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
        requires: Names of sessions that nox runs before that of a task; the name of a task means its session.
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
        added = arguments.settings_by_task(tasks, settings)
        sessions = {
            word: values.get("names", task.name)
            for task, values in added.items()
            for word in (task.name, *task.import_names)
        }
        for task, values in added.items():
            values |= {name: tuple(values[name]) for name in ("requires", "tags") if name in values}
            required = tuple(sessions.get(name, name) for name in values.get("requires", ()))
            _register(task, _Settings(**{**values, "requires": required}))
    except Blocked as error:
        _print_error(error)
        raise SystemExit(error.exit_code) from None


def run(session: nox.Session, task: str, /, *, check: bool = True, **options: Value) -> Outcome:
    """Run a task inside a session of the project; the options after `--` are left to the session.

    Args:
        session: The running session.
        task: The task's name (`build-all`) or import name (`build_all`).
        check: Whether a failure of the task fails the session; an unknown task or option always does.
        **options: Options with the names of the command line: `part="minor"`, `dry_run=True`.

    Returns:
        The outcome. If an error ended the task before its first step, it is the problem of the outcome's plan.

    Raises:
        KeyboardInterrupt: The task was interrupted or terminated.
    """
    try:
        definition = find_task(task, TASKS)
        values = arguments.check_values(definition.name, options)
    except Blocked as error:
        _fail_session(session, error, task)
    return _run_task(session, definition, values, {}, check=check)


if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        task = _BY_IMPORT_NAME.get(name)
        if task is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        try:
            return _register(task, _Settings())
        except Blocked as error:
            _print_error(error)
            raise SystemExit(error.exit_code) from None


def _register(task: Task, settings: _Settings) -> Any:
    """Register the session of a task, if it is not registered yet, and return its function.

    Settings given to `add` replace those of an earlier import. Raise `Blocked` if the project has a session with
    that name, or the task was added with other settings.
    """
    name = settings.names or task.name
    registered: Any = nox.registry.get().get(name)
    if registered is not None:
        if _task_name_of(registered) != task.name:
            raise _name_taken_error(name, task.name)
        if settings in (registered.relnox_settings, _Settings()):
            return registered
        if registered.relnox_settings != _Settings():
            message = f"the session {name} is added twice with different settings"
            raise Blocked("session-name-twice", message, f'remove one of them: sessions.add("{task.name}", ...)')
        del nox.registry._REGISTRY[name]  # noqa: SLF001 - nox has no way to replace a session

    def session_function(session: nox.Session) -> None:
        _run_session(session, task, settings.defaults)

    session_function.__doc__ = "\n\n".join((task.summary, *read_help(task.name)))
    session_function.__name__ = task.import_name
    session_function.relnox_task = task.name  # type: ignore[attr-defined]
    session_function.relnox_settings = settings  # type: ignore[attr-defined]
    words: dict[str, Any] = {"tags": list(settings.tags), "requires": list(settings.requires)}
    if "allow_parallel" in inspect.signature(nox.session).parameters:
        words["allow_parallel"] = False
    _registered_tasks[name] = task.name
    return nox.session(name=name, python=False, default=False, **words)(session_function)


def _task_name_of(function: Any) -> str | None:
    """Return the name of the task that a session's function runs; None for a session of the project's own."""
    task: str | None = getattr(function, "relnox_task", None)
    return task


def _name_taken_error(name: str, task: str) -> Blocked:
    """Return the error that the project has a session `name`, which is also the name of the session of `task`."""
    return Blocked(
        "session-name-twice",
        f"two sessions are named {name}: relnox's {task}, and another one in this noxfile",
        fix=f'rename the other one, or relnox\'s: sessions.add("{task}", names={{"{task}": "release-{task}"}})',
    )


def _run_session(session: nox.Session, task: Task, defaults: Mapping[str, Value]) -> None:
    """Run the task of a session with the options after `--`; an error or a failure fails the session.

    `defaults` are the options that `add` was given, by field name.
    """
    try:
        for name, function in nox.registry.get().items():
            if name in _registered_tasks and _task_name_of(function) is None:  # nox runs only the later session
                raise _name_taken_error(name, _registered_tasks[name])
        options = _parse_posargs(session, task)
    except Blocked as error:
        _fail_session(session, error, task.name)
    _run_task(session, task, options, defaults, check=True)


def _print_error(error: Problem) -> None:
    """Print an error to standard error, as the command line does."""
    from relnox.reporters.text import PlainReporter

    PlainReporter().show_error(error)


def _fail_session(session: nox.Session, error: Problem, task: str) -> NoReturn:
    """Print the error of a task, and fail the session."""
    _print_error(error)
    session.error(f"{task}: exit code {error.exit_code.value}, see above")


def _run_task(
    session: nox.Session, task: Task, options: Mapping[str, Value], defaults: Mapping[str, Value], *, check: bool
) -> Outcome:
    """Run a task, and return its outcome; with `check`, its failure fails the session.

    `options` take precedence over the settings, and these over `defaults`; both are by field name. With
    `--install-only`, nothing is run. An interruption of the task interrupts the session, too, with
    `KeyboardInterrupt`.
    """
    from relnox.core.planning.events import Outcome
    from relnox.core.planning.plan import Plan
    from relnox.runner import run_task

    if _installs_only(session):
        session.log(f"{task.name}: nothing to install (--install-only)")
        return Outcome(plan=Plan(task=task.name), results=(), exit_code=ExitCode.DONE, seconds=0.0)
    for name in ("build", "keyring", "urllib3"):  # nox would show the messages of these libraries unescaped
        logging.getLogger(name).setLevel(logging.CRITICAL)
    outcome = run_task(task.name, options, _noxfile_front_end(), defaults=defaults)
    if outcome.exit_code in (ExitCode.INTERRUPTED, ExitCode.TERMINATED):
        raise KeyboardInterrupt
    if check and outcome.exit_code is not ExitCode.DONE:
        session.error(f"{task.name}: exit code {outcome.exit_code.value}, see above")
    return outcome


def _noxfile_front_end() -> FrontEnd:
    """Return how fixes write commands: `nox -s` for tasks with a session in this noxfile, `relnox` for others."""
    commands: dict[str, TaskCommand] = {}
    for name, function in nox.registry.get().items():
        if (task := _task_name_of(function)) is not None:
            commands.setdefault(task, TaskCommand(shlex.join(["nox", "-s", name]), "--"))
    return FrontEnd({**COMMAND_LINE.tasks, **commands})


def _parse_posargs(session: nox.Session, task: Task) -> dict[str, Value]:
    """Return the options after `--` by field name; those that are not given are absent.

    nox passes the same words to every session of a run. An option that this session does not have is ignored if a
    session of relnox that runs later has it: `nox -s publish -- --yes` also runs the sessions that `publish`
    requires.

    Raises:
        Blocked: An option is invalid, or none of these sessions has it.
    """
    sessions = session._runner.manifest.list_all_sessions()  # noqa: SLF001 - nox tells a session of no other one
    later = {_task_name_of(runner.func) for runner, is_selected in sessions if is_selected} - {None, task.name}
    program = f"nox -s {session.name} --"
    return arguments.parse_options(task.name, session.posargs, program, sorted(filter(None, later)))


def _installs_only(session: nox.Session) -> bool:
    """Return whether nox runs with `--install-only`, which calls sessions but does not run their commands."""
    return session.run(sys.executable, "-c", "", silent=True, log=False, external=True) is None
