"""Listings of the files of a project, as JSON (PEP 691, PEP 700) and as HTML (PEP 503)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from html.parser import HTMLParser
from typing import Any
from urllib.parse import unquote, urljoin

from packaging.utils import InvalidSdistFilename, InvalidWheelFilename, parse_sdist_filename, parse_wheel_filename
from packaging.version import Version

from relnox.core.release import public_index
from relnox.core.release.manifest import is_safe_filename

_API_MAJOR = "1"
"""The supported major version of the simple API."""
_MAX_TAGS = 1_000_000
_LINK_ATTRIBUTES = ("href", "data-requires-python", "data-yanked", "data-provenance")
"""The attributes of links that are kept; others are dropped to limit memory use."""
_SHA256 = re.compile(r"[0-9a-f]{64}")
_NO_DIGEST = ("", "none", "null")
"""What indexes that lost the digest of an old file write."""


@dataclass(frozen=True, kw_only=True)
class IndexFile:
    """A file in a listing; values are None if the listing has none.

    Attributes:
        filename: The name, which may be invalid.
        url: The URL of the file, absolute unless it is invalid.
        sha256: The hex digest.
        upload_time: The time of the upload in UTC (PEP 700).
        size: The size in bytes (PEP 700).
        requires_python: The Pythons that it supports, as a version specifier, which may be invalid; empty for all.
        provenance: The URL of the provenance (PEP 740).
    """

    filename: str
    url: str
    sha256: str | None
    upload_time: datetime | None = None
    size: int | None = None
    requires_python: str = ""
    yanked: bool = False
    provenance: str | None = None

    @property
    def version(self) -> Version | None:
        """The version in the file name, or None if that is not a valid name of a wheel or sdist."""
        if not is_safe_filename(self.filename):
            return None
        try:
            if self.filename.endswith(".whl"):
                return parse_wheel_filename(self.filename)[1]
            return parse_sdist_filename(self.filename)[1]
        except (InvalidSdistFilename, InvalidWheelFilename):
            return None

    @property
    def needs_newer_upload_rules(self) -> bool:
        """Whether it is a wheel that the index accepted, but that relnox's copy of PyPI's upload rules rejects.

        It was uploaded after the date of the copy (`public_index.AS_OF`), and its platform tag is unknown to the
        copy.
        """
        if self.version is None or self.upload_time is None or self.upload_time.date() <= public_index.AS_OF:
            return False
        tags = parse_wheel_filename(self.filename)[3] if self.filename.endswith(".whl") else ()
        return not all(public_index.accepts_platform_tag(tag.platform) for tag in tags)


class Listing(dict[str, IndexFile]):
    """The files of a project on an index by file name, and the status of the project.

    Args:
        status: The status of the project: `active`, `archived`, `quarantined` or `deprecated` (PEP 792).
        reason: The reason for the status, as given by the index; empty for none.

    Raises:
        ValueError: A file name is listed more than once with different hashes.
    """

    def __init__(self, files: Iterable[IndexFile] = (), *, status: str = "active", reason: str = "") -> None:
        super().__init__()
        self.status = status
        self.reason = reason
        for file in files:
            if self.setdefault(file.filename, file).sha256 != file.sha256:
                raise ValueError(f"{file.filename} is listed twice with different hashes")

    @property
    def total_size(self) -> int:
        """The bytes of all files together, except files without a stated size."""
        return sum(file.size or 0 for file in self.values())

    def newest_release(self, below: Version | None = None) -> Version | None:
        """Return the newest final version, or the newest prerelease if there is none; None if there is neither.

        A version whose files are all yanked is returned only if there is no other. `below` limits the search to
        lower versions; for a prerelease such as 2.0rc2, it prefers 2.0rc1 to 1.9.
        """
        releases = self.releases()
        lower = [version for version in releases if below is None or version < below]
        offered = [version for version in lower if not all(file.yanked for file in releases[version])] or lower
        line = below.release if below is not None and below.is_prerelease else None
        final = [version for version in offered if not version.is_prerelease or version.release == line]
        return max(final or offered, default=None)

    def releases(self) -> dict[Version, tuple[IndexFile, ...]]:
        """Return the files of each version in the order of the listing, except those with invalid names."""
        files: dict[Version, list[IndexFile]] = {}
        for file in self.values():
            if (version := file.version) is not None:
                files.setdefault(version, []).append(file)
        return {version: tuple(of_version) for version, of_version in files.items()}


def parse_json_listing(document: Any, page: str) -> Listing:
    """Parse the JSON page of a project (PEP 691, PEP 700 and PEP 792).

    `document` is the parsed JSON, and `page` is the URL of the page, which links are relative to.

    Raises:
        ValueError: The version of the API is not supported, or hashes are invalid or contradictory.
        KeyError: The document is not a listing; `TypeError` and `AttributeError` are raised for that as well.
    """
    meta = document.get("meta")
    _check_api_version(meta.get("api-version", _API_MAJOR) if isinstance(meta, dict) else _API_MAJOR)
    marker = document.get("project-status")
    marker = marker if isinstance(marker, dict) else {}
    if not isinstance(document["files"], list):
        raise TypeError
    files = (
        IndexFile(
            filename=_require_text(entry["filename"]),
            url=_absolute_url(page, _require_text(entry["url"])),
            sha256=_parse_digest(entry.get("hashes", {}).get("sha256"), entry["filename"]),
            upload_time=_parse_time(entry.get("upload-time")),
            size=size if type(size := entry.get("size")) is int and size >= 0 else None,
            requires_python=str(entry.get("requires-python") or ""),
            yanked=bool(entry.get("yanked")),
            provenance=_absolute_url(page, _require_text(entry["provenance"]))
            if entry.get("provenance")
            else None,
        )
        for entry in document["files"]
    )
    return Listing(files, status=str(marker.get("status", "active")), reason=str(marker.get("reason", "")))


def parse_html_listing(text: str, page: str) -> Listing:
    """Parse the HTML page of a project (PEP 503 and PEP 792); hashes are in the fragments of its links.

    `page` is the URL of the page, which links are relative to, unless the page has a `base` element.

    Raises:
        ValueError: It is not a listing, or its version of the API is not supported, or hashes are invalid.
    """
    if text.count("<") > _MAX_TAGS:
        raise ValueError("too many tags")
    parser = _ListingPage()
    parser.feed(text)
    if not parser.is_html:
        raise ValueError("not HTML")
    if parser.has_password_field:  # of a proxy, perhaps
        raise ValueError("it is a login page")
    _check_api_version(parser.meta.get("pypi:repository-version", _API_MAJOR))
    files = []
    base = _absolute_url(page, parser.base)
    for attributes in parser.anchors:
        url, _, fragment = _absolute_url(base, attributes.get("href") or "").partition("#")
        hashes = dict(part.partition("=")[::2] for part in fragment.split("&"))
        filename = unquote(url.partition("?")[0].rsplit("/", 1)[-1])
        provenance_url = attributes.get("data-provenance")
        files.append(
            IndexFile(
                filename=filename,
                url=url,
                sha256=_parse_digest(hashes.get("sha256"), filename),
                requires_python=attributes.get("data-requires-python") or "",
                yanked="data-yanked" in attributes,
                provenance=_absolute_url(base, provenance_url) if provenance_url else None,
            )
        )
    return Listing(
        files,
        status=parser.meta.get("pypi:project-status", "active"),
        reason=parser.meta.get("pypi:project-status-reason", ""),
    )


class _ListingPage(HTMLParser):
    """A parser that collects the links, their base URL and the `meta` elements of a listing."""

    def __init__(self) -> None:
        super().__init__()
        self.anchors: list[dict[str, str | None]] = []
        self.meta: dict[str, str] = {}
        self.base = ""
        self.is_html = False
        self.has_password_field = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        self.is_html = True
        if tag == "a":
            self.anchors.append({name: attributes[name] for name in _LINK_ATTRIBUTES if name in attributes})
        elif tag == "base":
            self.base = self.base or attributes.get("href") or ""
        elif tag == "meta":
            self.meta[attributes.get("name") or ""] = attributes.get("content") or ""
        elif tag == "input" and (attributes.get("type") or "").lower() == "password":
            self.has_password_field = True


def _absolute_url(page: str, url: str) -> str:
    """Return the absolute URL of a link on a page; return an invalid one unchanged: requesting it is an error.

    `page` is the URL of the page, and `url` that of the link.
    """
    try:
        return urljoin(page, url)
    except ValueError:
        return url


def _require_text(value: object) -> str:
    """Return the value if it is a string; otherwise raise `TypeError`."""
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not text")
    return value


def _parse_digest(value: object, filename: str) -> str | None:
    """Return the SHA-256 of a file in lowercase, since some indexes use uppercase, or None if there is none.

    `value` is what the listing has; some indexes write `null` or an empty string for a missing digest.

    Raises:
        ValueError: It is not a SHA-256; the message has `filename`.
        TypeError: It is not a string.
    """
    if value is None or (digest := _require_text(value).lower()) in _NO_DIGEST:
        return None
    if not _SHA256.fullmatch(digest):
        raise ValueError(f"{digest[:80]!r}, the hash of {filename}, is not a SHA-256")
    return digest


def _check_api_version(version: object) -> None:
    """Raise `ValueError` unless the version of the simple API (PEP 629) is 1 or 1.x."""
    if str(version).partition(".")[0] != _API_MAJOR:
        raise ValueError(f"unsupported version {str(version)[:20]!a} of the simple API")


def _parse_time(value: object) -> datetime | None:
    """Return an upload time (PEP 700), in UTC if it has no time zone; None for a value that is not a time."""
    try:
        time = datetime.fromisoformat(_require_text(value))
    except (ValueError, TypeError):
        return None
    return time if time.tzinfo is not None else time.replace(tzinfo=UTC)
