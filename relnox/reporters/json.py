"""The JSON report of a run."""

from __future__ import annotations

from typing import Any

from relnox.core import serialization
from relnox.core.planning.events import Outcome, StepFinished
from relnox.core.release.publication import PublishedFile
from relnox.errors import Problem


def render(outcome: Outcome) -> str:
    """Format the report of a run as JSON."""
    return serialization.to_json(_encode_outcome(outcome))


def render_error(task: str, error: Problem) -> str:
    """Format the report of a run that an error ended before its first step as JSON."""
    problem = {"code": error.code, "error": error.message, "fix": error.fix}
    return serialization.to_json({"task": task, "exit_code": error.exit_code.value, **problem, "steps": []})


def _encode_outcome(outcome: Outcome) -> dict[str, Any]:
    return {
        "task": outcome.plan.task,
        "plan": outcome.plan.digest,
        "exit_code": outcome.exit_code.value,
        "seconds": round(outcome.seconds, 3),
        "deadline": outcome.deadline,
        "notes": list(outcome.plan.notes),
        "warnings": outcome.warnings,
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
        "tables": [serialization.encode(table) for table in outcome.tables],
    }


def _encode_file(file: PublishedFile) -> dict[str, Any]:
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
        "warnings": [
            {"code": warning.code, "file": warning.file, "message": warning.message, "fix": warning.fix}
            for warning in result.warnings
        ],
    }
