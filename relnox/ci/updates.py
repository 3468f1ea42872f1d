"""What happens to a generated file: it is written, merged with the edits in it, or checked."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from typing import Any

from relnox.ci.compare import Rules
from relnox.ci.merge import Stamped, digest, find_output, merge, old_pins, read_stamp, stamp
from relnox.core.records import Record
from relnox.core.text import split_lines
from relnox.errors import Blocked, Problem


class GeneratedFile(Record, kw_only=True):
    """A generated file: what it should contain, and what it has now.

    Attributes:
        file: Its path.
        output: What relnox generates today.
        present: Its content; None if it does not exist.
        version: The version of relnox.
        history: Its contents in the history of the branch, the oldest first; empty if `needs_history` is false.
    """

    file: str
    output: str
    present: str | None
    version: str
    history: tuple[str, ...] = ()

    @property
    def stamped(self) -> Stamped | None:
        """The present file without its stamp; None if it has none, or does not exist."""
        return read_stamp(self.present) if self.present is not None else None

    @property
    def needs_history(self) -> bool:
        """Whether the history says what it was generated as: it was edited, and today's output is another."""
        stamped = self.stamped
        return stamped is not None and stamped.digest not in (digest(stamped.body), digest(self.output))


def update(file: GeneratedFile, prefer: str | None) -> str:
    """Return the content that a file should have, with the edits in it.

    Args:
        file: The file.
        prefer: What to take where an edit and relnox changed the same lines, or None to raise an error.

    Raises:
        Blocked: They changed the same lines, or what the file was generated as is not known.
    """
    stamped = file.stamped
    if file.present is None or (stamped is None and prefer == "generated"):
        return stamp(file.output, file.version)
    if stamped is None:
        raise _conflict(
            file,
            "exists, and was not written by relnox",
            f"to replace it: relnox ci --prefer generated; to keep it under another name: git mv {file.file} NAME",
            file.present,
            file.output,
        )
    before = find_output(stamped, file.output, filter(None, map(read_stamp, file.history)))
    if before is None and prefer is None:
        raise _conflict(
            file,
            "was edited, and no commit of this clone has what relnox wrote before",
            _CONFLICT_FIX,
            stamped.body,
            file.output,
        )
    base = before if before is not None else stamped.body if prefer == "generated" else file.output
    body, other = (merge(stamped.body, base, file.output, side) for side in ("ours", "theirs"))
    if prefer == "generated":
        body = other
    elif prefer is None and body != other:
        message = "was edited on lines that relnox changes as well"
        raise _conflict(file, message, _CONFLICT_FIX, body, other)
    text = stamp(file.output, file.version, body)
    unchanged = digest(file.output) == stamped.digest and body == stamped.body
    return file.present if unchanged else text.replace("\n", stamped.newline)


_CONFLICT_FIX = (
    "to keep the lines with a minus: relnox ci --prefer edits; or to take those with a plus: "
    "relnox ci --prefer generated"
)


def _conflict(file: GeneratedFile, message: str, fix: str, before: str, after: str) -> Blocked:
    lines = difflib.unified_diff(split_lines(before), split_lines(after), file.file, file.file, lineterm="", n=1)
    diff = "\n".join(f"  {line}" for line in lines)
    return Blocked("workflow-conflict", f"{file.file} {message}:\n{diff}", fix)


def check(file: GeneratedFile, rules: Rules[Any]) -> Iterator[Problem]:
    """Yield what `update` would change in a file, and what makes it unsafe; other edits are notes.

    Args:
        file: The file.
        rules: How files of its kind are compared.
    """
    if file.present is None:
        yield missing_file(file.file)
        return
    present = rules.read(file.file, file.present.encode())
    expected = rules.read(file.file, file.output.encode())
    try:
        updated = rules.read(file.file, update(file, None).encode())
    except Blocked:
        updated = expected
    lasting = {problem.message for problem in rules.dangers(updated, expected)}  # the rest ends with an update
    findings = [problem for problem in rules.dangers(present, expected) if problem.message in lasting]
    problems = {problem.file: problem for problem in (*findings, *rules.wrong_pins(present))}
    for difference in rules.compare(present, updated):
        place = f"{file.file}:{difference.line}"
        problems.setdefault(place, Problem("workflow-outdated", difference.message, _UPDATE, file=place))
    for difference in rules.compare(present, expected):
        place = f"{file.file}:{difference.line}"
        note = Problem(
            "workflow-outdated", f"{difference.message} (an edit, which is kept)", level="note", file=place
        )
        problems.setdefault(place, note)
    yield from problems.values()
    for action, old, new in old_pins(file.present, file.output):
        message = f"{action} is at v{old} (v{new} is known)"
        yield Problem("workflow-outdated", message, _UPDATE, level="note", file=file.file)


def missing_file(name: str) -> Problem:
    """Return the problem of a file that `ci` writes and that does not exist."""
    return Problem("workflow-outdated", "the file is missing", _UPDATE, file=name)


_UPDATE = "relnox ci"
