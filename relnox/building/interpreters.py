"""Python interpreters on this machine, found on PATH, in pyenv or by uv."""

from __future__ import annotations

import os
import platform
import re
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from relnox.building.environments import find_uv
from relnox.core.records import Record
from relnox.errors import Blocked, Failed
from relnox.system import process

if TYPE_CHECKING:
    from collections.abc import Iterator

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
    return _find_installed(version, os.environ.get("PATH", os.defpath))


@cache
def _find_installed(version: str, path: str) -> Interpreter:
    if not re.fullmatch(r"\d{1,3}(\.\d{1,3})?", version, re.ASCII):
        raise Blocked(
            "value-invalid",
            f"{version!r} is not a Python version",
            fix="use the major and minor version, such as 3.12",
        )
    for candidate in _candidate_paths(version, path):
        if (full_version := _query_version(candidate)).startswith(f"{version}."):
            return Interpreter(candidate, full_version)
    raise Blocked(
        "python-missing",
        f"Python {version} is not installed (no working interpreter on PATH, in pyenv or uv)",
        fix=f"uv python install {version}, or put python{version} on PATH",
    )


def _candidate_paths(version: str, path: str) -> Iterator[Path]:
    if f"{sys.version_info.major}.{sys.version_info.minor}" == version:
        yield Path(sys.executable)
    for directory in path.split(os.pathsep):
        for name in (f"python{version}", f"python{version}.exe"):
            if (Path(directory) / name).is_file():
                yield Path(directory) / name
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    # pyenv's shim of an inactive version is on PATH and answers with an error; the versions themselves work.
    yield from sorted(pyenv.glob(f"{version}.*/bin/python"), reverse=True)
    if uv := find_uv():
        completed = process.run([uv, "python", "find", "--no-python-downloads", version], stderr=False)
        if completed.returncode == 0:
            yield Path(completed.output.strip())


def _query_version(python: Path) -> str:
    """Return the full version of an interpreter, such as `3.12.1`, or an empty string if it does not run."""
    argv: process.Arguments = [python, "-I", "-c", "import platform; print(platform.python_version())"]
    try:
        completed = process.run(argv, timeout=_QUERY_TIMEOUT, stderr=False)
    except Failed:
        return ""
    return completed.output.strip() if completed.returncode == 0 else ""
