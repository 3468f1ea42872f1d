"""Comparison of a plan that was approved with the one that the present state of the project leads to."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from relnox.core import serialization
from relnox.core.escaping import split_lines
from relnox.core.records import fields

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from relnox.core.planning.plan import Plan
    from relnox.core.planning.step import Step

CREDENTIALS_NOTE = "credentials for "
"""How a note on the machine's credentials begins: an approved plan may run with other ones."""

_PARTS = ("files", "packages", "tags")
"""Fields of steps that have fewer items in a plan that resumes an earlier run."""

_MAX_SHOWN = 100
"""Characters of a value that differs."""


def differences(approved: Plan, current: Plan) -> tuple[str, ...]:
    """Return how a plan differs from the approved one, as lines.

    A plan that resumes an earlier run may have fewer steps than the approved one, and other notes.
    """
    if current.resumes and _is_rest(approved, current):
        return ()
    return (
        *(() if current.resumes else _commits(approved, current)),
        *(_steps(approved.steps, current.steps) or _order(approved.steps, current.steps)),
        *_one_sided("table row", _rows(approved), _rows(current)),
        *_one_sided("problem", _problems(approved), _problems(current)),
        *_one_sided("question", _consent(approved), _consent(current)),
        *_one_sided("note", _notes(approved), _notes(current)),
    )


def _is_rest(approved: Plan, current: Plan) -> bool:
    """Return whether a resuming plan does nothing that was not approved."""
    approved_steps = {step.key: step for step in approved.steps}
    return current.consent in (None, approved.consent) and all(
        step.key in approved_steps and _is_part(step, approved_steps[step.key]) for step in current.steps
    )


def _is_part(step: Step, whole: Step) -> bool:
    """Return whether a step does what another one does, or a part of it."""
    own, approved = fields(step), fields(whole)
    is_skipped = own.pop("skip", None) is not None
    return (
        type(step) is type(whole)
        and all(
            name == "needs" or value == approved[name] or (name in _PARTS and _is_subset(value, approved[name]))
            for name, value in own.items()
        )
        and (is_skipped or approved.get("skip") is None)
    )


def _is_subset(part: tuple[Any, ...], whole: tuple[Any, ...]) -> bool:
    """Return whether all items of a tuple are in another; of tags, the messages of existing ones are not read."""
    return {getattr(item, "name", item) for item in part} <= {getattr(item, "name", item) for item in whole}


def _commits(approved: Plan, current: Plan) -> Iterator[str]:
    before, now = (plan.inputs.commit if plan.inputs is not None else None for plan in (approved, current))
    if before != now:
        yield f"commit: {before} in the plan file, {now} now"


def _steps(approved: Sequence[Step], current: Sequence[Step]) -> tuple[str, ...]:
    """Return how steps differ, apart from their order."""
    before, now = ({step.key: step for step in steps} for steps in (approved, current))
    lines: list[str] = []
    for key in dict.fromkeys((*before, *now)):
        if key not in now:
            lines.append(f"step only in the plan file: {before[key].title}")
        elif key not in before:
            lines.append(f"step only now: {now[key].title}")
        elif details := tuple(_fields(before[key], now[key])):
            lines += [f"step differs: {before[key].title}", *details]
    return tuple(lines)


def _order(approved: Sequence[Step], current: Sequence[Step]) -> Iterator[str]:
    """Yield how the order of equal steps differs."""
    for number, (before, now) in enumerate(zip(approved, current, strict=True), 1):
        if before != now:
            yield f"step {number} in the plan file: {before.title} (after {', '.join(before.needs) or 'nothing'})"
            yield f"step {number} now: {now.title} (after {', '.join(now.needs) or 'nothing'})"


def _fields(before: Step, now: Step) -> Iterator[str]:
    if type(before) is not type(now):
        yield f"  in the plan file: {before.title}"
        yield f"  now: {now.title}"
        return
    for name, value in fields(before).items():
        other = fields(now)[name]
        if value != other and name != "needs":
            yield f"  {name} in the plan file: {_shown(_without(value, other))}"
            yield f"  {name} now: {_shown(_without(other, value))}"


def _without(value: Any, other: Any) -> Any:
    """Return what only one of two values has, if they are tuples."""
    if not (isinstance(value, tuple) and isinstance(other, tuple)):
        return value
    return tuple(item for item in value if item not in other) or value


def _shown(value: Any) -> str:
    text = json.dumps(serialization.encode(value), ensure_ascii=False)
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}…"


def _one_sided(what: str, approved: Sequence[str], current: Sequence[str]) -> Iterator[str]:
    yield from (f"{what} only in the plan file: {text}" for text in approved if text not in current)
    yield from (f"{what} only now: {text}" for text in current if text not in approved)


def _rows(plan: Plan) -> list[str]:
    return ["  ".join(row) for table in plan.tables for row in table.rows]


def _problems(plan: Plan) -> list[str]:
    return [f"{split_lines(problem.message)[0]} [{problem.code}]" for problem in plan.problems]


def _consent(plan: Plan) -> list[str]:
    return [plan.consent] if plan.consent is not None else []


def _notes(plan: Plan) -> list[str]:
    return [note for note in plan.notes if not note.startswith(CREDENTIALS_NOTE)]
