"""The second protocol drops in: the same command publishes by sessions (PEP 694), and nothing of it is halved."""

from __future__ import annotations

import hashlib
import random
from typing import TYPE_CHECKING, Any

import pytest
from releases import Package, SimulatedClock, publish_to, release
from staging_index import Session, StagingIndex, Upload

from relnox import network
from relnox.indexes.embedded import EmbeddedIndex

if TYPE_CHECKING:
    from pathlib import Path

    from running import Ran
    from staging_index import Answer

    from relnox.core.manifest import Manifest

pytestmark = pytest.mark.heavy

PACKAGES = [Package("core", wheels=2), Package("demo", ("core",), wheels=2)]
SIZES = {
    1: [Package("demo", sdist=False)],
    6: PACKAGES,
    60: [
        Package(f"part-{number}", (f"part-{number - 1}",) if number % 3 else (), wheels=5) for number in range(10)
    ],
}
REQUESTS = ["open", "create", "bytes", "complete", "publish"]


class Sometimes:
    """Requests that are drawn by lot, the same ones in each run of the test."""

    def __init__(self, share: float, seed: int) -> None:
        self._share = share
        self._seed = seed

    def __contains__(self, number: object) -> bool:
        return random.Random(f"{self._seed} {number}").random() < self._share


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> SimulatedClock:
    simulated = SimulatedClock()
    monkeypatch.setattr(network, "CLOCK", simulated)
    monkeypatch.setenv("RELNOX_OWN_TOKEN", "a-token")
    return simulated


def publish(root: Path, index: StagingIndex) -> Ran:
    return publish_to(root, index.upload_url, index.simple_url, staged=True)


def is_whole(index: StagingIndex, manifest: Manifest) -> bool:
    public = {
        name: hashlib.sha256(content).hexdigest()
        for files in index.public.values()
        for name, content in files.items()
    }
    return public == {file.filename: file.sha256 for file in manifest.distributions}


@pytest.mark.parametrize("deferred", [False, True])
def test_a_release_is_staged_file_by_file_and_public_at_once(deferred: bool, tmp_path: Path) -> None:
    manifest = release(tmp_path, PACKAGES)
    with StagingIndex() as index:
        index.deferred = deferred
        ran = publish(tmp_path, index)
        assert ran.code == 0, ran.text
        assert is_whole(index, manifest)
        assert index.log.count("bytes") == 6
        again = publish(tmp_path, index)
        assert again.code == 0, again.text
        assert (index.log.count("open"), index.log.count("publish")) == (2, 2)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", REQUESTS)
@pytest.mark.parametrize("how", ["fails", "loses"])
def test_passing_trouble_at_each_request_is_outlasted(how: str, kind: str, size: int, tmp_path: Path) -> None:
    # F03, F07: not done, or done and the answer lost.
    manifest = release(tmp_path, SIZES[size])
    with StagingIndex() as index:
        getattr(index, how)[kind] = [1, 3]
        ran = publish(tmp_path, index)
        assert ran.code == 0, ran.text
        assert is_whole(index, manifest)


@pytest.mark.parametrize("size", [1, 6])
@pytest.mark.parametrize("kind", REQUESTS)
def test_lasting_trouble_ends_with_nothing_half_public(kind: str, size: int, tmp_path: Path) -> None:
    manifest = release(tmp_path, SIZES[size])
    with StagingIndex() as index:
        index.fails[kind] = range(1, 10**6)
        ran = publish(tmp_path, index)
        assert ran.code == 5, ran.text
        assert index.public == {}
        index.fails.clear()
        again = publish(tmp_path, index)
        assert again.code == 0, again.text
        assert is_whole(index, manifest)


@pytest.mark.parametrize("size", SIZES)
def test_trouble_in_a_third_of_all_requests_is_outlasted(size: int, tmp_path: Path) -> None:
    manifest = release(tmp_path, SIZES[size])
    with StagingIndex() as index:
        for seed, kind in enumerate(REQUESTS):
            index.fails[kind], index.loses[kind] = Sometimes(0.15, seed), Sometimes(0.15, -1 - seed)
        ran = publish(tmp_path, index)
        assert ran.code == 0, ran.text
        assert is_whole(index, manifest)


@pytest.mark.parametrize("deferred", [False, True])
def test_a_file_that_is_refused_keeps_its_whole_release_from_being_public(deferred: bool, tmp_path: Path) -> None:
    release(tmp_path, PACKAGES)
    with StagingIndex() as index:
        index.deferred = deferred
        index.unwanted = "core-1.0.tar.gz"
        ran = publish(tmp_path, index)
        assert ran.code == 2, ran.text
        assert "core-1.0.tar.gz is not wanted" in ran.err
        assert index.public == {}


def test_an_interrupted_session_is_gone_on_with(tmp_path: Path) -> None:
    # Of its files one is complete, with bytes of another build, and one was cut off.
    manifest = release(tmp_path, PACKAGES)
    first, second, *_ = manifest.distributions
    with StagingIndex() as index:
        other = Upload(first.filename, 5, hashlib.sha256(b"other").hexdigest(), b"other", "completed")
        cut = Upload(second.filename, second.size, second.sha256, b"P")
        index.sessions.append(
            Session("core", "1.0", uploads={first.filename: other, second.filename: cut}),
        )
        ran = publish(tmp_path, index)
        assert ran.code == 0, ran.text
        assert is_whole(index, manifest)
        assert len(index.sessions) == 2


def test_a_session_with_files_that_are_not_ours_is_not_published(tmp_path: Path) -> None:
    release(tmp_path, PACKAGES)
    with StagingIndex() as index:
        foreign = Upload("core-1.0-py2-none-any.whl", 1, "", b"?", "completed")
        index.sessions.append(Session("core", "1.0", uploads={foreign.filename: foreign}))
        ran = publish(tmp_path, index)
        assert ran.code == 4, ran.text
        assert "core-1.0-py2-none-any.whl, which is not in the manifest" in ran.err
        assert index.public == {}


def test_credentials_follow_no_link_to_another_origin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # F15
    release(tmp_path, PACKAGES)
    with StagingIndex() as other, StagingIndex() as index:
        monkeypatch.setattr(
            index, "_open", lambda _request: (409, {}, {"Location": f"{other.upload_url}/session/0"})
        )
        ran = publish(tmp_path, index)
        assert ran.code == 1, ran.text
        assert "sends uploads to another address" in ran.err
        assert other.log == []


def test_an_index_that_speaks_only_the_other_protocol_says_so(tmp_path: Path) -> None:
    release(tmp_path, PACKAGES)
    with EmbeddedIndex(tmp_path / "index") as index:
        ran = publish_to(tmp_path, index.upload_url, index.simple_url, staged=True)
    assert ran.code == 2, ran.text
    assert "multipart/form-data" in ran.err


def test_a_session_that_lacks_a_file_is_not_made_public(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # F07: the index says of a file that it has one of that name, and shows none: whose it is nobody can say.
    manifest = release(tmp_path, PACKAGES)
    taken = manifest.distributions[0].filename
    with StagingIndex() as index:
        create = index._create

        def created(number: int, request: dict[str, Any]) -> Answer:
            if request["filename"] == taken:
                return index._problem(409, f"{taken} already exists")
            return create(number, request)

        monkeypatch.setattr(index, "_create", created)
        ran = publish(tmp_path, index)
        assert ran.code == 5, ran.text
        assert f"own shows no {taken}, and the session for core 1.0 lacks it" in ran.err
        assert index.public == {}
        monkeypatch.setattr(index, "_create", create)
        again = publish(tmp_path, index)
        assert again.code == 0, again.text
        assert is_whole(index, manifest)
