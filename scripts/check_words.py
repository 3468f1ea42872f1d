"""Check that the repository uses the field's standard terms: `python scripts/check_words.py [PATH …]`.

Words and phrases are looked for in everything that is tracked, in identifiers too (`TakeBack` and `take_back` hold
the phrase "take back"). Names that say nothing about the value they hold are looked for in Python code alone.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

INSTEAD = {
    "anew": "again, refresh",
    "artefact": "artifact",
    "as ever": "as usual",
    "as it should": "say what is wrong",
    "asked to be left alone": "rate-limited",
    "burnt": "reserved",
    "by chance": "say when",
    "dependant": "dependent",
    "engine": "CI provider",
    "failure of the machine": "environment error",
    "folder": "directory",
    "for good": "permanently",
    "for the sake of": "for, so that",
    "goes on with": "resumes",
    "hang up": "close",
    "heard": "received",
    "in vain": "without success",
    "its kin": "similar",
    "judge": "check, validate",
    "left alone": "unchanged, skipped",
    "licence": "license",
    "mend": "fix",
    "needs a person": "conflict, manual action required",
    "nobody": "name who, or use the passive",
    "normalis": "normaliz",
    "outlast": "wait, back off",
    "overtaken": "newer",
    "passed over": "skipped, ignored",
    "passing trouble": "transient error",
    "patience": "deadline",
    "same command again": "rerun the command",
    "serialis": "serializ",
    "somebody": "name who, or use the passive",
    "stand against": "block",
    "stands against": "blocks",
    "stay at home": "are not published",
    "steadfast": "best effort",
    "stranger": "unknown, never connected",
    "struck": "killed",
    "take back": "undo, revert",
    "takes back": "undoes, reverts",
    "taken back": "undone, reverted",
    "their kin": "similar",
    "told": "printed, reported, shown, named",
    "trouble": "error",
    "untold": "unlisted",
    "vacant": "reusable",
    "whoever": "the user, the caller",
    "wish": "request",
    "workshop": "environment pool",
}
"""What is not written, and what to write instead; the beginning of a word where it is followed by more letters."""

VAGUE = {
    *("asked", "begun", "chosen", "closed", "each", "found", "given", "heard", "kept", "known", "listed", "made"),
    *("meant", "moved", "said", "seen", "sent", "shown", "stated", "taken", "told", "wanted", "written"),
}
"""Names that say nothing about what is held: name the thing (`packages`, `uploaded_files`, `locked_versions`)."""

LONGEST_FIRST = sorted(INSTEAD, key=len, reverse=True)
_WORDS = re.compile(rf"\b(?:{'|'.join(re.escape(each) for each in LONGEST_FIRST)})(?:s|ed|ing|\b)", re.IGNORECASE)
_SEAM = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|_+|-")
_FOREIGN = re.compile(r'"engines":')
"""Keys of formats of others: npm's package.json."""
_SUFFIXES = {".md", ".py", ".toml", ".txt", ".yml"}
_SKIPPED = {Path(__file__).name, "LICENSE"}


def words(text: str) -> Iterator[tuple[int, str, str]]:
    """Line number, word and replacement of each word that is not to be used."""
    for number, line in enumerate(text.splitlines(), 1):
        for match in _WORDS.finditer(_SEAM.sub(" ", _FOREIGN.sub("", line))):
            word = match[0].lower()
            yield number, word, next(INSTEAD[key] for key in LONGEST_FIRST if word.startswith(key))


def names(text: str) -> Iterator[tuple[int, str]]:
    """Line number and name of each variable, parameter and field with a vague name."""
    for node in ast.walk(ast.parse(text)):
        match node:
            case ast.Name(id=name, ctx=ast.Store()) | ast.arg(arg=name) if name.strip("_").lower() in VAGUE:
                yield node.lineno, name
            case _:
                pass


def main(arguments: list[str]) -> int:
    """Print what is found in the given files and directories, or in all tracked ones; return 1 if there is any."""
    listing = subprocess.run(
        ["git", "ls-files", *arguments],  # noqa: S607 - the git on PATH
        check=True,
        capture_output=True,
        text=True,
    )
    count = 0
    for path in map(Path, listing.stdout.splitlines()):
        if path.suffix not in _SUFFIXES or path.name in _SKIPPED or not path.is_file():
            continue
        text = path.read_text(encoding="utf-8", errors="replace")
        lines = [f"{path}:{number}: {word} (say: {instead})" for number, word, instead in words(text)]
        if path.suffix == ".py" and path.parts[0] != "tests":
            lines += [
                f"{path}:{number}: the name {name} says nothing: name the thing" for number, name in names(text)
            ]
        count += len(lines)
        print(*lines, sep="\n", end="\n" if lines else "")
    if count:
        print(f"{count} words to replace", file=sys.stderr)
    return int(count > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
