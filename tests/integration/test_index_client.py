"""What is read from an index, and what a bad one can and cannot make relnox believe."""

from __future__ import annotations

import hashlib
import json
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
import requests
from package_index import scripted
from packaging.version import Version
from releases import made_sdist, reading

from relnox.core.release.manifest import Distribution
from relnox.core.release.publication import FileCheck
from relnox.core.settings.config import Config, IndexConfig
from relnox.errors import Blocked, Conflict, Failed, Problem, TryLater
from relnox.indexes import Indexes, targets, uploads
from relnox.indexes.credentials import Credentials
from relnox.indexes.targets import Target
from relnox.indexes.uploads import FileExists
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
    with scripted(answer) as index:
        yield f"{index.origin}/"


def page(body: str, kind: str = "application/vnd.pypi.simple.v1+json") -> Answer:
    return 200, {"Content-Type": kind}, body.encode()


def json_page(*files: dict[str, object]) -> Answer:
    return page(json.dumps({"meta": {"api-version": "1.1"}, "name": "demo", "files": list(files)}))


def listed(url: str) -> dict[str, object]:
    return {"filename": "demo-1.0.tar.gz", "url": url, "hashes": {"sha256": SHA256}}


ARCHIVED = {"name": "demo", "files": [], "project-status": {"status": "archived", "reason": "see demo-2"}}


@pytest.mark.parametrize(
    ("of_files", "of_project"),
    [
        (json_page(listed("../../files/demo-1.0.tar.gz")), page(json.dumps(ARCHIVED))),
        (
            page(
                f'<a href="../../files/demo-1.0.tar.gz#sha256={SHA256}" data-requires-python="&gt;=3">x</a>',
                "text/html",
            ),
            page(
                '<meta name="pypi:project-status" content="archived">'
                '<meta name="pypi:project-status-reason" content="see demo-2">',
                "text/html",
            ),
        ),
    ],
    ids=["JSON", "HTML"],
)
def test_json_and_html_tell_the_same(of_files: Answer, of_project: Answer) -> None:
    with server(lambda _method, path: of_files if "demo" in path else of_project) as url:
        index = reading(f"{url}simple/")
        (file,) = index.fetch_listing("demo").values()
        assert (file.filename, file.url, file.sha256) == (
            "demo-1.0.tar.gz",
            f"{url}files/demo-1.0.tar.gz",
            SHA256,
        )
        assert index.cached_listing("demo").status == "active"
        old = index.fetch_listing("old")  # PEP 792
        assert (old, old.status, old.reason) == ({}, "archived", "see demo-2")


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
                listing = reading(f"{url}simple/").fetch_listing("demo")
                assert listing["demo-1.0.tar.gz"].url == f"{url.rstrip('/')}{directory}demo-1.0.tar.gz"


def test_transient_errors_are_retried(clock: SimulatedClock) -> None:
    # 503 with Retry-After, then 429, then an answer.
    answers = iter([(503, {"Retry-After": "30"}, b""), (429, {"RateLimit-Reset": "60"}, b""), json_page()])
    with server(lambda _method, _path: next(answers)) as url:
        assert reading(url).fetch_listing("demo") == {}
    assert 90 <= clock.monotonic() < 95


@pytest.mark.parametrize(
    ("status", "headers", "when"),
    [
        (429, {"Retry-After": "9999"}, r"\d\d:\d\d:\d\d UTC"),
        (503, {"Retry-After": "9" * 12}, r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC"),
        (503, {"Retry-After": "100000"}, r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC"),
    ],
)
def test_a_retry_after_beyond_the_deadline_ends_the_retries_at_once(
    status: int, headers: dict[str, str], when: str, clock: SimulatedClock
) -> None:
    with (
        server(lambda _method, _path: (status, headers, b"")) as url,
        pytest.raises(TryLater, match=f"; retry after {when}$"),
    ):
        reading(url).fetch_listing("demo")
    assert clock.monotonic() == 0


def test_a_server_that_responded_before_is_retried_longer(clock: SimulatedClock) -> None:
    with server(lambda _method, _path: json_page()) as url:
        reading(url).fetch_listing("demo")
    with pytest.raises(TryLater):
        reading(url).fetch_listing("demo")
    assert 600 <= clock.monotonic() < 601


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
        assert reading(url).fetch_listing("demo")["demo-1.0.tar.gz"].upload_time == time


@pytest.mark.parametrize(
    ("fields", "size", "python"),
    [
        ({"size": 12, "requires-python": ">=3.9"}, 12, ">=3.9"),
        ({"size": 0, "requires-python": None}, 0, ""),
        ({"size": -1}, None, ""),
        ({"size": "12"}, None, ""),
        ({"size": True}, None, ""),
        ({}, None, ""),
    ],
)
def test_sizes_and_pythons_are_read_if_the_index_has_them(
    fields: dict[str, object], size: int | None, python: str
) -> None:
    with server(lambda _method, _path: json_page({**listed("x"), **fields})) as url:
        listing = reading(url).fetch_listing("demo")
    (file,) = listing.values()
    assert (file.size, file.requires_python, listing.total_size) == (size, python, size or 0)
    link = '<a href="demo-1.0.tar.gz" data-requires-python="&gt;=3.9">demo</a>'
    with server(lambda _method, _path: page(link, "text/html")) as url:
        assert reading(url).fetch_listing("demo")["demo-1.0.tar.gz"].requires_python == ">=3.9"


@pytest.mark.parametrize("name", ["demo-1.0+linux.1.tar.gz", "demo-1!2.0.tar.gz"])
def test_a_link_names_its_file_whatever_is_escaped(name: str) -> None:
    with server(lambda _method, _path: page(f'<a href="../f/{quote(name)}?x=1">{name}</a>', "text/html")) as url:
        (file,) = reading(url).fetch_listing("demo").values()
    assert (file.filename, file.url) == (name, f"{url}f/{quote(name)}?x=1")


@pytest.mark.parametrize(
    ("fragment", "sha256"),
    [
        (f"sha256={SHA256.upper()}", SHA256),
        (f"size=33&sha256={SHA256}", SHA256),
        (f"sha256={SHA256}&egg=demo", SHA256),
        ("md5=00", None),
        ("sha256=", None),
        ("sha256=None", None),
        ("sha256=null", None),
    ],
)
def test_the_fragment_of_a_link_may_have_the_hash(fragment: str, sha256: str | None) -> None:
    with server(lambda _method, _path: page(f'<a href="demo-1.0.tar.gz#{fragment}">x</a>', "text/html")) as url:
        assert reading(url).fetch_listing("demo")["demo-1.0.tar.gz"].sha256 == sha256


def test_an_invalid_hash_names_its_file() -> None:
    with (
        server(lambda _method, _path: page('<a href="old-0.1.tar.gz#sha256=00">x</a>', "text/html")) as url,
        pytest.raises(Failed, match=r"'00', the hash of old-0.1.tar.gz, is not a SHA-256"),
    ):
        reading(url).fetch_listing("demo")


def test_a_listing_that_needs_a_login_names_where_to_put_it() -> None:
    with (
        server(lambda _method, _path: (401, {}, b"")) as url,
        pytest.raises(Blocked, match="a login is needed to read it") as refused,
    ):
        reading(url).fetch_listing("demo")
    assert refused.value.fix == "add a login to ~/.netrc: machine 127.0.0.1 login USER password PASSWORD"


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
                hashes = indexes["own"].hashes("demo", ["demo-1.0.tar.gz", "demo-2.0.tar.gz"])
                assert hashes == {"demo-1.0.tar.gz": SHA256}
    assert fetched == ["/files/demo-1.0.tar.gz"]


BUILT = Distribution(
    package="demo",
    version=Version("1.0"),
    filename="demo-1.0.tar.gz",
    kind="sdist",
    size=len(CONTENT),
    sha256=SHA256,
    blake2b_256="",
)


@pytest.mark.parametrize(
    ("answer", "seen"),
    [
        ((200, {}, CONTENT), FileCheck.MATCH),
        ((200, {}, b""), FileCheck.MISMATCH),
        ((200, {}, CONTENT[:-1]), FileCheck.MISMATCH),
        ((200, {}, CONTENT + b"x"), FileCheck.MISMATCH),
        ((200, {}, CONTENT[1:] + b"x"), FileCheck.MISMATCH),
        ((200, {"Content-Type": "text/html"}, b"<html>log in</html>"), FileCheck.MISMATCH),
        ((204, {}, b""), FileCheck.ABSENT),
        ((206, {"Content-Range": f"bytes 9-32/{len(CONTENT)}"}, CONTENT[9:]), FileCheck.ABSENT),
        ((304, {}, b""), FileCheck.ABSENT),
        ((404, {}, b""), FileCheck.ABSENT),
    ],
)
def test_served_bytes_are_compared_with_what_was_built(answer: Answer, seen: FileCheck) -> None:
    def respond(_method: str, path: str) -> Answer:
        return json_page({**listed("/file"), "filename": BUILT.filename}) if path == "/demo/" else answer

    with server(respond) as url:
        assert reading(url).compare_download(BUILT).observation is seen


@pytest.mark.parametrize("status", [302, 400, 503])
def test_an_upload_is_sent_once_and_its_error_shows_no_secret(status: int, tmp_path: Path) -> None:
    posts: list[str] = []

    def answer(method: str, path: str) -> Answer:
        posts.append(f"{method} {path}")
        return status, {"Location": "http://127.0.0.1:9/elsewhere/"}, b"not with canary-4711"

    sdist = made_sdist(tmp_path, "demo")
    credentials = Credentials("u", Secret("canary-4711"), "test")
    with server(answer) as url:
        target = targets.Target("own", url, url)
        with pytest.raises(Problem) as failed:
            uploads.upload_file(sdist, BUILT, target, credentials)
    assert posts == ["POST /"]
    assert "canary-4711" not in f"{failed.value} {failed.value.fix} {failed.value!r}"


PAGE = "<html><head><title>{title}</title><style>h1 {{}}</style></head><body><h1>{title}</h1>{text}</body></html>"
DENIED = "Invalid or non-existent authentication information. See https://example.invalid/help for more."
LOGIN = "own rejected the credentials for demo-1.0.tar.gz: "
RESPONSES = [
    # each status
    ((302, "Found", ""), Blocked, "own redirects uploads to an unknown URL", "set upload in"),
    ((400, "Bad Request", "because"), Failed, "own rejected demo-1.0.tar.gz: 400 Bad Request because", "rebuild"),
    ((413, "Content Too Large", ""), Failed, "file too large (33 bytes)", "make the archive smaller"),
    ((507, "", ""), Failed, "own cannot store demo-1.0.tar.gz", "free space"),
    ((500, "", ""), Failed, "own rejected demo-1.0.tar.gz: 500", ""),
    ((404, "", ""), Failed, "own takes no uploads at None: 404", "set upload in"),
    ((405, "", ""), Failed, "own takes no uploads at None: 405", "set upload in"),
    # names and releases that take no more files
    ((400, "", "File already used: This filename has already been used."), Conflict, "cannot be reused", "1.0.1"),
    ((400, "", "This filename was previously used by a file."), Conflict, "cannot be reused", "1.0.1"),
    ((400, "", "Uploading new files to releases older than 14 days"), Conflict, "is too old", "1.0.post1"),
    ((400, "", f"File already exists, with hash '{NOUGHT}'"), Conflict, "has a different demo-1.0", "1.0.post1"),
    ((400, "", f"File already exists, with hash '{SHA256}'"), FileExists, "to be compared by hash", ""),
    # indexes that accept nothing
    ((403, "", "Read-only mode: Uploads are temporarily disabled."), TryLater, "at the moment", "later"),
    ((403, "", "New uploads are temporarily disabled."), TryLater, "at the moment", "later"),
    # a status and its text are quoted once
    (
        (401, "Unauthorized", PAGE.format(title="401 Unauthorized", text="Could not verify who you are.")),
        Blocked,
        f"{LOGIN}401 Unauthorized Could not verify who you are.",
        "",
    ),
    (
        (403, DENIED, PAGE.format(title=f"403 {DENIED}", text=f"Access was denied.<br/><br/>{DENIED}")),
        Blocked,
        f"{LOGIN}403 {DENIED} Access was denied.",
        "",
    ),
    ((403, "Forbidden", "<h1>No &amp; never</h1>"), Blocked, f"{LOGIN}403 Forbidden No & never", ""),
    ((403, "Forbidden", "Forbidden"), Blocked, f"{LOGIN}403 Forbidden", ""),
    ((403, "403", "403 Forbidden: not you"), Blocked, f"{LOGIN}403 Forbidden: not you", ""),
    ((403, "", ""), Blocked, f"{LOGIN}403", ""),
    ((403, "Forbidden", "4030 files"), Blocked, f"{LOGIN}403 Forbidden 4030 files", ""),
]


@pytest.mark.parametrize(("answer", "error", "message", "fix"), RESPONSES)
def test_what_responses_to_uploads_stand_for(
    answer: tuple[int, str, str], error: type[Problem], message: str, fix: str
) -> None:
    response = requests.Response()
    response.status_code, response.reason, body = answer
    response.headers["Content-Type"] = "text/html" if body.startswith("<") else "text/plain"
    response._content = body.encode()
    with pytest.raises(error) as refused:
        uploads.parse_upload_response(response, BUILT, Target("own", "", ""))
    assert type(refused.value) is error
    assert refused.value.rejected is (answer[0] < 500)
    assert refused.value.message.endswith(message) if LOGIN in message else message in refused.value.message
    assert fix in (refused.value.fix or "")
