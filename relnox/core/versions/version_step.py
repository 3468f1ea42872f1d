"""The computation of the next version: what each part of a bump means, by level or by date."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from packaging.version import Version

from relnox.core.records import Record
from relnox.core.versions.requested_bump import ANY_LEVEL, ANY_PHASE, LETTERS, LEVELS
from relnox.errors import Blocked

if TYPE_CHECKING:
    from datetime import date

    from relnox.core.versions.requested_bump import Bump, Phase

Release: TypeAlias = tuple[int, ...]

PATCH = 2
"""The index of the patch number in a release."""
_SIX_DIGITS = range(10**5, 10**6)
_EIGHT_DIGITS = range(10**7, 10**8)
_MONTHS, _DAYS = range(1, 13), range(1, 32)
PHASES: dict[str, Phase] = {letter: phase for phase, letter in LETTERS.items()}
_ORDER = tuple(PHASES)
_FIRST = 1
"""The number of the first post release and of the first dev release."""


class LevelCounting:
    """Numbering by level: major, minor and patch."""

    def begins_series(self, release: Release, level: int) -> bool:
        """Return whether a release begins a series at this level or a higher one: at `minor`, 1.2.0 or 2.0.0."""
        # 0.0.0 counts as a patch, so that `major` of 0.0.0.dev1 is 1.0.0.
        last_nonzero = max((index for index, number in enumerate(release) if number), default=PATCH)
        return last_nonzero <= level

    def next_release(self, release: Release, level: int) -> Release:
        """Return the next release at a level: at `minor`, 1.3.0 for 1.2.4."""
        padded_release = _pad_release(release, level + 1)
        return _pad_release((*padded_release[:level], padded_release[level] + 1), len(padded_release))

    def prerelease(self, number: int, *, used: bool) -> int:
        """Return the number of the next release in a phase: `number` itself if it is not used yet."""
        return number + used


class CalendarCounting(LevelCounting):
    """Numbering by date: YYYY.MM.MICRO if a version has three numbers, else YYYY.MINOR.

    A prerelease's number may be a date, too.
    """

    def __init__(self, release: Release, today: date | None) -> None:
        if today is None:
            raise Blocked("bump-not-possible", 'scheme = "calver" needs a date', fix="pass today's date in UTC")
        self.today = today
        has_month = len(release) >= len(("YYYY", "MM", "MICRO"))
        self.period: Release = (today.year, today.month) if has_month else (today.year,)

    def begins_series(self, release: Release, level: int) -> bool:  # noqa: ARG002 - every level means the next calendar version
        """Return whether a release is of the current year or month."""
        return _pad_release(release, len(self.period))[: len(self.period)] == self.period

    def next_release(self, release: Release, level: int) -> Release:
        """Return the next release of the current year or month."""
        if self.begins_series(release, level):
            return super().next_release(release, len(self.period))
        return _pad_release((*self.period, 0), len(release))

    def prerelease(self, number: int, *, used: bool) -> int:
        """Return the number of the next release in a phase: today's date if the current number is a date.

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


def _final_version(version: Version, release: tuple[int, ...] | None = None) -> Version:
    """Return the final version of `release`, by default the version's own: without pre, post and dev segments."""
    return Version.from_parts(epoch=version.epoch, release=version.release if release is None else release)


def _leads_to_final(version: Version) -> bool:
    """Return whether the final version of this release comes later, which is not so for 1.2.3.post1.dev1."""
    return version.pre is not None or (version.dev is not None and version.post is None)


class VersionStep(Record):
    """The computation of the version after `version`; `start` is the number of the first alpha, beta or rc."""

    version: Version
    bump: Bump
    counting: LevelCounting
    start: int

    def result(self) -> Version:
        """Return the version that the requested bump leads to."""
        match self.bump.part:
            case "major" | "minor" | "patch" as level:
                return self._bump_level(LEVELS.index(level))
            case "release":
                return self._finish_release()
            case "pre" if self.version.pre is not None:
                return self._enter_phase(self.version.pre[0])
            case "pre" | None:
                if self.bump.pre is None:
                    raise self._impossible_bump_error(
                        "is not an alpha, beta or rc", f"choose a phase: {ANY_PHASE}"
                    )
                return self._enter_phase(LETTERS[self.bump.pre])
            case "phase":
                return self._next_phase()
            case "post":
                return self._next_post_release()
            case "dev":
                return self._next_development_version()

    def _bump_level(self, level: int) -> Version:
        """Bump a level, or finish the prerelease that leads to it or to a higher one."""
        version, pre = self.version, self.bump.pre
        if (
            not self.bump.always_increment
            and _leads_to_final(version)
            and self.counting.begins_series(version.release, level)
        ):
            return _final_version(version) if pre is None else self._enter_phase(LETTERS[pre])
        raised_release = self._next_final_version(level)
        return raised_release if pre is None else self._begin_phase(raised_release, LETTERS[pre])

    def _finish_release(self) -> Version:
        """Return the version without its prerelease and dev parts; a post-release keeps its `.post`."""
        if _leads_to_final(self.version):
            return _final_version(self.version)
        if self.version.dev is not None:
            return self.version.__replace__(dev=None)
        raise self._impossible_bump_error("is already final", f"to bump it: {ANY_LEVEL}")

    def _enter_phase(self, letter: str) -> Version:
        """Continue a phase, or start it; after a final version, start it for the next patch."""
        version = self.version
        if not _leads_to_final(version):
            return self._begin_phase(self._next_final_version(PATCH), letter)
        if version.pre is None:
            return self._begin_phase(_final_version(version), letter)
        current_phase = version.pre[0]
        if letter == current_phase:
            return _final_version(version).__replace__(pre=self._next_in_phase(version.pre))
        if _ORDER.index(letter) < _ORDER.index(current_phase):
            raise self._impossible_bump_error(
                f"is past {PHASES[letter]}",
                f"to continue its phase: --part pre; to start the next patch: "
                f"--part patch --pre {PHASES[letter]} --always-increment",
            )
        return self._begin_phase(_final_version(version), letter)

    def _next_phase(self) -> Version:
        """Start the next phase; after the last phase, return the final version."""
        version = self.version
        if not _leads_to_final(version):
            raise self._impossible_bump_error("is not an alpha, beta or rc", f"start a phase: {ANY_PHASE}")
        later = _ORDER if version.pre is None else _ORDER[_ORDER.index(version.pre[0]) + 1 :]
        return self._begin_phase(_final_version(version), later[0]) if later else _final_version(version)

    def _next_post_release(self) -> Version:
        """Return the next post release, or the one that a dev release of it leads to."""
        version = self.version
        if version.dev is not None and version.post is None:
            raise self._impossible_bump_error(
                "is a dev release (it has no post releases)", "--part release, then --part post"
            )
        if version.pre is not None and not self.bump.always_increment:
            raise self._impossible_bump_error(
                "is a prerelease (its post releases need --always-increment)",
                "for the next prerelease: --part pre; for a post release: --part post --always-increment",
            )
        if version.post is None:
            return version.__replace__(post=_FIRST)
        is_pending = version.dev is not None and not self.bump.always_increment
        return version.__replace__(post=version.post if is_pending else version.post + 1, dev=None)

    def _next_development_version(self) -> Version:
        """Return the next dev release: of the same version, the next prerelease, or the next patch."""
        version, number = self.version, self.bump.number
        if version.dev is not None:
            following = self.counting.prerelease(version.dev, used=True) if number is None else number
            return version.__replace__(dev=following)
        first = _FIRST if number is None else number
        if version.pre is not None:
            return _final_version(version).__replace__(pre=self._next_in_phase(version.pre), dev=first)
        return self._next_final_version(PATCH).__replace__(dev=first)

    def _next_final_version(self, level: int) -> Version:
        """Return the next final version at a level: at `minor`, 1.3.0 after 1.2.4."""
        return _final_version(self.version, self.counting.next_release(self.version.release, level))

    def _begin_phase(self, final: Version, letter: str) -> Version:
        """Return the first release of a phase (`a`, `b` or `rc`) that leads to a final version."""
        return final.__replace__(pre=(letter, self.start))

    def _next_in_phase(self, pre: tuple[str, int]) -> tuple[str, int]:
        """Return the letter and the number of the phase's next release.

        If the current version is a dev release of a prerelease, that prerelease is the next one.
        """
        letter, number = pre
        is_pending = self.version.dev is not None and self.version.post is None
        return letter, self.counting.prerelease(number, used=not is_pending)

    def _impossible_bump_error(self, why: str, fix: str) -> Blocked:
        return Blocked("bump-not-possible", f"{self.version} {why}", fix=fix)
