"""Two ways to number releases and prereleases: by level, and by date."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from relnox.errors import Blocked

if TYPE_CHECKING:
    from datetime import date

Release: TypeAlias = tuple[int, ...]

PATCH = 2
"""The index of the patch number in a release."""
_SIX_DIGITS = range(10**5, 10**6)
_EIGHT_DIGITS = range(10**7, 10**8)
_MONTHS, _DAYS = range(1, 13), range(1, 32)


class LevelCounting:
    """Numbering by level: major, minor and patch."""

    def reaches(self, release: Release, level: int) -> bool:
        """Return whether a release begins a series at this level or a higher one: at `minor`, 1.2.0 or 2.0.0."""
        # 0.0.0 counts as a patch, so that `major` of 0.0.0.dev1 is 1.0.0.
        last_nonzero = max((index for index, number in enumerate(release) if number), default=PATCH)
        return last_nonzero <= level

    def raised(self, release: Release, level: int) -> Release:
        """Return the next release at a level: at `minor`, 1.3.0 for 1.2.4."""
        padded = _pad_release(release, level + 1)
        return _pad_release((*padded[:level], padded[level] + 1), len(padded))

    def prerelease(self, number: int, *, used: bool) -> int:
        """Return the number of the next release in a phase: `number` itself if it is not used yet."""
        return number + used


class CalendarCounting(LevelCounting):
    """Numbering by date: the year or month, then a count within it; a prerelease's number may be a date, too."""

    def __init__(self, calver_format: str, today: date | None) -> None:
        if today is None:
            raise Blocked("date-missing", 'scheme = "calver" needs a date', fix="pass today's date in UTC")
        periods = {"YYYY.MM.MICRO": (today.year, today.month), "YYYY.MINOR": (today.year,)}
        if calver_format not in periods:
            raise Blocked(
                "value-invalid",
                f"unknown calver-format: {calver_format!r}",
                fix="use YYYY.MM.MICRO or YYYY.MINOR",
            )
        self.today = today
        self.period: Release = periods[calver_format]

    def reaches(self, release: Release, level: int) -> bool:  # noqa: ARG002 - every level means the next calendar version
        """Return whether a release is of the current year or month."""
        return _pad_release(release, len(self.period))[: len(self.period)] == self.period

    def raised(self, release: Release, level: int) -> Release:
        """Return the next release of the current year or month."""
        if self.reaches(release, level):
            return super().raised(release, len(self.period))
        return _pad_release((*self.period, 0), len(release))

    def prerelease(self, number: int, *, used: bool) -> int:
        """Return the number of the next release in a phase: today's date if the present number is a date.

        Raises:
            Blocked: Today's date is not a higher number.
        """
        minimum = number + used
        if not _is_date_stamp(number):
            return minimum
        stamp = int(self.today.strftime("%y%m%d" if number < _SIX_DIGITS.stop else "%Y%m%d"))
        if stamp < minimum:
            raise Blocked(
                "version-not-higher",
                f"prerelease number {number} is already today's date ({self.today}) or a later one",
                fix="bump tomorrow, or set the version: --to VERSION",
            )
        return stamp


def _is_date_stamp(number: int) -> bool:
    """Return whether a number reads as YYMMDD or YYYYMMDD."""
    is_long = number in _SIX_DIGITS or number in _EIGHT_DIGITS
    return is_long and number // 100 % 100 in _MONTHS and number % 100 in _DAYS


def _pad_release(release: Release, length: int) -> Release:
    """Return a release padded with zeros to at least this length."""
    return (*release, *([0] * (length - len(release))))
