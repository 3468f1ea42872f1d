"""Requests to an index for listings, files and provenance (PEP 503, PEP 691, PEP 740)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import NamedTuple
from urllib.parse import urljoin, urlsplit

from relnox.core.release.manifest import Distribution
from relnox.core.release.publication import FileCheck
from relnox.core.text import format_count
from relnox.errors import Failed, TryLater
from relnox.indexes.listings import IndexFile, InvalidListing, Listing, from_html, from_json
from relnox.system import http
from relnox.system.retries import Deadline

_ACCEPT = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1"
_PROVENANCE = "application/vnd.pypi.integrity.v1+json"
_PARSING_TIMEOUT = 60.0
"""The maximum seconds to parse HTML, since the parser is slow for some invalid input."""
_JSON_LOCK = Lock()
"""Lets only one thread parse JSON at a time: several are not faster, and need more memory."""
_OK = 200
_NOT_FOUND = (404, 410)


class ServedContent(NamedTuple):
    """The result of comparing a file on an index with a built file.

    Attributes:
        observation: `MATCH`, `MISMATCH`, or `ABSENT` if the index does not serve the file.
        detail: What differs, for messages.
    """

    observation: FileCheck
    detail: str


def fetch_listing(simple_url: str, project: str, deadline: Deadline | None = None) -> Listing:
    """Request the listing of a project, which is empty if the index does not have the project.

    Args:
        simple_url: The URL of the index's simple API, with a slash at the end.
        project: The normalized name of the project (PEP 503).
        deadline: The time limit of all tries, or None for the default one.

    Raises:
        TryLater: The index does not respond.
        Failed: The index responds with an error, or with a page that is not a listing.
    """
    page = urljoin(simple_url, f"{project}/")
    response = http.get(page, {"Accept": _ACCEPT}, deadline=deadline, limit=http.LISTING)
    # An index that redirects to another one does not have the project itself.
    if response.status_code in _NOT_FOUND or response.is_redirect:
        return Listing(redirected=response.is_redirect)
    base = response.url or page  # links are relative to the URL after redirects
    host = urlsplit(page).netloc.rpartition("@")[2]
    fix = "check the URL of the index, and that you have permission to read it"
    if response.status_code != _OK:
        raise Failed(
            "file-not-listed",
            f"{host} returned {response.status_code} {response.reason} for the listing of {project}",
            fix=fix,
        )
    is_json = "json" in response.headers.get("Content-Type", "")
    try:
        if not is_json:
            text = response.text
            return http.call_with_timeout(lambda: from_html(text, base), _PARSING_TIMEOUT, host)
        with _JSON_LOCK:
            return from_json(http.json_document(response), base)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, AssertionError) as error:
        why = str(error) if isinstance(error, InvalidListing) else type(error).__name__
        raise Failed(
            "listing-invalid",
            f"the listing of {project} on {host} is not valid (PEP {691 if is_json else 503}: {why})",
            fix=fix,
        ) from error


def download(file: IndexFile, to: Path | None, deadline: Deadline | None = None) -> str:
    """Download a file and return its SHA-256 (hex).

    Args:
        file: The listed file.
        to: The path to store the file at, or None to compute only the hash.
        deadline: The time limit of all tries, or None for the default one.

    Raises:
        TryLater: The index lists the file but does not serve it.
    """
    digest = _HashAndSize()
    response = http.get(file.url, into=to or digest, deadline=deadline, limit=http.file_limit(), leave_origin=True)
    if response.status_code != _OK:
        raise TryLater(
            "index-file-differs",
            f"{file.filename} is listed, but its download returned {response.status_code} {response.reason}",
            fix="rerun the command in a few minutes",
        )
    if to is None:
        return digest.sha256
    with to.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def compare_served(file: IndexFile, built_file: Distribution, deadline: Deadline | None = None) -> ServedContent:
    """Download a listed file without storing it, and compare its hash with that of the built file.

    Raises:
        TryLater: The index does not respond.
    """
    body = _HashAndSize()
    try:
        response = http.get(
            file.url,
            into=body,
            deadline=deadline,
            limit=http.file_limit(built_file.size),
            leave_origin=True,
        )
    except http.TooLarge:
        return ServedContent(
            FileCheck.MISMATCH, f"larger than the built file ({format_count(built_file.size, 'byte')})"
        )
    if response.status_code != _OK:
        detail = f"listed, but its download returned {response.status_code} {response.reason or ''}".rstrip()
        return ServedContent(FileCheck.ABSENT, detail)
    if body.sha256 != built_file.sha256:
        kind = response.headers.get("Content-Type", "")
        size = f"{format_count(body.size, 'byte')}, {kind}" if kind else f"{format_count(body.size, 'byte')}"
        return ServedContent(FileCheck.MISMATCH, f"different bytes ({size}): sha256 {body.sha256}")
    return ServedContent(FileCheck.MATCH, "")


def provenance(file: IndexFile, deadline: Deadline | None = None) -> bytes | None:
    """Return the provenance of a file (PEP 740) as JSON, or None if the index does not list any.

    Raises:
        TryLater: The index lists provenance, but does not serve it.
    """
    if file.provenance is None:
        return None
    response = http.get(file.provenance, {"Accept": _PROVENANCE}, deadline=deadline)
    if response.status_code != _OK:
        raise TryLater(
            "attestation-invalid",
            f"the provenance of {file.filename} is listed, but its download returned {response.status_code} "
            f"{response.reason}",
            fix="rerun the command in a few minutes",
        )
    return response.content


class _HashAndSize:
    """A destination for downloads that keeps the hash (hex) and the size of what the last try wrote."""

    sha256 = ""
    size = 0

    @contextmanager
    def open(self, mode: str) -> Iterator[_Hashing]:
        """Start again with no content, as opening a file for writing does."""
        del mode
        content = _Hashing()  # a new one, since an abandoned try may go on writing
        yield content
        self.sha256, self.size = content.hash.hexdigest(), content.size


class _Hashing:
    def __init__(self) -> None:
        self.hash = hashlib.sha256()
        self.size = 0

    def write(self, chunk: bytes) -> int:
        """Add a chunk to the hash and the size, and return its length."""
        self.size += len(chunk)
        self.hash.update(chunk)
        return len(chunk)
