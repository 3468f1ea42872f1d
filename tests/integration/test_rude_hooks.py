"""Hooks that do what they should not: endless ones, and ones that change what a release relies on."""

from __future__ import annotations

import json
import os
import signal
from typing import TYPE_CHECKING

import pytest
from hooked import PUBLISH, hook, own, project
from package_index import PackageIndex
from projects import everything, git
from running import run, run_in_process

from relnox.api import Workspace
from relnox.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.skipif(os.name != "posix", reason="the hooks are shell scripts")


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PackageIndex]:
    monkeypatch.setenv("RELNOX_OWN_TOKEN", "a-secret-token")
    with PackageIndex() as index:
        yield index


GIT = "git -c user.name=n -c user.email=n@example.org"


def shell(event: str, script: str, *lines: str) -> str:
    """The settings of a hook that is a shell script."""
    return hook(event, *lines, run=json.dumps(["sh", "-c", script]))


# Endless hooks


@pytest.mark.parametrize(
    "script",
    [
        "sleep 600 & echo started",
        "setsid sleep 600 & echo $! > pid; echo started",
        "yes & echo started",
        "setsid yes & echo $! > pid; echo started",
    ],
    ids=["silent", "silent, in its own session", "loud", "loud, in its own session"],
)
def test_what_a_hook_leaves_running_is_not_waited_for(tmp_path: Path, script: str) -> None:
    root = project(tmp_path / "home", shell("edit-bump", script, "time-limit = 60"))
    try:
        ran = run_in_process(root, "bump", "minor")
    finally:
        if (root / "pid").exists():
            os.kill(int((root / "pid").read_text()), signal.SIGKILL)
    assert ran.code == 0, ran.text
    assert 'version = "1.1"' in (root / "pyproject.toml").read_text()


@pytest.mark.parametrize(
    "script",
    [
        "trap '' TERM INT; while :; do sleep 0.1; done",
        "yes",
        "head -c 10000000 /dev/zero; exit 1",
        "cat /dev/zero",
    ],
    ids=["ignores signals", "prints lines", "prints a long line", "prints no line end"],
)
def test_an_endless_hook_is_killed(tmp_path: Path, script: str) -> None:
    root = project(tmp_path / "home", shell("edit-bump", script, "time-limit = 1"))
    ran = run_in_process(root, "bump", "minor", "--commit")
    assert ran.code == 2, ran.text
    assert "[hook-failed]" in ran.err
    assert len(ran.err) < 10_000
    assert git(root, "status", "--porcelain") == ""


# What a release relies on


def test_relnox_is_terminated_while_a_hook_runs(tmp_path: Path) -> None:
    script = "trap '' TERM; kill -TERM $PPID; sleep 600"
    root = project(tmp_path / "home", shell("edit-bump", script))
    ran = run(root, "relnox", "bump", "minor", "--commit")
    assert ran.code == 143, ran.text
    assert git(root, "status", "--porcelain") == ""
    assert not list((root / ".git" / "relnox").glob("*.json"))


CHANGE_WHEEL = "for file in dist/*.whl; do echo more >> $file; done"
CHANGE_SDIST = "for file in dist/*.gz; do cp $file x; cat x x > $file; done"


@pytest.mark.parametrize(
    "script",
    [
        CHANGE_WHEEL,
        CHANGE_SDIST,
        "rm -r dist",
        "rm dist/*.whl; mkfifo dist/home-1.0-py3-none-any.whl",
        "mv dist/*.whl .; ln -s /dev/zero dist/home-1.0-py3-none-any.whl",
    ],
    ids=["wheel", "sdist", "removed", "pipe", "endless link"],
)
def test_archives_that_a_hook_changes_are_not_uploaded(tmp_path: Path, index: PackageIndex, script: str) -> None:
    root = project(tmp_path / "home", own(index), shell("before-publish", script))
    assert run_in_process(root, "build-all").code == 0
    ran = run_in_process(root, *PUBLISH)
    assert ran.code in {2, 3, 4}, ran.text
    built = {"home-1.0-py3-none-any.whl", "home-1.0.tar.gz"}
    assert {upload.filename for upload in index.uploads} < built


@pytest.mark.parametrize("name", ["home-1.0-py3-none-any.whl", "home-1.0.tar.gz"])
def test_an_archive_that_becomes_a_pipe_is_not_read(tmp_path: Path, index: PackageIndex, name: str) -> None:
    """A process that a hook leaves behind may change archives after the check."""
    root = project(tmp_path / "home", own(index), shell("before-publish", "true"))
    assert run_in_process(root, "build-all").code == 0
    with Workspace.open(root).plan("publish", index="own", yes=True) as plan:
        (root / "dist" / name).unlink()
        os.mkfifo(root / "dist" / name)
        outcome = plan.run()
    assert outcome.exit_code in {ExitCode.CONFLICT, ExitCode.PARTLY_PUBLIC}
    assert name not in {upload.filename for upload in index.uploads}


@pytest.mark.parametrize(
    "script",
    [
        "echo '{}' > dist/manifest.json; touch dist/home-9.9-py3-none-any.whl",
        "git remote set-url origin /nowhere",
        "git tag -f v1.0",
        "rm -rf .git/relnox",
        'rm -rf "$(dirname "$RELNOX_EVENT")"',
    ],
)
def test_what_is_uploaded_was_decided_before_the_hook(tmp_path: Path, index: PackageIndex, script: str) -> None:
    hooks = (shell("before-publish", script), shell("after-publish", "echo announced"))
    root = project(tmp_path / "home", own(index), *hooks)
    assert run_in_process(root, "build-all").code == 0
    ran = run_in_process(root, *PUBLISH)
    assert ran.code == 0, ran.text
    assert sorted(upload.filename for upload in index.uploads) == ["home-1.0-py3-none-any.whl", "home-1.0.tar.gz"]


@pytest.mark.parametrize(
    "script",
    [
        "rm -rf .git",
        "rm -rf *",
        "rm pyproject.toml",
        "git config core.worktree /nowhere",
        "git init -q sub; touch sub/x",
        "printf 1 > \"$(printf 'a\\377b')\"",
        "head -c 300 /dev/urandom > generated.bin",
        'rm -rf "$(dirname "$RELNOX_EVENT")"',
        'rm -rf "$PWD"',
        "mkfifo pipe",
        "ln -s / all",
        "echo more >> pyproject.toml",
    ],
)
@pytest.mark.parametrize("event", ["edit-bump", "before-build"])
def test_a_copy_is_discarded_whatever_a_hook_does(tmp_path: Path, event: str, script: str) -> None:
    root = project(tmp_path / "home", shell(event, script))
    before = everything(root)
    ran = run(root, "relnox", *(["bump", "minor", "--dry-run"] if event == "edit-bump" else ["build-all"]))
    if ran.code != 0:
        assert "[" in ran.err
        assert "fix: " in ran.err
    after = everything(root)
    assert (after.staged, after.refs, after.head) == (before.staged, before.refs, before.head)
    assert {name: after.files[name] for name in before.files} == before.files
