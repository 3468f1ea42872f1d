"""The bump that is requested: a part, a phase, or the version itself."""

from __future__ import annotations

from typing import Literal, get_args

from relnox.core.records import Record
from relnox.errors import Blocked

Level = Literal["major", "minor", "patch"]
Part = Literal["major", "minor", "patch", "release", "pre", "phase", "post", "dev"]
Phase = Literal["alpha", "beta", "rc"]

LEVELS: tuple[Level, ...] = get_args(Level)
LETTERS: dict[Phase, str] = {"alpha": "a", "beta": "b", "rc": "rc"}
"""Maps each phase to the letters that stand for it in a version."""
ANY_LEVEL, ANY_PHASE = "--part major, minor or patch", "--pre alpha, beta or rc"


class Bump(Record, kw_only=True):
    """A requested bump.

    Attributes:
        part: The part to bump; `pre` continues the current phase, `phase` starts the next one.
        pre: The phase of the new version, alone or with a level. With `part="pre"`, it is the phase to start if
            the current version has none.
        to: The new version itself, instead of a part or phase.
        always_increment: Whether to bump the level even if the current prerelease already leads to it, and to
            allow post releases of prereleases.
        allow_lower: Whether `to` may be lower than the current version.
        number: The number of the development release, or None for the next one.
    """

    part: Part | None = None
    pre: Phase | None = None
    to: str | None = None
    always_increment: bool = False
    allow_lower: bool = False
    number: int | None = None


def check_bump(bump: Bump) -> None:
    """Raise `Blocked` unless the options are valid and sufficient, and do not contradict each other."""
    if bump.part is not None and bump.part not in get_args(Part):
        raise Blocked(
            "option-invalid", f"--part {bump.part} is invalid", fix=f"choose one of {', '.join(get_args(Part))}"
        )
    if bump.pre is not None and bump.pre not in LETTERS:
        raise Blocked("option-invalid", f"--pre {bump.pre} is invalid", fix=ANY_PHASE)
    if bump.allow_lower and bump.to is None:
        raise Blocked(
            "option-missing", "--allow-lower needs --to", fix="add --to VERSION, or remove --allow-lower"
        )
    if bump.to is not None:
        others = {"--part": bump.part, "--pre": bump.pre, "--always-increment": bump.always_increment}
        if flags := [flag for flag, value in others.items() if value]:
            raise Blocked(
                "options-conflict",
                f"--to {bump.to} cannot be combined with {' and '.join(flags)}",
                fix=f"give --to {bump.to} alone, or remove it",
            )
    elif bump.part is None and bump.pre is None:
        raise Blocked("option-missing", "no bump requested", fix=f"{ANY_LEVEL}; {ANY_PHASE}; or --to VERSION")
    elif bump.pre is not None and bump.part not in (None, "pre", *LEVELS):
        raise Blocked(
            "options-conflict",
            f"--part {bump.part} and --pre {bump.pre} contradict each other",
            fix=f"remove one of them; --pre can be combined with {ANY_LEVEL}",
        )
    elif bump.always_increment and bump.part not in ("post", *LEVELS):
        raise Blocked(
            "option-missing",
            "--always-increment needs --part",
            fix=f"add {ANY_LEVEL}, or remove --always-increment",
        )
