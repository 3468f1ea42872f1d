"""`--expect-plan`: a run goes on only if its plan is the one that was approved, here or on another machine."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relnox.core.planning.plan import SCHEMA, digest_of_document
from relnox.errors import Blocked

if TYPE_CHECKING:
    from collections.abc import Iterator

    from relnox.core.planning.plan import Plan

_MAX_SIZE = 64 << 20
"""The maximum size of a plan file, in bytes."""
_MAX_LINES = 20
"""The maximum number of differences that are shown."""
_MAX_SHOWN = 80
"""The maximum number of characters shown of a value that differs."""
_DIGEST = re.compile(r"[0-9a-f]{64}")


def check(expected: str, plan: Plan) -> None:
    """Check that a plan is the expected one: that of a file, or the one with a digest.

    Raises:
        Blocked: The plan is another one, or the file is not a plan.
    """
    approved = {} if _DIGEST.fullmatch(expected) else _read(expected)
    digest = approved.get("digest", expected)
    if digest == plan.digest:
        return
    lines = list(_differences(_by_step(approved), _by_step(plan.to_document()))) if approved else []
    lines = lines or [f"  digest: expected {digest}, now {plan.digest}"]
    more = [f"  and {len(lines) - _MAX_LINES} more"] if len(lines) > _MAX_LINES else []
    raise Blocked(
        "plan-differs",
        "\n".join([f"the plan of {plan.task} is not the expected one", *lines[:_MAX_LINES], *more]),
        fix="look at the plan with --dry-run, and approve it again; to finish an interrupted run, rerun the "
        "command without --expect-plan",
    )


def _read(file: str) -> dict[str, Any]:
    """Return the plan in a file, as JSON types.

    Raises:
        Blocked: The file cannot be read, or is not a plan as this version of relnox writes it.
    """
    try:
        with Path(file).open("rb") as content:
            data = content.read(_MAX_SIZE + 1)
    except OSError as error:
        raise _invalid(file, f"it cannot be read ({error.strerror})") from error
    if len(data) > _MAX_SIZE:
        raise _invalid(file, f"it is larger than {_MAX_SIZE >> 20} MiB")
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise _invalid(file, "it is not JSON") from error
    if not isinstance(document, dict) or document.get("schema") != SCHEMA:
        raise _invalid(file, f"it has no schema {SCHEMA}")
    steps = document.get("steps")
    if not isinstance(steps, list) or not all(isinstance(step, dict) and "title" in step for step in steps):
        raise _invalid(file, "it has no steps")
    if document.get("digest") != digest_of_document(document):
        raise _invalid(file, "it was changed after it was written (its digest does not match)")
    return document


def _invalid(file: str, why: str) -> Blocked:
    return Blocked(
        "plan-file-invalid", f"{file} is not a plan: {why}", fix="write it: relnox TASK --dry-run --plan FILE"
    )


def _by_step(document: dict[str, Any]) -> dict[str, Any]:
    """Return what is compared of a plan, with its steps by title."""
    steps = {f"step {step['title']}": step for step in document["steps"]}
    return {"task": document.get("task"), "commit": document.get("commit"), **steps}


def _differences(expected: Any, current: Any, where: str = "") -> Iterator[str]:
    """Yield a line for each value that differs."""
    if isinstance(expected, list) and isinstance(current, list) and len(expected) == len(current):
        expected, current = dict(enumerate(expected)), dict(enumerate(current))
    if isinstance(expected, dict) and isinstance(current, dict):
        for name in dict.fromkeys((*expected, *current)):
            place = f"{where}, {name}" if where else str(name)
            if name not in current:
                yield f"  only expected: {place}"
            elif name not in expected:
                yield f"  only now: {place}"
            else:
                yield from _differences(expected[name], current[name], place)
    elif expected != current:
        texts = json.dumps(expected, ensure_ascii=False), json.dumps(current, ensure_ascii=False)
        start = next((i for i, pair in enumerate(zip(*texts, strict=False)) if pair[0] != pair[1]), 0)
        start = max(0, start - _MAX_SHOWN // 2)
        before, now = (_excerpt(text, start) for text in texts)
        yield f"  {where}: expected {before}, now {now}"


def _excerpt(text: str, start: int) -> str:
    """Return a part of a text from a position on, with marks where something is left out."""
    end = start + _MAX_SHOWN
    return f"{'…' if start else ''}{text[start:end]}{'…' if end < len(text) else ''}"
