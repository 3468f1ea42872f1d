"""The JSON report of a run."""

from __future__ import annotations

from typing import Any

from relnox.core import documents
from relnox.core.planning.checklist import CheckedItem
from relnox.core.planning.events import Outcome, StepFinished
from relnox.core.release.publication import PublishedFile
from relnox.errors import Problem


def render(outcome: Outcome) -> str:
    """Format the report of a run as JSON."""
    return documents.to_json(_encode_outcome(outcome))


def _encode_outcome(outcome: Outcome) -> dict[str, Any]:
    """Return the report of a run as a JSON object, with those of the tasks that it ran in `stages`."""
    return {
        "task": outcome.plan.task,
        "plan": outcome.plan.digest,
        "exit_code": outcome.exit_code.value,
        "seconds": round(outcome.seconds, 3),
        "deadline": outcome.deadline,
        "notes": [*outcome.plan.notes, *outcome.plan.details],
        "problems": [_encode_problem(problem) for problem in outcome.plan.problems],
        "items": [_encode_item(item) for item in outcome.checklist],
        "warnings": outcome.warning_count,
        "waits": [
            {
                "reason": wait.reason,
                "next_attempt": wait.next_attempt.isoformat(),
                "deadline": wait.deadline.isoformat(),
            }
            for wait in outcome.waits
        ],
        "steps": [_encode_step(result) for result in outcome.results],
        "stages": [_encode_outcome(stage) for stage in outcome.stages],
        "files": [_encode_file(file) for file in outcome.publication],
        "traceback": outcome.traceback,
        "tables": [documents.to_json_types(table) for table in outcome.tables],
    }


def _encode_item(item: CheckedItem) -> dict[str, Any]:
    """Return a checklist item and its problems as a JSON object."""
    return {
        "name": item.name,
        "title": item.title,
        "why": item.why,
        "status": item.status,
        "detail": item.detail,
        "problems": [{"level": problem.level, **_encode_problem(problem)} for problem in item.problems],
    }


def _encode_file(file: PublishedFile) -> dict[str, Any]:
    """Return what is known of a file on an index as a JSON object."""
    return {
        "index": file.index,
        "package": file.package,
        "name": file.filename,
        "state": file.state.value,
        "upload": file.upload.value,
        "listing": file.listing.value,
        "download": file.download.value,
    }


def _encode_step(result: StepFinished) -> dict[str, Any]:
    """Return the result of a step as a JSON object; `code` and `fix` are those of its error, or null."""
    return {
        "key": result.step.key,
        "kind": type(result.step).__name__,
        "title": result.step.title,
        "remote": result.step.remote,
        "status": result.status.value,
        "detail": result.detail,
        "code": result.error.code if result.error is not None else None,
        "fix": result.error.fix if result.error is not None else None,
        "seconds": round(result.seconds, 3),
        "warnings": [{"file": warning.file, **_encode_problem(warning)} for warning in result.warnings],
    }


def _encode_problem(problem: Problem) -> dict[str, Any]:
    """Return a problem as a JSON object, without its level and file."""
    return {"code": problem.code, "message": problem.message, "fix": problem.fix}
