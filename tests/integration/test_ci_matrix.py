"""`ci --matrix`: the jobs for what is released at HEAD, or else for what changed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from job_outputs import read_github
from projects import commit_all, git, lockstep_workspace, repository, write
from running import run_in_process

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def packages(root: Path, kind: str = "packages") -> list[str]:
    """The packages of the jobs."""
    rows = json.loads(run_in_process(root, "ci", "--matrix", kind, code=0).out)["include"]
    return [word for row in rows for word in row["packages"].split() if word != "--package"]


def test_the_jobs_are_for_what_is_released_or_else_for_what_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "five"
    root.mkdir()
    repository(lockstep_workspace(root))
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
