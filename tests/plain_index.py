"""A read-only index on loopback: it lists and serves files."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

from relnox.building import file_hashes
from relnox.core.names import normalize_name

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["PlainIndex", "serving"]


class PlainIndex:
    """What an index holds, and what it was asked.

    Attributes:
        url: Its simple API.
        asked: The paths of all requests.
        unlisted: For how many more requests a project is not listed, by name.
        times: When files came to it, by name; with them it answers in JSON (PEP 691, PEP 700).
        unserved: For how many more requests a file that is listed is not served, by name.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.files: dict[str, Path] = {}
        self.hashes: dict[str, str] = {}
        self.asked: list[str] = []
        self.caching: list[str] = []
        self.unlisted: dict[str, int] = {}
        self.unserved: dict[str, int] = {}
        self.yanked: set[str] = set()
        self.times: dict[str, str] = {}

    def add(self, *paths: Path) -> None:
        """List and serve files."""
        for path in paths:
            self.files[path.name] = path
            self.hashes[path.name] = file_hashes.hash_file(path).sha256

    def answer(self, path: str) -> tuple[int, bytes]:
        """Status and body for a path."""
        kind, _, name = path.strip("/").partition("/")
        if kind == "files" and name in self.files:
            if self.unserved.get(name, 0) > 0:
                self.unserved[name] -= 1
                return 404, b""
            return 200, self.files[name].read_bytes()
        links = [
            f'<a href="/files/{file}#sha256={self.hashes[file]}"{" data-yanked" * (file in self.yanked)}>'
            f"{escape(file)}</a>"
            for file in self.files
            if normalize_name(file.partition("-")[0]) == name
        ]
        if kind != "simple" or not links:
            return 404, b""
        if self.unlisted.get(name, 0) > 0:
            self.unlisted[name] -= 1
            return 404, b""
        if self.times:
            return 200, json.dumps(self._listing(name)).encode()
        return 200, "<!DOCTYPE html><html><body>{}</body></html>".format("\n".join(links)).encode()

    def _listing(self, name: str) -> dict[str, object]:
        files = [
            {
                "filename": file,
                "url": f"/files/{file}",
                "hashes": {"sha256": self.hashes[file]},
                "size": path.stat().st_size,
                "upload-time": self.times[file],
            }
            for file, path in self.files.items()
            if normalize_name(file.partition("-")[0]) == name
        ]
        return {"meta": {"api-version": "1.1"}, "name": name, "versions": [], "files": files}


@contextmanager
def serving(*paths: Path) -> Iterator[PlainIndex]:
    """An index on loopback for as long as it is needed."""

    class Handler(BaseHTTPRequestHandler):
        timeout = 30

        def do_GET(self) -> None:
            index.asked.append(self.path)
            index.caching.append(self.headers.get("Cache-Control", ""))
            status, body = index.answer(self.path)
            self.send_response(status)
            listing = index.times and self.path.startswith("/simple/")
            kind = "application/vnd.pypi.simple.v1+json" if listing else "text/html"
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        def do_HEAD(self) -> None:
            self.do_GET()

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    index = PlainIndex(f"http://127.0.0.1:{server.server_port}/simple/")
    index.add(*paths)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield index
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
