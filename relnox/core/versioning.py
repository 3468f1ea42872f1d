"""Version arithmetic: from the present version and a wish to the next version, or to a refusal.

The model is PEP 440; calendar versions are a policy on it, SemVer is a spelling of it (`spelling`). Every result
is greater than what it came from in PEP 440's order, unless a lower one was asked for by name. Total: every
version and every wish give a version or a `Refused`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from packaging.version import InvalidVersion, Version

from relnox.core.spelling import Scheme, from_semver, spell, to_semver
from relnox.errors import Refused

if TYPE_CHECKING:
    from datetime import date

__all__ = [
    "Bump",
    "Part",
    "Phase",
    "Scheme",
    "from_semver",
    "next_version",
    "normalisation",
    "parse",
    "spell",
    "to_semver",
]

Part = Literal["major", "minor", "patch", "release", "pre", "phase", "post", "dev"]
Phase = Literal["alpha", "beta", "rc"]

_LEVELS = ("major", "minor", "patch")
_LETTER = {"alpha": "a", "beta": "b", "rc": "rc"}
_ORDER = ("a", "b", "rc")
_FIRST = 1
"""Where post and dev releases start."""
_DATE_STAMP = range(10**5, 10**6)
"""Prerelease numbers that are a date, YYMMDD."""


@dataclass(frozen=True, kw_only=True)
class Bump:
    """What somebody wishes.

    Attributes:
        part: What to raise.
        pre: The phase to be in; with `part="pre"` the one to start where there is none.
        to: The new version itself, instead of all that.
        exact: Raise the level even where a prerelease stands for it already.
        allow_lower: Whether `to` may go down.
    """

    part: Part | None = None
    pre: Phase | None = None
    to: str | None = None
    exact: bool = False
    allow_lower: bool = False


@dataclass(frozen=True)
class _Parts:
    """A version in parts; the local segment is dropped by any bump."""

    epoch: int
    release: tuple[int, ...]
    pre: tuple[str, int] | None = None
    post: int | None = None
    dev: int | None = None

    @classmethod
    def of(cls, version: Version) -> _Parts:
        return cls(version.epoch, version.release, version.pre, version.post, version.dev)

    @property
    def version(self) -> Version:
        text = f"{self.epoch}!" if self.epoch else ""
        text += ".".join(map(str, self.release))
        text += f"{self.pre[0]}{self.pre[1]}" if self.pre is not None else ""
        text += f".post{self.post}" if self.post is not None else ""
        text += f".dev{self.dev}" if self.dev is not None else ""
        return Version(text)

    @property
    def final(self) -> _Parts:
        return _Parts(self.epoch, self.release)

    @property
    def leads_to_final(self) -> bool:
        """Whether the final version of this release number is still to come."""
        return self.pre is not None or (self.dev is not None and self.post is None)


@dataclass(frozen=True)
class _Rules:
    """The project's settings that arithmetic depends on."""

    scheme: Scheme
    start: int
    calver_format: str
    today: date | None


def parse(text: str, *, where: str = "") -> Version:
    """The version that a text means, in any spelling that PEP 440 or SemVer's usual prereleases allow.

    Args:
        text: As it stands in a file or on the command line.
        where: The file, and line where known, for the message.

    Raises:
        Refused: The text is no version of PEP 440.
    """
    try:
        return Version(text)
    except InvalidVersion:
        place = f"{where}: " if where else ""
        raise Refused(
            f"{place}{text!r} is not a version of PEP 440",
            hint="write it like 1.2.3, 1.2.3a1, 1.2.3rc1 or 1.2.3.post1",
        ) from None


def normalisation(text: str) -> str | None:
    """How a version is written canonically, if it is not written so; a note for people."""
    canonical = str(parse(text))
    return f"{text} is written {canonical}" if canonical != text else None


def next_version(  # noqa: PLR0913 - the settings are told by name
    current: Version,
    bump: Bump,
    *,
    scheme: Scheme = "pep440",
    prerelease_start: int = 0,
    calver_format: str = "YYYY.MM.MICRO",
    today: date | None = None,
) -> Version:
    """The version that a wish leads to.

    Args:
        current: The present version.
        bump: The wish.
        scheme: Under `calver` every level means the calendar's next version.
        prerelease_start: The first number of an alpha, beta or rc.
        calver_format: `YYYY.MM.MICRO` or `YYYY.MINOR`.
        today: The date in UTC; needed under `calver` only.

    Raises:
        Refused: The wish contradicts itself, or would not lead upwards.
    """
    _check_wish(bump)
    if bump.to is not None:
        return _explicit(current, bump.to, allow_lower=bump.allow_lower)
    rules = _Rules(scheme, prerelease_start, calver_format, today)
    result = _apply(_Parts.of(current), bump, rules, current).version
    if result <= current:
        raise Refused(
            f"{current} would become {result}, which is not greater",
            hint="name the version: --to VERSION",
        )
    return result


def _check_wish(bump: Bump) -> None:
    if bump.to is not None and (bump.part or bump.pre or bump.exact):
        raise Refused(
            "--to names the version itself: --part, --pre and --exact say it again", hint="give --to alone"
        )
    if bump.allow_lower and bump.to is None:
        raise Refused("--allow-lower is for a version that is named", hint="add --to VERSION, or leave it out")
    if bump.to is None and bump.part is None and bump.pre is None:
        raise Refused(
            "it is not said what to raise",
            hint="--part major, minor, patch or release; --pre alpha, beta or rc; or --to VERSION",
        )
    if bump.pre is not None and bump.part not in (None, "pre", *_LEVELS):
        raise Refused(f"--part {bump.part} and --pre {bump.pre} contradict each other", hint="give one of them")


def _explicit(current: Version, text: str, *, allow_lower: bool) -> Version:
    target = parse(text, where="--to")
    if target.local is not None:
        raise Refused(f"{target} has a local version, which no public index takes", hint=f"--to {target.public}")
    if target == current:
        raise Refused(f"the version is {current} already", hint="name a greater one")
    if target < current and not allow_lower:
        raise Refused(f"{target} is lower than the present {current}", hint="add --allow-lower if that is meant")
    return target


def _apply(parts: _Parts, bump: Bump, rules: _Rules, current: Version) -> _Parts:
    match bump.part:
        case "major" | "minor" | "patch":
            level = _LEVELS.index(bump.part)
            return _level(parts, level, bump, rules) if bump.pre is None else _level_pre(parts, level, bump, rules)
        case "release":
            return _release(parts, current)
        case "phase":
            return _phase(parts, rules, current)
        case "post":
            return _post(parts, current, exact=bump.exact)
        case "dev":
            return _dev(parts, bump, rules)
        case "pre" if parts.pre is None and bump.pre is None:
            raise Refused(
                f"{current} is in no phase that could go on", hint="name one: --pre alpha, --pre beta or --pre rc"
            )
        case "pre" if parts.pre is not None:
            return _enter(parts, parts.pre[0], rules, current)
        case _:
            return _enter(parts, _LETTER[bump.pre or "alpha"], rules, current)


def _level(parts: _Parts, level: int, bump: Bump, rules: _Rules) -> _Parts:
    """Raise a level; a prerelease that stands for it, or for a higher one, becomes final instead."""
    if rules.scheme == "calver":
        return _calendar(parts, rules)
    if not bump.exact and _stands_for(parts, level):
        return parts.final
    kept = (*parts.release, *([0] * (level + 1 - len(parts.release))))
    raised = (*kept[:level], kept[level] + 1, *([0] * (len(kept) - level - 1)))
    return _Parts(parts.epoch, raised)


def _level_pre(parts: _Parts, level: int, bump: Bump, rules: _Rules) -> _Parts:
    letter = _LETTER[bump.pre or "alpha"]
    if not bump.exact and rules.scheme != "calver" and _stands_for(parts, level):
        return _enter(parts, letter, rules, parts.version)
    return replace(_level(parts, level, bump, rules), pre=(letter, rules.start))


def _stands_for(parts: _Parts, level: int) -> bool:
    """Whether this is a prerelease of a release that raises this level or a higher one."""
    return parts.leads_to_final and not any(parts.release[level + 1 :])


def _release(parts: _Parts, current: Version) -> _Parts:
    if parts.leads_to_final:
        return parts.final
    if parts.dev is not None:
        return replace(parts, dev=None)
    raise Refused(f"{current} is already final", hint="--part patch, --part minor or --part major")


def _enter(parts: _Parts, letter: str, rules: _Rules, current: Version) -> _Parts:
    """Be in a phase: go on in it, or start it, on the next patch where this version is final."""
    if not parts.leads_to_final:
        return replace(_level(parts, 2, Bump(part="patch"), rules), pre=(letter, rules.start))
    if parts.pre is None:
        return replace(parts.final, pre=(letter, rules.start))
    present, number = parts.pre
    if _ORDER.index(letter) < _ORDER.index(present):
        raise Refused(
            f"{current} is past that phase: a phase never goes back",
            hint=f"--pre {next(name for name, each in _LETTER.items() if each == present)}, or --part release",
        )
    if letter != present:
        return replace(parts.final, pre=(letter, rules.start))
    if parts.dev is not None and parts.post is None:
        return replace(parts.final, pre=parts.pre)
    return replace(parts.final, pre=(present, _after(number, rules, current)))


def _after(number: int, rules: _Rules, current: Version) -> int:
    """The number after a prerelease's; a date stamp becomes today's."""
    if rules.scheme != "calver" or number not in _DATE_STAMP:
        return number + 1
    stamp = int(_today(rules).strftime("%y%m%d"))
    if stamp <= number:
        raise Refused(
            f"{current} carries today's date, or a later one, already",
            hint="release tomorrow, or name the version: --to VERSION",
        )
    return stamp


def _phase(parts: _Parts, rules: _Rules, current: Version) -> _Parts:
    if not parts.leads_to_final:
        raise Refused(f"{current} is already final", hint="start a phase: --pre alpha, --pre beta or --pre rc")
    if parts.pre is None:
        return replace(parts.final, pre=("a", rules.start))
    place = _ORDER.index(parts.pre[0]) + 1
    return parts.final if place == len(_ORDER) else replace(parts.final, pre=(_ORDER[place], rules.start))


def _post(parts: _Parts, current: Version, *, exact: bool) -> _Parts:
    if parts.leads_to_final and not exact:
        raise Refused(
            f"{current} is a prerelease: installers would not take its post release for a fix of a release",
            hint="--part pre, or --exact if a post release of a prerelease is meant",
        )
    if parts.post is None:
        return replace(parts, post=_FIRST, dev=None)
    return replace(parts, post=parts.post + (parts.dev is None), dev=None)


def _dev(parts: _Parts, bump: Bump, rules: _Rules) -> _Parts:
    if parts.dev is not None:
        return replace(parts, dev=parts.dev + 1)
    if parts.pre is not None:
        letter, number = parts.pre
        return replace(parts.final, pre=(letter, number + 1), dev=_FIRST)
    return replace(_level(parts, 2, bump, rules), dev=_FIRST)


def _calendar(parts: _Parts, rules: _Rules) -> _Parts:
    """The calendar's next version: this month's next number, or the first of a new month."""
    today = _today(rules)
    period = (today.year, today.month) if rules.calver_format == "YYYY.MM.MICRO" else (today.year,)
    if parts.release[: len(period)] != period:
        return _Parts(parts.epoch, (*period, 0))
    if parts.leads_to_final:
        return parts.final
    number = parts.release[len(period)] if len(parts.release) > len(period) else 0
    return _Parts(parts.epoch, (*period, number + 1))


def _today(rules: _Rules) -> date:
    if rules.today is None:
        raise Refused("a calendar version needs today's date", hint="give the date")
    return rules.today
