"""Releases made by hand, as `build-all` leaves them behind, and a plain index on loopback that serves them."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import packed

from relnox.building import archives
from relnox.core.manifest import Distribution, Manifest
from relnox.core.names import normalised

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

__all__ = ["Index", "made", "release", "serving"]


def made(
    folder: Path,
    name: str,
    files: Mapping[str, str | bytes] | None = None,
    *,
    version: str = "1.0",
    requires: Iterable[str] = (),
    fields: Iterable[str] = (),
    python: str = ">=3.8",
    entries: str = "",
    tag: str = "py3-none-any",
    record: str | None = None,
) -> Path:
    """A wheel.

    Args:
        folder: Where to.
        name: Of the package; it has a module of that name, unless there are files.
        files: What is in it.
        version: Its version.
        requires: What it requires.
        fields: More lines of its metadata.
        python: Its `Requires-Python`.
        entries: Its `entry_points.txt`.
        tag: What it is for.
        record: Its RECORD, where that is not right.
    """
    stem = f"{name.replace('-', '_')}-{version}"
    lines = ["Metadata-Version: 2.5", f"Name: {name}", f"Version: {version}", f"Requires-Python: {python}"]
    lines += [*(f"Requires-Dist: {each}" for each in requires), *fields]
    content = {f"{name.replace('-', '_')}.py": ""} if files is None else files
    folder.mkdir(parents=True, exist_ok=True)
    return packed.wheel(
        folder,
        {**content, f"{stem}.dist-info/entry_points.txt": entries},
        name=f"{stem}-{tag}.whl",
        metadata="\n".join([*lines, "", ""]),
        record=record,
    )


def release(
    root: Path, *paths: Path, settings: str = "", needs: Mapping[str, Iterable[str]] | None = None
) -> Manifest:
    """Make a folder a project that has built these archives.

    Args:
        root: The project's folder; the archives are in its folder `dist`.
        paths: The archives.
        settings: More of `[tool.relnox]`.
        needs: What the packages need of one another.
    """
    read = [archives.read(path) for path in paths]
    names = tuple(dict.fromkeys(each.name for each in read))
    listed = ", ".join(f'"{name}"' for name in names)
    text = f'[tool.relnox]\npackages = [{listed}]\nversions = "independent"\n{settings}'
    (root / "pyproject.toml").write_text(text, encoding="utf-8")
    for each in read:
        (root / each.name).mkdir(exist_ok=True)
        (root / each.name / "pyproject.toml").write_text(
            f'[project]\nname = "{each.name}"\nversion = "{each.version}"\n', encoding="utf-8"
        )
    distributions = []
    for each in read:
        found = archives.digests(each.path)
        distributions.append(
            Distribution(
                package=each.name,
                version=each.version,
                filename=each.path.name,
                kind=each.kind,
                size=found.size,
                sha256=found.sha256,
                blake2b_256=found.blake2b_256,
            )
        )
    manifest = Manifest(
        distributions=tuple(distributions),
        commit=None,
        dirty=False,
        time="2026-01-01T00:00:00+00:00",
        needs=tuple((name, tuple((needs or {}).get(name, ()))) for name in names),
    )
    (root / "dist" / "manifest.json").write_text(manifest.to_json(), encoding="utf-8")
    return manifest


class Index:
    """What an index holds, and what it was asked.

    Attributes:
        url: Its simple API.
        asked: The paths of all requests.
        unlisted: For how many more requests a project is not listed, by name.
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

    def add(self, *paths: Path) -> None:
        """List and serve files."""
        for path in paths:
            self.files[path.name] = path
            self.hashes[path.name] = archives.digests(path).sha256

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
            if normalised(file.partition("-")[0]) == name
        ]
        if kind != "simple" or not links:
            return 404, b""
        if self.unlisted.get(name, 0) > 0:
            self.unlisted[name] -= 1
            return 404, b""
        return 200, "<!DOCTYPE html><html><body>{}</body></html>".format("\n".join(links)).encode()


@contextmanager
def serving(*paths: Path) -> Iterator[Index]:
    """An index on loopback for as long as it is needed."""

    class Handler(BaseHTTPRequestHandler):
        timeout = 30

        def do_GET(self) -> None:
            index.asked.append(self.path)
            index.caching.append(self.headers.get("Cache-Control", ""))
            status, body = index.answer(self.path)
            self.send_response(status)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        def do_HEAD(self) -> None:
            self.do_GET()

        def log_message(self, *_: object) -> None:
            """Nobody reads it."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    index = Index(f"http://127.0.0.1:{server.server_port}/simple/")
    index.add(*paths)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield index
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
