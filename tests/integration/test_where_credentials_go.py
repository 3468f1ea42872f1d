"""Where credentials go: encrypted, to the origin they are for, and from there nowhere else."""

from __future__ import annotations

import base64
import hashlib
from contextlib import closing
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from acts import redirects
from package_index import EVERYTHING, FILE, JSON_PAGE, Answer, PackageIndex, Rule, as_json
from releases import reading
from trusting import certificate

from relnox.core.settings.config import Config, IndexConfig
from relnox.errors import Blocked, Failed
from relnox.indexes import Indexes, credentials, targets
from relnox.indexes.listings import IndexFile
from relnox.system import http
from relnox.system.run_scope import current_scope
from relnox.system.secrets import Secret, mask_secrets

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from package_index import Exchange

pytestmark = pytest.mark.heavy

CONTENT = b"what is in the file"
TOKEN = "a-token-of-own"


class Server(PackageIndex):
    """A server of files, which are elsewhere or here."""

    def __init__(self) -> None:
        super().__init__([Rule(self._reply, EVERYTHING)])
        self.url = f"{self.origin}/"
        self.moved: dict[str, str] = {}

    @property
    def sent_logins(self) -> list[str | None]:
        """The login that came with each request."""
        return [request.headers.get("authorization") for request in self.log]

    def _reply(self, exchange: Exchange) -> None:
        exchange.read_body()
        path = exchange.request.target
        if path in self.moved:
            exchange.answer(Answer(302, "Found", (("Location", self.moved[path]),)))
        elif path.startswith("/simple/"):
            exchange.answer(as_json({"name": "demo", "files": []}, content_type=JSON_PAGE))
        else:
            exchange.answer(Answer(200, body=CONTENT))


@pytest.fixture
def index() -> Iterator[Server]:
    with Server() as server:
        yield server


elsewhere = index


@pytest.fixture(autouse=True)
def _no_login(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(current_scope(), "read_auth", {})


def listed(url: str) -> IndexFile:
    return IndexFile(filename="demo-1.0.tar.gz", url=url, sha256=hashlib.sha256(CONTENT).hexdigest())


def test_a_file_on_another_host_is_fetched_and_its_hash_decides(
    index: Server, elsewhere: Server, tmp_path: Path
) -> None:
    http.authenticate_reads(index.url, credentials.Login("me", Secret(TOKEN)))
    http.authenticate_reads(elsewhere.url, credentials.Login("me", Secret(TOKEN)))
    index.moved = {"/file": f"{elsewhere.url}bucket/1?X-Signature=abc", "/2": "/3"}
    elsewhere.moved = {"/bucket/1?X-Signature=abc": "/2"}
    file = listed(f"{index.url}file")
    assert reading("unused").download(file, tmp_path / "file") == file.sha256
    assert [str(login).partition(" ")[0] for login in index.sent_logins] == ["Basic"]
    assert len(elsewhere.log) == 2
    assert not any({"authorization", "cookie"} & request.headers.keys() for request in elsewhere.log)


def test_listings_and_provenance_do_not_leave_the_index(index: Server, elsewhere: Server) -> None:
    index.moved = {"/simple/demo/": f"{elsewhere.url}simple/demo/"}
    assert reading(f"{index.url}simple/").fetch_listing("demo") == {}
    assert http.get(f"{index.url}simple/demo/").status_code == 302
    assert elsewhere.log == []


@pytest.mark.parametrize(
    ("target", "problem"),
    [
        ("http://files.example.invalid/file", "over http, which is not encrypted"),
        ("http://10.0.0.1/file", "over http, which is not encrypted"),
        ("{elsewhere}file", "redirects in a loop"),
    ],
)
def test_a_file_that_is_redirected_to_plain_http_or_for_ever_is_an_error(
    target: str, problem: str, index: Server, elsewhere: Server, tmp_path: Path
) -> None:
    index.moved = {"/file": target.format(elsewhere=elsewhere.url)}
    elsewhere.moved = {"/file": f"{index.url}file"}
    with pytest.raises(Failed, match=problem):
        reading("unused").download(listed(f"{index.url}file"), tmp_path / "file")
    assert len(index.log) + len(elsewhere.log) <= 5


def test_https_is_not_left_for_http(index: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tls = certificate(tmp_path)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tls))
    with PackageIndex(tls=tls) as encrypted:
        encrypted.hold("demo", "demo-1.0.tar.gz", CONTENT)
        index.moved = {"/file": f"{encrypted.origin}/files/demo-1.0.tar.gz"}
        file = listed(f"{index.url}file")
        assert reading("unused").download(file, tmp_path / "file") == file.sha256

        encrypted.misbehave(Rule(redirects(302, f"{index.url}file"), FILE))
        with pytest.raises(Failed, match="over http, which is not encrypted"):
            reading("unused").download(listed(f"{encrypted.origin}/files/demo-1.0.tar.gz"), tmp_path / "file")


@pytest.mark.parametrize("url", ["http://packages.example.invalid/legacy/", "http://10.0.0.1/", "http://0.0.0.0/"])
def test_nothing_that_is_secret_goes_over_plain_http(url: str) -> None:
    login = credentials.Login("__token__", Secret(TOKEN))
    for sent in ({"auth": login}, {"confidential": True}, {"headers": {"AUTHORIZATION": f"Bearer {TOKEN}"}}):
        with pytest.raises(Blocked, match=r"^credentials cannot be sent to .*http is not encrypted") as refused:
            http.send_once("POST", url, body=BytesIO(b"x"), **sent)
        assert "https://" in (refused.value.fix or "")


@pytest.mark.parametrize(
    "url", ["https://me:hush@127.0.0.1:9/", "http://:hush@127.0.0.1:9/", "http://me@127.0.0.1:9/"]
)
def test_an_address_with_a_login_is_not_asked(url: str, index: Server) -> None:
    index.moved = {"/simple/demo/": url}
    for ask in (lambda: http.get(url), lambda: reading(f"{index.url}simple/").fetch_listing("demo")):
        with pytest.raises(Failed) as failed:
            ask()
        assert "hush" not in failed.value.message


def settings(url: str) -> Config:
    return Config(indexes={"own": IndexConfig(upload=f"{url}legacy/", simple=f"{url}simple/")})


def netrc(directory: Path, text: str) -> Mapping[str, str]:
    path = directory / "netrc"
    path.write_text(text, encoding="utf-8")
    return {"NETRC": str(path)}


def asked_with(index: Server, environment: Mapping[str, str]) -> str | None:
    """The login that a private index is read with."""
    with closing(Indexes(settings(index.url), Path("unused"), environment)) as indexes:
        indexes["own"].fetch_listing("demo")
    login = index.sent_logins[-1]
    return None if login is None else base64.b64decode(login.split()[-1]).decode()


def test_netrc_is_used_for_reading_a_configured_index(index: Server, elsewhere: Server, tmp_path: Path) -> None:
    environment = netrc(tmp_path, "machine 127.0.0.1 login me password sesame-opens\n")
    assert asked_with(index, environment) == "me:sesame-opens"
    assert mask_secrets("sesame-opens") == "****"
    # Another port is another origin, and was not configured.
    reading(f"{elsewhere.url}simple/").fetch_listing("demo")
    assert elsewhere.sent_logins == [None]


@pytest.mark.parametrize(
    "text",
    ["default login me password sesame-opens\n", "machine example.invalid login me password sesame-opens\n", ""],
)
def test_netrc_of_another_host_is_not_used(text: str, index: Server, tmp_path: Path) -> None:
    assert asked_with(index, netrc(tmp_path, text)) is None


def test_requests_reads_no_netrc_of_its_own(
    index: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stated = netrc(tmp_path, "machine 127.0.0.1 login me password sesame-opens\n")
    monkeypatch.setenv("NETRC", stated["NETRC"])
    reading(f"{index.url}simple/").fetch_listing("demo")
    http.send_once("POST", f"{index.url}legacy/", body=b"")
    assert index.sent_logins == [None, None]


def test_netrc_is_not_sent_over_plain_http(tmp_path: Path) -> None:
    target = targets.find_target("own", settings("http://own.example.invalid/"))
    environment = netrc(tmp_path, "machine own.example.invalid login me password sesame-opens\n")
    assert credentials.netrc_login(target, environment) is None
    encrypted = targets.find_target("own", settings("https://own.example.invalid/"))
    assert credentials.netrc_login(encrypted, environment) is not None


@pytest.mark.parametrize("text", ["machine", "nonsense sesame-opens", "machine a login \udcff\udcff"])
def test_an_invalid_netrc_is_an_error_that_does_not_quote_it(text: str, tmp_path: Path) -> None:
    path = tmp_path / "netrc"
    path.write_bytes(text.encode(errors="surrogateescape"))
    target = targets.find_target("own", settings("https://own.example.invalid/"))
    with pytest.raises(Blocked, match=r"netrc cannot be parsed \(") as refused:
        credentials.netrc_login(target, {"NETRC": str(path)})
    assert "sesame" not in f"{refused.value.message}{refused.value.__cause__}"


@pytest.mark.parametrize("token", ["line\nbreak-of-a-token", "t\u00f6ken-\u4f60\u597d", "\0-and-more-of-it"])
def test_a_token_is_sent_as_it_is_whatever_is_in_it(token: str, index: Server) -> None:
    http.send_once("POST", f"{index.url}legacy/", body=b"", auth=credentials.Login("__token__", Secret(token)))
    (login,) = index.sent_logins
    assert base64.b64decode(str(login).split()[-1]).decode() == f"__token__:{token}"


@pytest.mark.parametrize("header", ["a\nb", "a\r\nX: y", "\u4f60", "\ud800"])
def test_an_invalid_header_is_an_error(header: str, index: Server) -> None:
    with pytest.raises(Failed, match="the token or password has a line break, or characters outside Latin-1"):
        http.send_once("GET", index.url, headers={"X-Own": header})
    assert index.log == []
