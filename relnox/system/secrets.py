"""Secrets, which are masked in all output.

As long as a `Secret` object exists, its text is masked with `****` in messages of servers, programs and errors.
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
_MAX_LINE = 300
_MIN_MASKED = 4
"""The minimum length in characters of masked texts: shorter ones are part of many ordinary words."""
_MIN_ENCODED = 8
"""The minimum length in characters of texts whose encoded forms are masked too: shorter forms match words."""
_INVISIBLE = r"\s\x00-\x1f\x7f-\xa0\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff"
_SEPARATORS = rf"""(?:\x1b\[[0-9;:?]*[@-~]|\\[nrt]|[{_INVISIBLE}"',:\\])"""
"""Matches a line end, color code or quote; a text with these between its characters is still readable."""


class Secret:
    """A string that is never shown in messages, `repr`, records or tracebacks.

    It compares by identity, and can be neither copied nor pickled.
    """

    __slots__ = ("__weakref__", "_forms", "_reveal")

    def __init__(self, text: str) -> None:
        self._reveal: Callable[[], str] = lambda: text  # in a closure, since tracebacks may show attributes
        self._forms = cache(lambda: _masked_forms(text))
        with _lock:
            _secrets.add(self)
        _notify_listeners(self)

    def reveal(self) -> str:
        """Return the text. Do not assign it to a variable: tracebacks may show the values of variables."""
        return self._reveal()

    def mask(self, text: str, simplified_text: str) -> str:
        """Return a string with this secret masked, given also the result of `_simplify` for the string."""
        literal, encoded = self._forms()
        for form in literal:
            text = text.replace(form, _MASK)
        for form in encoded:
            if form in simplified_text:
                text = re.sub(f"{_SEPARATORS}*".join(map(re.escape, form)), _MASK, text, flags=re.IGNORECASE)
        return text

    def __repr__(self) -> str:
        return f"Secret({_MASK})"

    def __reduce_ex__(self, _: object) -> NoReturn:
        raise TypeError("a secret cannot be pickled")

    def __getstate__(self) -> NoReturn:
        raise TypeError("a secret cannot be pickled")


def mask_secrets(text: str) -> str:
    """Return a string with all existing secrets masked.

    A secret is recognized literally, and as encoded by JSON and by HTTP basic authentication. A secret of eight or
    more characters is also recognized in another case, reversed, in base64, hexadecimal, percent-encoding, and
    escapes of Python, JSON and HTML, and with line ends, spaces, color codes or quotes between its characters.
    """
    if not _secrets:
        return text
    with _lock:
        secrets = list(_secrets)
    simplified = _simplify_text(text)
    # The longest first: one may be part of another.
    for secret in sorted(secrets, key=lambda secret: len(secret.reveal()), reverse=True):
        text = secret.mask(text, simplified)
    return text


def mask_to_one_line(text: str) -> str:
    """Return untrusted text on one line, with secrets masked, and cut to a length for messages."""
    return mask_secrets(" ".join(text.split()))[:_MAX_LINE]


def mask_error(error: BaseException | None) -> None:
    """Mask secrets in the arguments of an error and its causes in place, since other code may print tracebacks."""
    visited_errors: set[int] = set()
    while error is not None and id(error) not in visited_errors:
        visited_errors.add(id(error))
        error.args = tuple(mask_secrets(arg) if isinstance(arg, str) else arg for arg in error.args)
        mask_error(error.__context__ if error.__context__ is not error.__cause__ else None)
        error = error.__cause__


def on_secret(callback: Callable[[str], None] | None) -> None:
    """Set a function to call with each line of each existing and new secret, or remove it (None).

    CI providers, for example, need it to mask their logs.
    """
    with _lock:
        _callbacks[:] = [] if callback is None else [callback]
        secrets = list(_secrets)
    for secret in secrets:
        _notify_listeners(secret)


_secrets: weakref.WeakSet[Secret] = weakref.WeakSet()
_callbacks: list[Callable[[str], None]] = []
_lock = threading.RLock()


def _notify_listeners(secret: Secret) -> None:
    """Call the function set by `on_secret` with each line of a secret."""
    for callback in tuple(_callbacks):
        for line in _maskable_lines(secret.reveal()):
            callback(line)


def _maskable_lines(text: str) -> list[str]:
    """Return the lines of a secret that are long enough to be masked; CI providers mask logs line by line."""
    return [line.strip() for line in text.splitlines() if len(line.strip()) >= _MIN_MASKED]


def _simplify_text(text: str) -> str:
    """Return text in lowercase without separators."""
    return re.sub(f"{_SEPARATORS}+", "", text).lower()  # not compiled at import, to start faster


def _masked_forms(text: str) -> tuple[list[str], list[str]]:
    """Return the literal and the encoded forms of a secret that are masked, the longest first."""
    lines = _maskable_lines(text)
    literal = {form for line in lines for form in _literal_forms(line)}
    encoded = {
        _simplify_text(form) for line in lines if len(line) >= _MIN_ENCODED for form in _encoded_forms(line)
    }
    long_enough = (form for form in encoded if len(form) >= _MIN_ENCODED)
    return sorted(literal, key=len, reverse=True), sorted(long_enough, key=len, reverse=True)


def _literal_forms(line: str) -> Iterator[str]:
    """Yield the forms of a line that are masked only where they occur exactly."""
    yield line
    yield json.dumps(line)[1:-1]
    yield json.dumps(line, ensure_ascii=False)[1:-1]
    yield escape_json(json.dumps(line, ensure_ascii=False))[1:-1]
    yield escape_line(line)
    yield from _in_base64(line)


def _encoded_forms(line: str) -> Iterator[str]:
    """Yield the forms of a line that are masked in any case, and with separators between their characters."""
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
    """Yield the base64 forms of a string inside a longer one, for each of the three offsets in a group of bytes.

    Characters at both ends that also encode bits of adjacent bytes are left out.
    """
    import base64  # imported lazily: most runs have no secret

    data = line.encode(errors="surrogatepass")
    for shift in range(3):
        encoded_text = base64.b64encode(b"\0" * shift + data).decode().rstrip("=")
        inner = encoded_text[(0, 2, 3)[shift] : len(encoded_text) - bool((shift + len(data)) % 3)]
        if len(inner) >= _MIN_MASKED:
            yield inner
