"""Signals before the first step and after the last one: no traceback, and an exit code that tells what is done."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from projects import copy_of, write
from test_interruption import BUMP, DONE, RELEASED, bump, state, template

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["template"]

pytestmark = [pytest.mark.heavy, pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")]

CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}
AT_AN_IMPORT = """\
import os, sys

number, module, *sys.argv[1:] = sys.argv[1:]

def send_signal():
    os.kill(os.getpid(), int(number))
    for _ in range(1000):
        pass  # the handler runs here

class Interrupting:
    def find_spec(self, name, *_):
        if name == module:
            Rubbish()  # where Python drops what a handler raises, and prints a traceback

class Rubbish:
    def __del__(self):
        send_signal()

from relnox.__main__ import main
sys.meta_path.insert(0, Interrupting())
sys.exit(main())
"""
"""Send this process a signal when it is about to import a module."""
AT_AN_EVENT = """\
import os, sys

number, at, *words = sys.argv[1:]
sys.argv[1:] = words

def send_signal():
    os.kill(os.getpid(), int(number))
    for _ in range(1000):
        pass

from relnox import executor
from relnox.system import files
from relnox.core.planning import events
from relnox.source import file_edits
from relnox.steps import bump_record, transaction

def before(module, name):
    real = getattr(module, name)
    def striking(*given, **named):
        if name == at:
            send_signal()
        return real(*given, **named)
    setattr(module, name, striking)

before(bump_record, "complete_pending")
before(files.TemporaryDirectory, "__exit__")
before(executor.signals.Signals, "forward_to")
from relnox.__main__ import main
sys.exit(main())
"""
"""Send this process a signal right before it calls something, which it does after its last step."""


def run(root: Path, *words: str) -> tuple[int, str]:
    ended = subprocess.run(
        [sys.executable, "-c", *words], cwd=root, capture_output=True, text=True, check=False, timeout=120
    )
    assert "Traceback" not in ended.stderr, ended.stderr
    return ended.returncode, ended.stdout + ended.stderr


@pytest.mark.parametrize("number", CODES)
@pytest.mark.parametrize(
    "module",
    [
        "relnox.cli",
        "relnox.arguments",
        "relnox.commands",
        "relnox.core.settings.options",
        "relnox.commands.running.perform",
        "relnox.reporters",
        "relnox.source.git",
        "relnox.source.git.repository",
        "relnox.commands.status",
    ],
)
def test_a_signal_while_relnox_is_imported_ends_it_without_a_traceback(
    tmp_path: Path, module: str, number: signal.Signals
) -> None:
    root = write(tmp_path, {"pyproject.toml": '[project]\nname = "home"\nversion = "1.0"\n'})
    code, output = run(root, AT_AN_IMPORT, str(int(number)), module, "status")
    assert code == CODES[number], output


def test_little_is_imported_before_signals_are_handled(tmp_path: Path) -> None:
    program = """
import sys, __future__, gc, signal
before = {*sys.modules}
import relnox.__main__
print(sorted({*sys.modules} - before))
"""
    assert run(tmp_path, program) == (0, "['relnox', 'relnox.__main__']\n")


@pytest.mark.parametrize("number", CODES)
@pytest.mark.parametrize("at", ["complete_pending", "__exit__", "forward_to"])
def test_a_signal_after_the_last_step_of_a_bump_changes_nothing(
    template: Path, tmp_path: Path, at: str, number: signal.Signals
) -> None:
    root = copy_of(template, tmp_path / "pair")
    code, output = run(root, AT_AN_EVENT, str(int(number)), at, *BUMP)
    assert code == 0, output
    assert DONE in output
    assert state(root) == RELEASED


def test_the_same_bump_after_it_is_already_done_and_again_insists(template: Path, tmp_path: Path) -> None:
    root = copy_of(template, tmp_path / "pair")
    assert run(root, AT_AN_EVENT, str(int(signal.SIGTERM)), "__exit__", *BUMP)[0] == 0
    assert bump(root).code == 0
    assert state(root) == RELEASED
    code, printed = run(root, "import sys; from relnox.__main__ import main; sys.exit(main())", *BUMP, "--again")
    assert code == 0, printed
    assert state(root).versions == {"2.2.0"}
