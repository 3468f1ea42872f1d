"""The items of a release checklist, each with what was found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Literal

from relnox.core.records import Record
from relnox.core.text import format_count
from relnox.errors import Problem

CheckStatus = Literal["ok", "warning", "failed", "not checkable here", "skipped", "by hand"]
"""What is known of an item; an item that cannot be checked is never counted as one that is ok."""


class CheckedItem(Record, kw_only=True):
    """An item of a release checklist, with what was found.

    Attributes:
        name: Its name, such as `version-new`.
        title: The condition that must hold, or what a person has to do.
        why: Why it matters, in one sentence.
        status: What is known of it; if it has `steps`, what is known before they run.
        detail: Why it is skipped or not checkable here, or what was found; may be empty.
        problems: What is wrong, each with its fix.
        steps: The keys of the steps of the plan that decide it.
    """

    name: str
    title: str
    why: str
    status: CheckStatus
    detail: str = ""
    problems: tuple[Problem, ...] = ()
    steps: tuple[str, ...] = ()


def problems_of_checklist(items: Sequence[CheckedItem]) -> list[Problem]:
    """Return the problems of all items of a checklist, in their order."""
    return [problem for item in items for problem in item.problems]


def summarize_checklist(items: Sequence[CheckedItem]) -> str:
    """Return how many items have each status, the worst first: `2 failed, 3 warnings, 20 ok`."""
    counts = Counter(item.status for item in items)
    order: tuple[CheckStatus, ...] = ("failed", "warning", "not checkable here", "skipped", "by hand", "ok")
    texts = {status: f"{counts[status]} {status}" for status in order if counts[status]}
    if counts["warning"]:
        texts["warning"] = format_count(counts["warning"], "warning")
    return ", ".join(texts.values())
