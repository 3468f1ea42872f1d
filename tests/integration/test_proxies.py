"""Proxies of the environment: never for this machine, named in errors, without their passwords."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from raw_server import answering, raw_server, read_head

from relnox.errors import Failed
from relnox.system import http
from relnox.system.addresses import is_loopback_host
from relnox.system.process import clean_environment
from relnox.system.retries import Deadline, TransientError
from relnox.system.secrets import mask_secrets

if TYPE_CHECKING:
    import socket
    import threading

VARIABLES = (
    "http_proxy",
    "HTTP_PROXY",
    "https_proxy",
    "HTTPS_PROXY",
    "all_proxy",
    "ALL_PROXY",
    "no_proxy",
    "NO_PROXY",
)
NOWHERE = "http://127.0.0.1:9"
WHOLE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
AWAY = "http://index.example.invalid/simple/"


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("variable", ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"])
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_this_machine_is_reached_directly(host: str, variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, NOWHERE)
    with raw_server(answering(WHOLE)) as url:
        assert http.get(url.replace("127.0.0.1", host)).content == b"ok"


@pytest.mark.parametrize(
    ("host", "here"),
    [
        *(("127.0.0.1", True), ("127.8.9.1", True), ("::1", True), ("localhost", True), ("LOCALHOST.", True)),
        *(("index.localhost", True), ("::ffff:127.0.0.1", True), ("0.0.0.0", False), ("10.0.0.1", False)),
        *(("localhost.example.invalid", False), ("127.0.0.1.example.invalid", False), ("2130706433", False)),
        *(("", False), (None, False), ("::2", False), ("127.1", False)),
    ],
)
def test_what_this_machine_is_called(host: str | None, here: bool) -> None:
    assert is_loopback_host(host) is here


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"])
def test_an_error_names_the_proxy_and_the_variable(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, "http://me:sesame-opens@127.0.0.1:9")
    with pytest.raises(TransientError) as failed:
        http.get(AWAY, deadline=Deadline(0))
    assert failed.value.message == (
        f"cannot connect to index.example.invalid through the proxy http://127.0.0.1:9, set by {variable} "
        "(connection refused)"
    )
    assert mask_secrets("it was sesame-opens") == "it was ****"


@pytest.mark.parametrize(
    ("answer", "reason", "kind"),
    [
        (b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", "(407: proxy authentication required)", Failed),
        (b"HTTP/1.1 403 Forbidden\r\n\r\n", "(the proxy responded 403)", TransientError),
        (b"HTTP/1.1 502 \x1b[31m\r\n\r\n", "(the proxy responded 502)", TransientError),
        (b"", "(RemoteDisconnected)", TransientError),
    ],
)
def test_a_proxy_that_does_not_connect_is_named(
    answer: bytes, reason: str, kind: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    with raw_server(answering(answer)) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy)
        with pytest.raises(kind) as failed:
            http.get(AWAY.replace("http:", "https:"), deadline=Deadline(0))
    assert str(failed.value).endswith(f"through the proxy {proxy[:-1]}, set by HTTPS_PROXY {reason}")


@pytest.mark.parametrize("status", [b"407 Proxy Authentication Required", b"503 Service Unavailable"])
def test_a_proxy_that_answers_itself_is_named(status: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    with raw_server(answering(b"HTTP/1.1 " + status + b"\r\n\r\n")) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy)
        with pytest.raises(Failed if b"407" in status else TransientError, match="set by HTTP_PROXY"):
            http.get(AWAY, deadline=Deadline(0))


def test_a_proxy_is_used_and_logged_in_to(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bytes] = []

    def talk(connection: socket.socket, _over: threading.Event) -> None:
        seen.append(read_head(connection))
        connection.sendall(WHOLE)

    with raw_server(talk) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.replace("http://", "http://me:w%C3%B6rd@"))
        assert http.get(AWAY).content == b"ok"
        monkeypatch.setenv("NO_PROXY", "example.invalid")
        with pytest.raises(TransientError):
            http.get(AWAY, deadline=Deadline(0))
    assert len(seen) == 1
    assert seen[0].startswith(b"GET http://index.example.invalid/simple/ HTTP/1.1\r\n")
    assert b"Proxy-Authorization: Basic " in seen[0]


@pytest.mark.parametrize(
    "value",
    [
        *(
            "http://:80",
            "foo://me:sesame-opens@127.0.0.1:9",
            "http://127.0.0.1:99999",
            "http://[::1",
            "http://a b/",
        ),
        *("http://127.0.0.1:x", "//", "http://", "http://\x1b[31m/", "127.0.0.1:9:9"),
    ],
)
def test_an_invalid_proxy_is_an_error_without_retries(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", value)
    with pytest.raises(Failed, match=r"^HTTPS_PROXY is not a valid proxy URL \(needed for index") as failed:
        http.get(AWAY.replace("http:", "https:"))
    assert not isinstance(failed.value, TransientError)
    assert "sesame" not in failed.value.message


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"HTTP_PROXY": NOWHERE}, "localhost,127.0.0.1,::1"),
        ({"all_proxy": NOWHERE, "NO_PROXY": "a.invalid, 127.0.0.1"}, "a.invalid,127.0.0.1,localhost,::1"),
        ({"https_proxy": NOWHERE, "no_proxy": "a", "NO_PROXY": "b"}, "a,b,localhost,127.0.0.1,::1"),
        ({"HTTP_PROXY": NOWHERE, "NO_PROXY": "*"}, "*"),
    ],
)
def test_programs_reach_this_machine_directly_too(before: dict[str, str], after: str) -> None:
    environment = clean_environment(before)
    assert (environment["no_proxy"], environment["NO_PROXY"]) == (after, after)


def test_without_a_proxy_nothing_is_set() -> None:
    assert "no_proxy" not in clean_environment({"PATH": "/bin"})
    assert clean_environment({"NO_PROXY": "a"})["NO_PROXY"] == "a"
