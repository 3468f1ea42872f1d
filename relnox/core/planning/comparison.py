"""Comparison of an approved plan with a plan made from the project's current state."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from relnox.core import serialization
from relnox.core.escaping import split_lines
from relnox.core.planning.changes import NewTag
from relnox.core.records import field_values

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from relnox.core.planning.plan import Plan
    from relnox.core.planning.step import Step

CREDENTIALS_NOTE = "credentials for "
"""How notes about credentials begin; they may differ between the approved plan and the current one."""
LEFT_OUT_NOTE = "left out: "
"""How notes about files begin that a plan does not use, and that are not compared for that reason."""

_FIELDS_THAT_MAY_SHRINK = ("files", "packages", "tags")
"""The fields of steps that may have fewer items in a plan that resumes an earlier run."""

_MAX_SHOWN = 100
"""The maximum number of characters shown of a value that differs."""


def plan_differences(approved: Plan, current: Plan) -> tuple[str, ...]:
    """Return the differences between an approved plan and the current one, as lines of text.

    A plan that resumes an earlier run may have fewer steps than the approved one, and other notes.
    """
    if current.resumes and _is_remaining_part(approved, current):
        return ()
    return (
        *(() if current.resumes else _commit_difference(approved, current)),
        *(_step_differences(approved.steps, current.steps) or _order_difference(approved.steps, current.steps)),
        *_lines_in_only_one_plan("table row", _table_rows(approved), _table_rows(current)),
        *_lines_in_only_one_plan("problem", _problem_lines(approved), _problem_lines(current)),
        *_lines_in_only_one_plan("question", _consent_question(approved), _consent_question(current)),
        *_lines_in_only_one_plan("note", _notes_to_compare(approved), _notes_to_compare(current)),
    )


def _is_remaining_part(approved: Plan, current: Plan) -> bool:
    """Return whether a plan that resumes an earlier run does only what was approved, or a part of it."""
    approved_steps = {step.key: step for step in approved.steps}
    return current.consent in (None, approved.consent) and all(
        step.key in approved_steps and _is_part_of_step(step, approved_steps[step.key]) for step in current.steps
    )


def _is_part_of_step(step: Step, whole: Step) -> bool:
    """Return whether a step does all or a part of what another one (`whole`) does, and nothing else."""
    own, approved = field_values(step), field_values(whole)
    is_skipped = own.pop("skip", None) is not None
    return (
        type(step) is type(whole)
        and all(
            name == "needs"
            or value == approved[name]
            or (name in _FIELDS_THAT_MAY_SHRINK and _is_subset(value, approved[name]))
            for name, value in own.items()
        )
        and (is_skipped or approved.get("skip") is None)
    )


def _is_subset(part: tuple[Any, ...], whole: tuple[Any, ...]) -> bool:
    """Return whether all items of a tuple are in another one; tags are compared by name.

    The messages of existing tags are not read.
    """
    return {_name_of_tag(item) for item in part} <= {_name_of_tag(item) for item in whole}


def _name_of_tag(item: Any) -> Any:
    return item.name if isinstance(item, NewTag) else item


def _commit_difference(approved: Plan, current: Plan) -> Iterator[str]:
    """Yield a line if the plans were made for different commits."""
    before, now = (plan.inputs.commit if plan.inputs is not None else None for plan in (approved, current))
    if before != now:
        yield f"commit: {before} in the plan file, {now} now"


def _step_differences(approved: Sequence[Step], current: Sequence[Step]) -> tuple[str, ...]:
    """Return the differences between the steps of two plans, as lines of text; their order is not compared."""
    before, now = ({step.key: step for step in steps} for steps in (approved, current))
    lines: list[str] = []
    for key in dict.fromkeys((*before, *now)):
        if key not in now:
            lines.append(f"step only in the plan file: {before[key].title}")
        elif key not in before:
            lines.append(f"step only now: {now[key].title}")
        elif details := tuple(_field_differences(before[key], now[key])):
            lines += [f"step differs: {before[key].title}", *details]
    return tuple(lines)


def _order_difference(approved: Sequence[Step], current: Sequence[Step]) -> Iterator[str]:
    """Yield the steps at which two plans differ, in their order or in the steps that each one waits for."""
    for number, (before, now) in enumerate(zip(approved, current, strict=True), 1):
        if before != now:
            yield f"step {number} in the plan file: {before.title} (after {', '.join(before.needs) or 'nothing'})"
            yield f"step {number} now: {now.title} (after {', '.join(now.needs) or 'nothing'})"


def _field_differences(before: Step, now: Step) -> Iterator[str]:
    """Yield the fields in which two steps with the same key differ, as lines with both values."""
    if type(before) is not type(now):
        yield f"  in the plan file: {before.title}"
        yield f"  now: {now.title}"
        return
    for name, value in field_values(before).items():
        other = field_values(now)[name]
        if value != other and name != "needs":
            yield f"  {name} in the plan file: {_shortened_json(_difference_or_value(value, other))}"
            yield f"  {name} now: {_shortened_json(_difference_or_value(other, value))}"


def _difference_or_value(value: Any, other: Any) -> Any:
    """Return the items of `value` that `other` lacks, or `value` if there are none, or if one is not a tuple."""
    if not (isinstance(value, tuple) and isinstance(other, tuple)):
        return value
    return tuple(item for item in value if item not in other) or value


def _shortened_json(value: Any) -> str:
    """Return a value as JSON, shortened if it is long."""
    text = json.dumps(serialization.encode(value), ensure_ascii=False)
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}…"


def _lines_in_only_one_plan(what: str, approved: Sequence[str], current: Sequence[str]) -> Iterator[str]:
    """Yield a line for each text that only one of two plans has."""
    yield from (f"{what} only in the plan file: {text}" for text in approved if text not in current)
    yield from (f"{what} only now: {text}" for text in current if text not in approved)


def _table_rows(plan: Plan) -> list[str]:
    """Return the rows of all tables of a plan, each joined into one string."""
    return ["  ".join(row) for table in plan.tables for row in table.rows]


def _problem_lines(plan: Plan) -> list[str]:
    """Return the problems of a plan, each as the first line of its message followed by its code."""
    return [f"{split_lines(problem.message)[0]} [{problem.code}]" for problem in plan.problems]


def _consent_question(plan: Plan) -> list[str]:
    """Return the question that a plan asks before uploads, as a list that is empty if there is none."""
    return [plan.consent] if plan.consent is not None else []


def _notes_to_compare(plan: Plan) -> list[str]:
    """Return the notes of a plan, except those about credentials and about files that it does not use."""
    return [note for note in plan.notes if not note.startswith((CREDENTIALS_NOTE, LEFT_OUT_NOTE))]
