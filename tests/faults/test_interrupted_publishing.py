"""Publishing by real processes: ended in the middle, politely or not, and by two at once."""

from __future__ import annotations

import shutil
import signal
import time
from typing import TYPE_CHECKING

import acts
import pytest
from package_index import LISTING, PackageIndex, Rule
from releases import Package, is_whole, public, publish, release
from stops import start, stopped

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.heavy

PACKAGES = [Package("core", wheels=3), Package("demo", ("core",), wheels=3), Package("more", wheels=3)]
PUBLISH = ("publish", "--index", "own", "--reporter", "plain")
CODES = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGKILL: -signal.SIGKILL}
SLOW = Rule(acts.waits(0.2))


@pytest.fixture(autouse=True)
def token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RELNOX_OWN_TOKEN", "a-token")


@pytest.mark.parametrize("at", [1, 6, 11])
@pytest.mark.parametrize("kind", ["upload", "body"])
@pytest.mark.parametrize(("number", "code"), CODES.items(), ids=[number.name for number in CODES])
def test_the_same_command_finishes_what_was_ended(
    number: signal.Signals, code: int, kind: str, at: int, tmp_path: Path
) -> None:
    ended, output = publish_until(tmp_path, at, number, kind, SLOW)
    assert ended == code, output


def publish_until(root: Path, at: int, number: int, kind: str, *rules: Rule) -> tuple[int, str]:
    """Publish until the n-th thing of a kind, and check that the same command finishes it; how the first ended."""
    manifest = release(root, PACKAGES)
    with PackageIndex(rules) as index:
        publish(root, index, "--dry-run")  # writes down where the index is
        ended, output = stopped(root, PUBLISH, at, number, kind=kind)
        assert is_whole(index, manifest) or ended != 0, output
        there, before = public(index, manifest), len(index.uploads)
        publish(root, index, code=0)
        assert is_whole(index, manifest)
        built = {file.filename: file.sha256 for file in manifest.distributions}
        assert all(built[sent.filename] == sent.sha256 for sent in index.uploads if sent.status == 200)
        assert not there.keys() & {sent.filename for sent in index.uploads[before:]}
    return ended, output


@pytest.mark.parametrize(
    "rule", [Rule(acts.stalls()), Rule(acts.unavailable()), Rule(acts.unavailable(), on=LISTING)]
)
def test_a_run_that_waits_ends_at_once(rule: Rule, tmp_path: Path) -> None:
    release(tmp_path, PACKAGES)
    with PackageIndex() as index:
        publish(tmp_path, index, "--dry-run")
        index.misbehave(rule)
        before = len(index.log)
        running = start(tmp_path, "-m", "relnox", *PUBLISH)
        while len(index.log) <= before + 3 and running.process.poll() is None:
            time.sleep(0.005)
        running.process.send_signal(signal.SIGINT)
        sent = time.monotonic()
        code, output = running.ended()
        assert code == 130, output
        assert time.monotonic() - sent < 30


def test_two_at_once_end_with_the_same_truth(tmp_path: Path) -> None:
    # What the index lists, and the hash of a name that is taken, settle it.
    roots = one, two = tmp_path / "one", tmp_path / "two"
    manifest = release(one, PACKAGES[:2])
    shutil.copytree(one, two)
    slow = Rule(acts.waits(0.05))
    for rules in [[slow], [slow, Rule(acts.refuses_duplicates(409))]] * 3:
        with PackageIndex(rules) as index:
            for root in roots:
                publish(root, index, "--dry-run")
            ended = [running.ended() for running in [start(root, "-m", "relnox", *PUBLISH) for root in roots]]
            assert [code for code, _ in ended] == [0, 0], ended
            assert is_whole(index, manifest)
