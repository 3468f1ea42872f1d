"""The pipeline of GitLab: golden files, the schema of GitLab, and what jobs with credentials get."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from relnox.ci import gitlab, sets
from relnox.ci.model import (
    ByHand,
    Command,
    Expression,
    Input,
    InputField,
    Job,
    JobToken,
    OnMerge,
    OnPublishedRelease,
    OnPullRequest,
    OnSchedule,
    OnTag,
    Output,
    Permission,
    Secret,
    Trigger,
    Workflow,
)
from relnox.ci.workflows import Table, parse_yaml
from relnox.reporters.outputs import variable_name

GOLDEN = Path(__file__).parent / "golden"
IDENTITY = Permission("id-token", "write", "to publish")
ALL = ("release", "checks", "release-pull-request", "verify-public")
COMMON: dict[str, Any] = {"tag_patterns": ("v[0-9]*",), "branches": ("main",), "publish_job": "relnox"}
FACTS = {
    "tag": sets.ProjectFacts(
        **COMMON, trigger="tag", workflows=("release",), index="pypi", indexes=("pypi", "testpypi"), tokens={}
    ),
    "merge": sets.ProjectFacts(
        **COMMON,
        trigger="merge",
        workflows=ALL,
        index="",
        indexes=("own", "pypi"),
        tokens={"own": "RELNOX_OWN_TOKEN"},
        python="3.12",
    ),
}


def render(*jobs: Job, triggers: tuple[Trigger, ...] = (OnTag(("v*",)),)) -> Table:
    """Return the pipeline of some jobs as data."""
    workflow = Workflow(key="release", name="Release", about=(), triggers=triggers, jobs=jobs, queue="release")
    pipeline = parse_yaml(gitlab.render([workflow], variable_name).encode(), gitlab.FILE)
    assert isinstance(pipeline, Table)
    return pipeline


@pytest.mark.parametrize("name", FACTS)
def test_a_set_is_the_golden_file_and_valid(name: str, tmp_path: Path) -> None:
    text = gitlab.render(sets.workflows(FACTS[name]), variable_name)
    golden = GOLDEN / f"gitlab-{name}.yml"
    if os.environ.get("WRITE_GOLDEN"):
        golden.write_text(text, encoding="utf-8")
    assert text == golden.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= {"tag": 90, "merge": 150}[name]
    (tmp_path / "pipeline.yml").write_text(text, encoding="utf-8")
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.gitlab-ci", "pipeline.yml"]
    ran = subprocess.run(command, cwd=tmp_path, check=False, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout


@pytest.mark.parametrize(
    ("trigger", "condition"),
    [
        (OnTag(("v[0-9]*", "a/b-*")), r"$CI_COMMIT_TAG =~ /^(v[0-9].*|a\/b\-.*)$/"),
        (OnPublishedRelease(), "$CI_COMMIT_TAG"),
        (OnMerge(("main", "1.x")), r'$CI_PIPELINE_SOURCE == "push" && $CI_COMMIT_BRANCH =~ /^(main|1\.x)$/'),
        (OnMerge(("[!r]/?",)), r'$CI_PIPELINE_SOURCE == "push" && $CI_COMMIT_BRANCH =~ /^([^r]\/.)$/'),
        (
            OnPullRequest(("main",)),
            '$CI_PIPELINE_SOURCE == "merge_request_event" && $CI_MERGE_REQUEST_TARGET_BRANCH_NAME =~ /^(main)$/',
        ),
        (OnPullRequest(()), '$CI_PIPELINE_SOURCE == "merge_request_event"'),
        (OnSchedule("0 4 * * 1"), '$CI_PIPELINE_SOURCE == "schedule"'),
        (ByHand(), '$CI_PIPELINE_SOURCE == "web"'),
    ],
)
def test_a_trigger_is_a_rule(trigger: Trigger, condition: str) -> None:
    job = Job(key="one", name="One", command=Command(tasks=("check",)))
    assert render(job, triggers=(trigger,))["one"]["rules"] == [{"if": condition}]


def test_a_switch_skips_a_job_and_all_that_need_it() -> None:
    build = Job(key="build", name="Build", command=Command(tasks=("build-all",)))
    gate = Job(
        key="gate", name="Gate", command=None, needs=("build",), unless=Input("dry-run"), environment="gate"
    )
    publish = Job(key="publish", name="Publish", command=Command(tasks=("publish",)), needs=("gate",))
    by_hand = ByHand((InputField(name="dry-run", help="Build only", is_switch=True),))
    pipeline = render(build, gate, publish, triggers=(by_hand,))
    never = {"if": '$DRY_RUN == "true"', "when": "never"}
    assert pipeline["variables"]["DRY_RUN"]["options"] == ["false", "true"]
    assert never not in pipeline["build"]["rules"]
    assert [job for job in ("gate", "publish") if pipeline[job]["rules"][0] == never] == ["gate", "publish"]
    assert pipeline["gate"]["rules"][1]["when"] == "manual"


def test_a_job_with_credentials_gets_no_variables_of_the_projects_code() -> None:
    build = Job(key="build", name="Build", command=Command(tasks=("build-all",)), outputs=("manifest-sha256",))
    value: dict[str, Expression] = {"HASH": Output("build", "manifest-sha256")}
    words = ("--manifest-sha256", "$HASH", "--yes")
    reader = Job(
        key="reader",
        name="Read",
        command=Command(tasks=("check",), words=words, variables=value),
        needs=("build",),
    )
    assert "dotenv" in render(build, reader)["build"]["artifacts"]["reports"]
    assert '--manifest-sha256 "$RELEASED_MANIFEST_SHA256" --yes' in render(build, reader)["reader"]["script"][-1]
    secret: dict[str, Expression] = {**value, "TOKEN": Secret("TOKEN")}
    for more, variables in (((IDENTITY,), value), ((), secret)):
        command = Command(tasks=("publish",), words=words, variables=variables)
        publish = Job(
            key="publish",
            name="Publish",
            command=command,
            runs_project_code=False,
            checkout="none",
            needs=("build",),
            permissions=more,
        )
        pipeline = render(build, publish)
        assert "artifacts" not in pipeline["build"]
        assert pipeline["publish"]["script"][-1] == "~/relnox/bin/relnox publish --yes"
        assert pipeline["publish"]["variables"] == {"GIT_STRATEGY": "empty"}
        assert pipeline["publish"]["resource_group"] == "release"
        assert pipeline["publish"]["needs"] == ["requirements", "build"]
        assert ("id_tokens" in pipeline["publish"]) == bool(more)


def test_values_are_variables_of_the_job() -> None:
    command = Command(
        tasks=("bump",), variables={"A": Input("some-input"), "B": "text", "C": JobToken(), "D": Secret("D")}
    )
    job = Job(key="one", name="One", command=command, checkout="history", only_if=Output("zero", "released"))
    zero = Job(key="zero", name="Zero", command=Command(tasks=("build-all",)), outputs=("released",))
    one = render(zero, job)["one"]
    assert one["variables"] == {"GIT_DEPTH": "0", "A": "$SOME_INPUT", "B": "text"}  # the token is always there
    assert one["script"][0] == 'test "$RELEASED" = true || exit 0'
