"""Hooks that do what they should not: endless ones, and ones that change what a release relies on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from controlled_index import ControlledIndex
from hooked import PUBLISH, hook, own, project
from projects import git
from running import here

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.skipif(os.name != "posix", reason="the hooks are shell scripts")


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ControlledIndex]:
    monkeypatch.setenv("RELNOX_OWN_TOKEN", "a-secret-token")
    with ControlledIndex(tmp_path / "index") as index:
        yield index


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
    root = project(tmp_path / "home", shell("before-bump", script, "time-limit = 60"))
    try:
        ran = here(root, "bump", "minor")
    finally:
        if (root / "pid").exists():
            os.kill(int((root / "pid").read_text()), signal.SIGKILL)
    assert ran.code == 0, ran.text
    assert 'version = "1.1"' in (root / "pyproject.toml").read_text()


@pytest.mark.parametrize(
    "script",
    ["trap '' TERM INT; while :; do sleep 0.1; done", "yes", "cat /dev/zero"],
    ids=["ignores signals", "prints lines", "prints no line end"],
)
def test_an_endless_hook_is_killed(tmp_path: Path, script: str) -> None:
    root = project(tmp_path / "home", shell("before-bump", script, "time-limit = 1"))
    ran = here(root, "bump", "minor", "--commit")
    assert ran.code == 2, ran.text
    assert "[hook-timeout]" in ran.err or "[hook-failed]" in ran.err
    assert len(ran.err) < 10_000
    assert git(root, "status", "--porcelain") == ""
