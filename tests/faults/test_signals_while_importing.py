"""Signals while relnox is imported: no traceback, and the exit code of the signal."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from projects import write

if TYPE_CHECKING:
    from pathlib import Path

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
        "relnox.reporters",
        "relnox.commands.status",
    ],
)
def test_a_signal_while_relnox_is_imported_ends_it_without_a_traceback(
    tmp_path: Path, module: str, number: signal.Signals
) -> None:
    root = write(tmp_path, {"pyproject.toml": '[project]\nname = "home"\nversion = "1.0"\n'})
    code, output = run(root, AT_AN_IMPORT, str(int(number)), module, "status")
    assert code == CODES[number], output
