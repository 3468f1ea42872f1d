"""The embedded index: a package index that listens on loopback and keeps its files in a directory.

It has what a rehearsal needs: the upload API, the simple API as JSON (PEP 691), and downloads. What public indexes
require of archives is checked before the upload (`relnox.building.checks`), for any index. The page of a
project that it does not have redirects to the trusted index. Files of the two indexes are never listed together:
installers do not protect against projects that exist on both (dependency confusion).
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import sys
import threading
from collections.abc import Mapping, Sequence
from email import message_from_bytes
from hmac import compare_digest
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import TCPServer
from types import TracebackType
from typing import NamedTuple, Self
from urllib.parse import unquote

from packaging.utils import canonicalize_name
from packaging.version import Version

from relnox.errors import Blocked, Problem
from relnox.indexes.embedded_store import Store, StoredFile, blake2_256, identify

JSON_PAGE = "application/vnd.pypi.simple.v1+json"
_LOOPBACK = "127.0.0.1"
_MAX_REASON = 500
_POLL_INTERVAL = 0.05
_FORM_FIX = "send multipart/form-data with one file in the field `content` (see the upload API)"


class Response(NamedTuple):
    """A response; the text of an error is the reason in its status line, too: clients print one or the other."""

    status: int
    body: bytes
    headers: Mapping[str, str] = {"Content-Type": "text/plain; charset=utf-8"}


def text_response(status: int, text: str) -> Response:
    """Return a response with a line of text."""
    return Response(status, f"{text}\n".encode())


class Form(NamedTuple):
    """An upload: its fields, and the name and content of its file."""

    fields: Mapping[str, list[str]]
    filename: str
    content: bytes

    @property
    def sha256(self) -> str:
        """The SHA-256 of the file in hex."""
        return hashlib.sha256(self.content).hexdigest()

    def optional(self, name: str) -> str | None:
        """Return the value of a field, or None if it is missing or empty.

        Raises:
            Blocked: The field was sent more than once.
        """
        values = self.fields.get(name, [])
        if len(values) > 1:
            raise _invalid_form(f"the form repeats the field {name}")
        return values[0] or None if values else None

    def required(self, name: str) -> str:
        """Return the value of a field.

        Raises:
            Blocked: The field is missing or empty, or was sent more than once.
        """
        if (value := self.optional(name)) is None:
            raise _invalid_form(f"the form has no field {name}")
        return value


class EmbeddedIndex:
    """A package index on this machine that runs inside a `with` statement; its files are kept afterwards.

    It listens on a free port of loopback. Several indexes, in one or more processes, may share a directory.
    Uploads must be consistent, and files cannot be replaced.

    Args:
        directory: The directory for the files, which is created if missing.
        trusted_simple_url: The URL of the simple API to redirect to for projects that this index does not have;
            None for no redirects.
        upload_token: The password that uploads need, since every user of this machine can connect to loopback;
            None for no password.

    Raises:
        Blocked: The directory cannot be created or written to.
    """

    handler: type[Handler]
    """The class that handles requests; subclasses of the index may replace it."""

    def __init__(
        self, directory: Path, *, trusted_simple_url: str | None = None, upload_token: str | None = None
    ) -> None:
        self.store = Store(directory)
        self.trusted_simple_url = trusted_simple_url
        self.upload_token = upload_token
        self._server: _Server | None = None

    @property
    def upload_url(self) -> str:
        """The URL of the upload API."""
        return f"{self.origin}/legacy/"

    @property
    def simple_url(self) -> str:
        """The URL of the simple API."""
        return f"{self.origin}/simple/"

    @property
    def origin(self) -> str:
        """The scheme, host and port of the running index."""
        if self._server is None:
            raise RuntimeError("the embedded index has a URL only inside its with statement")
        return f"http://{_LOOPBACK}:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._server = _Server(self)
        threading.Thread(target=self._server.serve_forever, args=(_POLL_INTERVAL,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def accept(self, form: Form) -> Response:
        """Check an upload and store its file.

        Raises:
            Problem: The upload is not accepted; the message becomes the response.
            OSError: The file cannot be written.
        """
        _check_form(form)
        is_new = self.store.add(form.filename, form.content, form.optional("requires_python"))
        return text_response(200, f"{form.filename} {'is stored' if is_new else 'exists with the same content'}")

    def files(self, project: str) -> Sequence[StoredFile] | None:
        """Return the files to list for a project (by its normalized name), or None if there is no such project."""
        return self.store.files(project) or None


class _Server(ThreadingHTTPServer):
    """The server of an index, which handles each connection in a thread."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, index: EmbeddedIndex) -> None:
        self.index = index
        super().__init__((_LOOPBACK, 0), index.handler)

    def server_bind(self) -> None:
        """Bind the socket without looking up the host name, which `HTTPServer` would do."""
        TCPServer.server_bind(self)

    def handle_error(self, request: object, client_address: object) -> None:
        """Print an unexpected error, unless the client closed the connection."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


class Handler(BaseHTTPRequestHandler):
    """A handler of one request; subclasses may extend its methods."""

    server: _Server

    @property
    def index(self) -> EmbeddedIndex:
        """The index that accepted the connection."""
        return self.server.index

    def do_GET(self) -> None:
        """Send a page or a file."""
        self.send(self.respond(unquote(self.path.partition("?")[0])))

    def do_HEAD(self) -> None:
        """Send the headers of a page or a file."""
        self.do_GET()

    def do_POST(self) -> None:
        """Receive an upload."""
        length = self.headers.get("Content-Length", "")
        if not length.isdigit():
            self.send(text_response(411, "uploads need a Content-Length"))
        # Read before any answer: closing a connection with unread bytes resets it, and loses the response.
        elif len(body := self.rfile.read(int(length))) == int(length):
            self.send(self.receive(body))

    def respond(self, path: str) -> Response:
        """Return the response to a request for a page or a file."""
        match path.split("/"):
            case ["", "simple", name] | ["", "simple", name, ""] if name:
                project = canonicalize_name(name)
                if (files := self.index.files(project)) is not None:
                    return json_response(project_page(project, files), JSON_PAGE)
                if self.index.trusted_simple_url is not None and re.fullmatch("[a-z0-9-]+", project):
                    return Response(
                        302, b"", {"Location": f"{self.index.trusted_simple_url.rstrip('/')}/{project}/"}
                    )
            case ["", "files", filename] if (file := self.index.store.find(filename)) is not None:
                return Response(200, file.path.read_bytes(), {"Content-Type": "application/octet-stream"})
            case _:
                pass
        return text_response(404, f"the embedded index does not have {path}")

    def receive(self, body: bytes) -> Response:
        """Check and store an upload, and return the response."""
        token = self.index.upload_token
        if token is not None and not compare_digest((self.credentials()[1] or "").encode(), token.encode()):
            return text_response(403, "only the run that started the embedded index may upload to it")
        if self.path != "/legacy/":
            return text_response(404, f"uploads go to /legacy/, not to {self.path}")
        try:
            return self.index.accept(parse_form(self.headers.get_boundary(), body))
        except Problem as error:
            return text_response(400, error.message)
        except OSError as error:
            return text_response(507, f"the file cannot be stored: {error.strerror}")

    def credentials(self) -> tuple[str | None, str | None]:
        """Return the user name and password of a request (RFC 7617), or `(None, None)` if it has none."""
        scheme, _, encoded_login = self.headers.get("Authorization", "").partition(" ")
        try:
            user, separator, password = base64.b64decode(encoded_login, validate=True).decode().partition(":")
        except ValueError:
            return None, None
        return (user, password) if scheme.lower() == "basic" and separator else (None, None)

    def send(self, response: Response) -> None:
        """Send a response."""
        is_error = response.status >= HTTPStatus.BAD_REQUEST
        self.send_response(response.status, _on_one_line(response.body.decode()) if is_error else None)
        for name, value in response.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(response.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(response.body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's signature
        """Do nothing, so that requests are not logged."""


EmbeddedIndex.handler = Handler


def project_page(project: str, files: Sequence[StoredFile]) -> dict[str, object]:
    """Return the page of a project (PEP 691, PEP 700)."""
    versions = [str(version) for version in sorted({file.version for file in files})]
    entries = [
        {
            "filename": file.filename,
            "url": f"/files/{file.filename}",
            "hashes": {"sha256": file.sha256},
            "size": file.size,
            "upload-time": file.upload_time,
            **({"requires-python": file.requires_python} if file.requires_python else {}),
        }
        for file in files
    ]
    return {"meta": {"api-version": "1.1"}, "name": project, "versions": versions, "files": entries}


def json_response(document: Mapping[str, object], content_type: str = "application/json") -> Response:
    """Return a response with a JSON document."""
    return Response(
        200, json.dumps(document).encode(), {"Content-Type": content_type, "Cache-Control": "no-cache"}
    )


def parse_form(boundary: str | None, body: bytes) -> Form:
    """Parse the form of an upload (RFC 7578), which is in memory: a rehearsal uploads a few megabytes.

    Raises:
        Blocked: The body is not a form with one file in the field `content`.
    """
    if not boundary or not boundary.isascii():
        raise _invalid_form("uploads are multipart/form-data with a boundary")
    fields: dict[str, list[str]] = {}
    files: list[tuple[str, bytes]] = []
    _, *parts = b"\r\n".join((b"", body)).split(f"\r\n--{boundary}".encode())
    if not parts or not parts[-1].startswith(b"--"):
        raise _invalid_form("the form ends before its closing boundary")
    for part in parts[:-1]:
        head, separator, value = part.removeprefix(b"\r\n").partition(b"\r\n\r\n")
        disposition = message_from_bytes(head)
        name, filename = disposition.get_param("name", header="content-disposition"), disposition.get_filename()
        if not (part.startswith(b"\r\n") and separator and isinstance(name, str)):
            raise _invalid_form("a part of the form has no name, or a file contains the boundary")
        if name == "content" and filename is not None:
            files.append((filename, value))
        elif filename is None:  # other files, such as signatures, are ignored
            try:
                fields.setdefault(name, []).append(value.decode())
            except UnicodeDecodeError as error:
                raise _invalid_form(f"the form field {name!a} is not UTF-8") from error
    if len(files) != 1:
        raise _invalid_form(f"the form has {len(files)} files in the field `content`")
    return Form(fields, *files[0])


def _invalid_form(message: str) -> Blocked:
    return Blocked("form-invalid", message, fix=_FORM_FIX)


def _check_form(form: Form) -> None:
    """Check that a form is consistent with its file.

    Raises:
        Blocked: The form does not request an upload, or its name, version or digests are not those of its file.
    """
    if (action := form.required(":action")) != "file_upload":
        raise Blocked("upload-rejected", f"unsupported action {action!a} (only file_upload is supported)")
    if (protocol := form.optional("protocol_version")) not in (None, "1"):
        raise Blocked("upload-rejected", f"unsupported upload protocol {protocol!a} (only 1 is supported)")
    project, version = identify(form.filename)
    name, declared_version = form.required("name"), form.required("version")
    try:
        matches = canonicalize_name(name, validate=True) == project and Version(declared_version) == version
    except ValueError as error:
        raise Blocked("upload-rejected", f"{form.filename} has an invalid name or version: {error}") from error
    if not matches:
        raise Blocked(
            "upload-rejected",
            f"{form.filename} was sent as {name} {declared_version}, but its file name says {project} {version}",
        )
    digests = {"sha256_digest": form.sha256, "blake2_256_digest": blake2_256(form.content)}
    for field, digest in digests.items():
        if (expected := form.optional(field)) is not None and expected.lower() != digest:
            message = (
                f"{form.filename} has {field.removesuffix('_digest')} {digest}, but the form declares {expected!a}"
            )
            raise Blocked("upload-rejected", message)


def _on_one_line(text: str) -> str:
    """Return text for the status line: on one line and in ASCII characters only, since it may quote requests."""
    line = " ".join(text.split())[:_MAX_REASON]
    return "".join(char if " " <= char <= "~" else "?" for char in line)
