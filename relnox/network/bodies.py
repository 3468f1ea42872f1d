"""Bodies of answers: how large each kind may be and how long it may take, compressed or not.

All limits of requests stand here and in `relnox.network`, which has those of retries.
"""

from __future__ import annotations

import contextlib
import json
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, NamedTuple

from relnox.errors import Failed, RelnoxError
from relnox.network.failures import TransientError, network_errors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from typing import Literal, Protocol

    from requests import Response

    from relnox.network.watching import Watch

    class Writable(Protocol):
        """What takes the body of an answer."""

        def write(self, chunk: bytes, /) -> int:
            """Take some of it."""

    class Sink(Protocol):
        """What a body goes to that may be asked for more than once: a path, for one."""

        def open(self, mode: Literal["wb"], /) -> AbstractContextManager[Writable]:
            """Begin anew."""


__all__ = [
    "DOCUMENT",
    "ERROR_PAGE",
    "LISTING",
    "PEEK",
    "SLOWEST_AVERAGE",
    "UPLOAD_ANSWER",
    "Limit",
    "TooLarge",
    "file_limit",
    "html_text",
    "json_document",
    "read_body",
]

_KIB, _MIB, _GIB = 1 << 10, 1 << 20, 1 << 30
_CHUNK = 64 * _KIB
_LARGEST_FILE = 4 * _GIB
"""Bytes of a file whose size is not known."""
_LONGEST_FILE = 3600.0
"""Seconds that a file may take whose size is not known."""
_MOST_VALUES = 1_000_000
"""Objects, arrays and their members in a JSON document: a few bytes each there, a hundred once they are parsed."""
_LONGEST_TAG = 64 * _KIB
"""Bytes of a tag of HTML and the text after it."""
_CHARSETS = ("ascii", "us-ascii", "utf-8", "utf8", "iso-8859-1", "latin-1", "iso-8859-15", "windows-1252")
"""Others are slow to decode, or decode to much more than there was."""

SLOWEST_AVERAGE = 8 * _KIB
"""Bytes a second that a file has to come or go with, on average over all of it."""


class Limit(NamedTuple):
    """What an answer may be; it depends on what is asked for.

    Attributes:
        kind: What it is, for messages.
        size: Bytes, as they are sent and again as they are decompressed.
        seconds: From the first look-up of the server's name to the last byte, without what a body that is sent
            takes at `SLOWEST_AVERAGE`.
        shortened: Whether a longer one is cut off there; otherwise it is an error.
        encoding: What the server is asked to compress with. Files come as they are: hashes are of stored bytes.
    """

    kind: str
    size: int
    seconds: float
    shortened: bool = False
    encoding: str = "gzip"


LISTING = Limit("project listing", 32 * _MIB, 120.0)
DOCUMENT = Limit("answer", 4 * _MIB, 120.0)
UPLOAD_ANSWER = Limit("answer", 64 * _KIB, 330.0, shortened=True)
ERROR_PAGE = Limit("error page", 64 * _KIB, 10.0, shortened=True)
"""Of any answer but a good one; the seconds begin after its head."""
PEEK = Limit("file", 64 * _KIB, 60.0, shortened=True, encoding="identity")
"""For a look at the first bytes of a file, from servers that do not know ranges as well."""


class TooLarge(Failed):
    """An answer is larger than it may be."""


def file_limit(size: int | None = None) -> Limit:
    """The limit of a file.

    Args:
        size: Bytes that it has to have; None where that is not known.
    """
    if size is None:
        return Limit("file", _LARGEST_FILE, _LONGEST_FILE, encoding="identity")
    return Limit("file", size, 60.0 + size / SLOWEST_AVERAGE, encoding="identity")


def read_body(response: Response, limit: Limit, watch: Watch, host: str, into: Writable | None) -> None:
    """Take the body of an answer; `response.content` has it unless a good one went elsewhere.

    Args:
        response: An answer of which the head was read.
        limit: What a good answer may be.
        watch: Looks on.
        host: Who answers, for messages.
        into: Takes the body of an answer with status 200.

    Raises:
        Failed: The body is larger than it may be, or compressed in a way that was not asked for.
        TransientError: It is cut off, or not compressed as it says.
    """
    good = HTTPStatus.OK <= response.status_code < HTTPStatus.MULTIPLE_CHOICES
    kept = bytearray()
    write: Callable[[bytes], object] = (
        into.write if into is not None and response.status_code == HTTPStatus.OK else kept.extend
    )
    if good:
        _check_stated_length(response, limit, host)
        for part in _parts(response, limit, watch, host):
            write(part)
    else:
        watch.finish_within(ERROR_PAGE.seconds)
        with contextlib.suppress(RelnoxError, *network_errors()):  # the status is an answer, whatever its body is
            for part in _parts(response, ERROR_PAGE._replace(encoding=limit.encoding), watch, host):
                kept += part
        if watch.interrupted:
            watch.check()
    response._content = bytes(kept)  # noqa: SLF001 - what `content` would have read itself
    if (response.encoding or "").lower() not in _CHARSETS:
        response.encoding = "utf-8"


def json_document(
    response: Response, *, pairs: Callable[[list[tuple[str, Any]]], dict[str, Any]] | None = None
) -> Any:
    """What an answer says in JSON.

    Args:
        response: The answer.
        pairs: Makes objects of their names and values.

    Raises:
        ValueError: It is not JSON, too deep, or has too many values.
    """
    content = response.content
    if sum(map(content.count, (b",", b"[", b"{"))) > _MOST_VALUES:
        raise ValueError("too many values")
    try:
        return json.loads(content, object_pairs_hook=pairs)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def html_text(response: Response) -> str:
    """The HTML of an answer.

    Raises:
        ValueError: It has too many tags, or one that is too long.
    """
    pieces = response.content.split(b"<")
    if len(pieces) > _MOST_VALUES or max(map(len, pieces)) > _LONGEST_TAG:
        raise ValueError("too many tags, or one that is too long")
    return response.text


def _parts(response: Response, limit: Limit, watch: Watch, host: str) -> Iterator[bytes]:
    """The body in pieces, no more than the limit in all."""
    left = limit.size
    for part in _decompressed(response, _received(response, limit, watch, host), limit, host):
        watch.check()
        if len(part) > left:
            if not limit.shortened:
                raise _too_large(limit, host)
            yield part[:left]
            return
        left -= len(part)
        yield part


def _received(response: Response, limit: Limit, watch: Watch, host: str) -> Iterator[bytes]:
    """The body as it is sent, no more than the limit and a piece."""
    received = 0
    read = getattr(response.raw, "read1", response.raw.read)  # what is there, where urllib3 can do that
    while chunk := read(_CHUNK, decode_content=False):
        watch.moved(len(chunk))
        yield chunk
        received += len(chunk)
        if received > limit.size:
            if not limit.shortened:
                raise _too_large(limit, host)
            return
    watch.check()  # a body without a length ends where the request was ended, too


def _decompressed(response: Response, chunks: Iterator[bytes], limit: Limit, host: str) -> Iterator[bytes]:
    encoding = response.headers.get("Content-Encoding", "").strip().lower()
    if limit.encoding == "identity" or encoding in ("", "identity"):
        yield from chunks
        return
    if encoding not in ("gzip", "x-gzip"):
        raise Failed(
            "todo",
            f"the {limit.kind} of {host} is compressed with {encoding[:20]!a} (only gzip was asked for)",
            fix="have the server, or the proxy before it, honor Accept-Encoding",
        )
    import zlib

    gzip = zlib.MAX_WBITS | 16
    decoder = zlib.decompressobj(gzip)
    begun = False
    for chunk in chunks:
        rest = chunk
        while rest:
            if decoder.eof:  # another member (RFC 1952)
                decoder = zlib.decompressobj(gzip)
            begun = True
            try:
                yield decoder.decompress(rest, _CHUNK)
            except zlib.error as error:
                raise TransientError(
                    "todo", f"{host} does not answer as it should (not gzip, as it says)"
                ) from error
            rest = decoder.unused_data if decoder.eof else decoder.unconsumed_tail
    if begun and not decoder.eof and not limit.shortened:
        raise TransientError("todo", f"{host} does not answer as it should (cut off)")


def _check_stated_length(response: Response, limit: Limit, host: str) -> None:
    stated: int | None = getattr(response.raw, "length_remaining", None)
    if stated is not None and stated > limit.size and not limit.shortened:
        raise _too_large(limit, host)


def _too_large(limit: Limit, host: str) -> TooLarge:
    return TooLarge(
        "todo",
        f"the {limit.kind} of {host} is larger than {_in_words(limit.size)}",
        fix="another try will not help: check the URL of the index, or report it to the index",
    )


def _in_words(size: int) -> str:
    for unit, name in ((_GIB, "GiB"), (_MIB, "MiB"), (_KIB, "KiB")):
        if size >= unit and size % unit == 0:
            return f"{size // unit} {name}"
    return f"{size:,} bytes"
