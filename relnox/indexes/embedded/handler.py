"""The HTTP endpoints: uploads, the simple API and downloads.

The page of a project that the store does not have redirects to the trusted index. Files of both are never listed
together, since installers do not protect against projects that two indexes have (dependency confusion).
"""

from __future__ import annotations

import json
import os
import re
import shutil
from functools import partial
from hmac import compare_digest
from http import HTTPStatus
from typing import TYPE_CHECKING, TypeGuard
from urllib.parse import unquote

from packaging.utils import canonicalize_name

from relnox.errors import Blocked, RelnoxError
from relnox.indexes.embedded.accounts import Denied
from relnox.indexes.embedded.connection import CHUNK, Body, Connection, Paced
from relnox.indexes.embedded.faults import Answer, Cut, Duplicate, Foreign, Stale, Stall, Trickle, Truncate
from relnox.indexes.embedded.listener import LOOPBACK
from relnox.indexes.embedded.multipart import read_form
from relnox.indexes.embedded.pages import Format, negotiate, project_list, project_page
from relnox.indexes.embedded.projects import Project
from relnox.indexes.embedded.store import identify

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import BinaryIO

    from relnox.indexes.embedded.faults import Fault, Kind
    from relnox.indexes.embedded.minting import TokenIssuer
    from relnox.indexes.embedded.multipart import Form
    from relnox.indexes.embedded.store import Incoming, StoredFile

__all__ = ["Handler"]

_BODY_LIMIT = 1 << 30
_IDENTITY_LIMIT = 1 << 16
_LENGTH = re.compile(r"[0-9]{1,18}")
_JSON = "application/json"
_MINT = "/_/oidc/mint-token"
_PROVENANCE = "application/vnd.pypi.integrity.v1+json"


class Handler(Connection):
    """Answers the requests of one connection."""

    # --- requests

    def do_GET(self) -> None:  # noqa: N802 - http.server looks for this name
        """Serve a page or a file."""
        path = unquote(self.path.partition("?")[0])
        kind, filename, project, serve = self._route(path)
        match self._next_fault(kind, filename, project):
            case Answer() | Cut() | Stall() as fault:
                self._send_answer(self._fault_response(fault))
            case Stale() as stale if kind == "listing":
                self._list_files(path, project, stale)
            case _:
                serve()

    do_HEAD = do_GET  # noqa: N815 - likewise

    def _route(self, path: str) -> tuple[Kind, str, str, Callable[[], None]]:
        """Return kind, file name, project and handler of a path."""
        store = self.shared.store
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
            case ["", "files", filename]:
                serve = partial(self._send_file, filename, partial(store.open_file, filename))
                return "file", filename, _project_of(filename), serve
            case ["", "integrity", name, _, filename, "provenance"]:
                return "provenance", filename, canonicalize_name(name), partial(self._send_provenance, filename)
            case ["", "_", "oidc", "audience"] if self.shared.token_issuer is not None:
                audience = _document(200, {"audience": self.shared.token_issuer.audience})
                return "audience", "", "", partial(self._send_answer, audience)
            case _:
                return "other", "", "", partial(self._not_found, path)

    def do_POST(self) -> None:  # noqa: N802 - likewise
        """Handle an upload, or the exchange of an identity token."""
        is_exchange = self.path == _MINT
        lengths = self.headers.get_all("Content-Length", [])
        if "Transfer-Encoding" in self.headers or len(lengths) != 1 or not _LENGTH.fullmatch(lengths[0]):
            self.send_error(HTTPStatus.LENGTH_REQUIRED, "uploads need a Content-Length")
            return
        length = lengths[0]
        if int(length) > (limit := _IDENTITY_LIMIT if is_exchange else _BODY_LIMIT):
            self.send_error(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the request is larger than {limit} bytes")
            return
        if not is_exchange and not self._may_upload():  # before reading the body
            self.send_error(HTTPStatus.FORBIDDEN, "only the run that started the embedded index may upload to it")
            return
        self._allow(int(length))
        body = Body(self.rfile, int(length))
        answer = self._handle_post(body)
        try:
            # Closing a connection with unread bytes resets it, and the client would not get the response.
            while body.read(CHUNK):
                pass
        except Blocked:
            self.close_connection = True
        self._send_answer(answer)

    def _may_upload(self) -> bool:
        """Check the upload token: other users of this machine can connect, too."""
        token = self.shared.upload_token
        return token is None or compare_digest((self._credentials()[1] or "").encode(), token.encode())

    def _handle_post(self, body: Body) -> Answer:
        """Handle the body, and return the response."""
        boundary = self.headers.get_boundary()
        try:
            if self.path == _MINT and self.shared.token_issuer is not None:
                return self._exchange_token(body, self.shared.token_issuer)
            if self.path != "/legacy/":
                return Answer(404, f"uploads go to /legacy/, not to {self.path}")
            if self.headers.get_content_type() != "multipart/form-data" or boundary is None:
                return Answer(400, "uploads are multipart/form-data with a boundary")
            return self._receive(body, boundary)
        except Denied as denial:
            return Answer(denial.status, denial.message)
        except RelnoxError as error:
            return Answer(400, error.message)
        except (ConnectionError, TimeoutError):
            raise
        except OSError as error:
            return Answer(507, f"the file cannot be stored: {error.strerror}")

    def _exchange_token(self, body: Body, token_issuer: TokenIssuer) -> Answer:
        """Exchange an identity token."""
        content = b"".join(iter(partial(body.read, CHUNK), b""))
        fault = self._next_fault("mint", "", "")
        if _replaces(fault):
            return self._fault_response(fault)
        answer = _document(*token_issuer.exchange(content))
        return self._fault_response(fault) if isinstance(fault, Answer | Cut | Stall) else answer

    def _receive(self, body: Body, boundary: str) -> Answer:
        """Read an upload, with its fault, and store it."""
        fault: Fault | None = None
        name = ""

        def begin(filename: str) -> None:
            nonlocal fault, name
            name = filename
            fault = self._next_fault("upload", filename, _project_of(filename))
            if isinstance(fault, Trickle):
                body.pace = partial(self._pace, fault)

        def write(piece: bytes) -> None:
            limit = _limit(fault)
            incoming.write(piece if limit is None else piece[: max(limit - incoming.size, 0)])
            if isinstance(fault, Cut | Stall) and limit is not None and incoming.size >= limit:
                self._record_arrival(incoming)
                self._break(fault)

        with self.shared.store.receive() as incoming:
            try:
                form = read_form(body, boundary, write, begin)
            except (Blocked, OSError):
                if isinstance(fault, Truncate):
                    incoming.store(name)
                raise
            finally:
                self._record_arrival(incoming)
            return self._store(form, incoming, fault)

    def _store(self, form: Form, incoming: Incoming, fault: Fault | None) -> Answer:
        """Store an upload that has arrived, and return the response."""
        store = self.shared.store
        if _replaces(fault):
            return self._fault_response(fault)
        match fault:
            case Duplicate(status, text) if form.filename and store.find(form.filename):
                return Answer(status, text)
            case Truncate() if form.filename:
                incoming.store(form.filename)
                return Answer(200, "OK")
            case Foreign(content) if form.filename and not store.find(form.filename):
                with store.receive() as other:
                    other.write(content)
                    other.store(form.filename)
            case _:
                pass
        result = self.shared.uploads.handle(form, incoming, *self._credentials())
        return self._fault_response(fault) if isinstance(fault, Answer | Cut | Stall) else Answer(200, result)

    # --- responses

    def _list_projects(self) -> None:
        if format_ := self._negotiated_format():
            self._page(project_list(self.shared.store.names(), format_), format_)

    def _list_files(self, path: str, name: str, stale: Stale | None = None) -> None:
        try:
            project = canonicalize_name(name, validate=True)
        except ValueError:
            self._not_found(path)
            return
        if path != f"/simple/{project}/":
            self._redirect(HTTPStatus.MOVED_PERMANENTLY, f"/simple/{project}/")
        elif (files := self._visible(project, stale)) or self._exists(project, stale):
            if format_ := self._negotiated_format():
                metadata = self.shared.store.projects.find(project) or Project()
                self._page(project_page(project, metadata, files, format_, self._origin), format_)
        elif self.shared.trusted_simple_url is not None:
            trusted = self.shared.trusted_simple_url.rstrip("/")
            self._redirect(HTTPStatus.FOUND, f"{trusted}/{project}/")
        else:
            self._not_found(path)

    def _visible(self, project: str, stale: Stale | None) -> list[StoredFile]:
        files = self.shared.store.files(project)
        if stale is None:
            return files
        now, plan = self.shared.clock(), self.shared.plan
        return [file for file in files if not plan.hides(stale, file.filename, now - file.uploaded)]

    def _exists(self, project: str, stale: Stale | None) -> bool:
        """Return whether a project exists, even without files."""
        return stale is None and self.shared.store.projects.find(project) is not None

    @property
    def _origin(self) -> str:
        """The origin of the index as the client addressed it."""
        return f"http://{self.headers.get('Host', LOOPBACK)}"

    def _send_provenance(self, filename: str) -> None:
        content = self.shared.store.open_provenance(filename)
        if content is None:
            self._send_answer(_document(404, {"message": f"No provenance available for {filename}"}))
            return
        with content:
            self._send(HTTPStatus.OK, content.read(), {"Content-Type": _PROVENANCE})

    def _negotiated_format(self) -> Format | None:
        """Return the format of the response; send an error and return None if the client accepts none."""
        format_ = negotiate(self.headers.get("Accept"))
        if format_ is None:
            self._send_text(HTTPStatus.NOT_ACCEPTABLE, f"available formats: {', '.join(Format)}")
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
            if not isinstance(self.wfile, Paced):
                self._allow(size)
            self._send_headers(HTTPStatus.OK, size, {"Content-Type": "application/octet-stream"})
            if self.command != "HEAD":
                shutil.copyfileobj(content, self.wfile, CHUNK)


def _document(status: int, document: Mapping[str, object]) -> Answer:
    """Return a JSON response."""
    return Answer(status, json.dumps(document), headers=(("Content-Type", _JSON),))


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
