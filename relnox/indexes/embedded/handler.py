"""The HTTP endpoints of the embedded index: the upload API, the simple API and downloads.

The page of a project that the embedded index does not have redirects to the trusted index. Files of the two
indexes are never listed together: installers do not protect against projects that exist on both (dependency
confusion).
"""

from __future__ import annotations

import os
import shutil
from hmac import compare_digest
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import unquote

from packaging.utils import canonicalize_name

from relnox.errors import RelnoxError
from relnox.indexes.embedded.connection import CHUNK, Connection, Response
from relnox.indexes.embedded.multipart import read_form
from relnox.indexes.embedded.pages import Format, negotiate, project_list, project_page
from relnox.indexes.embedded.upload import ReceivedUpload

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import BinaryIO

    from relnox.indexes.embedded.connection import Body
    from relnox.indexes.embedded.stored_files import StoredFile

_BODY_LIMIT = 1 << 30


class Handler(Connection):
    """A handler for the requests of one connection; subclasses may extend its public methods."""

    # --- uploads

    def do_POST(self) -> None:  # noqa: N802 - http.server's name
        """Handle an upload."""
        token = self.index.upload_token
        if token is not None and not compare_digest((self.credentials()[1] or "").encode(), token.encode()):
            self.send_error(HTTPStatus.FORBIDDEN, "only the run that started the embedded index may upload to it")
            return
        self.serve_body(_BODY_LIMIT, self._handle_upload)

    def _handle_upload(self, body: Body) -> Response:
        if self.path != "/legacy/":
            return Response(404, f"uploads go to /legacy/, not to {self.path}")
        boundary = self.headers.get_boundary()
        if self.headers.get_content_type() != "multipart/form-data" or boundary is None:
            return Response(400, "uploads are multipart/form-data with a boundary")
        try:
            return self.receive_upload(body, boundary)
        except RelnoxError as error:
            return Response(400, error.message)
        except (ConnectionError, TimeoutError):
            raise
        except OSError as error:
            return Response(507, f"the file cannot be stored: {error.strerror}")

    def receive_upload(self, body: Body, boundary: str) -> Response:
        """Read, check and store an upload, and return the response.

        Raises:
            RelnoxError: The upload is not accepted; the message becomes the response.
            OSError: The file cannot be stored.
        """
        with self.index.store.receive() as incoming:
            form = read_form(body, boundary, lambda _, pieces: incoming.write_all(pieces))
            return Response(200, ReceivedUpload(form, incoming, self.index).accept())

    # --- the simple API and downloads

    def do_GET(self) -> None:  # noqa: N802 - http.server's name
        """Serve a page or a file."""
        path = unquote(self.path.partition("?")[0])
        store = self.index.store
        match path.split("/"):
            case ["", "simple", ""]:
                self._send_page(lambda format_: project_list(store.names(), format_))
            case ["", "simple"]:
                self._send_redirect(HTTPStatus.MOVED_PERMANENTLY, "/simple/")
            case ["", "simple", name] | ["", "simple", name, ""]:
                self._send_project(path, name)
            case ["", "files", filename] if filename.endswith(".whl.metadata"):
                self._send_file(filename, store.open_metadata(filename.removesuffix(".metadata")))
            case ["", "files", filename]:
                self._send_file(filename, store.open_file(filename))
            case _:
                self._send_not_found(path)

    def do_HEAD(self) -> None:  # noqa: N802 - http.server's name
        """Send the headers of a page or a file."""
        self.do_GET()

    def files(self, project: str) -> Sequence[StoredFile] | None:
        """Return the files to list for a project, or None if the index does not have the project.

        Args:
            project: The normalized name of the project (PEP 503).
        """
        return self.index.store.files(project) or None

    def project_page(self, project: str, files: Sequence[StoredFile], format_: Format) -> str:
        """Render the page of a project."""
        return project_page(project, files, format_)

    def _send_project(self, path: str, name: str) -> None:
        """Send the page of a project, or redirect to its normalized name or to the trusted index."""
        try:
            project = canonicalize_name(name, validate=True)
        except ValueError:
            self._send_not_found(path)
            return
        if path != f"/simple/{project}/":
            self._send_redirect(HTTPStatus.MOVED_PERMANENTLY, f"/simple/{project}/")
        elif (files := self.files(project)) is not None:
            self._send_page(lambda format_: self.project_page(project, files, format_))
        elif self.index.trusted_simple_url is not None:
            self._send_redirect(HTTPStatus.FOUND, f"{self.index.trusted_simple_url.rstrip('/')}/{project}/")
        else:
            self._send_not_found(path)

    def _send_page(self, render: Callable[[Format], str]) -> None:
        """Render a page in the format that the client prefers, and send it."""
        format_ = negotiate(self.headers.get("Accept"))
        charset = "" if format_ is Format.JSON else "; charset=utf-8"
        headers = {"Content-Type": f"{format_}{charset}", "Vary": "Accept"}
        self.send_content(HTTPStatus.OK, render(format_).encode(), headers)

    def _send_file(self, filename: str, content: BinaryIO | None) -> None:
        if content is None:
            self._send_not_found(filename)
            return
        with content:
            size = os.fstat(content.fileno()).st_size
            self.limit_time(size)
            self.send_headers(HTTPStatus.OK, size, {"Content-Type": "application/octet-stream"})
            if self.command != "HEAD":
                shutil.copyfileobj(content, self.wfile, CHUNK)

    def _send_redirect(self, status: HTTPStatus, to: str) -> None:
        self.send_text(Response(status, to, {"Location": to}))

    def _send_not_found(self, name: str) -> None:
        self.send_text(Response(HTTPStatus.NOT_FOUND, f"the embedded index does not have {name}"))
