"""Build one package: its sdist, and its wheel from that sdist, in environments with what it asks for.

The steps are PEP 517's, through `build.ProjectBuilder`; relnox brings the environments and the runner.
"""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import tarfile
import threading
import warnings
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, TextIO

from relnox.core import fixes, missing_modules
from relnox.core.build_settings import USUAL
from relnox.core.records import Record
from relnox.errors import Failed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from relnox.building.environment_pool import BuildSession
    from relnox.building.environments import Environment
    from relnox.core.build_settings import BuildSettings
    from relnox.core.manifest import Kind

__all__ = ["MissingModule", "build_sdist", "build_wheel", "telling_warnings"]

_NO_MODULE = re.compile(r"ModuleNotFoundError: No module named '([\w.]+)'")
_NO_PROGRAM = re.compile(
    r"command '(?P<quoted>[^']+)' failed: No such file or directory"
    r"|(?P<plain>rustc|cargo|cmake|ninja|gcc|g\+\+|clang|swig): (?:command )?not found",
)
_NO_FILE = re.compile(r"FileNotFoundError: \[Errno 2\] [^:]+: '(?P<path>[^']+)'")
_OUTPUT = f"the backend's own output: {fixes.command('build-all', '--verbose')}"
_PLACE = re.compile(r'\s*File "([^<"]+)", line (\d+)')


class MissingModule(Failed):
    """A build that imports a module which its environment does not have.

    Args:
        code: As for every error.
        message: As for every error.
        fix: As for every error.
        modules: What it imports, the longest name first: the module that is missing may be a namespace.
    """

    def __init__(self, code: str, message: str, *, fix: str, modules: tuple[str, ...]) -> None:
        super().__init__(code, message, fix=fix)
        self.modules = modules


class _IsolatedEnv(Record):
    """An environment as `build.env.IsolatedEnv` wants to see it."""

    environment: Environment

    @property
    def python_executable(self) -> str:
        return str(self.environment.python)

    def make_extra_environ(self) -> dict[str, str]:
        return {"PATH": os.pathsep.join([str(self.environment.scripts), os.environ.get("PATH", os.defpath)])}


def build_sdist(
    name: str, source: Path, output: Path, bench: BuildSession, settings: BuildSettings = USUAL
) -> Path:
    """Build a package's sdist.

    Args:
        name: The package's name, for messages.
        source: Its folder.
        output: An existing folder for the archive.
        bench: Where its hooks are run.
        settings: What the project says of the build.

    Raises:
        Failed: The requirements cannot be installed, or the backend failed; the last lines are told.
    """
    return _build(name, "sdist", source, output, bench, settings)


def build_wheel(  # noqa: PLR0913, PLR0917 - what a build is given
    name: str,
    sdist: Path,
    output: Path,
    scratch: Path,
    bench: BuildSession,
    settings: BuildSettings = USUAL,
) -> Path:
    """Build a package's wheel from its sdist, as installers do.

    Args:
        name: The package's name, for messages.
        sdist: The archive.
        output: An existing folder for the wheel.
        scratch: An existing, empty folder in which the sdist is unpacked.
        bench: Where its hooks are run.
        settings: What the project says of the build.

    Raises:
        Failed: The requirements cannot be installed, or the backend failed; the last lines are told.
    """
    return _build(name, "wheel", _unpack(sdist, scratch), output, bench, settings)


def _build(  # noqa: PLR0913, PLR0917 - as above
    name: str, kind: Kind, source: Path, output: Path, bench: BuildSession, settings: BuildSettings
) -> Path:
    import build

    # A dict of its own for each call: what a hook changes in it stays in the hook.
    options = {key: list(value) if isinstance(value, tuple) else value for key, value in settings.config_settings}

    printed: list[str] = []

    def builder(requirements: set[str]) -> build.ProjectBuilder:
        environment = bench.provide(requirements)

        def runner(
            cmd: Sequence[str], cwd: str | None = None, extra_environ: Mapping[str, str] | None = None
        ) -> None:
            where = None if cwd is None else Path(cwd)
            ran = bench.run(environment, cmd, cwd=where, more=extra_environ or {})
            printed[:] = ran.output.splitlines()
            if ran.returncode != 0:
                # pyproject_hooks' runners end so; build makes a BuildBackendException of it.
                raise subprocess.CalledProcessError(ran.returncode, list(cmd), output=ran.output)

        return build.ProjectBuilder.from_isolated_env(_IsolatedEnv(environment), source, runner)

    try:
        with telling_warnings(bench.terms.on_line):
            requires = build.ProjectBuilder(source).build_system_requires | set(settings.extra_requires)
            building = builder(requires)
            if more := building.get_requires_for_build(kind, options or None) - requires:
                building = builder(requires | more)
            return Path(building.build(kind, output, options or None))
    except (build.BuildException, build.BuildBackendException, build.FailedProcessError) as error:
        if (lacking := _lacking(error, printed)) is not None:
            module, where = lacking
            raise MissingModule(
                "todo",
                f"{name}: the {kind} cannot be built: its build environment has no module {module}{where}",
                fix=_add(missing_modules.distribution_for(module), name, source),
                modules=missing_modules.candidate_modules(printed, module),
            ) from error
        tail = "".join(f"\n  | {line}" for line in printed[-30:])
        raise Failed(
            "todo",
            f"{name}: the {kind} cannot be built: {_cause(error)}{tail}",
            fix=_remedy(name, kind, source, printed) or _hint(error),
        ) from error


_listeners: dict[int, Callable[[str], None]] = {}
"""By thread: who is told what backends warn of."""
_changing = threading.Lock()
_redirected = contextlib.ExitStack()


@contextlib.contextmanager
def telling_warnings(on_line: Callable[[str], None]) -> Iterator[None]:
    """Tell backends' warnings with the output.

    PEP 517 frontends pass them on to Python's own, of which there is one for all threads.
    """
    here = threading.get_ident()
    with _changing:
        if not _listeners:
            _redirected.enter_context(warnings.catch_warnings())
            warnings.simplefilter("always")
            warnings.showwarning = _show
        _listeners[here] = on_line
    try:
        yield
    finally:
        with _changing:
            del _listeners[here]
            if not _listeners:
                _redirected.close()


def _show(  # noqa: PLR0913, PLR0917 - as Python calls it
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    del category, filename, lineno, file, line
    if (on_line := _listeners.get(threading.get_ident())) is not None:
        for each in f"warning: {message}".splitlines():
            on_line(each)


def _unpack(sdist: Path, into: Path) -> Path:
    """Unpack an sdist and return its one top-level folder; members that point outside are refused."""
    try:
        with tarfile.open(sdist) as archive:
            archive.extractall(into, filter="data")
    except (tarfile.TarError, OSError) as error:
        raise Failed(
            "todo", f"{sdist.name} cannot be unpacked: {error}", fix="what does the backend put into it?"
        ) from error
    folders = list(into.iterdir())
    if len(folders) != 1:
        raise Failed(
            "todo", f"{sdist.name} has {len(folders)} top-level entries instead of one folder", fix="see PEP 625"
        )
    return folders[0]


def _lacking(error: Exception, printed: Sequence[str]) -> tuple[str, str] | None:
    """The module that a build imports in vain, and the place where it does; None where that did not end it."""
    # Set where the backend itself cannot be imported, which no place of the project is about.
    unavailable = getattr(getattr(error, "exception", None), "traceback", None)
    lines = [line for line in (unavailable.splitlines() if unavailable else printed) if line.strip()]
    found = _NO_MODULE.match(lines[-1]) if lines else None
    if found is None:
        return None
    places = [place for line in lines if (place := _PLACE.match(line))]
    where = f" ({Path(places[-1][1]).name}, line {places[-1][2]})" if places and not unavailable else ""
    return found[1], where


def _add(distribution: str, name: str, source: Path) -> str:
    """How a requirement is added to those of a package's build: the whole line."""
    import build

    try:
        stated = sorted(build.ProjectBuilder(source).build_system_requires)
    except build.BuildException:
        stated = []
    line = ", ".join(f'"{each}"' for each in [*stated, distribution])
    return (
        f"in the pyproject.toml of {name}: [build-system] requires = [{line}] "
        f"(if {distribution} is what brings it); {_OUTPUT}"
    )


def _remedy(name: str, kind: Kind, source: Path, printed: Sequence[str]) -> str | None:
    """What helps against failures of builds that are known by what they print."""
    for line in reversed(printed):
        if (plugin := missing_modules.hatch_plugin(line)) is not None:
            return _add(plugin, name, source)
        if (missing := _NO_PROGRAM.search(line)) is not None:
            program = missing["quoted"] or missing["plain"]
            return f"install {program}, or put it on PATH: the build of {name} runs it; {_OUTPUT}"
        if kind == "wheel" and (file := _NO_FILE.search(line)) is not None:
            return (
                f"let the sdist of {name} have {PurePath(file['path']).name}, since the wheel is built from it: "
                f"MANIFEST.in (setuptools), [tool.hatch.build.targets.sdist] include (hatchling); {_OUTPUT}"
            )
    return None


def _cause(error: Exception) -> str:
    inner = getattr(error, "exception", None) or error
    if isinstance(inner, subprocess.CalledProcessError):
        return f"the backend ended with status {inner.returncode}"
    if isinstance(inner, FileNotFoundError) and str(inner.filename).endswith("output.json"):
        return "the backend ended without an answer"
    return next(iter(str(inner).strip().splitlines()), type(inner).__name__)


def _hint(error: Exception) -> str:
    known = getattr(getattr(error, "exception", None), "fix", None)
    return known or f"fix the project; {_OUTPUT}"
