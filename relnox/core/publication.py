"""What is public of a release, and the exit code that says so, from what was seen on the index and nothing else.

The codes are a contract: 1 and 2 are never given while a file of the release is public or may be, 3 never while
none is, and 0 where all of them are proven, whatever happened on the way. See docs/publishing.md for the table.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from relnox.core.records import Record
from relnox.core.steps.base import listing
from relnox.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from relnox.errors import RelnoxError

__all__ = [
    "PublishedFile",
    "Seen",
    "Sent",
    "State",
    "after_publication",
    "all_proven",
    "blocked",
    "exit_code",
    "summary",
]

_LISTED = 40
"""How many names of one state are told; the report has all of them."""


class Sent(StrEnum):
    """Whether this run sent a file."""

    NO = "no"
    BLOCKED = "refused"
    """The index answered that it did not take it, and no other attempt is in doubt."""
    YES = "yes"
    """The index took it, or its answer was lost."""


class Seen(StrEnum):
    """What the index showed when it was last asked: in its listing, or at the address of the file."""

    UNKNOWN = "unknown"
    ABSENT = "absent"
    OURS = "ours"
    OTHER = "other"


class State(StrEnum):
    """What can be said of a file on the index."""

    PROVEN = "public, proven"
    """Listed with our hash, and our bytes are served."""
    PUBLIC = "public"
    """Listed with our hash; what is served was not looked at."""
    UNPROVEN = "sent, not proven"
    """Sent and not seen, or listed and not served: it may be public."""
    UNKNOWN = "unknown"
    """The index cannot be read, so that an earlier run may have published it."""
    CONFLICT = "other content"
    """The index lists or serves other bytes under this name."""
    BLOCKED = "refused"
    NOT_SENT = "not sent"


class PublishedFile(Record, kw_only=True):
    """A file of a release, and what was done with it and seen of it."""

    index: str
    package: str
    filename: str
    sent: Sent = Sent.NO
    listed: Seen = Seen.UNKNOWN
    served: Seen = Seen.UNKNOWN

    @property
    def state(self) -> State:
        """What can be said of it."""
        if Seen.OTHER in (self.listed, self.served):
            return State.CONFLICT
        if self.listed is Seen.OURS and self.served is Seen.OURS:
            return State.PROVEN
        if self.served is Seen.OURS:
            return State.PUBLIC  # seen before, and the listing has lost it since
        if self.listed is Seen.OURS:
            return State.PUBLIC if self.served is Seen.UNKNOWN else State.UNPROVEN
        if self.sent is Sent.YES:
            return State.UNPROVEN
        if self.listed is Seen.UNKNOWN:
            return State.UNKNOWN
        return State.BLOCKED if self.sent is Sent.BLOCKED else State.NOT_SENT


_IN_WORDS = {
    State.PROVEN: "public on {index}",
    State.PUBLIC: "public on {index}, as it lists",
    State.UNPROVEN: "sent to {index}, but not proven to be public",
    State.UNKNOWN: "not known, since {index} could not be read",
    State.CONFLICT: "other content on {index}",
    State.BLOCKED: "refused by {index}",
    State.NOT_SENT: "not sent to {index}",
}
_PUBLIC = frozenset({State.PROVEN, State.PUBLIC})
_IN_DOUBT = frozenset({State.UNPROVEN, State.UNKNOWN})
_NOTHING_PUBLIC = frozenset({ExitCode.BLOCKED, ExitCode.FAILED})


def all_proven(files: Sequence[PublishedFile]) -> bool:
    """Whether a release is public, all of it; false where there is none."""
    return {file.state for file in files} == {State.PROVEN}


def exit_code(files: Sequence[PublishedFile], errors: Sequence[ExitCode] = ()) -> ExitCode:
    """The exit code of publishing.

    Args:
        files: All files of the release.
        errors: The codes of what went wrong.
    """
    states = {file.state for file in files}
    if all_proven(files):
        return ExitCode.DONE
    if State.CONFLICT in states or ExitCode.CONFLICT in errors:
        return ExitCode.CONFLICT
    if states & _PUBLIC:
        return ExitCode.PARTLY_PUBLIC
    if states & _IN_DOUBT or not _NOTHING_PUBLIC.issuperset(errors):
        return ExitCode.TRY_LATER
    return ExitCode.worst([*errors]) or ExitCode.FAILED


def blocked(error: RelnoxError, index: str, names: Sequence[str], public: Sequence[str]) -> None:
    """Have an error that stops publishing before the first byte say what is public already, in its code too.

    Args:
        error: What stops it.
        index: Where the files are to go.
        names: Those of all files of the release.
        public: Those that the index lists with our hashes.
    """
    if not public:
        return
    files = [
        PublishedFile(index=index, package="", filename=name, listed=Seen.OURS if name in public else Seen.ABSENT)
        for name in names
    ]
    if error.exit_code is ExitCode.BLOCKED and len(public) == len(names):
        error.exit_code = ExitCode.CONFLICT  # nothing is missing that the same command could send
    else:
        error.exit_code = exit_code(files, [error.exit_code])
    told = "\n".join(summary(files))
    error.message = f"{error.message}\nfrom an earlier run {len(public)} of {len(names)} files are public:\n{told}"


def after_publication(errors: Sequence[ExitCode]) -> ExitCode:
    """The exit code for what failed after all files of a release were proven public.

    The same command does not better a release that is public and does not work, and 1 and 2 would say that nothing
    is public: a person has to decide.
    """
    code = ExitCode.worst([*errors])
    return code if code in (ExitCode.DONE, ExitCode.TRY_LATER) else ExitCode.CONFLICT


def summary(files: Sequence[PublishedFile]) -> Iterator[str]:
    """What is public, what is not proven, what was not sent: a line for each state that files are in."""
    for state in State:
        for index in dict.fromkeys(file.index for file in files):
            if names := [file.filename for file in files if file.state is state and file.index == index]:
                told = _IN_WORDS[state].format(index=index)
                yield f"{told} ({len(names)}): {listing(names, _LISTED)}"
