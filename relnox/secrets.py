"""Secrets: texts that may be sent to whom they are for, and told to nobody else.

A secret is masked wherever relnox tells or keeps something, as long as it lives: what a server, a program or an
error repeats of it becomes `****`.
"""

from __future__ import annotations

import base64
import json
import re
import threading
import weakref
from functools import cache
from typing import TYPE_CHECKING, NoReturn

from relnox.core.escaping import escape_json, escape_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Secret", "announce", "mask_error", "masked"]

_MASK = "****"
_SHORTEST = 4
"""Characters: a shorter text is masked nowhere, since half of all words would become illegible."""
_DISGUISED = 8
"""Characters from which a text is masked in other spellings as well: shorter ones are words, or parts of them."""
_INVISIBLE = r"\s\x00-\x1f\x7f-\xa0\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff"
_BETWEEN = rf"""(?:\x1b\[[0-9;:?]*[@-~]|\\[nrt]|[{_INVISIBLE}"',:\\])"""
"""What may stand between two characters of a text without hiding it: line ends, colors, quotes and the like."""


class Secret:
    """A text that no message, representation, record or traceback shows.

    It is equal to itself alone, and can be neither copied nor stored.
    """

    __slots__ = ("__weakref__", "_reveal", "_spelled")

    def __init__(self, text: str) -> None:
        self._reveal: Callable[[], str] = lambda: text  # no attribute holds the text, whoever looks at them
        self._spelled = cache(lambda: _Spellings(text))
        _keep(self)

    def reveal(self) -> str:
        """The text; for the one place that sends it. Give it no name there: tracebacks may show variables."""
        return self._reveal()

    def mask(self, told: str, plain: str) -> str:
        """A text in which this one cannot be read.

        Args:
            told: The text.
            plain: The same, as `_plain` has it.
        """
        return self._spelled().mask(told, plain)

    def __repr__(self) -> str:
        return f"Secret({_MASK})"

    def __reduce_ex__(self, _: object) -> NoReturn:
        raise TypeError("a secret is not stored")

    def __getstate__(self) -> NoReturn:
        raise TypeError("a secret is not stored")


def masked(told: str) -> str:
    """A text in which no living secret can be read.

    A secret is found as it is and as JSON and HTTP's basic authentication spell it. One of eight characters or
    more is also found in other cases, backwards, in base64, in hexadecimal, percent-encoded and in escapes of
    Python, JSON and HTML, and where line ends, spaces, colors or quotes stand between its characters.
    """
    if not _living:
        return told
    with _keeping:
        secrets = list(_living)
    plain = _plain(told)
    # The longest first: one may be part of another.
    for secret in sorted(secrets, key=lambda each: len(each.reveal()), reverse=True):
        told = secret.mask(told, plain)
    return told


def mask_error(error: BaseException | None) -> None:
    """Take secrets out of what an error and those before it say, in place: tracebacks are printed by others."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        error.args = tuple(masked(each) if isinstance(each, str) else each for each in error.args)
        mask_error(error.__context__ if error.__context__ is not error.__cause__ else None)
        error = error.__cause__


def announce(to: Callable[[str], None] | None) -> None:
    """Tell somebody, such as a CI engine that masks its log, each line of each secret before it is used.

    Args:
        to: Called with the lines of the secrets there are, at once, and of each new one; nobody when None.
    """
    with _keeping:
        _announced[:] = [] if to is None else [to]
        secrets = list(_living)
    for secret in secrets:
        _tell(secret)


_living: weakref.WeakSet[Secret] = weakref.WeakSet()
_announced: list[Callable[[str], None]] = []
_keeping = threading.RLock()


def _keep(secret: Secret) -> None:
    with _keeping:
        _living.add(secret)
    _tell(secret)


def _tell(secret: Secret) -> None:
    for to in tuple(_announced):
        for line in _lines(secret):
            to(line)


def _lines(secret: Secret) -> Iterator[str]:
    """The lines that are worth masking: logs are masked line by line."""
    return (line.strip() for line in secret.reveal().splitlines() if len(line.strip()) >= _SHORTEST)


def _plain(told: str) -> str:
    """A text without what may stand between the characters of a secret, in small letters."""
    return re.sub(f"{_BETWEEN}+", "", told).lower()  # compiled by its first use: start-up is measured


class _Spellings:
    """How a secret may be written; no representation shows it."""

    __slots__ = ("find", "search")

    def __init__(self, text: str) -> None:
        lines = [line.strip() for line in text.splitlines() if len(line.strip()) >= _SHORTEST]
        exact = {spelled for line in lines for spelled in _exact(line)}
        others = {_plain(other) for line in lines if len(line) >= _DISGUISED for other in _disguised(line)}
        self.find: Callable[[], list[str]] = lambda: sorted(exact, key=len, reverse=True)
        self.search: Callable[[], list[str]] = lambda: sorted(
            (each for each in others if len(each) >= _DISGUISED), key=len, reverse=True
        )

    def mask(self, told: str, plain: str) -> str:
        for spelled in self.find():
            told = told.replace(spelled, _MASK)
        for other in self.search():
            if other in plain:
                told = re.sub(f"{_BETWEEN}*".join(map(re.escape, other)), _MASK, told, flags=re.IGNORECASE)
        return told


def _exact(line: str) -> Iterator[str]:
    yield line
    yield json.dumps(line)[1:-1]
    yield json.dumps(line, ensure_ascii=False)[1:-1]
    yield escape_json(json.dumps(line, ensure_ascii=False))[1:-1]
    yield escape_line(line)
    yield from _in_base64(line)


def _disguised(line: str) -> Iterator[str]:
    data = line.encode(errors="surrogatepass")
    yield line
    yield line[::-1]
    yield data.hex()
    yield data[::-1].hex()
    yield "".join(f"%{byte:02x}" for byte in data)
    yield "".join(each if each.isalnum() or each in "-._~" else f"%{ord(each):02x}" for each in line)
    for escape in ("\\x{:02x}", "\\u{:04x}", "&#{};", "&#x{:x};"):
        yield "".join(escape.format(ord(each)) for each in line)
    for spelled in _in_base64(line):
        yield spelled
        yield spelled.translate(str.maketrans("+/", "-_"))


def _in_base64(line: str) -> Iterator[str]:
    """In base64 a text has three forms, by where in a group of three bytes it begins.

    The characters at both ends hold bits of its neighbors and are left out.
    """
    data = line.encode(errors="surrogatepass")
    for shift in range(3):
        coded = base64.b64encode(b"\0" * shift + data).decode().rstrip("=")
        inner = coded[(0, 2, 3)[shift] : len(coded) - bool((shift + len(data)) % 3)]
        if len(inner) >= _SHORTEST:
            yield inner
