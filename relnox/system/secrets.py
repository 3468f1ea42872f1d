"""Secrets, which are masked in all output.

As long as a `Secret` object exists, its text becomes `****` wherever a server, a program or an error repeats it.
"""

from __future__ import annotations

import json
import re
import threading
import weakref
from functools import cache
from typing import TYPE_CHECKING, NoReturn

from relnox.core.escaping import escape_json, escape_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_MASK = "****"
_MIN_MASKED = 4
"""Characters: shorter texts are not masked, since they are part of many words."""
_MIN_ENCODED = 8
"""Characters from which on encoded forms of a text are masked as well; those of shorter ones match words."""
_INVISIBLE = r"\s\x00-\x1f\x7f-\xa0\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff"
_SEPARATORS = rf"""(?:\x1b\[[0-9;:?]*[@-~]|\\[nrt]|[{_INVISIBLE}"',:\\])"""
"""Line ends, colors, quotes and the like, between which the characters of a text can still be read."""


class Secret:
    """A string that no message, `repr`, record or traceback shows.

    It compares by identity, and can be neither copied nor pickled.
    """

    __slots__ = ("__weakref__", "_forms", "_reveal")

    def __init__(self, text: str) -> None:
        self._reveal: Callable[[], str] = lambda: text  # in a closure, since tracebacks may show attributes
        self._forms = cache(lambda: _Forms(text))
        _register(self)

    def reveal(self) -> str:
        """Return the text, to send it. Do not assign it to a variable: tracebacks may show those."""
        return self._reveal()

    def mask(self, text: str, simplified: str) -> str:
        """Mask this secret in a string.

        Args:
            text: The text.
            simplified: The same, after `_simplify`.
        """
        return self._forms().mask(text, simplified)

    def __repr__(self) -> str:
        return f"Secret({_MASK})"

    def __reduce_ex__(self, _: object) -> NoReturn:
        raise TypeError("a secret cannot be pickled")

    def __getstate__(self) -> NoReturn:
        raise TypeError("a secret cannot be pickled")


def masked(text: str) -> str:
    """Mask all existing secrets in a string.

    A secret is recognized literally and as JSON and HTTP's basic authentication encode it. One of eight characters
    or more is also recognized in another case, reversed, in base64, hexadecimal, percent-encoding and escapes of
    Python, JSON and HTML, and with line ends, spaces, colors or quotes between its characters.
    """
    if not _secrets:
        return text
    with _lock:
        secrets = list(_secrets)
    simplified = _simplify(text)
    # The longest first: one may be part of another.
    for secret in sorted(secrets, key=lambda secret: len(secret.reveal()), reverse=True):
        text = secret.mask(text, simplified)
    return text


def masked_line(text: str, limit: int = 300) -> str:
    """Mask secrets in untrusted text, join its lines and cut it at a number of characters."""
    return masked(" ".join(text.split()))[:limit]


def mask_error(error: BaseException | None) -> None:
    """Mask secrets in the arguments of an error and of its causes, in place: others print tracebacks."""
    visited: set[int] = set()
    while error is not None and id(error) not in visited:
        visited.add(id(error))
        error.args = tuple(masked(arg) if isinstance(arg, str) else arg for arg in error.args)
        mask_error(error.__context__ if error.__context__ is not error.__cause__ else None)
        error = error.__cause__


def on_secret(callback: Callable[[str], None] | None) -> None:
    """Set a function that is called with each line of each secret, such as to mask it in the log of a CI provider.

    Args:
        callback: Called at once for existing secrets, and for each new one; None removes it.
    """
    with _lock:
        _callbacks[:] = [] if callback is None else [callback]
        secrets = list(_secrets)
    for secret in secrets:
        _notify(secret)


_secrets: weakref.WeakSet[Secret] = weakref.WeakSet()
_callbacks: list[Callable[[str], None]] = []
_lock = threading.RLock()


def _register(secret: Secret) -> None:
    with _lock:
        _secrets.add(secret)
    _notify(secret)


def _notify(secret: Secret) -> None:
    for callback in tuple(_callbacks):
        for line in _lines(secret):
            callback(line)


def _lines(secret: Secret) -> Iterator[str]:
    """Yield the lines of a secret that are masked: CI providers mask their logs line by line."""
    return (line.strip() for line in secret.reveal().splitlines() if len(line.strip()) >= _MIN_MASKED)


def _simplify(text: str) -> str:
    """Remove separators, and convert to lower case."""
    return re.sub(f"{_SEPARATORS}+", "", text).lower()  # not compiled at import, to start faster


class _Forms:
    """The forms of a secret that are masked, in closures that no `repr` shows."""

    __slots__ = ("encoded", "literal")

    def __init__(self, text: str) -> None:
        lines = [line.strip() for line in text.splitlines() if len(line.strip()) >= _MIN_MASKED]
        literal = {form for line in lines for form in _literal_forms(line)}
        encoded = {_simplify(form) for line in lines if len(line) >= _MIN_ENCODED for form in _encoded_forms(line)}
        self.literal: Callable[[], list[str]] = lambda: sorted(literal, key=len, reverse=True)
        self.encoded: Callable[[], list[str]] = lambda: sorted(
            (form for form in encoded if len(form) >= _MIN_ENCODED), key=len, reverse=True
        )

    def mask(self, text: str, simplified: str) -> str:
        for form in self.literal():
            text = text.replace(form, _MASK)
        for form in self.encoded():
            if form in simplified:
                text = re.sub(f"{_SEPARATORS}*".join(map(re.escape, form)), _MASK, text, flags=re.IGNORECASE)
        return text


def _literal_forms(line: str) -> Iterator[str]:
    yield line
    yield json.dumps(line)[1:-1]
    yield json.dumps(line, ensure_ascii=False)[1:-1]
    yield escape_json(json.dumps(line, ensure_ascii=False))[1:-1]
    yield escape_line(line)
    yield from _in_base64(line)


def _encoded_forms(line: str) -> Iterator[str]:
    data = line.encode(errors="surrogatepass")
    yield line
    yield line[::-1]
    yield data.hex()
    yield data[::-1].hex()
    yield "".join(f"%{byte:02x}" for byte in data)
    yield "".join(char if char.isalnum() or char in "-._~" else f"%{ord(char):02x}" for char in line)
    for escape in ("\\x{:02x}", "\\u{:04x}", "&#{};", "&#x{:x};"):
        yield "".join(escape.format(ord(char)) for char in line)
    for form in _in_base64(line):
        yield form
        yield form.translate(str.maketrans("+/", "-_"))


def _in_base64(line: str) -> Iterator[str]:
    """Yield the three forms of a string in base64, one for each position in a group of three bytes.

    The characters at both ends contain bits of adjacent bytes and are left out.
    """
    import base64  # imported lazily: most runs have no secret

    data = line.encode(errors="surrogatepass")
    for shift in range(3):
        encoded = base64.b64encode(b"\0" * shift + data).decode().rstrip("=")
        inner = encoded[(0, 2, 3)[shift] : len(encoded) - bool((shift + len(data)) % 3)]
        if len(inner) >= _MIN_MASKED:
            yield inner
