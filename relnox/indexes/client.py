"""Read an index: which files of a project it lists, with which hashes, and what it serves."""

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

from relnox import network
from relnox.core.publication import Seen
from relnox.errors import Conflict, Failed, TryLater

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path
    from typing import Self

    from packaging.version import Version

    from relnox.core.manifest import Distribution
    from relnox.network import Deadline

__all__ = [
    "ContradictoryListing",
    "IndexFile",
    "Listing",
    "Served",
    "compare_served",
    "download",
    "is_served",
    "listed_files",
    "provenance",
]

_ACCEPT = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1"
_PROVENANCE = "application/vnd.pypi.integrity.v1+json"
_CHUNK = 1 << 20
_PARSING = 60.0
"""Seconds that a page of HTML may take to be parsed: the parser is slow for what is none."""
_ONE_PARSER = Lock()
"""Held while JSON is parsed: threads parse no faster side by side, and need the memory of all of them at once."""
_MAJOR = "1"
"""Of the version of the simple API."""
_OK = 200
_PARTIAL = 206
_SERVED = (200, 206)
_TAIL = 1 << 20
"""Bytes at the end of a large file that are compared: archives have the checksums of their content there."""
_SHA256 = re.compile(r"[0-9a-f]{64}")
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

    A name that stands twice with different content is not among the files.

    Args:
        files: The files.
        status: `active`, `archived`, `quarantined` or `deprecated` (PEP 792).
        reason: Why, as the index says it.
        elsewhere: Whether the index sends those who ask for the project to another one.
    """

    def __init__(
        self,
        files: Iterable[IndexFile] = (),
        *,
        status: str = "active",
        reason: str = "",
        elsewhere: bool = False,
    ) -> None:
        super().__init__()
        self.elsewhere = elsewhere
        self.status = status
        self.reason = reason
        self._contradictory: dict[str, set[str]] = {}
        for file in files:
            self._add(file)

    def check(self, filename: str) -> None:
        """See that the listing tells one thing of a file, or nothing.

        Raises:
            ContradictoryListing: It lists the name more than once, with different content.
        """
        if filename in self._contradictory:
            raise ContradictoryListing(filename, sorted(self._contradictory[filename]))

    def _add(self, file: IndexFile) -> None:
        name, stated = file.filename, file.sha256 or f"none, at {file.url}"
        if name in self._contradictory:
            self._contradictory[name].add(stated)
        elif (before := self.get(name)) is None:
            self[name] = file
        elif (before.sha256, before.url if before.sha256 is None else "") == (
            file.sha256,
            file.url if file.sha256 is None else "",
        ):
            self[name] = replace(before, yanked=before.yanked or file.yanked)
        else:
            self._contradictory[name] = {before.sha256 or f"none, at {before.url}", stated}
            del self[name]


class ContradictoryListing(Conflict):
    """A project page lists a file name more than once, with different content.

    Args:
        filename: The name.
        stated: The hashes, or else addresses, that it is listed with.
    """

    def __init__(self, filename: str, stated: list[str]) -> None:
        lines = "".join(f"\n  sha256 {each}" for each in stated)
        super().__init__(
            "contradictory-listing",
            f"the index lists {filename} more than once, with different content:{lines}",
            fix="report it to those who run the index: installers may take either file",
        )
        self.filename = filename


class Served(NamedTuple):
    """What an index serves at the address of a file.

    Attributes:
        seen: `OURS`, `OTHER` bytes, or `ABSENT` for no file at all.
        detail: What was seen, in words.
    """

    seen: Seen
    detail: str


def listed_files(simple_url: str, project: str, deadline: Deadline | None = None) -> Listing:
    """The files of a project by name; empty where the index does not know the project.

    Caches on the way are asked to look again.

    Args:
        simple_url: The index's simple API, with a slash at the end.
        project: Normalised name (PEP 503).
        deadline: How long to try.

    Raises:
        TryLater: The index does not answer.
        Failed: The index refuses to answer, or what it answers is no listing.
    """
    page = urljoin(simple_url, f"{project}/")
    headers = {"Accept": _ACCEPT, "Cache-Control": "no-cache"}
    response = network.get(page, headers, deadline=deadline, limit=network.LISTING)
    # A redirect that leaves the index says that it does not hold the project.
    if response.status_code in _GONE or response.is_redirect:
        return Listing(elsewhere=response.is_redirect)
    host = urlsplit(page).netloc.rpartition("@")[2]
    if response.status_code != _OK:
        raise Failed(
            "todo",
            f"{host} answers {response.status_code} {response.reason} for {project}",
            fix="is the address of the index right, and may you read it?",
        )
    is_json = "json" in response.headers.get("Content-Type", "")
    try:
        if not is_json:
            text = network.html_text(response)
            return network.call_with_timeout(lambda: _from_html(text, page), _PARSING, host)
        with _ONE_PARSER:
            return _from_json(network.json_document(response, pairs=_without_duplicates), page)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, AssertionError) as error:
        why = str(error) if isinstance(error, _NotAListing) else type(error).__name__
        raise Failed(
            "todo",
            f"what {host} answers for {project} is no listing of PEP {691 if is_json else 503} ({why})",
            fix="is the address of the index right, and may you read it?",
        ) from error


def download(file: IndexFile, to: Path, deadline: Deadline | None = None) -> str:
    """Fetch a file and return its SHA-256 (hex).

    Raises:
        TryLater: The index lists the file but does not serve it.
    """
    headers = {"Cache-Control": "no-cache"}
    response = network.get(
        file.url, headers, into=to, deadline=deadline, limit=network.file_limit(), leave_origin=True
    )
    if response.status_code != _OK:
        raise TryLater(
            "todo",
            f"{file.filename} is listed, but fetching it gives {response.status_code} {response.reason}",
            fix="type the same command again in a few minutes",
        )
    with to.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def is_served(file: IndexFile, deadline: Deadline | None = None) -> bool:
    """Whether a listed file can be fetched; nothing of it is kept."""
    headers = {"Cache-Control": "no-cache"}
    response = network.get(
        file.url, headers, method="HEAD", deadline=deadline, limit=network.PEEK, leave_origin=True
    )
    if response.status_code in _NO_HEAD:
        headers["Range"] = "bytes=0-0"
        response = network.get(file.url, headers, deadline=deadline, limit=network.PEEK, leave_origin=True)
    return response.status_code in _SERVED


def compare_served(
    file: IndexFile, built: Distribution, *, limit: int, path: Path | None = None, deadline: Deadline | None = None
) -> Served:
    """Fetch a listed file and compare it with the one that was built; nothing of it is kept.

    Args:
        file: As the index lists it.
        built: As it was built.
        limit: Bytes up to which all of it is fetched. Of a larger one its length and its end are compared.
        path: The built file; without it a larger one is fetched as well, since there is nothing to compare with.
        deadline: How long to try.

    Raises:
        TryLater: The index does not answer.
    """
    headers = {"Cache-Control": "no-cache"}
    begin = max(0, built.size - _TAIL)
    if ranged := built.size > limit and path is not None:
        headers["Range"] = f"bytes={begin}-{built.size - 1}"
    body = _Digest()
    try:
        response = network.get(
            file.url,
            headers,
            into=body,
            deadline=deadline,
            limit=network.file_limit(built.size),
            leave_origin=True,
        )
    except network.TooLarge:
        return Served(Seen.OTHER, f"serves more than the {built.size:,} bytes that were built")
    kind = response.headers.get("Content-Type", "")
    if ranged and path is not None and response.status_code == _PARTIAL:
        stated = response.headers.get("Content-Range", "")
        if stated.replace(" ", "") != f"bytes{begin}-{built.size - 1}/{built.size}":
            return Served(Seen.OTHER, f"serves another length than {built.size:,} bytes (Content-Range: {stated})")
        with path.open("rb") as content:
            content.seek(begin)
            if content.read() != response.content:
                return Served(Seen.OTHER, f"serves other bytes (the last {built.size - begin:,} were compared)")
        return Served(Seen.OURS, "length and end compared")
    if response.status_code != _OK:
        return Served(Seen.ABSENT, f"answers {response.status_code} {response.reason or ''}".rstrip())
    if body.sha256 != built.sha256:
        told = f"{body.size:,} bytes, {kind}" if kind else f"{body.size:,} bytes"
        return Served(Seen.OTHER, f"serves other bytes ({told}): sha256 {body.sha256}")
    return Served(Seen.OURS, "sha256 compared")


def provenance(file: IndexFile, deadline: Deadline | None = None) -> bytes | None:
    """What an index serves as a file's provenance (PEP 740); None where it has none.

    Raises:
        TryLater: The index says that it has some, but does not serve it.
    """
    if file.provenance is None:
        return None
    headers = {"Accept": _PROVENANCE, "Cache-Control": "no-cache"}
    response = network.get(file.provenance, headers, deadline=deadline)
    if response.status_code != _OK:
        raise TryLater(
            "todo",
            f"{file.filename} has provenance, but fetching it gives {response.status_code} {response.reason}",
            fix="type the same command again in a few minutes",
        )
    return response.content


def _from_json(document: Any, page: str) -> Listing:
    """A project page of PEP 691, PEP 700 and PEP 792."""
    meta = document.get("meta")
    _check_version(meta.get("api-version", _MAJOR) if isinstance(meta, dict) else _MAJOR)
    marker = document.get("project-status")
    marker = marker if isinstance(marker, dict) else {}
    if not isinstance(document["files"], list):
        raise _NotAListing("files is no list")
    files = (
        IndexFile(
            filename=_text(entry["filename"]),
            url=_joined(page, _text(entry["url"])),
            sha256=_digest(entry.get("hashes", {}).get("sha256")),
            upload_time=_time(entry.get("upload-time")),
            yanked=_is_yanked(entry.get("yanked", False)),
            provenance=_joined(page, _text(entry["provenance"])) if entry.get("provenance") else None,
        )
        for entry in document["files"]
    )
    return Listing(files, status=str(marker.get("status", "active")), reason=str(marker.get("reason", "")))


def _from_html(text: str, page: str) -> Listing:
    """A project page of PEP 503 and PEP 792: the hash is the link's fragment."""
    parser = _Page()
    parser.feed(text)
    if not parser.is_html:
        raise _NotAListing("there is no HTML in it")
    if parser.asks_for_password:
        raise _NotAListing("it asks for a password")
    _check_version(parser.told.get("pypi:repository-version", _MAJOR))
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


class _NotAListing(ValueError):
    """Why an answer is not the page of a project."""


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON; two readers of one that has a key twice may see two different things."""
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise _NotAListing(f"the key {twice!r} stands twice in an object")
    return found


def _is_yanked(stated: object) -> bool:
    """Whether a file is yanked (PEP 592, PEP 691): true or false, or the reason."""
    if not isinstance(stated, (bool, str, NoneType)):
        raise TypeError(f"{stated!r} does not tell whether a file is yanked")
    return bool(stated)


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
    if stated is None:
        return None
    if not _SHA256.fullmatch(digest := _text(stated).lower()):
        raise _NotAListing(f"{digest[:80]!r} is no SHA-256")
    return digest


def _check_version(stated: object) -> None:
    """Check that a page has the meaning that is known: another major version may have another (PEP 629)."""
    if str(stated).partition(".")[0] != _MAJOR:
        raise _NotAListing(f"version {str(stated)[:20]!a} of the simple API")


def _time(stated: object) -> datetime | None:
    """A time of PEP 700, which is in UTC whether it says so or not; None for what is no time."""
    try:
        time = datetime.fromisoformat(_text(stated))
    except (ValueError, TypeError):
        return None
    return time if time.tzinfo is not None else time.replace(tzinfo=UTC)


_ATTRIBUTES = ("href", "data-yanked", "data-provenance")
"""Attributes of a link that are used: a page may have any number of others."""


class _Page(HTMLParser):
    """The links of a page, and what its head tells by name."""

    def __init__(self) -> None:
        super().__init__()
        self.anchors: list[dict[str, str | None]] = []
        self.told: dict[str, str] = {}
        self.is_html = False
        self.asks_for_password = False

    def handle_decl(self, decl: str) -> None:
        self.is_html = self.is_html or decl.lower().startswith("doctype html")

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        self.is_html = True
        if tag == "a":
            if len({value for name, value in attrs if name == "href"}) > 1:
                raise _NotAListing("a link leads to two addresses")
            self.anchors.append({name: attributes[name] for name in _ATTRIBUTES if name in attributes})
        elif tag == "meta":
            self.told[attributes.get("name") or ""] = attributes.get("content") or ""
        elif tag == "input" and (attributes.get("type") or "").lower() == "password":
            self.asks_for_password = True


class _Digest:
    """Stands for a file that is written to, and keeps only the hash and the length of what comes."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self.size = 0

    @contextmanager
    def open(self, mode: str) -> Iterator[Self]:
        """Begin anew, as a file that is opened to be written does."""
        del mode
        self._hash = hashlib.sha256()
        self.size = 0
        yield self

    def write(self, chunk: bytes) -> int:
        """Take some of the content."""
        self.size += len(chunk)
        self._hash.update(chunk)
        return len(chunk)

    @property
    def sha256(self) -> str:
        """Hex digest of all that came since it was opened."""
        return self._hash.hexdigest()
