"""What GitHub's runner takes for a workflow command, by the rules of its `ActionCommand` and `OutputManager`.

Every line of either stream is looked at. The form `::name properties::data` (`TryParseV2`) may have white space
before it; the older form `##[name properties]data` (`TryParse`) may stand anywhere in a line. Names are those that
the runner registers, in any case, and while commands are stopped the token that starts them again. .NET compares
the beginning of a line by the rules of a language, which pass over characters that are not seen, so lines are also
read without them.
"""

from __future__ import annotations

import re
import unicodedata
from typing import NamedTuple

NAMES = frozenset(
    {
        *("add-mask", "add-matcher", "add-path", "debug", "echo", "endgroup", "error", "group", "notice"),
        *("internal-set-repo-path", "remove-matcher", "save-state", "set-env", "set-output", "stop-commands"),
        "warning",
    }
)
UNSEEN = frozenset({"\u034f", *map(chr, range(0xFE00, 0xFE10)), *map(chr, range(0xE0100, 0xE01F0))})
"""Marks that a comparison by the rules of a language passes over, beside control and format characters."""


class Command(NamedTuple):
    """A command that the runner carries out."""

    name: str
    data: str


def lines_of(text: str) -> list[str]:
    """Lines as `StreamReader.ReadLine` ends them."""
    return re.split(r"\r\n|\r|\n", text)


def commands(text: str) -> list[Command]:
    """The commands in what a step printed, those among them that are inside stopped parts."""
    found: list[Command] = []
    tokens: set[str] = set()
    for line in lines_of(text):
        for reading in dict.fromkeys((line, _without_unseen(line))):
            command = _parse(reading, tokens)
            if command is not None:
                if command.name == "stop-commands":
                    tokens.add(command.data.lower())
                found.append(Command("resume", "") if command.name in tokens else command)
                break
    return found


def _parse(line: str, tokens: set[str]) -> Command | None:
    start = line.lstrip()
    if start.startswith("::") and (end := start.find("::", 2)) >= 0:
        name = start[2:end].partition(" ")[0].lower()
        if name in NAMES | tokens:
            return Command(name, _unescape(start[end + 2 :]))
    before = line.find("##[")
    if before >= 0 and (end := line.find("]", before)) >= 0:
        name = line[before + 3 : end].partition(" ")[0].lower()
        if name in NAMES | tokens:
            return Command(name, _unescape(line[end + 1 :]))
    return None


def _unescape(data: str) -> str:
    return data.replace("%0D", "\r").replace("%0A", "\n").replace("%25", "%")


def _without_unseen(line: str) -> str:
    return "".join(char for char in line if unicodedata.category(char) not in ("Cc", "Cf") and char not in UNSEEN)
