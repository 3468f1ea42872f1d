"""Fresh environments: made and filled by uv where it is there, by venv and pip where it is not.

`python -m venv` with its bundled pip takes many seconds; without it a fraction of one, and pip installs into
another environment as well (`pip --python`).
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
from relnox.core import fixes
from relnox.core.build_settings import UNCONSTRAINED
from relnox.core.records import Record
from relnox.errors import Blocked, Failed
from relnox.files import TemporaryFolder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from relnox.core.build_settings import Constraints

__all__ = [
    "Environment",
    "Installer",
    "Interpreter",
    "find_installer",
    "find_interpreter",
    "find_python",
    "pip_moment",
]

_INSTALL_LIMIT = 1800.0
_PINS_ALONE = ("--no-header", "--no-annotate", "--no-generate-hashes")
_PROBE_LIMIT = 30.0
_PIP_BUILD_CONSTRAINT = Version("25.3")
_PIP_UPLOADED_PRIOR = Version("26.0")


class Interpreter(Record):
    """A Python on this machine.

    Attributes:
        path: The program.
        version: Its whole version, such as `3.12.1`.
    """

    path: Path
    version: str


class Environment(Record):
    """An environment on disk.

    Attributes:
        folder: Its top.
        python: Its interpreter.
    """

    folder: Path
    python: Path

    @property
    def scripts(self) -> Path:
        """Where its programs are."""
        return self.python.parent

    @property
    def modules(self) -> Path:
        """Where installed modules are."""
        if os.name == "nt":
            return self.folder / "Lib" / "site-packages"
        return next(self.folder.glob("lib/*/site-packages"))

    def variables(self, base: Mapping[str, str]) -> dict[str, str]:
        """`base` with this environment's programs first."""
        path = os.pathsep.join([str(self.scripts), base.get("PATH", os.defpath)])
        return {**base, "PATH": path, "VIRTUAL_ENV": str(self.folder)}


class Installer(Record):
    """What makes environments and installs into them.

    Attributes:
        uv: The program, or None for venv and pip.
    """

    uv: Path | None

    @property
    def name(self) -> str:
        """`uv` or `pip`."""
        return "uv" if self.uv else "pip"

    def create(self, folder: Path, python: Path, *, env: Mapping[str, str]) -> Environment:
        """Make an empty environment, in the place of one that may be there.

        Raises:
            Failed: It cannot be made; the program's last lines are told.
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
            f"making an environment with {python}", fix=f"does it work by hand? {python} -m venv --help"
        )
        scripts = "Scripts" if os.name == "nt" else "bin"
        return Environment(folder, folder / scripts / ("python.exe" if os.name == "nt" else "python"))

    def install(  # noqa: PLR0913 - what an installation can be told
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
            env: Variables of the installer.
            index_url: The one index to install from, whatever the sdists that are built on the way say; the
                installer's own choice when None.
            no_deps: Whether their own requirements are left out (`--no-deps`).
            on_line: Called with each line that is printed.
            constraints: Which releases count.
            project: The folder whose settings uv reads; the present one if None.
        """
        with self._words(constraints, project) as words:
            return self._install(environment, requirements, words, env, index_url, on_line, no_deps=no_deps)

    def _install(  # noqa: PLR0913, PLR0917 - as above
        self,
        environment: Environment,
        requirements: Sequence[str],
        words: process.Words,
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
            argv = [self.uv, "pip", "install", "--python", environment.python, *index, *words, "--", *requirements]
        else:
            options = ["--disable-pip-version-check", "--no-input", "--no-warn-script-location", *index]
            pip: list[str | os.PathLike[str]] = [sys.executable, "-m", "pip", "--python", environment.python]
            argv = [*pip, "install", *options, *words, "--", *requirements]
        return process.run(argv, env=env, timeout=_INSTALL_LIMIT, on_line=on_line)

    @contextlib.contextmanager
    def _words(self, constraints: Constraints, project: Path | None) -> Iterator[process.Words]:
        """Options that make the installer take releases within constraints, also for what it builds on the way."""
        words: list[str | os.PathLike[str]] = ["--project", project] if self.uv and project is not None else []
        with contextlib.ExitStack() as stack:
            files: list[str | os.PathLike[str]] = [*constraints.files]
            if constraints.requirements:
                file = stack.enter_context(TemporaryFolder()).path / "constraints.txt"
                file.write_text("\n".join(constraints.requirements), encoding="utf-8")
                files.append(file)
            for each in files:
                words += ["--constraint", each]
                words += ["--build-constraint", each] if self.uv or _pip_version() >= _PIP_BUILD_CONSTRAINT else []
            if self.uv:
                words += ["--exclude-newer", newer] if (newer := constraints.exclude_newer) else []
                for name, time in constraints.exclude_newer_package:
                    words += ["--exclude-newer-package", f"{name}={time}"]
            elif (moment := pip_moment(constraints.exclude_newer)) and _pip_version() >= _PIP_UPLOADED_PRIOR:
                words += ["--uploaded-prior-to", moment]
            yield words

    def not_honored(self, constraints: Constraints) -> tuple[str, ...]:
        """What of constraints the installer cannot do."""
        if self.uv:
            return ()
        said = []
        if newer := constraints.exclude_newer:
            if _pip_version() < _PIP_UPLOADED_PRIOR:
                said.append(f"exclude-newer: pip {_pip_version()} cannot leave releases out, pip 26 and uv can")
            elif not pip_moment(newer):
                said.append(f"exclude-newer = {newer!r}: uv can read it, pip takes a date and a time")
        if constraints.exclude_newer_package:
            said.append("exclude-newer-package: uv can do it, pip cannot")
        return tuple(said)

    def resolve(
        self,
        requirements: Sequence[str],
        python: Path,
        *,
        env: Mapping[str, str],
        constraints: Constraints = UNCONSTRAINED,
        project: Path | None = None,
    ) -> tuple[str, ...]:
        """The releases that these requirements stand for today, what those need included, as pins.

        Args:
            requirements: PEP 508 strings.
            python: The interpreter that they are for.
            env: Variables of the installer.
            constraints: Which releases count.
            project: The folder whose settings uv reads; the present one if None.

        Raises:
            Failed: There are none, or the index does not answer; the installer's last lines are told.
        """
        with self._words(constraints, project) as words:
            return self._resolve(requirements, python, words, env)

    def _resolve(
        self,
        requirements: Sequence[str],
        python: Path,
        words: process.Words,
        env: Mapping[str, str],
    ) -> tuple[str, ...]:
        argv: process.Words
        wanted = ", ".join(requirements)
        fix = "is the package index reachable? then type the same command again"
        if self.uv:
            with TemporaryFolder() as folder:
                file = folder.path / "pins.txt"  # a project's settings may name another one
                options = ("--quiet", *_PINS_ALONE, "--python", python, "--output-file", file)
                argv = [self.uv, "pip", "compile", *options, *words, "-"]
                asked = process.run(argv, env=env, stdin="\n".join(requirements), timeout=_INSTALL_LIMIT)
                asked.check(f"resolving {wanted}", fix=fix)
                lines = file.read_text(encoding="utf-8").splitlines()
            return tuple(line for line in map(str.strip, lines) if line and not line.startswith(("#", "-")))
        report = ("--dry-run", "--ignore-installed", "--quiet", "--report", "-")
        quiet = ("--disable-pip-version-check", "--no-input", "--no-warn-script-location", *report)
        argv = [sys.executable, "-m", "pip", "--python", python, "install", *quiet, *words, "--", *requirements]
        asked = process.run(argv, env=env, timeout=_INSTALL_LIMIT, stderr=False)
        answer = json.loads(asked.check(f"resolving {wanted}", fix=fix).output)
        return tuple(sorted(_pin(each) for each in answer["install"]))

    def check(self, environment: Environment, *, env: Mapping[str, str]) -> process.Completed:
        """See whether what is installed fits together (`pip check`); the result is not checked."""
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


def pip_moment(newer: str) -> str:
    """A time after which releases do not count, as pip reads it; empty for what only uv can read.

    uv takes a date for its end, pip for its beginning.
    """
    try:
        day = date.fromisoformat(newer)
    except ValueError:
        try:
            moment = datetime.fromisoformat(newer)
        except ValueError:
            return ""
        return moment.isoformat()
    return (day + timedelta(days=1)).isoformat()


def _pin(entry: Mapping[str, Any]) -> str:
    """What pip would install, as a requirement that means it and nothing else."""
    metadata = entry["metadata"]
    if entry.get("is_direct"):
        return f"{metadata['name']} @ {entry['download_info']['url']}"
    return f"{metadata['name']}=={metadata['version']}"


def find_installer(name: str) -> Installer:
    """The installer of that name, `uv` or `pip`; `auto` is uv where it is there.

    Raises:
        Blocked: It is not there.
    """
    uv = None if name == "pip" else _find_uv()
    if name == "uv" and uv is None:
        raise Blocked("todo", "uv is not installed", fix=f"{fixes.install('relnox[uv]')}, or use --installer pip")
    if uv is None and not _has_pip():
        raise Blocked(
            "todo",
            f"neither uv nor pip is there to install with (asked {sys.executable})",
            fix=fixes.install("relnox[uv]"),
        )
    return Installer(uv)


def find_python(version: str) -> Path:
    """An interpreter of that version (`3.12`), proven by running it; the running one for an empty version.

    Raises:
        Blocked: There is none; it is never a reason to skip.
    """
    return find_interpreter(version).path


def find_interpreter(version: str) -> Interpreter:
    """See `find_python`; a Python that was found is not looked for again.

    Raises:
        Blocked: There is none.
    """
    if not version:
        return Interpreter(Path(sys.executable), platform.python_version())
    return _find(version, os.environ.get("PATH", os.defpath))


@cache
def _find(version: str, path: str) -> Interpreter:
    if not re.fullmatch(r"\d{1,3}(\.\d{1,3})?", version, re.ASCII):
        raise Blocked("todo", f"{version!r} is not a version of Python", fix="write for example 3.12")
    for candidate in _candidates(version, path):
        if (found := _version_of(candidate)).startswith(f"{version}."):
            return Interpreter(candidate, found)
    raise Blocked(
        "todo",
        f"there is no working Python {version} on this machine",
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
        found = process.run([uv, "python", "find", "--no-python-downloads", version], stderr=False)
        if found.returncode == 0:
            yield Path(found.output.strip())


def _version_of(python: Path) -> str:
    """`3.12.1`, or nothing for a program that does not run."""
    asked: process.Words = [python, "-I", "-c", "import platform; print(platform.python_version())"]
    try:
        answer = process.run(asked, timeout=_PROBE_LIMIT, stderr=False)
    except Failed:
        return ""
    return answer.output.strip() if answer.returncode == 0 else ""


def _find_uv() -> Path | None:
    """The program beside relnox's own interpreter, or on PATH."""
    beside = Path(sys.executable).parent / ("uv.exe" if os.name == "nt" else "uv")
    if beside.is_file():
        return beside
    found = shutil.which("uv")
    return Path(found) if found else None


def _has_pip() -> bool:
    from importlib.util import find_spec

    return find_spec("pip") is not None
