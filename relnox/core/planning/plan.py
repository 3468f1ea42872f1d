"""The plan: everything a task will do, complete before anything is changed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from relnox.core import serialization
from relnox.core.records import Record
from relnox.errors import ExitCode

if TYPE_CHECKING:
    from relnox.core.planning.step import Step

__all__ = ["SCHEMA", "Plan", "Problem", "Table"]

SCHEMA = 1
"""The version of the JSON form of plans: it changes where a program that reads plans would break."""


class Problem(Record, kw_only=True):
    """A reason why a plan cannot run.

    Attributes:
        code: Stable name of the kind of problem, such as `tag-exists`.
        message: What is wrong, and why.
        fix: One command or edit that solves it.
        exit_code: How the run ends.
    """

    code: str
    message: str
    fix: str
    exit_code: ExitCode = ExitCode.BLOCKED


class Table(Record, kw_only=True):
    """A table of results, printed on standard output."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


class Plan(Record, kw_only=True):
    """Everything a task will do, complete before anything is changed.

    Attributes:
        task: Name of the task.
        steps: The steps in order: local ones before remote ones.
        notes: Notes for the user, such as what is normalized or left out, and why.
        problems: Failed preflight checks. A plan with problems can be shown but not run.
        consent: The question to confirm before anything is uploaded; None if no confirmation is needed.
        tables: Results that are known without running a step.
        continue_on_error: Whether a failure stops only the steps that need the failed one.
        skipped: Why all steps are skipped, where the settings allow that.
        public: Names of the files to publish that the index lists already, with the same hashes.
    """

    task: str
    steps: tuple[Step, ...] = ()
    notes: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()
    consent: str | None = None
    tables: tuple[Table, ...] = ()
    continue_on_error: bool = False
    skipped: str | None = None
    public: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """The SHA-256 of the plan: equal inputs give equal digests."""
        import hashlib

        return hashlib.sha256(json.dumps(serialization.encode(self), sort_keys=True).encode()).hexdigest()

    def to_json(self) -> str:
        """Return the plan as JSON, with the title of each step."""
        document = serialization.encode(self)
        for entry, step in zip(document["steps"], self.steps, strict=True):
            entry["title"] = step.title
            entry["remote"] = step.remote
        return serialization.to_json({"schema": SCHEMA, "digest": self.digest, **document})
