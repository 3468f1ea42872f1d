"""The states of a release's files on the index, the exit code that follows from them, and who published them.

The exit codes are a contract. 1 and 2 mean that certainly no file of the release is public, 3 that at least one is
public, and 0 that all are public and verified, whatever happened before. See the table in docs/publishing.md.

Trusted publishers (PEP 740) are described by the identity tokens of CI providers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum

from relnox.core.records import Record
from relnox.core.text import format_count, join_names
from relnox.errors import ExitCode, Problem

_MAX_LISTED = 40
"""The maximum number of file names printed for a state; the report has all of them."""


class UploadStatus(StrEnum):
    """The result of uploading a file in this run."""

    NOT_UPLOADED = "no"
    REJECTED = "rejected"
    """The index rejected the file, and no other attempt to upload it may have succeeded."""
    UPLOADED = "yes"
    """The index accepted the file, or its response is not known."""


class FileCheck(StrEnum):
    """The result of the last check of a file name, in the index's listing or at its download URL."""

    UNKNOWN = "unknown"
    ABSENT = "absent"
    MATCH = "match"
    """A file with the hash of the built file."""
    MISMATCH = "mismatch"


class FileState(StrEnum):
    """What is known of a file on the index, from its upload and the last checks."""

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
    listing: FileCheck = FileCheck.UNKNOWN
    download: FileCheck = FileCheck.UNKNOWN

    @property
    def state(self) -> FileState:
        """The state of the file, which follows from its upload and the last checks."""
        if FileCheck.MISMATCH in (self.listing, self.download):
            return FileState.CONFLICT
        if self.listing is FileCheck.MATCH and self.download is FileCheck.MATCH:
            return FileState.VERIFIED
        if self.download is FileCheck.MATCH:
            return FileState.PUBLIC  # the listing had it once, and has lost it since
        if self.listing is FileCheck.MATCH:
            return FileState.PUBLIC if self.download is FileCheck.UNKNOWN else FileState.UNVERIFIED
        if self.upload is UploadStatus.UPLOADED:
            return FileState.UNVERIFIED
        if self.listing is FileCheck.UNKNOWN:
            return FileState.UNKNOWN
        return FileState.REJECTED if self.upload is UploadStatus.REJECTED else FileState.NOT_UPLOADED


_STATE_DESCRIPTIONS = {
    FileState.VERIFIED: "public on {index}",
    FileState.PUBLIC: "public on {index}, not compared",
    FileState.UNVERIFIED: "uploaded to {index}, not verified",
    FileState.UNKNOWN: "unknown, {index} could not be read",
    FileState.CONFLICT: "different content on {index}",
    FileState.REJECTED: "rejected by {index}",
    FileState.NOT_UPLOADED: "not uploaded to {index}",
}
_PUBLIC_STATES = frozenset({FileState.VERIFIED, FileState.PUBLIC})
_UNCERTAIN_STATES = frozenset({FileState.UNVERIFIED, FileState.UNKNOWN})
_EXIT_CODES_WITHOUT_PUBLICATION = frozenset({ExitCode.BLOCKED, ExitCode.FAILED})


def are_all_verified(files: Sequence[PublishedFile]) -> bool:
    """Return whether the index lists and serves all files of a release with the built hashes.

    Return False if there are no files.
    """
    return {file.state for file in files} == {FileState.VERIFIED}


def exit_code_of_publishing(files: Sequence[PublishedFile], errors: Sequence[ExitCode] = ()) -> ExitCode:
    """Return the exit code of publishing, from the states of all files of the release and the codes of errors.

    It is `DONE` if all files are verified, whatever the errors are. Otherwise, the first of these applies:

    - `CONFLICT`: the index has other content for a file, or an error is `CONFLICT`.
    - `PARTLY_PUBLIC`: a file is public.
    - `TRY_LATER`: a file may be public, or an error is neither `BLOCKED` nor `FAILED`.
    - The code of the worst error, or `FAILED` if there is none.
    """
    states = {file.state for file in files}
    if are_all_verified(files):
        return ExitCode.DONE
    if FileState.CONFLICT in states or ExitCode.CONFLICT in errors:
        return ExitCode.CONFLICT
    if states & _PUBLIC_STATES:
        return ExitCode.PARTLY_PUBLIC
    if states & _UNCERTAIN_STATES or not _EXIT_CODES_WITHOUT_PUBLICATION.issuperset(errors):
        return ExitCode.TRY_LATER
    return ExitCode.worst([*errors]) or ExitCode.FAILED


def add_public_files_to_error(error: Problem, index: str, names: Sequence[str], public: Sequence[str]) -> None:
    """Add what is already public to the message of an error before the first upload, and adapt its exit code.

    `names` are the names of all files of the release. `public` are those that an earlier run published: the index
    with the name `index` lists them with the built hashes. If `public` is empty, nothing changes.
    """
    if not public:
        return
    files = [
        PublishedFile(
            index=index, package="", filename=name, listing=FileCheck.MATCH if name in public else FileCheck.ABSENT
        )
        for name in names
    ]
    if error.exit_code is ExitCode.BLOCKED and len(public) == len(names):
        error.exit_code = ExitCode.CONFLICT  # a rerun has nothing to upload
    else:
        error.exit_code = exit_code_of_publishing(files, [error.exit_code])
    lines = "\n".join(summary_lines(files))
    heading = f"already public from an earlier run ({len(public)} of {format_count(len(names), 'file')}):"
    error.message = f"{error.message}\n{heading}\n{lines}"


def exit_code_after_publication(errors: Sequence[ExitCode]) -> ExitCode:
    """Return the exit code for errors that occurred after all files of a release were verified on the index.

    It is the worst code if that is `TRY_LATER` or `PARTLY_PUBLIC`, and `DONE` without errors. Otherwise it is
    `CONFLICT`: a rerun would not help, and `BLOCKED` or `FAILED` would mean that nothing is public.
    """
    code = ExitCode.worst([*errors])
    return code if code in (ExitCode.DONE, ExitCode.TRY_LATER, ExitCode.PARTLY_PUBLIC) else ExitCode.CONFLICT


def summary_lines(files: Sequence[PublishedFile]) -> Iterator[str]:
    """Yield a line for each state and index that has files, such as `public on pypi (2): a.whl, a.tar.gz`."""
    for state in FileState:
        for index in dict.fromkeys(file.index for file in files):
            if names := [file.filename for file in files if file.state is state and file.index == index]:
                description = _STATE_DESCRIPTIONS[state].format(index=index)
                yield f"{description} ({len(names)}): {join_names(names, _MAX_LISTED)}"


ATTESTATION_SUFFIX = ".publish.attestation"
"""The suffix of attestation files, for which twine and PyPI's GitHub action look."""


class Publisher(Record, kw_only=True):
    """A trusted publisher: a CI job or account that an index lets upload without a password.

    Attributes:
        kind: Its kind in PEP 740, such as `GitHub`.
        fields: The names and values that identify it, such as `repository` and `acme/demo`.
    """

    kind: str
    fields: tuple[tuple[str, str], ...]

    @property
    def as_document(self) -> dict[str, str]:
        """The publisher as the JSON object `publisher` in provenance (PEP 740)."""
        return {"kind": self.kind, **dict(self.fields)}

    @property
    def description(self) -> str:
        """The publisher on one line, such as `GitHub acme/demo, release.yml, environment pypi`."""
        parts = [f"environment {value}" if name == "environment" else value for name, value in self.fields]
        return f"{self.kind} {', '.join(parts)}"


def publisher_from_claims(claims: Mapping[str, str]) -> Publisher | None:
    """Return the trusted publisher that the claims of a CI job's identity token describe.

    Return None if a claim is missing, or if PEP 740 attestations are not possible with the CI provider.
    """
    github = re.fullmatch(r"[^/]+/[^/]+/\.github/workflows/([^@]+)@.*", claims.get("workflow_ref", ""))
    gitlab = re.fullmatch(r"[^/]+/.+?//([^@]+)@.*", claims.get("ci_config_ref_uri", ""))
    kind, fields = "Google", {"email": claims.get("email")}
    if github:
        kind, fields = "GitHub", {"repository": claims.get("repository"), "workflow": github[1]}
    elif gitlab:
        kind, fields = "GitLab", {"repository": claims.get("project_path"), "workflow_filepath": gitlab[1]}
    elif (project := claims.get("oidc.circleci.com/project-id")) is not None:
        pipeline = claims.get("oidc.circleci.com/pipeline-definition-id")
        kind, fields = "CircleCI", {"project_id": project, "pipeline_definition_id": pipeline}
    identifying = [(name, value) for name, value in fields.items() if value]
    if len(identifying) < len(fields):
        return None
    if kind in ("GitHub", "GitLab") and (environment := claims.get("environment")):
        identifying.append(("environment", environment))
    return Publisher(kind=kind, fields=tuple(identifying))
