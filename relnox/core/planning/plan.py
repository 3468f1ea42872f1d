"""The plan: everything a task will do, complete before anything is changed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, get_type_hints

from relnox.core import serialization
from relnox.core.records import Record, names_of
from relnox.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Iterable

    from relnox.core.planning.step import Step
    from relnox.errors import RelnoxError

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

    @classmethod
    def of(cls, error: RelnoxError, exit_code: ExitCode | None = None) -> Problem:
        """Return an error as a problem, with its exit code unless another one is given."""
        code = error.exit_code if exit_code is None else exit_code
        return cls(code=error.code, message=error.message, fix=error.fix or "", exit_code=code)


class Table(Record, kw_only=True):
    """A table of results, printed on standard output."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


class Inputs(Record, kw_only=True):
    """What a plan was made from, besides the files that its steps name.

    Attributes:
        options: The resolved options of the task by field name, without those of every task.
        commit: The commit of the checkout; None outside git.
        date: The date in UTC, such as `2026-11-22`, if the plan depends on it.
    """

    options: tuple[tuple[str, str | bool | int | tuple[str, ...] | None], ...]
    commit: str | None
    date: str | None


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
        resumes: Whether it finishes what an earlier run of the same task began.
        inputs: The state that it is based on; None for a stage of a chain.
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
    resumes: bool = False
    inputs: Inputs | None = None

    @classmethod
    def from_json(cls, text: str, kinds: Iterable[type[Step]]) -> Plan:
        """Read a plan from its JSON form; `kinds` are the classes of all steps.

        Raises:
            ValueError: It is none, is of another schema, or was changed.
        """
        document = json.loads(text)
        if not isinstance(document, dict) or "digest" not in document or "schema" not in document:
            raise ValueError("it is not a plan")
        if document["schema"] != SCHEMA:
            raise ValueError(f"its schema is {document['schema']!r}, and this version reads {SCHEMA}")
        if missing := [name for name in names_of(cls) if name not in document]:
            raise ValueError(f"it has no {', '.join(missing)}")
        by_name = {kind.__name__: kind for kind in kinds}
        types = get_type_hints(cls, localns={"Step": Record})
        values = {
            name: serialization.decode(types[name], document[name]) for name in names_of(cls) if name != "steps"
        }
        steps = []
        for entry in document["steps"]:
            if entry["kind"] not in by_name:
                raise ValueError(f"{entry['kind']} is no kind of step")
            steps.append(serialization.decode(by_name[entry["kind"]], entry))
        plan = cls(**values, steps=tuple(steps))
        if plan.digest != document["digest"]:
            raise ValueError("it was changed after it was written (its digest is another)")
        return plan

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
