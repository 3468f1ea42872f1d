"""Names of distributions: PEP 503's normal form, and the name that a requirement begins with.

`packaging` knows both, but brings platform tags and a parser along, which a reader of 500 files does not need: a
requirement is parsed when it has to move.
"""

from __future__ import annotations

import re
from functools import cache

__all__ = ["is_valid", "normalized", "requirement_name"]

_SEPARATORS = re.compile(r"[-_.]+")
_VALID = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")
_REQUIREMENT = re.compile(rf"\s*({_VALID.pattern})\s*(?:\Z|[\[(<>=!~;@])")


def normalized(name: str) -> str:
    """A name in its normal form (PEP 503, "Normalized Names")."""
    return _SEPARATORS.sub("-", name).lower()


def is_valid(name: str) -> bool:
    """Whether a distribution may have the name (PEP 508, "Names")."""
    return _VALID.fullmatch(name) is not None


@cache
def requirement_name(text: str) -> str | None:
    """The normalised name that a requirement asks for; None for what is none by PEP 508, and for templates."""
    found = _REQUIREMENT.match(text)
    return normalized(found[1]) if found is not None and "{" not in text else None
