"""What tasks tell the next jobs of CI: the same for the first run and for one that finds everything done."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import pytest
from job_outputs import read_gitlab
from projects import commit_all, git, repository, single, write
from running import run_in_process

if TYPE_CHECKING:
    from pathlib import Path


def outputs(root: Path, task: str, *words: str, code: int = 0) -> dict[str, Any]:
    """Run a task, and return its outputs."""
    file = root.parent / "outputs"
    file.unlink(missing_ok=True)
    run_in_process(root, task, *words, "--outputs", str(file), code=code)
    found = read_gitlab(file.read_text(encoding="utf-8")) if file.exists() else {}
    return {
        name.removeprefix("RELEASED_"): value if name == "RELEASED_MANIFEST_SHA256" else json.loads(value)
        for name, value in found.items()
    }


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return repository(single(tmp_path / "demo"))


RELEASE = {"RELEASED": True, "PACKAGES": ["demo"], "VERSIONS": {"demo": "1.3.0"}, "TAGS": ["v1.3.0"]}
NOTHING = {"RELEASED": False, "PACKAGES": [], "VERSIONS": {}, "TAGS": []}


def without_pythons(found: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in found.items() if name != "PYTHONS"}


def test_a_bump_and_its_rerun_say_what_is_released(root: Path) -> None:
    for words in (("--commit", "--tag"), ("--commit", "--tag"), ("--commit", "--tag", "--push")):
        assert without_pythons(outputs(root, "bump", "minor", *words)) == RELEASE
    assert without_pythons(outputs(root, "bump", "auto", "--commit", "--tag", "--push")) == RELEASE
    write(root, {"notes.txt": ""})
    commit_all(root, "docs: notes")
    assert without_pythons(outputs(root, "bump", "auto", "--commit", "--tag", "--push")) == NOTHING
    assert outputs(root, "bump", "minor", "--commit", "--tag", "--dry-run") == {}
    assert outputs(root, "bump", "--to", "1.0", "--commit", "--tag", code=1) == {}


def test_the_job_that_builds_gets_the_tag_of_a_merged_version(root: Path) -> None:
    git(root, "tag", "v1.2.3")
    assert without_pythons(outputs(root, "auto-tag")) == RELEASE | {
        "VERSIONS": {"demo": "1.2.3"},
        "TAGS": ["v1.2.3"],
    }
    text = (root / "pyproject.toml").read_text(encoding="utf-8")
    write(root, {"pyproject.toml": text.replace("1.2.3", "1.3.0")})
    commit_all(root, "feat: more", push=True)
    for _ in range(2):
        assert without_pythons(outputs(root, "auto-tag", "--no-check-index")) == RELEASE
    write(root, {"notes.txt": ""})
    commit_all(root, "docs: notes", push=True)
    assert without_pythons(outputs(root, "auto-tag", "--no-check-index")) == NOTHING


@pytest.mark.network
@pytest.mark.heavy
def test_the_hash_of_the_manifest_is_handed_to_the_job_that_publishes(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (root / "pyproject.toml").read_text(encoding="utf-8")
    text = text.replace("\nversion", '\nreadme = "README.md"\nversion', 1)
    write(root, {"pyproject.toml": f'{text}[tool.relnox.verify]\npython = ["3.11", "3.13"]\n'})
    commit_all(root, "Verify")
    run_in_process(root, "bump", "minor", "--commit", "--tag", "--push", code=0)
    monkeypatch.setenv("GITHUB_OUTPUT", str(tmp_path / "github"))
    built = outputs(root, "build-all")
    sha256 = hashlib.sha256((root / "dist" / "manifest.json").read_bytes()).hexdigest()
    handed = {"MANIFEST_SHA256": sha256, "PYTHONS": ["3.11", "3.13"]}
    assert built == RELEASE | {"RELEASED": False, "TAGS": []} | handed
    github = (tmp_path / "github").read_text(encoding="utf-8").splitlines()
    assert (
        github[github.index(next(line for line in github if line.startswith("manifest-sha256<<"))) + 1] == sha256
    )
    for _ in range(2):
        assert outputs(root, "publish", "--index", "embedded", "--manifest-sha256", sha256) == RELEASE | handed
    words = ("minor", "--index", "embedded", "--yes")
    assert without_pythons(outputs(root, "release", *words, "--until", "gate"))["RELEASED"] is False
    assert outputs(root, "release", *words) == RELEASE | handed
