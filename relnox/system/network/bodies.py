"""Response bodies: the size and time limits of each kind, and decompression.

The time limits of retries are in `relnox.system.network.deadlines`.
"""

from __future__ import annotations

import contextlib
import json
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, NamedTuple

from relnox.core.text import format_count
from relnox.errors import Failed, RelnoxError
from relnox.system.network.failures import TransientError, network_errors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from typing import Literal, Protocol

    from _typeshed import SupportsWrite
    from requests import Response

    from relnox.system.network.watching import Watch

    class Sink(Protocol):
        """A path, or a similar object, that is opened on each attempt, to write the response body."""

        def open(self, mode: Literal["wb"], /) -> AbstractContextManager[SupportsWrite[bytes]]:
            """Open for writing, and discard what a previous attempt wrote."""


_KIB, _MIB, _GIB = 1 << 10, 1 << 20, 1 << 30
_CHUNK = 64 * _KIB
_MAX_FILE_SIZE = 4 * _GIB
"""The maximum size in bytes of a file whose size is not known in advance."""
_MAX_FILE_TIME = 3600.0
"""The maximum download time in seconds of a file whose size is not known in advance."""
_MAX_VALUES = 1_000_000
"""The maximum number of values in a JSON document, and of tags in HTML.

A value takes a few bytes in the document, but about a hundred bytes of memory once it is parsed.
"""
_MAX_TAG = 64 * _KIB
"""The maximum size in bytes of an HTML tag and the text after it."""
_CHARSETS = ("ascii", "us-ascii", "utf-8", "utf8", "iso-8859-1", "latin-1", "iso-8859-15", "windows-1252")
"""Encodings that are used if a response declares them, instead of UTF-8; others are slow, or expand the text."""

SLOWEST_AVERAGE = 8 * _KIB
"""The minimum average rate of file transfers in bytes per second."""


class Limit(NamedTuple):
    """The size and time limits of one kind of response.

    Attributes:
        kind: The name of the response in messages.
        size: The maximum size in bytes, both before and after decompression.
        seconds: The maximum seconds from name resolution to the last byte; the time to send the request body at
            `SLOWEST_AVERAGE` is added.
        truncate: Whether to cut off a response that is too large; otherwise it is an error.
        encoding: The value of `Accept-Encoding`. Files are requested uncompressed, since their hashes are those
            of the stored bytes.
    """

    kind: str
    size: int
    seconds: float
    truncate: bool = False
    encoding: str = "gzip"


LISTING = Limit("project listing", 32 * _MIB, 120.0)
DOCUMENT = Limit("response", 4 * _MIB, 120.0)
UPLOAD_RESPONSE = Limit("response", 64 * _KIB, 330.0, truncate=True)
ERROR_PAGE = Limit("error page", 64 * _KIB, 10.0, truncate=True)
"""The limit for responses with other statuses than 2xx; its seconds are counted from the end of the headers."""
FIRST_BYTES = Limit("file", 64 * _KIB, 60.0, truncate=True, encoding="identity")
"""The limit for reading only the first bytes of a file, even from servers that do not support range requests."""


class TooLarge(Failed):
    """The error for a response that exceeds its size limit."""


def file_limit(size: int | None = None) -> Limit:
    """Return the limit for downloading a file of this size in bytes (None: unknown)."""
    if size is None:
        return Limit("file", _MAX_FILE_SIZE, _MAX_FILE_TIME, encoding="identity")
    return Limit("file", size, 60.0 + size / SLOWEST_AVERAGE, encoding="identity")


def read_body(
    response: Response, limit: Limit, watch: Watch, host: str, into: SupportsWrite[bytes] | None
) -> None:
    """Read the body of a response into `response.content`, or that of a response with status 200 into a file.

    Raises:
        Failed: The body is too large, or compressed in a way that was not requested.
        TransientError: The body is truncated, or is not compressed although its headers say so.
    """
    successful = HTTPStatus.OK <= response.status_code < HTTPStatus.MULTIPLE_CHOICES
    content = bytearray()
    write: Callable[[bytes], object] = (
        into.write if into is not None and response.status_code == HTTPStatus.OK else content.extend
    )
    if into is not None and response.status_code != HTTPStatus.OK:  # held in memory, unlike the file
        limit = limit._replace(size=min(limit.size, DOCUMENT.size), truncate=True)
    if successful:
        length: int | None = getattr(response.raw, "length_remaining", None)
        if length is not None and length > limit.size and not limit.truncate:
            raise _too_large(limit, host)
        for part in _decompressed_parts(response, limit, watch, host):
            write(part)
    else:
        watch.finish_within(ERROR_PAGE.seconds)
        with contextlib.suppress(RelnoxError, *network_errors()):  # the status counts, even if the body is broken
            for part in _decompressed_parts(response, ERROR_PAGE._replace(encoding=limit.encoding), watch, host):
                content += part
        if watch.interrupted:
            watch.check()
    response._content = bytes(content)  # noqa: SLF001 - where requests stores it
    if (response.encoding or "").lower() not in _CHARSETS:
        response.encoding = "utf-8"


def json_document(
    response: Response, *, pairs: Callable[[list[tuple[str, Any]]], dict[str, Any]] | None = None
) -> Any:
    """Parse the JSON document in a response; `pairs` is the `object_pairs_hook` of `json.loads`.

    Raises:
        ValueError: The document is not JSON, is nested too deeply, or has too many values.
    """
    content = response.content
    if sum(map(content.count, (b",", b"[", b"{"))) > _MAX_VALUES:
        raise ValueError("too many values")
    try:
        return json.loads(content, object_pairs_hook=pairs)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def parseable_html(response: Response) -> str:
    """Return the HTML source of a response; raise `ValueError` if it is too large to parse."""
    pieces = response.content.split(b"<")
    if len(pieces) > _MAX_VALUES or max(map(len, pieces)) > _MAX_TAG:
        raise ValueError("too many tags, or one that is too long")
    return response.text


def _decompressed_parts(response: Response, limit: Limit, watch: Watch, host: str) -> Iterator[bytes]:
    """Yield the decompressed body in chunks; cut it off at the size limit if `limit.truncate` is set."""
    bytes_left = limit.size
    for part in _decompressed(response, _received_chunks(response, limit, watch, host), limit, host):
        watch.check()
        if len(part) > bytes_left:
            if not limit.truncate:
                raise _too_large(limit, host)
            yield part[:bytes_left]
            return
        bytes_left -= len(part)
        yield part


def _received_chunks(response: Response, limit: Limit, watch: Watch, host: str) -> Iterator[bytes]:
    """Yield the raw body in chunks, stopping once the size limit is exceeded (by at most one chunk)."""
    received_bytes = 0
    read_chunk = getattr(response.raw, "read1", response.raw.read)  # urllib3 before 2 has no `read1`
    while chunk := read_chunk(_CHUNK, decode_content=False):
        watch.add_bytes(len(chunk))
        yield chunk
        received_bytes += len(chunk)
        if received_bytes > limit.size:
            if not limit.truncate:
                raise _too_large(limit, host)
            return
    watch.check()  # a body without Content-Length seems complete when the watch closes the connection


def _decompressed(response: Response, chunks: Iterator[bytes], limit: Limit, host: str) -> Iterator[bytes]:
    """Decompress the chunks of a raw body; yield them unchanged if they are not compressed."""
    encoding = response.headers.get("Content-Encoding", "").strip().lower()
    if limit.encoding == "identity" or encoding in ("", "identity"):
        yield from chunks
        return
    if encoding not in ("gzip", "x-gzip"):
        raise Failed(
            "listing-invalid",
            f"the {limit.kind} of {host} is compressed with {encoding[:20]!a} (only gzip was requested)",
            fix="configure the server, or the proxy in front of it, to honor Accept-Encoding",
        )
    import zlib

    gzip = zlib.MAX_WBITS | 16
    decoder = zlib.decompressobj(gzip)
    empty = True
    for chunk in chunks:
        rest = chunk
        while rest:
            if decoder.eof:  # another member (RFC 1952)
                decoder = zlib.decompressobj(gzip)
            empty = False
            try:
                yield decoder.decompress(rest, _CHUNK)
            except zlib.error as error:
                raise TransientError(
                    "index-unavailable", f"request to {host} failed (response is not gzip, as its header says)"
                ) from error
            rest = decoder.unused_data if decoder.eof else decoder.unconsumed_tail
    if not empty and not decoder.eof and not limit.truncate:
        raise TransientError("index-unavailable", f"request to {host} failed (truncated response)")


def _too_large(limit: Limit, host: str) -> TooLarge:
    return TooLarge(
        "listing-invalid",
        f"the {limit.kind} of {host} is larger than {_format_size(limit.size)}",
        fix="check the URL of the index, or report it to the index",
    )


def _format_size(size: int) -> str:
    for unit, name in ((_GIB, "GiB"), (_MIB, "MiB"), (_KIB, "KiB")):
        if size >= unit and size % unit == 0:
            return f"{size // unit} {name}"
    return format_count(size, "byte")
