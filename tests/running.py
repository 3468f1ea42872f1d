"""Run front ends as programs, or relnox in the process of the test."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from contextlib import chdir, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Protocol
from unittest.mock import patch

from packaging.version import Version
from projects import everything

from relnox import project
from relnox.cli import main
from relnox.commands import options_by_table

if TYPE_CHECKING:
    from pathlib import Path

    from relnox.project import Project

FRONT_ENDS = ("nox", "invoke", "relnox")


def nox_has(since: str) -> bool:
    """Return whether the installed nox is at least some version: some tests run with the oldest one."""
    return Version(version("nox")) >= Version(since)


@dataclass(frozen=True)
class RunResult:
    """A program that ended: its exit code and output."""

    code: int
    out: str
    err: str

    @property
    def text(self) -> str:
        """Both streams, for messages of failed assertions."""
        return f"exit code {self.code}\n--- out\n{self.out}\n--- err\n{self.err}"


class Bump(Protocol):
    """Runs a bump of a project in the process of the test; for `code` see `run`."""

    def __call__(self, root: Path, *options: str, code: int | None = None) -> RunResult: ...


def open_project(start: Path) -> Project:
    """Open a project as a task does."""
    return project.open_project(start, options_by_table)


def run(cwd: Path, *words: str, code: int | None = None, **variables: str) -> RunResult:
    """Run `python -m WORDS` in a directory, with these environment variables too.

    It must end with this code, if one is given.

    The command line of relnox runs in the process of the test, which is faster; see `run_process`.
    """
    if words[0] != "relnox":
        return run_process(cwd, *words, code=code, **variables)
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err), chdir(cwd), patch.dict(os.environ, variables):
        ended = main(words[1:])
    return checked(RunResult(ended, out.getvalue(), err.getvalue()), code)


def run_process(cwd: Path, *words: str, code: int | None = None, **variables: str) -> RunResult:
    """Run `python -m WORDS` as a program of its own; see `run`."""
    ran = subprocess.run(
        [sys.executable, "-m", *words],
        cwd=cwd,
        env=os.environ | variables,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert "Traceback" not in ran.stderr, ran.stderr
    return checked(RunResult(ran.returncode, ran.stdout, ran.stderr), code)


def run_in_process(root: Path, task: str, *options: str, code: int | None = None) -> RunResult:
    """Run a task of relnox with the plain reporter; for `code` see `run`."""
    return run(root, "relnox", task, "--project", str(root), "--reporter", "plain", *options, code=code)


def checked(ran: RunResult, code: int | None) -> RunResult:
    """A program that ended with this code, if one is given."""
    assert code in (None, ran.code), ran.text
    return ran


def run_blocked_bump(bump: Bump, root: Path, *options: str, code: int = 1) -> str:
    """Run a bump that must change nothing; return its stderr."""
    before = everything(root)
    ran = bump(root, *options, code=code)
    assert everything(root) == before
    return ran.err


def run_front_end(front_end: str, cwd: Path, task: str, *options: str, code: int | None = None) -> RunResult:
    """Run a task with a front end; for `code` see `run`."""
    match front_end:
        case "nox":
            return run(cwd, "nox", "-s", task, *(["--", *options] if options else []), code=code)
        case "invoke":
            return run(cwd, "invoke", task, *options, code=code)
        case _:
            return run_process(cwd, "relnox", task, *options, code=code)
