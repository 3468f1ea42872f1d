"""Version arithmetic: from the present version and a request to the next version, or to a refusal.

The model is PEP 440; calendar versions are another way to count on it, SemVer is a spelling of it (`spelling`).
Every result is greater than what it came from in PEP 440's order, unless a lower one was named on purpose. All of
it is total: whatever the version and the request, the answer is a version or a `Blocked`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias, get_args

from packaging.version import InvalidVersion, Version

from relnox.core.records import Record, replace
from relnox.core.semver_compat import (
    Scheme,
    format_version,
    from_semver,
    semver_inversion,
    semver_obstacle,
    to_semver,
)
from relnox.errors import Blocked

if TYPE_CHECKING:
    from datetime import date

__all__ = [
    "Bump",
    "Level",
    "Part",
    "Phase",
    "Scheme",
    "explain",
    "format_version",
    "from_semver",
    "next_version",
    "normalization_note",
    "parse",
    "phase_of",
    "shift_level",
    "to_semver",
]

Level = Literal["major", "minor", "patch"]
Part = Literal["major", "minor", "patch", "release", "pre", "phase", "post", "dev"]
Phase = Literal["alpha", "beta", "rc"]
Release: TypeAlias = tuple[int, ...]

_LEVELS: tuple[Level, ...] = get_args(Level)
_PATCH = _LEVELS.index("patch")
_LETTERS: dict[Phase, str] = {"alpha": "a", "beta": "b", "rc": "rc"}
_PHASES: dict[str, Phase] = {letter: phase for phase, letter in _LETTERS.items()}
_ORDER = tuple(_PHASES)
_ANY_LEVEL, _ANY_PHASE = "--part major, minor or patch", "--pre alpha, beta or rc"
_FIRST = 1
"""The number of the first post release, and of the first dev release."""


class Bump(Record, kw_only=True):
    """What somebody asks for.

    Attributes:
        part: What to raise; `pre` repeats the present phase, `phase` goes to the next one.
        pre: The phase to be in, alone or with a level; with `part="pre"`, the one to start where there is none.
        to: The new version itself, instead of all that.
        exact: Raise the level even where a prerelease stands for it already; let a prerelease have a post release.
        allow_lower: Whether `to` may go down.
    """

    part: Part | None = None
    pre: Phase | None = None
    to: str | None = None
    exact: bool = False
    allow_lower: bool = False


def parse(text: str, *, where: str = "") -> Version:
    """The version that a text means, in any spelling that PEP 440 allows.

    Args:
        text: As it stands in a file or on the command line.
        where: The file, with its line where known, for the message.

    Raises:
        Blocked: The text is not a version of PEP 440.
    """
    place = f"{where}: " if where else ""
    try:
        return Version(text)
    except InvalidVersion:
        raise Blocked(
            "todo",
            f"{place}{text!r} is not a version of PEP 440",
            fix="write it like 1.2.3, 1.2.3a1, 1.2.3rc1, 1.2.3.post1 or 1.2.3.dev1",
        ) from None
    except ValueError:  # Python converts no numbers of thousands of digits
        raise Blocked(
            "todo", f"{place}a number in the version, {text[:20]}…, has too many digits", fix="use smaller numbers"
        ) from None


def normalization_note(text: str, *, scheme: Scheme = "pep440") -> str | None:
    """A note for people where a version will be written in another spelling than it is now.

    For example `1.2.3-alpha.1 is written 1.2.3a1`; under `semver`, the other way round.

    Raises:
        Blocked: The text is not a version of PEP 440.
    """
    written = format_version(parse(text), scheme)
    if written == text:
        return None
    shown = text if text == text.strip() else repr(text)
    return f"{shown} is written {written}"


def next_version(  # noqa: PLR0913 - the project's settings, told by name
    current: Version,
    bump: Bump,
    *,
    scheme: Scheme = "pep440",
    prerelease_start: int = 0,
    calver_format: str = "YYYY.MM.MICRO",
    today: date | None = None,
) -> Version:
    """The version that a request leads to.

    Epoch and length of the release are kept, a local segment is dropped.

    Args:
        current: The present version.
        bump: What is asked for.
        scheme: Under `calver` every level means the calendar's next version; under `semver` what SemVer cannot
            say is refused.
        prerelease_start: The number of the first alpha, beta or rc, 0 or 1.
        calver_format: `YYYY.MM.MICRO` or `YYYY.MINOR`.
        today: The date in UTC; `calver` counts by it.

    Raises:
        Blocked: The request contradicts itself, would not lead upwards, or leads to no version of the scheme.
    """
    _check_request(bump)
    if prerelease_start not in (0, 1):
        raise Blocked(
            "todo", f"prerelease-start is {prerelease_start}, not 0 or 1", fix="set prerelease-start = 0"
        )
    if bump.to is not None:
        result = _named(bump.to)
    else:
        counting = _Calendar.of(calver_format, today) if scheme == "calver" else _Levels()
        result = _Step(_Parts.of(current), bump, counting, prerelease_start).taken().version()
    _check_order(current, result, bump)
    if scheme == "semver" and (obstacle := semver_obstacle(result)) is not None:
        reason, fix = obstacle
        raise Blocked(
            "todo", f'{result} does not fit scheme = "semver": {reason}', fix=f'{fix}; or set scheme = "pep440"'
        )
    return result


def explain(current: Version, bump: Bump, after: Version, *, scheme: Scheme = "pep440") -> str:
    """What a plan should say about a step besides its two versions; empty where the request says it all.

    Args:
        current: The version before.
        bump: What was asked for.
        after: What `next_version` made of it.
        scheme: The scheme it was given.
    """
    return "; ".join(_remarks(current, bump, after, scheme))


def phase_of(version: Version) -> Phase | None:
    """The phase that a version is in; None for one that is no alpha, beta or rc."""
    return None if version.pre is None else _PHASES[version.pre[0]]


def shift_level(current: Version, level: Level, *, shift: bool = True) -> Level:
    """The level to raise where it is derived from commits rather than asked for.

    Below 1.0, where SemVer promises nothing, a breaking change is a minor and a feature a patch.

    Args:
        current: The present version.
        level: What the commits amount to.
        shift: Whether levels shift while major is 0.
    """
    if not shift or current.major > 0:
        return level
    return _LEVELS[min(_LEVELS.index(level) + 1, _PATCH)]


# --- the request -----------------------------------------------------------------------------------


def _check_request(bump: Bump) -> None:
    """Refuse what says nothing, or two things at once."""
    if bump.part is not None and bump.part not in get_args(Part):
        raise Blocked(
            "todo", f"--part {bump.part} is no part of a version", fix=f"--part takes {', '.join(get_args(Part))}"
        )
    if bump.pre is not None and bump.pre not in _LETTERS:
        raise Blocked("todo", f"--pre {bump.pre} is no phase", fix=_ANY_PHASE)
    if bump.allow_lower and bump.to is None:
        raise Blocked(
            "todo", "--allow-lower is for a version that is named", fix="add --to VERSION, or leave it out"
        )
    if bump.to is not None:
        _check_alone(bump)
    elif bump.part is None and bump.pre is None:
        raise Blocked("todo", "nothing says what to raise", fix=f"{_ANY_LEVEL}; {_ANY_PHASE}; or --to VERSION")
    elif bump.pre is not None and bump.part not in (None, "pre", *_LEVELS):
        raise Blocked(
            "todo",
            f"--part {bump.part} and --pre {bump.pre} contradict each other",
            fix=f"give one of them; --pre goes with {_ANY_LEVEL}",
        )
    elif bump.exact and bump.part not in ("post", *_LEVELS):
        raise Blocked("todo", "--exact needs a level to raise", fix=f"add {_ANY_LEVEL}, or leave --exact out")


def _check_alone(bump: Bump) -> None:
    others = {"--part": bump.part, "--pre": bump.pre, "--exact": bump.exact}
    if given := [flag for flag, value in others.items() if value]:
        raise Blocked(
            "todo",
            f"--to {bump.to} names the new version: {' and '.join(given)} would say it again",
            fix=f"give --to {bump.to} alone, or leave it out",
        )


def _named(text: str) -> Version:
    target = parse(text, where="--to")
    if target.local is not None:
        raise Blocked(
            "todo", f"--to {target} has a local segment, which cannot be published", fix=f"--to {target.public}"
        )
    return target


def _check_order(current: Version, result: Version, bump: Bump) -> None:
    if result > current or (bump.allow_lower and result < current):
        return
    if bump.to is None:  # counting always goes up, the calendar's date may not
        raise Blocked(
            "todo",
            f"the calendar's next version is {result}, and the present {current} is ahead of it",
            fix="--part release ends a prerelease, --to VERSION names any version",
        )
    if result == current:
        raise Blocked("todo", f"the version is {current} already", fix="name a greater one with --to")
    raise Blocked(
        "todo", f"{result} is lower than the present {current}", fix=f"--to {result} --allow-lower, if it is meant"
    )


# --- the version in parts --------------------------------------------------------------------------


class _Parts(Record):
    """A version without its local segment, the release as long as it was written."""

    epoch: int
    release: Release
    pre: tuple[str, int] | None = None
    post: int | None = None
    dev: int | None = None

    @classmethod
    def of(cls, version: Version) -> _Parts:
        return cls(version.epoch, version.release, version.pre, version.post, version.dev)

    def final(self, release: Release | None = None) -> _Parts:
        """This release, or another one, without anything after it."""
        return _Parts(self.epoch, self.release if release is None else release)

    @property
    def leads_to_final(self) -> bool:
        """Whether the final version of this release is still to come; after 1.2.3.post1.dev1 it is not."""
        return self.pre is not None or (self.dev is not None and self.post is None)

    def version(self) -> Version:
        try:
            text = f"{self.epoch}!" + ".".join(map(str, self.release))
            text += "" if self.pre is None else f"{self.pre[0]}{self.pre[1]}"
            text += "" if self.post is None else f".post{self.post}"
            text += "" if self.dev is None else f".dev{self.dev}"
            return Version(text)
        except ValueError:  # Python converts no numbers of thousands of digits
            raise Blocked(
                "todo", "the next number has too many digits", fix="name the version: --to VERSION"
            ) from None


def _padded(release: Release, length: int) -> Release:
    return (*release, *([0] * (length - len(release))))


# --- two ways to count -----------------------------------------------------------------------------


class _Counting(Protocol):
    """How releases and prereleases are numbered."""

    def reaches(self, release: Release, level: int) -> bool:
        """Whether getting to a release raised this level or a higher one."""

    def raised(self, release: Release, level: int) -> Release:
        """The release after this one, by its level."""

    def prerelease(self, number: int, *, taken: bool) -> int:
        """The number of a phase's next release, after one that is taken, or still to come."""


class _Levels:
    """Numbers are counts: major, minor and patch."""

    def reaches(self, release: Release, level: int) -> bool:
        # 0.0.0 raised nothing; it counts as a patch, so that `major` of 0.0.0.dev1 is 1.0.0.
        raised = max((place for place, number in enumerate(release) if number), default=_PATCH)
        return raised <= level

    def raised(self, release: Release, level: int) -> Release:
        known = _padded(release, level + 1)
        return _padded((*known[:level], known[level] + 1), len(known))

    def prerelease(self, number: int, *, taken: bool) -> int:
        return number + taken


class _Calendar(Record):
    """The leading numbers are a date, the next one counts within it; a prerelease's number may be a date, too."""

    today: date
    period: Release

    @classmethod
    def of(cls, calver_format: str, today: date | None) -> _Calendar:
        if today is None:
            raise Blocked("todo", 'scheme = "calver" needs the date', fix="give today's date in UTC")
        match calver_format:
            case "YYYY.MM.MICRO":
                return cls(today, (today.year, today.month))
            case "YYYY.MINOR":
                return cls(today, (today.year,))
            case _:
                raise Blocked(
                    "todo", f"calver-format {calver_format!r} is not known", fix="use YYYY.MM.MICRO or YYYY.MINOR"
                )

    def reaches(self, release: Release, level: int) -> bool:  # noqa: ARG002 - every level means the calendar's next
        return _padded(release, len(self.period))[: len(self.period)] == self.period

    def raised(self, release: Release, level: int) -> Release:
        if self.reaches(release, level):
            return _Levels().raised(release, len(self.period))
        return _padded((*self.period, 0), len(release))

    def prerelease(self, number: int, *, taken: bool) -> int:
        least = number + taken
        if not _is_date_stamp(number):
            return least
        stamp = int(self.today.strftime("%y%m%d" if number < _SIX_DIGITS.stop else "%Y%m%d"))
        if stamp < least:
            raise Blocked(
                "todo",
                f"the prerelease number {number} is today's date, {self.today}, or a later one already",
                fix="bump tomorrow, or name the version: --to VERSION",
            )
        return stamp


_SIX_DIGITS = range(10**5, 10**6)
_EIGHT_DIGITS = range(10**7, 10**8)
_MONTHS, _DAYS = range(1, 13), range(1, 32)


def _is_date_stamp(number: int) -> bool:
    """Whether a number reads as YYMMDD or YYYYMMDD."""
    is_long = number in _SIX_DIGITS or number in _EIGHT_DIGITS
    return is_long and number // 100 % 100 in _MONTHS and number % 100 in _DAYS


# --- the step --------------------------------------------------------------------------------------


class _Step(Record):
    """One version, what is asked of it, and how its project counts."""

    parts: _Parts
    bump: Bump
    counting: _Counting
    start: int

    def taken(self) -> _Parts:
        match self.bump.part:
            case "major" | "minor" | "patch" as level:
                return self._level(_LEVELS.index(level))
            case "release":
                return self._release()
            case "pre" if self.parts.pre is not None:
                return self._enter(self.parts.pre[0])
            case "pre" | None:
                return self._enter(self._letter())
            case "phase":
                return self._phase()
            case "post":
                return self._post()
            case "dev":
                return self._dev()

    def _letter(self) -> str:
        if self.bump.pre is None:
            raise self._refusal("is in no phase that could be repeated", f"name one: {_ANY_PHASE}")
        return _LETTERS[self.bump.pre]

    def _level(self, level: int) -> _Parts:
        """Raise a level, or use the prerelease that stands for it or for a higher one."""
        parts, pre = self.parts, self.bump.pre
        if not self.bump.exact and parts.leads_to_final and self.counting.reaches(parts.release, level):
            return parts.final() if pre is None else self._enter(_LETTERS[pre])
        raised = self._raised(level)
        return raised if pre is None else self._started(raised, _LETTERS[pre])

    def _release(self) -> _Parts:
        if self.parts.leads_to_final:
            return self.parts.final()
        if self.parts.dev is not None:
            return replace(self.parts, dev=None)
        raise self._refusal("is already final", f"{_ANY_LEVEL} raises it")

    def _enter(self, letter: str) -> _Parts:
        """Be in a phase: go on in it or start it; a final version means the next patch's."""
        parts = self.parts
        if not parts.leads_to_final:
            return self._started(self._raised(_PATCH), letter)
        if parts.pre is None:
            return self._started(parts.final(), letter)
        present = parts.pre[0]
        if letter == present:
            return replace(parts.final(), pre=self._continued(parts.pre))
        if _ORDER.index(letter) < _ORDER.index(present):
            raise self._refusal(
                f"is past {_PHASES[letter]}: a phase never goes back",
                f"--part pre goes on in it; --part patch --pre {_PHASES[letter]} --exact starts the next patch",
            )
        return self._started(parts.final(), letter)

    def _phase(self) -> _Parts:
        parts = self.parts
        if not parts.leads_to_final:
            raise self._refusal("is in no phase that another follows", f"start one: {_ANY_PHASE}")
        later = _ORDER if parts.pre is None else _ORDER[_ORDER.index(parts.pre[0]) + 1 :]
        return self._started(parts.final(), later[0]) if later else parts.final()

    def _post(self) -> _Parts:
        parts = self.parts
        if parts.dev is not None and parts.post is None:
            raise self._refusal("is a dev release, which has no post releases", "--part release, then --part post")
        if parts.pre is not None and not self.bump.exact:
            raise self._refusal(
                "is a prerelease: a post release of it is seldom meant",
                "--part pre for the next one, or --part post --exact",
            )
        if parts.post is None:
            return replace(parts, post=_FIRST)
        to_come = parts.dev is not None and not self.bump.exact
        return replace(parts, post=parts.post if to_come else parts.post + 1, dev=None)

    def _dev(self) -> _Parts:
        """The next dev release of what is to come: of the same, of the next in the phase, or of the next patch."""
        parts = self.parts
        if parts.dev is not None:
            return replace(parts, dev=self.counting.prerelease(parts.dev, taken=True))
        if parts.pre is not None:
            return replace(parts.final(), pre=self._continued(parts.pre), dev=_FIRST)
        return replace(self._raised(_PATCH), dev=_FIRST)

    def _raised(self, level: int) -> _Parts:
        return self.parts.final(self.counting.raised(self.parts.release, level))

    def _started(self, final: _Parts, letter: str) -> _Parts:
        return replace(final, pre=(letter, self.start))

    def _continued(self, pre: tuple[str, int]) -> tuple[str, int]:
        """The phase's next release; a dev release of a prerelease has it still to come."""
        letter, number = pre
        to_come = self.parts.dev is not None and self.parts.post is None
        return letter, self.counting.prerelease(number, taken=not to_come)

    def _refusal(self, what: str, fix: str) -> Blocked:
        return Blocked("todo", f"{self.parts.version()} {what}", fix=fix)


# --- what a plan says ------------------------------------------------------------------------------


def _remarks(current: Version, bump: Bump, after: Version, scheme: Scheme) -> list[str]:
    remarks = []
    moved = after.release != current.release
    if bump.to is None and moved and bump.part not in _LEVELS:
        implied = "the calendar's next version" if scheme == "calver" else "patch"
        kind = "final version" if current.post is None else "post release"
        remarks.append(f"{bump.pre or bump.part} on a {kind} implies {implied}")
    elif bump.part in _LEVELS and moved and scheme == "calver":
        remarks.append(f"{bump.part} means the calendar's next version")
    elif bump.part in _LEVELS and not moved:
        verb = "finishes" if bump.pre is None else "continues"
        remarks.append(f"{bump.part} {verb} this prerelease of {after.base_version}; --exact would raise it again")
    if current.local is not None:
        remarks.append(f"the local segment +{current.local} is dropped")
    if scheme == "semver" and (warning := semver_inversion(current, after)) is not None:
        remarks.append(warning)
    return remarks
