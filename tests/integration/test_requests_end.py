"""Requests end: whatever a server sends, at whatever pace, in bounded time and memory, and soon after a signal."""

from __future__ import annotations

import gzip
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import zlib
from io import BytesIO
from typing import TYPE_CHECKING

import pytest
from raw_server import answering, raw_server, read_head
from releases import Package, release

from relnox.errors import Failed, RelnoxError, TryLater
from relnox.indexes import client, listings, upload_responses
from relnox.system import network
from relnox.system.network import Deadline, TransientError, deadlines

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from releases import SimulatedClock

pytestmark = pytest.mark.heavy

OK = b"HTTP/1.1 200 OK\r\n"
CLOSE = OK + b"Connection: close\r\n\r\n"
GZIP = OK + b"Content-Encoding: gzip\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n"
WHOLE = OK + b"Content-Length: 2\r\n\r\nok"
SOON = 10.0
"""Seconds: the promise is 2, and machines that test are busy."""


def trickle(
    head: bytes, piece: bytes = b"x", pause: float = 0.05
) -> Callable[[socket.socket, threading.Event], None]:
    def talk(connection: socket.socket, over: threading.Event) -> None:
        connection.sendall(head)
        while not over.wait(pause):
            connection.sendall(piece)

    return talk


def flood(head: bytes, piece: bytes) -> Callable[[socket.socket, threading.Event], None]:
    def talk(connection: socket.socket, over: threading.Event) -> None:
        read_head(connection)
        connection.sendall(head)
        while not over.is_set():
            connection.sendall(piece)

    return talk


# --- time


@pytest.mark.parametrize(
    "talk",
    [
        pytest.param(trickle(CLOSE), id="a body on a connection that is closed after it"),
        pytest.param(trickle(OK + b"Content-Length: 4000000\r\n\r\n"), id="a body of a length"),
        pytest.param(trickle(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"), id="chunks"),
        pytest.param(trickle(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"0"), id="the length of a chunk"),
        pytest.param(trickle(GZIP + gzip.compress(b"")[:10], b"\0\0\0\xff\xff"), id="a compressed body"),
        pytest.param(trickle(OK + b"X-Slow: "), id="a header"),
        pytest.param(trickle(OK, b"X-Slow: x\r\n"), id="headers"),
        pytest.param(trickle(b"", b"HTTP/1.1 103 Early Hints\r\n\r\n"), id="informational answers"),
    ],
)
def test_what_comes_fast_enough_for_the_socket_still_ends_at_the_deadline(
    talk: Callable[[socket.socket, threading.Event], None],
) -> None:
    limit = network.DOCUMENT._replace(seconds=1.0)
    with raw_server(talk) as url, pytest.raises(TransientError, match="not done after 1 s"):
        network.send_once("GET", url, limit=limit)


def test_a_rate_that_is_no_silence_ends_as_well() -> None:
    # 25 KB/s: far more than the 1 KiB/s that each span of time needs, for ever
    with (
        raw_server(trickle(CLOSE, b"x" * 2500, 0.1)) as url,
        pytest.raises(TransientError, match="not done after 2 s"),
    ):
        network.send_once("GET", url, read_timeout=1.5, limit=network.LISTING._replace(seconds=2.0))


def test_a_file_may_take_as_long_as_its_size_needs() -> None:
    assert network.file_limit(0).seconds == 60
    assert network.file_limit(80 << 20).seconds == 60 + 10240
    assert network.file_limit().seconds == 3600


def test_an_upload_may_take_as_long_as_its_size_needs() -> None:
    def slowly(connection: socket.socket, over: threading.Event) -> None:
        while b"end" not in connection.recv(4096):
            over.wait(0.02)
        connection.sendall(WHOLE)

    limit = network.UPLOAD_RESPONSE._replace(seconds=0.1)
    with raw_server(slowly) as url:
        assert network.send_once("POST", url, body=BytesIO(b"x" * 150_000 + b"end"), limit=limit).content == b"ok"


# --- size


@pytest.mark.parametrize("kind", [network.DOCUMENT, network.LISTING], ids=lambda each: each.kind)
@pytest.mark.parametrize("head", [CLOSE, OK + b"Content-Length: 99999999999\r\n\r\n"], ids=["endless", "stated"])
def test_a_response_that_is_too_large_is_not_retried(kind: network.Limit, head: bytes) -> None:
    size = f"{kind.size >> 20} MiB"
    with (
        raw_server(flood(head, b" " * 65536)) as url,
        pytest.raises(Failed, match=rf"^the {kind.kind} of 127\.0\.0\.1:\d+ is larger than {size}$") as failed,
    ):
        network.get(url, limit=kind)
    assert not isinstance(failed.value, TryLater)


def test_a_file_is_no_larger_than_it_has_to_be(tmp_path: Path) -> None:
    limit = network.file_limit(1000)
    with raw_server(answering(CLOSE + b"x" * 1000, CLOSE + b"x" * 1001)) as url:
        network.get(url, into=tmp_path / "file", limit=limit)
        assert (tmp_path / "file").read_bytes() == b"x" * 1000
        with pytest.raises(Failed, match="larger than 1,000 bytes"):
            network.get(url, into=tmp_path / "file", limit=limit)
    assert (tmp_path / "file").stat().st_size <= 1001


def test_a_file_comes_as_it_is_stored(tmp_path: Path) -> None:
    stored = gzip.compress(b"content")
    seen: list[bytes] = []

    def talk(connection: socket.socket, _over: threading.Event) -> None:
        seen.append(read_head(connection))
        connection.sendall(GZIP + stored)

    with raw_server(talk) as url:
        network.get(url, into=tmp_path / "file", limit=network.file_limit())
    assert (tmp_path / "file").read_bytes() == stored
    assert b"accept-encoding: identity\r\n" in seen[0].lower()


def test_a_look_at_a_file_does_not_fetch_it() -> None:
    with raw_server(flood(CLOSE, b"x" * 65536)) as url:
        file = listings.IndexFile(filename="demo-1.0.tar.gz", url=url, sha256=None)
        response = network.get(file.url, {"Range": "bytes=0-0"}, limit=network.FIRST_BYTES)
    assert response.status_code == 200
    assert response.content == b"x" * network.FIRST_BYTES.size


def test_an_error_page_is_read_no_further_than_people_read() -> None:
    page = b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/html\r\n\r\n"
    with raw_server(flood(page, b"<p>no</p><a" * 5000)) as url:
        response = network.send_once("POST", url, body=b"x", limit=network.UPLOAD_RESPONSE)
    assert response.status_code == 400
    assert len(response.content) == 65536
    assert upload_responses._readable_body(response)


@pytest.mark.parametrize(
    "page", [b"<a " * 30_000, b"<![CDATA[" * 7000, b"<!--" * 16_000, b"&#x" * 20_000, b"<" * 65_536]
)
def test_an_error_page_is_read_quickly(page: bytes) -> None:
    head = b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/html\r\n\r\n"
    with raw_server(answering(head + page)) as url:
        response = network.send_once("POST", url, body=b"x")
        began = time.process_time()
        upload_responses._readable_body(response)
        assert time.process_time() - began < 5


@pytest.mark.parametrize(
    "rest",
    [
        b"",
        b"Content-Length: 1000\r\n\r\ncut",
        b"Content-Encoding: gzip\r\n\r\nno gzip",
        b"Content-Encoding: br\r\n\r\n1",
    ],
)
def test_the_status_is_the_answer_whatever_becomes_of_an_error_page(rest: bytes) -> None:
    with raw_server(answering(b"HTTP/1.1 404 Not Found\r\n" + (rest or b"\r\n"))) as url:
        assert network.get(url).status_code == 404


# --- compression


def test_a_listing_may_be_compressed() -> None:
    listing = {"meta": {"api-version": "1.0"}, "name": "demo", "files": []}
    body = json.dumps(listing).encode()
    kind = GZIP.replace(b"application/json", b"application/vnd.pypi.simple.v1+json")
    members = gzip.compress(body[:10]) + gzip.compress(body[10:])  # a file of two members is one file (RFC 1952)
    with raw_server(answering(kind + gzip.compress(body), kind + members)) as url:
        assert client.fetch_listing(url, "demo") == {}
        assert client.fetch_listing(url, "demo") == {}


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (gzip.compress(b"x" * 1000)[:-9], "truncated"),
        (b"no gzip", "not gzip"),
        (gzip.compress(b"x") + b"more", "not gzip"),
    ],
    ids=["cut off", "no gzip", "more after it"],
)
def test_what_is_not_compressed_as_it_says_is_asked_for_again(
    body: bytes, reason: str, clock: SimulatedClock
) -> None:
    with raw_server(answering(GZIP + body, WHOLE)) as url:
        assert network.get(url).content == b"ok"
    with raw_server(answering(GZIP + body)) as url, pytest.raises(TransientError, match=reason):
        network.get(url, deadline=Deadline(0))


@pytest.mark.parametrize("encoding", [b"br", b"gzip, gzip", b"deflate", b"\xff\x1b[31m"])
def test_a_compression_that_was_not_asked_for_is_an_error(encoding: bytes) -> None:
    answer = OK + b"Content-Encoding: " + encoding + b"\r\n\r\nx"
    with raw_server(answering(answer)) as url, pytest.raises(Failed, match="only gzip was requested") as failed:
        network.get(url)
    assert failed.value.message.isascii()
    assert failed.value.message.isprintable()


BOMB = """
import re, sys
from pathlib import Path
from relnox.system import network
from relnox.errors import RelnoxError
import requests.adapters, relnox.system.network.connections
relnox.system.network.connections.adapter()


def peak():  # ru_maxrss includes the peak of the process that started this one
    return int(re.search("VmHWM: *([0-9]+) kB", Path("/proc/self/status").read_text().replace("\\t", " "))[1])


before = peak()
try:
    into = None if sys.argv[2] == "DOCUMENT" else Path("/dev/null")
    limit = network.DOCUMENT if into is None else network.file_limit(100 << 20)
    network.get(sys.argv[1], limit=limit, into=into)
except RelnoxError as error:
    print(error.message)
print((peak() - before) // 1024)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize(
    ("what", "kind"),
    [
        *((what, "DOCUMENT") for what in ("gzip bomb", "endless", "redirect with a bomb", "endless line")),
        ("endless chunk size", "DOCUMENT"),
        *((what, "FILE") for what in ("endless", "endless part of a file", "endless with another status")),
    ],
)
def test_memory_is_bounded_whatever_comes(what: str, kind: str) -> None:
    zeros = zlib.compressobj(9, wbits=31)
    bomb = zeros.compress(b"\0" * (64 << 20)) + zeros.flush()
    talks = {
        "gzip bomb": answering(GZIP + bomb),
        "endless": flood(CLOSE, b"\0" * 65536),
        "redirect with a bomb": answering(
            b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:9/\r\nContent-Encoding: gzip\r\n\r\n" + bomb
        ),
        "endless line": flood(OK, b"x" * 65536),
        "endless part of a file": flood(CLOSE.replace(b"200 OK", b"206 Partial Content"), b"\0" * 65536),
        "endless with another status": flood(CLOSE.replace(b"200 OK", b"203 Other"), b"\0" * 65536),
        "endless chunk size": flood(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"0" * 65536),
    }
    with raw_server(talks[what]) as url:
        ran = subprocess.run(
            [
                sys.executable,
                "-c",
                BOMB.replace("limit=", "deadline=network.Deadline(0), limit="),
                url,
                kind,
            ],
            check=False,
            capture_output=True,
            text=True,
            timeout=120,
        )
    *_, grown = ran.stdout.split()
    assert int(grown) < 40, (ran.stdout, ran.stderr)


# --- what is not HTTP


@pytest.mark.parametrize("status", [b"100 Continue", b"102 Processing", b"103 Early Hints", b"199 Whatever"])
def test_informational_answers_are_not_the_answer(status: bytes) -> None:
    informational = b"HTTP/1.1 " + status + b"\r\nLink: </x>; rel=preload\r\n\r\n"
    with raw_server(answering(informational * 3 + WHOLE)) as url:
        assert network.get(url).content == b"ok"


GARBAGE = {
    "endless informational answers": flood(b"", b"HTTP/1.1 102 Processing\r\n\r\n" * 1000),
    "endless continues": flood(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 1000),
    "endless headers": flood(OK, b"X: y\r\n" * 1000),
    "endless header": flood(OK + b"X: ", b"y" * 65536),
    "endless status line": flood(b"HTTP/1.1 200 ", b"y" * 65536),
    "switching protocols": answering(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n"),
    "nothing": answering(b""),
    "half a status line": answering(b"HTTP/1.1 20"),
    "a status line and no more": answering(b"HTTP/1.1 200 OK"),
    "half a head": answering(OK + b"Content-Length: 2"),
    "a head without its end": answering(OK + b"Content-Length: 2\r\n"),
    "half a head of an error": answering(b"HTTP/1.1 404 Not Found\r\nContent-Le"),
    "no HTTP": answering(b"SSH-2.0-OpenSSH_9.2\r\n"),
    "no number": answering(b"HTTP/1.1 abc OK\r\n\r\n"),
    "a status of two digits": answering(b"HTTP/1.1 20 OK\r\n\r\n"),
    "a status of four digits": answering(b"HTTP/1.1 2000 OK\r\n\r\n"),
    "a negative status": answering(b"HTTP/1.1 -200 OK\r\n\r\n"),
    "lengths that differ": answering(OK + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nok"),
    "a body that is cut off": answering(OK + b"Content-Length: 3\r\n\r\nok"),
    "a chunk of a negative length": flood(OK + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n", b"x" * 65536),
    "a chunk of no length": answering(OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nok"),
    "a chunk that is cut off": answering(OK + b"Transfer-Encoding: chunked\r\n\r\n9\r\nok"),
    "no last chunk": answering(OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n"),
    "an endless length of a chunk": flood(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"0" * 65536),
}


@pytest.mark.parametrize("kind", GARBAGE)
def test_invalid_http_is_a_transient_error(kind: str) -> None:
    with (
        raw_server(GARBAGE[kind]) as url,
        pytest.raises(TransientError, match=r"^request to 127\.0\.0\.1:\d+ failed \("),
    ):
        network.get(url, deadline=Deadline(0))


@pytest.mark.parametrize(
    "answer",
    [
        OK + b"Content-Length: -5\r\nConnection: close\r\n\r\nok",
        OK + b"Content-Length: two\r\n\r\nok",
        OK + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\nok",
        OK + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\nok",
        OK + b"no header\r\n: none\r\n\r\nok",
        OK + b"X: \0\xff\x1b\r\n y\r\n\r\nok",
        OK + b"Set-Cookie: \0\xff=;;;==\r\nContent-Type: text/html; charset=idna\r\n\r\nok",
        OK + b"Content-Type: text/html; charset=\0\xff\r\n\r\nok",
        OK + b"Content-Type: text/plain; charset=zlib_codec\r\n\r\nok",
        OK + b"Retry-After: Mon, 01 Jan 99999 00:00:00 GMT\r\n\r\nok",
        b"HTTP/1.0 200\r\n\r\nok",
        b"HTTP/1.1 999 \xff\0\x1b[31m\r\n\r\nok",
        b"HTTP/9.9 200 OK\r\n\r\nok",
    ],
)
def test_odd_responses_are_read_or_are_errors(answer: bytes) -> None:
    with raw_server(answering(answer)) as url:
        said = _said(lambda: network.get(url, deadline=Deadline(0)).text)
    assert said in {"ok", ""} or said.startswith("request to 127.0.0.1")


@pytest.mark.parametrize(
    "asked",
    [
        *("-1", "9" * 5000, "1e999", "inf", "nan", "\u0663", "0x10", "1, 2", "", " ", "None"),
        *("Mon, 01 Jan 99999 00:00:00 GMT", "Fri, 31 Dec 9999 23:59:59 -2359", "Mon, 01 Jan 0001 00:00:00 +2359"),
        *("Mon, 99 Foo 2026 99:99:99 GMT", "Mon, 01 Jan 2026 00:00:00 +9999999999", "1 Jan " + "9" * 30),
    ],
)
@pytest.mark.parametrize("name", ["Retry-After", "RateLimit-Reset", "RateLimit"])
def test_absurd_pauses_are_no_bug(asked: str, name: str, clock: SimulatedClock) -> None:
    retry_after = deadlines.retry_after({name: f"r=0; t={asked}" if name == "RateLimit" else asked}, clock.today())
    deadline = Deadline(1)
    with pytest.raises(TransientError):  # noqa: PT012 - some of them are worth a pause
        while True:
            deadline.back_off(TransientError("index-unavailable", "busy", retry_after=retry_after))


@pytest.mark.parametrize(
    "body",
    [
        b'{"files":' + b"[" * 200_000,
        b'{"files":' + b"[" * 200_000 + b"]" * 200_000 + b"}",
        b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
        b'{"files":[' + b"[]," * 2_000_000 + b"[]]}",
        b'{"files":' + b"9" * 100_000 + b"}",
        b"\xff\xfe\0\0",
        b"\0" * 1000,
        b"",
        b"null",
        b'{"files":[{"filename":"\\ud800","url":"\\ud800","hashes":{}}]}',
    ],
    ids=range(10),
)
def test_a_listing_that_is_none_is_an_error(body: bytes) -> None:
    head = OK + b"Content-Type: application/vnd.pypi.simple.v1+json\r\n\r\n"
    with raw_server(answering(head + body)) as url:
        said = _said(lambda: str(len(client.fetch_listing(url, "demo"))))
    assert said == "1" or "is not valid (PEP" in said


@pytest.mark.parametrize("page", [b"<a>" * 2_000_000, b"<a " + b"b " * 1_000_000, b"<" * 5_000_000])
def test_a_page_that_is_no_listing_is_an_error(page: bytes) -> None:
    head = OK + b"Content-Type: text/html\r\n\r\n"
    with raw_server(answering(head + page)) as url, pytest.raises(Failed, match=r"is not valid \(PEP 503"):
        client.fetch_listing(url, "demo")


@pytest.mark.parametrize(
    "url",
    [
        *("", "x", "//", "http:", "http://", "http:///x", "https://:80/", "http://[::1", "http://127.0.0.1:x/"),
        *(
            "http://127.0.0.1:99999/",
            "http://127.0.0.1:0/",
            "http://127.0.0.1/\0",
            "http://127.0.0.1/\n",
            "http://a b/",
        ),
        *("http://127.0.0.1/" + "x" * 9000, "http://" + "x" * 64 + ".invalid/", "http://a..b/", "http://\ud800/"),
        *("http://\u202ex/\ud800", "http://\x9b31m/", "ftp://127.0.0.1/", "file:///etc/hostname", "http://%00/"),
        *("http://me:hush@127.0.0.1:9/", "http://\u2100.invalid/", "http://xn--a.invalid:9/", "javascript:x"),
    ],
    ids=ascii,
)
def test_an_invalid_url_is_an_error(url: str, clock: SimulatedClock) -> None:
    with pytest.raises(RelnoxError) as failed:
        network.get(url, deadline=Deadline(0))
    assert "hush" not in failed.value.message


def _said(act: Callable[[], str]) -> str:
    """What comes of it, or the message of the error that it is."""
    try:
        return act()
    except RelnoxError as error:
        return error.message


# --- signals


@pytest.fixture
def full() -> Iterator[str]:
    """A server whose queue is full, so that connections hang."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        waiting = []
        for _ in range(8):
            each = socket.socket()
            each.setblocking(False)
            each.connect_ex(listening.getsockname())
            waiting.append(each)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/"
        for each in waiting:
            each.close()


def say_nothing(_connection: socket.socket, over: threading.Event) -> None:
    over.wait(60)


PHASES: dict[str, Callable[[socket.socket, threading.Event], None]] = {
    "TLS handshake": say_nothing,
    "sending": say_nothing,
    "waiting for the head": say_nothing,
    "head": trickle(OK + b"X: "),
    "headers": trickle(OK, b"X: y\r\n", 0.2),
    "informational answers": trickle(b"", b"HTTP/1.1 103 Early Hints\r\n\r\n"),
    "body": trickle(CLOSE),
    "body of a length": trickle(OK + b"Content-Length: 4000000\r\n\r\n"),
    "chunks": trickle(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
    "error page": trickle(b"HTTP/1.1 404 Not Found\r\n\r\n"),
    "body of a file": flood(CLOSE, b"x" * 100_000),
}


@pytest.mark.parametrize("phase", PHASES)
def test_a_request_ends_with_the_run_whatever_it_is_doing(phase: str, tmp_path: Path) -> None:
    with raw_server(PHASES[phase]) as url:
        body = BytesIO(bytes(100 << 20)) if phase == "sending" else None
        asked = url.replace("http:", "https:") if phase == "TLS handshake" else url
        with (tmp_path / "file").open("wb") as out:
            limit = network.file_limit() if phase == "body of a file" else network.DOCUMENT
            _ended_soon(
                lambda: network.send_once("POST" if body else "GET", asked, body=body, into=out, limit=limit)
            )


def test_a_request_that_connects_ends_with_the_run(full: str) -> None:
    _ended_soon(lambda: network.send_once("GET", full))


def test_a_request_that_looks_a_name_up_ends_with_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_kwargs: over.wait(60) and [])
    _ended_soon(lambda: network.send_once("GET", "http://slow.example.invalid/"))
    over.set()


def test_a_pooled_connection_ends_with_the_run() -> None:
    # The second request goes over a connection that is open already.
    def talk(connection: socket.socket, over: threading.Event) -> None:
        read_head(connection)
        connection.sendall(WHOLE)
        read_head(connection)
        connection.sendall(CLOSE)
        while not over.wait(0.1):
            connection.sendall(b"x")

    with raw_server(talk) as url:
        network.send_once("GET", url)
        _ended_soon(lambda: network.send_once("GET", url))


def _ended_soon(act: Callable[[], object]) -> None:
    """A run that acts in a thread, and is interrupted a moment after the request began."""
    said: list[str] = []

    def run() -> None:
        try:
            act()
        except Failed as error:
            said.append(error.message)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    while not network.active_requests():
        time.sleep(0.01)
    time.sleep(0.3)
    assert thread.is_alive()
    network.cancel_all()
    thread.join(SOON)
    assert not thread.is_alive()
    assert said == ["interrupted"]


TRICKLED = {
    "listing": b"GET /simple/",
    "answer to an upload": b"POST /legacy/",
}


@pytest.mark.skipif(sys.platform == "win32", reason="needs signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("what", TRICKLED)
def test_a_command_ends_soon_after_a_signal(what: str, number: signal.Signals, tmp_path: Path) -> None:
    begun = threading.Event()

    def talk(connection: socket.socket, over: threading.Event) -> None:
        head = read_head(connection)
        if not head.startswith(TRICKLED[what]):
            connection.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            return
        connection.sendall(CLOSE)
        begun.set()
        while not over.wait(0.5):
            connection.sendall(b"x")

    with raw_server(talk) as url:
        child = _publishing(tmp_path, url)
        try:
            assert begun.wait(60)
            time.sleep(0.5)
            child.send_signal(number)
            _, said = child.communicate(timeout=SOON)
        finally:
            child.kill()
            child.wait()
    assert "Traceback" not in said
    assert child.returncode in {128 + number, -number}


def _publishing(root: Path, url: str) -> subprocess.Popen[str]:
    release(root, [Package("demo", sdist=False)])
    with (root / "pyproject.toml").open("a", encoding="utf-8") as settings:
        settings.write(f'[tool.relnox.indexes.own]\nupload = "{url}legacy/"\nsimple = "{url}simple/"\n')
    return subprocess.Popen(
        [sys.executable, "-m", "relnox", "publish", "--yes", "--index", "own", "--project", str(root)],
        env={**os.environ, "RELNOX_OWN_TOKEN": "a-token-of-own"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
