"""Findings: the problems that checks report about an archive, and the rules that yield most of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from relnox.building.archives import REBUILD_FIX
from relnox.core.text import join_names
from relnox.errors import Level, Problem

_MAX_NAMES = 3


class Rule(NamedTuple):
    """A check with one message.

    Attributes:
        condition: Returns what is wrong with the subject of the check, or a false value; an iterator has a value
            for each finding.
        message: What is wrong; `{}` stands for the value that the condition returns.
        fix: What to do, or a function that returns it for the subject.
    """

    condition: Callable[[Any], object]
    message: str
    fix: str | Callable[[Any], str] = REBUILD_FIX
    code: str = "archive-invalid"
    level: Level = "error"


def apply_rules(rules: Iterable[Rule], subject: object) -> Iterator[Problem]:
    """Yield the findings of rules about the subject of their conditions."""
    for rule in rules:
        values = rule.condition(subject)
        for value in values if isinstance(values, Iterator) else filter(None, [values]):
            fix = rule.fix if isinstance(rule.fix, str) else rule.fix(subject)
            yield Problem(rule.code, rule.message.format(value), fix, level=rule.level)


def set_file_and_level(finding: Problem, *, file: str, private: bool) -> Problem:
    """Return the finding with its file set and, if it is `rejected-by-index`, its final level."""
    if finding.level == "rejected-by-index":
        return finding.but(file=file, level="warning" if private else "error")
    return finding.but(file=file)


def format_names(names: Iterable[str]) -> str:
    """Join the first three names in sorted order, and count the others: `a, b, c and 7 more`."""
    return join_names(sorted(names), _MAX_NAMES)
