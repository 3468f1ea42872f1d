"""Version arithmetic: from the present version and a requested bump to the next version.

The model is PEP 440; calendar versions are another way to count, SemVer another way to write (`semver_compat`).
Every result is greater than the present version in PEP 440's order, unless --allow-lower is given. Every
combination of version and request gives a version or a `Blocked`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias, get_args

from packaging.version import InvalidVersion, Version

from relnox.core.records import Record, replace
from relnox.core.versions.semver_compat import (
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
    """A requested bump.

    Attributes:
        part: The part to bump; `pre` continues the present phase, `phase` starts the next one.
        pre: The phase of the new version, alone or with a level; with `part="pre"`, the phase to start if there is
            none.
        to: The new version itself, instead of the above.
        always_increment: Bump the level even if the present prerelease leads to it already; allow post releases of
            prereleases.
        allow_lower: Whether `to` may be lower than the present version.
        number: The number of the development release, instead of the next one.
    """

    part: Part | None = None
    pre: Phase | None = None
    to: str | None = None
    always_increment: bool = False
    allow_lower: bool = False
    number: int | None = None


def parse(text: str, *, where: str = "") -> Version:
    """Parse a version, in any spelling that PEP 440 allows.

    Args:
        text: The version as written in a file or on the command line.
        where: The file, with its line where known, for the message.

    Raises:
        Blocked: The text is not a version of PEP 440.
    """
    location = f"{where}: " if where else ""
    try:
        return Version(text)
    except InvalidVersion:
        raise Blocked(
            "version-invalid",
            f"{location}{text!r} is not a valid version (PEP 440)",
            fix="write it like 1.2.3, 1.2.3a1, 1.2.3rc1, 1.2.3.post1 or 1.2.3.dev1",
        ) from None
    except ValueError:  # Python converts no numbers of thousands of digits
        raise Blocked(
            "version-invalid", f"{location}a number in {text[:20]}… has too many digits", fix="use smaller numbers"
        ) from None


def normalization_note(text: str, *, scheme: Scheme = "pep440") -> str | None:
    """Return a note if a version will be written in another form than now.

    For example `1.2.3-alpha.1 is normalized to 1.2.3a1`; under `semver`, the other way round.

    Raises:
        Blocked: The text is not a version of PEP 440.
    """
    normalized = format_version(parse(text), scheme)
    if normalized == text:
        return None
    return f"{text if text == text.strip() else repr(text)} is normalized to {normalized}"


def next_version(  # noqa: PLR0913 - the project's settings, passed by name
    current: Version,
    bump: Bump,
    *,
    scheme: Scheme = "pep440",
    prerelease_start: int = 0,
    calver_format: str = "YYYY.MM.MICRO",
    today: date | None = None,
) -> Version:
    """Return the version that a request leads to.

    The epoch and the length of the release stay, a local segment is dropped.

    Args:
        current: The present version.
        bump: The requested bump.
        scheme: Under `calver` every level means the next calendar version; under `semver` versions that SemVer
            cannot express are blocked.
        prerelease_start: The number of the first alpha, beta or rc, 0 or 1.
        calver_format: `YYYY.MM.MICRO` or `YYYY.MINOR`.
        today: The date in UTC, for `calver`.

    Raises:
        Blocked: The options contradict each other, the result would not be higher, or does not fit the scheme.
    """
    _check_request(bump)
    if prerelease_start not in (0, 1):
        raise Blocked(
            "value-invalid",
            f"prerelease-start is {prerelease_start}, not 0 or 1",
            fix="set prerelease-start = 0",
        )
    if bump.to is not None:
        result = _explicit(bump.to)
    else:
        counting = _Calendar.of(calver_format, today) if scheme == "calver" else _Levels()
        result = _Step(_Parts.of(current), bump, counting, prerelease_start).result().version()
    _check_order(current, result, bump)
    if scheme == "semver" and (obstacle := semver_obstacle(result)) is not None:
        reason, fix = obstacle
        raise Blocked(
            "version-not-semver",
            f'{result} does not fit scheme = "semver" ({reason})',
            fix=f'{fix}; or set scheme = "pep440"',
        )
    return result


def explain(current: Version, bump: Bump, after: Version, *, scheme: Scheme = "pep440") -> str:
    """Return a note that explains how the new version follows from the request; empty if that is obvious.

    Args:
        current: The version before.
        bump: The requested bump.
        after: The result of `next_version`.
        scheme: The scheme passed to it.
    """
    return "; ".join(_notes(current, bump, after, scheme))


def phase_of(version: Version) -> Phase | None:
    """Return the phase of a version; None if it is no alpha, beta or rc."""
    return None if version.pre is None else _PHASES[version.pre[0]]


def shift_level(current: Version, level: Level, *, shift: bool = True) -> Level:
    """Return the level to bump for a level derived from commits.

    Below 1.0, where SemVer makes no promises, a breaking change is a minor and a feature a patch.

    Args:
        current: The present version.
        level: The highest level of the commits.
        shift: Whether levels shift while major is 0.
    """
    if not shift or current.major > 0:
        return level
    return _LEVELS[min(_LEVELS.index(level) + 1, _PATCH)]


# --- the request -----------------------------------------------------------------------------------


def _check_request(bump: Bump) -> None:
    """Check that the options are valid, sufficient and without contradiction."""
    if bump.part is not None and bump.part not in get_args(Part):
        raise Blocked(
            "option-invalid", f"--part {bump.part} is invalid", fix=f"choose one of {', '.join(get_args(Part))}"
        )
    if bump.pre is not None and bump.pre not in _LETTERS:
        raise Blocked("option-invalid", f"--pre {bump.pre} is invalid", fix=_ANY_PHASE)
    if bump.allow_lower and bump.to is None:
        raise Blocked(
            "option-missing", "--allow-lower needs --to", fix="add --to VERSION, or leave --allow-lower out"
        )
    if bump.to is not None:
        _check_alone(bump)
    elif bump.part is None and bump.pre is None:
        raise Blocked("option-missing", "no bump requested", fix=f"{_ANY_LEVEL}; {_ANY_PHASE}; or --to VERSION")
    elif bump.pre is not None and bump.part not in (None, "pre", *_LEVELS):
        raise Blocked(
            "options-conflict",
            f"--part {bump.part} and --pre {bump.pre} contradict each other",
            fix=f"give one of them; --pre goes with {_ANY_LEVEL}",
        )
    elif bump.always_increment and bump.part not in ("post", *_LEVELS):
        raise Blocked(
            "option-missing",
            "--always-increment needs --part",
            fix=f"add {_ANY_LEVEL}, or leave --always-increment out",
        )


def _check_alone(bump: Bump) -> None:
    others = {"--part": bump.part, "--pre": bump.pre, "--always-increment": bump.always_increment}
    if flags := [flag for flag, value in others.items() if value]:
        raise Blocked(
            "options-conflict",
            f"--to {bump.to} cannot be combined with {' and '.join(flags)}",
            fix=f"give --to {bump.to} alone, or leave it out",
        )


def _explicit(text: str) -> Version:
    target = parse(text, where="--to")
    if target.local is not None:
        raise Blocked(
            "version-not-publishable",
            f"--to {target} has a local segment (+{target.local}), which indexes reject",
            fix=f"--to {target.public}",
        )
    return target


def _check_order(current: Version, result: Version, bump: Bump) -> None:
    if result > current or (bump.allow_lower and result < current):
        return
    if bump.number is not None:
        order = "already" if result == current else "higher, being"
        raise Blocked(
            "version-not-higher",
            f"development release {bump.number} is not higher than the present version: that is {order} {current}",
            fix="commit no development versions, or use --from time",
        )
    if bump.to is None:  # only a calendar version can be lower
        raise Blocked(
            "version-not-higher",
            f"the next calendar version {result} is not higher than the present version {current}",
            fix="to finish a prerelease: --part release; to set the version: --to VERSION",
        )
    if result == current:
        raise Blocked(
            "version-not-higher", f"the version is already {current}", fix="choose a higher version with --to"
        )
    raise Blocked(
        "version-not-higher",
        f"{result} is lower than the present version {current}",
        fix=f"to bump to it anyway: --to {result} --allow-lower",
    )


# --- the version in parts --------------------------------------------------------------------------


class _Parts(Record):
    """A version without its local segment, the release with its original length."""

    epoch: int
    release: Release
    pre: tuple[str, int] | None = None
    post: int | None = None
    dev: int | None = None

    @classmethod
    def of(cls, version: Version) -> _Parts:
        return cls(version.epoch, version.release, version.pre, version.post, version.dev)

    def final(self, release: Release | None = None) -> _Parts:
        """Return this release, or another one, without pre, post and dev segments."""
        return _Parts(self.epoch, self.release if release is None else release)

    @property
    def leads_to_final(self) -> bool:
        """Whether the final version of this release comes later; for 1.2.3.post1.dev1 it does not."""
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
                "version-invalid", "the next number has too many digits", fix="set the version: --to VERSION"
            ) from None


def _padded(release: Release, length: int) -> Release:
    return (*release, *([0] * (length - len(release))))


# --- two ways to count -----------------------------------------------------------------------------


class _Counting(Protocol):
    """A way to number releases and prereleases."""

    def reaches(self, release: Release, level: int) -> bool:
        """Return whether a release is the first of its series at this level or a higher one."""

    def raised(self, release: Release, level: int) -> Release:
        """Return the next release at a level."""

    def prerelease(self, number: int, *, used: bool) -> int:
        """Return the number of a phase's next release; the given one, if it is not used yet."""


class _Levels:
    """Numbering by level: major, minor and patch."""

    def reaches(self, release: Release, level: int) -> bool:
        # 0.0.0 counts as a patch, so that `major` of 0.0.0.dev1 is 1.0.0.
        last_nonzero = max((index for index, number in enumerate(release) if number), default=_PATCH)
        return last_nonzero <= level

    def raised(self, release: Release, level: int) -> Release:
        padded = _padded(release, level + 1)
        return _padded((*padded[:level], padded[level] + 1), len(padded))

    def prerelease(self, number: int, *, used: bool) -> int:
        return number + used


class _Calendar(Record):
    """Numbering by date: a date first, then a count within it; a prerelease's number may be a date, too."""

    today: date
    period: Release

    @classmethod
    def of(cls, calver_format: str, today: date | None) -> _Calendar:
        if today is None:
            raise Blocked("date-missing", 'scheme = "calver" needs a date', fix="pass today's date in UTC")
        match calver_format:
            case "YYYY.MM.MICRO":
                return cls(today, (today.year, today.month))
            case "YYYY.MINOR":
                return cls(today, (today.year,))
            case _:
                raise Blocked(
                    "value-invalid",
                    f"unknown calver-format: {calver_format!r}",
                    fix="use YYYY.MM.MICRO or YYYY.MINOR",
                )

    def reaches(self, release: Release, level: int) -> bool:  # noqa: ARG002 - every level means the next calendar version
        return _padded(release, len(self.period))[: len(self.period)] == self.period

    def raised(self, release: Release, level: int) -> Release:
        if self.reaches(release, level):
            return _Levels().raised(release, len(self.period))
        return _padded((*self.period, 0), len(release))

    def prerelease(self, number: int, *, used: bool) -> int:
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


_SIX_DIGITS = range(10**5, 10**6)
_EIGHT_DIGITS = range(10**7, 10**8)
_MONTHS, _DAYS = range(1, 13), range(1, 32)


def _is_date_stamp(number: int) -> bool:
    """Return whether a number reads as YYMMDD or YYYYMMDD."""
    is_long = number in _SIX_DIGITS or number in _EIGHT_DIGITS
    return is_long and number // 100 % 100 in _MONTHS and number % 100 in _DAYS


# --- the step --------------------------------------------------------------------------------------


class _Step(Record):
    """One step of version arithmetic: a version, the requested bump, and the way to count."""

    parts: _Parts
    bump: Bump
    counting: _Counting
    start: int

    def result(self) -> _Parts:
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
            raise self._not_possible("is not an alpha, beta or rc", f"choose a phase: {_ANY_PHASE}")
        return _LETTERS[self.bump.pre]

    def _level(self, level: int) -> _Parts:
        """Bump a level, or finish the prerelease that leads to it or to a higher one."""
        parts, pre = self.parts, self.bump.pre
        if not self.bump.always_increment and parts.leads_to_final and self.counting.reaches(parts.release, level):
            return parts.final() if pre is None else self._enter(_LETTERS[pre])
        raised = self._raised(level)
        return raised if pre is None else self._started(raised, _LETTERS[pre])

    def _release(self) -> _Parts:
        if self.parts.leads_to_final:
            return self.parts.final()
        if self.parts.dev is not None:
            return replace(self.parts, dev=None)
        raise self._not_possible("is already final", f"to bump it: {_ANY_LEVEL}")

    def _enter(self, letter: str) -> _Parts:
        """Continue a phase or start it; after a final version, start it for the next patch."""
        parts = self.parts
        if not parts.leads_to_final:
            return self._started(self._raised(_PATCH), letter)
        if parts.pre is None:
            return self._started(parts.final(), letter)
        present = parts.pre[0]
        if letter == present:
            return replace(parts.final(), pre=self._continued(parts.pre))
        if _ORDER.index(letter) < _ORDER.index(present):
            raise self._not_possible(
                f"is past {_PHASES[letter]}",
                f"to continue its phase: --part pre; to start the next patch: "
                f"--part patch --pre {_PHASES[letter]} --always-increment",
            )
        return self._started(parts.final(), letter)

    def _phase(self) -> _Parts:
        parts = self.parts
        if not parts.leads_to_final:
            raise self._not_possible("is not an alpha, beta or rc", f"start a phase: {_ANY_PHASE}")
        later = _ORDER if parts.pre is None else _ORDER[_ORDER.index(parts.pre[0]) + 1 :]
        return self._started(parts.final(), later[0]) if later else parts.final()

    def _post(self) -> _Parts:
        parts = self.parts
        if parts.dev is not None and parts.post is None:
            raise self._not_possible(
                "is a dev release (it has no post releases)", "--part release, then --part post"
            )
        if parts.pre is not None and not self.bump.always_increment:
            raise self._not_possible(
                "is a prerelease (its post releases need --always-increment)",
                "for the next prerelease: --part pre; for a post release: --part post --always-increment",
            )
        if parts.post is None:
            return replace(parts, post=_FIRST)
        is_pending = parts.dev is not None and not self.bump.always_increment
        return replace(parts, post=parts.post if is_pending else parts.post + 1, dev=None)

    def _dev(self) -> _Parts:
        """Return the next dev release: of the same version, the next prerelease, or the next patch."""
        parts, number = self.parts, self.bump.number
        if parts.dev is not None:
            following = self.counting.prerelease(parts.dev, used=True) if number is None else number
            return replace(parts, dev=following)
        first = _FIRST if number is None else number
        if parts.pre is not None:
            return replace(parts.final(), pre=self._continued(parts.pre), dev=first)
        return replace(self._raised(_PATCH), dev=first)

    def _raised(self, level: int) -> _Parts:
        return self.parts.final(self.counting.raised(self.parts.release, level))

    def _started(self, final: _Parts, letter: str) -> _Parts:
        return replace(final, pre=(letter, self.start))

    def _continued(self, pre: tuple[str, int]) -> tuple[str, int]:
        """Return the phase's next release; for a dev release of a prerelease, that prerelease."""
        letter, number = pre
        is_pending = self.parts.dev is not None and self.parts.post is None
        return letter, self.counting.prerelease(number, used=not is_pending)

    def _not_possible(self, why: str, fix: str) -> Blocked:
        return Blocked("bump-not-possible", f"{self.parts.version()} {why}", fix=fix)


# --- notes -----------------------------------------------------------------------------------------


def _notes(current: Version, bump: Bump, after: Version, scheme: Scheme) -> list[str]:
    notes = []
    is_new_release = after.release != current.release
    if bump.to is None and is_new_release and bump.part not in _LEVELS:
        implied = "the next calendar version" if scheme == "calver" else "patch"
        kind = "final version" if current.post is None else "post release"
        notes.append(f"{bump.pre or bump.part} on a {kind} implies {implied}")
    elif bump.part in _LEVELS and is_new_release and scheme == "calver":
        notes.append(f"{bump.part} means the next calendar version")
    elif bump.part in _LEVELS and not is_new_release:
        verb = "finishes" if bump.pre is None else "continues"
        notes.append(
            f"{bump.part} {verb} this prerelease of {after.base_version}; to bump further: --always-increment"
        )
    if current.local is not None:
        notes.append(f"the local segment +{current.local} is dropped")
    if scheme == "semver" and (warning := semver_inversion(current, after)) is not None:
        notes.append(warning)
    return notes
