"""Computation of the next version from the current version and a requested bump.

The rules are those of PEP 440. Calendar versions only count in another way, and SemVer only writes versions in
another form (`semver_compat`). Every result is greater than the current version in PEP 440's order, unless
--allow-lower is given. Every combination of version and request results in a version or raises `Blocked`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from packaging.version import InvalidVersion, Version

from relnox.core.versions import requested_bump
from relnox.core.versions.requested_bump import LEVELS
from relnox.core.versions.semver_compat import format_version, semver_inversion, semver_obstacle
from relnox.core.versions.version_step import PATCH, PHASES, CalendarCounting, LevelCounting, VersionStep
from relnox.errors import Blocked

if TYPE_CHECKING:
    from datetime import date

    from relnox.core.versions.requested_bump import Bump, Level, Phase
    from relnox.core.versions.semver_compat import Scheme


def parse(text: str, *, where: str = "") -> Version:
    """Parse a version in any form of PEP 440, or raise `Blocked`; `where` is its file or option, for messages."""
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

    Args:
        current: The current version.
        bump: The requested bump.
        scheme: Under `calver` every level means the next calendar version; under `semver` versions that SemVer
            cannot express are blocked.
        prerelease_start: The number of the first alpha, beta or rc, 0 or 1.
        today: The date in UTC, for `calver`.

    Raises:
        Blocked: The options contradict each other, or the result is not higher or does not fit the scheme.
    """
    requested_bump.check_bump(bump)
    if prerelease_start not in (0, 1):
        raise Blocked(
            "value-invalid", f"prerelease-start is {prerelease_start}, not 0 or 1", fix="set prerelease-start = 0"
        )
    if bump.to is not None:
        result = _parse_explicit_version(bump.to)
    else:
        counting = CalendarCounting(current.release, today) if scheme == "calver" else LevelCounting()
        result = VersionStep(current.__replace__(local=None), bump, counting, prerelease_start).result()
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
            "version-invalid",
            f'{result} does not fit scheme = "semver" ({reason})',
            fix=f'{fix}; or set scheme = "pep440"',
        )
    return result


def phase_of(version: Version) -> Phase | None:
    """Return the phase of a version, or None if it is not an alpha, beta or rc."""
    return None if version.pre is None else PHASES[version.pre[0]]


def shift_level(current: Version, level: Level, *, shift: bool = True) -> Level:
    """Return the level to bump for a level that was derived from commits.

    With `shift`, it is one lower below 1.0: a breaking change is then minor, and a feature a patch.
    """
    if not shift or current.major > 0:
        return level
    return LEVELS[min(LEVELS.index(level) + 1, PATCH)]


def _parse_explicit_version(text: str) -> Version:
    """Parse the version given by `--to`; raise `Blocked` if it is invalid or has a local segment."""
    target = parse(text, where="--to")
    if target.local is not None:
        raise Blocked(
            "local-version",
            f"--to {target} has a local segment (+{target.local}), which indexes reject",
            fix=f"--to {target.public}",
        )
    return target


def _check_order(current: Version, result: Version, bump: Bump) -> None:
    """Raise `Blocked` unless the result is higher than the current version, or lower as allowed by the request."""
    if result > current or (bump.allow_lower and result < current):
        return
    if bump.number is not None:
        raise Blocked(
            "version-not-higher",
            f"development release {bump.number} is not higher than the current version {current}",
            fix="choose a higher number, or keep development versions out of the commits",
        )
    if bump.to is None:  # only a calendar version can be lower
        raise Blocked(
            "version-not-higher",
            f"the next calendar version {result} is not higher than the current version {current}",
            fix="to finish a prerelease: --part release; to set the version: --to VERSION",
        )
    if result == current:
        raise Blocked(
            "version-not-higher", f"the version is already {current}", fix="choose a higher version with --to"
        )
    raise Blocked(
        "version-not-higher",
        f"{result} is lower than the current version {current}",
        fix=f"to bump to it anyway: --to {result} --allow-lower",
    )


def normalization_note(text: str, *, scheme: Scheme = "pep440") -> str | None:
    """Return a message if a version will be written in another form than now, or else None.

    An example is `1.2.3-alpha.1 is normalized to 1.2.3a1`; with the scheme `semver`, it is the other way round.
    """
    normalized_text = format_version(parse(text), scheme)
    if normalized_text == text:
        return None
    return f"{text if text == text.strip() else repr(text)} is normalized to {normalized_text}"


def explain(current: Version, bump: Bump, after: Version, *, scheme: Scheme = "pep440") -> str:
    """Return a message that explains how `next_version` got from `current` to `after`; empty if it is obvious."""
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
    if scheme == "semver" and (warning := semver_inversion(current, after)) is not None:
        notes.append(warning)
    return "; ".join(notes)
