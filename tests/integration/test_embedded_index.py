"""The embedded index, asked over loopback by twine, pip and uv, and by bare sockets where those are too polite."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import io
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from loopback import (
    BOUNDARY,
    END,
    JSON,
    ask,
    begin_upload,
    encode,
    eventually,
    form,
    make_sdist,
    make_wheel,
    metadata,
    page,
    post,
    raw,
    served,
)

import relnox
from relnox.errors import Blocked, Conflict
from relnox.indexes.embedded import EmbeddedIndex, handler
from relnox.indexes.embedded.multipart import Form, read_form
from relnox.indexes.embedded.pages import Format, negotiate
from relnox.indexes.embedded.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


pytestmark = pytest.mark.heavy


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Variables under which tools know of nothing but what a test names."""
    foreign = ("PIP_", "UV_", "TWINE_", "PYTHONPATH")
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(foreign) and not name.lower().endswith("_proxy")
    }
    home = tmp_path / "home"
    home.mkdir()
    return {
        **kept,
        "HOME": str(home),
        "USERPROFILE": str(home),
        "PYTHONPATH": str(Path(relnox.__file__).parents[1]),
        "PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring",
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_NO_CACHE_DIR": "1",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "UV_NO_CONFIG": "1",
        "UV_CACHE_DIR": str(tmp_path / "uv-cache"),
        "UV_PYTHON_DOWNLOADS": "never",
        "TWINE_USERNAME": "x",
        "TWINE_PASSWORD": "x",
    }


def run(environment: Mapping[str, str], *words: str | Path) -> subprocess.CompletedProcess[str]:
    """`python -m WORDS`."""
    argv = [sys.executable, "-m", *map(str, words)]
    return subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=120, check=False)


def said(result: subprocess.CompletedProcess[str]) -> str:
    """All that a tool printed, on one line: terminals wrap."""
    return " ".join((result.stdout + result.stderr).split())


def twine(environment: Mapping[str, str], index: EmbeddedIndex, *paths: Path) -> subprocess.CompletedProcess[str]:
    options = ("--non-interactive", "--disable-progress-bar", "--repository-url", index.upload_url)
    return run(environment, "twine", "upload", *options, *paths)


def install(
    installer: str, environment: Mapping[str, str], index: EmbeddedIndex, target: Path, *requirements: str
) -> subprocess.CompletedProcess[str]:
    options = ("--index-url", index.simple_url, "--target", target)
    if installer == "uv":
        return run(environment, "uv", "pip", "install", "--python", sys.executable, *options, *requirements)
    return run(environment, "pip", "install", "--no-input", *options, *requirements)


@pytest.fixture
def index(tmp_path: Path) -> Iterator[EmbeddedIndex]:
    with EmbeddedIndex(tmp_path / "index") as running:
        yield running


installers = pytest.mark.parametrize("installer", ["pip", "uv"])


# --- twine, pip and uv


def test_twine_uploads_and_both_kinds_are_served(
    index: EmbeddedIndex, environment: dict[str, str], tmp_path: Path
) -> None:
    wheel, sdist = make_wheel(tmp_path, "demo-pkg", "1.0"), make_sdist(tmp_path, "demo-pkg", "1.0")
    result = twine(environment, index, wheel, sdist)
    assert result.returncode == 0, said(result)
    assert served(index, wheel, "demo-pkg")
    assert served(index, sdist, "demo-pkg")
    assert {entry["requires-python"] for entry in page(index, "demo-pkg")["files"]} == {">=3.8"}


def test_uv_publishes(index: EmbeddedIndex, environment: dict[str, str], tmp_path: Path) -> None:
    wheel, sdist = make_wheel(tmp_path, "demo-pkg", "1.0"), make_sdist(tmp_path, "demo-pkg", "1.0")
    options = ("--publish-url", index.upload_url, "--username", "x", "--password", "x")
    result = run(environment, "uv", "publish", "--trusted-publishing", "never", *options, wheel, sdist)
    assert result.returncode == 0, said(result)
    assert served(index, wheel, "demo-pkg")
    assert served(index, sdist, "demo-pkg")
    assert {entry["requires-python"] for entry in page(index, "demo-pkg")["files"]} == {">=3.8"}


@installers
def test_wheels_are_installed_with_what_they_require(
    installer: str, index: EmbeddedIndex, environment: dict[str, str], tmp_path: Path
) -> None:
    paths = [
        make_wheel(tmp_path, "demo-app", "1.0", requires=["demo-lib>=2"]),
        make_wheel(tmp_path, "demo-lib", "1.0"),
        make_wheel(tmp_path, "demo-lib", "2.0"),
    ]
    assert twine(environment, index, *paths).returncode == 0
    result = install(installer, environment, index, tmp_path / "site", "Demo_App")
    assert result.returncode == 0, said(result)
    assert (tmp_path / "site/demo_app.py").is_file()
    assert (tmp_path / "site/demo_lib-2.0.dist-info").is_dir()


@installers
def test_a_source_distribution_is_built_and_installed(
    installer: str, index: EmbeddedIndex, environment: dict[str, str], tmp_path: Path
) -> None:
    assert twine(environment, index, make_sdist(tmp_path, "demo", "1.0")).returncode == 0
    result = install(installer, environment, index, tmp_path / "site", "demo==1.0")
    assert result.returncode == 0, said(result)
    assert (tmp_path / "site/demo.py").read_text() == "origin = 'sdist'"


def test_pip_refuses_a_file_that_was_changed_in_the_directory(
    index: EmbeddedIndex, environment: dict[str, str], tmp_path: Path
) -> None:
    wheel = make_wheel(tmp_path, "demo", "1.0")
    assert twine(environment, index, wheel).returncode == 0
    other = make_wheel(tmp_path / "other", "demo", "1.0", origin="elsewhere")
    shutil.copyfile(other, tmp_path / "index/files" / wheel.name / "file")
    result = install("pip", environment, index, tmp_path / "site", "demo")
    assert result.returncode != 0
    assert "DO NOT MATCH THE HASHES" in said(result)


def test_twine_prints_why_a_different_file_of_that_name_is_rejected(
    index: EmbeddedIndex, environment: dict[str, str], tmp_path: Path
) -> None:
    first = make_wheel(tmp_path / "first", "demo", "1.0", origin="first")
    second = make_wheel(tmp_path / "second", "demo", "1.0", origin="second")
    assert twine(environment, index, first).returncode == 0
    again = twine(environment, index, first)
    assert again.returncode == 0, said(again)
    refused = twine(environment, index, second)
    assert refused.returncode != 0
    stored = hashlib.blake2b(first.read_bytes(), digest_size=32).hexdigest()
    assert "File already exists" in said(refused)
    assert stored in re.sub(r"\s+", "", refused.stdout + refused.stderr)
    assert served(index, first, "demo")


# --- which index a name comes from


@pytest.fixture
def trusted(tmp_path: Path) -> Iterator[EmbeddedIndex]:
    with EmbeddedIndex(tmp_path / "trusted") as running:
        yield running


@installers
def test_names_that_are_not_held_come_from_the_trusted_index_and_held_ones_never(
    installer: str, trusted: EmbeddedIndex, environment: dict[str, str], tmp_path: Path
) -> None:
    """The trusted index's higher version of a name that is held here must not be seen."""
    theirs = [
        make_wheel(tmp_path / "theirs", "third-party", "3.0"),
        make_wheel(tmp_path / "theirs", "demo", "9.0", origin="theirs"),
    ]
    ours = make_wheel(tmp_path / "ours", "demo", "1.0", origin="ours", requires=["third-party"])
    assert twine(environment, trusted, *theirs).returncode == 0
    with EmbeddedIndex(tmp_path / "index", trusted_simple_url=trusted.simple_url) as index:
        assert twine(environment, index, ours).returncode == 0
        result = install(installer, environment, index, tmp_path / "site", "demo")
        assert result.returncode == 0, said(result)
        assert page(index, "demo")["versions"] == ["1.0"]
    assert (tmp_path / "site/demo.py").read_text() == "origin = 'ours'\n"
    assert (tmp_path / "site/third_party.py").is_file()


def test_a_held_name_lacks_a_version_rather_than_taking_it_from_the_trusted_index(
    trusted: EmbeddedIndex, environment: dict[str, str], tmp_path: Path
) -> None:
    assert twine(environment, trusted, make_wheel(tmp_path / "theirs", "demo", "9.0")).returncode == 0
    with EmbeddedIndex(tmp_path / "index", trusted_simple_url=trusted.simple_url) as index:
        assert twine(environment, index, make_wheel(tmp_path / "ours", "demo", "1.0")).returncode == 0
        assert install("pip", environment, index, tmp_path / "site", "demo==9.0").returncode != 0


@pytest.mark.parametrize("trusted_url", ["http://trusted.invalid/simple/", "http://trusted.invalid/simple"])
def test_the_redirect_names_the_project_as_the_trusted_index_does(trusted_url: str, tmp_path: Path) -> None:
    with EmbeddedIndex(tmp_path, trusted_simple_url=trusted_url) as index:
        answer = ask(f"{index.simple_url}some-project/")
        assert (answer.status, answer.headers["Location"]) == (
            302,
            "http://trusted.invalid/simple/some-project/",
        )
        assert ask(f"{index.simple_url}some_project/").headers["Location"] == "/simple/some-project/"


def test_an_unknown_name_is_not_found(index: EmbeddedIndex) -> None:
    answer = ask(f"{index.simple_url}nothing/")
    assert (answer.status, answer.headers["Cache-Control"]) == (404, "no-cache")
    assert "/simple/nothing/" in answer.text
    assert "/simple/nothing/" in answer.reason


# --- what an upload must say


def test_every_digest_that_is_sent_is_compared(index: EmbeddedIndex) -> None:
    """What arrived is what was sent, or nothing is kept."""
    content = b"whatever"
    right = {
        "sha256_digest": hashlib.sha256(content).hexdigest(),
        "blake2_256_digest": hashlib.blake2b(content, digest_size=32).hexdigest(),
    }
    for field, digest in right.items():
        wrong = {**right, field: digest[:-1] + ("0" if digest[-1] != "0" else "1")}
        answer = post(index, form("demo-1.0.tar.gz", content, **wrong))
        assert answer.status == 400
        assert field.removesuffix("_digest") in answer.reason
        assert digest in answer.text
    assert ask(f"{index.simple_url}demo/").status == 404
    assert post(index, form("demo-1.0.tar.gz", content, **right)).status == 200
    assert post(index, form("demo-1.0.zip", content, sha256_digest=right["sha256_digest"].upper())).status == 200
    assert post(index, form("demo-1.0.post0.tar.gz", content, version="1.0-0", blake2_256_digest="")).status == 200


@pytest.mark.parametrize(
    "filename",
    [
        "demo-1.0.exe",
        "demo.tar.gz",
        "demo-1.0.whl",
        "demo-one.tar.gz",
        "other-1.0.tar.gz",
        "demo-1.1.tar.gz",
        "../demo-1.0.tar.gz",
        "/demo-1.0.tar.gz",
        "..",
        "demo-1.0-py3-none-../../any.whl",
        "demo-1.0-py3-none-<b>.whl",
        "demo-1.0\\x.tar.gz",
        "démo-1.0.tar.gz",
        ".demo-1.0.tar.gz",
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
        (encode("demo-1.0.tar.gz", b"", [("name", "demo"), ("version", "1.0")]), "no field :action"),
        (form("demo-1.0.tar.gz", b"", **{":action": "doc_upload"}), "doc_upload"),
        (form("demo-1.0.tar.gz", b"", protocol_version="2"), "protocol '2'"),
        (form("demo-1.0.tar.gz", b"", name=""), "no field name"),
        (form("demo-1.0.tar.gz", b"", name="_demo"), "invalid name"),
        (form("demo-1.0.tar.gz", b"", version="one"), "invalid name or version"),
        (encode(None, b"", [(":action", "file_upload"), ("content", "text")]), "no file in the field `content`"),
        (form("demo-1.0.tar.gz", b"", description="x" * (1 << 25)), "too large"),
        (
            encode("demo-1.0.tar.gz", b"", [(":action", "file_upload"), ("name", "demo"), ("name", "demo")]),
            "repeats the field name",
        ),
        (form("demo-1.0.tar.gz", b"")[: -len(END)] + form("demo-1.0.tar.gz", b""), "more than one file"),
        (form("demo-1.0.tar.gz", b"").replace(b"demo\r\n", b"d\xe9mo\r\n"), "not UTF-8"),
        (b"", "ends before"),
    ],
    ids=lambda value: value if isinstance(value, str) else "form",
)
def test_a_form_that_makes_no_sense_is_refused_with_the_reason(
    body: bytes, complaint: str, index: EmbeddedIndex
) -> None:
    answer = post(index, body)
    assert answer.status == 400
    assert complaint in answer.text
    assert complaint in answer.reason
    assert ask(index.simple_url, headers={"Accept": JSON}).json["projects"] == []


def test_other_files_and_repeated_fields_of_a_form_are_ignored(index: EmbeddedIndex) -> None:
    signature = b'--%b\r\nContent-Disposition: form-data; name="gpg_signature"; filename="a.asc"\r\n\r\n\xff\r\n'
    classifiers = encode(None, b"", [("classifiers", "A"), ("classifiers", "B")])[: -len(END)]
    body = signature % BOUNDARY.encode() + classifiers + form("demo-1.0.tar.gz", b"content")
    assert post(index, body).status == 200


def test_what_a_client_says_cannot_break_out_of_the_status_line(index: EmbeddedIndex) -> None:
    answer = post(index, form("demo-1.0.tar.gz", b"", name="x\r\nSet-Cookie: a=b\r\n\r\nü\x1b[31m" + "y" * 9999))
    assert answer.status == 400
    assert "Set-Cookie" not in answer.headers
    assert answer.reason.isascii()
    assert answer.reason.isprintable()
    assert len(answer.reason) <= 500


# --- the form, byte for byte


class Dribble:
    """A body that arrives in small pieces."""

    def __init__(self, content: bytes, most: int) -> None:
        self._stream = io.BytesIO(content)
        self._most = most

    def read(self, size: int, /) -> bytes:
        return self._stream.read(min(size, self._most))


def parse(body: bytes, most: int = 1 << 20, boundary: str = BOUNDARY) -> tuple[Form, bytes]:
    contents: list[bytes] = []
    read = read_form(Dribble(body, most), boundary, lambda _, pieces: contents.extend(pieces))
    return read, b"".join(contents)


fragments = st.sampled_from(
    [
        b"\r\n",
        b"\r",
        b"\n",
        b"--",
        b"\r\n--",
        BOUNDARY.encode(),
        b"--" + BOUNDARY.encode(),
        b"\0",
        b"\xff",
        b"PK\x03",
    ]
)
contents = st.lists(fragments | st.binary(max_size=20), max_size=20).map(b"".join)


@given(content=contents, most=st.integers(1, 40), value=st.text(max_size=20), boundary=st.sampled_from("ab"))
@example(content=b"\r\n--5f0c0a9\r\r\n-\r\n", most=1, value="", boundary="a")
def test_a_file_survives_byte_for_byte(content: bytes, most: int, value: str, boundary: str) -> None:
    boundary = BOUNDARY + boundary  # a client chooses one that its file does not contain
    body = encode("demo-1.0.tar.gz", content, [("name", value), ("name", "again")], boundary)
    assume(f"--{boundary}".encode() not in content + value.encode())
    read, got = parse(body, most, boundary)
    assert got == content
    assert read == Form({"name": [value, "again"]}, "demo-1.0.tar.gz")


@pytest.mark.parametrize("after", [b"", b"x", b" ", b"\r\n", b"\r\nrest", b"--", b"--\r\n", b"--\r\nrest", b"--x"])
def test_a_file_that_contains_the_boundary_is_refused_and_not_cut(after: bytes) -> None:
    body = encode("demo-1.0.tar.gz", b"before\r\n--" + BOUNDARY.encode() + after, [])
    with pytest.raises(Blocked):
        parse(body)


@given(content=contents, cut=st.floats(0, 1, exclude_max=True))
def test_a_form_that_was_cut_short_is_refused(content: bytes, cut: float) -> None:
    body = encode("demo-1.0.tar.gz", content, [("name", "demo")])
    with pytest.raises(Blocked):
        parse(body[: int((len(body) - 2) * cut)])


@given(
    body=st.lists(
        fragments
        | st.binary(max_size=10)
        | st.sampled_from([b'Content-Disposition: form-data; name="content"; filename*=', b"\r\n\r\n", b'"'])
    ).map(b"".join)
)
def test_garbage_is_a_form_or_refused(body: bytes) -> None:
    with contextlib.suppress(Blocked):
        parse(b"--" + BOUNDARY.encode() + b"\r\n" + body)


@pytest.mark.parametrize("boundary", ["", "ü", "x" * 71])
def test_an_impossible_boundary_is_refused(boundary: str) -> None:
    with pytest.raises(Blocked, match="not a valid multipart boundary"):
        parse(b"", boundary=boundary)


# --- what is stored


def test_what_was_stored_is_there_in_another_process_until_it_is_cleared(
    environment: dict[str, str], tmp_path: Path
) -> None:
    directory, wheel = tmp_path / "index", make_wheel(tmp_path, "demo", "1.0")
    script = (
        "import pathlib, subprocess, sys\n"
        "from relnox.indexes.embedded import EmbeddedIndex\n"
        "with EmbeddedIndex(pathlib.Path(sys.argv[1])) as index:\n"
        "    twine = [sys.executable, '-m', 'twine', 'upload', '--non-interactive']\n"
        "    words = [*twine, '--repository-url', index.upload_url, sys.argv[2]]\n"
        "    subprocess.run(words, check=True, capture_output=True)\n"
    )
    subprocess.run([sys.executable, "-c", script, directory, wheel], env=environment, timeout=120, check=True)
    with EmbeddedIndex(directory) as index:
        assert served(index, wheel, "demo")
    with EmbeddedIndex(directory) as first, EmbeddedIndex(directory) as second:
        assert served(second, wheel, "demo")
        first.clear()
        assert ask(f"{second.simple_url}demo/").status == 404
        assert ask(urljoin(second.simple_url, f"/files/{wheel.name}")).status == 404
        assert post(second, form("demo-1.0.tar.gz", b"content")).status == 200
    assert [path.name for path in directory.rglob("file")] == ["file"]


def test_clearing_needs_no_running_index_and_takes_leftovers_along(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with store.receive() as incoming:
        incoming.write(b"content")
        assert incoming.store("demo-1.0.tar.gz")
    (tmp_path / "incoming/killed").mkdir()
    (tmp_path / "incoming/killed/file").write_bytes(b"half")
    EmbeddedIndex(tmp_path).clear()
    assert store.names() == []
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["relnox-embedded-index"]


def test_foreign_files_in_the_directory_are_ignored(tmp_path: Path) -> None:
    store = Store(tmp_path)
    (tmp_path / "files/notes").mkdir()
    (tmp_path / "files/.DS_Store").write_bytes(b"")
    (tmp_path / "files/demo-1.0.tar.gz").write_bytes(b"no upload")
    assert store.files("demo") == []
    assert store.find("demo-1.0.tar.gz") is None
    assert store.open_file("demo-1.0.tar.gz") is None
    assert store.open_file("../notes") is None


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


def test_of_many_uploads_of_one_file_all_succeed(index: EmbeddedIndex) -> None:
    with ThreadPoolExecutor(8) as pool:
        body = form("demo-1.0.tar.gz", b"same")
        answers = list(pool.map(lambda _: post(index, body), range(16)))
    assert {answer.status for answer in answers} == {200}
    assert sum("exists with the same content" in answer.text for answer in answers) == 15


def test_a_conflict_names_both_files(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with store.receive() as first:
        first.write(b"one")
        first.store("demo-1.0.tar.gz")
    with store.receive() as second:
        second.write(b"two")
        with pytest.raises(Conflict) as raised:
            second.store("demo-1.0.tar.gz")
    for content in (b"one", b"two"):
        assert hashlib.blake2b(content, digest_size=32).hexdigest() in raised.value.message


@pytest.mark.parametrize("missing", [1, 60, 1 << 19])
def test_an_upload_that_breaks_off_stores_nothing(
    missing: int, index: EmbeddedIndex, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Killed inside a body."""
    body = form("demo-1.0.tar.gz", b"x" * (1 << 20))
    incoming = tmp_path / "index/incoming"
    with begin_upload(index.upload_url, body, sent=len(body) - missing):
        assert eventually(lambda: any(incoming.iterdir()))
    assert eventually(lambda: not any(incoming.iterdir()))
    assert ask(f"{index.simple_url}demo/").status == 404
    assert post(index, body).status == 200
    assert capfd.readouterr().err == ""


def test_an_index_that_is_killed_within_an_upload_has_stored_nothing(
    environment: dict[str, str], tmp_path: Path
) -> None:
    """The other end is killed inside a body."""
    script = (
        "import pathlib, sys, time\n"
        "from relnox.indexes.embedded import EmbeddedIndex\n"
        "with EmbeddedIndex(pathlib.Path(sys.argv[1])) as index:\n"
        "    print(index.upload_url, flush=True)\n"
        "    time.sleep(60)\n"
    )
    body = form("demo-1.0.tar.gz", b"x" * (1 << 20))
    argv = [sys.executable, "-c", script, str(tmp_path)]
    with subprocess.Popen(argv, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        with begin_upload(process.stdout.readline().strip(), body, sent=1 << 19):
            begun = eventually(lambda: any((tmp_path / "incoming").glob("*/upload/file")))
            process.kill()
    assert begun
    with EmbeddedIndex(tmp_path) as index:
        assert list((tmp_path / "incoming").iterdir()) == []
        assert ask(f"{index.simple_url}demo/").status == 404
        assert post(index, body).status == 200
        assert page(index, "demo")["files"][0]["size"] == 1 << 20


def test_a_directory_that_cannot_be_written_is_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "taken").write_bytes(b"")
    with pytest.raises(Blocked, match="is not a directory") as raised:
        EmbeddedIndex(tmp_path / "taken")
    assert raised.value.fix is not None


def test_a_full_disk_is_reported_to_the_client(index: EmbeddedIndex, tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / "index")
    answer = post(index, form("demo-1.0.tar.gz", b"content"))
    assert answer.status == 507
    assert "No such file" in answer.reason


# --- the simple API


def test_the_pages_tell_all_that_the_standards_ask_for(
    index: EmbeddedIndex, environment: dict[str, str], tmp_path: Path
) -> None:
    wheel = make_wheel(tmp_path, "demo", "1.10", requires=["other"])
    assert twine(environment, index, wheel).returncode == 0
    content = b"\x00source"
    assert post(index, form("demo-1.9.tar.gz", content, version="1.9")).status == 200
    document = page(index, "demo")
    core_metadata = metadata("demo", "1.10", ["other"]).encode()
    assert document["meta"] == {"api-version": "1.4"}
    assert document["name"] == "demo"
    assert document["versions"] == ["1.9", "1.10"]
    for entry in document["files"]:
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", entry.pop("upload-time"))
    assert document["files"] == [
        {
            "filename": "demo-1.9.tar.gz",
            "url": "../../files/demo-1.9.tar.gz",
            "hashes": {"sha256": hashlib.sha256(content).hexdigest()},
            "size": len(content),
        },
        {
            "filename": wheel.name,
            "url": f"../../files/{wheel.name}",
            "hashes": {"sha256": hashlib.sha256(wheel.read_bytes()).hexdigest()},
            "size": wheel.stat().st_size,
            "requires-python": ">=3.8",
            "core-metadata": {"sha256": hashlib.sha256(core_metadata).hexdigest()},
        },
    ]
    base = urljoin(index.simple_url, "/files/")
    assert ask(f"{base}{wheel.name}.metadata").body == core_metadata
    assert ask(f"{base}demo-1.9.tar.gz.metadata").status == 404
    text = ask(f"{index.simple_url}demo/").text
    assert f'#sha256={hashlib.sha256(content).hexdigest()}">demo-1.9.tar.gz</a>' in text
    assert 'data-requires-python="&gt;=3.8"' in text
    assert f'data-core-metadata="sha256={hashlib.sha256(core_metadata).hexdigest()}"' in text
    listing = ask(index.simple_url, headers={"Accept": JSON}).json
    assert listing == {"meta": {"api-version": "1.4"}, "projects": [{"name": "demo"}]}
    assert '<a href="demo/">demo</a>' in ask(index.simple_url).text


def test_local_versions_and_epochs_go_through_pages_and_addresses(
    index: EmbeddedIndex, environment: dict[str, str], tmp_path: Path
) -> None:
    wheel = make_wheel(tmp_path, "demo", "1!1.0+local.1")
    assert post(index, form(wheel.name, wheel.read_bytes(), version="1!1.0+local.1")).status == 200
    assert served(index, wheel, "demo")
    result = install("uv", environment, index, tmp_path / "site", "demo==1!1.0+local.1")
    assert result.returncode == 0, said(result)
    result = install("pip", environment, index, tmp_path / "site2", "demo==1!1.0+local.1")
    assert result.returncode == 0, said(result)


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        (None, Format.HTML),
        ("*/*", Format.HTML),
        ("text/html", Format.HTML),
        (JSON, Format.JSON),
        (JSON.upper(), Format.JSON),
        (f"{JSON}, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.01", Format.JSON),
        ("application/vnd.pypi.simple.v2+json", Format.HTML),
    ],
)
def test_clients_that_name_json_get_it(accept: str | None, chosen: Format) -> None:
    assert negotiate(accept) is chosen


def test_pages_come_in_the_format_that_was_asked_for(index: EmbeddedIndex) -> None:
    assert post(index, form("demo-1.0.tar.gz", b"content")).status == 200
    for accept, content_type in ((JSON, JSON), ("text/html", "text/html; charset=utf-8")):
        for address in (index.simple_url, f"{index.simple_url}demo/"):
            answer = ask(address, headers={"Accept": accept})
            assert answer.headers["Content-Type"] == content_type
            assert answer.headers["Cache-Control"] == "no-cache"
            assert answer.headers["Vary"] == "Accept"


@pytest.mark.parametrize(
    ("path", "location"),
    [
        ("", "/simple/"),
        ("/Demo_Pkg/", "/simple/demo-pkg/"),
        ("/demo--pkg", "/simple/demo-pkg/"),
        ("/demo", "/simple/demo/"),
    ],
)
def test_other_spellings_redirect_to_the_normalized_one(path: str, location: str, index: EmbeddedIndex) -> None:
    answer = ask(index.simple_url.rstrip("/") + path)
    assert (answer.status, answer.headers["Location"]) == (301, location)


@pytest.mark.parametrize(
    "path", ["/", "/x", "/simple/a%0D%0Ab/", "/simple/a/b/", "/files/", "/files/..%2Fupload.json"]
)
def test_other_addresses_are_not_found(path: str, index: EmbeddedIndex) -> None:
    assert ask(urljoin(index.simple_url, path)).status == 404


def test_head_answers_like_get_without_a_body(index: EmbeddedIndex) -> None:
    assert post(index, form("demo-1.0.tar.gz", b"content")).status == 200
    for path in (
        "/simple/",
        "/simple/demo/",
        "/files/demo-1.0.tar.gz",
        "/files/none-1.0.tar.gz",
        "/simple/Demo/",
    ):
        head, get = (ask(urljoin(index.simple_url, path), method=method) for method in ("HEAD", "GET"))
        assert (head.status, head.body) == (get.status, b"")
        assert {**head.headers, "Date": ""} == {**get.headers, "Date": ""}


def test_a_wheel_whose_metadata_cannot_be_read_is_listed_without(index: EmbeddedIndex, tmp_path: Path) -> None:
    broken = make_wheel(tmp_path, "demo", "1.0")
    broken.write_bytes(broken.read_bytes()[:-1])
    ambiguous = make_wheel(tmp_path, "demo", "1.0.post1")
    with zipfile.ZipFile(ambiguous, "a") as archive:
        archive.writestr("other-2.0.dist-info/METADATA", metadata("other", "2.0"))
    for path, version in ((broken, "1.0"), (ambiguous, "1.0.post1")):
        assert post(index, form(path.name, path.read_bytes(), version=version)).status == 200
        assert ask(urljoin(index.simple_url, f"/files/{path.name}.metadata")).status == 404
    assert [entry["filename"] for entry in page(index, "demo")["files"]] == [broken.name, ambiguous.name]
    assert not any("core-metadata" in entry for entry in page(index, "demo")["files"])


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_no_broken_wheel_upsets_the_store(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as directory:
        content = bytearray(make_wheel(Path(directory), "demo", "1.0").read_bytes())
        for _ in range(data.draw(st.integers(1, 6))):
            content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
        del content[data.draw(st.integers(len(content) // 2, len(content))) :]
        store = Store(Path(directory) / "index")
        with store.receive() as incoming:
            incoming.write(bytes(content))
            assert incoming.store("demo-1.0-py3-none-any.whl")
        (file,) = store.files("demo")
        assert file.sha256 == hashlib.sha256(content).hexdigest()


# --- clients that misbehave


@pytest.mark.parametrize(
    ("head", "status"),
    [
        ("POST /legacy/ HTTP/1.1\r\nContent-Length: 1073741825", 413),
        (f"POST /legacy/ HTTP/1.1\r\nContent-Length: {'9' * 5000}", 411),
        ("POST /legacy/ HTTP/1.1\r\nContent-Length: -1", 411),
        ("POST /legacy/ HTTP/1.1", 411),
        ("POST /legacy/ HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 5", 411),
        ("PUT /legacy/ HTTP/1.1\r\nContent-Length: 5", 501),
        ("POST /legacy/ HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6", 411),
        ("GET / / HTTP/1.1", 400),
    ],
)
def test_requests_that_are_not_served_are_answered_and_the_connection_closed(
    head: str, status: int, index: EmbeddedIndex, capfd: pytest.CaptureFixture[str]
) -> None:
    answer = raw(index, f"{head}\r\nHost: {urlsplit(index.upload_url).netloc}\r\n\r\n".encode())
    assert answer.startswith(f"HTTP/1.1 {status} ".encode())
    assert b"Connection: close" in answer
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("path", "content_type", "status"),
    [
        ("/legacy", f"multipart/form-data; boundary={BOUNDARY}", 404),
        ("/legacy/", "multipart/form-data", 400),
        ("/legacy/", "application/json", 400),
    ],
)
def test_a_refused_upload_is_read_to_its_end_so_that_the_answer_arrives(
    path: str, content_type: str, status: int, index: EmbeddedIndex
) -> None:
    body = form("demo-1.0.tar.gz", b"x" * (1 << 23))
    address = urljoin(index.upload_url, path)
    assert ask(address, method="POST", body=body, headers={"Content-Type": content_type}).status == status


def test_a_website_cannot_upload(index: EmbeddedIndex) -> None:
    connection = http.client.HTTPConnection(urlsplit(index.upload_url).netloc, timeout=20)
    kind = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}", "Origin": "http://relnox.invalid"}
    connection.request("POST", "/legacy/", form("demo-1.0.tar.gz", b"content"), kind)
    assert connection.getresponse().status == 403
    connection.close()
    assert ask(f"{index.simple_url}demo/").status == 404


@pytest.mark.parametrize("sent", [0, 1000])
def test_a_client_that_stalls_is_let_go(
    sent: int,
    index: EmbeddedIndex,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """From the other side."""
    monkeypatch.setattr(handler.Handler, "timeout", 0.2)
    body = form("demo-1.0.tar.gz", b"x" * 5000)
    with begin_upload(index.upload_url, body, sent=sent) as connection:
        assert connection.recv(65536) == b""
    assert eventually(lambda: not any((tmp_path / "index/incoming").iterdir()))
    assert capfd.readouterr().err == ""


def test_nothing_outlives_the_with_statement(tmp_path: Path) -> None:
    threads = set(threading.enumerate())
    index = EmbeddedIndex(tmp_path)
    with pytest.raises(RuntimeError, match="inside its with statement"):
        _ = index.upload_url
    with index:
        address = urlsplit(index.simple_url)
        kept_alive = http.client.HTTPConnection(address.netloc, timeout=20)
        kept_alive.request("GET", "/simple/")
        assert kept_alive.getresponse().read()
        uploading = begin_upload(index.upload_url, form("demo-1.0.tar.gz", b"x" * 5000), sent=1000)
        assert eventually(lambda: any((tmp_path / "incoming").iterdir()))
        began = time.monotonic()
    assert time.monotonic() - began < 4
    assert kept_alive.sock.recv(1) == b""
    kept_alive.close()
    uploading.close()
    assert list((tmp_path / "incoming").iterdir()) == []
    assert eventually(lambda: set(threading.enumerate()) <= threads)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((address.hostname or "", address.port or 0), timeout=5)
