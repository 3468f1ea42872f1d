"""A publish run that is ended in the middle, politely or not, and the same command after it."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import acts
import pytest
from package_index import LISTING, PackageIndex, Rule
from releases import Package, is_whole, publish, release

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.heavy

PACKAGES = [Package("core", wheels=3), Package("demo", ("core",), wheels=3), Package("more", wheels=3)]
SLOW = Rule(acts.waits(0.2))


def ended(root: Path, number: signal.Signals, when: Callable[[], bool]) -> tuple[int, str]:
    """Publish, and send a signal as soon as something holds; returns the exit code and what was said."""
    command = [sys.executable, "-m", "relnox", "publish", "--index", "own", "--reporter", "plain"]
    with subprocess.Popen(command, cwd=root, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as running:
        while not when() and running.poll() is None:
            time.sleep(0.005)
        with contextlib.suppress(ProcessLookupError):
            running.send_signal(number)
        sent = time.monotonic()
        _, said = running.communicate(timeout=60)
        assert time.monotonic() - sent < 30
        return running.returncode, said


@pytest.mark.parametrize("uploads", range(1, 13, 2))
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_the_same_command_finishes_what_was_ended(
    number: signal.Signals, uploads: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RELNOX_OWN_TOKEN", "a-token")
    manifest = release(tmp_path, PACKAGES)
    with PackageIndex([SLOW]) as index:
        publish(tmp_path, index, "--dry-run")  # writes down where the index is
        code, said = ended(tmp_path, number, lambda: len(index.uploads) >= uploads)
        assert code == {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGKILL: -9}[number], said
        assert not is_whole(index, manifest)
        ran = publish(tmp_path, index)
        assert ran.code == 0, ran.text
        assert is_whole(index, manifest)
        built = {file.filename: file.sha256 for file in manifest.distributions}
        whole = [request for request in index.uploads if request.status == 200]
        assert all(built[request.filename] == request.sha256 for request in whole)


@pytest.mark.parametrize(
    "rule", [Rule(acts.stalls()), Rule(acts.unavailable()), Rule(acts.unavailable(), on=LISTING)]
)
def test_a_run_that_waits_ends_at_once(rule: Rule, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RELNOX_OWN_TOKEN", "a-token")
    release(tmp_path, PACKAGES)
    with PackageIndex() as index:
        publish(tmp_path, index, "--dry-run")  # writes down where the index is
        index.misbehave(rule)
        before = len(index.log)
        code, said = ended(tmp_path, signal.SIGINT, lambda: len(index.log) > before + 3)
        assert code == 130, said
