"""The embedded index refuses what the public index would refuse, in its words, and takes the rest."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from controlled_index import ControlledIndex
from loopback import ask, declared, make_sdist, make_wheel, page, post

from relnox.indexes.embedded.rules import Rules

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from loopback import StoppedClock

pytestmark = pytest.mark.heavy

DAY = 86400


@pytest.fixture
def index(tmp_path: Path, stopped_clock: StoppedClock) -> Iterator[ControlledIndex]:
    with ControlledIndex(tmp_path / "index", rules=Rules(), clock=stopped_clock) as running:
        yield running


def send(index: ControlledIndex, path: Path, **changed: str | None) -> tuple[int, str]:
    answer = post(index, declared(path, changed))
    return answer.status, answer.text


def filenames(index: ControlledIndex, project: str = "demo") -> list[str]:
    if ask(f"{index.simple_url}{project}/").status == 404:
        return []
    return [entry["filename"] for entry in page(index, project)["files"]]


def test_a_wheel_and_a_source_distribution_are_taken(index: ControlledIndex, tmp_path: Path) -> None:
    wheel = make_wheel(
        tmp_path,
        "demo-pkg",
        "1.0",
        requires=["other>=1; python_version < '3.12'"],
        headers=["Classifier: Topic :: Software Development", "Project-URL: Home, https://example.invalid/"],
    )
    assert send(index, wheel)[0] == 200
    assert send(index, make_sdist(tmp_path, "demo-pkg", "1.0"))[0] == 200
    assert filenames(index, "demo-pkg") == [wheel.name, "demo_pkg-1.0.tar.gz"]


def test_without_rules_the_index_is_lenient(tmp_path: Path) -> None:
    with ControlledIndex(tmp_path / "index") as index:
        assert send(index, make_wheel(tmp_path, "demo", "1.0+local"), sha256_digest=None)[0] == 200
        assert send(index, make_sdist(tmp_path, "json", "1.0"))[0] == 200


# --- what is there already


def test_the_same_bytes_again_are_fine_and_change_nothing(
    index: ControlledIndex, stopped_clock: StoppedClock, tmp_path: Path
) -> None:
    wheel = make_wheel(tmp_path, "demo", "1.0")
    assert send(index, wheel)[0] == 200
    before = page(index, "demo")
    stopped_clock.now += 30 * DAY
    assert send(index, wheel)[0] == 200
    assert page(index, "demo") == before


def test_other_bytes_of_that_name_are_refused_with_the_hash(index: ControlledIndex, tmp_path: Path) -> None:
    first = make_wheel(tmp_path / "first", "demo", "1.0", origin="first")
    assert send(index, first)[0] == 200
    status, text = send(index, make_wheel(tmp_path / "second", "demo", "1.0", origin="second"))
    digest = hashlib.blake2b(first.read_bytes(), digest_size=32).hexdigest()
    assert status == 400
    assert f"File already exists ({first.name!r}, with blake2_256 hash {digest!r})" in text


def test_the_same_bytes_under_another_name_are_refused(index: ControlledIndex, tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, "demo", "1.0")
    assert send(index, wheel)[0] == 200
    answer = post(index, declared(wheel, filename="demo-1.0-1-py3-none-any.whl"))
    assert answer.status == 400
    assert f"File already exists ({wheel.name!r}" in answer.text


def test_the_name_of_a_deleted_file_is_reserved(index: ControlledIndex, tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, "demo", "1.0")
    assert send(index, wheel)[0] == 200
    index.delete(wheel.name)
    assert filenames(index) == []
    for again in (wheel, make_wheel(tmp_path / "other", "demo", "1.0", origin="other")):
        assert send(index, again) == (
            400,
            "This filename was previously used by a file that has since been deleted. Use a different version.\n",
        )
    assert send(index, make_wheel(tmp_path, "demo", "1.0.post1"))[0] == 200
    index.clear()
    assert send(index, wheel)[0] == 200


def test_a_release_takes_no_files_after_fourteen_days(
    index: ControlledIndex, stopped_clock: StoppedClock, tmp_path: Path
) -> None:
    assert send(index, make_wheel(tmp_path, "demo", "1.0"))[0] == 200
    stopped_clock.now += 14 * DAY
    other = make_wheel(tmp_path / "other", "demo", "1.0", origin="other")
    assert post(index, declared(other, filename="demo-1.0-py2-none-any.whl")).status == 200
    stopped_clock.now += 1
    status, text = send(index, make_sdist(tmp_path, "demo", "1.0"))
    assert (status, "releases older than 14 days" in text) == (400, True)
    assert send(index, make_wheel(tmp_path, "demo", "1.1"))[0] == 200


def test_a_release_has_one_source_distribution(tmp_path: Path) -> None:
    """One of an earlier time has another name, which only a lenient index took."""
    sdist = make_sdist(tmp_path, "demo", "1.0")
    with ControlledIndex(tmp_path / "index") as lenient:
        assert post(lenient, declared(sdist, filename="demo-1.0.zip", content=b"of old")).status == 200
    with ControlledIndex(tmp_path / "index", rules=Rules()) as index:
        status, text = send(index, sdist)
    assert (status, text) == (400, "Only one sdist may be uploaded per release.\n")


def test_a_file_has_a_largest_size(tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, "demo", "1.0", origin="x" * (2 << 20))
    with ControlledIndex(tmp_path / "index", rules=Rules(max_size=1 << 20)) as index:
        status, text = send(index, wheel)
        assert (status, text) == (400, "File too large. Limit for project 'demo' is 1 MB.\n")
        assert send(index, make_wheel(tmp_path, "demo", "1.1"))[0] == 200


def test_of_many_names_for_the_same_bytes_at_once_one_is_taken(tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, "demo", "1.0")
    bodies = [declared(wheel, filename=f"demo-1.0-{build}-py3-none-any.whl") for build in range(8)]
    with ControlledIndex(tmp_path / "index", rules=Rules()) as index, ThreadPoolExecutor(8) as pool:
        statuses = [answer.status for answer in pool.map(lambda body: post(index, body), bodies)]
    assert sorted(statuses) == [200] + [400] * 7


# --- names


@pytest.mark.parametrize("name", ["json", "Unittest", "concurrent"])
def test_names_of_the_standard_library_are_taken(name: str, index: ControlledIndex, tmp_path: Path) -> None:
    status, text = send(index, make_wheel(tmp_path, name.lower(), "1.0"), name=name)
    assert status == 400
    assert f"The name {name!r} isn't allowed (conflict with Python Standard Library module name)" in text


def test_a_name_that_looks_like_another_one_is_refused(index: ControlledIndex, tmp_path: Path) -> None:
    assert send(index, make_wheel(tmp_path, "hello", "1.0"))[0] == 200
    status, text = send(index, make_wheel(tmp_path, "he1l0", "1.0"))
    assert (status, text) == (400, "The name 'he1l0' is too similar to an existing project.\n")


# --- uploads


def test_the_digest_is_compared_before_anything_is_judged(index: ControlledIndex, tmp_path: Path) -> None:
    status, text = send(index, make_wheel(tmp_path, "demo", "1.0"), sha256_digest="0" * 64)
    assert status == 400
    assert "has sha256" in text
