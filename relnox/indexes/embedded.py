"""The embedded index: a package index that listens on loopback and keeps its files in a directory.

It has what a rehearsal needs: the upload API, the simple API as JSON (PEP 691), and downloads. What public indexes
require of archives is checked before the upload (`relnox.building.checks`), for any index.

Several indexes, in one or more processes, may share a directory:

    DIRECTORY/files/<file name>/file    a file
    DIRECTORY/incoming/<random>/        an upload in progress

An upload is written to `incoming` and moved to `files` by renaming its directory, so that it is atomic. The first
of two uploads with the same name wins, since a directory cannot replace one that is not empty.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
import sys
import tempfile
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from email import message_from_bytes
from hmac import compare_digest
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import TCPServer
from typing import NamedTuple, Self
from urllib.parse import unquote

from packaging.utils import canonicalize_name, parse_sdist_filename, parse_wheel_filename
from packaging.version import Version

from relnox.core import fixes
from relnox.errors import Blocked, Conflict, Problem

CLEAR_FIX = fixes.task_command("publish-test", "--index", "embedded", "--clear")
_FILE = "file"
# `packaging` accepts any characters in tags of wheels, even slashes. These need no quoting in paths or URLs.
_FILENAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+!-]*")
_JSON_PAGE = "application/vnd.pypi.simple.v1+json"
_LOOPBACK = "127.0.0.1"
_POLL_INTERVAL = 0.05


class EmbeddedIndex:
    """A package index on this machine that runs inside a `with` statement; its files are kept afterwards.

    It listens on a free port, and has URLs while it runs. Files cannot be replaced.

    Args:
        directory: The directory for the files, which is created if missing; it may have those of earlier runs.
        upload_token: The password for uploads, since every user of this machine can connect; None: none is needed.

    Raises:
        Blocked: The directory cannot be created or written to.
    """

    def __init__(self, directory: Path, *, upload_token: str | None = None) -> None:
        self.store = FileStore(directory)
        self.upload_token = upload_token
        self._server: _Server | None = None

    @property
    def upload_url(self) -> str:
        """The URL of the upload API; raises `RuntimeError` if the index is not running."""
        return f"{self._origin}/legacy/"

    @property
    def simple_url(self) -> str:
        """The URL of the simple API; raises `RuntimeError` if the index is not running."""
        return f"{self._origin}/simple/"

    @property
    def _origin(self) -> str:
        if self._server is None:
            raise RuntimeError("the embedded index has a URL only inside its with statement")
        return f"http://{_LOOPBACK}:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._server = _Server(self)
        threading.Thread(target=self._server.serve_forever, args=(_POLL_INTERVAL,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None


# --- files


class StoredFile(NamedTuple):
    """A stored wheel or sdist of a project (by its normalized name).

    Attributes:
        path: The file with the content, whose own name is not `filename`.
    """

    filename: str
    project: str
    version: Version
    path: Path

    @property
    def sha256(self) -> str:
        """The hash of the content, in hex."""
        return hashlib.sha256(self.path.read_bytes()).hexdigest()


class FileStore:
    """The files of an embedded index; its directory is created if missing.

    Raises:
        Blocked: The directory cannot be created or written to.
    """

    def __init__(self, directory: Path) -> None:
        self._files = directory / "files"
        self._incoming = directory / "incoming"
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            for subdirectory in (self._files, self._incoming):
                subdirectory.mkdir(exist_ok=True)
        except OSError as error:
            raise Blocked(
                "index-directory-not-usable",
                f"{directory} cannot be used for the embedded index: {error.strerror}",
                fix="use a directory that you can write to",
            ) from error

    def files(self, project: str | None = None) -> list[StoredFile]:
        """Return the files of a project (by its normalized name), or all, sorted by version and then by name."""
        uploads = (self.find(entry.name) for entry in self._files.iterdir())
        files = [file for file in uploads if file is not None and project in (None, file.project)]
        return sorted(files, key=lambda file: (file.version, file.filename))

    def find(self, filename: str) -> StoredFile | None:
        """Return the file with a name, or None if it is missing or the name is invalid."""
        try:
            project, version = _parse_filename(filename)
        except Blocked:
            return None
        path = self._files / filename / _FILE
        return StoredFile(filename, project, version, path) if path.is_file() else None

    def add(self, filename: str, content: bytes) -> bool:
        """Add a file; return False if the store already has it, with the same content, and True otherwise.

        The caller has to check that the name is that of a wheel or sdist.

        Raises:
            Conflict: The store has a different file with this name.
            OSError: The file cannot be written.
        """
        sha256 = hashlib.sha256(content).hexdigest()
        with tempfile.TemporaryDirectory(dir=self._incoming) as temporary:
            upload = Path(temporary, "upload")
            upload.mkdir()
            (upload / _FILE).write_bytes(content)
            try:
                upload.rename(self._files / filename)
            except OSError:  # the error for a directory that exists differs between systems
                if (stored_file := self.find(filename)) is None:
                    raise
                if stored_file.sha256 == sha256:
                    return False
                raise Conflict(
                    "index-file-differs",
                    f"File already exists ({filename!r}, with sha256 {stored_file.sha256!r}). The one sent has "
                    f"{sha256!r}.",
                ) from None
        return True

    def holds_only(self, files: Mapping[str, str]) -> bool:
        """Return whether the store has no other files than `files`, which maps names to SHA-256 hashes (hex).

        The store may lack some of them, or be empty.
        """
        return all(files.get(file.filename) == file.sha256 for file in self.files())

    def clear(self) -> None:
        """Delete all files, and incomplete uploads of killed processes; ignore errors."""
        for upload in (*self._files.iterdir(), *self._incoming.iterdir()):
            shutil.rmtree(upload, ignore_errors=True)


def _parse_filename(filename: str) -> tuple[str, Version]:
    """Return the normalized project name and the version of a wheel or sdist; raise `Blocked` for other names."""
    try:
        if not _FILENAME.fullmatch(filename):
            raise ValueError("only letters, digits and . _ + ! - are allowed")  # noqa: TRY301 - as for other names
        parse = parse_wheel_filename if filename.endswith(".whl") else parse_sdist_filename
        project, version, *_ = parse(filename)
    except ValueError as error:
        raise _rejected_upload_error(
            f"{filename!a} is not the name of a wheel or a source distribution: {error}"
        ) from error
    return project, version


# --- uploads


def parse_uploaded_file(boundary: str | None, body: bytes) -> tuple[str, bytes]:
    """Return the unchecked name and the content of the only file in the form of an upload (RFC 7578).

    `boundary` is that of the header `Content-Type`, or None if it has none (then no file is expected).

    Raises:
        Blocked: The form has no file in the field `content`, or several.
    """
    files: list[tuple[str, bytes]] = []
    for part in b"\r\n".join((b"", body)).split(f"\r\n--{boundary}".encode())[1:-1]:
        head, _, value = part.partition(b"\r\n\r\n")
        disposition = message_from_bytes(head.lstrip())
        filename = disposition.get_filename()
        if disposition.get_param("name", header="content-disposition") == "content" and filename is not None:
            files.append((filename, value))
    if len(files) != 1:
        raise _rejected_upload_error(f"the form has {len(files)} files in the field `content`")
    return files[0]


def _rejected_upload_error(message: str) -> Blocked:
    """Return the error for a rejected upload; the server sends its message with status 400."""
    return Blocked("upload-rejected", message)


# --- requests


class _Response(NamedTuple):
    """A response of the embedded index, without the header `Content-Length`, which is added when it is sent."""

    status: int
    body: bytes
    headers: Mapping[str, str] = {"Content-Type": "text/plain; charset=utf-8"}


def _text_response(status: int, text: str) -> _Response:
    return _Response(status, f"{text}\n".encode())


class _Server(ThreadingHTTPServer):
    """The server of an embedded index, which handles each connection in a thread."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, index: EmbeddedIndex) -> None:
        self.index = index
        super().__init__((_LOOPBACK, 0), RequestHandler)

    def server_bind(self) -> None:
        """Bind the socket without looking up the host name, which `HTTPServer` would do."""
        TCPServer.server_bind(self)

    def handle_error(self, request: object, client_address: object) -> None:
        """Print the traceback of an error, unless the client closed the connection or was too slow."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


class RequestHandler(BaseHTTPRequestHandler):
    """A handler of the requests to an embedded index."""

    server: _Server

    def do_GET(self) -> None:
        """Send a project's page of the simple API, or a stored file; status 404 for any other URL."""
        self._send(self._respond(unquote(self.path.partition("?")[0])))

    def do_HEAD(self) -> None:
        """Send the headers that `do_GET` would send."""
        self.do_GET()

    def do_POST(self) -> None:
        """Receive an upload, and send the response; nothing is sent if the body is incomplete."""
        length = self.headers.get("Content-Length", "")
        if not length.isdigit():
            self._send(_text_response(411, "uploads need a Content-Length"))
        # Read before any answer: closing a connection with unread bytes resets it, and loses the response.
        elif len(body := self.rfile.read(int(length))) == int(length):
            self._send(self.receive_upload(body))

    def _respond(self, path: str) -> _Response:
        """Return the page or the file of a URL's path, or the status 404."""
        store = self.server.index.store
        match path.split("/"):
            case ["", "simple", name] | ["", "simple", name, ""] if name:
                project = canonicalize_name(name)
                if files := store.files(project):
                    headers = {"Content-Type": _JSON_PAGE, "Cache-Control": "no-cache"}
                    return _Response(200, json.dumps(_project_page(project, files)).encode(), headers)
            case ["", "files", filename] if (file := store.find(filename)) is not None:
                return _Response(200, file.path.read_bytes(), {"Content-Type": "application/octet-stream"})
            case _:
                pass
        return _text_response(404, f"the embedded index does not have {path}")

    def receive_upload(self, body: bytes) -> _Response:
        """Check the password, then check and store the file of an upload; return the response.

        `body` is the form of the upload. Errors become responses as well, such as status 403 for a wrong password.
        """
        index = self.server.index
        if index.upload_token is not None and not compare_digest(self._password(), index.upload_token.encode()):
            return _text_response(403, "only the run that started the embedded index may upload to it")
        if self.path != "/legacy/":
            return _text_response(404, f"uploads go to /legacy/, not to {self.path}")
        try:
            filename, content = parse_uploaded_file(self.headers.get_boundary(), body)
            _parse_filename(filename)
            is_new = index.store.add(filename, content)
        except Problem as error:
            return _text_response(400, error.message)
        except OSError as error:
            return _text_response(507, f"the file cannot be stored: {error.strerror}")
        return _text_response(200, f"{filename} {'is stored' if is_new else 'exists with the same content'}")

    def _password(self) -> bytes:
        """Return the password in the headers (RFC 7617); empty if there is none."""
        try:
            login = base64.b64decode(self.headers.get("Authorization", "").partition(" ")[2], validate=True)
        except ValueError:
            return b""
        return login.partition(b":")[2]

    def _send(self, response: _Response) -> None:
        self.send_response(response.status)
        for name, value in response.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(response.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(response.body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's signature
        """Print nothing: requests are not logged."""


def _project_page(project: str, files: list[StoredFile]) -> dict[str, object]:
    """Return the page of a project in the simple API (PEP 691, PEP 700), to be sent as JSON.

    `project` is its normalized name, and `files` are all its files.
    """
    versions = [str(version) for version in sorted({file.version for file in files})]
    entries = [
        {
            "filename": file.filename,
            "url": f"/files/{file.filename}",
            "hashes": {"sha256": file.sha256},
            "size": file.path.stat().st_size,
            "upload-time": f"{datetime.fromtimestamp(file.path.stat().st_mtime, UTC):%Y-%m-%dT%H:%M:%S.%fZ}",
        }
        for file in files
    ]
    return {"meta": {"api-version": "1.1"}, "name": project, "versions": versions, "files": entries}
