"""Builds of one package: its sdist, and its wheel from that sdist.

The hooks of PEP 517 are called by `build.ProjectBuilder`; relnox provides the environments and the runner.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import subprocess
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path, PurePath

from relnox.building.build_environments import BuildEnvironment
from relnox.core import fixes
from relnox.core.release.manifest import DistributionKind
from relnox.core.settings.build_settings import BuildSettings
from relnox.core.text import join_names
from relnox.errors import Failed
from relnox.system import process

_MODULE_NOT_FOUND = re.compile(r"ModuleNotFoundError: No module named '([\w.]+)'")
_PROGRAM_NOT_FOUND = re.compile(
    r"command '(?P<quoted>[^']+)' failed: No such file or directory"
    r"|(?P<plain>rustc|cargo|cmake|ninja|gcc|g\+\+|clang|swig): (?:command )?not found",
)
_FILE_NOT_FOUND = re.compile(r"FileNotFoundError: \[Errno 2\] [^:]+: '(?P<path>[^']+)'")
_SHOW_OUTPUT = f"to see the whole output: {fixes.task_command('build-all', '--verbose')}"
_COMMAND_TIMEOUT = 4 * 3600.0
_NOT_UTF_8 = re.compile("[\udc80-\udcff]")
"""Matches the bytes of a file name that are not UTF-8 (PEP 383)."""
_TRACEBACK_FRAME = re.compile(r'\s*File "([^<"]+)", line (\d+)')


def build_archive(  # noqa: PLR0913, PLR0917 - the parameters of a build
    name: str,
    kind: DistributionKind,
    source: Path,
    output: Path,
    environment: BuildEnvironment,
    settings: BuildSettings,
) -> Path:
    """Build an sdist, or a wheel from an unpacked sdist, of the package in `source`; return its path in `output`.

    `name` is that of the package, for messages. The build requirements are installed into `environment`.

    Raises:
        Failed: The backend failed, with the end of its output in the message, or requirements cannot be installed.
    """
    import build

    # A new dict for every call, since hooks may change it.
    options = {key: list(value) if isinstance(value, tuple) else value for key, value in settings.config_settings}
    hook_output: list[str] = []

    def builder(requirements: set[str]) -> build.ProjectBuilder:
        virtual_environment = environment.get_environment(requirements)
        path = (str(virtual_environment.scripts_directory), os.environ.get("PATH", os.defpath))

        def runner(
            cmd: Sequence[str], cwd: str | None = None, extra_environ: Mapping[str, str] | None = None
        ) -> None:
            variables = {"PATH": os.pathsep.join(path), **(extra_environ or {})}
            completed = environment.run_hook(
                cmd, cwd=None if cwd is None else Path(cwd), extra_variables=variables
            )
            hook_output[:] = completed.output.splitlines()
            if completed.returncode != 0:
                # As the runners of pyproject_hooks do; build converts it to a BuildBackendException.
                raise subprocess.CalledProcessError(completed.returncode, list(cmd), output=completed.output)

        return build.ProjectBuilder(source, str(virtual_environment.python), runner)

    try:
        with _redirect_warnings(environment.context.on_line):
            requires = build.ProjectBuilder(source).build_system_requires | set(settings.extra_requires)
            building = builder(requires)
            if more := building.get_requires_for_build(kind, options or None) - requires:
                building = builder(requires | more)
            return Path(building.build(kind, output, options or None))
    except (build.BuildException, build.BuildBackendException, build.FailedProcessError) as error:
        if (missing := _find_missing_module(error, hook_output)) is not None:
            module, where = missing
            raise Failed(
                "build-failed",
                f"{name}: building the {kind} failed: "
                f"module {module} is not installed in the build environment{where}",
                fix=f"add the distribution that has {module} to [build-system] requires in the pyproject.toml of "
                f"{name}; {_SHOW_OUTPUT}",
            ) from error
        tail = "".join(f"\n  | {line}" for line in hook_output[-30:])
        raise Failed(
            "build-failed",
            f"{name}: building the {kind} failed: {_summarize_error(error)}{tail}",
            fix=_fix_for_known_failure(name, kind, source, hook_output)
            or getattr(getattr(error, "exception", None), "fix", None)
            or f"fix the error in the build; {_SHOW_OUTPUT}",
        ) from error


def run_build_command(  # noqa: PLR0913 - the parameters of a build
    name: str,
    command: Sequence[str],
    source: Path,
    output: Path,
    *,
    umask: int,
    variables: Mapping[str, str],
    on_line: Callable[[str], None],
    builds_wheels: bool,
) -> list[Path]:
    """Run the project's own build command in the directory `source`; return the sdists in `output`, sorted.

    With `builds_wheels`, wheels are returned too. In the command, `{output}` stands for the path of `output`.
    `variables` are its complete environment; `name` is that of the package, for messages.

    Raises:
        Failed: The command failed, or wrote no archives.
    """
    process.run(
        [argument.replace("{output}", str(output)) for argument in command],
        cwd=source,
        env=variables,
        umask=umask,
        timeout=_COMMAND_TIMEOUT,
        on_line=on_line,
    ).check(f"{name}: build command", fix=f"run it yourself in the directory of {name}: {shlex.join(command)}")
    suffixes = (".tar.gz", ".whl") if builds_wheels else (".tar.gz",)
    paths = sorted(path for path in output.iterdir() if path.name.endswith(suffixes))
    if not paths:
        raise Failed(
            "build-failed",
            f"{name}: the build command wrote no archives to {{output}} ({shlex.join(command)})",
            fix="have it write the sdist and the wheels to {output}, like [tool.relnox.build] "
            f'commands = {{ {name} = ["uv", "build", "--out-dir", "{{output}}"] }}',
        )
    return paths


_warning_listeners: dict[int, Callable[[str], None]] = {}
"""Maps each building thread's id to the callback that receives its warnings."""
_warning_listeners_lock = threading.Lock()
_warnings_redirection = contextlib.ExitStack()


@contextlib.contextmanager
def _redirect_warnings(on_line: Callable[[str], None]) -> Iterator[None]:
    """Pass Python warnings of this thread, such as those of `build`, to `on_line` until the block ends.

    `warnings` has a single hook for all threads; `_show_warning` finds the callback of each thread.
    """
    thread = threading.get_ident()
    with _warning_listeners_lock:
        if not _warning_listeners:
            _warnings_redirection.enter_context(warnings.catch_warnings())
            warnings.simplefilter("always")
            warnings.showwarning = _show_warning
        _warning_listeners[thread] = on_line
    try:
        yield
    finally:
        with _warning_listeners_lock:
            del _warning_listeners[thread]
            if not _warning_listeners:
                _warnings_redirection.close()


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    """Pass a warning to the callback of this thread, if it has one; called by `warnings`."""
    if (on_line := _warning_listeners.get(threading.get_ident())) is not None:
        for text in f"warning: {message}".splitlines():
            on_line(text)


def _find_missing_module(error: Exception, output: Sequence[str]) -> tuple[str, str] | None:
    """Return the module that a failed build could not import, and where; None if it failed for another reason.

    The place is ` (FILE, line N)`, or empty if unknown. `output` has the lines of the hook's output.
    """
    # Set if the backend itself cannot be imported: then no line of the project is the cause.
    unavailable = getattr(getattr(error, "exception", None), "traceback", None)
    lines = [line for line in (unavailable.splitlines() if unavailable else output) if line.strip()]
    match = _MODULE_NOT_FOUND.match(lines[-1]) if lines else None
    if match is None:
        return None
    frames = [frame for line in lines if (frame := _TRACEBACK_FRAME.match(line))]
    where = f" ({Path(frames[-1][1]).name}, line {frames[-1][2]})" if frames and not unavailable else ""
    return match[1], where


def _fix_for_known_failure(name: str, kind: DistributionKind, source: Path, output: Sequence[str]) -> str | None:
    """Return the fix for a build failure that its output (lines) identifies, or None for others."""
    for line in reversed(output):
        if (missing := _PROGRAM_NOT_FOUND.search(line)) is not None:
            program = missing["quoted"] or missing["plain"]
            return f"install {program}, or add its directory to PATH (the build of {name} runs it); {_SHOW_OUTPUT}"
        if "surrogates not allowed" in line:
            files = (path.relative_to(source).as_posix() for path in sorted(source.rglob("*")) if path.is_file())
            if names := join_names(file for file in files if _NOT_UTF_8.search(file)):
                return f"rename {names} to a name in UTF-8 (archives cannot contain it); {_SHOW_OUTPUT}"
        if kind == "wheel" and (file := _FILE_NOT_FOUND.search(line)) is not None:
            return (
                f"include {PurePath(file['path']).name} in the sdist of {name}, from which the wheel is built: "
                f"MANIFEST.in (setuptools), [tool.hatch.build.targets.sdist] include (hatchling); {_SHOW_OUTPUT}"
            )
    return None


def _summarize_error(error: Exception) -> str:
    """Return why a build failed, in one line."""
    inner = getattr(error, "exception", None) or error
    if isinstance(inner, subprocess.CalledProcessError):
        return f"build backend exited with status {inner.returncode}"
    if isinstance(inner, FileNotFoundError) and str(inner.filename).endswith("output.json"):
        return "build backend exited without a result"
    return next(iter(str(inner).strip().splitlines()), type(inner).__name__)
