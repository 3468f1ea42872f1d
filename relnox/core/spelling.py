"""One version, three spellings: PEP 440, SemVer in Python places, and SemVer where it is the law.

Cargo.toml and package.json are SemVer by law: what SemVer orders otherwise, or cannot say, is refused.
"""

from __future__ import annotations

import re
from typing import Literal

from packaging.version import InvalidVersion, Version

from relnox.errors import Refused

__all__ = ["Scheme", "from_semver", "spell", "to_semver"]

Scheme = Literal["pep440", "semver", "calver"]

_WORDS = {"a": "alpha", "b": "beta", "rc": "rc"}
_LETTERS = {"alpha": "a", "a": "a", "beta": "b", "b": "b", "rc": "rc", "dev": "dev"}
_CORE_LENGTH = 3
_PRERELEASE = re.compile(r"(?P<word>[a-zA-Z]+)[.]?(?P<number>0|[1-9][0-9]*)?")


def spell(version: Version, scheme: Scheme) -> str:
    """A version as a project's Python files and tags spell it.

    Under `semver` a prerelease is spelled as SemVer does, which PEP 440 reads as the same version; what has no
    such spelling (post releases, epochs, two numbers) keeps the canonical one.
    """
    if scheme != "semver" or version.local is not None:
        return str(version)
    try:
        return to_semver(version)
    except Refused:
        return str(version)


def to_semver(version: Version) -> str:
    """A version as SemVer 2.0.0 spells it, the release padded to three numbers.

    Raises:
        Refused: SemVer cannot say it, or would order it otherwise.
    """
    if version.epoch or version.post is not None or len(version.release) > _CORE_LENGTH:
        raise Refused(
            f"{version} cannot be said in SemVer, which has no epochs, no post releases and three numbers",
            hint="bump to a version of three numbers",
        )
    if version.pre is not None and version.dev is not None:
        raise Refused(f"{version} would be ordered otherwise in SemVer", hint="leave the dev number out")
    text = ".".join(str(number) for number in (*version.release, 0, 0)[:_CORE_LENGTH])
    if version.pre is not None:
        text += f"-{_WORDS[version.pre[0]]}.{version.pre[1]}"
    elif version.dev is not None:
        text += f"-dev.{version.dev}"
    return text if version.local is None else f"{text}+{version.local}"


def from_semver(text: str) -> Version:
    """The version that a SemVer text means.

    Raises:
        Refused: It is no SemVer, has no counterpart in PEP 440, or is ordered otherwise there.
    """
    import semver

    try:
        parsed = semver.Version.parse(text)
    except (ValueError, TypeError):
        raise Refused(
            f"{text!r} is not a version of SemVer 2.0.0", hint="write it like 1.2.3 or 1.2.3-alpha.0"
        ) from None
    core = f"{parsed.major}.{parsed.minor}.{parsed.patch}"
    pre = "" if parsed.prerelease is None else _prerelease(text, parsed.prerelease)
    build = "" if parsed.build is None else f"+{parsed.build}"
    try:
        return Version(core + pre + build)
    except InvalidVersion:
        raise Refused(f"{text!r} has no counterpart in PEP 440", hint="leave the build metadata out") from None


def _prerelease(text: str, prerelease: str) -> str:
    found = _PRERELEASE.fullmatch(prerelease)
    word = found["word"].lower() if found is not None else ""
    if word in ("pre", "preview"):
        raise Refused(
            f"{text!r}: {word} is ordered before alpha in some tools and is rc in PEP 440", hint="use -rc.N"
        )
    if found is None or word not in _LETTERS:
        raise Refused(
            f"{text!r}: the prerelease {prerelease!r} has no counterpart in PEP 440",
            hint="use -alpha.N, -beta.N, -rc.N or -dev.N",
        )
    number = found["number"] or "0"
    letter = _LETTERS[word]
    return f".dev{number}" if letter == "dev" else f"{letter}{number}"
