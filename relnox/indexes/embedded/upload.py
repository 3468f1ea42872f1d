"""Checks of uploads (the "legacy" API): whether they are consistent and follow the rules of the index."""

from __future__ import annotations

from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name
from packaging.version import Version

from relnox.errors import Blocked
from relnox.indexes.embedded.stored_files import identify

if TYPE_CHECKING:
    from relnox.indexes.embedded.incoming import IncomingFile
    from relnox.indexes.embedded.listener import ServedIndex
    from relnox.indexes.embedded.multipart import Form

_DIGEST_FIELDS = {"sha256_digest": "sha256", "blake2_256_digest": "blake2_256"}


class ReceivedUpload:
    """An upload that was received completely, but is not stored yet."""

    def __init__(self, form: Form, incoming: IncomingFile, index: ServedIndex) -> None:
        self.form = form
        self.incoming = incoming
        self.store = index.store
        self.rules = index.rules

    def accept(self) -> str:
        """Check the upload, store its file, and return the text of the response.

        Raises:
            Blocked: The form is incomplete or inconsistent, or breaks a rule.
            Conflict: The store has a different file with this name.
        """
        _check_protocol(self.form)
        filename = _checked_filename(self.form)
        project = identify(filename)[0]
        with self.store.lock(project):  # rules depend on existing files
            self.check_project(project)
            _check_digests(self.form, filename, self.incoming)
            stored_file = self.store.find(filename)
            if stored_file is not None and stored_file.sha256 == self.incoming.digests["sha256"]:
                return f"{filename} exists with the same content"
            if stored_file is None:
                self.check_file(filename)
            is_new = self.incoming.store(filename, requires_python=self.form.optional("requires_python"))
        return f"{filename} is stored" if is_new else f"{filename} exists with the same content"

    def check_project(self, project: str) -> None:
        """Check that the rules allow uploads to a project.

        Args:
            project: The normalized name of the project (PEP 503).

        Raises:
            Blocked: The name of a new project breaks a rule.
        """
        if self.rules is not None and not self.store.files(project):
            self.rules.check_project(self.form.required("name"), self.store)

    def check_file(self, filename: str) -> None:
        """Check a file whose name does not exist on the index yet.

        Raises:
            Blocked: The file breaks a rule.
        """
        if self.rules is not None:
            self.rules.check_file(filename, self.incoming, self.store)


def _check_protocol(form: Form) -> None:
    """Check that the form requests a file upload in the supported version of the protocol."""
    action = form.required(":action")
    if action != "file_upload":
        raise Blocked("upload-rejected", f"unsupported action {action!a} (only file_upload is supported)")
    protocol = form.optional("protocol_version")
    if protocol not in (None, "1"):
        raise Blocked("upload-rejected", f"unsupported upload protocol {protocol!a} (only 1 is supported)")


def _checked_filename(form: Form) -> str:
    """Return the name of the uploaded file.

    Raises:
        Blocked: The name is not valid, or does not match the project and version in the form.
    """
    if form.filename is None:
        raise Blocked("upload-rejected", "the form has no file in the field `content`")
    project, version = identify(form.filename)
    name, declared_version = form.required("name"), form.required("version")
    try:
        matches = canonicalize_name(name, validate=True) == project and Version(declared_version) == version
    except ValueError as error:
        raise Blocked(
            "upload-rejected", f"{form.filename} was sent with an invalid name or version: {error}"
        ) from error
    if not matches:
        raise Blocked(
            "upload-rejected",
            f"{form.filename} was sent as {name} {declared_version}, but its file name says {project} {version}",
            fix="upload the file with the name that the build gave it",
        )
    return form.filename


def _check_digests(form: Form, filename: str, incoming: IncomingFile) -> None:
    """Check that the uploaded file matches all digests in the form."""
    digests = incoming.digests
    for field, algorithm in _DIGEST_FIELDS.items():
        expected = form.optional(field)
        if expected is not None and expected.lower() != digests[algorithm]:
            raise Blocked(
                "upload-rejected",
                f"{filename} has {algorithm} {digests[algorithm]}, but the form declares {expected!a}",
                fix="upload the file again",
            )
