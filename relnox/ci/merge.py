"""Generated files that people and bots edit: a stamp, and a merge that keeps their edits.

The first line of a generated file has the hash of what relnox wrote. The present file, that output, and the output
of today are merged as git merges branches. That output is found again in the history of the file.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from hashlib import sha256
from typing import Literal, NamedTuple

from packaging.version import InvalidVersion, Version

from relnox.system import process
from relnox.system.files import TemporaryDirectory

Side = Literal["ours", "theirs"]

_STAMP = re.compile(r"^# Written by relnox (\S+), sha256:([0-9a-f]{16})\b[^\n]*\n", re.MULTILINE)
_PIN = re.compile(r"(?P<action>\buses: *[\"']?[\w.-]+/[\w./-]+)@(?P<pin>[0-9a-f]{40}[\"']?(?:[ \t]+#[^\n]*)?)")
"""Matches an action at a commit, with the comment that has its version."""


class Stamped(NamedTuple):
    """A generated file.

    Attributes:
        digest: The hash of the output that it was written from.
        body: Its content without the stamp, with line feeds only.
        newline: Its line end.
    """

    digest: str
    body: str
    newline: str


def digest(output: str) -> str:
    """Return the hash of an output; the commits of actions and white space at line ends do not count."""
    lines = (line.rstrip() for line in _PIN.sub(r"\g<action>", output).split("\n"))
    return sha256("\n".join(lines).encode()).hexdigest()[:16]


def stamp(output: str, version: str, body: str | None = None) -> str:
    """Return the text of a file with the stamp of an output; its content is `body`, or else that output."""
    line = f'# Written by relnox {version}, sha256:{digest(output)}; "relnox ci" updates it and keeps your edits\n'
    return line + (output if body is None else body)


def read_stamp(text: str) -> Stamped | None:
    """Return a generated file without its stamp, or None if it has none."""
    newline = "\r\n" if "\r\n" in text else "\n"
    text = text.replace("\r\n", "\n")
    match = _STAMP.search(text)
    return Stamped(match[2], text[: match.start()] + text[match.end() :], newline) if match else None


def find_output(present: Stamped, output: str, versions: Iterable[Stamped]) -> str | None:
    """Return the output that a file was written from, or None if it is nowhere.

    Unedited versions of the file are outputs. An edited one was merged from an output that no commit has; but that
    merge can be undone: what it changed in the version before is what relnox changed in its output. Only a text
    with the right hash is an output.

    Args:
        present: The file.
        output: The output of today.
        versions: The versions of the file in the history, the oldest first.
    """
    outputs = {digest(output): output}
    before: Stamped | None = None
    for version in (*versions, present):
        if digest(version.body) == version.digest:
            outputs[version.digest] = version.body
        elif before is not None and before.digest in outputs and version.digest not in outputs:
            candidate = _merge_texts(outputs[before.digest], before.body, version.body, "ours")
            if digest(candidate) == version.digest:
                outputs[version.digest] = candidate
        before = version
    return outputs.get(present.digest)


def merge(present: str, base: str, output: str, side: Side) -> str:
    """Return the present text with the changes from one output to another; pins of actions only get newer.

    Args:
        present: The content of the file.
        base: The output that it was written from.
        output: The output of today.
        side: What to take where both have changed the same lines: `ours` is the present text.
    """
    actions = {match["action"] for text in (base, output) for match in _PIN.finditer(text)}
    ours, common, theirs = (_without_pins(text, actions) for text in (present, base, output))
    merged = _merge_texts(ours, common, theirs, side)
    return _with_pins(merged, _newest_pins(present, output))


def _merge_texts(ours: str, base: str, theirs: str, side: Side) -> str:
    with TemporaryDirectory() as directory:
        files = [directory.path / name for name in ("ours", "base", "theirs")]
        for file, text in zip(files, (ours, base, theirs), strict=True):
            file.write_bytes(text.encode())
        completed = process.run(["git", "merge-file", "-p", f"--{side}", *files], stderr=False, newlines=False)
    return completed.check("git merge-file").output


def _without_pins(text: str, actions: Collection[str]) -> str:
    return _PIN.sub(lambda match: f"{match['action']}@" if match["action"] in actions else match[0], text)


def _with_pins(text: str, pins: Mapping[str, str]) -> str:
    pattern = re.compile(rf"({'|'.join(map(re.escape, pins))})@(?![\w.-])") if pins else re.compile(r"(?!)")
    return pattern.sub(lambda match: f"{match[1]}@{pins[match[1]]}", text)


def _newest_pins(present: str, output: str) -> dict[str, str]:
    """Return the newest pin of each action, with its comment; the present one if versions cannot be compared."""
    pins: dict[str, str] = {}
    for text in (output, present):
        for match in _PIN.finditer(text):
            action, pin = match["action"], match["pin"]
            if action not in pins or _pin_version(pin) is None or _at_least(pin, pins[action]):
                pins[action] = pin
    return pins


def _at_least(pin: str, other: str) -> bool:
    version, other_version = _pin_version(pin), _pin_version(other)
    return other_version is None or (version is not None and version >= other_version)


def _pin_version(pin: str) -> Version | None:
    """Return the version in the comment of a pin, or None if it has none."""
    try:
        return Version(pin.partition("#")[2].split()[0])
    except (InvalidVersion, IndexError):
        return None


def old_pins(present: str, output: str) -> Iterator[tuple[str, Version, Version]]:
    """Yield each action whose version in a file is older than that of an output, with both versions."""
    new = {match["action"]: _pin_version(match["pin"]) for match in _PIN.finditer(output)}
    pins = dict.fromkeys((match["action"], _pin_version(match["pin"])) for match in _PIN.finditer(present))
    for action, version in pins:
        newer = new.get(action)
        if version is not None and newer is not None and version < newer:
            yield action.partition("uses:")[2].strip(" \"'"), version, newer
