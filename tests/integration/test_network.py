"""Asking a server: what it may ask for, how slow it may be, and that a run that is to end ends."""

from __future__ import annotations

import errno
import random
import threading
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from raw_server import raw_server
from trusting import certificate, trusting

from relnox.errors import Failed
from relnox.system import network, process, run_scope
from relnox.system.network import Deadline, TransientError, deadlines
from relnox.system.run_scope import current_scope

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from releases import SimulatedClock

HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 4000000\r\n\r\n"


def say_nothing(_connection: socket.socket, over: threading.Event) -> None:
    over.wait(30)


def trickle_head(connection: socket.socket, over: threading.Event) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    while not over.wait(0.02):
        connection.sendall(b"x")


def trickle_body(connection: socket.socket, over: threading.Event) -> None:
    connection.sendall(HEAD)
    while not over.wait(0.02):
        connection.sendall(b"x")


@pytest.mark.parametrize("talk", [say_nothing, trickle_head, trickle_body])
def test_a_server_that_comes_on_too_slowly_is_ended(
    talk: Callable[[socket.socket, threading.Event], None], clock: SimulatedClock
) -> None:
    # the last two send a byte now and then, which no time-out of a socket minds.
    with raw_server(talk) as url, pytest.raises(TransientError, match=r"too slow|timed out"):
        network.send_once("GET", url, read_timeout=0.3)


def test_what_moves_fast_enough_may_take_its_time(clock: SimulatedClock, tmp_path: Path) -> None:
    def steadily(connection: socket.socket, over: threading.Event) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 120000\r\n\r\n")
        for _ in range(40):
            over.wait(0.05)
            connection.sendall(b"x" * 3000)

    with raw_server(steadily) as url, (tmp_path / "file").open("wb") as out:
        network.send_once("GET", url, read_timeout=1, into=out)
    assert (tmp_path / "file").stat().st_size == 120_000


def test_a_body_that_is_cut_off_is_fetched_again_from_its_beginning(clock: SimulatedClock, tmp_path: Path) -> None:
    tries: list[int] = []

    def talk(connection: socket.socket, _over: threading.Event) -> None:
        connection.recv(65536)
        tries.append(1)
        connection.sendall(
            b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n" + (b"abc" if len(tries) < 3 else b"abcdef")
        )

    with raw_server(talk) as url:
        network.get(url, into=tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == b"abcdef"


NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "30"}, 30),
        ({"Retry-After": format_datetime(NOW + timedelta(seconds=90), usegmt=True)}, 90),
        ({"Retry-After": format_datetime(NOW - timedelta(seconds=90), usegmt=True)}, 0),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "9" * 400}, None),
        ({"RateLimit-Reset": "40"}, 40),
        ({"RateLimit": '"default";r=0;t=50'}, 50),
        ({"X-RateLimit-Reset": str(int(NOW.timestamp()) + 60)}, 60),
        ({"Retry-After": "5", "RateLimit-Reset": "40"}, 5),
        ({"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(int(NOW.timestamp()) + 60)}, 60),
        ({"X-RateLimit-Remaining": "4990", "X-RateLimit-Reset": str(int(NOW.timestamp()) + 60)}, None),
        ({}, None),
    ],
)
def test_what_a_server_asks_for_is_understood(headers: dict[str, str], seconds: float | None) -> None:
    assert deadlines.retry_after(headers, NOW) == seconds


def test_pauses_are_drawn_from_growing_spans(clock: SimulatedClock, monkeypatch: pytest.MonkeyPatch) -> None:
    spans: list[float] = []

    def longest(low: float, high: float) -> float:
        spans.append(high)
        return high

    monkeypatch.setattr(random, "uniform", longest)
    deadline = Deadline(300)
    while deadline.left():
        deadline.back_off(TransientError("index-unavailable", "broken"))
    with pytest.raises(TransientError, match="broken; gave up after 300 s"):
        deadline.back_off(TransientError("index-unavailable", "broken"))
    assert spans == [0.5, 1, 2, 4, 8, 16, 32, *[60] * 4]
    assert clock.now() == 300


def test_a_missing_certificate_file_is_an_error_without_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "no-such-file.pem")
    with pytest.raises(Failed, match=r"^cannot connect to 127\.0\.0\.1:9: .*no-such-file\.pem") as failed:
        network.get("https://127.0.0.1:9/")
    assert "REQUESTS_CA_BUNDLE" in (failed.value.fix or "")


def test_an_untrusted_certificate_is_an_error_without_retries(tmp_path: Path) -> None:
    with (
        trusting(tls=certificate(tmp_path)) as index,
        pytest.raises(Failed, match=r"certificate of .* is not trusted") as failed,
    ):
        network.get(f"{index.url}/simple/")
    assert not isinstance(failed.value, TransientError)
    assert "REQUESTS_CA_BUNDLE" in (failed.value.fix or "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_disk_that_is_full_is_not_the_servers_fault() -> None:
    def serve(connection: socket.socket, _over: threading.Event) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabcdef")

    with raw_server(serve) as url, pytest.raises(OSError, match="No space left") as full:
        network.get(url, into=Path("/dev/full"))
    assert full.value.errno == errno.ENOSPC


def testa_deadline_of_zero_is_one_try(clock: SimulatedClock) -> None:
    with pytest.raises(TransientError):
        Deadline(0).back_off(TransientError("index-unavailable", "broken"))
    assert clock.now() == 0


@pytest.mark.parametrize("talk", [say_nothing, trickle_body])
def test_requests_end_when_the_run_is_to_end(talk: Callable[[socket.socket, threading.Event], None]) -> None:
    ended: list[Exception] = []

    def ask(url: str) -> None:
        try:
            network.get(url)
        except Failed as error:
            ended.append(error)

    with raw_server(talk) as url:
        _end_while(lambda: ask(url), network.active_requests)
    assert [str(error) for error in ended] == ["interrupted"]


def test_pauses_end_when_the_run_is_to_end() -> None:
    ended: list[Exception] = []

    def rest() -> None:
        try:
            Deadline().wait(600, "nothing to do")
        except Failed as error:
            ended.append(error)

    _end_while(rest, lambda: len(current_scope().requests))
    assert [str(error) for error in ended] == ["interrupted"]


def _end_while(act: Callable[[], None], going_on: Callable[[], int]) -> None:
    """End all that goes on, once something does, until the thread that acts is through."""
    thread = threading.Thread(target=act)
    thread.start()
    while not going_on():
        time.sleep(0.01)
    while thread.is_alive():
        network.cancel_all()
        thread.join(0.05)


def test_the_requests_and_programs_of_another_run_go_on() -> None:
    ended: list[str] = []

    def rest() -> None:
        with run_scope.enter_scope(other):
            Deadline().wait(0.6, "nothing to do")
            ended.append("pause")
            ended.append(process.run(["sleep", "0.6"], cwd=Path()).output or "program")

    other = run_scope.RunScope()
    thread = threading.Thread(target=rest)
    thread.start()
    while thread.is_alive():
        network.cancel_all()
        process.end_all()
        thread.join(0.05)
    assert ended == ["pause", "program"]


def test_threads_of_a_run_have_its_scope() -> None:
    scope = run_scope.RunScope()
    scopes: list[run_scope.RunScope] = []
    with run_scope.enter_scope(scope), run_scope.ThreadPool(1) as pool:
        pool.submit(lambda: scopes.append(current_scope())).result()
        list(pool.map(lambda _: scopes.append(current_scope()), [1]))
        background = run_scope.new_thread(lambda: scopes.append(current_scope()), "background")
        background.start()
        background.join()
    assert scopes == [scope] * 3
    assert current_scope() is not scope


def test_connections_are_kept_and_cookies_are_not() -> None:
    seen: list[tuple[int, str | None]] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            seen.append((self.client_address[1], self.headers.get("Cookie")))
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.send_header("Set-Cookie", "who=you")
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, *args: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        for _ in range(3):
            assert network.get(f"http://127.0.0.1:{server.server_port}/").content == b"ok"
        server.shutdown()
        thread.join()
    assert len({port for port, _ in seen}) == 1
    assert {cookie for _, cookie in seen} == {None}
