"""Python interpreters of this machine, and virtual environments, which uv creates and populates."""

from __future__ import annotations

import contextlib
import os
import platform
import re
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path

from relnox.core import fixes
from relnox.core.records import Record
from relnox.core.settings.build_settings import UNCONSTRAINED, Constraints
from relnox.errors import Blocked, Failed
from relnox.system import process
from relnox.system.files import temporary_directory

_INSTALL_TIMEOUT = 1800.0
INDEX_FIX = (
    "check that the package index is reachable, then rerun the command; to use what uv has in its cache: "
    "export UV_OFFLINE=1"
)
_COMPILE_OPTIONS = ("--quiet", "--no-header", "--no-annotate", "--no-generate-hashes")
_CHECK_TIMEOUT = 120.0
_QUERY_TIMEOUT = 30.0
_SOURCE_VARIABLES = re.compile(
    r"PIP_(CONFIG_FILE|CONSTRAINT|EXTRA_INDEX_URL|FIND_LINKS|INDEX_URL|NO_INDEX|REQUIREMENT)"
    r"|UV_(BUILD_CONSTRAINT|CONFIG_FILE|CONSTRAINT|DEFAULT_INDEX|EXTRA_INDEX_URL|FIND_LINKS|INDEX\w*|NO_INDEX|OVERRIDE)",
    re.ASCII,
)
"""Names of variables that change which packages pip and uv select, or where they get them from."""

RUNNING_PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"


class Interpreter(Record):
    """A Python interpreter on this machine.

    Attributes:
        version: The full version, such as `3.12.1`.
    """

    path: Path
    version: str


@cache
def find_interpreter(version: str) -> Interpreter:
    """Return a working interpreter of a version such as `3.12`, or the running one for an empty version; cached.

    Raises:
        Blocked: It is not installed, or the version is invalid.
    """
    if version in ("", RUNNING_PYTHON):
        return Interpreter(Path(sys.executable), platform.python_version())
    if not re.fullmatch(r"\d{1,3}(\.\d{1,3})?", version, re.ASCII):
        raise Blocked(
            "value-invalid",
            f"{version!r} is not a Python version",
            fix="write the major and minor version, such as 3.12",
        )
    options = ("--system", "--no-project", "--no-python-downloads")
    # uv looks on PATH, where pyenv has shims, which fail for versions that are not active.
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    path = map(str, sorted(pyenv.glob(f"{version}.*/bin"), reverse=True))
    completed = process.run(
        [find_uv(), "python", "find", *options, version],
        env={**os.environ, "PATH": os.pathsep.join([*path, os.environ.get("PATH", os.defpath)])},
        stderr=False,
        timeout=_QUERY_TIMEOUT,
    )
    python = Path(completed.output.strip())
    if completed.returncode == 0 and (full_version := _query_version(python)).startswith(f"{version}."):
        return Interpreter(python, full_version)
    raise Blocked("python-missing", f"Python {version} is not installed", fix=f"uv python install {version}")


def _query_version(python: Path) -> str:
    """Return the full version of an interpreter, such as `3.12.1`, or an empty string if it does not run."""
    argv: process.Arguments = [python, "-I", "-c", "import platform; print(platform.python_version())"]
    try:
        completed = process.run(argv, timeout=_QUERY_TIMEOUT, stderr=False)
    except Failed:
        return ""
    return completed.output.strip() if completed.returncode == 0 else ""


class VirtualEnvironment(Record):
    """A virtual environment and its interpreter, in which packages are installed, built or checked."""

    directory: Path
    python: Path

    @property
    def scripts_directory(self) -> Path:
        """The `bin` or, on Windows, `Scripts` directory."""
        return self.python.parent

    @property
    def site_packages(self) -> Path:
        """The directory in which packages are installed."""
        if os.name == "nt":
            return self.directory / "Lib" / "site-packages"
        return next(self.directory.glob("lib/*/site-packages"))

    def activated_variables(self, base: Mapping[str, str]) -> dict[str, str]:
        """Return the variables in `base`, changed to activate this environment (`PATH`, `VIRTUAL_ENV`)."""
        path = os.pathsep.join([str(self.scripts_directory), base.get("PATH", os.defpath)])
        return {**base, "PATH": path, "VIRTUAL_ENV": str(self.directory)}


class Installer(Record):
    """uv, with which environments are created and packages installed into them.

    Attributes:
        env: The complete environment variables of uv, which may configure an index.
        project_directory: The directory whose uv settings apply to installations, or None for the working
            directory.
    """

    env: Mapping[str, str]
    project_directory: Path | None = None

    def create_environment(self, directory: Path, python: Path) -> VirtualEnvironment:
        """Create an empty environment, replacing an existing one; raise `Failed` if that fails."""
        options = ("--quiet", "--clear", "--no-project", "--no-config")
        completed = process.run(
            [find_uv(), "venv", *options, "--python", python, directory], env=self.env, timeout=_INSTALL_TIMEOUT
        )
        fix = choose_installer_fix(completed, f"check that the Python works: {python} --version")
        completed.check(f"creating an environment with {python}", fix=fix)
        scripts = "Scripts" if os.name == "nt" else "bin"
        return VirtualEnvironment(directory, directory / scripts / ("python.exe" if os.name == "nt" else "python"))

    def install(
        self,
        environment: VirtualEnvironment,
        requirements: Sequence[str],
        *,
        index_url: str | None = None,
        on_line: Callable[[str], None] | None = None,
        constraints: Constraints = UNCONSTRAINED,
    ) -> process.CompletedProgram:
        """Install requirements (PEP 508) or archives (paths); return the result, even if the command failed.

        With `index_url` (a simple API URL), everything comes from that index, even if an sdist names another one;
        with None, from the indexes that uv is configured to use. If the constraints require hashes, only wheels
        are installed, since sdists could run code before their hashes are compared; requirements that cannot be
        resolved then raise `Failed`. `on_line` is called with each line of output.
        """
        if constraints.require_hashes:
            # In this mode, uv takes pinned requirements only; it finds their hashes in the constraints.
            requirements = self._resolve_requirements(requirements, environment.python, constraints)
        argv: list[str | os.PathLike[str]] = [find_uv(), "pip", "install", "--python", environment.python]
        # [tool.uv.sources] of an sdist may name an index of its own.
        argv += ["--index-url", index_url, "--no-sources"] if index_url else []
        argv += ["--no-deps", "--require-hashes"] if constraints.require_hashes else []
        with self._resolution_options(constraints) as options:
            return process.run(
                [*argv, *options, "--", *requirements], env=self.env, timeout=_INSTALL_TIMEOUT, on_line=on_line
            )

    def run_pip_check(self, environment: VirtualEnvironment) -> process.CompletedProgram:
        """Run `uv pip check`, which fails if a package lacks a requirement; return its result, even if failed."""
        return process.run(
            [find_uv(), "pip", "check", "--python", environment.python], env=self.env, timeout=_CHECK_TIMEOUT
        )

    @contextlib.contextmanager
    def _resolution_options(self, constraints: Constraints) -> Iterator[process.Arguments]:
        """Yield uv's options, valid in the block, for the project's settings and constraints.

        They also apply to builds of sdists.
        """
        options: list[str | os.PathLike[str]] = (
            ["--project", self.project_directory] if self.project_directory else []
        )
        with contextlib.ExitStack() as stack:
            files: list[str | os.PathLike[str]] = [*constraints.files]
            if constraints.requirements:
                file = stack.enter_context(temporary_directory()) / "constraints.txt"
                file.write_text("\n".join(constraints.requirements), encoding="utf-8")
                files.append(file)
            options += ["--only-binary", ":all:"] if constraints.require_hashes else []
            for path in files:
                options += ["--constraint", path, "--build-constraint", path]
            options += ["--exclude-newer", newer] if (newer := constraints.exclude_newer) else []
            for name, time in constraints.exclude_newer_package:
                options += ["--exclude-newer-package", f"{name}={time}"]
            yield options

    def _resolve_requirements(
        self, requirements: Sequence[str], python: Path, constraints: Constraints
    ) -> tuple[str, ...]:
        """Return the releases (`NAME==VERSION`) that requirements and all their dependencies resolve to.

        Raises:
            Failed: They cannot be resolved.
        """
        with self._resolution_options(constraints) as options, temporary_directory() as directory:
            file = directory / "pins.txt"  # the project's settings may set another output file
            completed = process.run(
                [
                    *(find_uv(), "pip", "compile", *_COMPILE_OPTIONS, *options),
                    *("--python", python, "--output-file", file, "-"),
                ],
                env=self.env,
                stdin="\n".join(requirements),
                timeout=_INSTALL_TIMEOUT,
            )
            fix = choose_installer_fix(completed, INDEX_FIX)
            completed.check(f"resolving {', '.join(requirements)}", fix=fix)
            lines = map(str.strip, file.read_text(encoding="utf-8").splitlines())
            return tuple(line for line in lines if line and not line.startswith(("#", "-")))


def choose_installer_fix(completed: process.CompletedProgram, default: str) -> str:
    """Return the fix for a failed installation if its output shows a known cause; else `default`.

    Known causes are a full disk, missing or wrong hashes, and a cache that cannot be written.
    """
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


def single_index_variables(base: Mapping[str, str], index_url: str) -> dict[str, str]:
    """Return the variables in `base`, changed so that uv and pip use only this index (a simple API URL).

    Unlike options, variables also apply to the builds that uv runs for sdists.
    """
    others = {name: value for name, value in base.items() if not _SOURCE_VARIABLES.fullmatch(name)}
    pip = {"PIP_CONFIG_FILE": os.devnull, "PIP_INDEX_URL": index_url}
    # [tool.uv.sources] of an sdist may name another index.
    return others | pip | {"UV_NO_CONFIG": "1", "UV_NO_SOURCES": "1", "UV_DEFAULT_INDEX": index_url}


def find_uv() -> Path:
    """Return the path of the uv that is installed with relnox; raise `Blocked` if there is none."""
    try:
        import uv  # jobs that only publish do not install it

        return Path(uv.find_uv_bin())
    except (ImportError, FileNotFoundError) as error:
        raise Blocked(
            "program-failed",
            "uv is not installed (it installs packages)",
            fix=fixes.install_command("uv"),
        ) from error
