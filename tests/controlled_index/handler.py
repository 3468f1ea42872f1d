"""Answers requests: records them, and injects faults."""

from __future__ import annotations

import contextlib
import json
import select
import socket
import sys
from datetime import datetime
from email.utils import formatdate
from typing import TYPE_CHECKING, Any, NoReturn, TypeGuard, cast

from packaging.utils import canonicalize_name

from controlled_index import messages
from controlled_index.accounts import Denied, authorize
from controlled_index.attestations import provenance
from controlled_index.faults import Answer, Cut, Duplicate, Stale, Stall, Truncate
from controlled_index.journal import Request
from controlled_index.minting import AUDIENCE
from relnox.errors import Blocked
from relnox.indexes.embedded import JSON_PAGE, Handler, Response, json_response, parse_form, text_response
from relnox.indexes.embedded_store import identify

if TYPE_CHECKING:
    from collections.abc import Mapping

    from controlled_index.accounts import Identity
    from controlled_index.faults import Fault, Kind
    from controlled_index.index import ControlledIndex
    from relnox.indexes.embedded import Form

__all__ = ["ControlledHandler"]

_MINT = "/_/oidc/mint-token"
_AUDIENCE = "/_/oidc/audience"
_PROVENANCE = "application/vnd.pypi.integrity.v1+json"
_POLL_INTERVAL = 0.05
_NO_LINGER = (1).to_bytes(4, sys.byteorder) + (0).to_bytes(4, sys.byteorder)


class ControlledHandler(Handler):
    """Answers one request."""

    _number: int | None = None
    """The request's number in the journal; None before its headers are parsed, and after the response."""

    @property
    def controlled(self) -> ControlledIndex:
        """The index."""
        return cast("ControlledIndex", self.server.index)

    # --- the record of requests

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        finally:
            self._record_end()

    def parse_request(self) -> bool:
        if not super().parse_request():
            return False
        index = self.controlled
        request = Request(
            began=index.store.clock(), method=self.command, path=self.path, user=self.credentials()[0]
        )
        self._number = index.journal.begin(request)
        return True

    def send_response(self, code: int, message: str | None = None) -> None:
        self._record_end(status=int(code))
        super().send_response(code, message)

    def _record(self, **changes: object) -> None:
        if self._number is not None:
            self.controlled.journal.update(self._number, **changes)

    def _record_end(self, **changes: object) -> None:
        self._record(ended=self.controlled.store.clock(), **changes)
        self._number = None

    # --- faults

    def _next_fault(self, kind: Kind, filename: str = "", project: str = "") -> Fault | None:
        """Return the fault of the plan for this request, after its delays."""
        index = self.controlled
        age = index.store.clock() - index.started
        seconds, fault = index.plan.next_fault(kind, filename=filename, project=project, age=age)
        self._record(kind=kind, filename=filename, project=project, fault=fault)
        if seconds and index.closing.wait(seconds):
            raise ConnectionAbortedError
        return fault

    def _fault_response(self, fault: Answer | Cut | Stall) -> Response:
        """Return the response of a fault, or end the connection."""
        if isinstance(fault, Cut | Stall):
            self._break(fault)
        headers = {"Content-Type": "text/plain", **dict(fault.headers)}
        if fault.retry_after is not None:
            until = self.controlled.store.clock() + fault.retry_after
            headers["Retry-After"] = formatdate(until, usegmt=True) if fault.as_date else str(fault.retry_after)
        return Response(fault.status, fault.text.encode(), headers)

    def _break(self, fault: Cut | Stall) -> NoReturn:
        """Reset the connection without a response, at once or when the client has closed it."""
        if isinstance(fault, Stall):
            while not (self._is_closed_by_client() or self.controlled.closing.wait(_POLL_INTERVAL)):
                pass
        # Closing without lingering drops unsent data, and sends a RST.
        with contextlib.suppress(OSError):
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        self.connection.close()
        raise ConnectionAbortedError

    def _is_closed_by_client(self) -> bool:
        readable, _, _ = select.select([self.connection], [], [], 0)
        return bool(readable) and not self.connection.recv(1, socket.MSG_PEEK)

    # --- pages and files

    def respond(self, path: str) -> Response:
        kind, filename, project = _classify(path)
        fault = self._next_fault(kind, filename, project)
        index = self.controlled
        if isinstance(fault, Answer | Cut | Stall):
            return self._fault_response(fault)
        if kind == "provenance":
            content = index.provenance.get(filename)
            if content is not None:
                return Response(200, content, {"Content-Type": _PROVENANCE})
            return text_response(404, f"No provenance available for {filename}")
        if kind == "audience" and index.token_issuer is not None:
            return json_response({"audience": AUDIENCE})
        response = super().respond(path)
        if kind != "listing" or response.status != 200:
            return response
        page = json.loads(response.body)
        if isinstance(fault, Stale):
            self._hide_new_files(page, fault)
            if not page["files"]:
                return text_response(404, f"the embedded index does not have {path}")
        return Response(200, self.project_page(project, page).encode(), {"Content-Type": JSON_PAGE})

    def _hide_new_files(self, page: dict[str, Any], stale: Stale) -> None:
        now = self.controlled.store.clock()
        page["files"] = [
            entry
            for entry in page["files"]
            if not self.controlled.plan.hides(
                stale, entry["filename"], now - datetime.fromisoformat(entry["upload-time"]).timestamp()
            )
        ]

    def project_page(self, project: str, page: dict[str, Any]) -> str:
        """Add what PEP 592, PEP 740 and PEP 792 define."""
        index = self.controlled
        known = index.find_project(project)
        page["project-status"] = {"status": "active" if known is None else known.status}
        if known is not None and known.reason:
            page["project-status"]["reason"] = known.reason
        for entry in page["files"]:
            filename = entry["filename"]
            if filename in index.yanked:
                entry["yanked"] = index.yanked[filename] or True
            if filename in index.provenance:
                version = identify(filename)[1]
                entry["provenance"] = f"{index.origin}/integrity/{project}/{version}/{filename}/provenance"
        return json.dumps(page)

    # --- uploads

    def receive(self, body: bytes) -> Response:
        if self.path == _MINT and self.controlled.token_issuer is not None:
            return self._exchange_token(body)
        try:
            form = parse_form(self.headers.get_boundary(), body)
        except Blocked:
            return super().receive(body)
        fault = self._next_fault("upload", form.filename, _project_of(form.filename))
        self._record(size=len(form.content), sha256=form.sha256)
        store = self.controlled.store
        if _replaces(fault):
            return self._fault_response(fault)
        if isinstance(fault, Duplicate) and store.find(form.filename):
            return text_response(fault.status, fault.text)
        if isinstance(fault, Truncate):
            store.add(form.filename, form.content[: fault.size])
            return text_response(200, "OK")
        try:
            response = self._store(form, body)
        except Denied as denial:
            response = text_response(denial.status, denial.message)
        except Blocked as error:
            response = text_response(400, error.message)
        return self._fault_response(fault) if isinstance(fault, Answer | Cut | Stall) else response

    def _exchange_token(self, body: bytes) -> Response:
        """Exchange an identity token."""
        fault = self._next_fault("mint")
        if _replaces(fault):
            return self._fault_response(fault)
        assert self.controlled.token_issuer is not None
        status, document = self.controlled.token_issuer.exchange(body)
        response = json_response(document)._replace(status=status)
        return self._fault_response(fault) if isinstance(fault, Answer | Cut | Stall) else response

    def _store(self, form: Form, body: bytes) -> Response:
        """Store an upload to a project with an owner and a status, with attestations."""
        index = self.controlled
        sender = None if index.accounts is None else index.accounts.identify(*self.credentials())
        name = form.required("name")
        project = index.find_project(canonicalize_name(name))
        if sender is not None:
            authorize(sender, name, project)
        if project is not None and project.status in ("archived", "quarantined"):
            raise Denied(f"Uploads to project {name!r} are not allowed: it is {project.status}.")
        is_new = index.store.find(form.filename) is None
        if is_new and form.filename in index.reserved:
            raise Blocked("upload-rejected", messages.NAME_RESERVED)
        document = _provenance(form, sender) if is_new else None
        response = super().receive(body)
        if response.status == 200 and is_new:
            if document is not None:
                index.provenance[form.filename] = document
            if sender is not None:
                index.create_project(name, sender.user)
        return response


def _provenance(form: Form, sender: Identity | None) -> bytes | None:
    """Return the provenance of a file, or None if it was sent without attestations."""
    text = form.optional("attestations")
    if text is None:
        return None
    if sender is not None and sender.publisher is None:
        raise Blocked(
            "upload-rejected",
            "Invalid attestations supplied during upload: Attestations are only supported when using Trusted "
            "Publishing",
        )
    publisher: Mapping[str, str] | None = None if sender is None else sender.publisher
    return provenance(text, form.filename, form.sha256, publisher)


def _classify(path: str) -> tuple[Kind, str, str]:
    """Return kind, file name and project of a request."""
    match path.split("/"):
        case ["", "simple", name] | ["", "simple", name, ""] if name:
            return "listing", "", canonicalize_name(name)
        case ["", "files", filename]:
            return "file", filename, _project_of(filename)
        case ["", "integrity", name, _, filename, "provenance"]:
            return "provenance", filename, canonicalize_name(name)
        case _:
            return ("audience" if path == _AUDIENCE else "other"), "", ""


def _project_of(filename: str) -> str:
    """Return the project in a file name; empty if it is not valid."""
    try:
        return identify(filename)[0]
    except Blocked:
        return ""


def _replaces(fault: Fault | None) -> TypeGuard[Answer | Cut | Stall]:
    """Return whether a fault replaces the whole operation, rather than its response only."""
    return isinstance(fault, Answer | Cut | Stall) and not fault.stored
