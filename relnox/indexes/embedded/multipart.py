"""A streaming parser of forms (`multipart/form-data`, RFC 7578), which does not keep the uploaded file in memory.

The standard library has no such parser any more, and its e-mail parser keeps the whole message in memory and
converts line ends. This parser only splits the body at its boundaries (RFC 2046, section 5.1).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from email import message_from_bytes
from typing import TYPE_CHECKING, Protocol

from relnox.errors import Blocked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_CHUNK = 1 << 18
_HEADERS_LIMIT = 1 << 14
_PADDING_LIMIT = 1 << 8
_FIELDS_LIMIT = 1 << 24
_PARTS_LIMIT = 10_000
_BOUNDARY_LIMIT = 70
_HINT = "send multipart/form-data with one file in the field `content` (see the upload API)"


class Readable(Protocol):
    """A stream of bytes. `read` may return fewer bytes than requested, but returns none only at the end."""

    def read(self, size: int, /) -> bytes:
        """Read at most `size` bytes."""


@dataclass
class Form:
    """The fields of a form, without the content of its file.

    Attributes:
        fields: Maps the name of each field to its values in the order in which they were sent.
        filename: The name of the file in the field `content`, or None if there is no file.
    """

    fields: dict[str, list[str]] = field(default_factory=dict)
    filename: str | None = None

    def optional(self, name: str) -> str | None:
        """Return the value of an optional field, or None if it is missing or empty.

        Raises:
            Blocked: The field was sent more than once.
        """
        values = self.fields.get(name, [])
        if len(values) > 1:
            raise Blocked("form-invalid", f"the form repeats the field {name}", fix=_HINT)
        return values[0] or None if values else None

    def required(self, name: str) -> str:
        """Return the value of a required field.

        Raises:
            Blocked: The field is missing or empty, or was sent more than once.
        """
        value = self.optional(name)
        if value is None:
            raise Blocked("form-invalid", f"the form has no field {name}", fix=_HINT)
        return value


def read_form(
    body: Readable,
    boundary: str,
    receive: Callable[[str, Iterator[bytes]], object],
) -> Form:
    """Read a form up to its closing boundary.

    Args:
        body: The body of the request.
        boundary: The boundary in the `Content-Type` header.
        receive: Called with the name of the file in the field `content` and an iterator over its content, which
            it has to read completely. Fields after the file have not been read yet.

    Raises:
        Blocked: The body is not a form, is incomplete, has more than one file in `content` or more than 10,000
            parts, or its fields are larger than 16 MiB.
    """
    scanner = _Scanner(body)
    delimiter = _parse_delimiter(boundary)
    form = Form()
    scanner.take(delimiter)  # the preamble is ignored
    parts = 0
    while not _is_closing_boundary(scanner):
        parts += 1
        if parts > _PARTS_LIMIT:
            raise Blocked("form-invalid", f"the form has more than {_PARTS_LIMIT} parts", fix=_HINT)
        name, filename = _parse_disposition(scanner.take(b"\r\n\r\n", limit=_HEADERS_LIMIT))
        if name == "content" and filename is not None:
            if form.filename is not None:
                raise Blocked("form-invalid", "the form has more than one file", fix=_HINT)
            form.filename = filename
            receive(filename, scanner.until(delimiter))
        else:
            value = scanner.take(delimiter)
            if filename is None:  # other files, such as signatures, are ignored
                form.fields.setdefault(name, []).append(_decode_text(value, name))
    return form


def _parse_delimiter(boundary: str) -> bytes:
    """Return the bytes that separate the parts of a form with this boundary.

    Raises:
        Blocked: The boundary is not valid.
    """
    if not (boundary.isascii() and 0 < len(boundary) <= _BOUNDARY_LIMIT):
        raise Blocked("form-invalid", f"{boundary!r} is not a valid multipart boundary", fix=_HINT)
    return b"\r\n--" + boundary.encode("ascii")


def _is_closing_boundary(scanner: _Scanner) -> bool:
    """Read the rest of a boundary's line; return whether it is the closing boundary (followed by `--`)."""
    closes = scanner.peek(2) == b"--"
    after = scanner.peek_rest()[2:] if closes else scanner.take(b"\r\n", limit=_PADDING_LIMIT)
    # Only whitespace may follow: other text shows that the boundary occurs in the file.
    if after.strip() or len(after) > _PADDING_LIMIT:
        raise Blocked("form-invalid", "unexpected data after a multipart boundary", fix=_HINT)
    return closes


def _parse_disposition(headers: bytes) -> tuple[str, str | None]:
    """Return the field name of a part of a form, and the file name or None if the part is not a file."""
    part = message_from_bytes(headers + b"\r\n\r\n")
    name = part.get_param("name", header="content-disposition")
    if part.get_content_disposition() != "form-data" or not isinstance(name, str):
        raise Blocked("form-invalid", "invalid upload request (a part of the form has no name)", fix=_HINT)
    return name, part.get_filename()


def _decode_text(value: bytes, name: str) -> str:
    """Decode the value of a field as UTF-8; the name is for the error message."""
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Blocked("form-invalid", f"the form field {name!a} is not UTF-8", fix=_HINT) from error


class _Scanner:
    """A reader that splits a stream at delimiters, with limited memory."""

    def __init__(self, body: Readable) -> None:
        self._body = body
        # The first boundary is not preceded by CRLF.
        self._buffer = b"\r\n"
        self._left = _FIELDS_LIMIT

    def until(self, delimiter: bytes) -> Iterator[bytes]:
        """Yield the bytes up to a delimiter in pieces, then skip the delimiter."""
        while (position := self._buffer.find(delimiter)) < 0:
            # The last bytes may be the start of a delimiter.
            complete = max(len(self._buffer) - len(delimiter) + 1, 0)
            if complete:
                yield self._buffer[:complete]
            self._buffer = self._buffer[complete:] + self._read_more()
        before, self._buffer = self._buffer[:position], self._buffer[position + len(delimiter) :]
        if before:
            yield before

    def take(self, delimiter: bytes, *, limit: int = _FIELDS_LIMIT) -> bytes:
        """Return the bytes up to a delimiter, and skip the delimiter.

        Raises:
            Blocked: There are more than `limit` bytes, or more than 16 MiB over all calls.
        """
        pieces = []
        for piece in self.until(delimiter):
            limit -= len(piece)
            self._left -= len(piece)
            if limit < 0 or self._left < 0:
                raise Blocked("form-invalid", "the fields of the upload form are too large", fix=_HINT)
            pieces.append(piece)
        return b"".join(pieces)

    def peek(self, size: int) -> bytes:
        """Return the next bytes without consuming them."""
        while len(self._buffer) < size:
            self._buffer += self._read_more()
        return self._buffer[:size]

    def peek_rest(self) -> bytes:
        """Return the rest of the stream without consuming it, or the start of the rest if it is long."""
        while len(self._buffer) <= _PADDING_LIMIT and (chunk := self._body.read(_CHUNK)):
            self._buffer += chunk
        return self._buffer

    def _read_more(self) -> bytes:
        """Read the next chunk of the stream; at its end, raise an error."""
        chunk = self._body.read(_CHUNK)
        if not chunk:
            raise Blocked(
                "form-invalid", "invalid upload request (the form ends before its closing boundary)", fix=_HINT
            )
        return chunk
