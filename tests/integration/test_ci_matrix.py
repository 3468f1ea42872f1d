"""`ci --matrix`: the jobs for what is released at HEAD, or else for what changed."""

from __future__ import annotations

import hashlib
import json
import shutil
from typing import TYPE_CHECKING

import pytest
from job_outputs import read_github
from projects import commit_all, git, lockstep_workspace, remote_of, repository, write
from running import run_in_process

from relnox.commands.shared import releases

if TYPE_CHECKING:
    from pathlib import Path

PACKAGE = """
[project]
name = "{name}"
version = "1.0.0"
dependencies = {needs}

[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
"""


def packages(root: Path, kind: str = "packages") -> list[str]:
    """The packages of the jobs."""
    rows = json.loads(run_in_process(root, "ci", "--matrix", kind, code=0).out)["include"]
    return [word for row in rows for word in row["packages"].split() if word != "--package"]


def test_the_jobs_are_for_what_is_released_or_else_for_what_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = repository(lockstep_workspace(tmp_path / "five"))
    every = ["acme-core", "acme-agents", "acme-vespa", "acme-runtime", "acme-dashboard"]
    assert packages(root) == every  # never released
    git(root, "tag", "v2.0.0")
    assert packages(root) == every
    write(root, {"notes.md": ""})
    commit_all(root, "docs: notes")
    assert packages(root) == []
    write(root, {"packages/vespa/src/acme_vespa/more.py": "", "packages/core/src/acme_core/more.py": ""})
    commit_all(root, "fix: more")
    assert packages(root) == ["acme-core", "acme-vespa"]
    monkeypatch.setenv("GITHUB_OUTPUT", str(tmp_path / "outputs"))
    assert packages(root, "verify") == ["acme-core", "acme-vespa"]
    matrix = read_github((tmp_path / "outputs").read_text(encoding="utf-8"))["matrix"]
    assert [row["name"].rpartition("-")[0] for row in json.loads(matrix)["include"]] == ["acme-core", "acme-vespa"]
    run_in_process(root, "bump", "minor", "--commit", "--tag", code=0)
    assert packages(root) == every


@pytest.mark.heavy
@pytest.mark.network
def test_what_four_jobs_build_and_one_collects_equals_one_build(tmp_path: Path) -> None:
    names = [f"part-{number:03}" for number in range(120)]
    settings = '[tool.relnox]\npackages = ["libs/*"]\nbranch = "main"\nversions = "lockstep"\n'
    files = {"pyproject.toml": settings, ".gitignore": "dist/\nparts/\n"}
    for number, name in enumerate(names):
        needs = names[max(0, number - 2) : number]
        files |= {
            f"libs/{name}/pyproject.toml": PACKAGE.format(name=name, needs=needs),
            f"libs/{name}/{name.replace('-', '_')}/__init__.py": f"NUMBER = {number}\n",
        }
    root = repository(write(tmp_path / "whole", files))
    git(root, "tag", "v1.0.0")
    git(root, "push", "--quiet", "origin", "v1.0.0")
    run_in_process(root, "build-all", code=0)

    rows = json.loads(run_in_process(root, "ci", "--matrix", "packages", code=0).out)["include"]
    assert len(rows) == len(names)
    for number in range(4):
        job = tmp_path / f"job-{number}"
        git(tmp_path, "clone", "--quiet", str(remote_of(root)), str(job))
        words = [word for row in rows[number::4] for word in row["packages"].split()]
        run_in_process(job, "build-all", *words, code=0)
        shutil.copytree(job / "dist", root / "parts" / str(number))
    run_in_process(root, "collect", "--from", "parts", "--output", "collected", code=0)

    def hashes(directory: str) -> dict[str, str]:
        files = {file.filename: file.sha256 for file in releases.read_manifest(root, directory).distributions}
        for name, digest in files.items():
            assert hashlib.sha256((root / directory / name).read_bytes()).hexdigest() == digest
        return files

    assert len(hashes("dist")) == 2 * len(names)
    assert hashes("collected") == hashes("dist")
