"""What is read from an index, and what a bad one can and cannot make relnox believe."""

from __future__ import annotations

import hashlib
import json
import threading
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
import requests
from packaging.version import Version
from releases import described

from relnox.core.release.manifest import Distribution
from relnox.core.release.publication import FileCheck
from relnox.core.settings.config import Config
from relnox.core.settings.config_tables import IndexConfig
from relnox.errors import Blocked, Conflict, Failed, TryLater
from relnox.indexes import Indexes, client, listings, targets, uploads
from relnox.indexes.credentials import Credentials
from relnox.indexes.uploads import FileExists, upload_file
from relnox.system import retries
from relnox.system.secrets import Secret

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from releases import SimulatedClock

pytestmark = pytest.mark.heavy

CONTENT = b"a wheel, for all the client knows"
SHA256 = hashlib.sha256(CONTENT).hexdigest()
NOUGHT = "0" * 64

Answer = tuple[int, dict[str, str], bytes]


@contextmanager
def server(answer: Callable[[str, str], Answer]) -> Iterator[str]:
    """A server on loopback with a response for each `(method, path)`."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer("GET")

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self._answer("POST")

        def _answer(self, method: str) -> None:
            status, headers, body = answer(method, self.path)
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}/"
        running.shutdown()
        thread.join()


def page(body: str, kind: str = "application/vnd.pypi.simple.v1+json") -> Answer:
    return 200, {"Content-Type": kind}, body.encode()


def json_page(*files: dict[str, object]) -> Answer:
    return page(json.dumps({"meta": {"api-version": "1.1"}, "name": "demo", "files": list(files)}))


def listed(url: str) -> dict[str, object]:
    return {"filename": "demo-1.0.tar.gz", "url": url, "hashes": {"sha256": SHA256}}


def test_json_and_html_tell_the_same() -> None:
    entry = listed("../../files/demo-1.0.tar.gz")
    html = (
        f'<a href="../../files/demo-1.0.tar.gz#sha256={SHA256}" data-requires-python="&gt;=3">demo-1.0.tar.gz</a>'
    )
    listings = []
    for answer in (json_page(entry), page(html, "text/html")):
        with server(lambda _method, _path, answer=answer: answer) as url:  # type: ignore[misc]
            listing = client.fetch_listing(f"{url}simple/", "demo")
            assert listing["demo-1.0.tar.gz"].url == f"{url}files/demo-1.0.tar.gz"
            listings.append(listing["demo-1.0.tar.gz"].sha256)
    assert listings == [SHA256, SHA256]


def test_json_and_html_tell_the_status_of_a_project() -> None:
    # PEP 792
    document = {"name": "demo", "files": [], "project-status": {"status": "archived", "reason": "see demo-2"}}
    html = '<meta name="pypi:project-status" content="archived"><meta name="pypi:project-status-reason" '
    for answer in (page(json.dumps(document)), page(f'{html}content="see demo-2">', "text/html")):
        with server(lambda _method, _path, answer=answer: answer) as url:  # type: ignore[misc]
            listing = client.fetch_listing(url, "demo")
            assert (listing, listing.status, listing.reason) == ({}, "archived", "see demo-2")
    with server(lambda _method, _path: json_page()) as url:
        assert client.fetch_listing(url, "demo").status == "active"


def test_a_project_that_is_not_there_has_no_files() -> None:
    with server(lambda _method, _path: (404, {}, b"")) as url:
        assert client.fetch_listing(url, "demo") == {}


def test_a_redirect_to_another_origin_is_not_this_indexs_answer() -> None:
    # the embedded index sends unknown names to the trusted one; that is for installers.
    entry = listed("demo-1.0.tar.gz")
    with server(lambda _method, _path: json_page(entry)) as other:
        assert client.fetch_listing(other, "demo")
        with server(lambda _method, path: (302, {"Location": other + path.lstrip("/")}, b"")) as url:
            assert client.fetch_listing(url, "demo") == {}


def test_a_redirect_inside_the_origin_is_followed() -> None:
    def answer(_method: str, path: str) -> Answer:
        if path == "/Demo/":
            return 301, {"Location": "/demo/"}, b""
        return json_page(listed("x"))

    with server(answer) as url:
        assert list(client.fetch_listing(url, "Demo")) == ["demo-1.0.tar.gz"]


def test_links_are_relative_to_the_page_that_the_index_redirects_to() -> None:
    html = f'<a href="demo-1.0.tar.gz#sha256={SHA256}">demo-1.0.tar.gz</a>'
    based = f'<html><head><base href="/mirror/"></head><body>{html}</body></html>'
    pages = {
        "/pages/demo/": (json_page(listed("demo-1.0.tar.gz")), page(html, "text/html")),
        "/mirror/": (page(based, "text/html"),),
    }
    for directory, answers in pages.items():
        for answer in answers:

            def redirect(_method: str, path: str, answer: Answer = answer) -> Answer:
                return (302, {"Location": "/pages/demo/"}, b"") if path == "/simple/demo/" else answer

            with server(redirect) as url:
                listing = client.fetch_listing(f"{url}simple/", "demo")
                assert listing["demo-1.0.tar.gz"].url == f"{url.rstrip('/')}{directory}demo-1.0.tar.gz"


def test_transient_errors_are_retried(clock: SimulatedClock) -> None:
    # 503 with Retry-After, then 429, then an answer.
    answers = iter([(503, {"Retry-After": "30"}, b""), (429, {"RateLimit-Reset": "60"}, b""), json_page()])
    with server(lambda _method, _path: next(answers)) as url:
        assert client.fetch_listing(url, "demo") == {}
    assert 90 <= clock.now() < 95


def test_a_retry_after_beyond_the_deadline_ends_the_retries_at_once(clock: SimulatedClock) -> None:
    until = r"retry after \d\d:\d\d:\d\d UTC"
    with (
        server(lambda _method, _path: (429, {"Retry-After": "9999"}, b"")) as url,
        pytest.raises(TryLater, match=until),
    ):
        client.fetch_listing(url, "demo")
    assert clock.now() == 0


@pytest.mark.parametrize("headers", [{"Retry-After": "9" * 12}, {"Retry-After": "100000"}])
def test_a_retry_on_another_day_is_printed_with_the_date(headers: dict[str, str], clock: SimulatedClock) -> None:
    with (
        server(lambda _method, _path: (503, headers, b"")) as url,
        pytest.raises(TryLater, match=r"retry after \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC"),
    ):
        client.fetch_listing(url, "demo")


def test_a_server_that_responded_before_is_retried_longer(clock: SimulatedClock) -> None:
    with server(lambda _method, _path: json_page()) as url:
        client.fetch_listing(url, "demo")
    with pytest.raises(TryLater):
        client.fetch_listing(url, "demo")
    assert 600 <= clock.now() < 601


@pytest.mark.parametrize(
    ("value", "time"),
    [
        ("2026-11-21T12:00:00.5Z", datetime(2026, 11, 21, 12, 0, 0, 500_000, UTC)),
        ("2026-11-21T12:00:00", datetime(2026, 11, 21, 12, tzinfo=UTC)),
        ("yesterday", None),
        (1_763_000_000, None),
        (None, None),
    ],
)
def test_invalid_upload_times_are_ignored(value: object, time: datetime | None) -> None:
    with server(lambda _method, _path: json_page({**listed("x"), "upload-time": value})) as url:
        assert client.fetch_listing(url, "demo")["demo-1.0.tar.gz"].upload_time == time


def test_a_digest_in_capitals_is_the_same_digest() -> None:
    entry = {**listed("demo-1.0.tar.gz"), "hashes": {"sha256": SHA256.upper()}}
    link = f'<a href="demo-1.0.tar.gz#sha256={SHA256.upper()}">demo-1.0.tar.gz</a>'
    answers = {"/json/": json_page(entry), "/html/": page(link, "text/html")}
    with server(lambda _method, path: answers[path]) as url:
        for kind in ("json", "html"):
            assert client.fetch_listing(url, kind)["demo-1.0.tar.gz"].sha256 == SHA256


@pytest.mark.parametrize("name", ["demo-1.0+linux.1.tar.gz", "demo-1!2.0.tar.gz"])
def test_a_link_names_its_file_whatever_is_escaped(name: str) -> None:
    with server(lambda _method, _path: page(f'<a href="../f/{quote(name)}?x=1">{name}</a>', "text/html")) as url:
        (file,) = client.fetch_listing(url, "demo").values()
    assert (file.filename, file.url) == (name, f"{url}f/{quote(name)}?x=1")


def test_a_listing_without_hashes_is_proven_by_fetching_the_file(tmp_path: Path) -> None:
    # a name alone proves nothing.
    fetched: list[str] = []

    def answer(_method: str, path: str) -> Answer:
        if path.startswith("/files/"):
            fetched.append(path)
            return 200, {}, CONTENT
        return page('<a href="/files/demo-1.0.tar.gz">demo-1.0.tar.gz</a>', "text/html")

    with server(answer) as url:
        config = Config(indexes={"own": IndexConfig(upload=url, simple=url)})
        with closing(Indexes(config, tmp_path, {})) as indexes:
            for _ in range(2):
                hashes = indexes.hashes("own", "demo", ["demo-1.0.tar.gz", "demo-2.0.tar.gz"])
                assert hashes == {"demo-1.0.tar.gz": SHA256}
    assert fetched == ["/files/demo-1.0.tar.gz"]


def test_a_download_tells_the_hash_of_what_came(tmp_path: Path) -> None:
    with server(lambda _method, _path: (200, {}, CONTENT)) as url:
        file = listings.IndexFile(filename="x", url=url, sha256="another")
        assert client.download(file, tmp_path / "x") == SHA256
    assert (tmp_path / "x").read_bytes() == CONTENT


LARGE = bytes(range(256)) * 12_000  # 3 MB
BUILT = Distribution(
    package="demo",
    version=Version("1.0"),
    filename="demo-1.0.tar.gz",
    kind="sdist",
    size=len(LARGE),
    sha256=hashlib.sha256(LARGE).hexdigest(),
    blake2b_256="",
)
TAIL = f"bytes {len(LARGE) - (1 << 20)}-{len(LARGE) - 1}/{len(LARGE)}"


@pytest.mark.parametrize(
    ("answer", "seen"),
    [
        ((200, {}, LARGE), FileCheck.MATCH),
        ((200, {}, b""), FileCheck.MISMATCH),
        ((200, {}, LARGE[:-1]), FileCheck.MISMATCH),
        ((200, {}, LARGE + b"x"), FileCheck.MISMATCH),
        ((200, {}, LARGE[1:] + b"x"), FileCheck.MISMATCH),
        ((200, {"Content-Type": "text/html"}, b"<html>log in</html>"), FileCheck.MISMATCH),
        ((204, {}, b""), FileCheck.ABSENT),
        ((206, {"Content-Range": TAIL}, LARGE[-(1 << 20) :]), FileCheck.ABSENT),
        ((304, {}, b""), FileCheck.ABSENT),
        ((404, {}, b""), FileCheck.ABSENT),
    ],
)
def test_served_bytes_are_compared_with_what_was_built(answer: Answer, seen: FileCheck) -> None:
    with server(lambda _method, _path: answer) as url:
        file = listings.IndexFile(filename=BUILT.filename, url=url, sha256=BUILT.sha256)
        assert client.compare_served(file, BUILT).observation is seen


def test_targets_come_from_the_clients_constants_and_the_settings_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    # no variable moves a target.
    for name in ("TWINE_REPOSITORY_URL", "PIP_INDEX_URL", "UV_PUBLISH_URL"):
        monkeypatch.setenv(name, "http://127.0.0.1:9/attacker/")
    from twine import utils

    config = Config(indexes={"company": IndexConfig(upload="https://c.example/u", simple="https://c.example/s")})
    assert targets.resolve("pypi", config).upload_url == utils.DEFAULT_REPOSITORY
    assert targets.resolve("testpypi", config).upload_url == utils.TEST_REPOSITORY
    assert targets.resolve("company", config).simple_url == "https://c.example/s/"
    assert targets.resolve("pypi", config).production
    assert not targets.resolve("testpypi", config).production
    assert targets.trusted_simple_url(config).endswith("/simple/")
    assert "upload." not in targets.trusted_simple_url(config)
    with pytest.raises(Blocked, match="unknown index pipy") as refused:
        targets.resolve("pipy", config)
    assert refused.value.fix == "did you mean pypi?"


def test_an_index_of_ones_own_that_is_the_production_host_is_production(tmp_path: Path) -> None:
    production = targets.resolve("pypi", Config())
    config = Config(
        indexes={"x": IndexConfig(upload=production.upload_url, simple="https://s/", production=False)}
    )
    assert Indexes(config, tmp_path, {}).is_production("x")


@pytest.mark.parametrize(
    ("status", "error", "said"),
    [
        (403, Blocked, "rejected the credentials"),
        (302, Blocked, "redirects uploads"),
        (400, Failed, "rejected demo"),
        (413, Failed, "too large"),
        (503, retries.TransientError, "503"),
        (429, retries.TransientError, "429"),
    ],
)
def test_each_status_of_an_upload_has_its_own_error(
    status: int, error: type[Exception], said: str, tmp_path: Path
) -> None:
    sdist = _sdist(tmp_path)
    posts: list[str] = []

    def answer(method: str, path: str) -> Answer:
        posts.append(f"{method} {path}")
        return status, {"Location": "http://127.0.0.1:9/elsewhere/"}, b"because"

    with server(answer) as url:
        target = targets.Target(name="own", upload_url=url, simple_url=url, production=False)
        with pytest.raises(error, match=said):
            upload_file(sdist, described(sdist), target, Credentials("u", Secret("canary-4711"), "test"))
    assert posts == ["POST /"]


def test_an_error_never_shows_the_secret(tmp_path: Path) -> None:
    # not even when the server sends it back.
    with server(lambda _method, _path: (400, {}, b"no")) as url:
        target = targets.Target(name="own", upload_url=url, simple_url=url, production=False)
        sdist = _sdist(tmp_path)
        with pytest.raises(Failed) as failed:
            upload_file(sdist, described(sdist), target, Credentials("u", Secret("canary-4711"), "test"))
    assert "canary-4711" not in f"{failed.value} {failed.value.fix} {failed.value!r}"


SAYINGS = [
    (400, "File already used: This filename has already been used, use a different version.", "1.0.1"),
    (400, "This filename was previously used by a file that has since been deleted.", "1.0.1"),
    (400, "Uploading new files to releases older than 14 days is not allowed.", "1.0.post1"),
    (400, f"File already exists ('demo-1.0.tar.gz', with blake2_256 hash '{'0' * 64}').", "1.0.post1"),
]


@pytest.mark.parametrize(("status", "text", "way_out"), SAYINGS)
def test_permanent_rejections_name_the_fix(status: int, text: str, way_out: str, tmp_path: Path) -> None:
    sdist = _sdist(tmp_path)
    with server(lambda _method, _path: (status, {}, text.encode())) as url:
        target = targets.Target(name="own", upload_url=url, simple_url=url, production=False)
        with pytest.raises(Conflict) as conflict:
            upload_file(sdist, described(sdist), target, Credentials("u", Secret("t"), "test"))
    assert way_out in (conflict.value.fix or "")


@pytest.mark.parametrize(
    "text", ["Read-only mode: Uploads are temporarily disabled.", "New uploads are temporarily disabled."]
)
def test_a_read_only_index_is_not_an_error_of_credentials(text: str, tmp_path: Path) -> None:
    sdist = _sdist(tmp_path)
    with server(lambda _method, _path: (403, {}, text.encode())) as url:
        target = targets.Target(name="own", upload_url=url, simple_url=url, production=False)
        with pytest.raises(TryLater, match="does not accept uploads at the moment") as later:
            upload_file(sdist, described(sdist), target, Credentials("u", Secret("t"), "test"))
    assert not isinstance(later.value, retries.TransientError)


@pytest.mark.parametrize("status", [400, 403, 409])
def test_an_existing_file_is_compared_by_hash(status: int, tmp_path: Path) -> None:
    # what pypiserver, devpi and others say of a file that they hold.
    sdist = _sdist(tmp_path)
    with server(lambda _method, _path: (status, {}, b"Package demo-1.0.tar.gz already exists!")) as url:
        target = targets.Target(name="own", upload_url=url, simple_url=url, production=False)
        with pytest.raises(FileExists, match=str(status)):
            upload_file(sdist, described(sdist), target, Credentials("u", Secret("t"), "test"))


def test_the_text_of_an_html_page_is_quoted(tmp_path: Path) -> None:
    said = "<html><head><title>No</title><style>h1 {}</style></head><h1>No &amp; never</h1></html>"
    sdist = _sdist(tmp_path)
    with server(lambda _method, _path: (403, {"Content-Type": "text/html"}, said.encode())) as url:
        target = targets.Target(name="own", upload_url=url, simple_url=url, production=False)
        with pytest.raises(Blocked, match=r"403 Forbidden No & never$"):
            upload_file(sdist, described(sdist), target, Credentials("u", Secret("t"), "test"))


PAGE = "<html><head><title>{title}</title></head><body><h1>{title}</h1>{text}</body></html>"
REJECTED = "Invalid or non-existent authentication information. See https://example.invalid/help for more."
REFUSALS = {
    "devpi": (
        (401, "Unauthorized"),
        PAGE.format(title="401 Unauthorized", text="This server could not verify who you are."),
        "401 Unauthorized This server could not verify who you are.",
    ),
    "pypiserver": (
        (403, "Forbidden"),
        PAGE.format(title="Error: 403 Forbidden", text="<p>Sorry, it caused an error:</p><pre>None</pre>"),
        "403 Forbidden Sorry, it caused an error: None",
    ),
    "the public index": (
        (403, REJECTED),
        PAGE.format(title=f"403 {REJECTED}", text=f"Access was denied to this resource.<br/><br/>{REJECTED}"),
        f"403 {REJECTED} Access was denied to this resource.",
    ),
    "the same twice": ((403, "Forbidden"), "Forbidden", "403 Forbidden"),
    "the status alone": ((403, "403"), "403 Forbidden: not you", "403 Forbidden: not you"),
    "nothing": ((403, ""), "", "403"),
    "a number that is no status": (
        (403, "Forbidden"),
        "4030 files are too many",
        "403 Forbidden 4030 files are too many",
    ),
}


@pytest.mark.parametrize("which", REFUSALS)
def test_a_status_and_its_text_are_quoted_once(which: str, tmp_path: Path) -> None:
    (status, reason), body, message = REFUSALS[which]
    response = requests.Response()
    response.status_code, response.reason = status, reason
    response.headers["Content-Type"] = "text/html" if body.startswith("<") else "text/plain"
    response._content = body.encode()
    with pytest.raises(Blocked) as refused:
        uploads.parse_response(response, described(_sdist(tmp_path)), "own")
    assert refused.value.message == f"own rejected the credentials for demo-1.0.tar.gz: {message}"


def _sdist(directory: Path) -> Path:
    import io
    import tarfile

    path = directory / "demo-1.0.tar.gz"
    info = b"Metadata-Version: 2.1\nName: demo\nVersion: 1.0\n"
    with tarfile.open(path, "w:gz") as archive:
        for name in ("PKG-INFO", "pyproject.toml"):
            member = tarfile.TarInfo(f"demo-1.0/{name}")
            member.size = len(info)
            archive.addfile(member, io.BytesIO(info))
    return path
