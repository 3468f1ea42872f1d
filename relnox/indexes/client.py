"""Read an index: which files of a project it lists, with which hashes, and what it serves."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urljoin, urlsplit

from relnox import network
from relnox.errors import Failed, TryLater

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from packaging.version import Version

    from relnox.network import Patience

__all__ = ["IndexFile", "Listing", "download", "is_served", "listed_files", "provenance"]

_ACCEPT = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1"
_PROVENANCE = "application/vnd.pypi.integrity.v1+json"
_CHUNK = 1 << 20
_OK = 200
_SERVED = (200, 206)
_GONE = (404, 410)
_NO_HEAD = (403, 405, 501)
"""How servers answer that do not know the method HEAD, or sign addresses for GET alone."""


@dataclass(frozen=True, kw_only=True)
class IndexFile:
    """A file as an index lists it.

    Attributes:
        filename: Its name.
        url: Where it can be fetched.
        sha256: Hex digest, or None where the index tells none.
        upload_time: When it came, with its zone; None where the index tells no time (PEP 700).
        yanked: Whether installers pass it over (PEP 592).
        provenance: Where its attestations are served (PEP 740), or None.
    """

    filename: str
    url: str
    sha256: str | None
    upload_time: datetime | None = None
    yanked: bool = False
    provenance: str | None = None

    @property
    def version(self) -> Version | None:
        """The version that the name states; None where it is the name of neither a wheel nor an sdist."""
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
    """The files of a project by name, and what the index says of the project as a whole.

    Args:
        files: The files.
        status: `active`, `archived`, `quarantined` or `deprecated` (PEP 792).
        reason: Why, as the index says it.
    """

    def __init__(self, files: Iterable[IndexFile] = (), *, status: str = "active", reason: str = "") -> None:
        super().__init__((file.filename, file) for file in files)
        self.status = status
        self.reason = reason


def listed_files(simple_url: str, project: str, patience: Patience | None = None) -> Listing:
    """The files of a project by name; empty where the index does not know the project.

    Caches on the way are asked to look again.

    Args:
        simple_url: The index's simple API, with a slash at the end.
        project: Normalised name (PEP 503).
        patience: How long to try.

    Raises:
        TryLater: The index does not answer.
        Failed: The index refuses to answer, or what it answers is no listing.
    """
    page = urljoin(simple_url, f"{project}/")
    response = network.get(page, {"Accept": _ACCEPT, "Cache-Control": "no-cache"}, patience=patience)
    # A redirect that leaves the index says that it does not hold the project.
    if response.status_code in _GONE or response.is_redirect:
        return Listing()
    host = urlsplit(page).netloc.rpartition("@")[2]
    if response.status_code != _OK:
        raise Failed(
            f"{host} answers {response.status_code} {response.reason} for {project}",
            hint="is the address of the index right, and may you read it?",
        )
    if "json" not in response.headers.get("Content-Type", ""):
        return _from_html(response.text, page)
    try:
        return _from_json(response.json(), page)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Failed(
            f"what {host} answers for {project} is no listing of PEP 691 ({type(error).__name__})",
            hint="is the address of the index right?",
        ) from error


def download(file: IndexFile, to: Path, patience: Patience | None = None) -> str:
    """Fetch a file and return its SHA-256 (hex).

    Raises:
        TryLater: The index lists the file but does not serve it.
    """
    response = network.get(file.url, {"Cache-Control": "no-cache"}, into=to, patience=patience)
    if response.status_code != _OK:
        raise TryLater(
            f"{file.filename} is listed, but fetching it gives {response.status_code} {response.reason}",
            hint="type the same command again in a few minutes",
        )
    with to.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def is_served(file: IndexFile, patience: Patience | None = None) -> bool:
    """Whether a listed file can be fetched; nothing of it is kept."""
    headers = {"Cache-Control": "no-cache"}
    response = network.get(file.url, headers, method="HEAD", patience=patience)
    if response.status_code in _NO_HEAD:
        response = network.get(file.url, {**headers, "Range": "bytes=0-0"}, patience=patience)
    return response.status_code in _SERVED


def provenance(file: IndexFile, patience: Patience | None = None) -> bytes | None:
    """What an index serves as a file's provenance (PEP 740); None where it has none.

    Raises:
        TryLater: The index says that it has some, but does not serve it.
    """
    if file.provenance is None:
        return None
    headers = {"Accept": _PROVENANCE, "Cache-Control": "no-cache"}
    response = network.get(file.provenance, headers, patience=patience)
    if response.status_code != _OK:
        raise TryLater(
            f"{file.filename} has provenance, but fetching it gives {response.status_code} {response.reason}",
            hint="type the same command again in a few minutes",
        )
    return response.content


def _from_json(document: Any, page: str) -> Listing:
    """A project page of PEP 691, PEP 700 and PEP 792."""
    marker = document.get("project-status")
    marker = marker if isinstance(marker, dict) else {}
    files = (
        IndexFile(
            filename=_text(entry["filename"]),
            url=_joined(page, _text(entry["url"])),
            sha256=_digest(entry.get("hashes", {}).get("sha256")),
            upload_time=_time(entry.get("upload-time")),
            yanked=bool(entry.get("yanked", False)),
            provenance=_joined(page, _text(entry["provenance"])) if entry.get("provenance") else None,
        )
        for entry in document["files"]
    )
    return Listing(files, status=str(marker.get("status", "active")), reason=str(marker.get("reason", "")))


def _from_html(text: str, page: str) -> Listing:
    """A project page of PEP 503 and PEP 792: the hash is the link's fragment."""
    parser = _Page()
    parser.feed(text)
    files = []
    for attributes in parser.anchors:
        url, _, fragment = _joined(page, attributes.get("href") or "").partition("#")
        algorithm, _, digest = fragment.partition("=")
        files.append(
            IndexFile(
                filename=unquote(url.partition("?")[0].rsplit("/", 1)[-1]),
                url=url,
                sha256=_digest(digest) if algorithm == "sha256" else None,
                yanked="data-yanked" in attributes,
                provenance=_joined(page, stated) if (stated := attributes.get("data-provenance")) else None,
            )
        )
    told = parser.told
    return Listing(
        files, status=told.get("pypi:project-status", "active"), reason=told.get("pypi:project-status-reason", "")
    )


def _joined(page: str, url: str) -> str:
    """Where a link leads; one that is no address stays what it is, and is refused when it is asked for."""
    try:
        return urljoin(page, url)
    except ValueError:
        return url


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value


def _digest(stated: object) -> str | None:
    """A hex digest in the spelling that is compared: some indexes write capitals."""
    return None if stated is None else _text(stated).lower()


def _time(stated: object) -> datetime | None:
    """A time of PEP 700, which is in UTC whether it says so or not; None for what is no time."""
    try:
        time = datetime.fromisoformat(_text(stated))
    except (ValueError, TypeError):
        return None
    return time if time.tzinfo is not None else time.replace(tzinfo=UTC)


class _Page(HTMLParser):
    """The links of a page, and what its head tells by name."""

    def __init__(self) -> None:
        super().__init__()
        self.anchors: list[dict[str, str | None]] = []
        self.told: dict[str, str] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        if tag == "a":
            self.anchors.append(attributes)
        elif tag == "meta":
            self.told[attributes.get("name") or ""] = attributes.get("content") or ""
