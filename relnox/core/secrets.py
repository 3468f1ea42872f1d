"""Secrets: texts that may be sent to whom they are for, and told to nobody else.

A secret is masked wherever relnox tells or keeps something, as long as it lives: what a server, a program or an
error repeats of it becomes `****`.
"""

from __future__ import annotations

import base64
import json
import threading
import weakref
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Secret", "announce", "mask_error", "masked"]

_MASK = "****"
_SHORTEST = 4
"""Characters: a shorter text is masked nowhere, since half of all words would become illegible."""


class Secret:
    """A text that no message, representation, record or traceback shows.

    It is equal to itself alone, and can be neither copied nor stored.
    """

    __slots__ = ("__weakref__", "_reveal")

    def __init__(self, text: str) -> None:
        self._reveal: Callable[[], str] = lambda: text  # no attribute holds the text, whoever looks at them
        _keep(self)

    def reveal(self) -> str:
        """The text; for the one place that sends it. Give it no name there: tracebacks may show variables."""
        return self._reveal()

    def __repr__(self) -> str:
        return f"Secret({_MASK})"

    def __reduce_ex__(self, _: object) -> NoReturn:
        raise TypeError("a secret is not stored")

    def __getstate__(self) -> NoReturn:
        raise TypeError("a secret is not stored")


def masked(told: str) -> str:
    """A text in which no living secret can be read, plain or as HTTP's basic authentication spells it."""
    if not _living:
        return told
    with _keeping:
        secrets = list(_living)
    for spelling in sorted({each for secret in secrets for each in _spellings(secret)}, key=len, reverse=True):
        told = told.replace(spelling, _MASK)
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


def _spellings(secret: Secret) -> Iterator[str]:
    for line in _lines(secret):
        yield line
        yield json.dumps(line)[1:-1]
        yield json.dumps(line, ensure_ascii=False)[1:-1]
        # In base64 a text has three forms, by where in a group of three bytes it begins; the characters at both
        # ends hold bits of its neighbours and are left out.
        data = line.encode()
        for shift in range(3):
            coded = base64.b64encode(b"\0" * shift + data).decode().rstrip("=")
            inner = coded[(0, 2, 3)[shift] : len(coded) - bool((shift + len(data)) % 3)]
            if len(inner) >= _SHORTEST:
                yield inner
