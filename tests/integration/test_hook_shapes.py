"""Hooks in projects of other shapes: each runs at the project's root, and its files are relative to it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from backends import in_tree
from hooked import NOTE, Log, hook, project
from projects import commit_all, git, repository, write
from running import run_in_process

if TYPE_CHECKING:
    from collections.abc import Callable

EDIT = "mkdir -p docs; echo edited > docs/version.txt"
GENERATE = "echo 'answer = 42' > generated.py"
HOOKS = (
    hook("before-bump"),
    hook("edit-bump", run=json.dumps(["sh", "-c", EDIT])),
    hook("before-build", 'writes = ["generated.py"]', run=json.dumps(["sh", "-c", GENERATE])),
    hook("before-build"),
    hook("after-build"),
)


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Log:
    monkeypatch.setenv("HOOK_LOG", str(tmp_path / "log"))
    return Log(tmp_path / "log")


def flat(directory: Path) -> Path:
    return project(directory / "home", *HOOKS)


def below_the_top(directory: Path) -> Path:
    top = directory / "top"
    root = top / "python"
    root.mkdir(parents=True)
    files = {"README.md": "# top\n", "docs/version.txt": "of another project\n"}
    in_tree(root)
    write(root, {"note.py": NOTE, "pyproject.toml": (root / "pyproject.toml").read_text() + "".join(HOOKS)})
    repository(write(top, files))
    return root


def worktree(directory: Path) -> Path:
    root = project(directory / "home", *HOOKS)
    git(root, "worktree", "add", "--quiet", "-b", "work", str(directory / "tree"))
    return directory / "tree"


def submodule(directory: Path) -> Path:
    root = project(directory / "home", *HOOKS)
    outer = repository(write(directory / "outer", {"README.md": "# outer\n"}))
    git(outer, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(root), "home")
    commit_all(outer)
    git(outer / "home", "config", "user.name", "Maintainer")
    git(outer / "home", "config", "user.email", "maintainer@example.invalid")
    return outer / "home"


def workspace(directory: Path) -> Path:
    root = directory / "two"
    for name in ("alpha", "beta"):
        (root / name).mkdir(parents=True)
        in_tree(root / name, name)
    settings = '[tool.relnox]\npackages = ["alpha", "beta"]\nversions = "lockstep"\n'
    write(root, {"pyproject.toml": settings + "".join(HOOKS), "note.py": NOTE, ".gitignore": "/dist/\n"})
    return repository(root)


@pytest.mark.parametrize("shape", [flat, below_the_top, worktree, submodule, workspace])
def test_hooks_run_at_the_root(tmp_path: Path, log: Log, shape: Callable[[Path], Path]) -> None:
    root = shape(tmp_path)
    ran = run_in_process(root, "bump", "2.0", "--commit", "--tag")
    assert ran.code == 0, ran.text
    assert git(root, "status", "--porcelain") == ""
    assert git(root, "show", "HEAD:./docs/version.txt") == "edited"
    assert git(root, "tag").split() == ["v2.0"]
    assert run_in_process(root, "bump", "--undo").code == 0
    assert not (root / "docs/version.txt").exists()

    ran = run_in_process(root, "build-all")
    assert ran.code == 0, ran.text
    assert git(root, "status", "--porcelain") == ""
    before_bump, before_build, after_build = log.events
    assert [event["event"] for event in log.events] == ["before-bump", "before-build", "after-build"]
    assert before_bump["root"] == after_build["root"] == str(root)
    assert Path(before_build["root"]) != root
    assert git(root, "rev-parse", "--show-prefix").strip("/") in before_build["root"]
    assert after_build["directory"] == str(root / "dist")


def test_a_detached_head_is_built(tmp_path: Path, log: Log) -> None:
    root = flat(tmp_path)
    git(root, "switch", "--quiet", "--detach")
    ran = run_in_process(root, "build-all")
    assert ran.code == 0, ran.text
    assert log.names == ["before-build", "after-build"]
    assert log.events[0]["commit"] == git(root, "rev-parse", "HEAD")


def test_a_version_from_tags_is_bumped_with_the_edits_of_a_hook(tmp_path: Path, log: Log) -> None:
    text = '[project]\nname = "home"\ndynamic = ["version"]\n\n[build-system]\nrequires = ["setuptools-scm>=8"]\n'
    text += 'build-backend = "setuptools.build_meta"\n\n[tool.setuptools_scm]\n'
    root = write(tmp_path / "home", {"pyproject.toml": text + "".join(HOOKS), "note.py": NOTE, "home.py": ""})
    repository(root)
    git(root, "tag", "v1.0")
    commit_all(write(root, {"home.py": "x = 1\n"}), "feat: x")
    ran = run_in_process(root, "bump", "minor", "--commit", "--tag")
    assert ran.code == 0, ran.text
    assert git(root, "show", "v1.1:docs/version.txt") == "edited"
    assert git(root, "status", "--porcelain") == ""
    (event,) = log.events
    assert (event["packages"][0]["old_version"], event["packages"][0]["version"]) == ("1.0", "1.1")
