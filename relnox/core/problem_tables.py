"""Tables from what a server or program answers to problems, and the one matcher for them."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable
from typing import NamedTuple

from relnox.errors import Problem

ANY_STATUS = range(1000)


class ProblemRule(NamedTuple):
    """What an answer stands for, if its status and its text match; message and fix are templates.

    Attributes:
        statuses: The HTTP statuses.
        pattern: A regular expression, which ignores case, for a part of the text; every text matches an empty one.
    """

    statuses: Container[int]
    pattern: str
    error: type[Problem]
    code: str
    message: str
    fix: str


def find_problem(rules: Iterable[ProblemRule], text: str, status: int = 0, **details: str) -> Problem:
    """Return the problem of the first rule that matches; the last rule of a table matches everything.

    Args:
        rules: The table.
        text: What the server or program says.
        status: The HTTP status.
        details: The values for the fields of the templates, besides `text`.
    """
    rule = next(rule for rule in rules if status in rule.statuses and re.search(rule.pattern, text, re.IGNORECASE))
    fields = {"text": text, **details}
    return rule.error(rule.code, rule.message.format(**fields), rule.fix.format(**fields))
