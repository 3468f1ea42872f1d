"""Workflow files of GitHub Actions, from the model.

Values that a run is given go through the environment of a step: an expression in a script would become a part of
it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from functools import cache
from importlib import resources

from relnox.ci import model
from relnox.core.documents import load_toml
from relnox.core.records import Record

DIRECTORY = ".github/workflows"
NOX_REQUIREMENTS = ".github/requirements/nox.txt"
"""The locked requirements of jobs that run the project's sessions."""
RELNOX_REQUIREMENTS = ".github/requirements/relnox.txt"
"""The locked requirements of jobs with credentials: what relnox imports to publish, tag and call a forge."""
WHEELS_REQUIREMENTS = ".github/requirements/wheels.txt"
"""The locked requirements of jobs that build platform wheels."""
RUNNER = "ubuntu-24.04"

_BIN = "$RUNNER_TEMP/relnox/bin"
_INSTALL = f"python3 -m venv $RUNNER_TEMP/relnox && {_BIN}/pip install --no-deps --require-hashes -r"
_WHEELS = "wheels"
"""The directory that platform wheels are built into."""
_API = "repos/$GITHUB_REPOSITORY"


class Pin(Record, kw_only=True):
    """The version of an action that workflows use: a commit, and its tag in the action's repository.

    Attributes:
        date: The day of the commit.
    """

    action: str
    sha: str
    version: str
    date: date


@cache
def pins() -> Mapping[str, Pin]:
    """Return the pin of each action that workflows use, by the name of the action, from `pins.toml`."""
    text = resources.files("relnox.ci").joinpath("pins.toml").read_text("utf-8")
    return {action: Pin(action=action, **values) for action, values in load_toml(text).items()}


def workflow_path(workflow: model.Workflow) -> str:
    """Return the path of a workflow's file, relative to the root of the repository."""
    return f"{DIRECTORY}/{workflow.key}.yml"


def render(workflow: model.Workflow) -> str:
    """Return a workflow as the text of its YAML file."""
    return "\n".join(_workflow_lines(workflow)) + "\n"


def _workflow_lines(workflow: model.Workflow) -> Iterator[str]:
    """Yield the lines of a workflow's YAML file."""
    yield from (f"# {line}" for line in workflow.about)
    yield f"name: {workflow.name}"
    yield "on:"
    for trigger in workflow.triggers:
        yield from _trigger_lines(trigger)
    yield ""
    yield "permissions: {} # each job has its own"
    if workflow.queue:
        values = {"group": workflow.queue, "cancel-in-progress": False, "queue": "max"}
        yield f"concurrency: {_flow_mapping(values)} # none is interrupted: the next run waits"
    else:
        values = {"group": "${{ github.workflow }}-${{ github.ref }}", "cancel-in-progress": True}
        yield f"concurrency: {_flow_mapping(values)}"
    yield "env: { ACTIONS_CACHE_MODE: none } # what is released comes from no cache"
    yield "jobs:"
    for position, job in enumerate(workflow.jobs):
        if position:
            yield ""
        yield from _job_lines(job, workflow)


def _trigger_lines(trigger: model.Trigger) -> Iterator[str]:
    """Yield the lines of a trigger below `on:` in a workflow file."""
    match trigger:
        case model.OnTag(patterns):
            yield f"  push: {{ tags: {_flow_list(patterns)} }}"
        case model.OnMerge(branches):
            yield f"  push: {{ branches: {_flow_list(branches)} }}"
        case model.OnPullRequest(branches):
            yield f"  pull_request: {{ branches: {_flow_list(branches)} }}" if branches else "  pull_request:"
        case model.OnPublishedRelease():
            yield "  release: { types: [published] }"
        case model.OnSchedule(cron):
            yield f"  schedule: [{{ cron: {json.dumps(cron)} }}]"
        case model.ByHand(inputs):
            yield "  workflow_dispatch:"
            if inputs:
                yield "    inputs:"
            yield from (f"      {field.name}: {{ {_format_input(field)} }}" for field in inputs)


def _format_input(field: model.InputField) -> str:
    """Return the properties of an input, as YAML without the braces."""
    if field.is_switch:
        return f"type: boolean, description: {field.help}"
    if field.choices:
        return f"type: choice, options: [{', '.join(field.choices)}], description: {field.help}"
    return f"type: string, description: {field.help}"


def _job_lines(job: model.Job, workflow: model.Workflow) -> Iterator[str]:
    """Yield the lines of a job below `jobs:` in a workflow file."""
    yield f"  {job.key}:" + (f" # {job.about}" if job.about else "")
    yield f"    name: {job.name}" + (f" (${{{{ matrix.{job.matrix.label} }}}})" if job.matrix is not None else "")
    if job.needs:
        yield f"    needs: [{', '.join(job.needs)}]"
    if condition := _job_condition(job):
        yield f"    if: {condition}"
    if job.matrix is not None:
        rows = f"${{{{ fromJSON({_output_reference(job.matrix.rows)}) }}}}"
        yield f"    strategy: {_flow_mapping({'matrix': rows})}"
    yield f"    runs-on: {RUNNER if job.matrix is None else f'${{{{ matrix.{job.matrix.runner} }}}}'}"
    if job.command is not None:
        yield f"    timeout-minutes: {job.minutes}"
    if job.environment:
        yield f"    environment: {_expression(job.environment)}"
    scopes = {permission.scope: permission.level for permission in job.permissions}
    reasons = "; ".join(permission.reason for permission in job.permissions)
    yield f"    permissions: {_flow_mapping(scopes)} # {reasons}"
    if job.outputs:
        outputs = {name: f"${{{{ steps.{job.key}.outputs.{name} }}}}" for name in job.outputs}
        yield f"    outputs: {_flow_mapping(outputs)}"
    yield "    steps:"
    yield from (f"      {line}" for line in _step_lines(job, workflow))


def _job_condition(job: model.Job) -> str:
    """Return the expression for `if:` of a job, in `${{ }}`; empty if the job always runs."""
    tests = []
    if job.unless is not None:
        tests.append(f"!inputs.{job.unless.name}")
    if job.only_if is not None:
        tests.append(f"{_output_reference(job.only_if)} == 'true'")
    if job.only_value is not None:
        value, text = job.only_value
        tests.append(f"{_input_reference(value)} == '{text}'")
    return f"${{{{ {' && '.join(tests)} }}}}" if tests else ""


def _step_lines(job: model.Job, workflow: model.Workflow) -> Iterator[str]:
    """Yield the lines of a job's steps, not indented."""
    if job.command is None:
        yield f'- run: gh api "{_API}/environments/{job.environment}" | grep \'"required_reviewers"\''
        yield f"  env: {_flow_mapping({'GH_TOKEN': _expression(model.JobToken())})}"
        return
    if job.checkout != "none":
        yield _uses_line("actions/checkout")
        yield f"  with: {_flow_mapping(_checkout_inputs(job, workflow))}"
    if workflow.python or job.matrix is not None:
        yield _uses_line("actions/setup-python")
        yield f'  with: {{ python-version: "{workflow.python or model.PYTHON}" }}'
    for name in job.takes:
        where = {"pattern": name, "path": "parts"} if name.endswith("*") else {"name": name, "path": "dist"}
        yield _uses_line("actions/download-artifact")
        yield f"  with: {_flow_mapping(where)}"
    yield from _install_step_lines(job, workflow)
    yield from _command_step_lines(job, job.command)
    if job.keeps:
        yield _uses_line("actions/upload-artifact")
        name, path = job.keeps, "dist"
        if job.matrix is not None:
            name, path = f"{job.keeps}-${{{{ matrix.{job.matrix.label} }}}}", _WHEELS
        if_none = "error" if job.matrix is None else "ignore"  # `collect` knows what must be there
        values = {"name": name, "path": path, "if-no-files-found": if_none, "retention-days": model.RETENTION_DAYS}
        yield f"  with: {_flow_mapping(values)}"


def _checkout_inputs(job: model.Job, workflow: model.Workflow) -> dict[str, object]:
    """Return the inputs of `actions/checkout`; a commit that a person typed in precedes that of the run."""
    is_given = any(field.name == "commit" for field in workflow.inputs)
    return {
        **({"ref": "${{ inputs.commit || github.sha }}"} if is_given else {}),
        **({"fetch-depth": 0} if job.checkout == "history" else {}),
        "persist-credentials": False,
    }


def _install_step_lines(job: model.Job, workflow: model.Workflow) -> Iterator[str]:
    """Yield the lines of the step that installs relnox from the locked requirements.

    A job without a checkout downloads their file. If the project is relnox itself, that is installed as well: as
    built, or from the checkout. A job with a matrix installs cibuildwheel instead.
    """
    if job.matrix is not None:
        yield f"- run: python -m pip install --no-deps --require-hashes -r {WHEELS_REQUIREMENTS}"
        return
    file = NOX_REQUIREMENTS if job.runs_project_code else RELNOX_REQUIREMENTS
    source = "dist/*.whl" if "dist" in job.takes else "."
    own = f" && {_BIN}/pip install --no-deps {source}" if workflow.is_relnox else ""
    if job.checkout != "none":
        yield f"- run: {_INSTALL} {file}{own}"
        return
    yield "- run: |"
    url = f"{_API}/contents/{file}?ref=$GITHUB_SHA"
    yield f'    gh api -H "Accept: application/vnd.github.raw" "{url}" > relnox.txt'
    yield f"    {_INSTALL} relnox.txt{own}"
    yield f"  env: {_flow_mapping({'GH_TOKEN': _expression(model.JobToken())})}"


def _command_step_lines(job: model.Job, command: model.Command) -> Iterator[str]:
    """Yield the lines of the step that runs a job's command."""
    words = [f'"{word}"' if word.startswith("$") else word for word in command.words]
    if command.tasks == ("cibuildwheel",):
        wheel = f"python -m cibuildwheel {' '.join(words)} --output-dir {_WHEELS}"
        text = f"for sdist in $SDIST; do {wheel}; done"
    else:
        text = job.shell_line(_BIN, words)
    yield f"- run: {text}"
    if job.matrix is not None:
        yield "  shell: bash # on Windows as well"
    if job.outputs:
        yield f"  id: {job.key}"
    if command.variables:
        values = {name: _expression(value) for name, value in command.variables.items()}
        yield f"  env: {_flow_mapping(values)}"


def _uses_line(action: str) -> str:
    """Return the first line of a step that uses an action at its pin."""
    pin = pins()[action]
    return f"- uses: {action}@{pin.sha} # {pin.version}"


def _expression(value: model.Expression) -> str:
    """Return a value as YAML: a constant text unchanged, any other one in `${{ }}`."""
    match value:
        case model.Input():
            return f"${{{{ {_input_reference(value).strip('()')} }}}}"
        case model.Output():
            return f"${{{{ {_output_reference(value)} }}}}"
        case model.MatrixValue(name):
            return f"${{{{ matrix.{name} }}}}"
        case model.Secret(name):
            return f"${{{{ secrets.{name} }}}}"
        case model.JobToken():
            return "${{ github.token }}"
        case str():
            return value


def _input_reference(value: model.Input) -> str:
    """Return an input as part of an expression: `inputs.NAME`, or `(inputs.NAME || OTHER)` with an alternative."""
    if value.otherwise == "":
        return f"inputs.{value.name}"
    otherwise = f"'{value.otherwise}'" if isinstance(value.otherwise, str) else _output_reference(value.otherwise)
    return f"(inputs.{value.name} || {otherwise})"


def _output_reference(output: model.Output) -> str:
    """Return an output of a job that this job needs as part of an expression: `needs.JOB.outputs.NAME`."""
    return f"needs.{output.job}.outputs.{output.name}"


def _flow_list(texts: Iterable[str]) -> str:
    """Return a YAML sequence on one line (`["a", "b"]`); all texts are quoted."""
    return f"[{', '.join(map(json.dumps, texts))}]"


def _flow_mapping(values: Mapping[str, object]) -> str:
    """Return a YAML mapping on one line (`{ a: b }`); values are quoted where necessary."""
    return f"{{ {', '.join(f'{key}: {_yaml_scalar(value)}' for key, value in values.items())} }}"


def _yaml_scalar(value: object) -> str:
    """Return a value in YAML; a text is quoted unless it consists of letters, digits and `_ . / -`."""
    return value if isinstance(value, str) and re.fullmatch(r"[\w./-]+", value) else json.dumps(value)
