"""The plan: everything that a task will do, determined before anything is changed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, get_type_hints

from relnox.core import serialization
from relnox.core.problems import Problem  # noqa: TC001 - plans are read back by the types of fields
from relnox.core.records import Record, field_names

if TYPE_CHECKING:
    from collections.abc import Iterable

    from relnox.core.planning.step import Step

SCHEMA = 1
"""The version of the JSON form of plans; it increases when programs that read plans would break."""


class Table(Record, kw_only=True):
    """A table of results, printed on standard output."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


class Inputs(Record, kw_only=True):
    """What a plan was made from, besides the files that its steps name.

    Attributes:
        options: The resolved options of the task, as pairs of field name and value. Options that every task has
            are not included.
        commit: The commit of the checkout, or None outside a git repository.
        date: The date in UTC, such as `2026-11-22`, or None if the plan does not depend on it.
    """

    options: tuple[tuple[str, str | bool | int | tuple[str, ...] | None], ...]
    commit: str | None
    date: str | None


class Plan(Record, kw_only=True):
    """Everything that a task will do, determined before anything is changed.

    Attributes:
        task: The name of the task.
        steps: The steps in order: local ones before remote ones.
        notes: Notes for the user, such as what is normalized or left out, and why.
        problems: Failed preflight checks. A plan with problems can be shown but not run.
        consent: The question to confirm before anything is uploaded, or None if no confirmation is needed.
        tables: Results that are known without running a step.
        continue_on_error: Whether steps that do not need a failed step still run.
        skipped: Why all steps are skipped, or None if they run.
        public: The names of the files to publish that the index already lists with the same hashes.
        resumes: Whether the plan resumes an earlier, incomplete run of the same task.
        inputs: The options and the state that the plan was made from; None if another task runs this plan.
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
        """Parse a plan from JSON.

        Args:
            text: The JSON text.
            kinds: The classes of all steps.

        Raises:
            ValueError: The text is not a plan, has another schema version, or was edited.
        """
        try:
            document = json.loads(text)
        except json.JSONDecodeError as error:
            raise ValueError(f"it is not JSON (line {error.lineno}, column {error.colno})") from error
        if not isinstance(document, dict) or "digest" not in document or "schema" not in document:
            raise ValueError("it is not a plan")
        if document["schema"] != SCHEMA:
            raise ValueError(f"its schema is {document['schema']!r}, and this version reads {SCHEMA}")
        if missing := [name for name in field_names(cls) if name not in document]:
            raise ValueError(f"it has no {', '.join(missing)}")
        by_name = {kind.__name__: kind for kind in kinds}
        types = get_type_hints(cls, localns={"Step": Record})
        values = {
            name: serialization.decode(types[name], document[name]) for name in field_names(cls) if name != "steps"
        }
        steps = []
        for entry in document["steps"]:
            if entry["kind"] not in by_name:
                raise ValueError(f"unknown kind of step: {entry['kind']}")
            steps.append(serialization.decode(by_name[entry["kind"]], entry))
        plan = cls(**values, steps=tuple(steps))
        if plan.digest != document["digest"]:
            raise ValueError("it was changed after it was written (its digest does not match)")
        return plan

    @property
    def digest(self) -> str:
        """The SHA-256 hash of the plan, in hex; equal plans have equal hashes."""
        import hashlib

        return hashlib.sha256(json.dumps(serialization.encode(self), sort_keys=True).encode()).hexdigest()

    def to_json(self) -> str:
        """Return the plan as JSON, including the title of each step and whether it is remote."""
        document = serialization.encode(self)
        for entry, step in zip(document["steps"], self.steps, strict=True):
            entry["title"] = step.title
            entry["remote"] = step.remote
        return serialization.to_json({"schema": SCHEMA, "digest": self.digest, **document})
