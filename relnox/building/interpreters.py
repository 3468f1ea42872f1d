"""Python interpreters on this machine, found by uv, also those of pyenv."""

from __future__ import annotations

import os
import platform
import re
import sys
from functools import cache
from pathlib import Path

from relnox.building.environments import find_uv
from relnox.core.records import Record
from relnox.errors import Blocked, Failed
from relnox.system import process

_QUERY_TIMEOUT = 30.0


class Interpreter(Record):
    """A Python interpreter on this machine, and its full version, such as `3.12.1`."""

    path: Path
    version: str


def find_interpreter(version: str) -> Interpreter:
    """Return a working interpreter of a Python version (`3.12`), or the running one if `version` is empty.

    Raises:
        Blocked: The version is invalid, or no working interpreter of that version is installed.
    """
    if not version:
        return Interpreter(Path(sys.executable), platform.python_version())
    return _find_installed(version)


@cache
def _find_installed(version: str) -> Interpreter:
    if not re.fullmatch(r"\d{1,3}(\.\d{1,3})?", version, re.ASCII):
        raise Blocked(
            "value-invalid",
            f"{version!r} is not a Python version",
            fix="use the major and minor version, such as 3.12",
        )
    if f"{sys.version_info.major}.{sys.version_info.minor}" == version:
        return Interpreter(Path(sys.executable), platform.python_version())
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
