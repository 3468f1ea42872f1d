"""Virtual environments, created and populated by uv if it is installed, otherwise by venv and pip.

Environments are created without pip, which is much faster; relnox's own pip can install into them
(`pip --python`).
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
import tempfile
from datetime import date, datetime, timedelta
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from packaging.version import Version

from relnox.core import fixes
from relnox.core.records import Record
from relnox.core.settings.build_settings import UNCONSTRAINED
from relnox.errors import Blocked
from relnox.system import process
from relnox.system.environment_variables import search_path
from relnox.system.files import TemporaryDirectory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from relnox.core.settings.build_settings import Constraints

_INSTALL_TIMEOUT = 1800.0
INDEX_FIX = "check that the package index is reachable, then rerun the command"
_PIP_OPTIONS = ("--disable-pip-version-check", "--no-input", "--no-warn-script-location")
_UV_COMPILE_OPTIONS = ("--no-header", "--no-annotate", "--no-generate-hashes")
_CHECK_TIMEOUT = 120.0
_PIP_NOT_INSTALLED = Version("0")
_PIP_WITH_BUILD_CONSTRAINTS = Version("25.3")
_PIP_WITH_UPLOADED_PRIOR_TO = Version("26.0")


class VirtualEnvironment(Record):
    """A virtual environment and its interpreter, in which packages are installed, built or checked."""

    directory: Path
    python: Path

    @property
    def scripts_directory(self) -> Path:
        """The `bin` or `Scripts` directory of the environment."""
        return self.python.parent

    @property
    def site_packages(self) -> Path:
        """The site-packages directory of the environment."""
        if os.name == "nt":
            return self.directory / "Lib" / "site-packages"
        return next(self.directory.glob("lib/*/site-packages"))

    def activated_variables(self, base: Mapping[str, str]) -> dict[str, str]:
        """Return the variables in `base`, changed to activate this environment (`PATH`, `VIRTUAL_ENV`)."""
        path = os.pathsep.join([str(self.scripts_directory), base.get("PATH", os.defpath)])
        return {**base, "PATH": path, "VIRTUAL_ENV": str(self.directory)}


class Installer(Record):
    """A program that creates environments and installs packages into them.

    Attributes:
        uv: The uv executable, or None for venv and pip.
        env: The environment variables of the program, which may configure an index.
        project_directory: The directory whose settings uv reads, or None for the current directory.
    """

    uv: Path | None
    env: Mapping[str, str] = MappingProxyType({})
    project_directory: Path | None = None

    @property
    def name(self) -> str:
        """The name of the installer: `uv` or `pip`."""
        return "uv" if self.uv else "pip"

    def create_environment(self, directory: Path, python: Path) -> VirtualEnvironment:
        """Create an empty environment, replacing an existing one."""
        argv: process.Arguments
        if self.uv:
            options = ("--quiet", "--clear", "--no-project", "--no-config")
            argv = [self.uv, "venv", *options, "--python", python, directory]
        else:
            argv = [python, "-m", "venv", "--clear", "--without-pip", directory]
        completed = process.run(argv, env=self.env, timeout=_INSTALL_TIMEOUT)
        fix = choose_installer_fix(completed, f"check that venv works: {python} -m venv --help")
        completed.check(f"creating an environment with {python}", fix=fix)
        scripts = "Scripts" if os.name == "nt" else "bin"
        return VirtualEnvironment(directory, directory / scripts / ("python.exe" if os.name == "nt" else "python"))

    def install(  # noqa: PLR0913 - options of an installation
        self,
        environment: VirtualEnvironment,
        requirements: Sequence[str],
        *,
        index_url: str | None = None,
        no_deps: bool = False,
        on_line: Callable[[str], None] | None = None,
        constraints: Constraints = UNCONSTRAINED,
    ) -> process.Completed:
        """Install requirements (PEP 508) or archives; the result of the command tells whether it succeeded.

        With `index_url`, nothing is installed from another index, even if an sdist sets one. If the constraints
        require hashes, only wheels are installed, since sdists could run code before their hashes are compared.

        Raises:
            Failed: The constraints require hashes, and the requirements cannot be resolved to wheels.
        """
        if constraints.require_hashes:
            # In this mode, uv takes pinned requirements only; it finds their hashes in the constraints.
            requirements = self.resolve(requirements, environment.python, constraints)
            no_deps = True
        argv: list[str | os.PathLike[str]]
        index = [*(["--index-url", index_url] if index_url else []), *(["--no-deps"] if no_deps else [])]
        if self.uv:
            # [tool.uv.sources] of an sdist may name an index of its own.
            index += ["--no-sources"] if index_url else []
            index += ["--require-hashes"] if constraints.require_hashes else []
            argv = [self.uv, "pip", "install", "--python", environment.python, *index]
        else:
            argv = [*_pip_command(environment.python), "install", *_PIP_OPTIONS, *index]
        with self._constraint_options(constraints) as options:
            return process.run(
                [*argv, *options, "--", *requirements], env=self.env, timeout=_INSTALL_TIMEOUT, on_line=on_line
            )

    @contextlib.contextmanager
    def _constraint_options(self, constraints: Constraints) -> Iterator[process.Arguments]:
        """Yield the command-line options that apply constraints, also to the build requirements of sdists."""
        options: list[str | os.PathLike[str]] = (
            ["--project", self.project_directory] if self.uv and self.project_directory else []
        )
        with contextlib.ExitStack() as stack:
            files: list[str | os.PathLike[str]] = [*constraints.files]
            if constraints.requirements:
                file = stack.enter_context(TemporaryDirectory()).path / "constraints.txt"
                file.write_text("\n".join(constraints.requirements), encoding="utf-8")
                files.append(file)
            has_build_constraint = self.uv is not None or _pip_version() >= _PIP_WITH_BUILD_CONSTRAINTS
            options += ["--only-binary", ":all:"] if constraints.require_hashes else []
            for path in files:
                options += ["--constraint", path]
                options += ["--build-constraint", path] if has_build_constraint else []
            if self.uv:
                options += ["--exclude-newer", newer] if (newer := constraints.exclude_newer) else []
                for name, time in constraints.exclude_newer_package:
                    options += ["--exclude-newer-package", f"{name}={time}"]
            elif _pip_version() >= _PIP_WITH_UPLOADED_PRIOR_TO:
                time = pip_timestamp(constraints.exclude_newer)
                options += ["--uploaded-prior-to", time] if time else []
            yield options

    def unsupported_constraints(self, constraints: Constraints) -> tuple[str, ...]:
        """Return a message for each constraint that the installer does not support."""
        if self.uv:
            return ()
        reasons = []
        if newer := constraints.exclude_newer:
            if _pip_version() < _PIP_WITH_UPLOADED_PRIOR_TO:
                reasons.append(f"exclude-newer: pip {_pip_version()} does not support it (pip 26 and uv do)")
            elif not pip_timestamp(newer):
                reasons.append(f"exclude-newer = {newer!r}: pip needs a date and a time (uv supports it)")
        if constraints.exclude_newer_package:
            reasons.append("exclude-newer-package: pip does not support it (uv does)")
        return tuple(reasons)

    def resolve(self, requirements: Sequence[str], python: Path, constraints: Constraints) -> tuple[str, ...]:
        """Resolve requirements (PEP 508) and their dependencies to pinned releases for an interpreter."""
        action = f"resolving {', '.join(requirements)}"
        with self._constraint_options(constraints) as options:
            if self.uv:
                with TemporaryDirectory() as directory:
                    file = directory.path / "pins.txt"  # the project's settings may set another output file
                    output = ("--quiet", *_UV_COMPILE_OPTIONS, "--python", python, "--output-file", file)
                    completed = process.run(
                        [self.uv, "pip", "compile", *output, *options, "-"],
                        env=self.env,
                        stdin="\n".join(requirements),
                        timeout=_INSTALL_TIMEOUT,
                    )
                    completed.check(action, fix=choose_installer_fix(completed, INDEX_FIX))
                    lines = map(str.strip, file.read_text(encoding="utf-8").splitlines())
                    return tuple(line for line in lines if line and not line.startswith(("#", "-")))
            report = ("--dry-run", "--ignore-installed", "--quiet", "--report", "-")
            argv = [*_pip_command(python), "install", *_PIP_OPTIONS, *report, *options, "--", *requirements]
            completed = process.run(argv, env=self.env, timeout=_INSTALL_TIMEOUT, stderr=False)
            document = json.loads(completed.check(action, fix=choose_installer_fix(completed, INDEX_FIX)).output)
            return tuple(sorted(map(_pinned_requirement, document["install"])))

    def run_pip_check(self, environment: VirtualEnvironment) -> process.Completed:
        """Run `pip check` in an environment and return the result; a failure does not raise an error."""
        argv: process.Arguments = [*_pip_command(environment.python), "check"]
        if self.uv:
            argv = [self.uv, "pip", "check", "--python", environment.python]
        return process.run(argv, env=self.env, timeout=_CHECK_TIMEOUT)


def choose_installer_fix(completed: process.Completed, default: str) -> str:
    """Return the fix for an installer that failed because its machine lacks space or a cache, else the default."""
    output = completed.output.lower()
    if "no space left on device" in output:
        return f"free space on the disk of {tempfile.gettempdir()} and of the installer's cache"
    if "require-hashes" in output or "hash mismatch" in output:
        return (
            "pin each of them with its hash in a file that UV_BUILD_CONSTRAINT names; to write it: "
            "uv pip compile --generate-hashes REQUIREMENTS --output-file build-constraints.txt"
        )
    if "initialize cache" in output:
        return "set UV_CACHE_DIR to a directory that you can write to"
    return default


def _pip_command(python: Path) -> list[str | Path]:
    """Return the command that runs relnox's own pip on the environment of an interpreter."""
    return [sys.executable, "-m", "pip", "--python", python]


@cache
def _pip_version() -> Version:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return Version(version("pip"))
    except PackageNotFoundError:
        return _PIP_NOT_INSTALLED


def pip_timestamp(newer: str) -> str:
    """Convert uv's `exclude-newer` to pip's `--uploaded-prior-to`; return "" for formats that only uv supports.

    For uv, a date includes the whole day; for pip, it is the start of the day.
    """
    try:
        day = date.fromisoformat(newer)
    except ValueError:
        try:
            return datetime.fromisoformat(newer).isoformat()
        except ValueError:
            return ""
    return (day + timedelta(days=1)).isoformat()


def _pinned_requirement(entry: Mapping[str, Any]) -> str:
    """Return a requirement that pins the release in an entry of pip's installation report."""
    metadata = entry["metadata"]
    if entry.get("is_direct"):
        return f"{metadata['name']} @ {entry['download_info']['url']}"
    return f"{metadata['name']}=={metadata['version']}"


def find_installer(
    name: str, env: Mapping[str, str] = MappingProxyType({}), project: Path | None = None
) -> Installer:
    """Return the installer `uv` or `pip`, or with `auto` uv if it is installed, otherwise pip.

    Raises:
        Blocked: The installer is not installed.
    """
    uv = None if name == "pip" else find_uv()
    if name == "uv" and uv is None:
        raise Blocked(
            "installer-missing",
            "uv is not installed",
            fix=f"{fixes.install_command('relnox[uv]')}, or use --installer pip",
        )
    if uv is None and _pip_version() == _PIP_NOT_INSTALLED:
        raise Blocked(
            "installer-missing",
            f"neither uv nor pip is installed (for {sys.executable})",
            fix=fixes.install_command("relnox[uv]"),
        )
    return Installer(uv, env, project)


def find_uv() -> Path | None:
    """Return the path of uv, next to relnox's own interpreter or on PATH, or None if it is not installed."""
    path = shutil.which("uv", path=search_path(os.environ))
    return Path(path) if path else None
