"""Unique numbers for development versions, taken from the run of a CI job or from the clock."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relnox.errors import Blocked

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

_MAX_ATTEMPTS = 99
_MAX_DIGITS = 9
"""The maximum number of digits in a run number, so that it fits in 64 bits even with the attempt appended."""


def number_of_run(environment: Mapping[str, str]) -> tuple[int, str]:
    """Return the number of this CI run, and a text that says what it stands for; raise `Blocked` outside CI.

    On GitHub, the last two digits are the attempt, so that each rerun gets its own number: 4202 is the second
    attempt of run 42. On GitLab, it is the number of the pipeline, which stays the same if jobs are retried.
    """
    if run := environment.get("GITHUB_RUN_NUMBER"):
        attempt = environment.get("GITHUB_RUN_ATTEMPT") or "1"
        number = _parse_number("GITHUB_RUN_NUMBER", run) * (_MAX_ATTEMPTS + 1) + _parse_number(
            "GITHUB_RUN_ATTEMPT", attempt
        )
        if int(attempt) > _MAX_ATTEMPTS:
            raise Blocked(
                "run-missing",
                f"GITHUB_RUN_ATTEMPT is {attempt}: only {_MAX_ATTEMPTS} attempts have numbers of their own",
                fix="start a new run, or use --from time",
            )
        return number, f"run {run}, attempt {attempt}"
    if pipeline := environment.get("CI_PIPELINE_IID"):
        return _parse_number("CI_PIPELINE_IID", pipeline), f"pipeline {pipeline}"
    raise Blocked(
        "run-missing",
        "--from run works only in CI (neither GITHUB_RUN_NUMBER nor CI_PIPELINE_IID is set)",
        fix="use --from time",
    )


def number_of_time(now: datetime) -> tuple[int, str]:
    """Return a time in UTC as a number with 17 digits (YYYYMMDDHHMMSS and milliseconds), and as readable text."""
    number = int(f"{now:%Y%m%d%H%M%S}{now.microsecond // 1000:03}")
    return number, f"{now:%Y-%m-%d %H:%M:%S} UTC"


def _parse_number(variable: str, text: str) -> int:
    """Parse the value of an environment variable as a positive number; raise `Blocked` if it is not one."""
    if not (text.isascii() and text.isdecimal()) or len(text) > _MAX_DIGITS or int(text) == 0:
        raise Blocked(
            "run-missing", f"{variable} is not the number of a run: {text[:40]!r}", fix=f"unset {variable}"
        )
    return int(text)
