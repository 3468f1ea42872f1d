"""The generated pipeline of GitLab, executed by gitlab-ci-local with its shell executor."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import node_programs
import pytest
from backends import READING
from local_runner import LocalRunner
from package_index import PackageIndex
from projects import commit_all, git, remote_of, repository, write
from running import open_project

from relnox.ci import github, gitlab, sets
from relnox.commands.ci import read_facts
from relnox.commands.init import NOXFILE
from relnox.reporters.outputs import variable

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.heavy, pytest.mark.network]

PYPROJECT = """
[project]
name = "demo"
version = "1.2.3"

[build-system]
requires = []
build-backend = "own"
backend-path = ["backend"]

[tool.relnox]
branch = "main"
targets = {{ final = "house" }}

[tool.relnox.indexes.house]
upload = "{index.upload_url}"
simple = "{index.simple_url}"

[tool.relnox.ci]
workflows = ["release"]
trigger = "{trigger}"
tokens = {{ house = "HOUSE_TOKEN" }}
"""
PLACES = {github.NOX_REQUIREMENTS: gitlab.NOX_REQUIREMENTS, github.RELNOX_REQUIREMENTS: gitlab.RELNOX_REQUIREMENTS}


@pytest.fixture(scope="session")
def gitlab_ci_local(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The command of gitlab-ci-local."""
    return node_programs.install("gitlab-ci-local@4.75.1", "gitlab-ci-local", tmp_path_factory.mktemp("npm"))


@pytest.fixture
def index() -> Iterator[PackageIndex]:
    with PackageIndex() as index:
        yield index


class Pipeline:
    """The pipeline of a project, which a tag or a merge starts."""

    def __init__(self, directory: Path, index: PackageIndex, program: list[str], trigger: str) -> None:
        self.root = directory / "project"
        self.directory = directory
        self.program = program
        files = {
            "pyproject.toml": PYPROJECT.format(index=index, trigger=trigger),
            "backend/own.py": READING,
            "demo.py": "",
            "noxfile.py": NOXFILE,
            ".gitignore": "dist/\n.nox/\n.gitlab-ci-local/\n",
        }
        write(self.root, files)
        self.runner = LocalRunner(directory / "runner", remote_of(self.root))
        write(self.root, {PLACES[name]: text for name, text in self.runner.requirements().items()})
        facts = read_facts(open_project(self.root))
        write(self.root, {gitlab.FILE: gitlab.render(sets.workflows(facts), variable)})
        repository(self.root)
        self.variables = {"CI_COMMIT_BRANCH": "main"} if trigger == "merge" else {"CI_COMMIT_TAG": "v1.2.3"}
        if trigger == "tag":
            git(self.root, "tag", "--annotate", "--message", "1.2.3", "v1.2.3")
            git(self.root, "push", "--quiet", "origin", "v1.2.3")

    def run(self, *jobs: str) -> tuple[int, str]:
        """Run jobs and those that they need; a person has started the gate."""
        values = {
            **self.variables,
            "CI_PIPELINE_SOURCE": "push",
            "RELNOX_ATTESTATIONS": "off",
            "HOUSE_TOKEN": "pypi-secret-of-the-house",
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": str(self.runner.wheels),
        }
        words = [*self.program, "--force-shell-executor", "--shell-isolation", "--needs", "--manual", "gate"]
        words += [word for name, value in values.items() for word in ("--variable", f"{name}={value}")]
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("CI", "VIRTUAL"))}
        environment |= {
            "HOME": str(self.directory / "runner" / "home"),
            "PATH": f"{self.directory / 'runner' / 'bin'}{os.pathsep}{os.environ['PATH']}",
        }
        done = subprocess.run(
            [*words, *jobs],
            cwd=self.root,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )
        return done.returncode, re.sub(r"\x1b\[[0-9;]*m", "", done.stdout + done.stderr)


def passed(log: str) -> set[str]:
    """Return the jobs that ended well."""
    return set(re.findall(r"(?m)^ *PASS +([\w-]+)", log))


def test_a_tag_is_built_approved_published_and_installed(
    tmp_path: Path, index: PackageIndex, gitlab_ci_local: list[str]
) -> None:
    pipeline = Pipeline(tmp_path, index, gitlab_ci_local, "tag")
    code, log = pipeline.run("verify")
    assert code == 0, log[-8000:]
    assert sorted(index.files["demo"]) == ["demo-1.2.3-py3-none-any.whl", "demo-1.2.3.tar.gz"]
    assert passed(log) == {"requirements", "build", "gate", "publish", "verify"}
    assert "pypi-secret" not in log


def test_a_merge_that_changes_a_version_is_tagged_and_published_and_another_one_is_not(
    tmp_path: Path, index: PackageIndex, gitlab_ci_local: list[str]
) -> None:
    pipeline = Pipeline(tmp_path, index, gitlab_ci_local, "merge")
    git(pipeline.root, "tag", "--annotate", "--message", "1.2.3", "v1.2.3")
    write(pipeline.root, {"demo.py": "more = 1\n"})
    commit_all(pipeline.root, "feat: more")
    git(pipeline.root, "push", "--quiet", "origin", "main", "v1.2.3")
    code, log = pipeline.run("build")
    assert code == 0, log[-8000:]
    assert "build demo" not in log
    text = (pipeline.root / "pyproject.toml").read_text(encoding="utf-8")
    write(pipeline.root, {"pyproject.toml": text.replace("1.2.3", "1.3.0")})
    commit_all(pipeline.root, "Release 1.3.0")
    git(pipeline.root, "push", "--quiet", "origin", "main")
    code, log = pipeline.run("tag")
    assert code == 0, log[-8000:]
    git(pipeline.root, "fetch", "--quiet", "--tags")  # GitLab fetches for each job, the local runner copies this
    code, log = pipeline.run("verify")
    assert code == 0, log[-8000:]
    assert passed(log) == {"requirements", "tag", "build", "gate", "publish", "verify"}
    assert "v1.3.0" in git(remote_of(pipeline.root), "tag", "--list")
    assert sorted(index.files["demo"]) == ["demo-1.3.0-py3-none-any.whl", "demo-1.3.0.tar.gz"]
