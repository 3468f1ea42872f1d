"""The embedded index refuses what the public index would refuse, in its words, and takes the rest."""

from __future__ import annotations

import gzip
import hashlib
import io
import zipfile
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from controlled_index import ControlledIndex
from loopback import ask, declared, make_sdist, make_wheel, page, post

from relnox.indexes.embedded.rules import Rules

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
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


@pytest.mark.parametrize(
    ("filename", "says"),
    [
        ("demo_pkg-1.0.0.tar.gz", "Filename 'demo_pkg-1.0.0.tar.gz' is invalid, should be 'demo_pkg-1.0.tar.gz'"),
        ("demo-pkg-1.0.tar.gz", "should be 'demo_pkg-1.0.tar.gz'"),
        ("Demo_Pkg-1.0.tar.gz", "should be 'demo_pkg-1.0.tar.gz'"),
        ("demo_pkg-1.0.zip", "should be 'demo_pkg-1.0.tar.gz'"),
    ],
)
def test_a_source_distribution_has_the_one_name(
    filename: str, says: str, index: ControlledIndex, tmp_path: Path
) -> None:
    """PEP 625."""
    answer = post(index, declared(make_sdist(tmp_path, "demo-pkg", "1.0"), filename=filename))
    assert answer.status == 400
    assert says in answer.text


@pytest.mark.parametrize("filename", ["Demo_Pkg-1.0-py3-none-any.whl", "demo.pkg-1.0-py3-none-any.whl"])
def test_the_name_of_a_wheel_is_normalized(filename: str, index: ControlledIndex, tmp_path: Path) -> None:
    answer = post(index, declared(make_wheel(tmp_path, "demo-pkg", "1.0"), filename=filename))
    assert answer.status == 400
    assert "should contain the normalized project name 'demo_pkg'" in answer.text


@pytest.mark.parametrize("name", ["json", "Unittest", "concurrent"])
def test_names_of_the_standard_library_are_taken(name: str, index: ControlledIndex, tmp_path: Path) -> None:
    status, text = send(index, make_wheel(tmp_path, name.lower(), "1.0"), name=name)
    assert status == 400
    assert f"The name {name!r} isn't allowed (conflict with Python Standard Library module name)" in text


def test_a_name_that_looks_like_another_one_is_refused(index: ControlledIndex, tmp_path: Path) -> None:
    assert send(index, make_wheel(tmp_path, "hello", "1.0"))[0] == 200
    status, text = send(index, make_wheel(tmp_path, "he1l0", "1.0"))
    assert (status, text) == (400, "The name 'he1l0' is too similar to an existing project.\n")


@pytest.mark.parametrize("name", ["demo-", "-demo", "démo", "de mo", ""])
def test_an_impossible_name_is_refused(name: str, index: ControlledIndex, tmp_path: Path) -> None:
    status, text = send(index, make_wheel(tmp_path, "demo", "1.0"), name=name)
    assert status == 400
    assert "is an invalid value for Name" in text


@pytest.mark.parametrize(
    ("make", "kind"),
    [(make_wheel, ("sdist", "source")), (make_sdist, ("bdist_wheel", "py3"))],
    ids=["wheel", "sdist"],
)
def test_the_extension_is_that_of_the_kind(
    make: Callable[[Path, str, str], Path], kind: tuple[str, str], index: ControlledIndex, tmp_path: Path
) -> None:
    status, text = send(index, make(tmp_path, "demo", "1.0"), filetype=kind[0], pyversion=kind[1])
    assert (status, "Invalid file extension" in text) == (400, True)


# --- metadata


@pytest.mark.parametrize(
    ("header", "says"),
    [
        ("Requires-Dist: other @ https://example.invalid/other.whl", "Can't have direct dependency: other @"),
        ("Provides-Dist: other @ https://example.invalid/other.whl", "Can't have direct dependency: other @"),
        ("Requires-Dist: no requirement", "'no requirement' is invalid for 'requires-dist'"),
        ("Classifier: Nonsense :: Of Mine", "'Nonsense :: Of Mine' is not a valid classifier"),
        ("Classifier: Private :: Do Not Upload", "'Private :: Do Not Upload' is not a valid classifier"),
        ("Classifier: Natural Language :: Ukranian", "has been deprecated, use one of ['Natural Language ::"),
        (f"Summary: {'x' * 513}", "'summary' field must be 512 characters or less"),
        ("Description-Content-Type: text/html", "description-content-type"),
        ("License-Expression: Nonsense", "license"),
        ("License-File: ../LICENSE", "license-file"),
        ("Provides-Extra: -x-", "provides-extra"),
        ("Dynamic: name", "dynamic"),
    ],
)
def test_metadata_that_the_public_index_refuses(
    header: str, says: str, index: ControlledIndex, tmp_path: Path
) -> None:
    status, text = send(index, make_wheel(tmp_path, "demo", "1.0", headers=[header], stated="2.4"))
    assert status == 400
    assert says in text
    assert filenames(index) == []


def test_a_license_is_declared_once(index: ControlledIndex, tmp_path: Path) -> None:
    """PEP 639."""
    both = ["License: MIT", "License-Expression: MIT"]
    status, text = send(index, make_wheel(tmp_path, "demo", "1.0", headers=both, stated="2.4"))
    assert (status, "Only License-Expression should be present" in text) == (400, True)
    one = make_wheel(tmp_path, "demo", "1.1", headers=["License-Expression: MIT"], stated="2.4")
    assert send(index, one)[0] == 200


def test_a_local_version_is_refused(index: ControlledIndex, tmp_path: Path) -> None:
    status, text = send(index, make_wheel(tmp_path, "demo", "1.0+g123"))
    assert (status, text) == (400, "The use of local versions in '1.0+g123' is not allowed.\n")


@pytest.mark.parametrize(("stated", "status"), [("1.2", 200), ("2.0", 400), ("2.5", 200), ("2.6", 400)])
def test_metadata_versions_up_to_2_5_are_taken(
    stated: str, status: int, index: ControlledIndex, tmp_path: Path
) -> None:
    assert send(index, make_wheel(tmp_path, "demo", "1.0", stated=stated))[0] == status


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"filetype": "bdist_egg"}, "Invalid value for filetype. Error: Use a known file type."),
        ({"filetype": None}, "Invalid value for filetype. Error: Use a known file type."),
        ({"pyversion": None}, "Python version is required for binary distribution uploads"),
        ({"filetype": "sdist"}, "Use 'source' as Python version for an sdist"),
        ({"sha256_digest": None}, "Include at least one message digest"),
        ({"metadata_version": None}, "None is not a valid metadata version"),
        ({"summary": "x" * 513}, "must be 512 characters or less"),
        ({"requires_python": "three"}, "requires-python"),
        ({"protocol_version": "2"}, "unsupported upload protocol '2'"),
    ],
    ids=str,
)
def test_a_form_that_the_public_index_refuses(
    changed: dict[str, str | None], says: str, index: ControlledIndex, tmp_path: Path
) -> None:
    status, text = send(index, make_wheel(tmp_path, "demo", "1.0"), **changed)
    assert status == 400
    assert says in text


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("metadata_version", "2.2"),
        ("requires_python", ">=3.9"),
        ("requires_python", None),
        ("requires_dist", "another"),
        ("provides_extra", "extra"),
    ],
)
@pytest.mark.parametrize("make", [make_wheel, make_sdist], ids=["wheel", "sdist"])
def test_the_form_says_what_the_file_says(
    field: str, value: str | None, make: Callable[[Path, str, str], Path], index: ControlledIndex, tmp_path: Path
) -> None:
    path = make(tmp_path, "demo", "1.0")
    status, text = send(index, path, **{field: value})
    assert status == 400
    assert f"The form says {field.replace('_', '-')} " in text
    assert send(index, path, requires_python=">= 3.8", name="Demo")[0] == 200


# --- archives


def test_an_archive_without_metadata_is_refused(index: ControlledIndex, tmp_path: Path) -> None:
    wheel, sdist = make_wheel(tmp_path, "demo", "1.0"), make_sdist(tmp_path, "demo", "1.0")
    empty = io.BytesIO()
    with zipfile.ZipFile(empty, "w") as archive:
        archive.writestr("demo.py", "")
    for path, content, says in (
        (wheel, empty.getvalue(), "required METADATA file: demo-1.0.dist-info/METADATA"),
        (wheel, b"no archive", "required METADATA file: demo-1.0.dist-info/METADATA"),
        (sdist, gzip.compress(bytes(1024)), "PKG-INFO not found at demo-1.0/PKG-INFO"),
        (sdist, b"no archive either", "PKG-INFO not found at demo-1.0/PKG-INFO"),
    ):
        answer = post(index, declared(path, content=content))
        assert answer.status == 400
        assert says in answer.text


def test_the_validator_checks_the_content(tmp_path: Path) -> None:
    checked: list[str] = []

    def validate(path: Path) -> list[str]:
        checked.append(path.name)
        return ["RECORD is wrong", "so is METADATA"] if zipfile.is_zipfile(path) else []

    wheel, sdist = make_wheel(tmp_path, "demo", "1.0"), make_sdist(tmp_path, "demo", "1.0")
    with ControlledIndex(tmp_path / "index", rules=Rules(validator=validate)) as index:
        assert send(index, wheel) == (400, "Invalid distribution file. RECORD is wrong; so is METADATA\n")
        assert send(index, sdist)[0] == 200
    assert checked == [wheel.name, sdist.name]
    assert list((tmp_path / "index/incoming").iterdir()) == []


def test_the_digest_is_compared_before_anything_is_judged(index: ControlledIndex, tmp_path: Path) -> None:
    status, text = send(index, make_wheel(tmp_path, "demo", "1.0"), sha256_digest="0" * 64)
    assert status == 400
    assert "arrived with sha256" in text
