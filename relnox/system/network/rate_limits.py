"""How long a server wants clients to wait, from the headers of its response."""

from __future__ import annotations

import re
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime


_MIN_TIMESTAMP = 1e9
"""A `RateLimit-Reset` beyond this is a Unix time, below it a number of seconds: servers send both."""

MAX_RETRY_AFTER = 1e9
"""Seconds (31 years), which `datetime` can still add."""


def retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    """Return the seconds that a server wants clients to wait; None if it does not say.

    `Retry-After` (RFC 9110: seconds or a date) goes first, then the rate limit's headers: `RateLimit` with its
    `t=` and `RateLimit-Reset` of the drafts at the IETF, and `X-RateLimit-Reset` of those before them. Some
    servers send the latter two with every response: they count once no requests remain.
    """
    if (after := headers.get("Retry-After", "").strip()) and (seconds := _seconds(after, now)) is not None:
        return seconds
    if limit := re.search(r";\s*t=(\d+)", headers.get("RateLimit", "")):
        return min(float(limit[1]), MAX_RETRY_AFTER)
    for name in ("RateLimit-Reset", "X-RateLimit-Reset"):
        remaining = headers.get(name.replace("Reset", "Remaining"), "0").strip()
        if remaining == "0" and (seconds := _seconds(headers.get(name, "").strip(), now)) is not None:
            return seconds
    return None


def _seconds(text: str, now: datetime) -> float | None:
    """Parse seconds, a Unix time or a date into seconds from now; None for anything else."""
    if re.fullmatch(r"\d{1,12}(\.\d+)?", text):
        number = float(text)
        return max(0.0, number - now.timestamp()) if number > _MIN_TIMESTAMP else number
    try:
        date = parsedate_to_datetime(text)
        return max(0.0, (date.replace(tzinfo=date.tzinfo or UTC) - now).total_seconds())
    except (ValueError, TypeError, OverflowError):  # not a date, or out of range
        return None
