"""Jobs with credentials, literally: the steps of the workflow in a new environment with what `ci` has locked."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import running
import yaml
from backends import READING, SELF_BUILT
from fake_forge import GitHubServer, remote_on_forge
from local_runner import ACTIONS
from projects import commit_all, git, remote_of, repository, write
from trusting import REQUEST_TOKEN, Trusting

from relnox.building.environments import find_uv
from relnox.ci import github

pytestmark = [pytest.mark.heavy, pytest.mark.network]

CHECKOUT = Path(__file__).parents[2]
SETTINGS = """
[tool.relnox]
branch = "main"
targets = { final = "house" }

[tool.relnox.ci]
workflows = ["release", "release-pull-request"]
"""
FILES = {"backend/own.py": READING, "demo.py": "", ".gitignore": "/dist/\n"}


def scripts(file: Path, job: str) -> list[str]:
    """The scripts of a job."""
    steps: list[dict[str, Any]] = yaml.safe_load(file.read_text("utf-8"))["jobs"][job]["steps"]
    return [step["run"] for step in steps if "run" in step]


def test_what_is_locked_is_enough_to_publish_tag_and_call_a_forge(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheels, bin_, empty = (tmp_path / name for name in ("wheels", "bin", "empty"))
    subprocess.run([find_uv(), "build", "--quiet", "--wheel", "--out-dir", wheels, CHECKOUT], check=True)
    monkeypatch.setenv("UV_FIND_LINKS", str(wheels))
    root = tmp_path / "project"
    forge = GitHubServer(remote_of(root))
    with Trusting() as index:
        write(root, {**FILES, "pyproject.toml": SELF_BUILT + SETTINGS + index.settings(production=True)})
        repository(root)
        running.run_in_process(root, "ci", code=0)
        commit_all(root, "Workflows")
        git(root, "tag", "--annotate", "--message", "1.2.3", "v1.2.3")
        git(root, "push", "--quiet", "origin", "main", "v1.2.3")
        running.run_in_process(root, "build-all", code=0)
        shutil.copytree(root / "dist", empty / "dist")
        shutil.copytree(ACTIONS, bin_)
        job = {
            "PATH": f"{bin_}{os.pathsep}{os.environ['PATH']}",
            "PIP_FIND_LINKS": str(wheels),
            "HOME": str(tmp_path),
            "RUNNER_TEMP": str(tmp_path / "temporary"),
            "GITHUB_ACTIONS": "true",
            "GITHUB_REPOSITORY": "acme/demo",
            "GITHUB_SHA": git(root, "rev-parse", "HEAD"),
            "GH_TOKEN": forge.token,
            "TEST_REMOTE": str(remote_of(root)),
            "ACTIONS_ID_TOKEN_REQUEST_TOKEN": REQUEST_TOKEN,
            "ACTIONS_ID_TOKEN_REQUEST_URL": f"{index.origin}/identity?api-version=2",
            "RELNOX_ATTESTATIONS": "off",  # the signing service is public
            "INDEX": "house",
            "MANIFEST_SHA256": hashlib.sha256((root / "dist" / "manifest.json").read_bytes()).hexdigest(),
            "GIT_COMMITTER_NAME": "ci",
            "GIT_COMMITTER_EMAIL": "ci@example.invalid",
            "GIT_AUTHOR_NAME": "ci",
            "GIT_AUTHOR_EMAIL": "ci@example.invalid",
        }

        def run(directory: Path, script: str) -> None:
            done = subprocess.run(
                ["bash", "-e", "-c", script], cwd=directory, env=job, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, done.stdout + done.stderr
            assert "Traceback" not in done.stderr

        workflows = root / github.DIRECTORY
        for script in scripts(workflows / "release.yml", "publish"):
            run(empty, script)
        assert sorted(index.files["demo"]) == ["demo-1.2.3-py3-none-any.whl", "demo-1.2.3.tar.gz"]
        assert {path.name for path in empty.iterdir()} == {"dist", "relnox.txt"}

        # The other jobs with credentials have the same environment, and a checkout.
        write(root, {"demo.py": "more = 1\n"})
        commit_all(root, "feat: more", push=True)
        with remote_on_forge(forge, root, job.__setitem__):
            run(root, scripts(workflows / "release-pull-request.yml", "bump")[-1])
            run(root, scripts(workflows / "release.yml", "page")[-1])
        assert [pull.title for pull in forge.pull_requests] == ["Release 1.3.0"]
        assert [release.tag for release in forge.releases] == ["v1.2.3"]
