"""How a workflow file differs from another one in what it does: names, comments and additions do not count."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from relnox.ci.lint import project_code_lines
from relnox.ci.workflows import Items, Job, Step, Table, Text, Workflow
from relnox.errors import Problem

_UNCHECKED_KEYS = frozenset({"name", "runs-on", "timeout-minutes", "steps"})
"""The keys of jobs and steps that people may set as they like."""
_SHA = re.compile(r"[0-9a-f]{40}")
_UNDO = "undo the edit"
_MAX_TEXT = 60
"""The number of characters of values that messages show."""


class Difference(NamedTuple):
    """A difference of a workflow file in the repository (present) from the generated one (expected).

    Attributes:
        line: The line in the present file of what differs, or of the job or table that lacks something.
        message: What differs, and how.
        job: The name of the job; empty if it is no part of a job.
    """

    line: int
    message: str
    job: str


class CheckRules(NamedTuple):
    """The functions of a CI provider that compare a file in the repository (first) with the generated one.

    Attributes:
        compare: Returns what the file in the repository lacks or does differently.
        find_dangers: Returns what makes it unsafe.
    """

    compare: Callable[[Workflow, Workflow], Iterable[Difference]]
    find_dangers: Callable[[Workflow, Workflow], Iterable[Problem]]


# --- GitHub Actions


def _workflow_differences(present: Workflow, expected: Workflow) -> Iterator[Difference]:
    """Yield what a workflow lacks or does differently than expected; what it has in addition is no difference."""
    for key in ("on", "permissions", "concurrency", "env"):
        if not _includes(present.table.get(key), expected.table.get(key)):
            message = _describe_difference(
                f"{key} of the workflow", present.table.get(key), expected.table.get(key)
            )
            yield Difference(present.table.lines.get(key, 1), message, "")
    jobs = {job.name: job for job in present.jobs}
    for job in expected.jobs:
        if job.name in jobs:
            yield from _job_differences(jobs[job.name], job)
        else:
            yield Difference(present.table.lines.get("jobs", 1), f"job {job.name} is missing", job.name)


def _job_differences(present: Job, expected: Job) -> Iterator[Difference]:
    """Yield what a job lacks or does differently; additional keys and steps are no difference."""
    name = expected.name
    for key, value in expected.table.items():
        if key not in _UNCHECKED_KEYS and not _includes(present.table.get(key), value):
            message = _describe_difference(f"{key} of job {name}", present.table.get(key), value)
            yield Difference(present.table.lines.get(key, present.line), message, name)
    missing = list(expected.steps)
    additional: list[Step] = []
    for step in present.steps:
        same = next((other for other in missing if _includes_step(step, other)), None)
        if same is None:
            additional.append(step)
        else:
            missing.remove(same)
    for step in missing:
        changed = next((other for other in additional if _replaces_step(other, step)), None)
        if changed is None:
            yield Difference(present.line, f"job {name} lacks the step {_step_title(step)}", name)
        else:
            additional.remove(changed)
            yield Difference(changed.line, f"job {name} has another step {_step_title(step)}", name)


def _describe_difference(what: str, present: Any, expected: Any) -> str:
    """Describe how a value differs from the expected one (`on is X, not Y`); long values are left out.

    `what` names the value; `present` is None if it is missing.
    """
    if present is None:
        return f"{what} is missing"
    texts = [
        f"[{', '.join(map(str, value))}]" if isinstance(value, Items) else value for value in (present, expected)
    ]
    if any(isinstance(text, Table) or len(text) > _MAX_TEXT for text in texts):
        return f"{what} differs"
    return f"{what} is {texts[0]}, not {texts[1]}"


def _includes(present: Any, expected: Any) -> bool:
    """Return whether a value has all items, or all keys and values, of the expected one, or is the same text.

    Values of mappings are compared in the same way.
    """
    if isinstance(expected, Table) and expected:
        return isinstance(present, Table) and all(
            _includes(present.get(key), value) for key, value in expected.items()
        )
    if isinstance(expected, Items):
        return isinstance(present, Items) and all(value in present for value in expected)
    return bool(_without_trailing_blanks(present) == _without_trailing_blanks(expected))


def _without_trailing_blanks(value: Any) -> Any:
    """Return a text without white space at line ends; return other values unchanged."""
    return "\n".join(map(str.rstrip, value.rstrip().split("\n"))) if isinstance(value, str) else value


def _includes_step(step: Step, expected: Step) -> bool:
    """Return whether a step does all that is expected, perhaps with another commit of the action."""
    return _action_without_commit(step) == _action_without_commit(expected) and all(
        _includes(step.table.get(key), value)
        for key, value in expected.table.items()
        if key not in {"name", "uses"}
    )


def _action_without_commit(step: Step) -> str:
    """Return the action of a step as `ACTION@VERSION`, or as `ACTION` if the version is a commit.

    It is empty for a step that runs a script.
    """
    action, _, version = str(step.table.get("uses", "")).partition("@")
    return action if not version or _SHA.fullmatch(version) else f"{action}@{version}"


def _replaces_step(step: Step, expected: Step) -> bool:
    """Return whether a step is the expected one, edited: the same action, id or first two words of the script."""
    if step.action or expected.action:
        return step.action == expected.action
    words, expected_words = (str(one.table.get("run", "")).split()[:2] for one in (step, expected))
    return step.table.get("id", 0) == expected.table.get("id") or words == expected_words


def _step_title(step: Step) -> str:
    """Return the name of a step for messages: its action, or the first line of its script."""
    command = str(step.table.get("run", "")).strip().partition("\n")[0]
    return step.action or (f"{command[:_MAX_TEXT]}…" if len(command) > _MAX_TEXT else command)


def _workflow_danger_problems(present: Workflow, expected: Workflow) -> Iterator[Problem]:
    """Yield problems for edits that make a generated workflow unsafe: triggers, permissions, leaked secrets.

    Differences in jobs that have credentials or an environment are problems too, and needs of missing jobs.
    """
    for trigger in ("pull_request_target", "workflow_run"):
        if trigger in present.triggers:
            message = f"it is started by {trigger} (with secrets, for what others wrote)"
            yield present.problem(present.triggers.lines[trigger], message, f"remove {trigger}")
    top = present.table.get("permissions")
    if top is None or (top and not _includes(expected.table.get("permissions"), top)):
        line = present.table.lines.get("permissions", 1)
        yield present.problem(line, "all jobs have permissions", "set permissions: {} for the workflow")
    yield from _missing_job_problems(present, present.jobs_table)
    jobs = {job.name: job for job in present.jobs}
    guards = {job.name for job in expected.jobs if _has_credentials(job) or job.environment}
    for job in expected.jobs:
        if job.name in jobs:
            yield from _permission_problems(jobs[job.name], job)
            yield from _leaked_credential_problems(jobs[job.name], job)
    for difference in _workflow_differences(present, expected):
        if difference.job in guards:
            yield present.problem(difference.line, f"{difference.message} (it guards what is published)", _UNDO)


def _missing_job_problems(workflow: Workflow, jobs: Table) -> Iterator[Problem]:
    """Yield a problem for each job that another job needs, but that `jobs` (by name) lacks.

    The forge runs no job of such a file.
    """
    for name, job in jobs.items():
        needs = job.get("needs") if isinstance(job, Table) else None
        for needed in needs if isinstance(needs, Items) else [needs]:
            if isinstance(needed, Text) and needed and needed not in jobs:
                message = f"job {name} needs job {needed}, which does not exist"
                yield workflow.problem(needed.line, message, f"remove {needed} from its needs")


def _permission_problems(present: Job, expected: Job) -> Iterator[Problem]:
    """Yield a problem for each permission of a job that the expected job does not have, or has at a lower level.

    A job without permissions has the default ones of the repository, which is a problem too.
    """
    allowed = expected.permissions or {}
    permissions = {"all": "default"} if present.permissions is None else present.permissions
    for scope, level in permissions.items():
        if level != "none" and allowed.get(scope) not in (level, "write"):
            line = getattr(present.table.get("permissions"), "lines", {}).get(scope, present.line)
            needed = f"{scope}: {allowed[scope]}" if scope in allowed else "no such one"
            message = f"job {present.name} has the permission {scope}: {level} (it needs {needed})"
            yield present.workflow.problem(line, message, f"set {needed}" if scope in allowed else "remove it")


def _leaked_credential_problems(present: Job, expected: Job) -> Iterator[Problem]:
    """Yield problems for steps that give project code a token or secret that the expected job keeps from it."""
    name, workflow = expected.name, present.workflow
    for step in present.steps:
        if step.action == "actions/checkout" and step.input("persist-credentials") != "false":
            message = f"job {name} leaves its token in the checkout"
            yield workflow.problem(step.line, message, "set persist-credentials: false")
    if not _has_credentials(expected):
        for line, text in _iter_texts(present.table, present.line):
            if "secrets." in text and "secrets.GITHUB_TOKEN" not in text:
                message = f"job {name} gets a secret (the code that it runs can read it)"
                yield workflow.problem(line, message, "move the step into a job that runs no code of the project")
    elif not any(project_code_lines(expected)):
        for line in project_code_lines(present):
            message = f"job {name} runs the project's code (that code can use the credential)"
            yield workflow.problem(line, message, "move the step into the job that builds")


def _has_credentials(job: Job) -> bool:
    """Return whether a job can request an identity token or uses a secret."""
    return job.has_identity or any("secrets." in text for _, text in _iter_texts(job.table, job.line))


def _iter_texts(value: Any, line: int) -> Iterator[tuple[int, str]]:
    """Yield each text in a nested value with its line, or with `line` if it has none; keys are left out."""
    if isinstance(value, Table | Items):
        for inner in value.values() if isinstance(value, Table) else value:
            yield from _iter_texts(inner, line)
    else:
        yield getattr(value, "line", line), str(value)


WORKFLOW_RULES = CheckRules(_workflow_differences, _workflow_danger_problems)


# --- GitLab

_UNCHECKED_KEYS_OF_PIPELINES = frozenset({"image", "tags", "timeout", "retry"})
"""The keys of jobs that people may set as they like."""


def _pipeline_differences(present: Workflow, expected: Workflow) -> Iterator[Difference]:
    """Yield what jobs of a GitLab pipeline lack or do differently; additional jobs and keys are no difference."""
    for name, job in expected.table.items():
        table = present.table.get(name)
        if not isinstance(table, Table):
            yield Difference(1, f"job {name} is missing", name)
            continue
        for key, value in job.items():
            if key not in _UNCHECKED_KEYS_OF_PIPELINES and not _includes(table.get(key), value):
                line = table.lines.get(key, present.table.lines[name])
                yield Difference(line, _describe_difference(f"{key} of job {name}", table.get(key), value), name)


def _pipeline_danger_problems(present: Workflow, expected: Workflow) -> Iterator[Problem]:
    """Yield problems for needs of missing jobs, additional caches, and edits of jobs that guard what is published.

    Those are the jobs with identity tokens or an environment.
    """
    if "include" not in present.table:
        yield from _missing_job_problems(present, present.table)
    guards = {name for name, job in expected.table.items() if {"id_tokens", "environment"} & job.keys()}
    for difference in _pipeline_differences(present, expected):
        if difference.job in guards:
            message = f"{difference.message} (it guards what is published)"
            yield present.problem(difference.line, message, _UNDO)
    for name, job in present.table.items():
        added = job.keys() - expected.table.get(name, {}).keys() if isinstance(job, Table) else set()
        for key in sorted(added - _UNCHECKED_KEYS_OF_PIPELINES):
            if name in guards or (key == "cache" and name in {*expected.table, "default"}):
                message = f"job {name} has {key} as well (it may change what is published)"
                yield present.problem(job.lines[key], message, "remove it")
        for key in ("script", "id_tokens") if name in guards and isinstance(job, Table) else ():
            generated = expected.table[name].get(key)
            if generated is not None and key in job and len(job[key]) > len(generated):
                message = f"{key} of job {name} has more than relnox writes (it guards what is published)"
                yield present.problem(job.lines[key], message, _UNDO)


PIPELINE_RULES = CheckRules(_pipeline_differences, _pipeline_danger_problems)
