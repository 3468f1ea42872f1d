"""A warm process for `twine check`, and a parser of its output."""

from __future__ import annotations

import re
import sys
from importlib.util import find_spec
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Literal

from relnox.building.fork_client import ForkServer
from relnox.core import fixes
from relnox.core.records import Record
from relnox.errors import Failed

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_CHECKED = re.compile(r"Checking (?P<path>.+): (?P<result>PASSED with warnings|PASSED|FAILED\b.*)\s*")
_LEVEL = re.compile(r"(ERROR|WARNING)\s+")

OUTPUT_VARIABLES = {"NO_COLOR": "1", "TERM": "dumb", "COLUMNS": "4096", "LINES": "25"}
"""Variables that make twine print one line for each file: without `LINES`, rich wraps lines to 80 columns."""


def find_script() -> str:
    """Return the path of the script that `python -m twine` runs; raise `Failed` if it does not exist."""
    spec = find_spec("twine.__main__")
    if spec is None or spec.origin is None:
        raise Failed(
            "twine-missing",
            "twine is not installed correctly (no module twine.__main__)",
            fix=fixes.install_command("twine", upgrade=True),
        )
    return spec.origin


def start_server(variables: Mapping[str, str], directory: Path) -> ForkServer:
    """Start a warm process that has imported the modules of `twine check`, and is forked for each check.

    Output is written to files in the existing `directory`.
    """
    modules = (
        *("twine.__main__", "twine.commands.check", "readme_renderer.markdown", "readme_renderer.rst"),
        *("rich.console", "rich.markup", "encodings.cp437", "gzip"),
    )
    return ForkServer(Path(sys.executable), modules, variables, directory)


class TwineResult(Record):
    """The result of `twine check` for an archive, with its errors and warnings."""

    file: str
    result: Literal["passed", "warnings", "failed"]
    messages: tuple[str, ...]


def parse_results(lines: Iterable[str]) -> tuple[TwineResult, ...]:
    """Return the results of all archives in the output of `twine check`, in the same order."""
    results: list[tuple[str, Literal["passed", "warnings", "failed"], list[str]]] = []
    for line in lines:
        if (match := _CHECKED.fullmatch(line)) is not None:
            word = match["result"]
            result: Literal["passed", "warnings", "failed"] = (
                "failed" if word.startswith("FAILED") else "passed" if word == "PASSED" else "warnings"
            )
            results.append((PurePath(match["path"]).name, result, []))
        elif results and (text := _LEVEL.sub("", line).strip()):
            messages = results[-1][2]
            if _LEVEL.match(line) or not messages:
                messages.append(text)
            else:
                messages[-1] += f" {text}"
    return tuple(TwineResult(file, result, tuple(messages)) for file, result, messages in results)
