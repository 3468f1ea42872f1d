"""Computation of the next version from the present version and a requested bump.

The rules are those of PEP 440. Calendar versions only count in another way, and SemVer only writes versions in
another form (`semver_compat`). Every result is greater than the present version in PEP 440's order, unless
--allow-lower is given. Every combination of version and request results in a version or raises `Blocked`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from packaging.version import InvalidVersion, Version

from relnox.core.records import Record
from relnox.core.versions import requested_bump
from relnox.core.versions.requested_bump import ANY_LEVEL, ANY_PHASE, LETTERS, LEVELS
from relnox.core.versions.semver_compat import semver_obstacle
from relnox.core.versions.version_counting import PATCH, CalendarCounting, LevelCounting
from relnox.errors import Blocked

if TYPE_CHECKING:
    from datetime import date

    from relnox.core.versions.requested_bump import Bump, Level, Phase
    from relnox.core.versions.semver_compat import Scheme

_PHASES: dict[str, Phase] = {letter: phase for phase, letter in LETTERS.items()}
_ORDER = tuple(_PHASES)
_FIRST = 1
"""The number of the first post release and of the first dev release."""


def parse(text: str, *, where: str = "") -> Version:
    """Parse a version in any form that PEP 440 allows; `where` is its file or option, for the message.

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


def next_version(  # noqa: PLR0913 - the project's settings, passed by name
    current: Version,
    bump: Bump,
    *,
    scheme: Scheme = "pep440",
    prerelease_start: int = 0,
    calver_format: str = "YYYY.MM.MICRO",
    today: date | None = None,
) -> Version:
    """Return the version that a requested bump leads to.

    The epoch and the count of numbers in the release (three in 1.2.0) do not change. A local segment is dropped.

    Args:
        current: The present version.
        bump: The requested bump.
        scheme: Under `calver` every level means the next calendar version; under `semver` versions that SemVer
            cannot express are blocked.
        prerelease_start: The number of the first alpha, beta or rc, 0 or 1.
        calver_format: `YYYY.MM.MICRO` or `YYYY.MINOR`.
        today: The date in UTC, for `calver`.

    Raises:
        Blocked: The options contradict each other, or the result is not higher or does not fit the scheme.
    """
    requested_bump.check_bump(bump)
    if prerelease_start not in (0, 1):
        raise Blocked(
            "value-invalid",
            f"prerelease-start is {prerelease_start}, not 0 or 1",
            fix="set prerelease-start = 0",
        )
    if bump.to is not None:
        result = _parse_explicit_version(bump.to)
    else:
        counting = CalendarCounting(calver_format, today) if scheme == "calver" else LevelCounting()
        result = _VersionStep(current.__replace__(local=None), bump, counting, prerelease_start).result()
    try:
        str(result)
    except ValueError:  # Python converts no numbers of thousands of digits
        raise Blocked(
            "version-invalid", "the next number has too many digits", fix="set the version: --to VERSION"
        ) from None
    _check_order(current, result, bump)
    if scheme == "semver" and (obstacle := semver_obstacle(result)) is not None:
        reason, fix = obstacle
        raise Blocked(
            "version-not-semver",
            f'{result} does not fit scheme = "semver" ({reason})',
            fix=f'{fix}; or set scheme = "pep440"',
        )
    return result


def phase_of(version: Version) -> Phase | None:
    """Return the phase of a version, or None if it is not an alpha, beta or rc."""
    return None if version.pre is None else _PHASES[version.pre[0]]


def shift_level(current: Version, level: Level, *, shift: bool = True) -> Level:
    """Return the level to bump for a level that was derived from commits.

    With `shift`, it is one lower below 1.0, where SemVer makes no promises: a breaking change then bumps the minor
    number, and a feature the patch number.
    """
    if not shift or current.major > 0:
        return level
    return LEVELS[min(LEVELS.index(level) + 1, PATCH)]


def _parse_explicit_version(text: str) -> Version:
    """Parse the version given by `--to`; raise `Blocked` if it is invalid or has a local segment."""
    target = parse(text, where="--to")
    if target.local is not None:
        raise Blocked(
            "version-not-publishable",
            f"--to {target} has a local segment (+{target.local}), which indexes reject",
            fix=f"--to {target.public}",
        )
    return target


def _check_order(current: Version, result: Version, bump: Bump) -> None:
    """Raise `Blocked` unless the result is higher than the present version, or lower as allowed by the request."""
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


def _final_version(version: Version, release: tuple[int, ...] | None = None) -> Version:
    """Return the final version of `release`, by default the version's own: without pre, post and dev segments."""
    return Version.from_parts(epoch=version.epoch, release=version.release if release is None else release)


def _leads_to_final(version: Version) -> bool:
    """Return whether the final version of this release comes later, which is not so for 1.2.3.post1.dev1."""
    return version.pre is not None or (version.dev is not None and version.post is None)


class _VersionStep(Record):
    """The computation of one version.

    Attributes:
        version: The present version, without a local segment.
        bump: The requested bump.
        counting: How releases and prereleases are numbered.
        start: The number of the first alpha, beta or rc.
    """

    version: Version
    bump: Bump
    counting: LevelCounting
    start: int

    def result(self) -> Version:
        """Return the version that the requested bump leads to."""
        match self.bump.part:
            case "major" | "minor" | "patch" as level:
                return self._level(LEVELS.index(level))
            case "release":
                return self._release()
            case "pre" if self.version.pre is not None:
                return self._enter(self.version.pre[0])
            case "pre" | None:
                return self._enter(self._letter())
            case "phase":
                return self._phase()
            case "post":
                return self._post()
            case "dev":
                return self._dev()

    def _letter(self) -> str:
        """Return the letter of the requested phase; raise `Blocked` if none was requested."""
        if self.bump.pre is None:
            raise self._not_possible("is not an alpha, beta or rc", f"choose a phase: {ANY_PHASE}")
        return LETTERS[self.bump.pre]

    def _level(self, level: int) -> Version:
        """Bump a level, or finish the prerelease that leads to it or to a higher one."""
        version, pre = self.version, self.bump.pre
        if (
            not self.bump.always_increment
            and _leads_to_final(version)
            and self.counting.reaches(version.release, level)
        ):
            return _final_version(version) if pre is None else self._enter(LETTERS[pre])
        raised = self._raised(level)
        return raised if pre is None else self._started(raised, LETTERS[pre])

    def _release(self) -> Version:
        """Return the final version that a prerelease or a dev release leads to; drop `.dev` of a post release."""
        if _leads_to_final(self.version):
            return _final_version(self.version)
        if self.version.dev is not None:
            return self.version.__replace__(dev=None)
        raise self._not_possible("is already final", f"to bump it: {ANY_LEVEL}")

    def _enter(self, letter: str) -> Version:
        """Continue a phase, or start it; after a final version, start it for the next patch."""
        version = self.version
        if not _leads_to_final(version):
            return self._started(self._raised(PATCH), letter)
        if version.pre is None:
            return self._started(_final_version(version), letter)
        present = version.pre[0]
        if letter == present:
            return _final_version(version).__replace__(pre=self._continued(version.pre))
        if _ORDER.index(letter) < _ORDER.index(present):
            raise self._not_possible(
                f"is past {_PHASES[letter]}",
                f"to continue its phase: --part pre; to start the next patch: "
                f"--part patch --pre {_PHASES[letter]} --always-increment",
            )
        return self._started(_final_version(version), letter)

    def _phase(self) -> Version:
        """Start the next phase; after the last phase, return the final version."""
        version = self.version
        if not _leads_to_final(version):
            raise self._not_possible("is not an alpha, beta or rc", f"start a phase: {ANY_PHASE}")
        later = _ORDER if version.pre is None else _ORDER[_ORDER.index(version.pre[0]) + 1 :]
        return self._started(_final_version(version), later[0]) if later else _final_version(version)

    def _post(self) -> Version:
        """Return the next post release, or the one that a dev release of it leads to."""
        version = self.version
        if version.dev is not None and version.post is None:
            raise self._not_possible(
                "is a dev release (it has no post releases)", "--part release, then --part post"
            )
        if version.pre is not None and not self.bump.always_increment:
            raise self._not_possible(
                "is a prerelease (its post releases need --always-increment)",
                "for the next prerelease: --part pre; for a post release: --part post --always-increment",
            )
        if version.post is None:
            return version.__replace__(post=_FIRST)
        is_pending = version.dev is not None and not self.bump.always_increment
        return version.__replace__(post=version.post if is_pending else version.post + 1, dev=None)

    def _dev(self) -> Version:
        """Return the next dev release: of the same version, the next prerelease, or the next patch."""
        version, number = self.version, self.bump.number
        if version.dev is not None:
            following = self.counting.prerelease(version.dev, used=True) if number is None else number
            return version.__replace__(dev=following)
        first = _FIRST if number is None else number
        if version.pre is not None:
            return _final_version(version).__replace__(pre=self._continued(version.pre), dev=first)
        return self._raised(PATCH).__replace__(dev=first)

    def _raised(self, level: int) -> Version:
        """Return the next final version at a level."""
        return _final_version(self.version, self.counting.raised(self.version.release, level))

    def _started(self, final: Version, letter: str) -> Version:
        """Return the first version of a phase that leads to a final version."""
        return final.__replace__(pre=(letter, self.start))

    def _continued(self, pre: tuple[str, int]) -> tuple[str, int]:
        """Return the letter and the number of the phase's next release.

        If the present version is a dev release of a prerelease, that prerelease is the next one.
        """
        letter, number = pre
        is_pending = self.version.dev is not None and self.version.post is None
        return letter, self.counting.prerelease(number, used=not is_pending)

    def _not_possible(self, why: str, fix: str) -> Blocked:
        """Return the error for a bump that is not possible from the present version."""
        return Blocked("bump-not-possible", f"{self.version} {why}", fix=fix)
