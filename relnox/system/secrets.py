"""Secrets, which are masked in all output.

As long as a `Secret` object exists, its text is masked with `****` in messages of servers, programs and errors.
"""

from __future__ import annotations

import base64
import json
import threading
import weakref
from collections.abc import Callable, Iterator
from functools import cache
from typing import NoReturn

from relnox.core.text import escape_json
from relnox.system.run_scope import current_scope

_MASK = "****"
_MAX_LINE = 300
_MIN_MASKED = 4
"""The minimum length in characters of masked texts: shorter ones are part of many ordinary words."""


class Secret:
    """A string that is masked in all output while the object exists, and never shown in `repr` or tracebacks.

    It is masked line by line; lines of less than 4 characters are not. It compares by identity, and can be neither
    copied nor pickled.
    """

    __slots__ = ("__weakref__", "_forms", "_reveal")

    def __init__(self, text: str) -> None:
        self._reveal: Callable[[], str] = lambda: text  # in a closure, since tracebacks may show attributes
        self._forms = cache(lambda: _masked_forms(text))
        with _lock:
            _secrets.add(self)
        _notify_listener(self)

    def reveal(self) -> str:
        """Return the text. Do not assign it to a variable: tracebacks may show the values of variables."""
        return self._reveal()

    def mask(self, text: str) -> str:
        """Return a text with `****` for this secret in all forms in which it may occur, such as base64."""
        for form in self._forms():
            text = text.replace(form, _MASK)
        return text

    def __repr__(self) -> str:
        return f"Secret({_MASK})"

    def __reduce_ex__(self, _: object) -> NoReturn:
        raise TypeError("a secret cannot be pickled")

    def __getstate__(self) -> NoReturn:
        raise TypeError("a secret cannot be pickled")


def mask_secrets(text: str) -> str:
    """Return a string with all existing secrets masked: literal, and as in JSON and HTTP basic authentication."""
    if not _secrets:
        return text
    with _lock:
        secrets = list(_secrets)
    # The longest first: one may be part of another.
    for secret in sorted(secrets, key=lambda secret: len(secret.reveal()), reverse=True):
        text = secret.mask(text)
    return text


def mask_to_one_line(text: str) -> str:
    """Return untrusted text for messages: in one line, with secrets masked, cut off after 300 characters."""
    return mask_secrets(" ".join(text.split()))[:_MAX_LINE]


def mask_error(error: BaseException | None) -> None:
    """Mask secrets in the arguments of an error and its causes in place, since other code may print tracebacks.

    None is ignored.
    """
    visited_errors: set[int] = set()
    while error is not None and id(error) not in visited_errors:
        visited_errors.add(id(error))
        error.args = tuple(mask_secrets(arg) if isinstance(arg, str) else arg for arg in error.args)
        mask_error(error.__context__ if error.__context__ is not error.__cause__ else None)
        error = error.__cause__


def set_secret_listener(callback: Callable[[str], None] | None) -> None:
    """Call a function with each line of all existing secrets, and later of new ones in this run; None ends that.

    It is used to have CI providers mask these lines in logs. Lines shorter than 4 characters are left out.
    """
    current_scope().secret_listener = callback
    with _lock:
        secrets = list(_secrets)
    for secret in secrets:
        _notify_listener(secret)


_secrets: weakref.WeakSet[Secret] = weakref.WeakSet()
_lock = threading.RLock()


def _notify_listener(secret: Secret) -> None:
    """Call the function that `set_secret_listener` set in this run, if any, with each line of a secret."""
    if (callback := current_scope().secret_listener) is not None:
        for line in _maskable_lines(secret.reveal()):
            callback(line)


def _maskable_lines(text: str) -> list[str]:
    """Return the lines of a secret, without surrounding space, that have the minimum length to be masked."""
    return [line.strip() for line in text.splitlines() if len(line.strip()) >= _MIN_MASKED]


def _masked_forms(text: str) -> list[str]:
    """Return the texts to mask for a secret: its lines as they are, in JSON and in base64; the longest first."""
    forms = {form for line in _maskable_lines(text) for form in _encodings_of_secret_line(line)}
    return sorted(forms, key=len, reverse=True)


def _encodings_of_secret_line(line: str) -> Iterator[str]:
    """Yield the forms in which a text may contain a line of a secret: as it is, in JSON, and in base64.

    In base64, as in basic authentication, the line may be inside a longer text. There is a form for each of its
    three possible offsets in a group of three bytes, without characters that also encode bits of adjacent bytes.
    """
    yield line
    yield json.dumps(line)[1:-1]
    yield json.dumps(line, ensure_ascii=False)[1:-1]
    yield escape_json(json.dumps(line, ensure_ascii=False))[1:-1]
    data = line.encode(errors="surrogatepass")
    for shift in range(3):
        encoded_text = base64.b64encode(b"\0" * shift + data).decode().rstrip("=")
        inner = encoded_text[(0, 2, 3)[shift] : len(encoded_text) - bool((shift + len(data)) % 3)]
        if len(inner) >= _MIN_MASKED:
            yield inner
