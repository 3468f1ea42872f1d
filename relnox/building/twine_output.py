"""What `twine check` prints, file by file: its lines are wrapped for a terminal."""

from __future__ import annotations

import re
from pathlib import PurePath
from typing import TYPE_CHECKING, Literal

from relnox.core.records import Record

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["TwineResult", "results"]

_CHECKED = re.compile(r"Checking (?P<path>.+): (?P<result>PASSED with warnings|PASSED|FAILED\b.*)\s*")
_LEVEL = re.compile(r"(ERROR|WARNING)\s+")


class TwineResult(Record):
    """What twine said of an archive.

    Attributes:
        file: Its name.
        result: How the check ended.
        said: Why, a message a line.
    """

    file: str
    result: Literal["passed", "warnings", "failed"]
    said: tuple[str, ...]


def results(lines: Iterable[str]) -> tuple[TwineResult, ...]:
    """What twine said of each archive, in its order."""
    found: list[tuple[str, Literal["passed", "warnings", "failed"], list[str]]] = []
    for line in lines:
        if (checked := _CHECKED.fullmatch(line)) is not None:
            word = checked["result"]
            ended: Literal["passed", "warnings", "failed"] = (
                "failed" if word.startswith("FAILED") else "passed" if word == "PASSED" else "warnings"
            )
            found.append((PurePath(checked["path"]).name, ended, []))
        elif found and (text := _LEVEL.sub("", line).strip()):
            messages = found[-1][2]
            if _LEVEL.match(line) or not messages:
                messages.append(text)
            else:
                messages[-1] += f" {text}"
    return tuple(TwineResult(file, ended, tuple(said)) for file, ended, said in found)
