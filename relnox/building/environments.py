"""Virtual environments, created and filled by uv if it is installed, else by venv and pip.

Environments are created without pip: that takes a fraction of the time, and relnox's own pip can install into them
(`pip --python`).
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import re
import shutil
import sys
from datetime import date, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from packaging.version import Version

from relnox import process
from relnox.core.planning import fixes
from relnox.core.records import Record
from relnox.core.settings.build_settings import UNCONSTRAINED
from relnox.errors import Blocked, Failed
from relnox.files import TemporaryFolder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from relnox.core.settings.build_settings import Constraints

__all__ = [
    "Environment",
    "Installer",
    "Interpreter",
    "find_installer",
    "find_interpreter",
    "find_python",
    "pip_timestamp",
]

_INSTALL_LIMIT = 1800.0
_PIP_OPTIONS = ("--disable-pip-version-check", "--no-input", "--no-warn-script-location")
_PINS_ONLY = ("--no-header", "--no-annotate", "--no-generate-hashes")
_PROBE_LIMIT = 30.0
_PIP_BUILD_CONSTRAINT = Version("25.3")
_PIP_UPLOADED_PRIOR = Version("26.0")


class Interpreter(Record):
    """A Python on this machine.

    Attributes:
        path: The executable.
        version: The full version, such as `3.12.1`.
    """

    path: Path
    version: str


class Environment(Record):
    """A virtual environment.

    Attributes:
        folder: Its root.
        python: Its interpreter.
    """

    folder: Path
    python: Path

    @property
    def scripts(self) -> Path:
        """The folder of its programs."""
        return self.python.parent

    @property
    def modules(self) -> Path:
        """Its site-packages folder."""
        if os.name == "nt":
            return self.folder / "Lib" / "site-packages"
        return next(self.folder.glob("lib/*/site-packages"))

    def variables(self, base: Mapping[str, str]) -> dict[str, str]:
        """Return `base` with this environment's programs first."""
        path = os.pathsep.join([str(self.scripts), base.get("PATH", os.defpath)])
        return {**base, "PATH": path, "VIRTUAL_ENV": str(self.folder)}


class Installer(Record):
    """A program that creates environments and installs into them.

    Attributes:
        uv: The uv executable, or None for venv and pip.
    """

    uv: Path | None

    @property
    def name(self) -> str:
        """`uv` or `pip`."""
        return "uv" if self.uv else "pip"

    def create(self, folder: Path, python: Path, *, env: Mapping[str, str]) -> Environment:
        """Create an empty environment, replacing an existing one.

        Raises:
            Failed: The program failed; the message has its last lines.
        """
        argv: process.Words
        if self.uv:
            argv = [
                self.uv,
                "venv",
                "--quiet",
                "--clear",
                "--no-project",
                "--no-config",
                "--python",
                python,
                folder,
            ]
        else:
            argv = [python, "-m", "venv", "--clear", "--without-pip", folder]
        process.run(argv, env=env, timeout=_INSTALL_LIMIT).check(
            f"creating an environment with {python}", fix=f"check that this works: {python} -m venv --help"
        )
        scripts = "Scripts" if os.name == "nt" else "bin"
        return Environment(folder, folder / scripts / ("python.exe" if os.name == "nt" else "python"))

    def install(  # noqa: PLR0913 - options of an installation
        self,
        environment: Environment,
        requirements: Sequence[str],
        *,
        env: Mapping[str, str],
        index_url: str | None = None,
        no_deps: bool = False,
        on_line: Callable[[str], None] | None = None,
        constraints: Constraints = UNCONSTRAINED,
        project: Path | None = None,
    ) -> process.Completed:
        """Install requirements; the result is not checked.

        Args:
            environment: Where to.
            requirements: PEP 508 strings, or paths of archives.
            env: Environment variables of the installer.
            index_url: The only index to install from, also for sdists that set another one; the installer's
                default if None.
            no_deps: Whether dependencies of the requirements are left out.
            on_line: Called with each line of output.
            constraints: The releases that may be installed.
            project: The folder whose settings uv reads; the current one if None.
        """
        with self._constraint_options(constraints, project) as options:
            return self._install(environment, requirements, options, env, index_url, on_line, no_deps=no_deps)

    def _install(  # noqa: PLR0913, PLR0917 - as above
        self,
        environment: Environment,
        requirements: Sequence[str],
        options: process.Words,
        env: Mapping[str, str],
        index_url: str | None,
        on_line: Callable[[str], None] | None,
        *,
        no_deps: bool,
    ) -> process.Completed:
        index = [*(["--index-url", index_url] if index_url else []), *(["--no-deps"] if no_deps else [])]
        argv: process.Words
        if self.uv:
            # [tool.uv.sources] of an sdist may name an index of its own.
            index += ["--no-sources"] if index_url else []
            argv = [
                self.uv,
                "pip",
                "install",
                "--python",
                environment.python,
                *index,
                *options,
                "--",
                *requirements,
            ]
        else:
            pip: process.Words = [sys.executable, "-m", "pip", "--python", environment.python]
            argv = [*pip, "install", *_PIP_OPTIONS, *index, *options, "--", *requirements]
        return process.run(argv, env=env, timeout=_INSTALL_LIMIT, on_line=on_line)

    @contextlib.contextmanager
    def _constraint_options(self, constraints: Constraints, project: Path | None) -> Iterator[process.Words]:
        """Yield options that limit the installer to certain releases, also for build requirements of sdists."""
        options: list[str | os.PathLike[str]] = ["--project", project] if self.uv and project is not None else []
        with contextlib.ExitStack() as stack:
            files: list[str | os.PathLike[str]] = [*constraints.files]
            if constraints.requirements:
                file = stack.enter_context(TemporaryFolder()).path / "constraints.txt"
                file.write_text("\n".join(constraints.requirements), encoding="utf-8")
                files.append(file)
            has_build_constraint = self.uv is not None or _pip_version() >= _PIP_BUILD_CONSTRAINT
            for path in files:
                options += ["--constraint", path]
                options += ["--build-constraint", path] if has_build_constraint else []
            if self.uv:
                options += ["--exclude-newer", newer] if (newer := constraints.exclude_newer) else []
                for name, time in constraints.exclude_newer_package:
                    options += ["--exclude-newer-package", f"{name}={time}"]
            elif (time := pip_timestamp(constraints.exclude_newer)) and _pip_version() >= _PIP_UPLOADED_PRIOR:
                options += ["--uploaded-prior-to", time]
            yield options

    def unsupported(self, constraints: Constraints) -> tuple[str, ...]:
        """Return the constraints that the installer does not support, each with the reason."""
        if self.uv:
            return ()
        reasons = []
        if newer := constraints.exclude_newer:
            if _pip_version() < _PIP_UPLOADED_PRIOR:
                reasons.append(f"exclude-newer: pip {_pip_version()} does not support it (pip 26 and uv do)")
            elif not pip_timestamp(newer):
                reasons.append(f"exclude-newer = {newer!r}: pip needs a date and a time (uv reads it)")
        if constraints.exclude_newer_package:
            reasons.append("exclude-newer-package: pip does not support it (uv does)")
        return tuple(reasons)

    def resolve(
        self,
        requirements: Sequence[str],
        python: Path,
        *,
        env: Mapping[str, str],
        constraints: Constraints = UNCONSTRAINED,
        project: Path | None = None,
    ) -> tuple[str, ...]:
        """Resolve requirements and their dependencies to pinned releases.

        Args:
            requirements: PEP 508 strings.
            python: The interpreter to resolve for.
            env: Environment variables of the installer.
            constraints: The releases that may be chosen.
            project: The folder whose settings uv reads; the current one if None.

        Raises:
            Failed: There is no solution, or the index does not respond.
        """
        with self._constraint_options(constraints, project) as options:
            return self._resolve(requirements, python, options, env)

    def _resolve(
        self,
        requirements: Sequence[str],
        python: Path,
        options: process.Words,
        env: Mapping[str, str],
    ) -> tuple[str, ...]:
        argv: process.Words
        action = f"resolving {', '.join(requirements)}"
        fix = "check that the package index is reachable, then rerun the command"
        if self.uv:
            with TemporaryFolder() as folder:
                file = folder.path / "pins.txt"  # the project's settings may set another output file
                output = ("--quiet", *_PINS_ONLY, "--python", python, "--output-file", file)
                argv = [self.uv, "pip", "compile", *output, *options, "-"]
                process.run(argv, env=env, stdin="\n".join(requirements), timeout=_INSTALL_LIMIT).check(
                    action, fix=fix
                )
                lines = file.read_text(encoding="utf-8").splitlines()
            return tuple(line for line in map(str.strip, lines) if line and not line.startswith(("#", "-")))
        report = ("--dry-run", "--ignore-installed", "--quiet", "--report", "-")
        pip: process.Words = [sys.executable, "-m", "pip", "--python", python]
        argv = [*pip, "install", *_PIP_OPTIONS, *report, *options, "--", *requirements]
        ran = process.run(argv, env=env, timeout=_INSTALL_LIMIT, stderr=False)
        document = json.loads(ran.check(action, fix=fix).output)
        return tuple(sorted(map(_pin, document["install"])))

    def check(self, environment: Environment, *, env: Mapping[str, str]) -> process.Completed:
        """Check that installed packages have compatible dependencies (`pip check`); the result is not checked."""
        argv: process.Words
        if self.uv:
            argv = [self.uv, "pip", "check", "--python", environment.python]
        else:
            argv = [sys.executable, "-m", "pip", "--python", environment.python, "check"]
        return process.run(argv, env=env, timeout=_PROBE_LIMIT * 4)


@cache
def _pip_version() -> Version:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return Version(version("pip"))
    except PackageNotFoundError:
        return Version("0")


def pip_timestamp(newer: str) -> str:
    """Convert uv's `exclude-newer` to pip's `--uploaded-prior-to`; empty for forms that only uv reads.

    A date means its end to uv, and its beginning to pip.
    """
    try:
        day = date.fromisoformat(newer)
    except ValueError:
        try:
            return datetime.fromisoformat(newer).isoformat()
        except ValueError:
            return ""
    return (day + timedelta(days=1)).isoformat()


def _pin(entry: Mapping[str, Any]) -> str:
    """Return a requirement for exactly the release in an entry of pip's report."""
    metadata = entry["metadata"]
    if entry.get("is_direct"):
        return f"{metadata['name']} @ {entry['download_info']['url']}"
    return f"{metadata['name']}=={metadata['version']}"


def find_installer(name: str) -> Installer:
    """Find the installer of that name, `uv` or `pip`; `auto` prefers uv.

    Raises:
        Blocked: It is not installed.
    """
    uv = None if name == "pip" else _find_uv()
    if name == "uv" and uv is None:
        raise Blocked(
            "installer-missing",
            "uv is not installed",
            fix=f"{fixes.install('relnox[uv]')}, or use --installer pip",
        )
    if uv is None and not _has_pip():
        raise Blocked(
            "installer-missing",
            f"neither uv nor pip is installed (for {sys.executable})",
            fix=fixes.install("relnox[uv]"),
        )
    return Installer(uv)


def find_python(version: str) -> Path:
    """Find the executable of a Python; see `find_interpreter`.

    Raises:
        Blocked: It is not installed.
    """
    return find_interpreter(version).path


def find_interpreter(version: str) -> Interpreter:
    """Find a Python of that version (`3.12`), and run it once to verify the version; the running one if empty.

    Raises:
        Blocked: It is not installed, or does not run.
    """
    if not version:
        return Interpreter(Path(sys.executable), platform.python_version())
    return _find(version, os.environ.get("PATH", os.defpath))


@cache
def _find(version: str, path: str) -> Interpreter:
    if not re.fullmatch(r"\d{1,3}(\.\d{1,3})?", version, re.ASCII):
        raise Blocked(
            "python-version-invalid",
            f"{version!r} is not a Python version",
            fix="write the major and minor version, such as 3.12",
        )
    for candidate in _candidates(version, path):
        if (full_version := _version_of(candidate)).startswith(f"{version}."):
            return Interpreter(candidate, full_version)
    raise Blocked(
        "python-missing",
        f"Python {version} is not installed (no working interpreter on PATH, in pyenv or uv)",
        fix=f"uv python install {version}, or put python{version} on PATH",
    )


def _candidates(version: str, path: str) -> Iterator[Path]:
    if f"{sys.version_info.major}.{sys.version_info.minor}" == version:
        yield Path(sys.executable)
    for folder in path.split(os.pathsep):
        for name in (f"python{version}", f"python{version}.exe"):
            if (Path(folder) / name).is_file():
                yield Path(folder) / name
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    # pyenv's shim of an inactive version is on PATH and answers with an error; the versions themselves work.
    yield from sorted(pyenv.glob(f"{version}.*/bin/python"), reverse=True)
    if uv := _find_uv():
        ran = process.run([uv, "python", "find", "--no-python-downloads", version], stderr=False)
        if ran.returncode == 0:
            yield Path(ran.output.strip())


def _version_of(python: Path) -> str:
    """Return the full version, such as `3.12.1`; empty for a program that does not run."""
    argv: process.Words = [python, "-I", "-c", "import platform; print(platform.python_version())"]
    try:
        ran = process.run(argv, timeout=_PROBE_LIMIT, stderr=False)
    except Failed:
        return ""
    return ran.output.strip() if ran.returncode == 0 else ""


def _find_uv() -> Path | None:
    """Find uv beside relnox's own interpreter, or on PATH."""
    beside = Path(sys.executable).parent / ("uv.exe" if os.name == "nt" else "uv")
    if beside.is_file():
        return beside
    path = shutil.which("uv")
    return Path(path) if path else None


def _has_pip() -> bool:
    from importlib.util import find_spec

    return find_spec("pip") is not None
