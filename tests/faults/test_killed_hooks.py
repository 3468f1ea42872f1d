"""relnox is killed inside a hook of each event; the same command ends as if it had not been."""

from __future__ import annotations

import json
import os
import signal
from typing import TYPE_CHECKING, Any

import pytest
from backends import in_tree
from controlled_index import ControlledIndex
from projects import git, python, repository, write

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.heavy, pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")]

EVENTS = (
    "before-bump",
    "edit-bump",
    "before-build",
    "after-build",
    "before-publish",
    "after-publish",
    "after-verify",
)
DYNAMIC = """\
import tomllib
VERSION = tomllib.loads(pathlib.Path("pyproject.toml").read_text())["project"]["version"]
METADATA = METADATA.replace("Version: 1.0", f"Version: {VERSION}")
"""
HOOK = """\
import json, os, pathlib, sys, time

event = json.loads(pathlib.Path(os.environ["RELNOX_EVENT"]).read_text())["event"]
state = pathlib.Path(os.environ["HOOK_STATE"])
if event == "edit-bump":
    pathlib.Path("edited.txt").write_text("edited")
if event == "before-build":
    pathlib.Path("generated.py").write_text("answer = 42")
kill = state / f"kill-{event}"
if kill.exists():
    number = int(kill.read_text())
    kill.unlink()
    os.kill(os.getppid(), number)
    time.sleep(60)
    (state / "outlived").touch()
with (state / "log").open("a") as log:
    print(event, file=log)
"""
COMMANDS = (
    ("bump", "--part", "minor", "--commit", "--tag"),
    ("build-all",),
    ("publish", "--index", "own", "--yes"),
    ("verify-install", "--index", "own"),
)


def project(root: Path, index: ControlledIndex) -> Path:
    """A package with a hook at each event."""
    root.mkdir()
    in_tree(root)
    backend = (root / "backend/house.py").read_text().replace("STEM =", f"{DYNAMIC}STEM =", 1)
    settings = (root / "pyproject.toml").read_text()
    settings += f'\n[tool.relnox]\ntrusted-index = "{index.simple_url}"\n'
    settings += f'\n[tool.relnox.indexes.own]\nupload = "{index.upload_url}"\nsimple = "{index.simple_url}"\n'
    for event in EVENTS:
        settings += f'\n[[tool.relnox.hooks.{event}]]\nrun = ["python", "hook.py"]\n'
        settings += 'writes = ["edited.txt", "generated.py"]\n' if event in {"edit-bump", "before-build"} else ""
    return repository(write(root, {"pyproject.toml": settings, "hook.py": HOOK, "backend/house.py": backend}))


def end_state(root: Path, index: ControlledIndex) -> dict[str, Any]:
    """What a release leaves: the commit, tags, the checkout, archives, uploads, relnox's records."""
    manifest = json.loads((root / "dist/manifest.json").read_text())
    names = [file["name"] for file in manifest["artifacts"]]
    private = root / ".git" / "relnox"
    return {
        "changes": [line for line in git(root, "show", "--format=").splitlines() if line[0] in "+-"],
        "commits": git(root, "log", "--format=%s"),
        "tags": git(root, "tag", "--points-at", "HEAD"),
        "status": git(root, "status", "--porcelain"),
        "worktrees": len(git(root, "worktree", "list").splitlines()),
        "archives": names,
        "uploads": sorted(request.filename for request in index.uploads if request.status == 200),
        "records": sorted(path.name for path in private.glob("*.json")),
        "due": sorted(path.name for path in (private / "due-hooks").iterdir()),
    }


def release(root: Path) -> list[int]:
    """Run every command, and again if it was killed; return the exit codes."""
    codes = []
    for command in COMMANDS:
        ended = python(root, "-m", "relnox", *command)
        codes.append(ended.returncode)
        if ended.returncode != 0:
            ended = python(root, "-m", "relnox", *command)
            assert ended.returncode == 0, ended.stderr
    return codes


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What an undisturbed release leaves."""
    directory = tmp_path_factory.mktemp("undisturbed")
    with pytest.MonkeyPatch.context() as patch, ControlledIndex(directory / "index") as index:
        patch.setenv("RELNOX_OWN_TOKEN", "a-token")
        patch.setenv("HOOK_STATE", str(directory))
        root = project(directory / "home", index)
        assert release(root) == [0, 0, 0, 0]
        assert (directory / "log").read_text().split() == ["edit-bump", "before-bump", *EVENTS[2:]]
        return end_state(root, index)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT], ids=["SIGKILL", "SIGINT"])
@pytest.mark.parametrize("event", EVENTS)
def test_killed_inside_a_hook_the_same_command_finishes(
    event: str,
    number: signal.Signals,
    undisturbed: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RELNOX_OWN_TOKEN", "a-token")
    monkeypatch.setenv("HOOK_STATE", str(tmp_path))
    (tmp_path / f"kill-{event}").write_text(str(int(number)))
    with ControlledIndex(tmp_path / "index") as index:
        root = project(tmp_path / "home", index)
        codes = release(root)
        assert end_state(root, index) == undisturbed
    (code,) = (code for code in codes if code != 0)
    assert code == -signal.SIGKILL if number == signal.SIGKILL else code == 130
    log = (tmp_path / "log").read_text().split()
    assert log.count("after-publish") == log.count("after-verify") == 1
    assert set(log) == set(EVENTS)
    assert not (tmp_path / "outlived").exists()


def test_a_bump_that_was_killed_in_a_hook_can_be_aborted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOOK_STATE", str(tmp_path))
    (tmp_path / "kill-before-bump").write_text(str(int(signal.SIGKILL)))
    with ControlledIndex(tmp_path / "index") as index:
        root = project(tmp_path / "home", index)
    before = git(root, "for-each-ref")
    assert python(root, "-m", "relnox", *COMMANDS[0]).returncode == -signal.SIGKILL
    ended = python(root, "-m", "relnox", "bump", "--abort")
    assert ended.returncode == 0, ended.stderr
    assert (git(root, "for-each-ref"), git(root, "status", "--porcelain")) == (before, "")
