"""Requests end in bounded time and memory, without a traceback, whatever a server sends at whatever pace."""

from __future__ import annotations

import errno
import gzip
import json
import socket
import threading
import time
import zlib
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from package_index import EVERYTHING, Answer, PackageIndex, Rule
from raw_server import answering, raw_server, read_head
from releases import reading
from trusting import certificate

from relnox.errors import Failed, Problem, TryLater
from relnox.indexes import uploads
from relnox.system import http
from relnox.system.retries import Deadline, TransientError
from relnox.system.run_scope import current_scope

if TYPE_CHECKING:
    from collections.abc import Callable

    from package_index import Exchange
    from releases import SimulatedClock

    Talk = Callable[[socket.socket, threading.Event], None]

pytestmark = pytest.mark.heavy

OK = b"HTTP/1.1 200 OK\r\n"
CLOSE = OK + b"Connection: close\r\n\r\n"
GZIP = OK + b"Content-Encoding: gzip\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n"
WHOLE = OK + b"Content-Length: 2\r\n\r\nok"
SOON = 10.0
"""Seconds: the promise is 5, and machines that test are busy."""


def say_nothing(_connection: socket.socket, over: threading.Event) -> None:
    over.wait(60)


def trickle(head: bytes, piece: bytes = b"x", pause: float = 0.05) -> Talk:
    def talk(connection: socket.socket, over: threading.Event) -> None:
        connection.sendall(head)
        while not over.wait(pause):
            connection.sendall(piece)

    return talk


def flood(head: bytes, piece: bytes) -> Talk:
    def talk(connection: socket.socket, over: threading.Event) -> None:
        read_head(connection)
        connection.sendall(head)
        while not over.is_set():
            connection.sendall(piece)

    return talk


SLOW: dict[str, Talk] = {
    "nothing": say_nothing,
    "a header": trickle(OK + b"X-Slow: "),
    "a body until the connection closes": trickle(CLOSE),
    "a body of a length": trickle(OK + b"Content-Length: 4000000\r\n\r\n"),
    "chunks": trickle(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
    "a compressed body": trickle(GZIP + gzip.compress(b"")[:10], b"\0\0\0\xff\xff"),
    "an error page": trickle(b"HTTP/1.1 404 Not Found\r\n\r\n"),
    "a fast body without an end": trickle(CLOSE, b"x" * 2500, 0.1),
}

# --- time


@pytest.mark.parametrize("kind", SLOW)
def test_a_slow_response_ends_at_the_deadline(kind: str) -> None:
    limit = http.LISTING._replace(seconds=1.0)
    with raw_server(SLOW[kind]) as url, pytest.raises(TransientError, match="not done after 1 s"):
        http.send_once("GET", url, limit=limit)


def test_a_silent_server_times_out() -> None:
    with raw_server(say_nothing) as url, pytest.raises(TransientError, match="timed out"):
        http.send_once("GET", url, read_timeout=0.3)


def test_files_may_take_as_long_as_their_size_needs() -> None:
    def slowly(connection: socket.socket, over: threading.Event) -> None:
        while b"end" not in connection.recv(4096):
            over.wait(0.02)
        connection.sendall(WHOLE)

    assert [http.file_limit(size).seconds for size in (0, 80 << 20, None)] == [60, 60 + 10240, 3600]
    limit = http.UPLOAD_RESPONSE._replace(seconds=0.1)
    with raw_server(slowly) as url:
        assert http.send_once("POST", url, body=BytesIO(b"x" * 150_000 + b"end"), limit=limit).content == b"ok"


@pytest.mark.parametrize("kind", [*SLOW, "a TLS handshake", "sending", "a name"])
def test_a_request_ends_with_the_run(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()
    with raw_server(SLOW.get(kind, say_nothing)) as server:
        url, body = server, None
        if kind == "a TLS handshake":
            url = server.replace("http:", "https:")
        elif kind == "sending":
            body = BytesIO(bytes(100 << 20))
        elif kind == "a name":
            for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
                monkeypatch.delenv(name)
            monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_kwargs: over.wait(60) and [])
            url = "http://slow.example.invalid/"
        said: list[str] = []

        def run() -> None:
            try:
                http.send_once("POST" if body else "GET", url, body=body)
            except Failed as error:
                said.append(error.message)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        while not current_scope()._waits:
            time.sleep(0.01)
        time.sleep(0.3)
        assert thread.is_alive()
        current_scope().interrupt()
        thread.join(SOON)
        assert not thread.is_alive()
        assert said == ["interrupted"]
    over.set()


# --- size


def _bomb() -> bytes:
    zeros = zlib.compressobj(9, wbits=31)
    return zeros.compress(b"\0" * (64 << 20)) + zeros.flush()


LARGE: dict[str, Talk] = {
    "endless": flood(CLOSE, b" " * 65536),
    "stated": flood(OK + b"Content-Length: 99999999999\r\n\r\n", b" " * 65536),
    "gzip bomb": answering(GZIP + _bomb()),
    "gzip in gzip": answering(GZIP.replace(b"gzip", b"gzip, gzip", 1) + gzip.compress(_bomb())),
}


@pytest.mark.parametrize("kind", [http.DOCUMENT, http.LISTING], ids=lambda each: each.kind)
@pytest.mark.parametrize("talk", [*LARGE.values()], ids=[*LARGE])
def test_a_response_that_is_too_large_is_not_retried(kind: http.ResponseLimit, talk: Talk) -> None:
    size = f"{kind.size >> 20} MiB"
    with (
        raw_server(talk) as url,
        pytest.raises(Failed, match=rf"^the {kind.kind} of 127\.0\.0\.1:\d+ is larger than {size}$") as failed,
    ):
        http.get(url, limit=kind)
    assert not isinstance(failed.value, TryLater)


def test_a_file_is_no_larger_than_it_has_to_be(tmp_path: Path) -> None:
    limit = http.file_limit(1000)
    with raw_server(answering(CLOSE + b"x" * 1000, CLOSE + b"x" * 1001)) as url:
        http.download(url, tmp_path / "file", limit=limit)
        assert (tmp_path / "file").read_bytes() == b"x" * 1000
        with pytest.raises(Failed, match="larger than 1,000 bytes"):
            http.download(url, tmp_path / "file", limit=limit)
    assert (tmp_path / "file").stat().st_size <= 1001


def test_an_error_page_is_cut_off_and_read_quickly() -> None:
    page = b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/html\r\n\r\n"
    for piece in (b"<p>no</p><a", b"<a ", b"<![CDATA[", b"<!--", b"&#x", b"<"):
        with raw_server(flood(page, piece * 20_000)) as url:
            response = http.send_once("POST", url, body=b"x", limit=http.UPLOAD_RESPONSE)
        assert response.status_code == 400
        assert len(response.content) == 65536
        began = time.process_time()
        uploads._readable_body(response)
        assert time.process_time() - began < 5


@pytest.mark.parametrize(
    "rest",
    [b"\r\n", b"Content-Length: 1000\r\n\r\ncut", b"Content-Encoding: gzip\r\n\r\nno gzip"],
)
def test_the_status_is_the_answer_whatever_becomes_of_an_error_page(rest: bytes) -> None:
    with raw_server(answering(b"HTTP/1.1 404 Not Found\r\n" + rest)) as url:
        assert http.get(url).status_code == 404


# --- content


def test_a_listing_may_be_compressed_and_a_file_comes_as_it_is_stored(tmp_path: Path) -> None:
    body = json.dumps({"meta": {"api-version": "1.0"}, "name": "demo", "files": []}).encode()
    stored, seen = gzip.compress(b"content"), []

    def talk(connection: socket.socket, _over: threading.Event) -> None:
        seen.append(read_head(connection).lower())
        connection.sendall(GZIP + (stored if len(seen) > 1 else gzip.compress(body)))

    with raw_server(talk) as url:
        assert reading(url).fetch_listing("demo") == {}
        http.download(url, tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == stored
    assert b"accept-encoding: gzip\r\n" in seen[0]
    assert b"accept-encoding: identity\r\n" in seen[1]


def test_a_body_that_is_cut_off_is_fetched_again_from_its_beginning(clock: SimulatedClock, tmp_path: Path) -> None:
    head = OK + b"Content-Length: 6\r\n\r\n"
    with raw_server(answering(head + b"abc", GZIP + b"no gzip", head + b"abcdef")) as url:
        http.download(url, tmp_path / "file", limit=http.DOCUMENT)
    assert (tmp_path / "file").read_bytes() == b"abcdef"


GARBAGE: dict[str, Talk] = {
    "endless headers": flood(OK, b"X: y\r\n" * 1000),
    "endless header": flood(OK + b"X: ", b"y" * 65536),
    "endless status line": flood(b"HTTP/1.1 200 ", b"y" * 65536),
    "switching protocols": answering(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n"),
    "nothing": answering(b""),
    "half a status line": answering(b"HTTP/1.1 20"),
    "no HTTP": answering(b"SSH-2.0-OpenSSH_9.2\r\n"),
    "no number": answering(b"HTTP/1.1 abc OK\r\n\r\n"),
    "a status of four digits": answering(b"HTTP/1.1 2000 OK\r\n\r\n"),
    "a negative status": answering(b"HTTP/1.1 -200 OK\r\n\r\n"),
    "lengths that differ": answering(OK + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nok"),
    "a body that is cut off": answering(OK + b"Content-Length: 3\r\n\r\nok"),
    "a chunk of no length": answering(OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nok"),
    "a chunk that is cut off": answering(OK + b"Transfer-Encoding: chunked\r\n\r\n9\r\nok"),
    "no last chunk": answering(OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n"),
    "an endless length of a chunk": flood(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"0" * 65536),
    "no gzip": answering(GZIP + b"no gzip"),
}


@pytest.mark.parametrize("kind", GARBAGE)
def test_invalid_http_is_a_transient_error(kind: str) -> None:
    with (
        raw_server(GARBAGE[kind]) as url,
        pytest.raises(TransientError, match=r"^request to 127\.0\.0\.1:\d+ failed \("),
    ):
        http.get(url, deadline=Deadline(0))


@pytest.mark.parametrize(
    "answer",
    [
        OK + b"Content-Length: -5\r\nConnection: close\r\n\r\nok",
        OK + b"Content-Length: two\r\n\r\nok",
        OK + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\nok",
        OK + b"no header\r\n: none\r\n\r\nok",
        OK + b"X: \0\xff\x1b\r\n y\r\n\r\nok",
        OK + b"Set-Cookie: \0\xff=;;;==\r\nContent-Type: text/html; charset=idna\r\n\r\nok",
        OK + b"Content-Type: text/html; charset=\0\xff\r\n\r\nok",
        OK + b"Content-Encoding: \xff\x1b[31m\r\n\r\nok",
        OK + b"Content-Length: 2",
        b"HTTP/1.0 200\r\n\r\nok",
        b"HTTP/1.1 999 \xff\0\x1b[31m\r\n\r\nok",
        b"HTTP/9.9 200 OK\r\n\r\nok",
    ],
)
def test_odd_responses_are_read_or_are_errors(answer: bytes) -> None:
    with raw_server(answering(answer)) as url:
        said = _said(lambda: http.get(url, deadline=Deadline(0)).text)
    assert said in {"ok", ""} or said.startswith("request to 127.0.0.1")


JSON = OK + b"Content-Type: application/vnd.pypi.simple.v1+json\r\n\r\n"
HTML = OK + b"Content-Type: text/html\r\n\r\n"


@pytest.mark.parametrize(
    "answer",
    [
        *(JSON + b'{"files":' + b"[" * 200_000, JSON + b'{"files":[' + b"[]," * 2_000_000 + b"[]]}"),
        *(JSON + b'{"a":' * 100_000 + b"1" + b"}" * 100_000, JSON + b'{"files":' + b"9" * 100_000 + b"}"),
        *(JSON + b"\xff\xfe\0\0", JSON + b"\0" * 1000, JSON, JSON + b"null", JSON + b'{"files":[],"files":[]}'),
        JSON + b'{"files":[{"filename":"\\ud800","url":"\\ud800","hashes":{}}]}',
        *(HTML + b"<a>" * 2_000_000, HTML + b"<" * 5_000_000, HTML + b"no page"),
        HTML + b'<!DOCTYPE html><form><input type="password" name="p"></form>',
    ],
    ids=range(14),
)
def test_a_listing_that_is_none_is_an_error(answer: bytes) -> None:
    with raw_server(answering(answer)) as url:
        said = _said(lambda: str(len(reading(url).fetch_listing("demo"))))
    assert said == "1" or "is not valid (PEP" in said


@pytest.mark.parametrize(
    "url",
    [
        *("", "x", "//", "http:", "http://", "http:///x", "https://:80/", "http://[::1", "http://127.0.0.1:x/"),
        *("http://127.0.0.1:99999/", "http://127.0.0.1:0/", "http://127.0.0.1/\0", "http://127.0.0.1/\n"),
        *("http://a b/", "http://127.0.0.1/" + "x" * 9000, "http://" + "x" * 64 + ".invalid/", "http://a..b/"),
        *("http://\ud800/", "http://\u202ex/\ud800", "http://\x9b31m/", "ftp://127.0.0.1/", "http://%00/"),
        *("http://me:hush@127.0.0.1:9/", "http://\u2100.invalid/", "http://xn--a.invalid:9/", "javascript:x"),
    ],
    ids=ascii,
)
def test_an_invalid_url_is_an_error(url: str, clock: SimulatedClock) -> None:
    with pytest.raises(Problem) as failed:
        http.get(url, deadline=Deadline(0))
    assert "hush" not in failed.value.message


def _said(act: Callable[[], str]) -> str:
    """What comes of it, or the message of the error that it is."""
    try:
        return act()
    except Problem as error:
        return error.message


# --- this machine


def test_a_certificate_is_an_error_without_retries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    errors = []
    with PackageIndex(tls=certificate(tmp_path)) as index:
        with pytest.raises(Failed, match=r"certificate of .* is not trusted") as untrusted:
            http.get(f"{index.origin}/simple/")
        errors.append(untrusted.value)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "no-such-file.pem")
    with pytest.raises(Failed, match=r"^cannot connect to 127\.0\.0\.1:9: .*no-such-file\.pem") as missing:
        http.get("https://127.0.0.1:9/")
    for error in (*errors, missing.value):
        assert not isinstance(error, TransientError)
        assert "REQUESTS_CA_BUNDLE" in (error.fix or "")


def test_https_on_a_port_of_http_is_an_error_without_retries() -> None:
    with raw_server(trickle(WHOLE)) as url, pytest.raises(Failed, match="does not use TLS") as failed:
        http.get(url.replace("http:", "https:"))
    assert not isinstance(failed.value, TransientError)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_disk_that_is_full_is_not_the_servers_fault() -> None:
    with (
        raw_server(answering(OK + b"Content-Length: 6\r\n\r\nabcdef")) as url,
        pytest.raises(OSError, match="No space left") as full,
    ):
        http.download(url, Path("/dev/full"))
    assert full.value.errno == errno.ENOSPC


def test_connections_are_kept_and_cookies_are_not() -> None:
    connections: set[int] = set()

    def act(exchange: Exchange) -> None:
        connections.add(exchange.connection_number)
        exchange.answer(Answer(200, "OK", (("Set-Cookie", "who=you"),), b"ok"))

    with PackageIndex([Rule(act, EVERYTHING)]) as index:
        for _ in range(3):
            assert http.get(index.simple_url).content == b"ok"
        assert len(index.log) == 3
        assert not any("cookie" in request.headers for request in index.log)
    assert len(connections) == 1
