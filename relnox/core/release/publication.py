"""The states of a release's files on the index, and the exit code that follows from them.

The exit codes are a contract. 1 and 2 mean that no file of the release is public or may be, 3 that at least one is
public, and 0 that all are public and verified, whatever happened before. See the table in docs/publishing.md.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from relnox.core.records import Record
from relnox.core.text import counted, listing
from relnox.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from relnox.errors import RelnoxError

_MAX_LISTED = 40
"""The maximum number of file names printed for a state; the report has all of them."""


class UploadStatus(StrEnum):
    """The result of uploading a file in this run."""

    NOT_UPLOADED = "no"
    REJECTED = "rejected"
    """The index rejected the file, and no other attempt to upload it may have succeeded."""
    UPLOADED = "yes"
    """The index accepted the file, or its response is not known."""


class Observation(StrEnum):
    """The result of the last check of a file name, in the index's listing or at its download URL."""

    UNKNOWN = "unknown"
    ABSENT = "absent"
    MATCH = "match"
    """A file with the hash of the built file."""
    MISMATCH = "mismatch"


class State(StrEnum):
    """The state of a file on the index."""

    VERIFIED = "public, verified"
    """Listed with the hash of the built file, and its bytes are served."""
    PUBLIC = "public"
    """Listed with the hash of the built file; the served bytes were not compared."""
    UNVERIFIED = "uploaded, not verified"
    """Uploaded but not listed, or listed but not served: the file may be public."""
    UNKNOWN = "unknown"
    """The index cannot be read, and an earlier run may have published the file."""
    CONFLICT = "different content"
    """The index lists or serves different bytes under this name."""
    REJECTED = "rejected"
    NOT_UPLOADED = "not uploaded"


class PublishedFile(Record, kw_only=True):
    """A file of a release on an index: its upload, and the last checks of the listing and of its download."""

    index: str
    package: str
    filename: str
    upload: UploadStatus = UploadStatus.NOT_UPLOADED
    listing: Observation = Observation.UNKNOWN
    download: Observation = Observation.UNKNOWN

    @property
    def state(self) -> State:
        """The state of the file, which follows from its upload and the last checks."""
        if Observation.MISMATCH in (self.listing, self.download):
            return State.CONFLICT
        if self.listing is Observation.MATCH and self.download is Observation.MATCH:
            return State.VERIFIED
        if self.download is Observation.MATCH:
            return State.PUBLIC  # the listing had it once, and has lost it since
        if self.listing is Observation.MATCH:
            return State.PUBLIC if self.download is Observation.UNKNOWN else State.UNVERIFIED
        if self.upload is UploadStatus.UPLOADED:
            return State.UNVERIFIED
        if self.listing is Observation.UNKNOWN:
            return State.UNKNOWN
        return State.REJECTED if self.upload is UploadStatus.REJECTED else State.NOT_UPLOADED


_STATE_TEXT = {
    State.VERIFIED: "public on {index}",
    State.PUBLIC: "public on {index}, not compared",
    State.UNVERIFIED: "uploaded to {index}, not verified",
    State.UNKNOWN: "unknown, {index} could not be read",
    State.CONFLICT: "different content on {index}",
    State.REJECTED: "rejected by {index}",
    State.NOT_UPLOADED: "not uploaded to {index}",
}
_PUBLIC = frozenset({State.VERIFIED, State.PUBLIC})
_IN_DOUBT = frozenset({State.UNVERIFIED, State.UNKNOWN})
_NOTHING_PUBLIC = frozenset({ExitCode.BLOCKED, ExitCode.FAILED})


def all_verified(files: Sequence[PublishedFile]) -> bool:
    """Return whether all files of a release are public and verified; return False if there are no files."""
    return {file.state for file in files} == {State.VERIFIED}


def exit_code(files: Sequence[PublishedFile], errors: Sequence[ExitCode] = ()) -> ExitCode:
    """Return the exit code of publishing, which depends mainly on the states of the files.

    Args:
        files: All files of the release.
        errors: The exit codes of the errors that occurred.
    """
    states = {file.state for file in files}
    if all_verified(files):
        return ExitCode.DONE
    if State.CONFLICT in states or ExitCode.CONFLICT in errors:
        return ExitCode.CONFLICT
    if states & _PUBLIC:
        return ExitCode.PARTLY_PUBLIC
    if states & _IN_DOUBT or not _NOTHING_PUBLIC.issuperset(errors):
        return ExitCode.TRY_LATER
    return ExitCode.worst([*errors]) or ExitCode.FAILED


def add_public_files(error: RelnoxError, index: str, names: Sequence[str], public: Sequence[str]) -> None:
    """Add the files that are already public to an error that occurred before the first upload.

    Args:
        error: The error, whose message and exit code are changed.
        index: The name of the index to publish to.
        names: The names of all files of the release.
        public: The names of the files that the index lists with the hashes in the manifest.
    """
    if not public:
        return
    files = [
        PublishedFile(
            index=index,
            package="",
            filename=name,
            listing=Observation.MATCH if name in public else Observation.ABSENT,
        )
        for name in names
    ]
    if error.exit_code is ExitCode.BLOCKED and len(public) == len(names):
        error.exit_code = ExitCode.CONFLICT  # a rerun has nothing to upload
    else:
        error.exit_code = exit_code(files, [error.exit_code])
    lines = "\n".join(summary(files))
    heading = f"already public from an earlier run ({len(public)} of {counted(len(names), 'file')}):"
    error.message = f"{error.message}\n{heading}\n{lines}"


def after_publication(errors: Sequence[ExitCode]) -> ExitCode:
    """Return the exit code for errors that occurred after all files of a release were verified.

    Such errors are a conflict, since publishing again does not fix a public release, and 1 or 2 would say that
    nothing is public. The exceptions are errors that may be gone later (5), and hooks that have not run yet (3).
    """
    code = ExitCode.worst([*errors])
    return code if code in (ExitCode.DONE, ExitCode.TRY_LATER, ExitCode.PARTLY_PUBLIC) else ExitCode.CONFLICT


def summary(files: Sequence[PublishedFile]) -> Iterator[str]:
    """Yield a line for each state and index that has files, with the names of these files."""
    for state in State:
        for index in dict.fromkeys(file.index for file in files):
            if names := [file.filename for file in files if file.state is state and file.index == index]:
                yield f"{_STATE_TEXT[state].format(index=index)} ({len(names)}): {listing(names, _MAX_LISTED)}"
