"""Conversion between PEP 440 and SemVer.

`2.0.1a0` and `2.0.1-alpha.0` are the same version to PEP 440, so a Python project may use SemVer's form.
Cargo.toml and package.json follow SemVer's own rules; there, versions that SemVer cannot express, or sorts in
another order than PEP 440, are blocked rather than approximated.
"""

from __future__ import annotations

import re
from typing import Literal

import semver
from packaging.version import Version

from relnox.errors import Blocked

Scheme = Literal["pep440", "semver", "calver"]
"""How a project's versions are written and bumped."""

_WORDS = {"a": "alpha", "b": "beta", "rc": "rc"}
_SEGMENTS = {"a": "a", "alpha": "a", "b": "b", "beta": "b", "rc": "rc", "dev": ".dev"}
_PRERELEASE = r"(?i)(?P<word>[a-z]*)(?:[.-]?(?P<number>[0-9]{1,100}))?"

MAX_SHOWN = 100
"""The number of characters of an invalid version in a message."""
_LENGTH = 3
_LARGEST = 2**53 - 1
"""The greatest number that every SemVer tool accepts: node-semver's MAX_SAFE_INTEGER; Cargo allows 2**64 - 1."""


def format_version(version: Version, scheme: Scheme) -> str:
    """Format a version for pyproject.toml, Python files and tags.

    Under `semver`, that is SemVer's form, such as `1.2.0-rc.1`, but `2.1` is not padded to `2.1.0`, and a version
    that SemVer cannot express is written in PEP 440's form. Under other schemes, it is PEP 440's form, such as
    `1.2.0rc1`. PEP 440 reads both as the same version.
    """
    if scheme != "semver" or semver_obstacle(version) is not None:
        return str(version)
    prerelease = "" if (words := _semver_prerelease(version)) is None else f"-{words}"
    local = "" if version.local is None else f"+{version.local}"
    return ".".join(map(str, version.release)) + prerelease + local


def to_semver(version: Version) -> str:
    """Format a version for files that require SemVer: three numbers, and a prerelease after a hyphen, if any.

    A local segment becomes build metadata.

    Raises:
        Blocked: SemVer 2.0.0 cannot express the version, or sorts it in another order than PEP 440.
    """
    if (obstacle := semver_obstacle(version)) is not None:
        reason, fix = obstacle
        raise Blocked("version-invalid", f"{version} cannot be written as SemVer ({reason})", fix=fix)
    return str(_as_semver(version))


def semver_obstacle(version: Version) -> tuple[str, str] | None:
    """Return why SemVer cannot express a version, or sorts it in another order, and the fix; None if it can."""
    if version.epoch:
        return "SemVer has no epochs", "keep the version in Python files only"
    if version.post is not None:
        return ("SemVer has no post releases", "release a patch instead: --part patch")
    if version.pre is not None and version.dev is not None:
        return (
            "SemVer sorts a dev release of a prerelease after that prerelease",
            f"drop the dev number: --to {version.base_version}{version.pre[0]}{version.pre[1]}",
        )
    if len(version.release) > _LENGTH:
        return (
            f"SemVer has {_LENGTH} numbers, not {len(version.release)}",
            f"shorten it to {_LENGTH} numbers with --to",
        )
    if max(version.release) > _LARGEST:
        return f"SemVer tools accept numbers up to {_LARGEST}", "use smaller numbers"
    return None


def semver_order_warning(before: Version, after: Version) -> str | None:
    """Return a warning if `after` is higher than `before` in PEP 440 but lower in SemVer, or else None.

    This can happen only with dev releases: PEP 440 sorts them before all other prereleases, while SemVer sorts the
    word `dev` between `beta` and `rc` (SemVer 2.0.0, section 11).
    """
    if not (before.is_prerelease and after.is_prerelease and before < after):
        return None
    if semver_obstacle(before) is not None or semver_obstacle(after) is not None:
        return None
    if _as_semver(before) <= _as_semver(after):
        return None
    return f"SemVer sorts {to_semver(after)} before {to_semver(before)}; do not mix dev with alpha or beta"


def from_semver(text: str) -> Version:
    """Parse a SemVer 2.0.0 version.

    The prereleases that PEP 440 has as well are accepted (`-alpha.1`, `-beta.2`, `-rc.1`, `-dev.4`), and so are
    their usual variants (`-alpha`, `-a.1`, `-rc1`). `to_semver` writes them in the only form that sorts correctly.

    Raises:
        Blocked: The text is not SemVer, or PEP 440 has no equivalent or sorts it in another order.
    """
    try:
        version = semver.Version.parse(text)
    except ValueError:  # not SemVer, or a number longer than Python converts
        raise Blocked(
            "version-invalid",
            f"{text[:MAX_SHOWN]!r} is not a valid version (SemVer 2.0.0)",
            fix="write it like 1.2.3 or 1.2.3-alpha.0",
        ) from None
    segment = "" if version.prerelease is None else _pep440_segment(text, version.prerelease)
    build = "" if version.build is None else f"+{version.build}"
    try:
        return Version(f"{version.major}.{version.minor}.{version.patch}{segment}{build}")
    except ValueError:  # InvalidVersion is one; so is a number of thousands of digits
        raise Blocked(
            "version-invalid",
            f"{text[:MAX_SHOWN]!r}: its build metadata is not a valid local segment (PEP 440)",
            fix="remove it, or use letters, digits and single dots",
        ) from None


def _as_semver(version: Version) -> semver.Version:
    """Convert a version that SemVer can express to a `semver.Version`."""
    return semver.Version(version.major, version.minor, version.micro, _semver_prerelease(version), version.local)


def _semver_prerelease(version: Version) -> str | None:
    """Return the SemVer prerelease of a version, such as `alpha.1`, or None if it is not a prerelease."""
    if version.pre is not None:
        return f"{_WORDS[version.pre[0]]}.{version.pre[1]}"
    return None if version.dev is None else f"dev.{version.dev}"


def _pep440_segment(text: str, prerelease: str) -> str:
    """Convert a SemVer prerelease, such as `alpha.1`, to a PEP 440 segment, such as `a1`.

    Raises:
        Blocked: PEP 440 has no such prerelease; the message names `text`, the whole version.
    """
    match = re.fullmatch(_PRERELEASE, prerelease)
    if match is None or match["word"].lower() not in _SEGMENTS:
        raise Blocked(
            "version-invalid",
            f"{text[:MAX_SHOWN]!r}: PEP 440 has no prerelease that sorts as {prerelease[:MAX_SHOWN]!r} does",
            fix="use -alpha.N, -beta.N, -rc.N or -dev.N; for a fix of a final version, release a patch version",
        )
    return f"{_SEGMENTS[match['word'].lower()]}{match['number'] or '0'}"
