"""The upload API ("legacy"): what a form must say before the file it carries is kept."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name
from packaging.version import Version

from relnox.errors import Blocked
from relnox.indexes.embedded.accounts import Denied, authorise
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
    """Takes uploads in.

    Args:
        store: Where files are kept.
        rules: What is demanded of them; None: that they are what they say they are, and no more.
        accounts: Who may send them; None: everybody.
    """

    def __init__(self, store: Store, rules: Rules | None, accounts: Accounts | None) -> None:
        self._store = store
        self._rules = rules
        self._accounts = accounts
        self._locks: dict[str, threading.Lock] = {}

    def take(self, form: Form, incoming: Incoming, user: str | None, password: str | None) -> str:
        """Judge an upload and keep its file.

        Args:
            form: What came with it.
            incoming: The file, complete.
            user: Who sends it, as far as they say.
            password: Their password or token.

        Returns:
            What was done, in a few words.

        Raises:
            Denied: They may not do so.
            Blocked: The form is not complete, contradicts itself, or breaks a rule.
            Conflict: The store holds another file of that name.
        """
        sender = None if self._accounts is None else self._accounts.identify(user, password)
        _check_protocol(form)
        if self._rules is not None:
            self._rules.check_form(form)
        filename = _checked_filename(form)
        project = identify(filename)[0]
        with self._locks.setdefault(project, threading.Lock()):  # rules are about what is there already
            self._admit(project, form.required("name"), sender)
            _check_digests(form, filename, incoming)
            held = self._store.find(filename)
            if held is not None and held.sha256 == incoming.digests["sha256"]:
                return f"{filename} was there already, with the same bytes"
            if self._rules is not None and held is None:
                self._rules.check_file(form, filename, incoming, self._store)
            new = incoming.keep(
                filename,
                requires_python=form.optional("requires_python"),
                provenance=self._provenance(form, filename, incoming, sender),
            )
            if sender is not None:
                self._store.projects.make(project, sender.user)
        return f"{filename} is stored" if new else f"{filename} was there already, with the same bytes"

    def _admit(self, project: str, name: str, sender: Identity | None) -> None:
        """Judge whether a project takes uploads from this sender."""
        known = self._store.projects.find(project)
        if known is None and project in self._store.names():
            known = Project()
        if sender is not None:
            authorise(sender, name, known, self._store.clock())
        if known is None and self._rules is not None:
            self._rules.check_project(name, self._store)
        if known is not None and known.status in ("archived", "quarantined"):
            raise Denied("todo", f"Nobody is allowed to upload to project {name!r}: it is {known.status}.")

    def _provenance(self, form: Form, filename: str, incoming: Incoming, sender: Identity | None) -> bytes | None:
        text = form.optional("attestations")
        if text is None:
            return None
        if sender is not None and sender.publisher is None:
            raise Blocked(
                "todo",
                "Invalid attestations supplied during upload: Attestations are only supported when using Trusted "
                "Publishing",
            )
        publisher = None if sender is None else sender.publisher
        return provenance(text, filename, incoming.digests["sha256"], publisher)


def _check_protocol(form: Form) -> None:
    action = form.required(":action")
    if action != "file_upload":
        raise Blocked("todo", f"the embedded index knows no action {action!a}, only file_upload")
    protocol = form.optional("protocol_version")
    if protocol not in (None, "1"):
        raise Blocked("todo", f"the embedded index knows no upload protocol {protocol!a}, only 1")


def _checked_filename(form: Form) -> str:
    """The name of the file, if it is the distribution that the form says it is."""
    if form.filename is None:
        raise Blocked("todo", "the form carries no file called content")
    project, version = identify(form.filename)
    name, declared = form.required("name"), form.required("version")
    try:
        agrees = canonicalize_name(name, validate=True) == project and Version(declared) == version
    except ValueError as error:
        raise Blocked("todo", f"{form.filename} was sent with an impossible name or version: {error}") from error
    if not agrees:
        raise Blocked(
            "todo",
            f"{form.filename} was sent as {name} {declared}, but its name says {project} {version}",
            fix="do not rename what was built",
        )
    return form.filename


def _check_digests(form: Form, filename: str, incoming: Incoming) -> None:
    """Compare what arrived with every digest that was sent along."""
    arrived = incoming.digests
    for field, algorithm in _DIGEST_FIELDS.items():
        sent = form.optional(field)
        if sent is not None and sent.lower() != arrived[algorithm]:
            raise Blocked(
                "todo",
                f"{filename} arrived with {algorithm} {arrived[algorithm]}, but was sent as {sent!a}",
                fix="send it again",
            )
