"""Answers requests: records them, and injects faults."""

from __future__ import annotations

import contextlib
import io
import json
import select
import socket
import sys
from email.utils import formatdate
from functools import partial
from html import escape
from typing import TYPE_CHECKING, NoReturn, TypeGuard
from urllib.parse import unquote

from packaging.utils import canonicalize_name

from controlled_index import messages
from controlled_index.accounts import Denied, authorize
from controlled_index.attestations import provenance
from controlled_index.faults import Answer, Cut, Duplicate, Foreign, Stale, Stall, Trickle, Truncate
from controlled_index.journal import Request
from relnox.errors import Blocked
from relnox.indexes.embedded.connection import CHUNK, Response
from relnox.indexes.embedded.handler import Handler
from relnox.indexes.embedded.multipart import read_form
from relnox.indexes.embedded.pages import Format
from relnox.indexes.embedded.stored_files import identify
from relnox.indexes.embedded.upload import ReceivedUpload

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from io import BufferedIOBase

    from controlled_index.accounts import Identity
    from controlled_index.faults import Fault, Kind
    from controlled_index.index import ControlledIndex
    from relnox.indexes.embedded.connection import Body
    from relnox.indexes.embedded.incoming import IncomingFile
    from relnox.indexes.embedded.multipart import Form
    from relnox.indexes.embedded.stored_files import StoredFile

__all__ = ["ControlledHandler"]

_IDENTITY_LIMIT = 1 << 16
_JSON = "application/json"
_MINT = "/_/oidc/mint-token"
_AUDIENCE = "/_/oidc/audience"
_PROVENANCE = "application/vnd.pypi.integrity.v1+json"
_POLL_INTERVAL = 0.05
_NO_LINGER = (1).to_bytes(4, sys.byteorder) + (0).to_bytes(4, sys.byteorder)


class ControlledHandler(Handler):
    """Answers the requests of one connection."""

    _number: int | None = None
    """The request's number in the journal; None before its headers are parsed."""
    _is_slow = False
    """Whether the request has a fault, and no time limit."""
    _stale: Stale | None = None

    @property
    def index(self) -> ControlledIndex:
        from controlled_index.index import ControlledIndex

        assert isinstance(self.server.index, ControlledIndex)
        return self.server.index

    # --- the record of requests

    def handle_one_request(self) -> None:
        self._number = self._stale = None
        self._is_slow = False
        stream = self.wfile
        try:
            super().handle_one_request()
        finally:
            self.wfile = stream  # a fault may have replaced it
            self._record_end()

    def parse_request(self) -> bool:
        if not super().parse_request():
            return False
        request = Request(
            began=self.index.store.clock(), method=self.command, path=self.path, user=self.credentials()[0]
        )
        self._number = self.index.journal.begin(request)
        return True

    def send_response(self, code: int, message: str | None = None) -> None:
        self._record_end(status=int(code))
        super().send_response(code, message)

    def _record(self, **changes: object) -> None:
        if self._number is not None:
            self.index.journal.update(self._number, **changes)

    def _record_arrival(self, incoming: IncomingFile) -> None:
        self._record(size=incoming.size, sha256=incoming.digests["sha256"])

    def _record_end(self, **changes: object) -> None:
        self._record(ended=self.index.store.clock(), **changes)
        self._number = None

    # --- faults

    def allow(self, size: int) -> None:
        if self._is_slow:  # on purpose
            self.server.set_time_limit(self.connection, None)
        else:
            super().limit_time(size)

    def _next_fault(self, kind: Kind, filename: str, project: str) -> Fault | None:
        """Return the fault of the plan for this request, after its delays."""
        age = self.index.store.clock() - self.index.started
        seconds, fault = self.index.plan.next_fault(kind, filename=filename, project=project, age=age)
        self._record(kind=kind, filename=filename, project=project, fault=fault)
        self._is_slow = bool(seconds) or fault is not None
        self.limit_time(0)
        self._wait(seconds)
        if isinstance(fault, Trickle):
            self.wfile = _Paced(self.wfile, partial(self._pace, fault))
        return fault

    def _wait(self, seconds: float) -> None:
        if seconds and self.index.closing.wait(seconds):
            raise ConnectionAbortedError

    def _pace(self, trickle: Trickle) -> int:
        size = max(int(trickle.rate), 1)
        self._wait(size / trickle.rate)
        return size

    def _fault_response(self, fault: Answer | Cut | Stall) -> Response:
        """Return the response of a fault, or end the connection."""
        if isinstance(fault, Cut | Stall):
            self._break(fault)
        headers = dict(fault.headers)
        if fault.retry_after is not None:
            until = self.index.store.clock() + fault.retry_after
            headers["Retry-After"] = formatdate(until, usegmt=True) if fault.as_date else str(fault.retry_after)
        return Response(fault.status, fault.text, headers)

    def _break(self, fault: Cut | Stall) -> NoReturn:
        """Reset the connection without a response, at once or when the client has closed it."""
        if isinstance(fault, Stall):
            while not (self._is_closed_by_client() or self.index.closing.wait(_POLL_INTERVAL)):
                pass
        # Closing without lingering drops unsent data, and sends a RST.
        with contextlib.suppress(OSError):
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        self.connection.close()  # together with its streams
        raise ConnectionAbortedError

    def _is_closed_by_client(self) -> bool:
        """Return whether the client has closed the connection; false while there is unread data."""
        readable, _, _ = select.select([self.connection], [], [], 0)
        return bool(readable) and not self.connection.recv(1, socket.MSG_PEEK)

    # --- pages and files

    def do_GET(self) -> None:  # noqa: N802 - http.server looks for this name
        path = unquote(self.path.partition("?")[0])
        kind, filename, project = self._classify(path)
        fault = self._next_fault(kind, filename, project)
        if isinstance(fault, Answer | Cut | Stall):
            self.send_text(self._fault_response(fault))
            return
        self._stale = fault if isinstance(fault, Stale) else None
        if kind == "provenance":
            self._send_provenance(filename)
        elif kind == "audience" and self.index.token_issuer is not None:
            self.send_text(_document(200, {"audience": self.index.token_issuer.audience}))
        else:
            super().do_GET()

    def _classify(self, path: str) -> tuple[Kind, str, str]:
        """Return kind, file name and project of a request."""
        match path.split("/"):
            case ["", "simple", ""]:
                return "projects", "", ""
            case ["", "simple", name] | ["", "simple", name, ""] if name:
                return "listing", "", canonicalize_name(name)
            case ["", "files", filename] if filename.endswith(".whl.metadata"):
                wheel = filename.removesuffix(".metadata")
                return "metadata", wheel, _project_of(wheel)
            case ["", "files", filename]:
                return "file", filename, _project_of(filename)
            case ["", "integrity", name, _, filename, "provenance"]:
                return "provenance", filename, canonicalize_name(name)
            case _:
                return ("audience" if path == _AUDIENCE else "other"), "", ""

    def files(self, project: str) -> Sequence[StoredFile] | None:
        files = super().files(project)
        if self._stale is not None:
            now, plan = self.index.store.clock(), self.index.plan
            stale = self._stale
            return [
                file for file in files or () if not plan.hides(stale, file.filename, now - file.uploaded)
            ] or None
        known = self.index.projects.get(project)
        if known is not None and known.status == "quarantined":
            return []
        return [] if files is None and known is not None else files

    def project_page(self, project: str, files: Sequence[StoredFile], format_: Format) -> str:
        """Add what PEP 592, PEP 740 and PEP 792 define."""
        page = super().project_page(project, files, format_)
        known = self.index.find_project(project)
        status: dict[str, str] = {"status": "active" if known is None else known.status}
        if known is not None and known.reason:
            status["reason"] = known.reason
        yanked = self.index.yanked
        provenances = {
            file.filename: f"{self.index.origin}/integrity/{project}/{file.version}/{file.filename}/provenance"
            for file in files
            if file.filename in self.index.provenance
        }
        if format_ is Format.JSON:
            document = json.loads(page)
            document["project-status"] = status
            for entry in document["files"]:
                if entry["filename"] in yanked:
                    entry["yanked"] = yanked[entry["filename"]] or True
                if entry["filename"] in provenances:
                    entry["provenance"] = provenances[entry["filename"]]
            return json.dumps(document)
        names = {"status": "pypi:project-status", "reason": "pypi:project-status-reason"}
        metas = [f'<meta name="{names[key]}" content="{escape(value)}">' for key, value in status.items()]
        page = page.replace("<title>", f"{''.join(metas)}<title>")
        for attribute, values in (("data-yanked", yanked), ("data-provenance", provenances)):
            for filename, value in values.items():
                page = page.replace(f">{filename}</a>", f' {attribute}="{escape(value)}">{filename}</a>')
        return page

    def _send_provenance(self, filename: str) -> None:
        content = self.index.provenance.get(filename)
        if content is None:
            self.send_text(_document(404, {"message": f"No provenance available for {filename}"}))
        else:
            self.send_content(200, content, {"Content-Type": _PROVENANCE})

    # --- uploads

    def do_POST(self) -> None:  # noqa: N802 - likewise
        if self.path == _MINT and self.index.token_issuer is not None:
            self.serve_body(_IDENTITY_LIMIT, self._exchange_token)
        else:
            super().do_POST()

    def _exchange_token(self, body: Body) -> Response:
        """Exchange an identity token."""
        content = b"".join(iter(partial(body.read, CHUNK), b""))
        fault = self._next_fault("mint", "", "")
        if _replaces(fault):
            return self._fault_response(fault)
        assert self.index.token_issuer is not None
        response = _document(*self.index.token_issuer.exchange(content))
        return self._fault_response(fault) if isinstance(fault, Answer | Cut | Stall) else response

    def receive_upload(self, body: Body, boundary: str) -> Response:
        """Read an upload, with its fault, and store it."""
        fault: Fault | None = None
        name = ""
        paced = _PacedBody(body)

        def receive(filename: str, pieces: Iterator[bytes]) -> None:
            nonlocal fault, name
            name = filename
            fault = self._next_fault("upload", filename, _project_of(filename))
            if isinstance(fault, Trickle):
                paced.pace = partial(self._pace, fault)
            limit = _limit(fault)
            for piece in pieces:
                incoming.write(piece if limit is None else piece[: max(limit - incoming.size, 0)])
                if isinstance(fault, Cut | Stall) and limit is not None and incoming.size >= limit:
                    self._record_arrival(incoming)
                    self._break(fault)

        with self.index.store.receive() as incoming:
            try:
                form = read_form(paced, boundary, receive)
            except (Blocked, OSError):
                if isinstance(fault, Truncate):
                    incoming.store(name)
                raise
            finally:
                self._record_arrival(incoming)
            try:
                return self._store(form, incoming, fault)
            except Denied as denial:
                return Response(denial.status, denial.message)

    def _store(self, form: Form, incoming: IncomingFile, fault: Fault | None) -> Response:
        """Store an upload that has arrived, and return the response."""
        store = self.index.store
        if _replaces(fault):
            return self._fault_response(fault)
        match fault:
            case Duplicate(status, text) if form.filename and store.find(form.filename):
                return Response(status, text)
            case Truncate() if form.filename:
                incoming.store(form.filename)
                return Response(200, "OK")
            case Foreign(content) if form.filename and not store.find(form.filename):
                with store.receive() as other:
                    other.write(content)
                    other.store(form.filename)
            case _:
                pass
        accounts = self.index.accounts
        sender = None if accounts is None else accounts.identify(*self.credentials())
        text = _Upload(form, incoming, self.index, sender).accept()
        return self._fault_response(fault) if isinstance(fault, Answer | Cut | Stall) else Response(200, text)


class _Upload(ReceivedUpload):
    """An upload to a project with an owner and a status, with attestations."""

    def __init__(
        self, form: Form, incoming: IncomingFile, index: ControlledIndex, sender: Identity | None
    ) -> None:
        super().__init__(form, incoming, index)
        self._index = index
        self._sender = sender

    def check_project(self, project: str) -> None:
        name, existing = self.form.required("name"), self._index.find_project(project)
        if self._sender is not None:
            authorize(self._sender, name, existing, self.store.clock())
        super().check_project(project)
        if existing is not None and existing.status in ("archived", "quarantined"):
            raise Denied(f"Uploads to project {name!r} are not allowed: it is {existing.status}.")

    def check_file(self, filename: str) -> None:
        if self.rules is not None and filename in self._index.reserved:
            raise Blocked("upload-rejected", messages.NAME_RESERVED)
        super().check_file(filename)
        self._add_provenance(filename)
        if self._sender is not None:
            self._index.create_project(identify(filename)[0], self._sender.user)

    def _add_provenance(self, filename: str) -> None:
        text = self.form.optional("attestations")
        if text is None:
            return
        if self._sender is not None and self._sender.publisher is None:
            raise Blocked(
                "upload-rejected",
                "Invalid attestations supplied during upload: Attestations are only supported when using Trusted "
                "Publishing",
            )
        publisher = None if self._sender is None else self._sender.publisher
        content = provenance(text, filename, self.incoming.digests["sha256"], publisher)
        self._index.provenance[filename] = content


class _PacedBody:
    """A body that is read slowly: `pace` waits, and returns the largest number of bytes to read."""

    def __init__(self, body: Body) -> None:
        self._body = body
        self.pace: Callable[[], int] = lambda: CHUNK

    def read(self, size: int, /) -> bytes:
        return self._body.read(min(size, self.pace()))


class _Paced(io.BufferedIOBase):
    """A stream that is written slowly: `pace` waits, and returns the size of the next piece."""

    def __init__(self, stream: BufferedIOBase, pace: Callable[[], int]) -> None:
        self._stream = stream
        self._pace = pace

    def writable(self) -> bool:
        return True

    def write(self, data: bytes, /) -> int:  # type: ignore[override]
        start = 0
        while start < len(data):
            size = self._pace()
            self._stream.write(data[start : start + size])
            start += size
        return len(data)


def _document(status: int, document: Mapping[str, object]) -> Response:
    """Return a JSON response."""
    return Response(status, json.dumps(document), {"Content-Type": _JSON})


def _project_of(filename: str) -> str:
    """Return the project in a file name; empty if it is not valid."""
    try:
        return identify(filename)[0]
    except Blocked:
        return ""


def _replaces(fault: Fault | None) -> TypeGuard[Answer | Cut | Stall]:
    """Return whether a fault replaces the whole operation, rather than its response only."""
    return isinstance(fault, Answer | Cut | Stall) and not fault.stored


def _limit(fault: Fault | None) -> int | None:
    """Return the bytes of an upload's file that are read with a fault; None for all."""
    match fault:
        case Cut(after=size) | Stall(after=size) | Truncate(size):
            return size
        case _:
            return None
