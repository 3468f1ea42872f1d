"""Speak HTTP: uploads in, the simple API and files out.

A project that the store does not hold is the trusted index's affair, and its page redirects there. A project
that it does hold comes from here alone: files of both are never listed together, since no installer protects
against a name that two indexes have.
"""

from __future__ import annotations

import base64
import binascii
import io
import json
import os
import re
import select
import shutil
import socket
from email.utils import formatdate
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, NoReturn
from urllib.parse import unquote

from packaging.utils import canonicalize_name

from relnox.errors import Refused, RelnoxError
from relnox.indexes.embedded.accounts import Denied
from relnox.indexes.embedded.faults import Answer, Cut, Duplicate, Foreign, Stale, Stall, Trickle, Truncate
from relnox.indexes.embedded.journal import Request
from relnox.indexes.embedded.listener import LOOPBACK
from relnox.indexes.embedded.multipart import read_form
from relnox.indexes.embedded.pages import Format, negotiate, project_list, project_page
from relnox.indexes.embedded.projects import Project
from relnox.indexes.embedded.store import identify

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from io import BufferedIOBase
    from typing import BinaryIO

    from relnox.indexes.embedded.faults import Fault, Kind
    from relnox.indexes.embedded.listener import Listener, Shared
    from relnox.indexes.embedded.minting import Mint
    from relnox.indexes.embedded.multipart import Form
    from relnox.indexes.embedded.store import Incoming, StoredFile

__all__ = ["Handler"]

_LOOPBACK_NAMES = frozenset({LOOPBACK, "localhost"})
_BODY_LIMIT = 1 << 30
_STALL_LIMIT = 30.0
_POLL = 0.05
_REASON_SHOWN = 500
_CHUNK = 1 << 18
_LENGTH = re.compile(r"[0-9]{1,18}")
_PLAIN = "text/plain; charset=utf-8"
_JSON = "application/json"
_PROVENANCE = "application/vnd.pypi.integrity.v1+json"


class _Body:
    """What a request carries: exactly as many bytes as it announced.

    Attributes:
        pace: Called before a piece is read; says how many bytes it may have at most.
    """

    def __init__(self, stream: BufferedIOBase, length: int) -> None:
        self._stream = stream
        self._left = length
        self.pace: Callable[[], int] = lambda: _CHUNK

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes; none at the end.

        Raises:
            Refused: The client stopped sending before.
        """
        if not self._left:
            return b""
        chunk = self._stream.read1(min(size, self._left, self.pace()))
        if not chunk:
            raise Refused(f"the upload stopped {self._left} bytes before its end", hint="send it again")
        self._left -= len(chunk)
        return chunk


class _Paced(io.BufferedIOBase):
    """A stream that is written to in small pieces; `pace` waits, and says how small."""

    def __init__(self, stream: BufferedIOBase, pace: Callable[[], int]) -> None:
        self._stream = stream
        self._pace = pace

    def writable(self) -> bool:
        return True

    def write(self, data: bytes, /) -> int:  # type: ignore[override]
        at = 0
        while at < len(data):
            size = self._pace()
            self._stream.write(data[at : at + size])
            at += size
        return len(data)


class Handler(BaseHTTPRequestHandler):
    """Answers the requests of one connection."""

    server: Listener
    protocol_version = "HTTP/1.1"
    timeout = _STALL_LIMIT  # seconds for which a client may send or take nothing
    disable_nagle_algorithm = True  # head and body are two writes

    _number: int | None = None
    """The request's number in the journal; None while it has no head that could be read."""

    @property
    def _shared(self) -> Shared:
        return self.server.shared

    # --- a request

    def handle_one_request(self) -> None:
        """Serve a request, and write down when it was over."""
        self._number = None
        try:
            super().handle_one_request()
        finally:
            self._note_end()

    def parse_request(self) -> bool:
        """Read a request's head, and write it down."""
        if not super().parse_request():
            return False
        request = Request(
            began=self._shared.clock(), method=self.command, path=self.path, user=self._credentials()[0]
        )
        self._number = self._shared.journal.begin(request)
        return self._comes_from_this_machine()

    def _comes_from_this_machine(self) -> bool:
        """Refuse a website: a browser on this machine would carry its form here, or its name to loopback."""
        host = self.headers.get("Host", LOOPBACK).partition(":")[0]
        if "Origin" not in self.headers and host.lower() in _LOOPBACK_NAMES:
            return True
        self.send_error(HTTPStatus.FORBIDDEN, "the embedded index serves tools on this machine, not websites")
        return False

    def _credentials(self) -> tuple[str | None, str | None]:
        """User and password as they were sent (RFC 7617)."""
        scheme, _, encoded = self.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "basic":
            return None, None
        try:
            user, _, password = base64.b64decode(encoded, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return None, None
        return user, password

    def _note(self, **known: object) -> None:
        if self._number is not None:
            self._shared.journal.note(self._number, **known)

    def _note_arrived(self, incoming: Incoming) -> None:
        self._note(size=incoming.size, sha256=incoming.digests["sha256"])

    def _note_end(self, **known: object) -> None:
        self._note(ended=self._shared.clock(), **known)
        self._number = None

    # --- what it may meet

    def _meet(self, kind: Kind, filename: str, project: str) -> Fault | None:
        """What the plan has for this request; the waits are over when this returns."""
        age = self._shared.clock() - self._shared.started
        seconds, fault = self._shared.plan.meet(kind, filename=filename, project=project, age=age)
        self._note(kind=kind, filename=filename, project=project, fault=fault)
        self._wait(seconds)
        if isinstance(fault, Trickle):
            self.wfile = _Paced(self.wfile, partial(self._pace, fault))
        return fault

    def _wait(self, seconds: float) -> None:
        if seconds and self._shared.closing.wait(seconds):
            raise ConnectionAbortedError

    def _pace(self, trickle: Trickle) -> int:
        size = max(int(trickle.rate), 1)
        self._wait(size / trickle.rate)
        return size

    def _break(self, fault: Cut | Stall) -> NoReturn:
        """End the connection without an answer, at once or when nobody waits for one any more."""
        if isinstance(fault, Stall):
            while not (self._is_left() or self._shared.closing.wait(_POLL)):
                pass
        self.server.cut(self.connection)
        raise ConnectionAbortedError

    def _is_left(self) -> bool:
        """Whether the client has gone away; not known while there is something of it unread."""
        readable, _, _ = select.select([self.connection], [], [], 0)
        return bool(readable) and not self.connection.recv(1, socket.MSG_PEEK)

    def _give(self, answer: Answer) -> None:
        headers = dict(answer.headers)
        if answer.retry_after is not None:
            moment = self._shared.clock() + answer.retry_after
            headers["Retry-After"] = formatdate(moment, usegmt=True) if answer.as_date else str(answer.retry_after)
        self._say(answer.status, answer.text, headers)

    # --- what is asked

    def do_GET(self) -> None:
        """Serve a page or a file."""
        path = unquote(self.path.partition("?")[0])
        kind, filename, project, serve = self._asked(path)
        match self._meet(kind, filename, project):
            case Answer() as answer:
                self._give(answer)
            case Cut() | Stall() as fault:
                self._break(fault)
            case Stale() as stale if kind == "listing":
                self._list_files(path, project, stale)
            case _:
                serve()

    do_HEAD = do_GET  # noqa: N815 - http.server looks for this name

    def _asked(self, path: str) -> tuple[Kind, str, str, Callable[[], None]]:
        """What a path means: kind, file name, project, and what serves it."""
        store = self._shared.store
        match path.split("/"):
            case ["", "simple", ""]:
                return "projects", "", "", self._list_projects
            case ["", "simple"]:
                return "other", "", "", partial(self._redirect, HTTPStatus.MOVED_PERMANENTLY, "/simple/")
            case ["", "simple", name] | ["", "simple", name, ""]:
                return "listing", "", canonicalize_name(name), partial(self._list_files, path, name)
            case ["", "files", filename] if filename.endswith(".whl.metadata"):
                wheel = filename.removesuffix(".metadata")
                serve = partial(self._send_file, filename, partial(store.open_metadata, wheel))
                return "metadata", wheel, _project_of(wheel), serve
            case ["", "integrity", name, _, filename, "provenance"]:
                return "provenance", filename, canonicalize_name(name), partial(self._send_provenance, filename)
            case ["", "_", "oidc", "audience"] if self._shared.mint is not None:
                audience = _document(200, {"audience": self._shared.mint.audience})
                return "audience", "", "", partial(self._give, audience)
            case ["", "files", filename]:
                serve = partial(self._send_file, filename, partial(store.open_file, filename))
                return "file", filename, _project_of(filename), serve
            case _:
                return "other", "", "", partial(self._not_found, path)

    def do_POST(self) -> None:
        """Take an upload."""
        length = self.headers.get("Content-Length", "")
        if "Transfer-Encoding" in self.headers or not _LENGTH.fullmatch(length):
            self.send_error(HTTPStatus.LENGTH_REQUIRED, "an upload tells its Content-Length")
            return
        if int(length) > _BODY_LIMIT:
            limit = f"{_BODY_LIMIT >> 30} GiB"
            self.send_error(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"an upload is no larger than {limit}")
            return
        body = _Body(self.rfile, int(length))
        answer = self._take(body)
        try:
            # Closing a connection with bytes unread resets it, and the client would never see the answer.
            while body.read(_CHUNK):
                pass
        except Refused:
            self.close_connection = True
        self._give(answer)

    def _take(self, body: _Body) -> Answer:
        """Judge an upload; what to answer."""
        boundary = self.headers.get_boundary()
        if self.path == "/_/oidc/mint-token" and self._shared.mint is not None:
            return self._mint(body, self._shared.mint)
        if self.path != "/legacy/":
            return Answer(404, f"nothing is uploaded to {self.path}, only to /legacy/")
        if self.headers.get_content_type() != "multipart/form-data" or boundary is None:
            return Answer(400, "an upload is a multipart/form-data form with a boundary")
        try:
            return self._receive(body, boundary)
        except Denied as denial:
            return Answer(denial.status, denial.message)
        except RelnoxError as refusal:
            return Answer(400, refusal.message)
        except (ConnectionError, TimeoutError):
            raise
        except OSError as error:
            return Answer(507, f"the file cannot be stored: {error.strerror}")

    def _mint(self, body: _Body, mint: Mint) -> Answer:
        """Exchange an identity token."""
        content = b"".join(iter(partial(body.read, _CHUNK), b""))
        fault = self._meet("mint", "", "")
        if isinstance(fault, Cut | Stall):
            self._break(fault)
        return fault if isinstance(fault, Answer) else _document(*mint.answer(content))

    def _receive(self, body: _Body, boundary: str) -> Answer:
        """Read an upload, with the fault that it meets, and store it."""
        fault: Fault | None = None
        named = ""

        def begin(filename: str) -> None:
            nonlocal fault, named
            named = filename
            fault = self._meet("upload", filename, _project_of(filename))
            if isinstance(fault, Trickle):
                body.pace = partial(self._pace, fault)

        def write(piece: bytes) -> None:
            limit = _limit(fault)
            incoming.write(piece if limit is None else piece[: max(limit - incoming.size, 0)])
            if isinstance(fault, Cut | Stall) and limit is not None and incoming.size >= limit:
                self._note_arrived(incoming)
                self._break(fault)

        with self._shared.store.receive() as incoming:
            try:
                form = read_form(body, boundary, write, begin)
            except (Refused, OSError):
                if isinstance(fault, Truncate):
                    incoming.keep(named)
                raise
            finally:
                self._note_arrived(incoming)
            return self._settle(form, incoming, fault)

    def _settle(self, form: Form, incoming: Incoming, fault: Fault | None) -> Answer:
        """What becomes of an upload that has arrived."""
        store = self._shared.store
        match fault:
            case Answer(stored=False):
                return fault
            case Cut(stored=False) | Stall(stored=False):
                self._break(fault)
            case Duplicate(status, text) if form.filename and store.find(form.filename):
                return Answer(status, text)
            case Truncate() if form.filename:
                incoming.keep(form.filename)
                return Answer(200, "OK")
            case Foreign(content) if form.filename and not store.find(form.filename):
                with store.receive() as theirs:
                    theirs.write(content)
                    theirs.keep(form.filename)
            case _:
                pass
        done = self._shared.desk.take(form, incoming, *self._credentials())
        if isinstance(fault, Cut | Stall):
            self._break(fault)
        return fault if isinstance(fault, Answer) else Answer(200, done)

    # --- what is answered

    def _list_projects(self) -> None:
        if format_ := self._wanted_format():
            self._page(project_list(self._shared.store.names(), format_), format_)

    def _list_files(self, path: str, name: str, stale: Stale | None = None) -> None:
        try:
            project = canonicalize_name(name, validate=True)
        except ValueError:
            self._not_found(path)
            return
        if path != f"/simple/{project}/":
            self._redirect(HTTPStatus.MOVED_PERMANENTLY, f"/simple/{project}/")
        elif (files := self._visible(project, stale)) or self._is_made(project, stale):
            if format_ := self._wanted_format():
                known = self._shared.store.projects.find(project) or Project()
                self._page(project_page(project, known, files, format_, self._origin), format_)
        elif self._shared.trusted_simple_url is not None:
            trusted = self._shared.trusted_simple_url.rstrip("/")
            self._redirect(HTTPStatus.FOUND, f"{trusted}/{project}/")
        else:
            self._not_found(path)

    def _visible(self, project: str, stale: Stale | None) -> list[StoredFile]:
        files = self._shared.store.files(project)
        if stale is None:
            return files
        now, plan = self._shared.clock(), self._shared.plan
        return [file for file in files if not plan.hides(stale, file.filename, now - file.uploaded)]

    def _is_made(self, project: str, stale: Stale | None) -> bool:
        """Whether there is a project of that name, files or not."""
        return stale is None and self._shared.store.projects.find(project) is not None

    @property
    def _origin(self) -> str:
        """What the client calls this index."""
        return f"http://{self.headers.get('Host', LOOPBACK)}"

    def _send_provenance(self, filename: str) -> None:
        content = self._shared.store.open_provenance(filename)
        if content is None:
            self._give(_document(404, {"message": f"No provenance available for {filename}"}))
            return
        with content:
            self._send(HTTPStatus.OK, content.read(), {"Content-Type": _PROVENANCE})

    def _wanted_format(self) -> Format | None:
        """The format to answer in; None when the client takes none of them and has been told so."""
        format_ = negotiate(self.headers.get("Accept"))
        if format_ is None:
            self._say(HTTPStatus.NOT_ACCEPTABLE, f"pages come as {', '.join(Format)}")
        return format_

    def _page(self, text: str, format_: Format) -> None:
        charset = "" if format_ is Format.JSON else "; charset=utf-8"
        headers = {"Content-Type": f"{format_}{charset}", "Vary": "Accept"}
        self._send(HTTPStatus.OK, text.encode(), headers)

    def _send_file(self, filename: str, open_: Callable[[], BinaryIO | None]) -> None:
        content = open_()
        if content is None:
            self._not_found(filename)
            return
        with content:
            size = os.fstat(content.fileno()).st_size
            self._head(HTTPStatus.OK, size, {"Content-Type": "application/octet-stream"})
            if self.command != "HEAD":
                shutil.copyfileobj(content, self.wfile, _CHUNK)

    def _redirect(self, status: HTTPStatus, to: str) -> None:
        self._say(status, to, {"Location": to})

    def _not_found(self, what: str) -> None:
        self._say(HTTPStatus.NOT_FOUND, f"the embedded index does not have {what}")

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:  # noqa: ARG002 - http.server's signature
        """Answer a request that cannot be served, and end the connection."""
        self.close_connection = True  # what the client has sent was not read to its end
        status = HTTPStatus(code)
        self._say(status, message or status.phrase)

    def _say(self, status: int, text: str, headers: Mapping[str, str] | None = None) -> None:
        """Answer in words: for those who print the body, and in the status line for those who print that."""
        sent = {"Content-Type": _PLAIN, **(headers or {})}
        reason = text if status >= HTTPStatus.BAD_REQUEST and sent["Content-Type"] == _PLAIN else None
        self._send(status, f"{text}\n".encode(), sent, reason)

    def _send(self, status: int, body: bytes, headers: Mapping[str, str], reason: str | None = None) -> None:
        self._head(status, len(body), headers, reason)
        if self.command != "HEAD":
            self.wfile.write(body)

    def _head(self, status: int, size: int, headers: Mapping[str, str], reason: str | None = None) -> None:
        self._note_end(status=int(status))
        self.send_response(status, _on_one_line(reason) if reason else None)
        for name, value in {**headers, "Content-Length": str(size), "Cache-Control": "no-cache"}.items():
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()

    def version_string(self) -> str:
        """What is said in the `Server` header."""
        return "relnox"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's signature
        """Keep quiet: standard error belongs to the release that runs around this index."""


def _on_one_line(text: str) -> str:
    """A text that cannot break out of a status line: what a client sent may be in it."""
    line = " ".join(text.split())[:_REASON_SHOWN]
    return "".join(letter if " " <= letter <= "~" else "?" for letter in line)


def _document(status: int, document: Mapping[str, object]) -> Answer:
    """An answer in JSON."""
    return Answer(status, json.dumps(document), headers=(("Content-Type", _JSON),))


def _project_of(filename: str) -> str:
    """The project that a file name tells; empty when it tells none."""
    try:
        return identify(filename)[0]
    except Refused:
        return ""


def _limit(fault: Fault | None) -> int | None:
    """How many bytes of an upload's file a fault lets in; None: all."""
    match fault:
        case Cut(after=size) | Stall(after=size) | Truncate(size):
            return size
        case _:
            return None
