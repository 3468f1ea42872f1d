"""How releases wait, retry and upload; the ways in which an index misbehaves are in `misbehaviors`."""

from __future__ import annotations

import itertools
import json
import re
from typing import TYPE_CHECKING

import acts
import pytest
from package_index import ANY, LISTING, PackageIndex, Rule
from releases import Package, SimulatedClock, is_whole, public, publish, publish_to, release

from relnox.indexes import uploads
from relnox.system import retries

if TYPE_CHECKING:
    from pathlib import Path

    from package_index import Request


pytestmark = pytest.mark.heavy

DAY = 24 * 3600
SIZES = {
    1: [Package("demo", sdist=False)],
    6: [Package("core", wheels=2), Package("demo", ("core",), wheels=2)],
    60: [
        Package(f"part-{number}", (f"part-{number - 1}",) if number % 3 else (), wheels=5) for number in range(10)
    ],
}
"""How many files: how they are spread over packages, some of which need one another."""


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimulatedClock:
    """A clock by which pauses take no time; what a server makes wait really, it makes wait for a moment."""
    simulated = SimulatedClock()
    monkeypatch.setattr(retries, "CLOCK", simulated)
    monkeypatch.setattr(uploads, "RESPONSE_TIMEOUT", 1.0)
    monkeypatch.setenv("RELNOX_OWN_TOKEN", "a-token")
    return simulated


@pytest.mark.parametrize("since", [0, 1])
def test_an_outage_of_a_quarter_of_an_hour_is_retried(since: int, tmp_path: Path, clock: SimulatedClock) -> None:
    # from the first request on, and from the first upload on.
    manifest = release(tmp_path, SIZES[6])
    out = Rule(acts.unavailable(), on=ANY, since=since, until=since + 900)
    first = Rule(acts.unavailable(since), tries=[1]) if since else Rule(acts.waits(0))
    with PackageIndex([first, out], clock=clock.time) as index:
        publish(tmp_path, index, code=0)
        assert is_whole(index, manifest)
    assert 900 <= clock.monotonic() < 1200


def test_pauses_grow_and_are_reported(tmp_path: Path, clock: SimulatedClock) -> None:
    # few requests, and a line for each long wait.
    release(tmp_path, SIZES[1])
    with PackageIndex([Rule(acts.E500)], clock=clock.time) as index:
        ran = publish(tmp_path, index, "--report", str(tmp_path / "report.json"))
        tries = [request.began for request in index.uploads]
    assert 15 < len(tries) < 80
    assert tries[-1] - tries[0] <= 1200 + 61
    assert max(later - earlier for earlier, later in itertools.pairwise(tries)) > 20
    waits = [line for line in ran.err.splitlines() if line.startswith("waiting ")]
    assert all(" returned 500 Internal Server Error; next try at " in line for line in waits)
    assert all(re.search(r" UTC, gives up at \d\d:\d\d:\d\d UTC$", line) for line in waits)
    assert 8 <= len(waits) <= 10  # of the first, and every two minutes
    report = json.loads((tmp_path / "report.json").read_bytes())
    assert len(report["waits"]) == len(waits)
    assert len({wait["deadline"][:19] for wait in report["waits"]}) == 1


def test_a_wait_of_many_packages_is_reported_once(tmp_path: Path, clock: SimulatedClock) -> None:
    # a listing that lags half an hour
    release(tmp_path, [Package(f"part-{number}") for number in range(6)])
    lag = Rule(acts.hides(1800), on=LISTING)
    with PackageIndex([lag], clock=clock.time) as index:
        ran = publish(tmp_path, index)
    assert ran.code == 0, ran.text
    waits = [line for line in ran.err.splitlines() if line.startswith("waiting ")]
    assert all(
        line.startswith("waiting own does not list and serve the whole release yet; next try at ")
        for line in waits
    )
    assert 13 <= len(waits) <= 16  # of the first, and every two minutes


def test_a_wait_before_the_plan_is_reported_too(tmp_path: Path, clock: SimulatedClock) -> None:
    release(tmp_path, SIZES[60])
    away = Rule(acts.unavailable(), on=ANY, until=300)
    with PackageIndex([away], clock=clock.time) as index:
        ran = publish(tmp_path, index, "--report", str(tmp_path / "report.json"))
    assert ran.code == 0, ran.text
    waits, _, _ = ran.err.partition("note: credentials")
    assert 2 <= waits.count("returned 503 Service Unavailable; next try at ") <= 4
    report = json.loads((tmp_path / "report.json").read_bytes())
    assert len(report["waits"]) == waits.count("waiting ")


@pytest.mark.parametrize("other", ["demo-1.0.0.tar.gz", "demo-1.tar.gz", "Demo-1.0.tar.gz", "demo-1.0.zip"])
@pytest.mark.parametrize("has_rules", [True, False])
def test_a_second_sdist_in_another_spelling_is_refused_before_the_first_byte(
    *, has_rules: bool, other: str, tmp_path: Path, clock: SimulatedClock
) -> None:
    release(tmp_path, [Package("demo")])
    with PackageIndex(clock=clock.time) as index:
        index.hold("demo", other, b"of an earlier build")
        ran = publish_to(tmp_path, index.upload_url, index.simple_url, "--yes", production=has_rules)
        assert ran.code == (4 if has_rules else 0), ran.text
        assert bool(index.uploads) is not has_rules
    message = (
        f"own has another sdist of demo 1.0, and accepts only one for each release: {other}, not demo-1.0.tar.gz"
    )
    assert (message in ran.err) is has_rules


@pytest.mark.parametrize(
    ("name", "rules", "noted"),
    [
        ("demo-0.9-py3-none-newos_1_0_arm64.whl", True, True),
        ("demo-0.9-cp315-cp315-macosx_27_0_arm64.whl", True, True),
        ("demo-0.9-cp315-cp315-macosx_27_0_arm64.whl", False, False),
        ("demo-0.9-py3-none-macosx_26_0_arm64.whl", True, False),
        ("demo-0.9.tar.gz", True, False),
    ],
)
def test_rules_that_are_older_than_what_the_index_has_are_noted(
    *, name: str, rules: bool, noted: bool, tmp_path: Path, clock: SimulatedClock
) -> None:
    release(tmp_path, SIZES[1])
    with PackageIndex(clock=clock.time) as index:
        index.hold("demo", name, b"of an earlier release")
        ran = publish_to(tmp_path, index.upload_url, index.simple_url, "--yes", production=rules)
    assert ran.code == 0, ran.text
    assert (f"own has {name}, which its rules of 2026-08-21 reject" in ran.err) is noted


DUPLICATES = {
    "PyPI": (
        400,
        "File already exists ('demo-1.0.tar.gz'). See https://example.invalid/help for more information.",
    ),
    "pypiserver": (409, "Package 'demo-1.0.tar.gz' already exists!"),
    "devpi": (409, "demo-1.0.tar.gz already exists in non-volatile index"),
    "GitLab": (400, '{"message":"Validation failed: File name has already been taken"}'),
    "Artifactory": (403, "Not enough permissions to delete/overwrite all artifacts under 'demo' (needs DELETE)."),
    "Nexus": (400, "Repository does not allow updating assets: private"),
    "Nexus 3.7": (400, "private/packages/demo/1.0/demo-1.0.tar.gz cannot be updated"),
    "Google": (400, "Requested entity already exists"),
    "AWS": (409, "Conflict"),
    "Azure": (409, "The feed 'private' already contains file 'demo-1.0.tar.gz' in package 'demo 1.0'."),
    "Cloudsmith": (422, "This package duplicates the attributes of another existing package."),
}


@pytest.mark.parametrize("lost", [False, True], ids=["another job was first", "the response was lost"])
@pytest.mark.parametrize("name", DUPLICATES)
def test_a_file_that_the_index_has_is_compared_by_hash(
    *, name: str, lost: bool, tmp_path: Path, clock: SimulatedClock
) -> None:
    manifest = release(tmp_path, SIZES[1])
    rules = [Rule(acts.refuses_duplicates(*DUPLICATES[name])), Rule(acts.hides(60), on=LISTING)]
    if lost:
        rules.insert(0, Rule(acts.answers(502, "Bad Gateway", stored=True), tries=[1], each=True))
    with PackageIndex(rules, clock=clock.time) as index:
        (file,) = manifest.distributions
        if not lost:
            index.hold("demo", file.filename, (tmp_path / "dist" / file.filename).read_bytes())
        publish(tmp_path, index, code=0)
        assert is_whole(index, manifest) or clock.monotonic() >= 60
        if not lost:
            index.hold("demo", file.filename, b"of another build")
            assert publish(tmp_path, index).code == 4


def test_an_answer_that_names_another_hash_ends_the_release_before_the_index_lists_the_file(
    tmp_path: Path, clock: SimulatedClock
) -> None:
    release(tmp_path, [Package("demo", wheels=3)])
    answer = f"File already exists ('demo-1.0', with blake2_256 hash '{'0' * 64}')."
    rules = [Rule(acts.answers(400, answer), tries=[1]), Rule(acts.hides(3600), on=LISTING)]
    with PackageIndex(rules, clock=clock.time) as index:
        ran = publish(tmp_path, index, code=4)
        assert "own has a different demo-1.0" in ran.err
        assert not index.files


def test_a_release_is_finished_from_another_machine_without_the_files_that_are_public(
    tmp_path: Path, clock: SimulatedClock
) -> None:
    # the manifest, the index, and the files that are missing there.
    manifest = release(tmp_path / "one", SIZES[60])
    half = Rule(acts.UNKNOWN_LOGIN, filename="part_[5-9]-*")
    with PackageIndex([half], clock=clock.time) as index:
        first = publish_to(tmp_path / "one", index.upload_url, index.simple_url, "--yes", production=True, code=3)
        assert "rerun the command to finish it before" in first.err
        index.misbehave()
        there = public(index, manifest)
        assert 0 < len(there) < len(manifest.distributions)
        other = tmp_path / "other"
        (tmp_path / "one").rename(other)
        for name in there:
            (other / "dist" / name).unlink()
        before = len(index.uploads)
        publish(other, index, code=0)
        assert is_whole(index, manifest)
        # A file may be sent twice where the disk is slow, but none that is public.
        sent = {request.filename for request in index.uploads[before:]}
        assert sent == {file.filename for file in manifest.distributions} - there.keys()


def test_an_index_is_asked_once_for_each_project_before_the_first_upload(
    tmp_path: Path, clock: SimulatedClock
) -> None:
    release(tmp_path, SIZES[60])
    with PackageIndex(clock=clock.time) as index:
        assert publish(tmp_path, index).code == 0
        kinds = [request.kind for request in index.log]
    assert kinds[: kinds.index("upload")] == ["listing"] * 10


def at_once(uploads: tuple[Request, ...]) -> int:
    """How many uploads went on at the same time, at most."""
    spans = [(request.began, request.ended or request.began) for request in uploads]
    return max(sum(began <= moment < ended for began, ended in spans) for moment, _ in spans)


def test_files_of_a_project_go_up_two_at_a_time_the_first_alone_and_the_sdist_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RELNOX_OWN_TOKEN", "a-token")
    release(tmp_path, [Package("demo", wheels=6)])
    with PackageIndex([Rule(acts.waits(0.2))]) as index:
        assert publish(tmp_path, index).code == 0
        first, *between, last = index.uploads
    assert (first.filename, last.filename) == ("demo-1.0-py3-none-any.whl", "demo-1.0.tar.gz")
    assert at_once((first, *between)) == at_once(tuple(between)) == at_once((*between, last)) == 2
    assert first.ended is not None
    assert first.ended <= min(request.began for request in between)
    assert max(request.ended or 0 for request in between) <= last.began


def test_independent_projects_go_up_side_by_side_eight_at_most(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RELNOX_OWN_TOKEN", "a-token")
    release(tmp_path, [Package(f"part-{number}", sdist=False) for number in range(20)])
    with PackageIndex([Rule(acts.waits(0.5))]) as index:
        assert publish(tmp_path, index).code == 0
        assert 2 < at_once(index.uploads) <= 8
