"""The plan: everything that a task will do, determined before anything is changed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from relnox.core import documents
from relnox.core.planning.checklist import CheckedItem
from relnox.core.planning.step import Step
from relnox.core.records import Record
from relnox.errors import Problem

S = TypeVar("S", bound="Step")

SCHEMA = 1
"""The version of the JSON form of plans; it increases when programs that read plans would break."""


class Table(Record, kw_only=True):
    """A table of results, printed on standard output."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


class ReleasedPackage(Record, kw_only=True):
    """A package that a run releases; version and tag are empty if they are not known."""

    package: str
    version: str
    tag: str = ""


class Plan(Record, kw_only=True):
    """Everything that a task will do, determined before anything is changed.

    Attributes:
        steps: The steps in order: local ones before remote ones.
        notes: Notes for the user, such as what is normalized or left out, and why.
        details: Notes that come with every run, which are shown with `--dry-run` and `--verbose` only.
        problems: Failed preflight checks. A plan with problems can be shown but not run, unless it has `items`.
        consent: The question to confirm before anything is uploaded, or None if no confirmation is needed.
        tables: Results that are known without running a step.
        items: The items of a checklist, with problems of their own.
        continue_on_error: Whether steps that do not need a failed step still run.
        skipped: Why all steps are skipped, or None if they run.
        public: The names of the files to publish that the index already lists with the same hashes.
        commit: The ID of the checkout's commit; None outside git, and if another task runs this plan.
        next_command: The command that comes next, to be shown after a run that succeeded; empty if none does.
        releases: The packages that the run releases, or whose release exists already.
        outputs: Pairs of name and value, which later jobs of CI can read in addition to the releases.
    """

    task: str
    steps: tuple[Step, ...] = ()
    notes: tuple[str, ...] = ()
    details: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()
    consent: str | None = None
    tables: tuple[Table, ...] = ()
    items: tuple[CheckedItem, ...] = ()
    continue_on_error: bool = False
    skipped: str | None = None
    public: tuple[str, ...] = ()
    commit: str | None = None
    next_command: str = ""
    releases: tuple[ReleasedPackage, ...] = ()
    outputs: tuple[tuple[str, str], ...] = ()

    @property
    def digest(self) -> str:
        """The SHA-256 hash, in hex, of the task, the commit and the steps: equal for plans that do the same."""
        return plan_digest(self.to_document())

    def to_document(self) -> dict[str, Any]:
        """Return the plan as a JSON object; each step also has its title, and whether it is remote."""
        document: dict[str, Any] = documents.to_json_types(self)
        for entry, step in zip(document["steps"], self.steps, strict=True):
            entry["title"] = step.title
            entry["remote"] = step.remote
        return document

    def to_json(self) -> str:
        """Return the plan as JSON text: that of `to_document`, with the version of its schema and its digest."""
        document = self.to_document()
        return documents.to_json({"schema": SCHEMA, "digest": plan_digest(document), **document})


class PlanBuilder:
    """Collects the steps, problems and notes of a plan, in attributes that are named like the fields of `Plan`."""

    def __init__(self, task: str, *, continue_on_error: bool = False) -> None:
        self.task = task
        self.notes: list[str] = []
        self.details: list[str] = []
        self.problems: list[Problem] = []
        self.tables: list[Table] = []
        self.next_command = ""
        self.releases: list[ReleasedPackage] = []
        self.outputs: dict[str, str] = {}
        self._continue_on_error = continue_on_error
        self.steps: list[Step] = []

    def add(self, *steps: S) -> tuple[S, ...]:
        """Add steps, and return them, so that other steps can need them."""
        self.steps += steps
        return steps

    def add_problems(self, problems: Iterable[Problem], options: object) -> None:
        """Add problems to the plan, except those that the user allowed by an option of the task.

        `options` is the object with the options of the task. A problem that may be allowed has the name of an
        option in `allow`. If that option is set, a note is added instead; otherwise the fix also names the option.
        """
        for problem in problems:
            flag = f"--{problem.allow.replace('_', '-')}"
            if not problem.allow:
                self.problems.append(problem)
            elif getattr(options, problem.allow):
                self.notes.append(f"{flag} ignores: {problem.message}")
            else:
                self.problems.append(problem.but(fix=f"{problem.fix}; to ignore it: {flag}", allow=""))

    def build(self, **more: Any) -> Plan:
        """Return the plan; `more` are values of those fields of `Plan` that this object does not collect."""
        return Plan(
            task=self.task,
            steps=tuple(self.steps),
            notes=tuple(self.notes),
            details=tuple(self.details),
            problems=tuple(self.problems),
            tables=tuple(self.tables),
            continue_on_error=self._continue_on_error,
            next_command=self.next_command,
            releases=tuple(self.releases),
            outputs=tuple(self.outputs.items()),
            **more,
        )


def plan_digest(document: Mapping[str, Any]) -> str:
    """Return the digest of a plan: the SHA-256 hash, in hex, of its task, its commit and its steps.

    `document` is the plan as a JSON object. Notes are not hashed, since they depend on the machine.
    """
    return documents.json_digest({name: document.get(name) for name in ("task", "commit", "steps")})
