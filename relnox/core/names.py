"""Names of distributions: their normal form (PEP 503), and the name at the start of a requirement.

`packaging` provides both, but is slow to import, since it loads platform tags and a parser. A requirement is
parsed only when it changes.
"""

from __future__ import annotations

import re
from functools import cache

_SEPARATORS = re.compile(r"[-_.]+")
_VALID = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")
_REQUIREMENT = re.compile(rf"\s*({_VALID.pattern})\s*(?:\Z|[\[(<>=!~;@])")


def normalize_name(name: str) -> str:
    """Return a name in its normal form (PEP 503, "Normalized Names")."""
    return _SEPARATORS.sub("-", name).lower()


def is_valid(name: str) -> bool:
    """Return whether a name is a valid name of a distribution (PEP 508, "Names")."""
    return _VALID.fullmatch(name) is not None


@cache
def requirement_name(text: str) -> str | None:
    """Return the normalized name at the start of a requirement.

    Return None if the requirement is invalid (PEP 508) or contains a placeholder in braces.
    """
    match = _REQUIREMENT.match(text)
    return normalize_name(match[1]) if match is not None and "{" not in text else None
