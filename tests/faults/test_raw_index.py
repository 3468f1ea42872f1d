"""A sample of the ways in which an index misbehaves; `nox -s hostile-index` has all of them."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest
from hostile_runs import honest_codes, prepare, publish_and_check, run, signal_and_check, visible
from misbehaviors import MISBEHAVIORS
from raw_index import RawIndex
from releases import Package, release

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.heavy

SAMPLE = {
    "upload: status 200OK without a space": 2,
    "upload: status 401 with Basic each time": 6,
    "upload: 200 and nothing stored": 2,
    "upload: 422 as a problem with null for errors": 2,
    "upload: Retry-After '99999999999999999999999999'": 2,
    "listing: a rate limit until the year 33658": 2,
    "upload: no head (HTTP/0.9)": 6,
    "listing: two lengths": 2,
    "listing: NUL in a header": 2,
    "file: 102 and 103 first": 2,
    "upload: 101 to another protocol": 2,
    "upload: a chunk of a negative size": 2,
    "upload: an error of deep JSON": 2,
    "listing: gzip in two members": 6,
    "listing: a gzip bomb": 2,
    "listing: no answer": 2,
    "upload: once headers that trickle line by line": 2,
    "file: every second connection closed": 6,
    "listing: each name twice, the second with another hash": 2,
    "listing: two lists of files, the first one true": 2,
    "listing: an address that is none": 2,
    "listing: all but the sdist": 6,
    "listing: 100,000 brackets beside the files after an upload": 2,
    "listing: version 2.0 of the API after an upload": 2,
    "page: each link twice, with another hash": 2,
    "page: with version 2.0": 2,
    "upload: 307 to the same origin": 2,
    "file: redirected to TLS where there is none": 2,
    "file: one bit flipped in the middle": 6,
    "file: other bytes for the sdist": 20,
    "upload: stores other bytes, and says 500": 2,
    "upload: loses the sdists": 20,
    "any: every third request a 502": 6,
}
"""Of how many files the release is."""
SIGNALED = {
    "listing: a body that trickles until the connection closes": signal.SIGINT,
    "upload: never read": signal.SIGTERM,
}


@pytest.mark.parametrize("name", SAMPLE)
def test_no_false_success_no_hang_no_traceback(name: str, tmp_path: Path) -> None:
    publish_and_check(MISBEHAVIORS[name], SAMPLE[name], tmp_path)


@pytest.mark.parametrize("name", SIGNALED)
def test_a_signal_ends_the_run_and_the_same_command_finishes_it(name: str, tmp_path: Path) -> None:
    signal_and_check(MISBEHAVIORS[name], SIGNALED[name], tmp_path)


def test_the_catalog_has_many_ways_in_every_topic() -> None:
    topics = [way.topic for way in MISBEHAVIORS.values()]
    for topic in ("status", "head", "body", "time", "listing", "redirect", "file", "upload"):
        assert topics.count(topic) >= 25, topic
    assert sum(way.sizes == (2, 6, 20) for way in MISBEHAVIORS.values()) >= 150


def test_the_index_behaves_without_a_fault(tmp_path: Path) -> None:
    manifest = release(tmp_path, [Package("demo")])
    with RawIndex() as index:
        prepare(tmp_path, index)
        ran = run(tmp_path, slow=False)
        assert ran.code == 0, ran.text
        assert visible(index, manifest) == {file.filename for file in manifest.distributions}
        sdist = next(name for name in index.files["demo"] if name.endswith(".tar.gz"))
        del index.files["demo"][sdist]
        assert len(visible(index, manifest)) == 1
        index.hold("demo", sdist, b"other bytes")
        assert len(visible(index, manifest)) == 1


@pytest.mark.parametrize(
    ("seen", "stored", "accepted", "dishonest"),
    [
        (0, 0, 0, {0, 3}),
        (1, 1, 1, {0, 1, 2, 5}),
        (1, 1, 0, {0, 1, 2, 5}),
        (0, 1, 1, {0, 1, 2}),
        (2, 2, 2, {1, 2}),
    ],
)
def test_an_exit_code_is_honest_that_says_what_is_public(
    seen: int, stored: int, accepted: int, dishonest: set[int]
) -> None:
    assert set(range(6)) - honest_codes(seen, stored, accepted, total=2) == dishonest
