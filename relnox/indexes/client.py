"""Listings and downloads of an index (PEP 503, PEP 691, PEP 740)."""

from __future__ import annotations

import hashlib
import re
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from html.parser import HTMLParser
from threading import Lock
from types import NoneType
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import unquote, urljoin, urlsplit

from relnox.core.release.publication import Observation
from relnox.core.text import counted
from relnox.errors import Conflict, Failed, TryLater
from relnox.system import network

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path
    from typing import Self

    from packaging.version import Version
    from requests import Response

    from relnox.core.release.manifest import Distribution
    from relnox.system.network import Deadline

__all__ = [
    "ContradictoryListing",
    "IndexFile",
    "Listing",
    "ServedContent",
    "compare_served",
    "download",
    "fetch_listing",
    "is_served",
    "provenance",
]

_ACCEPT = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1"
_PROVENANCE = "application/vnd.pypi.integrity.v1+json"
_BYPASS_CACHES = {"Cache-Control": "no-cache"}
_PARSING_TIMEOUT = 60.0
"""Seconds for parsing HTML: the parser is slow for invalid input."""
_JSON_LOCK = Lock()
"""Held while JSON is parsed: several threads are not faster, and need more memory."""
_API_MAJOR = "1"
"""Major version of the simple API."""
_OK = 200
_PARTIAL = 206
_SERVED = (200, 206)
_TAIL = 1 << 20
"""Bytes at the end of a large file that are compared: archives have the checksums of their content there."""
_SHA256 = re.compile(r"[0-9a-f]{64}")
_NOT_FOUND = (404, 410)
_NO_HEAD = (403, 405, 501)
"""Statuses of servers without HEAD, or whose signed URLs are valid for GET only."""


@dataclass(frozen=True, kw_only=True)
class IndexFile:
    """A file in a listing.

    Attributes:
        filename: Its name.
        url: URL of the download.
        sha256: Hex digest; None if the listing has none.
        upload_time: Time of the upload in UTC; None if the listing has none (PEP 700).
        yanked: Whether installers ignore it (PEP 592).
        provenance: URL of its provenance (PEP 740), or None.
    """

    filename: str
    url: str
    sha256: str | None
    upload_time: datetime | None = None
    yanked: bool = False
    provenance: str | None = None

    @property
    def version(self) -> Version | None:
        """The version in the name; None if it is the name of neither a wheel nor an sdist."""
        from packaging.utils import (
            InvalidSdistFilename,
            InvalidWheelFilename,
            parse_sdist_filename,
            parse_wheel_filename,
        )

        try:
            if self.filename.endswith(".whl"):
                return parse_wheel_filename(self.filename)[1]
            return parse_sdist_filename(self.filename)[1]
        except (InvalidSdistFilename, InvalidWheelFilename):
            return None


class Listing(dict[str, IndexFile]):
    """The files of a project by name, and its status.

    A name that is listed twice with different content is left out.

    Args:
        files: The files.
        status: `active`, `archived`, `quarantined` or `deprecated` (PEP 792).
        reason: The index's reason for the status.
        redirected: Whether the index redirects to another one for the project.
    """

    def __init__(
        self,
        files: Iterable[IndexFile] = (),
        *,
        status: str = "active",
        reason: str = "",
        redirected: bool = False,
    ) -> None:
        super().__init__()
        self.redirected = redirected
        self.status = status
        self.reason = reason
        self._contradictory: dict[str, set[str]] = {}
        for file in files:
            self._add(file)

    def check_consistent(self, filename: str) -> None:
        """Check that a file is not listed twice with different content.

        Raises:
            ContradictoryListing: It is.
        """
        if filename in self._contradictory:
            raise ContradictoryListing(filename, sorted(self._contradictory[filename]))

    def _add(self, file: IndexFile) -> None:
        name, content = file.filename, _content_key(file)
        if name in self._contradictory:
            self._contradictory[name].add(content)
        elif (before := self.get(name)) is None:
            self[name] = file
        elif _content_key(before) == content:
            self[name] = replace(before, yanked=before.yanked or file.yanked)
        else:
            self._contradictory[name] = {_content_key(before), content}
            del self[name]


def _content_key(file: IndexFile) -> str:
    return file.sha256 or f"none, at {file.url}"


class ContradictoryListing(Conflict):
    """The error of a file name that is listed more than once, with different content.

    Args:
        filename: The name.
        contents: Its hashes, or URLs of files without hash.
    """

    def __init__(self, filename: str, contents: list[str]) -> None:
        lines = "".join(f"\n  sha256 {content}" for content in contents)
        super().__init__(
            "listing-contradictory",
            f"the index lists {filename} more than once, with different content:{lines}",
            fix="report it to the index operator: installers may use either file",
        )
        self.filename = filename


class ServedContent(NamedTuple):
    """The comparison of a download with a built file.

    Attributes:
        observation: `MATCH`, `MISMATCH`, or `ABSENT` if nothing is served.
        detail: Description for messages.
    """

    observation: Observation
    detail: str


def fetch_listing(simple_url: str, project: str, deadline: Deadline | None = None) -> Listing:
    """Request the files of a project, bypassing caches; empty if the index does not have the project.

    Args:
        simple_url: The index's simple API, with a slash at the end.
        project: Normalized name (PEP 503).
        deadline: How long to try.

    Raises:
        TryLater: The index does not respond.
        Failed: The index responds with an error, or with a page that is not a listing.
    """
    page = urljoin(simple_url, f"{project}/")
    headers = {"Accept": _ACCEPT, **_BYPASS_CACHES}
    response = network.get(page, headers, deadline=deadline, limit=network.LISTING)
    # An index that redirects to another one does not have the project itself.
    if response.status_code in _NOT_FOUND or response.is_redirect:
        return Listing(redirected=response.is_redirect)
    host = urlsplit(page).netloc.rpartition("@")[2]
    fix = "check the URL of the index, and that you have permission to read it"
    if response.status_code != _OK:
        raise Failed(
            "listing-unavailable",
            f"{host} returned {response.status_code} {response.reason} for the listing of {project}",
            fix=fix,
        )
    is_json = "json" in response.headers.get("Content-Type", "")
    try:
        if not is_json:
            text = network.html_text(response)
            return network.call_with_timeout(lambda: _from_html(text, page), _PARSING_TIMEOUT, host)
        with _JSON_LOCK:
            return _from_json(network.json_document(response, pairs=_without_duplicates), page)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, AssertionError) as error:
        why = str(error) if isinstance(error, _InvalidListing) else type(error).__name__
        raise Failed(
            "listing-invalid",
            f"the listing of {project} on {host} is not valid (PEP {691 if is_json else 503}: {why})",
            fix=fix,
        ) from error


def download(file: IndexFile, to: Path, deadline: Deadline | None = None) -> str:
    """Download a file and return its SHA-256 (hex).

    Raises:
        TryLater: The index lists the file but does not serve it.
    """
    response = network.get(
        file.url, _BYPASS_CACHES, into=to, deadline=deadline, limit=network.file_limit(), leave_origin=True
    )
    if response.status_code != _OK:
        raise TryLater(
            "file-not-served",
            f"{file.filename} is listed, but its download returned {response.status_code} {response.reason}",
            fix="rerun the command in a few minutes",
        )
    with to.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def is_served(file: IndexFile, deadline: Deadline | None = None) -> bool:
    """Return whether a listed file can be downloaded, without downloading it."""
    response = network.get(
        file.url, _BYPASS_CACHES, method="HEAD", deadline=deadline, limit=network.PEEK, leave_origin=True
    )
    if response.status_code in _NO_HEAD:
        headers = {**_BYPASS_CACHES, "Range": "bytes=0-0"}
        response = network.get(file.url, headers, deadline=deadline, limit=network.PEEK, leave_origin=True)
    return response.status_code in _SERVED


def compare_served(
    file: IndexFile, built: Distribution, *, limit: int, path: Path | None = None, deadline: Deadline | None = None
) -> ServedContent:
    """Compare a listed file with the built one, without storing it.

    Args:
        file: The listed file.
        built: The built file.
        limit: Size in bytes up to which a file is downloaded and hashed. Of a larger one its length and its end
            are compared.
        path: Path of the built file; without it a larger one is hashed, too.
        deadline: How long to try.

    Raises:
        TryLater: The index does not respond.
    """
    start = max(0, built.size - _TAIL)
    is_partial = built.size > limit and path is not None
    headers = {"Range": f"bytes={start}-{built.size - 1}"} if is_partial else {}
    body = _Digest()
    try:
        response = network.get(
            file.url,
            {**_BYPASS_CACHES, **headers},
            into=body,
            deadline=deadline,
            limit=network.file_limit(built.size),
            leave_origin=True,
        )
    except network.TooLarge:
        return ServedContent(Observation.MISMATCH, f"larger than the built file ({counted(built.size, 'byte')})")
    if is_partial and path is not None and response.status_code == _PARTIAL:
        return _compare_end(response, built, path, start)
    if response.status_code != _OK:
        detail = f"returned {response.status_code} {response.reason or ''}".rstrip()
        return ServedContent(Observation.ABSENT, detail)
    if body.sha256 != built.sha256:
        kind = response.headers.get("Content-Type", "")
        size = f"{counted(body.size, 'byte')}, {kind}" if kind else f"{counted(body.size, 'byte')}"
        return ServedContent(Observation.MISMATCH, f"different bytes ({size}): sha256 {body.sha256}")
    return ServedContent(Observation.MATCH, "sha256 compared")


def _compare_end(response: Response, built: Distribution, path: Path, start: int) -> ServedContent:
    """Compare a response to a range request, from `start` to the end, with the built file."""
    content_range = response.headers.get("Content-Range", "")
    if content_range.replace(" ", "") != f"bytes{start}-{built.size - 1}/{built.size}":
        detail = f"size differs from {counted(built.size, 'byte')} (Content-Range: {content_range})"
        return ServedContent(Observation.MISMATCH, detail)
    with path.open("rb") as content:
        content.seek(start)
        if content.read() != response.content:
            detail = f"different bytes (the last {built.size - start:,} were compared)"
            return ServedContent(Observation.MISMATCH, detail)
    return ServedContent(Observation.MATCH, "length and end compared")


def provenance(file: IndexFile, deadline: Deadline | None = None) -> bytes | None:
    """Return the provenance of a file (PEP 740); None if the index lists none.

    Raises:
        TryLater: The index lists provenance, but does not serve it.
    """
    if file.provenance is None:
        return None
    headers = {"Accept": _PROVENANCE, **_BYPASS_CACHES}
    response = network.get(file.provenance, headers, deadline=deadline)
    if response.status_code != _OK:
        raise TryLater(
            "provenance-not-served",
            f"the provenance of {file.filename} is listed, but its download returned {response.status_code} "
            f"{response.reason}",
            fix="rerun the command in a few minutes",
        )
    return response.content


def _from_json(document: Any, page: str) -> Listing:
    """Parse a project page (PEP 691, PEP 700 and PEP 792)."""
    meta = document.get("meta")
    _check_version(meta.get("api-version", _API_MAJOR) if isinstance(meta, dict) else _API_MAJOR)
    marker = document.get("project-status")
    marker = marker if isinstance(marker, dict) else {}
    if not isinstance(document["files"], list):
        raise _InvalidListing("files is not a list")
    files = (
        IndexFile(
            filename=_text(entry["filename"]),
            url=_absolute_url(page, _text(entry["url"])),
            sha256=_digest(entry.get("hashes", {}).get("sha256")),
            upload_time=_time(entry.get("upload-time")),
            yanked=_is_yanked(entry.get("yanked", False)),
            provenance=_absolute_url(page, _text(entry["provenance"])) if entry.get("provenance") else None,
        )
        for entry in document["files"]
    )
    return Listing(files, status=str(marker.get("status", "active")), reason=str(marker.get("reason", "")))


def _from_html(text: str, page: str) -> Listing:
    """Parse a project page (PEP 503 and PEP 792), with hashes in the fragments of links."""
    parser = _Page()
    parser.feed(text)
    if not parser.is_html:
        raise _InvalidListing("not HTML")
    if parser.has_password_field:
        raise _InvalidListing("it is a login page")
    _check_version(parser.meta.get("pypi:repository-version", _API_MAJOR))
    files = []
    for attributes in parser.anchors:
        url, _, fragment = _absolute_url(page, attributes.get("href") or "").partition("#")
        algorithm, _, digest = fragment.partition("=")
        provenance_url = attributes.get("data-provenance")
        files.append(
            IndexFile(
                filename=unquote(url.partition("?")[0].rsplit("/", 1)[-1]),
                url=url,
                sha256=_digest(digest) if algorithm == "sha256" else None,
                yanked="data-yanked" in attributes,
                provenance=_absolute_url(page, provenance_url) if provenance_url else None,
            )
        )
    return Listing(
        files,
        status=parser.meta.get("pypi:project-status", "active"),
        reason=parser.meta.get("pypi:project-status-reason", ""),
    )


class _InvalidListing(ValueError):
    """The reason why a response is not a listing."""


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Build a JSON object; reject duplicate keys, which parsers resolve differently."""
    document = dict(pairs)
    if len(document) < len(pairs):
        names = [name for name, _ in pairs]
        duplicate = next(name for name in names if names.count(name) > 1)
        raise _InvalidListing(f"duplicate key {duplicate!r}")
    return document


def _is_yanked(value: object) -> bool:
    """Parse `yanked` (PEP 592, PEP 691): true, false or a reason."""
    if not isinstance(value, (bool, str, NoneType)):
        raise TypeError(f"{value!r} is not a valid value of yanked")
    return bool(value)


def _absolute_url(page: str, url: str) -> str:
    """Resolve a link; one that is not valid is left as it is, and is an error when it is requested."""
    try:
        return urljoin(page, url)
    except ValueError:
        return url


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not text")
    return value


def _digest(value: object) -> str | None:
    """Convert a hex digest to lower case: some indexes use upper case."""
    if value is None:
        return None
    if not _SHA256.fullmatch(digest := _text(value).lower()):
        raise _InvalidListing(f"{digest[:80]!r} is not a SHA-256")
    return digest


def _check_version(version: object) -> None:
    """Check the major version of the simple API (PEP 629)."""
    if str(version).partition(".")[0] != _API_MAJOR:
        raise _InvalidListing(f"unsupported version {str(version)[:20]!a} of the simple API")


def _time(value: object) -> datetime | None:
    """Parse an upload time (PEP 700), in UTC even without a zone; None if it is not valid."""
    try:
        time = datetime.fromisoformat(_text(value))
    except (ValueError, TypeError):
        return None
    return time if time.tzinfo is not None else time.replace(tzinfo=UTC)


_ATTRIBUTES = ("href", "data-yanked", "data-provenance")
"""Attributes of links that are used; others are dropped, to limit memory."""


class _Page(HTMLParser):
    """Parser that collects the links and `meta` elements of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.anchors: list[dict[str, str | None]] = []
        self.meta: dict[str, str] = {}
        self.is_html = False
        self.has_password_field = False

    def handle_decl(self, decl: str) -> None:
        self.is_html = self.is_html or decl.lower().startswith("doctype html")

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        self.is_html = True
        if tag == "a":
            if len({value for name, value in attrs if name == "href"}) > 1:
                raise _InvalidListing("a link has two URLs")
            self.anchors.append({name: attributes[name] for name in _ATTRIBUTES if name in attributes})
        elif tag == "meta":
            self.meta[attributes.get("name") or ""] = attributes.get("content") or ""
        elif tag == "input" and (attributes.get("type") or "").lower() == "password":
            self.has_password_field = True


class _Digest:
    """A sink for downloads that computes their hash and length, and stores nothing."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self.size = 0

    @contextmanager
    def open(self, mode: str) -> Iterator[Self]:
        """Reset, like a file opened for writing."""
        del mode
        self._hash = hashlib.sha256()
        self.size = 0
        yield self

    def write(self, chunk: bytes) -> int:
        """Add some content."""
        self.size += len(chunk)
        self._hash.update(chunk)
        return len(chunk)

    @property
    def sha256(self) -> str:
        """Hex digest of the content since it was opened."""
        return self._hash.hexdigest()
