"""The embedded index is for the run that started it: not for other users, not for websites, not for ever."""

from __future__ import annotations

import base64
import os
import socket
import subprocess
import sys
import threading
from contextlib import closing
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import packed
import pytest
import releases
from loopback import ask, encode, eventually, form, make_wheel, post, raw
from running import run_in_process

from relnox.core.settings.config import Config
from relnox.indexes import Indexes
from relnox.indexes.embedded import EmbeddedIndex, connection, listener, multipart

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.heavy

TOKEN = "token-of-this-run"


@pytest.fixture
def index(tmp_path: Path) -> Iterator[EmbeddedIndex]:
    with EmbeddedIndex(tmp_path / "index", upload_token=TOKEN) as running:
        yield running


def login(password: str, user: str = "__token__") -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def opened(index: EmbeddedIndex) -> socket.socket:
    parts = urlsplit(index.upload_url)
    return socket.create_connection((parts.hostname or "", parts.port or 0), timeout=20)


def is_ended(client: socket.socket) -> bool:
    try:
        return client.recv(1 << 16) == b""
    except ConnectionError:
        return True


def is_listening(address: tuple[str, int]) -> bool:
    with socket.socket() as client:
        return client.connect_ex(address) == 0


# --- who may upload


@pytest.mark.parametrize(
    "sent", [None, login(""), login("guess"), login(TOKEN[:-1]), "Bearer " + TOKEN, "Basic ???"]
)
def test_without_the_token_of_the_run_nothing_is_uploaded(sent: str | None, index: EmbeddedIndex) -> None:
    headers = {} if sent is None else {"Authorization": sent}
    answer = post(index, form("demo-1.0.tar.gz", b"content"), **headers)
    assert answer.status == 403
    assert "only the run that started the embedded index may upload to it" in answer.text
    assert ask(f"{index.simple_url}demo/").status == 404


def test_with_the_token_it_is(index: EmbeddedIndex) -> None:
    assert post(index, form("demo-1.0.tar.gz", b"content"), Authorization=login(TOKEN)).status == 200
    assert ask(f"{index.simple_url}demo/").status == 200  # everybody may read


def test_each_run_has_a_token_of_its_own_and_its_uploads_have_it(tmp_path: Path) -> None:
    one, other = (Indexes(Config(), tmp_path / "index", {}) for _ in range(2))
    with closing(one), closing(other):
        mine, theirs = (each.credentials("embedded") for each in (one, other))
        wheel = releases.described(make_wheel(tmp_path, "demo", "1.0"))
        one.upload("embedded", tmp_path / wheel.filename, wheel)
        address = one.target("embedded").upload_url
        headers = [{"Authorization": login(each.login("demo").secret.reveal())} for each in (mine, theirs)]
        kind = {"Content-Type": "multipart/form-data; boundary=x"}
        answers = [ask(address, method="POST", body=b"x", headers=kind | each).status for each in headers]
    assert answers == [400, 403]
    assert len(mine.login("demo").secret.reveal()) == 64


def test_a_release_goes_to_the_embedded_index_as_before(tmp_path: Path) -> None:
    (tmp_path / "dist").mkdir()
    releases.project_of(tmp_path, packed.wheel(tmp_path / "dist"))
    ran = run_in_process(tmp_path, "publish-test", "--index", "embedded", "--no-verify")
    assert ran.code == 0, ran.text


# --- what comes from websites


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        ([], 400),
        (["Host: {own}", "Host: {own}"], 400),
        (["Host: relnox.invalid"], 403),
        (["Host: relnox.invalid:{port}"], 403),
        (["Host: 127.0.0.1"], 403),
        (["Host: 127.0.0.1:1"], 403),
        (["Host: 127.0.0.1.relnox.invalid:{port}"], 403),
        (["Host: {own}", "Origin: http://relnox.invalid"], 403),
        (["Host: {own}", "Origin: null"], 403),
        (["Host: {own}", "Referer: http://relnox.invalid/page"], 403),
        (["Host: {own}", "Sec-Fetch-Site: cross-site"], 403),
        (["Host: {own}", "Sec-Fetch-Site: same-site"], 403),
        (["Host: {own}"], 200),
        (["Host: LOCALHOST:{port}"], 200),
        (["Host: {own}", "Sec-Fetch-Site: none"], 200),
        (["Host: {own}", "Sec-Fetch-Site: same-origin", "Referer: http://{own}/simple/"], 200),
    ],
)
@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_requests_of_websites_are_refused(
    lines: list[str], status: int, version: str, index: EmbeddedIndex
) -> None:
    own = urlsplit(index.upload_url).netloc
    head = [f"GET /simple/ HTTP/{version}", "Connection: close", *lines]
    text = "\r\n".join(head).format(own=own, port=own.rpartition(":")[2])
    assert raw(index, f"{text}\r\n\r\n".encode()).startswith(f"HTTP/1.1 {status} ".encode())


def test_an_unread_body_is_not_parsed_as_a_request(index: EmbeddedIndex) -> None:
    own = urlsplit(index.upload_url).netloc
    second = f"GET /simple/ HTTP/1.1\r\nHost: {own}\r\n\r\n"
    first = f"GET /simple/ HTTP/1.1\r\nHost: {own}\r\nContent-Length: {len(second)}\r\n\r\n"
    assert raw(index, (first + second).encode()).count(b"HTTP/1.1 200") == 1


# --- how much, and how long


def test_a_form_has_so_many_parts_and_no_more(index: EmbeddedIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(multipart, "_PARTS_LIMIT", 20)
    fields = [("classifiers", str(number)) for number in range(30)]
    answer = post(index, encode("demo-1.0.tar.gz", b"content", fields), Authorization=login(TOKEN))
    assert (answer.status, answer.text) == (400, "the form has more than 20 parts\n")


@pytest.mark.parametrize("boundary", ["x" * 71, "x\u00e9"])
def test_a_boundary_is_short(boundary: str, index: EmbeddedIndex) -> None:
    kind = f"multipart/form-data; boundary={boundary}"
    answer = ask(
        index.upload_url, method="POST", body=b"x", headers={"Content-Type": kind, "Authorization": login(TOKEN)}
    )
    assert answer.status == 400


def test_headers_of_a_part_are_short(index: EmbeddedIndex) -> None:
    body = encode("demo-1.0.tar.gz", b"content", [("x" * (1 << 15), "y")])
    assert "too large" in post(index, body, Authorization=login(TOKEN)).text


@pytest.mark.parametrize("sent", [b"", b"GET /simple/ HTTP/1.1\r\nX-Slow: "])
def test_a_client_that_trickles_its_request_is_let_go(
    sent: bytes, index: EmbeddedIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "_HEAD_LIMIT", 0.5)
    with opened(index) as client:
        done = threading.Event()

        def trickle() -> None:
            while not done.wait(0.1):
                try:
                    client.sendall(sent or b"x")
                except OSError:
                    return

        thread = threading.Thread(target=trickle)
        thread.start()
        assert eventually(lambda: is_ended(client))
        done.set()
        thread.join()


def test_a_client_that_trickles_its_upload_is_let_go(
    index: EmbeddedIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "_ANSWER_LIMIT", 0.5)
    own = urlsplit(index.upload_url).netloc
    head = f"POST /legacy/ HTTP/1.1\r\nHost: {own}\r\nAuthorization: {login(TOKEN)}\r\nContent-Length: 5000\r\n"
    with opened(index) as client:
        client.sendall(f"{head}Content-Type: multipart/form-data; boundary=x\r\n\r\n".encode())
        assert eventually(lambda: is_ended(client))


def test_idle_connections_make_room_for_new_ones(index: EmbeddedIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener, "_CONNECTIONS_LIMIT", 5)
    before = threading.active_count()
    clients = [opened(index) for _ in range(12)]
    try:
        assert ask(f"{index.simple_url}").status == 200
        assert eventually(lambda: threading.active_count() <= before + 6)
        assert is_ended(clients[0])
    finally:
        for client in clients:
            client.close()


def test_it_ends_with_the_process_that_started_it(tmp_path: Path) -> None:
    program = (
        "import pathlib, sys, time\n"
        "from relnox.core.settings.config import Config\n"
        "from relnox.indexes import Indexes\n"
        "indexes = Indexes(Config(), pathlib.Path(sys.argv[1]), {})\n"
        "print(indexes.target('embedded').upload_url, flush=True)\n"
        "time.sleep(60)\n"
    )
    words = [sys.executable, "-c", program, str(tmp_path / "index")]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=os.environ) as running:
        assert running.stdout is not None
        parts = urlsplit(running.stdout.readline().strip())
        address = (parts.hostname or "", parts.port or 0)
        socket.create_connection(address, timeout=20).close()
        running.kill()
    assert eventually(lambda: not is_listening(address))
