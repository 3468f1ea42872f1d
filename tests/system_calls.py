"""Faults at system calls that change something (strace): a process is killed right before one, or one fails.

What counts is a call that changes what another process, or a later one, could find: files, directories, what is
sent. Opening a file to read it changes nothing, nor does a call that fails, or one that writes to a pipe or a
device. strace numbers all calls of a name, in each process by itself, and that is how a call is found again.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

__all__ = [
    "CHANGING",
    "FULL",
    "FULL_FROM_THEN_ON",
    "GROWING",
    "KILLED",
    "KILLED_WITH_RELNOX",
    "OPENING",
    "TRACED_HOOK",
    "FaultyRun",
    "SystemCall",
    "find_system_calls",
    "inject_faults",
]

OPENING = ("open", "openat", "creat")
CHANGING = [
    *(*OPENING, "write", "writev", "pwrite64", "pwritev", "sendfile", "copy_file_range", "truncate", "ftruncate"),
    *("fallocate", "fsync", "fdatasync", "rename", "renameat", "renameat2", "link", "linkat", "symlink"),
    *("symlinkat", "mkdir", "mkdirat", "rmdir", "unlink", "unlinkat", "chmod", "fchmod", "fchmodat", "chown"),
    *("fchown", "lchown", "fchownat", "utimensat", "connect", "sendto", "sendmsg", "shutdown"),
]
GROWING = {
    *(*OPENING, "write", "writev", "pwrite64", "pwritev", "sendfile", "copy_file_range", "ftruncate", "fallocate"),
    *("fsync", "fdatasync", "rename", "renameat", "renameat2", "link", "linkat", "symlink", "symlinkat"),
    *("mkdir", "mkdirat"),
}
"""Those that need room on the disk."""
KILLED = "signal=KILL:when={}"
KILLED_WITH_RELNOX = "signal=KILL:when={} "
"""Where a git is killed, so is the relnox that runs it, before it sees that."""
FULL = "error=ENOSPC:when={}"
FULL_FROM_THEN_ON = "error=ENOSPC:when={}+"
"""What strace injects, at a number."""
SHARE = 0.9
"""How many of the counted calls must be made again: a run may make fewer of a name at times."""
LIMIT = 120

ONE_AFTER_THE_OTHER = """\
import concurrent.futures, sys

class Inline(concurrent.futures.Executor):
    def __init__(self, *args, **options):
        pass

    def submit(self, do, /, *args, **options):
        future = concurrent.futures.Future()
        try:
            future.set_result(do(*args, **options))
        except BaseException as error:
            future.set_exception(error)
        return future

concurrent.futures.ThreadPoolExecutor = Inline
from relnox.cli import main
sys.exit(main(sys.argv[1:]))
"""
"""Makes all calls in one thread and thus in the same order each time; random kills hit the threads."""
GIT = """\
#!/bin/sh
number=1
while ! mkdir "{log}/git-$number" 2> /dev/null; do number=$((number + 1)); done
case $number in
{chosen}) {strace} -qq -ff -o "{log}/git-$number/calls" {options} {git} "$@"
    code=$?
    {also} && grep -qs "killed by SIGKILL" "{log}/git-$number"/calls* && kill -9 $PPID
    exit $code ;;
esac
exec {git} "$@"
"""
"""Stands for git: numbers its runs, and traces those that are chosen with all that they start."""
TRACED_HOOK = """\
import ctypes, os, subprocess
if "BACKEND_STRACE" in os.environ:
    ctypes.CDLL(None).prctl(0x59616D61, ctypes.c_ulong(-1), 0, 0, 0)  # PR_SET_PTRACER: a child may trace it
    words = [*os.environ["BACKEND_STRACE"].split(), "-p", str(os.getpid())]
    line = subprocess.Popen(words, stderr=subprocess.PIPE).stderr.readline()
    assert b"attached" in line, line
"""
"""What a build hook does first so that its own calls are traced as well."""


class SystemCall(NamedTuple):
    """A call.

    Attributes:
        program: Who makes it: `relnox`, its n-th git with all that this one starts (`git-3`), or the `backend`.
        call: Its name.
        number: How many calls of that name its process has made, this one included.
        words: Its arguments.
    """

    program: str
    call: str
    number: int
    words: str


class FaultyRun(NamedTuple):
    """A run with a fault injected at a system call, if it made that call: its exit code and output."""

    system_call: SystemCall
    was_made: bool
    code: int
    text: str


def find_system_calls(new: Callable[[str], Path], task: tuple[str, ...]) -> list[SystemCall]:
    """All calls that change something in a run without a fault.

    Processes of one git that make the n-th call of the same name count as one: the first one gets the fault.

    Args:
        new: Makes a new project, by a name.
        task: What to run.
    """
    _run_without_fault(new("warm"), task)  # which leaves compiled modules behind
    log = _run_without_fault(new("counted"), task)
    found: dict[tuple[str, str, int], SystemCall] = {}
    for file in _logs(log):
        program = file.relative_to(log).parts[0]
        for system_call in _changing_calls(
            program, file.read_text(encoding="utf-8", errors="replace").splitlines()
        ):
            found.setdefault(system_call[:3], system_call)
    return list(found.values())


def inject_faults(
    calls: Iterable[SystemCall], fault: str, new: Callable[[str], Path], task: tuple[str, ...]
) -> Iterator[tuple[Path, FaultyRun]]:
    """Run a task once for each call, with a fault at it. Fails at the end if too few of the calls were made again.

    Args:
        calls: The calls.
        fault: What to inject.
        new: Makes a new project, by a name.
        task: What to run.

    Returns:
        The project of each run, and how the run ended.
    """
    tried = made = 0
    for system_call in calls:
        root = new(f"{system_call.program}-{system_call.call}-{system_call.number}")
        log = _log_of(root)
        ended = _run(root, log, task, system_call, fault)
        log_text = "".join(file.read_text(encoding="utf-8", errors="replace") for file in _logs(log))
        faulty_run = FaultyRun(
            system_call=system_call,
            was_made="(INJECTED)" in log_text or "killed by SIGKILL" in log_text,
            code=ended.returncode,
            text=ended.stderr + ended.stdout,
        )
        assert not re.search("^Traceback", faulty_run.text, re.MULTILINE), faulty_run  # a backend's is indented
        tried, made = tried + 1, made + faulty_run.was_made
        yield root, faulty_run
    sys.stdout.write(f"{fault}: {made} of {tried} system calls were made\n")
    assert made >= SHARE * tried, f"{made} of {tried} system calls were made: this proves little"


def _run_without_fault(root: Path, task: tuple[str, ...]) -> Path:
    """Run it, and return the directory of the output of strace."""
    log = _log_of(root)
    ended = _run(root, log, task)
    assert ended.returncode == 0, ended.stderr
    return log


def _log_of(root: Path) -> Path:
    return root.parent / f"{root.name}.calls"


def _logs(log: Path) -> list[Path]:
    """The output of strace: of relnox, of a backend, and of each process of each git."""
    several = sorted(log.glob("git-*/calls.*"))
    return [path for path in (log / "relnox", log / "backend", *several) if path.exists()]


def _run(
    root: Path, log: Path, task: tuple[str, ...], system_call: SystemCall | None = None, fault: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run relnox with its steps one after the other; log all calls, or with a fault at one."""
    strace, git = shutil.which("strace"), shutil.which("git")
    assert strace, "this needs strace (Debian's package strace)"
    assert git
    options = ["-y", "-e", f"trace={','.join(CHANGING)}"]
    if system_call is not None:
        options = [
            "-e",
            f"trace={system_call.call}",
            "-e",
            f"inject={system_call.call}:{fault.format(system_call.number).strip()}",
        ]
    programs = log / "bin"
    programs.mkdir(parents=True)
    chosen = "*" if system_call is None else system_call.program.removeprefix("git-")
    also = str(fault == KILLED_WITH_RELNOX).lower()
    script = GIT.format(log=log, chosen=chosen, strace=strace, git=git, also=also, options=" ".join(options))
    (programs / "git").write_text(script, encoding="utf-8")
    (programs / "git").chmod(0o755)
    variables = {**os.environ, "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"}
    words = [sys.executable, "-c", ONE_AFTER_THE_OTHER, *task]
    if system_call is None or system_call.program == "relnox":
        words = [strace, "-qq", "-o", str(log / "relnox"), *options, *words]
    if system_call is None or system_call.program == "backend":
        variables["BACKEND_STRACE"] = " ".join([strace, "-o", str(log / "backend"), *options])
    return subprocess.run(
        words, cwd=root, env=variables, capture_output=True, text=True, check=False, timeout=LIMIT
    )


def _changing_calls(program: str, lines: list[str]) -> Iterator[SystemCall]:
    """The calls of one process that change something."""
    numbers: dict[str, int] = {}
    for line in lines:
        if (found := re.match(r"(\w+)\((.*)\) += (-?\d+)", line)) is None:
            continue
        call, words, result = found.groups()
        numbers[call] = numbers.get(call, 0) + 1
        reads = call in OPENING and not re.search("O_WRONLY|O_RDWR|O_CREAT|O_TRUNC", words)
        nowhere = "/dev/null" in words or (call == "write" and re.match(r"\d+<(pipe|socket|/dev/)", words))
        if not (reads or nowhere or result.startswith("-")):
            yield SystemCall(program, call, numbers[call], words)
