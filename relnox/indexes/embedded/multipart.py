"""Read a form (`multipart/form-data`, RFC 7578) as it arrives, with its file passed on and never held.

The standard library has no such parser any more, and its e-mail parser wants the whole message in memory and
takes CRLFs for line ends. Here a body is cut at its boundaries (RFC 2046, section 5.1) and at nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from email import message_from_bytes
from typing import TYPE_CHECKING, Protocol

from relnox.errors import Blocked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Form", "Readable", "read_form"]

_CHUNK = 1 << 18
_HEADERS_LIMIT = 1 << 14
_PADDING_LIMIT = 1 << 8
_FIELDS_LIMIT = 1 << 24
_PARTS_LIMIT = 10_000
_BOUNDARY_LIMIT = 70
_HINT = "send the form as the upload API describes it: multipart/form-data with one file called content"


class Readable(Protocol):
    """What a form is read from: `read(n)` gives at most n bytes, and none only at the end."""

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes."""


@dataclass
class Form:
    """A form without its file's content.

    Attributes:
        fields: Every value sent under a name, in order.
        filename: What the client calls the file; None when it sent none.
    """

    fields: dict[str, list[str]] = field(default_factory=dict)
    filename: str | None = None

    def optional(self, name: str) -> str | None:
        """The value of a field that may be left out or empty.

        Raises:
            Blocked: It was sent more than once, so that its meaning would depend on who reads it.
        """
        values = self.fields.get(name, [])
        if len(values) > 1:
            raise Blocked("todo", f"the form has {len(values)} fields called {name}", fix=_HINT)
        return values[0] or None if values else None

    def required(self, name: str) -> str:
        """The value of a field that may not be left out.

        Raises:
            Blocked: It is not there, empty, or there more than once.
        """
        value = self.optional(name)
        if value is None:
            raise Blocked("todo", f"the form has no field called {name}", fix=_HINT)
        return value


def read_form(
    body: Readable,
    boundary: str,
    write: Callable[[bytes], object],
    begin: Callable[[str], object] = lambda _: None,
) -> Form:
    """Read a form to its closing boundary.

    Args:
        body: The form.
        boundary: What parts are separated by, as the `Content-Type` says.
        write: Takes the content of the file called `content`, piece by piece and byte for byte.
        begin: Told the name of that file before its first piece.

    Raises:
        Blocked: It is no form, ends too early, holds more than one file called `content`, it has more than
            10,000 parts, or its fields are larger than 16 MiB.
    """
    scanner = _Scanner(body)
    delimiter = _delimiter(boundary)
    form = Form()
    scanner.take(delimiter)  # what stands before the first boundary means nothing
    parts = 0
    while not _closes(scanner):
        parts += 1
        if parts > _PARTS_LIMIT:
            raise Blocked("todo", f"the form has more than {_PARTS_LIMIT} parts", fix=_HINT)
        name, filename = _disposition(scanner.take(b"\r\n\r\n", limit=_HEADERS_LIMIT))
        if name == "content" and filename is not None:
            if form.filename is not None:
                raise Blocked("todo", "the form holds more than one file", fix=_HINT)
            form.filename = filename
            begin(filename)
            for piece in scanner.until(delimiter):
                write(piece)
        else:
            value = scanner.take(delimiter)
            if filename is None:  # another file, a signature say, is of no interest here
                form.fields.setdefault(name, []).append(_text(value, name))
    return form


def _delimiter(boundary: str) -> bytes:
    if not (boundary.isascii() and 0 < len(boundary) <= _BOUNDARY_LIMIT):
        raise Blocked("todo", f"a form cannot be separated by {boundary!r}", fix=_HINT)
    return b"\r\n--" + boundary.encode("ascii")


def _closes(scanner: _Scanner) -> bool:
    """Whether the boundary just read was the last one (`--` follows it)."""
    closes = scanner.peek(2) == b"--"
    after = scanner.rest()[2:] if closes else scanner.take(b"\r\n", limit=_PADDING_LIMIT)
    # Blanks may follow. Anything else is a sign that the boundary occurs in the file, which it would cut.
    if after.strip() or len(after) > _PADDING_LIMIT:
        raise Blocked("todo", "something follows a boundary of the form on its line, or the last one", fix=_HINT)
    return closes


def _disposition(headers: bytes) -> tuple[str, str | None]:
    """What a part is called, and the name of the file it holds."""
    part = message_from_bytes(headers + b"\r\n\r\n")
    name = part.get_param("name", header="content-disposition")
    if part.get_content_disposition() != "form-data" or not isinstance(name, str):
        raise Blocked("todo", "a part of the form has no name", fix=_HINT)
    return name, part.get_filename()


def _text(value: bytes, name: str) -> str:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Blocked("todo", f"the form's field {name!a} is not UTF-8", fix=_HINT) from error


class _Scanner:
    """Cuts a stream at delimiters; what it does not pass on in pieces is bounded."""

    def __init__(self, body: Readable) -> None:
        self._body = body
        # The first boundary has no line before it that would have ended in CRLF.
        self._held = b"\r\n"
        self._left = _FIELDS_LIMIT

    def until(self, delimiter: bytes) -> Iterator[bytes]:
        """What stands before the delimiter, in pieces; the delimiter itself is dropped."""
        while (found := self._held.find(delimiter)) < 0:
            # The last bytes may be the beginning of a delimiter.
            certain = max(len(self._held) - len(delimiter) + 1, 0)
            if certain:
                yield self._held[:certain]
            self._held = self._held[certain:] + self._more()
        before, self._held = self._held[:found], self._held[found + len(delimiter) :]
        if before:
            yield before

    def take(self, delimiter: bytes, *, limit: int = _FIELDS_LIMIT) -> bytes:
        """What stands before the delimiter: at most `limit` bytes, and 16 MiB over all calls."""
        pieces = []
        for piece in self.until(delimiter):
            limit -= len(piece)
            self._left -= len(piece)
            if limit < 0 or self._left < 0:
                raise Blocked("todo", "the form's fields are too large", fix=_HINT)
            pieces.append(piece)
        return b"".join(pieces)

    def peek(self, size: int) -> bytes:
        """The next bytes, left where they are."""
        while len(self._held) < size:
            self._held += self._more()
        return self._held[:size]

    def rest(self) -> bytes:
        """What is left up to the end, or the beginning of it if that is much."""
        while len(self._held) <= _PADDING_LIMIT and (chunk := self._body.read(_CHUNK)):
            self._held += chunk
        return self._held

    def _more(self) -> bytes:
        chunk = self._body.read(_CHUNK)
        if not chunk:
            raise Blocked("todo", "the form ends before its last boundary", fix=_HINT)
        return chunk
