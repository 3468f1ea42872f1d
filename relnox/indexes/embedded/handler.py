"""Speak HTTP: uploads in, the simple API and files out.

A project that the store does not hold is the trusted index's affair, and its page redirects there. A project
that it does hold comes from here alone: files of both are never listed together, since no installer protects
against a name that two indexes have.
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
    from relnox.indexes.embedded.minting import Mint
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

    # --- what is asked

    def do_GET(self) -> None:  # noqa: N802 - http.server looks for this name
        """Serve a page or a file."""
        path = unquote(self.path.partition("?")[0])
        kind, filename, project, serve = self._asked(path)
        match self._meet(kind, filename, project):
            case Answer() | Cut() | Stall() as fault:
                self._give(self._instead(fault))
            case Stale() as stale if kind == "listing":
                self._list_files(path, project, stale)
            case _:
                serve()

    do_HEAD = do_GET  # noqa: N815 - likewise

    def _asked(self, path: str) -> tuple[Kind, str, str, Callable[[], None]]:
        """What a path means: kind, file name, project, and what serves it."""
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
            case ["", "_", "oidc", "audience"] if self.shared.mint is not None:
                audience = _document(200, {"audience": self.shared.mint.audience})
                return "audience", "", "", partial(self._give, audience)
            case _:
                return "other", "", "", partial(self._not_found, path)

    def do_POST(self) -> None:  # noqa: N802 - likewise
        """Take an upload, or an identity token."""
        mints = self.path == _MINT
        lengths = self.headers.get_all("Content-Length", [])
        if "Transfer-Encoding" in self.headers or len(lengths) != 1 or not _LENGTH.fullmatch(lengths[0]):
            self.send_error(HTTPStatus.LENGTH_REQUIRED, "an upload tells its Content-Length")
            return
        length = lengths[0]
        if int(length) > (limit := _IDENTITY_LIMIT if mints else _BODY_LIMIT):
            self.send_error(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"an upload has at most {limit} bytes")
            return
        if not mints and not self._may_upload():  # before anything of it is read
            self.send_error(HTTPStatus.FORBIDDEN, "only the run that started the embedded index uploads to it")
            return
        self._allow(int(length))
        body = Body(self.rfile, int(length))
        answer = self._take(body)
        try:
            # Closing a connection with bytes unread resets it, and the client would never see the answer.
            while body.read(CHUNK):
                pass
        except Blocked:
            self.close_connection = True
        self._give(answer)

    def _may_upload(self) -> bool:
        """Whether this is who started the index: other users of this machine reach it too."""
        token = self.shared.upload_token
        return token is None or compare_digest((self._credentials()[1] or "").encode(), token.encode())

    def _take(self, body: Body) -> Answer:
        """Judge what was sent; what to answer."""
        boundary = self.headers.get_boundary()
        try:
            if self.path == _MINT and self.shared.mint is not None:
                return self._mint(body, self.shared.mint)
            if self.path != "/legacy/":
                return Answer(404, f"nothing is uploaded to {self.path}, only to /legacy/")
            if self.headers.get_content_type() != "multipart/form-data" or boundary is None:
                return Answer(400, "an upload is a multipart/form-data form with a boundary")
            return self._receive(body, boundary)
        except Denied as denial:
            return Answer(denial.status, denial.message)
        except RelnoxError as refusal:
            return Answer(400, refusal.message)
        except (ConnectionError, TimeoutError):
            raise
        except OSError as error:
            return Answer(507, f"the file cannot be stored: {error.strerror}")

    def _mint(self, body: Body, mint: Mint) -> Answer:
        """Exchange an identity token."""
        content = b"".join(iter(partial(body.read, CHUNK), b""))
        fault = self._meet("mint", "", "")
        if _loses(fault):
            return self._instead(fault)
        minted = _document(*mint.answer(content))
        return self._instead(fault) if isinstance(fault, Answer | Cut | Stall) else minted

    def _receive(self, body: Body, boundary: str) -> Answer:
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

        with self.shared.store.receive() as incoming:
            try:
                form = read_form(body, boundary, write, begin)
            except (Blocked, OSError):
                if isinstance(fault, Truncate):
                    incoming.keep(named)
                raise
            finally:
                self._note_arrived(incoming)
            return self._settle(form, incoming, fault)

    def _settle(self, form: Form, incoming: Incoming, fault: Fault | None) -> Answer:
        """What becomes of an upload that has arrived."""
        store = self.shared.store
        if _loses(fault):
            return self._instead(fault)
        match fault:
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
        done = self.shared.desk.take(form, incoming, *self._credentials())
        return self._instead(fault) if isinstance(fault, Answer | Cut | Stall) else Answer(200, done)

    # --- what is served

    def _list_projects(self) -> None:
        if format_ := self._wanted_format():
            self._page(project_list(self.shared.store.names(), format_), format_)

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
                known = self.shared.store.projects.find(project) or Project()
                self._page(project_page(project, known, files, format_, self._origin), format_)
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

    def _is_made(self, project: str, stale: Stale | None) -> bool:
        """Whether there is a project of that name, files or not."""
        return stale is None and self.shared.store.projects.find(project) is not None

    @property
    def _origin(self) -> str:
        """What the client calls this index."""
        return f"http://{self.headers.get('Host', LOOPBACK)}"

    def _send_provenance(self, filename: str) -> None:
        content = self.shared.store.open_provenance(filename)
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
            if not isinstance(self.wfile, Paced):
                self._allow(size)
            self._head(HTTPStatus.OK, size, {"Content-Type": "application/octet-stream"})
            if self.command != "HEAD":
                shutil.copyfileobj(content, self.wfile, CHUNK)


def _document(status: int, document: Mapping[str, object]) -> Answer:
    """An answer in JSON."""
    return Answer(status, json.dumps(document), headers=(("Content-Type", _JSON),))


def _project_of(filename: str) -> str:
    """The project that a file name tells; empty when it tells none."""
    try:
        return identify(filename)[0]
    except Blocked:
        return ""


def _loses(fault: Fault | None) -> TypeGuard[Answer | Cut | Stall]:
    """Whether a fault takes the place of what was asked for, rather than of its answer alone."""
    return isinstance(fault, Answer | Cut | Stall) and not fault.stored


def _limit(fault: Fault | None) -> int | None:
    """How many bytes of an upload's file a fault lets in; None: all."""
    match fault:
        case Cut(after=size) | Stall(after=size) | Truncate(size):
            return size
        case _:
            return None
