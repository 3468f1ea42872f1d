"""The time that a server asks clients to wait, from the headers of its response."""

from __future__ import annotations

import re
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime


_MIN_TIMESTAMP = 1e9
"""A larger value of `RateLimit-Reset` is a Unix time, a smaller one a number of seconds: servers send both."""

MAX_RETRY_AFTER = 1e9
"""The maximum wait in seconds (31 years), small enough to be added to the current time by `datetime`."""


def retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    """Return the seconds that a server asks clients to wait, or None if it does not say.

    `Retry-After` (RFC 9110: seconds or a date) takes precedence over the rate limit headers: `RateLimit` with its
    parameter `t` and `RateLimit-Reset`, which are from IETF drafts, then the older `X-RateLimit-Reset`. Some
    servers send the last two with every response, so they are used only if no requests remain.
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
    """Parse a number of seconds, a Unix time or a date; return the seconds from now, or None if it is invalid."""
    if re.fullmatch(r"\d{1,12}(\.\d+)?", text):
        number = float(text)
        return max(0.0, number - now.timestamp()) if number > _MIN_TIMESTAMP else number
    try:
        date = parsedate_to_datetime(text)
        return max(0.0, (date.replace(tzinfo=date.tzinfo or UTC) - now).total_seconds())
    except (ValueError, TypeError, OverflowError):  # not a date, or out of range
        return None
