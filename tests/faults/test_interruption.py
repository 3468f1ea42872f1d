"""Runs that are killed or interrupted, and gits that are: the same command finishes.

Every run is a real process, which an audit hook ends before the n-th change that relnox itself makes.
`soak_system_calls` stops at every system call, those of git included.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, NamedTuple

import pytest
from projects import copy_of, endless, git, pair, remote_of, repository
from running import run
from warm import all_end

from relnox.cli import main
from relnox.executor.signals import Interruption, handle_signals

if TYPE_CHECKING:
    from pathlib import Path

    from running import RunResult

BUMP = ("bump", "--part", "minor", "--commit", "--tag", "--push")
DONE = "bump: done, verified"
LIMIT = 60

pytestmark = [
    pytest.mark.heavy,
    pytest.mark.skipif(os.name != "posix", reason="signals and hooks as POSIX has them"),
]


class State(NamedTuple):
    """What there is of a release, here and on the remote."""

    commits: list[str]
    tags: list[str]
    status: str
    remote_commits: list[str]
    remote_tags: list[str]
    versions: set[str]
    left: list[str]


BEFORE = State(["Start"], [], "", ["Start"], [], {"2.0.0"}, [])
RELEASED = State(
    commits=["Release 2.1.0", "Start"],
    tags=["v2.1.0 Release 2.1.0"],
    status="",
    remote_commits=["Release 2.1.0", "Start"],
    remote_tags=["v2.1.0 Release 2.1.0"],
    versions={"2.1.0"},
    left=[],
)
COMMITS = ["Start development of 2.1.1.dev1", *RELEASED.commits]
DEVELOPING = RELEASED._replace(commits=COMMITS, remote_commits=COMMITS, versions={"2.1.1.dev1"})


def state(root: Path) -> State:
    """What there is, and what should not be left: a note, a lock, a temporary file."""

    def commits(directory: Path) -> list[str]:
        return git(directory, "log", "--format=%s", "main").splitlines()

    def tags(directory: Path) -> list[str]:
        return git(directory, "for-each-ref", "--format=%(refname:short) %(*subject)", "refs/tags").splitlines()

    private = [path.name for path in (root / ".git" / "relnox").glob("*") if path.name != "lock"]
    texts = [path.read_text(encoding="utf-8") for path in root.glob("packages/*/pyproject.toml")]
    return State(
        commits=commits(root),
        tags=tags(root),
        status=git(root, "status", "--porcelain", "--untracked-files=all"),
        remote_commits=commits(remote_of(root)),
        remote_tags=tags(remote_of(root)),
        versions={found for text in texts for found in re.findall(r'^version = "(.*?)"', text, re.MULTILINE)},
        left=sorted([*private, *(path.name for path in (root / ".git").rglob("*.lock"))]),
    )


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return repository(pair(tmp_path_factory.mktemp("template") / "pair"))


@pytest.fixture
def workspace(template: Path, tmp_path: Path) -> Path:
    return copy_of(template, tmp_path / "pair")


def bump(root: Path) -> RunResult:
    """The command, to its end."""
    return run(root, "relnox", *BUMP)


class Going(NamedTuple):
    """A program at work. It prints into a file: a pipe would hold its reader until the git it leaves has ended."""

    process: subprocess.Popen[bytes]
    printed: Path

    def ended(self) -> tuple[int, str]:
        """Its exit code and what it printed; never a traceback."""
        code = self.process.wait(LIMIT)
        output = self.printed.read_text(encoding="utf-8")
        assert "Traceback" not in output, output
        return code, output


def start(root: Path, *words: str, **variables: str) -> Going:
    """Python with these words, going on."""
    printed = root.parent / f"{root.name}.printed"
    with printed.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, *words],
            cwd=root,
            env={**os.environ, **variables},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    return Going(process, printed)


def start_bump(root: Path) -> Going:
    """The command, going on."""
    return start(root, "-m", "relnox", *BUMP)


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + LIMIT
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} never came"
        time.sleep(0.002)


# --- git is killed -------------------------------------------------------------------------------


def write_hook(hook: Path, text: str) -> None:
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(text, encoding="utf-8")
    hook.chmod(0o755)


@pytest.mark.parametrize(
    "hook", ["commit-msg", "post-commit", "reference-transaction prepared", "reference-transaction committed"]
)
def test_a_git_that_is_killed_is_a_failed_step(workspace: Path, hook: str) -> None:
    name, _, argument = hook.partition(" ")
    path = workspace / ".git" / "hooks" / name
    write_hook(path, f'#!/bin/sh\ncase "$1" in *{argument}) rm "$0"; kill -9 $PPID;; esac\n')
    first = bump(workspace)
    assert not path.exists(), first.text  # the hook ran, and killed
    assert first.code == 2, first.text
    for lock in (workspace / ".git").rglob("*.lock"):
        lock.unlink()  # as git says itself
    again = bump(workspace)
    assert again.code == 0, again.text
    assert state(workspace) == RELEASED


@pytest.mark.parametrize(
    ("hook", "arrived"), [("update", False), ("reference-transaction", False), ("post-receive", True)]
)
def test_killed_on_the_remote_the_push_counts_by_the_refs_that_arrived(
    workspace: Path, hook: str, *, arrived: bool
) -> None:
    # The hook kills the program that serves the push; ours sees the line cut and cannot know how far it came.
    remote = remote_of(workspace)
    path = remote / "hooks" / hook
    write_hook(path, f"#!/bin/sh\nrm -f '{path}'\nkill -9 $PPID\n")
    first = bump(workspace)
    assert (state(workspace).remote_commits == RELEASED.remote_commits) is arrived
    assert first.code == (0 if arrived else 2), first.text
    if arrived:
        assert state(workspace) == RELEASED
        return
    for lock in remote.rglob("*.lock"):
        lock.unlink()  # the remote's own affair
    again = bump(workspace)
    assert again.code == 0, again.text
    assert state(workspace) == RELEASED


# --- stopped before each change that relnox itself makes -------------------------------------------

DRIVER = """\
import os, sys

at, number, *words = sys.argv[1:]
KINDS = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.chmod", "subprocess.Popen"}
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
seen, counts = 0, False

def hook(event, arguments):
    global seen, counts
    if event not in KINDS and not (event == "open" and arguments[2] & WRITING):
        return
    counts = counts or str(arguments[0]).endswith("/.git/relnox/lock")
    seen += counts
    if counts and seen == int(at):
        os.kill(os.getpid(), int(number))

sys.addaudithook(hook)
from relnox.cli import main
code = main(words)
print("changes:", seen)
sys.exit(code)
"""
"""Send this process a signal right before its n-th change after it has locked the checkout."""

STRIDE = 3
"""One change in so many is tried with each signal, and others with each: the soak stops at every system call."""
CODES = {signal.SIGKILL: -signal.SIGKILL, signal.SIGINT: 130, signal.SIGTERM: 143}


def stopped(root: Path, command: tuple[str, ...], at: int, number: int) -> tuple[int, str]:
    """Run a command under the driver: how it ended, and what it printed."""
    return start(root, "-c", DRIVER, str(at), str(int(number)), *command).ended()


@pytest.mark.parametrize("offset", range(len(CODES)), ids=[number.name for number in CODES])
@pytest.mark.parametrize(("command", "final"), [(BUMP, RELEASED), ((*BUMP, "--then-dev"), DEVELOPING)])
def test_stopped_before_any_change_the_same_command_finishes(
    command: tuple[str, ...], final: State, offset: int, template: Path, tmp_path: Path
) -> None:
    undisturbed = copy_of(template, tmp_path / "undisturbed")
    code, output = stopped(undisturbed, command, 0, 0)
    assert code == 0, output
    assert state(undisturbed) == final
    changes = int(output.rpartition("changes:")[2])
    assert changes > 30
    number = [*CODES][offset]
    for at in range(1 + offset, changes + 1, STRIDE):
        root = copy_of(template, tmp_path / f"before-{at}")
        code, output = stopped(root, command, at, number)
        found = state(root)
        if number != signal.SIGKILL and code == 0:
            assert DONE in output  # the signal came after the last step
            assert found == final, (at, output)
            continue
        assert code == CODES[number], (at, output)
        if number != signal.SIGKILL:  # undone, or kept for the push
            local = final._replace(remote_commits=BEFORE.remote_commits, remote_tags=[])
            assert found in (BEFORE, local), (at, found)
        assert main([*command, "--project", str(root)]) == 0, at  # quicker than another process
        assert state(root) == final, (at, output)


def test_an_undo_that_is_killed_before_any_change_is_finished(template: Path, tmp_path: Path) -> None:
    released, undo = copy_of(template, tmp_path / "released"), ("bump", "--undo")
    assert main([*BUMP[:-1], "--then-dev", "--project", str(released)]) == 0
    code, output = stopped(copy_of(released, tmp_path / "undisturbed"), undo, 0, 0)
    assert code == 0, output
    for at in range(1, int(output.rpartition("changes:")[2]) + 1, STRIDE):
        root = copy_of(released, tmp_path / f"before-{at}")
        code, output = stopped(root, undo, at, signal.SIGKILL)
        assert code == -signal.SIGKILL, (at, output)
        if state(root) != BEFORE:
            assert main([*undo, "--project", str(root)]) == 0, at
        assert state(root) == BEFORE, (at, output)


# --- SIGINT and SIGTERM in the middle -------------------------------------------------------------------

LASTING = """\
#!/bin/sh
trap 'echo trapped >> "{directory}/trapped"' INT TERM
touch "{directory}/begun"
sleep 1
touch "{directory}/ended"
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("hook", ["pre-commit", "pre-push"])
def test_a_signal_waits_for_atomic_steps(
    workspace: Path, tmp_path: Path, hook: str, number: int, code: int
) -> None:
    write_hook(workspace / ".git" / "hooks" / hook, LASTING.format(directory=tmp_path))
    going = start_bump(workspace)
    wait_for(tmp_path / "begun")
    going.process.send_signal(number)
    going.process.send_signal(number)  # impatience does not help
    ended, output = going.ended()
    assert (tmp_path / "ended").exists()
    assert not (tmp_path / "trapped").exists()
    if hook == "pre-push":  # it came through, and was the last step: all is done
        assert ended == 0, output
        assert DONE in output
        assert state(workspace) == RELEASED
        return
    assert ended == code, output
    assert state(workspace) == BEFORE
    again = bump(workspace)
    assert again.code == 0, again.text
    assert state(workspace) == RELEASED


def test_a_signal_after_the_last_step_is_reported_to_the_outer_run() -> None:
    # Ctrl-C after a finished stage of a chain must stop the chain before its next stage.
    def chain_of_two() -> None:
        with handle_signals() as chain, chain.executing_step(atomic=False):
            with handle_signals():
                signal.raise_signal(signal.SIGINT)
            pytest.fail("the chain went on")

    with pytest.raises(Interruption, match="SIGINT"):
        chain_of_two()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_build_ends_at_once_and_leaves_nothing(tmp_path: Path, number: int, code: int) -> None:
    root = endless(tmp_path / "endless")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    going = start(root, "-m", "relnox", "build-all", TMPDIR=str(scratch))
    wait_for(root / "at-work")
    workers = [int(pid) for pid in (root / "at-work").read_text(encoding="ascii").split()]
    assert len(list((root / "dist").rglob("endless-1.0.tar.gz"))) == 1  # half of it, aside
    began = time.monotonic()
    going.process.send_signal(number)
    ended, output = going.ended()
    assert ended == code, output
    assert time.monotonic() - began < 5
    assert list((root / "dist").iterdir()) == []
    assert list(scratch.iterdir()) == []
    assert all_end(workers)
