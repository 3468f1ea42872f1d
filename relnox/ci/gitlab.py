"""The pipeline of GitLab, from the model: all workflows in one file.

GitLab has no inputs and no permissions: what a person types in are variables of the pipeline, and a job gets
exactly the identity tokens that it names. Values only reach a script as variables of its environment.

A job may set any variable of the jobs that need it (`reports: dotenv`): `PATH`, `LD_PRELOAD`. So jobs with
credentials get no outputs of jobs that run code of the project, but only their files.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence

from relnox.ci import model

FILE = ".gitlab-ci.yml"
NOX_REQUIREMENTS = ".gitlab/requirements/nox.txt"
"""The locked requirements of jobs that run the project's sessions."""
RELNOX_REQUIREMENTS = ".gitlab/requirements/relnox.txt"
"""The locked requirements of jobs with credentials."""

_BIN = "~/relnox/bin"
_REQUIREMENTS_JOB = "requirements"
_OUTPUTS = "outputs.env"
_SELECTION = "PIPELINE"
"""The variable that selects a workflow, if several are started by hand."""
_GATE = "a person starts it; protect its environment, so that only its approvers can"
_AUTHORS = {"NAME": "$GITLAB_USER_NAME", "EMAIL": "$GITLAB_USER_EMAIL"}


def render(workflows: Sequence[model.Workflow], output_variable: Callable[[str], str]) -> str:
    """Return the text of `.gitlab-ci.yml` with the jobs of all workflows; that of releases must come first.

    Jobs of the others are named `KEY:JOB`, with the key of their workflow. `output_variable` maps the name of a
    job's output (`Job.outputs`) to the environment variable that passes it to later jobs.
    """
    return "\n".join(_pipeline_lines(workflows, output_variable)) + "\n"


def environment_name(value: model.Expression) -> str:
    """Return the name of the environment of a job whose `Job.environment` is `value`; empty for none.

    For an input, which a person types in, it is the variable of the input (`$INDEX`), or `publish` if an output of
    an earlier job is its alternative.
    """
    if isinstance(value, model.Input):
        return "publish" if isinstance(value.otherwise, model.Output) else f"${_input_variable(value.name)}"
    return str(value)


def _pipeline_lines(workflows: Sequence[model.Workflow], output_variable: Callable[[str], str]) -> Iterator[str]:
    """Yield the lines of the pipeline's file; the arguments are those of `render`."""
    yield from (f"# {line}" for workflow in workflows for line in workflow.about)
    yield "default:"
    python = next(filter(None, (workflow.python for workflow in workflows)), model.PYTHON)
    yield f"  image: python:{python}-bookworm # add its digest: an update bot raises it, and relnox keeps it"
    yield "  interruptible: false # an upload is never canceled"
    by_hand = [workflow for workflow in workflows if any(isinstance(t, model.ByHand) for t in workflow.triggers)]
    fields = [field for workflow in by_hand for field in workflow.inputs]
    if len(by_hand) > 1:
        choices = tuple(workflow.key for workflow in by_hand)
        fields.insert(0, model.InputField(name=_SELECTION, help="What to run", choices=choices))
    if fields:
        yield ""
        yield "variables: # what is typed in for a pipeline that is started by hand"
        defaults = dict(_input_defaults(workflows))
        yield from (
            f"  {_input_variable(field.name)}: {{ {_format_input_variable(field, defaults)} }}" for field in fields
        )
    for number, workflow in enumerate(workflows):
        prefix = f"{workflow.key}:" if number else ""
        writer = _JobWriter(workflow, prefix, output_variable, is_selected=len(by_hand) > 1)
        if any(job.checkout == "none" and job.command is not None for job in workflow.jobs):
            yield ""
            yield from writer.requirements_job_lines()
        for job in workflow.jobs:
            yield ""
            yield from writer.job_lines(job)


def _input_defaults(workflows: Sequence[model.Workflow]) -> Iterator[tuple[str, str]]:
    """Yield the name and default text of each input that jobs use; the text may be empty."""
    for workflow in workflows:
        for job in workflow.jobs:
            variables = job.command.variables.values() if job.command is not None else ()
            for value in (job.environment, *variables):
                if isinstance(value, model.Input) and isinstance(value.otherwise, str):
                    yield value.name, value.otherwise


def _format_input_variable(field: model.InputField, defaults: dict[str, str]) -> str:
    """Return the properties of an input's variable, as YAML without the braces.

    `defaults` maps names of inputs to texts; without one, the default is the first choice, or nothing.
    """
    choices = ("false", "true") if field.is_switch else field.choices
    default = defaults.get(field.name) or (choices[0] if choices else "")
    options = f", options: [{', '.join(map(json.dumps, choices))}]" if choices else ""
    return f"value: {json.dumps(default)}{options}, description: {json.dumps(field.help)}"


def _input_variable(name: str) -> str:
    """Return the name of the pipeline variable of an input, without `$`: `DRY_RUN` for `dry-run`."""
    return name.upper().replace("-", "_")


class _JobWriter:
    """A writer of the jobs of one workflow.

    Args:
        prefix: What the names of its jobs begin with.
        output_variable: Maps the name of a job's output to the environment variable that passes it to later jobs.
        is_selected: Whether runs by hand select the workflow by the variable `PIPELINE`.
    """

    def __init__(
        self, workflow: model.Workflow, prefix: str, output_variable: Callable[[str], str], *, is_selected: bool
    ) -> None:
        self._workflow = workflow
        self._prefix = prefix
        self._output_variable = output_variable
        selection = f' && ${_SELECTION} == "{workflow.key}"' if is_selected else ""
        self._conditions = [
            _trigger_condition(trigger) + (selection if isinstance(trigger, model.ByHand) else "")
            for trigger in workflow.triggers
        ]

    def requirements_job_lines(self) -> Iterator[str]:
        """Yield the lines of the job that passes the locked requirements to jobs without a checkout."""
        yield f"{self._prefix}{_REQUIREMENTS_JOB}: # hands the locked requirements to jobs without a checkout"
        yield from self._rule_lines(None)
        yield "  needs: []"
        yield f"  script: [test -s {RELNOX_REQUIREMENTS}]"
        yield f"  artifacts: {{ paths: [{RELNOX_REQUIREMENTS}], expire_in: {model.RETENTION_DAYS} days }}"

    def job_lines(self, job: model.Job) -> Iterator[str]:
        """Yield the lines of a job's section in the file."""
        about = _GATE if job.command is None else job.about
        yield f"{self._prefix}{job.key}: # {'; '.join(filter(None, (job.name, about)))}"
        yield from self._rule_lines(job)
        needs = [*([_REQUIREMENTS_JOB] if job.checkout == "none" and job.command is not None else []), *job.needs]
        yield f"  needs: [{', '.join(f'{self._prefix}{name}' for name in needs)}]"
        yield f"  timeout: {job.minutes} minutes"
        if job.environment:
            action = ", action: verify" if job.command is None else ""
            yield f"  environment: {{ name: {environment_name(job.environment)}{action} }}"
        if self._workflow.queue and _has_credentials(job):
            yield f"  resource_group: {self._workflow.queue} # one at a time"
        yield from self._id_token_lines(job)
        yield from self._variable_lines(job)
        yield "  script:"
        yield from (f"    - {line}" for line in self._script_lines(job))
        yield from self._artifact_lines(job)

    def _rule_lines(self, job: model.Job | None) -> Iterator[str]:
        """Yield when a job is skipped and when it runs; None is the job of the requirements."""
        yield "  rules:"
        for condition in dict.fromkeys(self._skip_conditions(job)) if job is not None else ():
            yield f"    - {{ if: '{condition}', when: never }}"
        manual = ""
        if job is not None and job.command is None:  # nothing waits for it if no release was made
            manual = ", when: manual" + (", allow_failure: true" if self._has_only_if(job) else "")
        for condition in self._conditions:
            yield f"    - {{ if: '{condition}'{manual} }}"

    def _skip_conditions(self, job: model.Job) -> Iterator[str]:
        """Yield the conditions that skip a job or one that it needs, except `only_if`, which scripts check."""
        if job.unless is not None:
            yield f'${_input_variable(job.unless.name)} == "true"'
        if job.only_value is not None and job.only_value[1]:
            value, text = job.only_value
            yield f'${_input_variable(value.name)} != "{text}"'
        elif job.only_value is not None:
            yield f"${_input_variable(job.only_value[0].name)}"
        for name in job.needs:
            yield from self._skip_conditions(self._workflow.job(name))

    def _has_only_if(self, job: model.Job) -> bool:
        """Return whether a job, or one that it needs, is skipped unless an output is `true` (`Job.only_if`)."""
        return job.only_if is not None or any(self._has_only_if(self._workflow.job(name)) for name in job.needs)

    def _id_token_lines(self, job: model.Job) -> Iterator[str]:
        """Yield an identity token for PyPI, TestPyPI or both, if the job has that permission."""
        if any(permission.scope == "id-token" for permission in job.permissions):
            fields = [field for field in self._workflow.inputs if field.name == "index"]
            names = [name for field in fields for name in field.choices if name in ("pypi", "testpypi")]
            yield "  id_tokens: # to publish as this pipeline (Trusted Publishing)"
            for index in names or ("pypi", "testpypi"):
                yield f"    {index.upper()}_ID_TOKEN: {{ aud: {index} }}"

    def _variable_lines(self, job: model.Job) -> Iterator[str]:
        """Yield the variables of a job, except those that are words of its command or set by GitLab."""
        strategies = {"none": {"GIT_STRATEGY": "empty"}, "commit": {}, "history": {"GIT_DEPTH": "0"}}
        values = {
            **strategies[job.checkout],
            **({"RELNOX_OUTPUTS": _OUTPUTS} if self._passes_outputs(job) else {}),
        }
        if job.command is not None:
            words = set(job.command.words)
            for name, value in job.command.variables.items():
                if name.startswith("GIT_"):
                    values[name] = _AUTHORS[name.rpartition("_")[2]]
                elif (
                    f"${name}" not in words
                    and not isinstance(value, model.JobToken)
                    and self._expression(value) != f"${name}"
                ):
                    values[name] = self._expression(value)
        if values:
            pairs = (f"{name}: {json.dumps(value)}" for name, value in values.items())
            yield f"  variables: {{ {', '.join(pairs)} }}"

    def _script_lines(self, job: model.Job) -> Iterator[str]:
        if job.command is None:
            yield 'echo "approved by $GITLAB_USER_LOGIN"'
            return
        file = NOX_REQUIREMENTS if job.runs_project_code else RELNOX_REQUIREMENTS
        if job.only_if is not None:
            yield f'test "${self._output_variable(job.only_if.name)}" = true || exit 0 # nothing to do'
        yield f"python3 -m venv --clear ~/relnox && {_BIN}/pip install --no-deps --require-hashes -r {file}"
        yield job.shell_line(_BIN, tuple(self._shell_words(job.command)))

    def _shell_words(self, command: model.Command) -> Iterator[str]:
        """Yield the words of a command for the shell, without options whose value the job does not get.

        If an earlier job decides on an input that is empty, the shell leaves out its option.
        """
        option: list[str] = []
        for word in command.words:
            value = command.variables[word[1:]] if word.startswith("$") else None
            if isinstance(value, model.Output) and not self._passes_outputs(self._workflow.job(value.job)):
                option.clear()
            elif isinstance(value, model.Input) and isinstance(value.otherwise, model.Output):
                variable = _input_variable(value.name)  # otherwise relnox knows it as well
                yield f'${{{variable}:+{option.pop()} "${variable}"}}'
            else:
                yield from option
                option = [word if value is None else f'"{self._expression(value)}"']
        yield from option

    def _artifact_lines(self, job: model.Job) -> Iterator[str]:
        if job.keeps or self._passes_outputs(job):
            yield "  artifacts:"
        if job.keeps:
            yield "    paths: [dist/]"
            yield f"    expire_in: {model.RETENTION_DAYS} days"
        if self._passes_outputs(job):
            yield f"    reports: {{ dotenv: {_OUTPUTS} }}"

    def _passes_outputs(self, job: model.Job) -> bool:
        """Return whether later jobs get a job's outputs: not those of project code, if one has credentials."""
        dependents = [other for other in self._workflow.jobs if job.key in other.needs]
        return bool(job.outputs) and not (job.runs_project_code and any(map(_has_credentials, dependents)))

    def _expression(self, value: model.Expression) -> str:
        """Return a constant text unchanged, and the variable of any other value, with `$`."""
        match value:
            case model.Input(name):
                return f"${_input_variable(name)}"
            case model.Output(_, name):
                return f"${self._output_variable(name)}"
            case model.MatrixValue(name) | model.Secret(name):
                return f"${name}"
            case model.JobToken():
                return "$CI_JOB_TOKEN"
            case str():
                return value


def _has_credentials(job: model.Job) -> bool:
    """Return whether a job gets an identity token, or passes a secret or its own token to the command."""
    variables = job.command.variables.values() if job.command is not None else ()
    has_identity = any(permission.scope == "id-token" for permission in job.permissions)
    return has_identity or any(isinstance(value, model.Secret | model.JobToken) for value in variables)


def _trigger_condition(trigger: model.Trigger) -> str:
    """Return the condition, for `if` of a GitLab rule, that is true in the pipelines that a trigger starts."""
    match trigger:
        case model.OnTag(patterns):
            return f"$CI_COMMIT_TAG =~ /^({'|'.join(map(_glob_to_regex, patterns))})$/"
        case model.OnPublishedRelease():
            return "$CI_COMMIT_TAG"  # a release page makes its tag, or has one
        case model.OnMerge(branches):
            pattern = "|".join(map(_glob_to_regex, branches))
            return f'$CI_PIPELINE_SOURCE == "push" && $CI_COMMIT_BRANCH =~ /^({pattern})$/'
        case model.OnPullRequest(branches):
            target = f" && $CI_MERGE_REQUEST_TARGET_BRANCH_NAME =~ /^({'|'.join(map(_glob_to_regex, branches))})$/"
            return f'$CI_PIPELINE_SOURCE == "merge_request_event"{target if branches else ""}'
        case model.OnSchedule():
            return '$CI_PIPELINE_SOURCE == "schedule"'
        case model.ByHand():
            return '$CI_PIPELINE_SOURCE == "web"'


def _glob_to_regex(glob: str) -> str:
    """Return the regular expression of a glob, without anchors and with slashes escaped."""
    parts = re.split(r"(\*+|\?|\[[^\]]*\])", glob)
    names = {"*": ".*", "?": "."}
    texts = (
        names.get(part[0], part.replace("[!", "[^", 1)) if number % 2 else re.escape(part)
        for number, part in enumerate(parts)
        if part
    )
    return "".join(texts).replace("/", r"\/")
