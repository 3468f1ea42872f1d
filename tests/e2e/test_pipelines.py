"""The generated pipeline of GitLab, executed by gitlab-ci-local with its shell executor."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import node_programs
import pytest
from backends import READING, SELF_BUILT
from fake_forge import GitLabServer, forge_server
from local_runner import LocalRunner
from package_index import PackageIndex
from projects import commit_all, git, remote_of, repository, write
from running import open_project

from relnox.ci import github, gitlab, sets, updates
from relnox.commands.ci import read_project_facts
from relnox.commands.init import NOXFILE
from relnox.reporters.outputs import variable_name

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.heavy, pytest.mark.network]

SETTINGS = """
[tool.relnox]
branch = "main"
targets = {{ final = "house" }}

[tool.relnox.indexes.house]
upload = "{index.upload_url}"
simple = "{index.simple_url}"

[tool.relnox.ci]
workflows = {workflows}
tokens = {{ house = "HOUSE_TOKEN" }}
"""
PLACES = {github.NOX_REQUIREMENTS: gitlab.NOX_REQUIREMENTS, github.RELNOX_REQUIREMENTS: gitlab.RELNOX_REQUIREMENTS}


@pytest.fixture(scope="session")
def gitlab_ci_local(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The command of gitlab-ci-local."""
    if shutil.which("rsync") is None:
        pytest.skip("this machine has no rsync, with which gitlab-ci-local copies the checkout for each job")
    return node_programs.install("gitlab-ci-local@4.75.1", "gitlab-ci-local", tmp_path_factory.mktemp("npm"))


@pytest.fixture
def index() -> Iterator[PackageIndex]:
    with PackageIndex() as index:
        yield index


class Pipeline:
    """The pipeline of a project on a forge."""

    def __init__(self, directory: Path, index: PackageIndex, program: list[str], *workflows: str) -> None:
        self.root = directory / "project"
        self.directory = directory
        self.program = program
        files = {
            "pyproject.toml": SELF_BUILT
            + SETTINGS.format(index=index, workflows=json.dumps(["release", *workflows])),
            "backend/own.py": READING,
            "demo.py": "",
            "noxfile.py": NOXFILE,
            ".gitignore": "dist/\n.nox/\n.gitlab-ci-local/\n",
        }
        write(self.root, files)
        self.forge = GitLabServer(remote_of(self.root))
        self.runner = LocalRunner(directory / "runner", remote_of(self.root))
        write(self.root, {PLACES[name]: text for name, text in self.runner.requirements().items()})
        repository(self.root)
        git(self.root, "config", f"url.{self.forge.repository.path}.insteadOf", self.forge.remote)
        git(self.root, "remote", "set-url", "origin", self.forge.remote)
        facts = read_project_facts(open_project(self.root))
        text = gitlab.render(sets.workflows(facts), variable_name)
        write(self.root, {gitlab.FILE: updates.add_stamp(text, version("relnox"))})
        commit_all(self.root, "Pipeline")
        git(self.root, "tag", "--annotate", "--message", "1.2.3", "v1.2.3")
        self.push("main", "v1.2.3")

    def push(self, *refs: str) -> None:
        git(self.root, "push", "--quiet", "origin", *refs)

    def run(self, *jobs: str, source: str = "push", **variables: str) -> str:
        """Run jobs and those that they need; a person has started the gate."""
        values = {
            **variables,
            "CI_PIPELINE_SOURCE": source,
            "GITLAB_USER_NAME": "maintainer",
            "GITLAB_USER_EMAIL": "maintainer@example.invalid",
            "RELNOX_ATTESTATIONS": "off",
            "HOUSE_TOKEN": "pypi-secret-of-the-house",
            "PIP_REQUIRE_VIRTUALENV": "1",
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": str(self.runner.wheels),
        }
        words = [*self.program, "--force-shell-executor", "--shell-isolation", "--needs", "--manual", "gate"]
        words += ["--concurrency", "1"]  # the jobs have one home directory
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("CI", "VIRTUAL"))}
        environment |= {
            "HOME": str(self.directory / "runner" / "home"),
            "PATH": f"{self.directory / 'runner' / 'bin'}{os.pathsep}{os.environ['PATH']}",
        }
        with forge_server(self.forge):
            values |= self.forge.environment
            words += [word for name, value in values.items() for word in ("--variable", f"{name}={value}")]
            done = subprocess.run(
                [*words, *jobs],
                cwd=self.root,
                env=environment,
                capture_output=True,
                text=True,
                check=False,
                timeout=600,
            )
        log = re.sub(r"\x1b\[[0-9;]*m", "", done.stdout + done.stderr)
        assert done.returncode == 0, log[-8000:]
        assert "pypi-secret" not in log
        return log


def passed(log: str) -> set[str]:
    """Return the jobs that ended well."""
    return set(re.findall(r"(?m)^ *PASS +([\w:-]+)", log))


def test_a_tag_is_built_approved_published_and_installed(
    tmp_path: Path, index: PackageIndex, gitlab_ci_local: list[str]
) -> None:
    pipeline = Pipeline(tmp_path, index, gitlab_ci_local, "verify-public")
    log = pipeline.run("page", CI_COMMIT_TAG="v1.2.3")
    assert sorted(index.files["demo"]) == ["demo-1.2.3-py3-none-any.whl", "demo-1.2.3.tar.gz"]
    assert passed(log) == {"requirements", "build", "gate", "publish", "verify", "page"}
    assert [release.tag for release in pipeline.forge.releases] == ["v1.2.3"]
    log = pipeline.run("verify-public:verify", source="schedule", CI_COMMIT_BRANCH="main")
    assert passed(log) == {"verify-public:verify"}


def test_a_merge_request_with_the_next_version_is_checked_merged_tagged_and_published(
    tmp_path: Path, index: PackageIndex, gitlab_ci_local: list[str]
) -> None:
    pipeline = Pipeline(tmp_path, index, gitlab_ci_local, "checks", "release-pull-request")
    write(pipeline.root, {"demo.py": "more = 1\n"})
    commit_all(pipeline.root, "feat: more")
    pipeline.push("main")
    log = pipeline.run("build", "release-pull-request:bump", CI_COMMIT_BRANCH="main")
    assert passed(log) == {"tag", "build", "release-pull-request:bump"}
    assert "build demo" not in log
    (request,) = pipeline.forge.pull_requests
    git(pipeline.root, "fetch", "--quiet", "origin")
    git(pipeline.root, "merge", "--quiet", "--no-ff", "--no-edit", f"origin/{request.head}")
    log = pipeline.run(
        "checks:build",
        "checks:workflows",
        source="merge_request_event",
        CI_MERGE_REQUEST_TARGET_BRANCH_NAME="main",
        CI_COMMIT_BRANCH="",
    )
    assert passed(log) == {"checks:build", "checks:workflows"}
    assert "demo-1.3.0.tar.gz" in log
    pipeline.push("main")
    log = pipeline.run("tag", CI_COMMIT_BRANCH="main")
    git(pipeline.root, "fetch", "--quiet", "--tags")  # GitLab fetches for each job, the local runner copies this
    log = pipeline.run("page", CI_COMMIT_BRANCH="main")
    assert passed(log) == {"requirements", "tag", "build", "gate", "publish", "verify", "page"}
    assert "v1.3.0" in git(remote_of(pipeline.root), "tag", "--list")
    assert sorted(index.files["demo"]) == ["demo-1.3.0-py3-none-any.whl", "demo-1.3.0.tar.gz"]
    assert [release.tag for release in pipeline.forge.releases] == ["v1.3.0"]
