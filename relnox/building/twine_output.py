"""A parser for the output of `twine check`, which wraps lines to the width of a terminal."""

from __future__ import annotations

import re
from pathlib import PurePath
from typing import TYPE_CHECKING, Literal

from relnox.core.records import Record

if TYPE_CHECKING:
    from collections.abc import Iterable

_CHECKED = re.compile(r"Checking (?P<path>.+): (?P<result>PASSED with warnings|PASSED|FAILED\b.*)\s*")
_LEVEL = re.compile(r"(ERROR|WARNING)\s+")


class TwineResult(Record):
    """The result of `twine check` for an archive, with its errors and warnings."""

    file: str
    result: Literal["passed", "warnings", "failed"]
    messages: tuple[str, ...]


def parse_results(lines: Iterable[str]) -> tuple[TwineResult, ...]:
    """Return the results of all archives in the output of `twine check`, in the same order."""
    parsed: list[tuple[str, Literal["passed", "warnings", "failed"], list[str]]] = []
    for line in lines:
        if (checked := _CHECKED.fullmatch(line)) is not None:
            word = checked["result"]
            result: Literal["passed", "warnings", "failed"] = (
                "failed" if word.startswith("FAILED") else "passed" if word == "PASSED" else "warnings"
            )
            parsed.append((PurePath(checked["path"]).name, result, []))
        elif parsed and (text := _LEVEL.sub("", line).strip()):
            messages = parsed[-1][2]
            if _LEVEL.match(line) or not messages:
                messages.append(text)
            else:
                messages[-1] += f" {text}"
    return tuple(TwineResult(file, result, tuple(messages)) for file, result, messages in parsed)
