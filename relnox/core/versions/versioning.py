"""Computation of the next version from the current version and a requested bump.

The rules are those of PEP 440. Calendar versions only count in another way, and SemVer only writes versions in
another form (`semver_compat`). Every result is greater than the current version in PEP 440's order, unless
--allow-lower is given. Every combination of version and request results in a version or raises `Blocked`.
"""

from __future__ import annotations

import contextlib
from datetime import date, datetime
from typing import Literal, TypeAlias, get_args

from packaging.version import Version

from relnox.core.records import Record
from relnox.core.versions.semver_compat import (
    MAX_SHOWN,
    Scheme,
    format_version,
    semver_obstacle,
    semver_order_warning,
)
from relnox.errors import Blocked

Level = Literal["major", "minor", "patch"]
Part = Literal["major", "minor", "patch", "release", "pre", "phase", "post", "dev"]
Phase = Literal["alpha", "beta", "rc"]

LEVELS: tuple[Level, ...] = get_args(Level)
LETTERS: dict[Phase, str] = {"alpha": "a", "beta": "b", "rc": "rc"}
"""Maps each phase to the letters that stand for it in a version."""
ANY_LEVEL, ANY_PHASE = "--part major, minor or patch", "--pre alpha, beta or rc"
Release: TypeAlias = tuple[int, ...]

PATCH = 2
"""The index of the patch number in a release."""
_TWO_DIGITS = range(10, 100)
"""First numbers that are years of two digits: no version with such a year could follow one with four."""
_DATE_FORMATS = {6: "%y%m%d", 8: "%Y%m%d"}
"""The formats of dates that are the number of a prerelease, by their length."""
PHASES: dict[str, Phase] = {letter: phase for phase, letter in LETTERS.items()}
_ORDER = tuple(PHASES)
_FIRST = 1
"""The number of the first post release and of the first dev release."""


class Bump(Record, kw_only=True):
    """A requested bump; `check_bump` checks the combination. A level is major, minor or patch.

    Attributes:
        part: The part to bump. `release` ends a prerelease or dev release, `pre` continues the current phase,
            `phase` starts the next one; None with `to`, or with `pre` alone.
        pre: The phase of the new version, alone or with a level as `part`. With `part="pre"`, it is the phase to
            start if the current version has none. No other part can be combined with it.
        to: The new version itself, if it is given; then `part` and `pre` must be None.
        always_increment: Whether to bump the level even if the current prerelease already leads to it, and to
            allow post releases of prereleases.
        allow_lower: Whether `to` may be lower than the current version.
        number: With `part="dev"`, the number of the development release, or None for the next one.
    """

    part: Part | None = None
    pre: Phase | None = None
    to: str | None = None
    always_increment: bool = False
    allow_lower: bool = False
    number: int | None = None


def check_bump(bump: Bump) -> None:
    """Raise `Blocked` if the options request no bump, or contradict each other."""
    if bump.allow_lower and bump.to is None:
        raise Blocked(
            "option-missing",
            "--allow-lower needs --to",
            fix="remove --allow-lower" if bump.part or bump.pre else "add --to VERSION",
        )
    if bump.to is not None:
        others = {"--part": bump.part, "--pre": bump.pre, "--always-increment": bump.always_increment}
        if flags := [flag for flag, value in others.items() if value]:
            raise Blocked(
                "options-conflict",
                f"--to {bump.to} cannot be combined with {' and '.join(flags)}",
                fix=f"remove {' '.join(flags)}; or remove --to",
            )
    elif bump.part is None and bump.pre is None:
        raise Blocked(
            "option-missing",
            "no bump requested (--part, --pre or --to is missing)",
            fix=f"{ANY_LEVEL}; {ANY_PHASE}; or --to VERSION",
        )
    elif bump.pre is not None and bump.part not in (None, "pre", *LEVELS):
        raise Blocked(
            "options-conflict",
            f"--pre {bump.pre} cannot be combined with --part {bump.part} (only with a level, such as minor)",
            fix=f"remove --pre; or write {ANY_LEVEL}",
        )
    elif bump.always_increment and bump.part not in ("post", *LEVELS):
        raise Blocked(
            "option-missing",
            "--always-increment needs --part",
            fix=f"add {ANY_LEVEL}, or remove --always-increment",
        )


def parse_version(text: str, *, where: str = "") -> Version:
    """Parse a version in any form of PEP 440, or raise `Blocked`; `where` is its file or option, for messages."""
    location = f"{where}: " if where else ""
    try:
        return Version(text)
    except ValueError:  # InvalidVersion is one; so is a number of thousands of digits
        raise Blocked(
            "version-invalid",
            f"{location}{text[:MAX_SHOWN]!r} is not a valid version (PEP 440)",
            fix="write it like 1.2.3, 1.2.3a1, 1.2.3rc1, 1.2.3.post1 or 1.2.3.dev1",
        ) from None


def next_version(
    current: Version,
    bump: Bump,
    *,
    scheme: Scheme = "pep440",
    prerelease_start: int = 0,
    today: date | None = None,
) -> Version:
    """Return the version that a requested bump leads to.

    The epoch and the count of numbers in the release (three in 1.2.0) do not change. A local segment is dropped.
    Under `calver`, every level means the next calendar version, and `today`, the date in UTC, must not be None.
    The first alpha, beta or rc gets the number `prerelease_start`, 0 or 1.

    Raises:
        Blocked: The options contradict each other, or the result is not higher or does not fit the scheme.
    """
    check_bump(bump)
    if bump.to is not None:
        result = _parse_explicit_version(bump.to)
    else:
        counting = CalendarCounting(current.release, today) if scheme == "calver" else LevelCounting()
        result = BumpComputation(current.__replace__(local=None), bump, counting, prerelease_start).result()
    try:
        str(result)
    except ValueError:  # Python converts no numbers of thousands of digits
        raise Blocked(
            "version-invalid", "the next number has too many digits", fix="set the version: --to VERSION"
        ) from None
    _check_result_is_higher(current, result, bump)
    if scheme == "semver" and (obstacle := semver_obstacle(result)) is not None:
        reason, fix = obstacle
        raise Blocked(
            "version-invalid",
            f'{result} does not fit scheme = "semver" ({reason})',
            fix=f'{fix}; or set scheme = "pep440"',
        )
    return result


def may_result_from_bump(version: Version, bump: Bump) -> bool:
    """Return whether a bump may result in this version: whether it is final, a beta, and so on, as requested.

    The numbers of a release are not compared. With `to`, only that version is possible; with `number`, only that
    dev release.
    """
    if bump.to is not None:
        return parse_version(bump.to, where="--to") == version
    if bump.part == "dev":
        return version.is_devrelease and bump.number in (None, version.dev)
    if bump.part == "post":
        return version.is_postrelease and not version.is_devrelease
    if version.is_devrelease or (version.is_postrelease and bump.part != "release"):
        return False
    if bump.part == "phase":  # the phase after rc is the final version
        return True
    if bump.pre is not None and bump.part != "pre":
        return phase_of(version) == bump.pre
    return (version.pre is not None) == (bump.part == "pre")


def phase_of(version: Version) -> Phase | None:
    """Return the phase of a version, or None if it is not an alpha, beta or rc."""
    return None if version.pre is None else PHASES[version.pre[0]]


def adjust_level_before_1_0(current: Version, level: Level, *, shift: bool = True) -> Level:
    """Return the level of a bump that was derived from commits, lowered if the version is below 1.0.

    Then `major` becomes `minor`, and `minor` becomes `patch`, unless `shift` is false.
    """
    if not shift or current.major > 0:
        return level
    return LEVELS[min(LEVELS.index(level) + 1, PATCH)]


def _parse_explicit_version(text: str) -> Version:
    """Parse the version given by `--to`; raise `Blocked` if it is invalid or has a local segment."""
    target = parse_version(text, where="--to")
    if target.local is not None:
        raise Blocked(
            "local-version",
            f"--to {target} has a local segment (+{target.local}), which indexes reject",
            fix=f"--to {target.public}",
        )
    return target


def _check_result_is_higher(current: Version, result: Version, bump: Bump) -> None:
    """Raise `Blocked` unless the result is higher than the current version, or lower with `allow_lower`."""
    if result > current or (bump.allow_lower and result < current):
        return
    if bump.number is not None:
        raise Blocked(
            "version-not-higher",
            f"--number {bump.number} is not higher than that of the current version {current}",
            fix=f"choose a higher number: relnox bump --part dev --number {(current.dev or 0) + 1}",
        )
    if bump.to is None:  # only a calendar version can be lower
        raise Blocked(
            "version-not-higher",
            f"the next calendar version {result} is not higher than the current version {current}",
            fix="to finish a prerelease: --part release; to set the version: --to VERSION",
        )
    if result == current:
        raise Blocked(
            "version-not-higher",
            f"--to {result}: the version is already {current}",
            fix="choose a higher version: --to VERSION",
        )
    raise Blocked(
        "version-not-higher",
        f"--to {result} is lower than the current version {current}",
        fix=f"to bump to it anyway: --to {result} --allow-lower",
    )


def normalization_note(text: str, *, scheme: Scheme = "pep440") -> str | None:
    """Return a message if `scheme` writes a version in another form than `text`, or else None.

    An example is `1.2.3-alpha.1 is normalized to 1.2.3a1`, and under `semver`, `1.2.3a1 is normalized to
    1.2.3-alpha.1`.

    Raises:
        Blocked: The text is not a version.
    """
    normalized_text = format_version(parse_version(text), scheme)
    if normalized_text == text:
        return None
    return f"{text if text == text.strip() else repr(text)} is normalized to {normalized_text}"


def explain_bump(current: Version, bump: Bump, after: Version, *, scheme: Scheme = "pep440") -> str:
    """Return a message about what a bump from `current` to `after` implies or drops; empty if nothing.

    Examples are that `minor` finishes the current prerelease, and that a local segment is dropped.
    """
    notes = []
    is_new_release = after.release != current.release
    if bump.to is None and is_new_release and bump.part not in LEVELS:
        implied_part = "the next calendar version" if scheme == "calver" else "patch"
        kind = "final version" if current.post is None else "post release"
        notes.append(f"{bump.pre or bump.part} on a {kind} implies {implied_part}")
    elif bump.part in LEVELS and is_new_release and scheme == "calver":
        notes.append(f"{bump.part} means the next calendar version")
    elif bump.part in LEVELS and not is_new_release:
        verb = "finishes" if bump.pre is None else "continues"
        notes.append(
            f"{bump.part} {verb} this prerelease of {after.base_version}; to bump further: --always-increment"
        )
    if current.local is not None:
        notes.append(f"the local segment +{current.local} is dropped")
    if scheme == "semver" and (warning := semver_order_warning(current, after)) is not None:
        notes.append(warning)
    return "; ".join(notes)


class LevelCounting:
    """Numbering by level: major, minor and patch, given as 0, 1 and 2. A release is a tuple of its numbers."""

    def begins_series(self, release: Release, level: int) -> bool:
        """Return whether a release begins a series at this level or a higher one.

        At `minor`, 1.2.0 and 2.0.0 do, and 1.2.3 does not.
        """
        # 0.0.0 counts as a patch, so that `major` of 0.0.0.dev1 is 1.0.0.
        last_nonzero = max((index for index, number in enumerate(release) if number), default=PATCH)
        return last_nonzero <= level

    def next_release(self, release: Release, level: int) -> Release:
        """Return the next release at a level: at `minor`, 1.3.0 for 1.2.4."""
        padded_release = _pad_release(release, level + 1)
        return _pad_release((*padded_release[:level], padded_release[level] + 1), len(padded_release))

    def next_prerelease_number(self, number: int, *, is_used: bool) -> int:
        """Return the number of the next prerelease: `number`, or the one after it if that `is_used` already."""
        return number + is_used


class CalendarCounting(LevelCounting):
    """Numbering by date: YYYY.MM.MICRO if `release` has three numbers or more, else YYYY.MINOR.

    The year has two digits if the first number of `release` has.

    Args:
        today: The current date; `Blocked` is raised if it is None.
    """

    def __init__(self, release: Release, today: date | None) -> None:
        if today is None:
            raise Blocked(
                "bump-not-possible", 'scheme = "calver" needs a date', fix="pass today=datetime.now(UTC).date()"
            )
        self.today = today
        year = today.year % 100 if release[0] in _TWO_DIGITS else today.year
        has_month = len(release) >= len(("YYYY", "MM", "MICRO"))
        self.period: Release = (year, today.month) if has_month else (year,)

    def begins_series(self, release: Release, level: int) -> bool:  # noqa: ARG002 - every level means the next calendar version
        """Return whether a release is of the current month, or under YYYY.MINOR of the current year.

        The level is ignored: every level means the next calendar version.
        """
        return _pad_release(release, len(self.period))[: len(self.period)] == self.period

    def next_release(self, release: Release, level: int) -> Release:
        """Return the next release of the current month, or under YYYY.MINOR of the current year.

        In July 2026, it is 2026.7.0 after 2026.6.3, and 2026.7.1 after 2026.7.0. The level is ignored.
        """
        if self.begins_series(release, level):
            return super().next_release(release, len(self.period))
        return _pad_release((*self.period, 0), len(release))

    def next_prerelease_number(self, number: int, *, is_used: bool) -> int:
        """Return today's date in the form of `number` if that is a date, such as 260730.

        Otherwise, return `number`, or the one after it if it `is_used` already.

        Raises:
            Blocked: `number` is a later date, or is today's date and already used.
        """
        date_format = _date_format(number)
        if date_format is None:
            return super().next_prerelease_number(number, is_used=is_used)
        today = int(self.today.strftime(date_format))
        if today < number + is_used:
            raise Blocked(
                "version-not-higher",
                f"prerelease number {number} is already today's date ({self.today}) or a later one",
                fix="bump tomorrow; or set the version: --to VERSION",
            )
        return today


def _date_format(number: int) -> str | None:
    """Return the format, such as `%y%m%d`, of a prerelease number that is a date; None if it is not one."""
    for length, date_format in _DATE_FORMATS.items():
        if number in range(10 ** (length - 1), 10**length):
            with contextlib.suppress(ValueError):
                datetime.strptime(str(number), date_format)  # noqa: DTZ007 - only whether it is a date
                return date_format
    return None


def _pad_release(release: Release, length: int) -> Release:
    """Return a release padded with zeros to at least this length."""
    return (*release, *([0] * (length - len(release))))


def _final_version(version: Version, release: tuple[int, ...] | None = None) -> Version:
    """Return the final version with the numbers `release`, or with the version's own if that is None.

    The epoch is that of the version; its pre, post, dev and local segments are dropped.
    """
    return Version.from_parts(epoch=version.epoch, release=version.release if release is None else release)


def _precedes_final_version(version: Version) -> bool:
    """Return whether the final version with the same numbers comes later: 1.2.3 after 1.2.3rc1 and 1.2.3.dev1.

    That is not so for 1.2.3.post1.dev1.
    """
    return version.pre is not None or (version.dev is not None and version.post is None)


class BumpComputation(Record):
    """The computation of the next version; methods raise `Blocked` if a bump of this kind is not possible.

    Attributes:
        version: The current version, without a local segment.
        bump: The requested bump, which must not have `to`.
        counting: How the next numbers are determined: by level or by date.
        start: The number of the first release of a phase.
    """

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
        """Return the next version at a level, or the end of a prerelease that leads to it or to a higher one.

        If the bump has a phase, it is a prerelease of that version.
        """
        version, pre = self.version, self.bump.pre
        if (
            not self.bump.always_increment
            and _precedes_final_version(version)
            and self.counting.begins_series(version.release, level)
        ):
            return _final_version(version) if pre is None else self._enter_phase(LETTERS[pre])
        raised_release = self._next_final_version(level)
        return raised_release if pre is None else self._begin_phase(raised_release, LETTERS[pre])

    def _finish_release(self) -> Version:
        """Return the version without its prerelease and dev parts; a post-release keeps its `.post`."""
        if _precedes_final_version(self.version):
            return _final_version(self.version)
        if self.version.dev is not None:
            return self.version.__replace__(dev=None)
        raise self._impossible_bump_error("is already final", f"to bump it: {ANY_LEVEL}")

    def _enter_phase(self, letter: str) -> Version:
        """Continue a phase, or start it; after a final version, start it for the next patch."""
        version = self.version
        if not _precedes_final_version(version):
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
        """Start the next phase, or the first in a dev release; after the last phase, return the final version."""
        version = self.version
        if not _precedes_final_version(version):
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
            following = (
                self.counting.next_prerelease_number(version.dev, is_used=True) if number is None else number
            )
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
        return letter, self.counting.next_prerelease_number(number, is_used=not is_pending)

    def _impossible_bump_error(self, why: str, fix: str) -> Blocked:
        """Return an error whose message is the version followed by `why`."""
        return Blocked("bump-not-possible", f"{self.version} {why}", fix=fix)
