"""The end of the program `relnox`: its output is written, its exit handlers ran, and its threads ended."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(sys.executable).with_name("relnox.exe" if os.name == "nt" else "relnox")
AFTER_A_RUN = """\
import {module}
from relnox import __main__, cli

def task():
    {statement}
    return 3

cli.main = task
__main__.run()
"""


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)


def test_the_program_has_the_exit_code_and_the_output_of_the_module() -> None:
    for words in (["bump", "--help"], ["--version"], ["nothing"], ["bump", "--nothing"]):
        program, module = run(str(PROGRAM), *words), run(sys.executable, "-m", "relnox", *words)
        assert (program.returncode, program.stdout, program.stderr) == (
            module.returncode,
            module.stdout,
            module.stderr,
        )
    assert run(str(PROGRAM), "bump", "--nothing").returncode == 1


def test_exit_handlers_run() -> None:
    program = AFTER_A_RUN.format(module="atexit", statement="atexit.register(print, 'handled')")
    ended = run(sys.executable, "-c", program)
    assert (ended.returncode, ended.stdout) == (3, "handled\n"), ended.stderr


def test_output_that_is_not_flushed_yet_is_written() -> None:
    program = AFTER_A_RUN.format(module="sys", statement="sys.stdout.write('x' * 100_000); sys.stderr.write('y')")
    ended = run(sys.executable, "-c", program)
    assert (ended.returncode, len(ended.stdout), ended.stderr) == (3, 100_000, "y")


def test_a_thread_is_waited_for() -> None:
    statement = "threading.Timer(0.2, print, ['the thread ended']).start()"
    ended = run(sys.executable, "-c", AFTER_A_RUN.format(module="threading", statement=statement))
    assert (ended.returncode, ended.stdout) == (3, "the thread ended\n"), ended.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is full")
def test_output_that_cannot_be_written_is_reported_by_python() -> None:
    program = AFTER_A_RUN.format(module="sys", statement="sys.stdout.write('x')")
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        ended = subprocess.run(
            [sys.executable, "-E", "-c", program], stdout=full, stderr=subprocess.PIPE, check=False, timeout=60
        )
    assert ended.returncode == 120  # as Python does
    assert b"No space left on device" in ended.stderr
