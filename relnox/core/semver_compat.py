"""One version, three spellings: PEP 440, SemVer in Python places, and SemVer where it is the law.

`2.0.1a0` and `2.0.1-alpha.0` are one version to PEP 440, so a Python project may keep SemVer's spelling.
Cargo.toml and package.json are read by SemVer's own rules; there, whatever SemVer cannot say, or would put in
another order than Python's installers do, is refused rather than approximated.
"""

from __future__ import annotations

import re
from typing import Literal

from packaging.version import InvalidVersion, Version

from relnox.errors import Blocked

__all__ = ["Scheme", "format_version", "from_semver", "semver_inversion", "semver_obstacle", "to_semver"]

Scheme = Literal["pep440", "semver", "calver"]
"""How a project's versions are spelled and raised."""

_WORDS = {"a": "alpha", "b": "beta", "rc": "rc"}
_SEGMENTS = {"a": "a", "alpha": "a", "b": "b", "beta": "b", "rc": "rc", "dev": ".dev"}
_MEANS_RC = frozenset({"c", "pre", "preview"})
_MEANS_POST = frozenset({"", "post", "r", "rev"})
"""Words after a hyphen that make a post release to PEP 440; so does a number without any."""

_PRERELEASE = re.compile(r"(?P<word>[a-z]*)(?:[.-]?(?P<number>[0-9]+))?", re.IGNORECASE)
_DEV_OF = re.compile(r"(?P<stage>(?:a|alpha|b|beta|rc)(?:[.-]?[0-9]+)?)[.-]?dev(?:[.-]?[0-9]+)?", re.IGNORECASE)

_LENGTH = 3
_LARGEST = 2**53 - 1
"""The greatest number that every SemVer tool takes: node-semver's MAX_SAFE_INTEGER; Cargo stops at 2**64 - 1."""


def format_version(version: Version, scheme: Scheme) -> str:
    """A version as the scheme's pyproject.toml, Python files and tags format_version it.

    Whatever the scheme, PEP 440 reads the text as the same version. Under `semver`, the length of the release is
    kept (`2.1` stays `2.1`), and what SemVer cannot say stays in the canonical spelling.
    """
    if scheme != "semver" or semver_obstacle(version) is not None:
        return str(version)
    return _hyphenated(version, version.release)


def to_semver(version: Version) -> str:
    """A version as a file that is SemVer by law spells it: three numbers, and one hyphenated prerelease.

    A local segment becomes build metadata; whoever publishes leaves it out before.

    Raises:
        Blocked: SemVer 2.0.0 cannot say it, or would put it in another order than PEP 440 does.
    """
    if (obstacle := semver_obstacle(version)) is not None:
        reason, fix = obstacle
        raise Blocked("todo", f"{version} cannot be written as SemVer: {reason}", fix=fix)
    return _hyphenated(version, (*version.release, 0, 0)[:_LENGTH])


def semver_obstacle(version: Version) -> tuple[str, str] | None:
    """Why SemVer cannot say a version, and what helps; None where it can."""
    if version.epoch:
        return "it has no epochs", "keep the version in Python places only"
    if version.post is not None:
        return (
            "it has no post releases, and reads what looks like one as a prerelease",
            "release a patch instead: --part patch",
        )
    if version.pre is not None and version.dev is not None:
        return (
            "there, a dev release of a prerelease comes after that prerelease",
            f"leave the dev number out: --to {version.base_version}{version.pre[0]}{version.pre[1]}",
        )
    if len(version.release) > _LENGTH:
        return (
            f"it has {_LENGTH} numbers, not {len(version.release)}",
            f"shorten it to {_LENGTH} numbers with --to",
        )
    if max(version.release) > _LARGEST:
        return f"tools that read it take numbers up to {_LARGEST}", "use smaller numbers"
    return None


def semver_inversion(before: Version, after: Version) -> str | None:
    """A warning where SemVer puts the later of two versions first; None where both orders agree.

    The only such pair that both can say: PEP 440 puts dev releases before all others, SemVer sorts the word `dev`
    between `beta` and `rc` (SemVer 2.0.0, section 11).
    """
    same_release = (*before.release, 0, 0)[:_LENGTH] == (*after.release, 0, 0)[:_LENGTH]
    dev_alone = before.dev is not None and before.pre is None
    if not (same_release and dev_alone and after.pre is not None and after.pre[0] != "rc"):
        return None
    if semver_obstacle(before) is not None or semver_obstacle(after) is not None:
        return None
    return f"SemVer puts {to_semver(after)} before {to_semver(before)}: do not mix dev with alpha or beta"


def from_semver(text: str) -> Version:
    """The version that a SemVer 2.0.0 text means.

    The pairs of PEP 440 are read (`-alpha.1`, `-beta.2`, `-rc.1`, `-dev.4`), with their usual variants (`-alpha`,
    `-a.1`, `-rc1`), which `to_semver` writes back in the one way that sorts.

    Raises:
        Blocked: The text is not SemVer, PEP 440 has nothing for it, or would put it in another order.
    """
    import semver

    try:
        parsed = semver.Version.parse(text)
    except ValueError:  # no SemVer, or a number longer than Python converts
        raise Blocked(
            "todo", f"{text!r} is not a version of SemVer 2.0.0", fix="write it like 1.2.3 or 1.2.3-alpha.0"
        ) from None
    segment = "" if parsed.prerelease is None else _segment(text, parsed.prerelease)
    build = "" if parsed.build is None else f"+{parsed.build}"
    try:
        return Version(f"{parsed.major}.{parsed.minor}.{parsed.patch}{segment}{build}")
    except InvalidVersion:
        raise Blocked(
            "todo",
            f"{text!r}: the build metadata {parsed.build!r} cannot be a local version of PEP 440",
            fix="leave it out, or use letters, digits and single dots",
        ) from None
    except ValueError:
        raise Blocked("todo", f"{text!r} has a number of too many digits", fix="use smaller numbers") from None


def _hyphenated(version: Version, release: tuple[int, ...]) -> str:
    text = ".".join(map(str, release))
    if version.pre is not None:
        text += f"-{_WORDS[version.pre[0]]}.{version.pre[1]}"
    elif version.dev is not None:
        text += f"-dev.{version.dev}"
    return text if version.local is None else f"{text}+{version.local}"


def _segment(text: str, prerelease: str) -> str:
    """SemVer's prerelease as a segment of PEP 440."""
    core = text.split("-", 1)[0]
    if (two_stages := _DEV_OF.fullmatch(prerelease)) is not None:
        stage = two_stages["stage"]
        raise Blocked(
            "todo",
            f"{text!r} comes after {core}-{stage} to SemVer, and before it to PEP 440",
            fix=f"write {core}-{stage} or another prerelease of one stage: -alpha.N, -beta.N, -rc.N, -dev.N",
        )
    found = _PRERELEASE.fullmatch(prerelease)
    word, number = ("?", "0") if found is None else (found["word"].lower(), found["number"] or "0")
    if word in _SEGMENTS:
        return f"{_SEGMENTS[word]}{number}"
    if word in _MEANS_RC:
        raise Blocked(
            "todo",
            f"{text!r} is a release candidate to PEP 440, but SemVer does not sort {word!r} as one",
            fix=f"write {core}-rc.{number}",
        )
    if word in _MEANS_POST:
        raise Blocked(
            "todo",
            f"{text!r} comes before {core} to SemVer, and after it, as a post release, to PEP 440",
            fix="release a patch instead, or use -alpha.N, -beta.N, -rc.N or -dev.N",
        )
    raise Blocked(
        "todo",
        f"{text!r}: PEP 440 has nothing for the prerelease {prerelease!r}",
        fix="use -alpha.N, -beta.N, -rc.N or -dev.N",
    )
