"""The upload API ("legacy")."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name
from packaging.version import Version

from relnox.errors import Blocked
from relnox.indexes.embedded.accounts import Denied, authorize
from relnox.indexes.embedded.attestations import provenance
from relnox.indexes.embedded.projects import Project
from relnox.indexes.embedded.store import identify

if TYPE_CHECKING:
    from relnox.indexes.embedded.accounts import Accounts, Identity
    from relnox.indexes.embedded.multipart import Form
    from relnox.indexes.embedded.rules import Rules
    from relnox.indexes.embedded.store import Incoming, Store

__all__ = ["UploadHandler"]

_DIGEST_FIELDS = {"sha256_digest": "sha256", "blake2_256_digest": "blake2_256", "md5_digest": "md5"}


class UploadHandler:
    """Checks and stores uploads.

    Args:
        store: The store.
        rules: Additional rules; None to check only consistency.
        accounts: The accounts that may upload; None for anyone.
    """

    def __init__(self, store: Store, rules: Rules | None, accounts: Accounts | None) -> None:
        self._store = store
        self._rules = rules
        self._accounts = accounts
        self._locks: dict[str, threading.Lock] = {}

    def handle(self, form: Form, incoming: Incoming, user: str | None, password: str | None) -> str:
        """Check an upload and store its file.

        Args:
            form: The form.
            incoming: The complete file.
            user: The user name of the credentials.
            password: The password or token.

        Returns:
            The text of the response.

        Raises:
            Denied: The sender may not upload it.
            Blocked: The form is incomplete or inconsistent, or breaks a rule.
            Conflict: The store has a different file of that name.
        """
        sender = None if self._accounts is None else self._accounts.identify(user, password)
        _check_protocol(form)
        if self._rules is not None:
            self._rules.check_form(form)
        filename = _checked_filename(form)
        project = identify(filename)[0]
        with self._locks.setdefault(project, threading.Lock()):  # rules depend on existing files
            self._check_project(project, form.required("name"), sender)
            _check_digests(form, filename, incoming)
            stored = self._store.find(filename)
            if stored is not None and stored.sha256 == incoming.digests["sha256"]:
                return f"{filename} exists with the same content"
            if self._rules is not None and stored is None:
                self._rules.check_file(form, filename, incoming, self._store)
            is_new = incoming.store(
                filename,
                requires_python=form.optional("requires_python"),
                provenance=self._provenance(form, filename, incoming, sender),
            )
            if sender is not None:
                self._store.projects.create(project, sender.user)
        return f"{filename} is stored" if is_new else f"{filename} exists with the same content"

    def _check_project(self, project: str, name: str, sender: Identity | None) -> None:
        """Check that a project accepts uploads of this sender."""
        existing = self._store.projects.find(project)
        if existing is None and project in self._store.names():
            existing = Project()
        if sender is not None:
            authorize(sender, name, existing, self._store.clock())
        if existing is None and self._rules is not None:
            self._rules.check_project(name, self._store)
        if existing is not None and existing.status in ("archived", "quarantined"):
            raise Denied(f"Uploads to project {name!r} are not allowed: it is {existing.status}.")

    def _provenance(self, form: Form, filename: str, incoming: Incoming, sender: Identity | None) -> bytes | None:
        text = form.optional("attestations")
        if text is None:
            return None
        if sender is not None and sender.publisher is None:
            raise Blocked(
                "upload-rejected",
                "Invalid attestations supplied during upload: Attestations are only supported when using Trusted "
                "Publishing",
            )
        publisher = None if sender is None else sender.publisher
        return provenance(text, filename, incoming.digests["sha256"], publisher)


def _check_protocol(form: Form) -> None:
    action = form.required(":action")
    if action != "file_upload":
        raise Blocked("upload-rejected", f"unsupported action {action!a} (only file_upload is supported)")
    protocol = form.optional("protocol_version")
    if protocol not in (None, "1"):
        raise Blocked("upload-rejected", f"unsupported upload protocol {protocol!a} (only 1 is supported)")


def _checked_filename(form: Form) -> str:
    """Return the name of the file, if it matches project and version in the form."""
    if form.filename is None:
        raise Blocked("upload-rejected", "the form has no file in the field content")
    project, version = identify(form.filename)
    name, declared = form.required("name"), form.required("version")
    try:
        matches = canonicalize_name(name, validate=True) == project and Version(declared) == version
    except ValueError as error:
        raise Blocked(
            "upload-rejected", f"{form.filename} was sent with an invalid name or version: {error}"
        ) from error
    if not matches:
        raise Blocked(
            "upload-rejected",
            f"{form.filename} was sent as {name} {declared}, but its file name says {project} {version}",
            fix="do not rename built files",
        )
    return form.filename


def _check_digests(form: Form, filename: str, incoming: Incoming) -> None:
    """Compare the file with all digests in the form."""
    digests = incoming.digests
    for field, algorithm in _DIGEST_FIELDS.items():
        expected = form.optional(field)
        if expected is not None and expected.lower() != digests[algorithm]:
            raise Blocked(
                "upload-rejected",
                f"{filename} arrived with {algorithm} {digests[algorithm]}, but was sent as {expected!a}",
                fix="upload the file again",
            )
