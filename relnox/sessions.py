"""The door for nox: `from relnox.sessions import build_all, publish` in a noxfile.

nox runs a noxfile twice under some of its entry points and empties its registry in between, while this module
stays loaded. So nothing is registered by importing the module: each from-import asks `__getattr__` (PEP 562)
anew, and that registers the one session, unless it is registered already. Only what a project imports is there.
"""

from __future__ import annotations

import inspect
import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nox
import nox.registry

from relnox.commands import TASKS, help_of
from relnox.errors import ExitCode, Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from relnox.commands import Task
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


def register(*names: str, prefix: str = "", tags: Iterable[str] = (), python: Iterable[str] = ()) -> None:
    """Register sessions under chosen names; the form for noxfiles that want another name or a tag.

    Args:
        *names: Import names, such as `build_all`.
        prefix: What stands before each session's name.
        tags: Tags of these sessions. `nox -t` runs every session of a tag: do not share one between harmless
            sessions and ones that publish. Before nox 2026.4.10 a tag selects no session of relnox.
        python: For `verify_install`: Python versions that get a session of their own, such as
            `verify-install-3.12`.

    Raises:
        ValueError: A name is no task's, or is registered already by the project.
    """
    for name in names:
        if name not in _BY_ATTRIBUTE:
            raise ValueError(f"relnox has no session {name}; there are {', '.join(sorted(_BY_ATTRIBUTE))}")
        task = _BY_ATTRIBUTE[name]
        _registered(task, prefix + task.name, {}, tags)
        if task.name == "verify-install":
            for version in (*python, *_configured_pythons()):
                _registered(task, f"{prefix}{task.name}-{version}", {"python": (version,)}, tags)


if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        if name not in _BY_ATTRIBUTE:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        register(name)
        return nox.registry.get()[_BY_ATTRIBUTE[name].name]


def _registered(task: Task, name: str, settled: dict[str, Value], tags: Iterable[str]) -> None:
    """Register one session, once."""
    present = nox.registry.get().get(name)
    if present is not None:
        if getattr(present.func, "relnox_task", None) != task.name:
            raise ValueError(
                f"there is a session {name} already; relnox.sessions.register({task.attribute!r}, "
                "prefix='release-') gives relnox's another name"
            )
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
    exit_code = perform(task.name, {**_parsed(session, task), **settled})
    if exit_code in (ExitCode.INTERRUPTED, ExitCode.TERMINATED):
        raise KeyboardInterrupt
    if exit_code is not ExitCode.DONE:
        session.error(f"{task.name}: exit code {exit_code.value}, see above")


def _parsed(session: nox.Session, task: Task) -> dict[str, Value]:
    from relnox import arguments, reporters

    words: Sequence[str] = session.posargs
    try:
        return arguments.parse(task.name, words, f"nox -s {task.name} --")
    except Refused as error:
        reporters.usage_error(error)
        session.error(f"{task.name}: exit code {error.exit_code.value}, see above")


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
