"""Generated files that people and bots edit: each is written, merged with the edits in it, or checked.

The first line of a generated file has the hash of what relnox wrote. The present file, that output, and the output
of today are merged as git merges branches. That output is found again in the history of the file.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable, Iterator
from hashlib import sha256
from typing import Literal, NamedTuple

from packaging.version import InvalidVersion, Version

from relnox.ci import github
from relnox.ci.compare import CheckRules
from relnox.ci.workflows import parse_workflow
from relnox.core.records import Record
from relnox.core.text import split_lines
from relnox.errors import Blocked, Problem
from relnox.system import process
from relnox.system.files import temporary_directory

_STAMP = re.compile(r"^# Written by relnox (\S+), sha256:([0-9a-f]{16})\b[^\n]*\n", re.MULTILINE)
_ACTION = r"(?P<uses>\buses: *[\"']?(?P<action>[\w.-]+/[\w./-]+))@"
_PIN = re.compile(_ACTION + r"(?P<pin>(?P<sha>[0-9a-f]{40})[\"']?(?:[ \t]+#(?P<comment>[^\n]*))?)")
"""Matches an action at a commit, with the comment that has its version."""
_WITHOUT_PIN = re.compile(_ACTION + r"(?![\w.-])")
_UPDATE = "relnox ci"
_CONFLICT_FIX = (
    "to keep the lines with a minus: relnox ci --prefer edits; or to take those with a plus: "
    "relnox ci --prefer generated"
)


class StampedText(NamedTuple):
    """The text of a file that relnox generated, divided into its stamp and the rest.

    The stamp is a comment line with a hash of what relnox wrote, which people may have edited since then.

    Attributes:
        digest: The hash in the stamp: the `output_digest` of what relnox wrote.
        body: The text without the stamp, with line feeds only.
        newline: Its line end: LF or CRLF.
    """

    digest: str
    body: str
    newline: str


class GeneratedFile(Record, kw_only=True):
    """A CI file that relnox generates and people may edit.

    Attributes:
        file: Its path relative to the root of the project.
        output: What relnox generates today, without a stamp.
        present: Its content; None if it does not exist.
        version: The version of relnox, for the stamp.
        history: Its contents in the history of the branch, the oldest first; empty if `needs_history` is false, or
            outside git.
    """

    file: str
    output: str
    present: str | None
    version: str
    history: tuple[str, ...] = ()

    @property
    def stamped_text(self) -> StampedText | None:
        """The present text, divided by `read_stamp`; None if it has no stamp, or if the file does not exist."""
        return read_stamp(self.present) if self.present is not None else None

    @property
    def needs_history(self) -> bool:
        """Whether `merge_edits` needs `history`: the file was edited, and relnox's output is another one today."""
        stamped = self.stamped_text
        return stamped is not None and stamped.digest not in (
            output_digest(stamped.body),
            output_digest(self.output),
        )


# --- stamps


def output_digest(output: str) -> str:
    """Return a hash of a generated CI file (16 hex digits).

    White space at line ends and the commits of actions do not count, since a newer commit is no edit of the file.
    """
    lines = (line.rstrip() for line in _PIN.sub(r"\g<uses>", output).split("\n"))
    return sha256("\n".join(lines).encode()).hexdigest()[:16]


def add_stamp(output: str, version: str, body: str | None = None) -> str:
    """Return the text to write to a file: a stamp, which is a comment line with the hash of `output`, then `body`.

    `output` is what `relnox ci` generates. `body` is the output with the edits in the present file, or None if the
    output itself is to be written.
    """
    digest = output_digest(output)
    line = f'# Written by relnox {version}, sha256:{digest}; "relnox ci" updates it and keeps your edits\n'
    return line + (output if body is None else body)


def read_stamp(text: str) -> StampedText | None:
    """Return a text divided into stamp (the comment line of `add_stamp`) and rest; None if it has no stamp."""
    newline = "\r\n" if "\r\n" in text else "\n"
    text = text.replace("\r\n", "\n")
    match = _STAMP.search(text)
    return StampedText(match[2], text[: match.start()] + text[match.end() :], newline) if match else None


# --- merges


def merge_edits(file: GeneratedFile, prefer: str | None) -> str:
    """Return the new content of a file, with a stamp: today's output, with the edits in the present file.

    `prefer` is `edits` or `generated`, for lines that both an edit and relnox changed; None to raise an error.
    With `generated`, a file that relnox did not write is replaced.

    Raises:
        Blocked: `prefer` is None, and both changed the same lines, or what relnox wrote before is in no commit; or
            relnox did not write the file, and `prefer` is not `generated`.
    """
    stamped = file.stamped_text
    if file.present is None or (stamped is None and prefer == "generated"):
        return add_stamp(file.output, file.version)
    if stamped is None:
        raise _conflict_error(
            file,
            "exists, and was not written by relnox",
            f"to replace it: relnox ci --prefer generated; to keep it under another name: git mv {file.file} NAME",
            file.present,
            file.output,
        )
    before = _find_last_output(stamped, file.output, filter(None, map(read_stamp, file.history)))
    if before is None and prefer is None:
        raise _conflict_error(
            file,
            "was edited, and no commit of this clone has what relnox wrote before",
            _CONFLICT_FIX,
            stamped.body,
            file.output,
        )
    base = before if before is not None else stamped.body if prefer == "generated" else file.output
    body = _merge_with_pins(stamped.body, base, file.output, "ours")
    generated = _merge_with_pins(stamped.body, base, file.output, "theirs")
    if prefer == "generated":
        body = generated
    elif prefer is None and body != generated:
        message = "was edited on lines that relnox changes as well"
        raise _conflict_error(file, message, _CONFLICT_FIX, body, generated)
    if output_digest(file.output) == stamped.digest and body == stamped.body:
        return file.present
    return add_stamp(file.output, file.version, body).replace("\n", stamped.newline)


def _conflict_error(file: GeneratedFile, message: str, fix: str, before: str, after: str) -> Blocked:
    """Return the error `FILE MESSAGE` with this fix, and with the difference from the text `before` to `after`."""
    lines = difflib.unified_diff(split_lines(before), split_lines(after), file.file, file.file, lineterm="", n=1)
    diff = "\n".join(f"  {line}" for line in lines)
    return Blocked("workflow-conflict", f"{file.file} {message}:\n{diff}", fix)


def _find_last_output(present: StampedText, output: str, versions: Iterable[StampedText]) -> str | None:
    """Return what relnox generated when it last wrote a file, or None if that cannot be found.

    `present` is the file, `output` is what relnox generates today, and `versions` are in the history of the file,
    the oldest first. A version without edits is itself an output. For an edited one, the changes since the version
    before it are applied to the output of that version; the result is used if it has the hash in the stamp.
    """
    outputs = {output_digest(output): output}
    before: StampedText | None = None
    for version in (*versions, present):
        if output_digest(version.body) == version.digest:
            outputs[version.digest] = version.body
        elif before is not None and before.digest in outputs and version.digest not in outputs:
            candidate = _merge_texts(outputs[before.digest], before.body, version.body, "ours")
            if output_digest(candidate) == version.digest:
                outputs[version.digest] = candidate
        before = version
    return outputs.get(present.digest)


def _merge_with_pins(present: str, base: str, output: str, side: Literal["ours", "theirs"]) -> str:
    """Return the present text of a file with the changes from `base` to `output`; pins of actions only get newer.

    `base` is the output from which the present text was edited. Where both an edit and relnox changed a line,
    `side` selects the line: `ours` that of the present text, `theirs` that of `output`.
    """
    actions = {match["uses"] for text in (base, output) for match in _PIN.finditer(text)}
    ours, common, theirs = (_without_pins(text, actions) for text in (present, base, output))
    merged = _merge_texts(ours, common, theirs, side)
    pins = _newest_pins(present, output)
    return _WITHOUT_PIN.sub(lambda match: f"{match[0]}{pins.get(match['uses'], '')}", merged)


def _merge_texts(ours: str, base: str, theirs: str, side: Literal["ours", "theirs"]) -> str:
    """Merge two texts made from `base`, as git merges branches; where both changed a line, `side` selects it."""
    with temporary_directory() as directory:
        files = [directory / name for name in ("ours", "base", "theirs")]
        for file, text in zip(files, (ours, base, theirs), strict=True):
            file.write_bytes(text.encode())
        completed = process.run(["git", "merge-file", "-p", f"--{side}", *files], stderr=False, newlines=False)
    return completed.check("git merge-file").output


# --- pins


def _without_pins(text: str, actions: Collection[str]) -> str:
    """Remove what follows the `@` of these actions from a text: the commit, and the comment with its version.

    Each of `actions` is given as `uses: ACTION`.
    """
    return _PIN.sub(lambda match: f"{match['uses']}@" if match["uses"] in actions else match[0], text)


def _newest_pins(present: str, output: str) -> dict[str, str]:
    """Map each `uses: ACTION` in the texts to its newest pin: the commit, with the comment that has its version.

    If a version is unknown, the pin in `present` is taken.
    """
    pins: dict[str, re.Match[str]] = {}
    for text in (output, present):
        for match in _PIN.finditer(text):
            other = pins.get(match["uses"])
            version, other_version = _pin_version(match), _pin_version(other) if other is not None else None
            if version is None or other_version is None or version >= other_version:
                pins[match["uses"]] = match
    return {uses: match["pin"] for uses, match in pins.items()}


def _pin_version(pin: re.Match[str]) -> Version | None:
    """Return the version in the comment after an action's commit, or None if there is no valid one.

    `pin` is a match of `_PIN`.
    """
    try:
        return Version((pin["comment"] or "").split()[0])
    except (InvalidVersion, IndexError):
        return None


def _pin_comment_problems(text: str, file: str) -> Iterator[Problem]:
    """Yield a problem for each action in a text whose comment names another version than that of its commit.

    Only the version and the commit to which relnox itself pins an action can be compared. `file` is the path of
    the text.
    """
    for match in _PIN.finditer(text):
        action, sha, comment = match["action"], match["sha"], (match["comment"] or "").strip()
        own_pin = github.pins().get(action)
        version = comment.partition(" ")[0]
        if own_pin is None or (sha == own_pin.sha) == (version == own_pin.version):
            continue
        why = f"that is {own_pin.version}" if sha == own_pin.sha else f"{version} is {own_pin.sha}"
        yield Problem(
            "workflow-unsafe",
            f"{action} at {sha[:10]} has the comment {comment or '(none)'} ({why})",
            f"write {action}@{own_pin.sha} # {own_pin.version}",
            file=f"{file}:{text.count(chr(10), 0, match.start()) + 1}",
        )


# --- checks


def generated_file_problems(file: GeneratedFile, rules: CheckRules) -> Iterator[Problem]:
    """Yield the problems of a generated file: what `merge_edits` would change in it, and what makes it unsafe.

    A missing file is a problem as well. Edits that a merge keeps are problems of the level `note`. `rules` are
    those of the CI provider for comparing two files.
    """
    if file.present is None:
        yield missing_file_problem(file.file)
        return
    present = parse_workflow(file.file, file.present.encode())
    expected = parse_workflow(file.file, file.output.encode())
    try:
        updated = parse_workflow(file.file, merge_edits(file, None).encode())
    except Blocked:
        updated = expected
    lasting = {danger.message for danger in rules.find_dangers(updated, expected)}  # an update ends the others
    dangers = [danger for danger in rules.find_dangers(present, expected) if danger.message in lasting]
    problems = {problem.file: problem for problem in (*dangers, *_pin_comment_problems(file.present, file.file))}
    for difference in rules.compare(present, updated):
        place = f"{file.file}:{difference.line}"
        problems.setdefault(place, Problem("workflow-outdated", difference.message, _UPDATE, file=place))
    for difference in rules.compare(present, expected):
        place = f"{file.file}:{difference.line}"
        message = f"{difference.message} (an edit, which is kept)"
        problems.setdefault(place, Problem("workflow-outdated", message, level="note", file=place))
    yield from problems.values()


def missing_file_problem(name: str) -> Problem:
    """Return the problem that a file which the task `ci` writes does not exist."""
    return Problem("workflow-outdated", "the file is missing", _UPDATE, file=name)
