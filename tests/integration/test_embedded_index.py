"""The embedded index, asked over loopback by twine, pip and uv, and by bare sockets where those are too polite."""

from __future__ import annotations

import base64
import hashlib
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urljoin

import pytest
import releases
from hypothesis import assume, example, given
from hypothesis import strategies as st
from loopback import (
    BOUNDARY,
    END,
    ask,
    begin_upload,
    encode,
    form,
    make_sdist,
    make_wheel,
    page,
    post,
    served,
)

from relnox.core.settings.config import Config
from relnox.errors import Blocked
from relnox.indexes import Indexes, uploads
from relnox.indexes.embedded import EmbeddedIndex, parse_uploaded_file

if TYPE_CHECKING:
    from collections.abc import Iterator


pytestmark = pytest.mark.heavy


@pytest.fixture
def index(tmp_path: Path) -> Iterator[EmbeddedIndex]:
    with EmbeddedIndex(tmp_path / "index") as running:
        yield running


def upload(index: EmbeddedIndex, *paths: Path) -> None:
    for path in paths:
        name, version = path.name.split("-")[:2]
        fields = {"name": name, "version": version.removesuffix(".tar.gz"), "requires_python": ">=3.8"}
        assert post(index, form(path.name, path.read_bytes(), **fields)).status == 200


def test_both_kinds_are_served_and_another_file_of_that_name_is_rejected(
    index: EmbeddedIndex, tmp_path: Path
) -> None:
    wheel, sdist = make_wheel(tmp_path, "demo", "1.0"), make_sdist(tmp_path, "demo", "1.0")
    upload(index, wheel, sdist, wheel)
    refused = post(index, form(wheel.name, b"of another build"))
    assert (refused.status, hashlib.sha256(wheel.read_bytes()).hexdigest() in refused.text) == (400, True)
    assert served(index, wheel, "demo")
    assert served(index, sdist, "demo")


@pytest.mark.parametrize(
    "filename",
    [
        "demo-1.0.exe",
        "../demo-1.0.tar.gz",
        "..",
        "demo-1.0-py3-none-../../any.whl",
        "démo-1.0.tar.gz",
        "",
    ],
)
def test_a_file_must_be_called_what_it_is(filename: str, index: EmbeddedIndex, tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    assert post(index, form(filename, b"content")).status == 400
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        (encode(None, b"", [(":action", "file_upload"), ("content", "text")]), "0 files in the field `content`"),
        (
            form("demo-1.0.tar.gz", b"")[: -len(END)] + form("demo-1.0.tar.gz", b""),
            "2 files in the field `content`",
        ),
        (b"", "0 files in the field `content`"),
    ],
    ids=["no file", "two files", "nothing"],
)
def test_a_form_that_makes_no_sense_is_refused_with_the_reason(
    body: bytes, complaint: str, index: EmbeddedIndex
) -> None:
    answer = post(index, body)
    assert answer.status == 400
    assert complaint in answer.text
    assert index.store.files() == []


pieces = (b"\r\n", b"\r", b"\n", b"--", b"\r\n--", BOUNDARY.encode(), b"--" + BOUNDARY.encode(), b"\0", b"\xff")
fragments = st.sampled_from(pieces)
contents = st.lists(fragments | st.binary(max_size=20), max_size=20).map(b"".join)


@given(content=contents, value=st.text(max_size=20), boundary=st.sampled_from("ab"))
@example(content=b"\r\n--5f0c0a9\r\r\n-\r\n", value="", boundary="a")
def test_a_file_survives_byte_for_byte(content: bytes, value: str, boundary: str) -> None:
    boundary = BOUNDARY + boundary  # a client chooses one that its file does not contain
    body = encode("demo-1.0.tar.gz", content, [("name", value), ("name", "again")], boundary)
    assume(f"--{boundary}".encode() not in content + value.encode())
    assert parse_uploaded_file(boundary, body) == ("demo-1.0.tar.gz", content)


def test_what_was_stored_is_there_for_other_runs_until_it_is_cleared(tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, "demo", "1.0")
    with EmbeddedIndex(tmp_path / "index") as first, EmbeddedIndex(tmp_path / "index") as second:
        assert post(first, form(wheel.name, wheel.read_bytes())).status == 200
        assert served(second, wheel, "demo")
        first.store.clear()
        assert ask(f"{second.simple_url}demo/").status == 404
        assert ask(urljoin(second.simple_url, f"/files/{wheel.name}")).status == 404
        assert post(second, form("demo-1.0.tar.gz", b"content")).status == 200
    with EmbeddedIndex(tmp_path / "index") as later:
        assert [file["filename"] for file in page(later, "demo")["files"]] == ["demo-1.0.tar.gz"]


def test_of_many_uploads_of_one_name_exactly_one_is_stored_whole(tmp_path: Path) -> None:
    contents_ = [bytes([number]) * (1 << 18) for number in range(12)]
    with EmbeddedIndex(tmp_path) as first, EmbeddedIndex(tmp_path) as second, ThreadPoolExecutor(12) as pool:
        start = threading.Barrier(12)

        def send(number: int) -> int:
            start.wait(30)
            return post((first, second)[number % 2], form("demo-1.0.tar.gz", contents_[number])).status

        statuses = list(pool.map(send, range(12)))
        stored = ask(urljoin(first.simple_url, "/files/demo-1.0.tar.gz")).body
        (entry,) = page(first, "demo")["files"]
    assert sorted(statuses) == [200] + [400] * 11
    assert stored == contents_[statuses.index(200)]
    assert entry["hashes"]["sha256"] == hashlib.sha256(stored).hexdigest()
    assert list((tmp_path / "incoming").iterdir()) == []


def test_a_directory_that_cannot_be_written_is_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "taken").write_bytes(b"")
    with pytest.raises(Blocked, match="cannot be used for the embedded index") as raised:
        EmbeddedIndex(tmp_path / "taken")
    assert raised.value.fix is not None


def test_an_upload_that_breaks_off_stores_nothing(index: EmbeddedIndex, capfd: pytest.CaptureFixture[str]) -> None:
    body = form("demo-1.0.tar.gz", b"x" * (1 << 20))
    begin_upload(index.upload_url, body, sent=len(body) - 1).close()
    assert ask(f"{index.simple_url}demo/").status == 404
    assert post(index, body).status == 200
    assert capfd.readouterr().err == ""


def test_the_page_has_all_that_the_standards_require(index: EmbeddedIndex) -> None:
    contents_ = {"demo-1.9.tar.gz": b"\x00source", "demo-1.10.tar.gz": b"more"}
    for name, content in contents_.items():
        fields = {"version": name[5:].removesuffix(".tar.gz"), "requires_python": ">=3.8"}
        assert post(index, form(name, content, **fields)).status == 200
    document = page(index, "Demo")
    for entry in document["files"]:
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", entry.pop("upload-time"))
    assert document == {
        "meta": {"api-version": "1.1"},
        "name": "demo",
        "versions": ["1.9", "1.10"],
        "files": [
            {
                "filename": name,
                "url": f"/files/{name}",
                "hashes": {"sha256": hashlib.sha256(content).hexdigest()},
                "size": len(content),
            }
            for name, content in contents_.items()
        ],
    }
    head = ask(f"{index.simple_url}demo/", method="HEAD")
    assert (head.status, head.body) == (200, b"")


@pytest.mark.parametrize(("password", "status"), [(None, 403), ("", 403), ("guess", 403), ("token", 200)])
def test_uploads_need_the_token_of_the_run(password: str | None, status: int, tmp_path: Path) -> None:
    headers = {} if password is None else login(password)
    with EmbeddedIndex(tmp_path, upload_token="token") as index:
        answer = post(index, form("demo-1.0.tar.gz", b"content"), **headers)
        assert answer.status == status
        assert ("only the run that started the embedded index" in answer.text) == (status == 403)
        assert ask(f"{index.simple_url}demo/").status == (200 if status == 200 else 404)  # everybody may read


def login(password: str) -> dict[str, str]:
    return {"Authorization": f"Basic {base64.b64encode(f'__token__:{password}'.encode()).decode()}"}


def test_each_run_has_a_token_of_its_own(tmp_path: Path) -> None:
    one, other = (Indexes(Config(), tmp_path / "index", {}) for _ in range(2))
    with closing(one), closing(other):
        mine, theirs = (each["embedded"].credentials.secret("demo").reveal() for each in (one, other))
        wheel = releases.described(make_wheel(tmp_path, "demo", "1.0"))
        uploads.upload_file(tmp_path / wheel.filename, wheel, one["embedded"], one["embedded"].credentials)
        address = one["embedded"].upload_url
        logins = [login(mine), login(theirs)]
        assert [ask(address, method="POST", body=b"x", headers=each).status for each in logins] == [400, 403]
    assert len(mine) == 64


def test_a_refused_upload_is_read_to_its_end_so_that_the_answer_arrives(index: EmbeddedIndex) -> None:
    body = form("demo-1.0.tar.gz", b"x" * (1 << 23))
    address = urljoin(index.upload_url, "/legacy")
    assert ask(address, method="POST", body=body).status == 404
