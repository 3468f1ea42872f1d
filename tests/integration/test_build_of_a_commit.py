"""Builds of another commit, such as the tag of a release, and their publication, without checking it out."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from backends import in_tree
from projects import commit_all, git, repository, write
from running import run_in_process

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.heavy


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A package with the tag v1.0, and an uncommitted change in the development version that follows."""
    root = repository(in_tree(tmp_path / "home"))
    git(root, "tag", "v1.0")
    set_version(root, "1.1.dev0")
    git(root, "mv", "home.py", "more.py")
    commit_all(root)
    write(root, {"more.py": "changed = 1\n"})
    return root


def set_version(root: Path, version: str) -> None:
    text = (root / "pyproject.toml").read_text()
    old = text.partition('version = "')[2].partition('"')[0]
    write(root, {"pyproject.toml": text.replace(f'version = "{old}"', f'version = "{version}"')})


@pytest.mark.parametrize("revision", ["v1.0", "HEAD~1", "commit"])
def test_another_commit_is_built_and_published_without_a_switch(root: Path, revision: str) -> None:
    commit, status = git(root, "rev-parse", "v1.0^{commit}"), git(root, "status", "--porcelain", "--branch")
    ran = run_in_process(root, "build-all", "--commit", commit if revision == "commit" else revision, code=0)
    assert ran.err.endswith("next: relnox verify-install --project " + str(root) + " --from dist\n")
    manifest = json.loads((root / "dist/manifest.json").read_text())
    assert {file["name"] for file in manifest["artifacts"]} == {"home-1.0.tar.gz", "home-1.0-py3-none-any.whl"}
    assert (manifest["commit"], manifest["dirty"]) == (commit, False)
    for _ in range(2):
        run_in_process(root, "publish-test", "--index", "embedded", "--no-verify", code=0)
    assert git(root, "status", "--porcelain", "--branch") == status


@pytest.mark.parametrize(("version", "tag"), [("1.1", ""), ("1.1", "v1.1"), ("1.2.dev0", "v1.1"), ("1.1rc1", "")])
def test_the_build_of_an_earlier_release_is_not_published_by_accident(root: Path, version: str, tag: str) -> None:
    run_in_process(root, "build-all", "--commit", "v1.0", code=0)
    set_version(root, version)
    commit_all(root)
    if tag:
        git(root, "tag", tag)
    ran = run_in_process(root, "publish-test", "--index", "embedded", "--no-verify", code=1)
    assert "[manifest-outdated]" in ran.err
    command = f"build-all --project {root}" + (f" --commit {tag}" if "dev" in version else "")
    assert f"fix: relnox {command}; " in ran.err
    run_in_process(root, "publish-test", "--index", "embedded", "--no-verify", "--allow-mismatch", code=0)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--commit", "v7"), "this clone has no commit or tag v7"),
        (
            ("--commit", "v1.0", "--from-tree"),
            "--commit cannot be used with --from-tree (which builds the files of the checkout)",
        ),
        (("--commit", "empty"), "there is no pyproject.toml in commit "),
    ],
)
def test_a_commit_that_cannot_be_built_is_an_error(root: Path, words: tuple[str, ...], message: str) -> None:
    tree = git(root, "hash-object", "-t", "tree", "-w", "/dev/null")
    git(root, "tag", "empty", git(root, "commit-tree", tree, "-m", "Empty"))
    ran = run_in_process(root, "build-all", *words, code=1)
    assert message in ran.err
