"""Faults of the controlled index: each kind of failure that an uploader must survive."""

from __future__ import annotations

import hashlib
import threading
import time
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

import pytest
from controlled_index import ControlledIndex
from controlled_index.faults import (
    DISABLED,
    E500,
    LOST_RESPONSE,
    NAME_RESERVED,
    NEW_PROJECT_BY_IDENTITY,
    NOT_STORED,
    OLD_RELEASE,
    READ_ONLY,
    REJECTED,
    STORED_500,
    TOO_LARGE,
    Answer,
    Cut,
    Duplicate,
    Foreign,
    Plan,
    Rule,
    Stale,
    Stall,
    Trickle,
    Truncate,
    Wait,
    flaky,
    rate_limited,
    redirect,
    unavailable,
)
from loopback import StoppedClock, ask, begin_upload, eventually, form, page, post, raw

if TYPE_CHECKING:
    import socket
    from pathlib import Path

    from controlled_index.faults import Fault
    from controlled_index.index import Status

pytestmark = pytest.mark.heavy

NAME = "demo-1.0.tar.gz"
CONTENT = b"x" * 5000
BODY = form(NAME, CONTENT)


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def stored(index: ControlledIndex) -> list[str]:
    """SHA-256 of what the index holds, whatever it says of it."""
    index.misbehave()
    if ask(f"{index.simple_url}demo/").status == 404:
        return []
    return [entry["hashes"]["sha256"] for entry in page(index, "demo")["files"]]


def left(connection: socket.socket) -> bool:
    """Whether the index has ended a connection, in whatever way, without a word."""
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True


# --- answers


@pytest.mark.parametrize(
    ("fault", "status", "says", "keeps"),
    [
        (E500, 500, "Internal Server Error", False),
        (unavailable(), 503, "Service Unavailable", False),
        (rate_limited(900), 429, "Too many new projects", False),
        (STORED_500, 500, "Internal Server Error", True),
        (NOT_STORED, 200, "OK", False),
        (READ_ONLY, 403, "Read-only mode", False),
        (DISABLED, 403, "temporarily disabled", False),
        (REJECTED, 403, "Invalid or non-existent authentication", False),
        (NAME_RESERVED, 400, "previously used", False),
        (OLD_RELEASE, 400, "older than 14 days", False),
        (NEW_PROJECT_BY_IDENTITY, 400, "Non-user identities", False),
        (TOO_LARGE, 400, "File too large", False),
        (redirect("http://127.0.0.1:9/"), 308, "OK", False),
        (Answer(599, "of its own"), 599, "of its own", False),
    ],
    ids=lambda value: None if isinstance(value, Answer) else str(value),
)
def test_an_upload_gets_the_answer_that_was_planned(
    fault: Answer, status: int, says: str, keeps: bool, tmp_path: Path
) -> None:
    with ControlledIndex(tmp_path, faults=[Rule(fault)]) as index:
        answer = post(index, BODY)
        assert answer.status == status
        assert says in f"{answer.reason} {answer.text}" or status == 308
        assert dict(answer.headers).get("Location") == ("http://127.0.0.1:9/" if status == 308 else None)
        assert [(upload.status, upload.fault) for upload in index.uploads] == [(status, fault)]
        assert stored(index) == ([sha256(CONTENT)] if keeps else [])


def test_waiting_is_asked_for_in_seconds_and_as_a_date(tmp_path: Path) -> None:
    """`Retry-After` in both of its forms (RFC 9110), and the headers of a rate limit."""
    clock = StoppedClock()
    rules = [
        Rule(unavailable(7), tries=[1]),
        Rule(unavailable(7, as_date=True), tries=[2]),
        Rule(rate_limited(9, retry_after=False)),
    ]
    with ControlledIndex(tmp_path, faults=rules, clock=clock) as index:
        seconds, date, limits = (post(index, BODY).headers for _ in range(3))
    assert seconds["Retry-After"] == "7"
    assert parsedate_to_datetime(date["Retry-After"]).timestamp() == clock.now + 7
    assert (limits["RateLimit-Remaining"], limits["RateLimit-Reset"]) == ("0", "9")
    assert "Retry-After" not in limits


def test_a_name_that_is_held_is_answered_as_other_indexes_do(tmp_path: Path) -> None:
    """Whatever the bytes are."""
    for status in (409, 400, 403):
        with ControlledIndex(tmp_path / str(status), faults=[Rule(Duplicate(status))]) as index:
            assert post(index, BODY).status == 200
            assert post(index, BODY).status == status
            assert post(index, form(NAME, b"other")).status == status
            assert stored(index) == [sha256(CONTENT)]


def test_another_client_uploads_a_file_of_that_name_first(tmp_path: Path) -> None:
    with ControlledIndex(tmp_path, faults=[Rule(Foreign(b"theirs"))]) as index:
        answer = post(index, BODY)
        assert answer.status == 400
        assert "File already exists" in answer.text
        assert stored(index) == [sha256(b"theirs")]


# --- connections


@pytest.mark.parametrize(
    ("fault", "arrived", "keeps"),
    [
        (Cut(), 5000, False),
        (LOST_RESPONSE, 5000, True),
        (Cut(after=1000), 1000, False),
        (Cut(after=9999), 5000, False),
    ],
)
def test_a_connection_is_reset(fault: Cut, arrived: int, keeps: bool, tmp_path: Path) -> None:
    with ControlledIndex(tmp_path, faults=[Rule(fault)]) as index:
        with pytest.raises(ConnectionResetError):
            post(index, BODY)
        assert eventually(lambda: index.uploads[0].ended is not None)
        (upload,) = index.uploads
        assert (upload.status, upload.size, upload.sha256) == (None, arrived, sha256(CONTENT[:arrived]))
        assert stored(index) == ([sha256(CONTENT)] if keeps else [])


def test_a_page_can_be_cut_too(tmp_path: Path) -> None:
    with (
        ControlledIndex(tmp_path, faults=[Rule(Cut(), on="listing")]) as index,
        pytest.raises(ConnectionResetError),
    ):
        ask(f"{index.simple_url}demo/")


@pytest.mark.parametrize(
    ("fault", "keeps"), [(Stall(), False), (Stall(after=1000), False), (Stall(stored=True), True)]
)
def test_a_stalled_upload_ends_with_the_index(fault: Stall, keeps: bool, tmp_path: Path) -> None:
    """No answer comes, and nothing hangs once the index is closed."""
    with ControlledIndex(tmp_path, faults=[Rule(fault)]) as index:
        connection = begin_upload(index.upload_url, BODY, sent=len(BODY))
        assert eventually(lambda: bool(index.uploads) and index.uploads[0].sha256 is not None)
        connection.settimeout(0.2)
        with pytest.raises(TimeoutError):
            connection.recv(1)
        connection.settimeout(20)
    with connection:
        assert left(connection)
    with ControlledIndex(tmp_path) as index:
        assert stored(index) == ([sha256(CONTENT)] if keeps else [])


@pytest.mark.parametrize("on", ["upload", "listing"])
def test_a_stalled_connection_ends_when_its_client_goes_away(on: str, tmp_path: Path) -> None:
    threads = threading.active_count()
    with ControlledIndex(tmp_path, faults=[Rule(Stall(), on="any")]) as index:
        body = BODY if on == "upload" else b""
        path = "/legacy/" if on == "upload" else "/simple/demo/"
        with begin_upload(index.upload_url, body, sent=len(body), path=path):
            assert eventually(lambda: bool(index.log))
        assert eventually(lambda: index.log[0].ended is not None)
        assert eventually(lambda: threading.active_count() <= threads + 1)


def test_an_answer_can_come_byte_by_byte(tmp_path: Path) -> None:
    """Slow loris, from the other side; closing the index ends it."""
    with (
        ControlledIndex(tmp_path, faults=[Rule(Trickle(20), on="any")]) as index,
        begin_upload(index.upload_url, BODY, sent=len(BODY)) as connection,
    ):
        got = connection.recv(4096)
    assert 0 < len(got) <= 20


def test_an_upload_can_be_read_byte_by_byte(tmp_path: Path) -> None:
    with ControlledIndex(tmp_path, faults=[Rule(Trickle(100))]) as index:
        body = form(NAME, b"x" * (1 << 20))
        with begin_upload(index.upload_url, body, sent=len(body)):
            assert eventually(lambda: bool(index.uploads))
            assert index.uploads[0].ended is None
        assert stored(index) == []


# --- careless storage


def test_a_careless_index_stores_half_of_a_file_and_says_that_all_is_well(tmp_path: Path) -> None:
    body = form(NAME, CONTENT, sha256_digest=sha256(CONTENT))
    with ControlledIndex(tmp_path, faults=[Rule(Truncate(1000))]) as index:
        assert post(index, body).status == 200
        assert stored(index) == [sha256(CONTENT[:1000])]


def test_a_careless_index_stores_what_a_killed_client_has_sent(tmp_path: Path) -> None:
    """Killed inside a body."""
    with ControlledIndex(tmp_path, faults=[Rule(Truncate())]) as index:
        begin_upload(index.upload_url, BODY, sent=len(BODY) - 2000).close()
        assert eventually(lambda: ask(f"{index.simple_url}demo/").status == 200)
        (entry,) = page(index, "demo")["files"]
    assert 0 < entry["size"] < len(CONTENT)
    assert entry["hashes"]["sha256"] == sha256(CONTENT[: entry["size"]])


# --- stale pages


def test_a_file_is_listed_only_after_a_while(tmp_path: Path) -> None:
    """Half an hour passes on the index's clock; the file itself is there at once."""
    clock = StoppedClock()
    with ControlledIndex(tmp_path, faults=[Rule(Stale(seconds=1800), on="listing")], clock=clock) as index:
        assert post(index, BODY).status == 200
        assert ask(f"{index.simple_url}demo/").status == 404
        assert ask(index.simple_url.replace("simple", "files") + NAME).body == CONTENT
        clock.now += 1799
        assert post(index, form("demo-1.1.tar.gz", b"", version="1.1")).status == 200
        clock.now += 1
        assert [entry["filename"] for entry in page(index, "demo")["files"]] == [NAME]


def test_a_file_is_missing_from_some_listings(tmp_path: Path) -> None:
    with ControlledIndex(tmp_path, faults=[Rule(Stale(listings=2), on="listing")]) as index:
        assert ask(f"{index.simple_url}demo/").status == 404
        assert post(index, BODY).status == 200
        assert [ask(f"{index.simple_url}demo/").status for _ in range(4)] == [404, 404, 200, 200]


def test_one_of_two_nodes_is_stale(tmp_path: Path) -> None:
    """Every other page is."""
    rule = Rule(Stale(seconds=60), on="listing", tries=range(1, 99, 2))
    with ControlledIndex(tmp_path, faults=[rule]) as index:
        assert post(index, BODY).status == 200
        assert [ask(f"{index.simple_url}demo/").status for _ in range(4)] == [404, 200, 404, 200]


def test_only_the_named_project_is_stale(tmp_path: Path) -> None:
    with ControlledIndex(tmp_path, faults=[Rule(Stale(seconds=60), on="listing", project="demo")]) as index:
        assert post(index, BODY).status == 200
        assert post(index, form("other-1.0.tar.gz", b"", name="other")).status == 200
        assert ask(f"{index.simple_url}demo/").status == 404
        assert ask(f"{index.simple_url}other/").status == 200


# --- which request meets what


def test_requests_are_counted_together_or_each_by_itself() -> None:
    def failing(rule: Rule) -> list[str]:
        plan = Plan([rule])
        names = ["a", "b", "a", "b", "a"]
        return [f"{n}{name}" for n, name in enumerate(names) if plan.next_fault("upload", filename=name, age=0)[1]]

    assert failing(Rule(E500, tries=range(2, 4))) == ["1b", "2a"]
    assert failing(Rule(E500, tries=[2], per_name=True)) == ["2a", "3b"]
    assert failing(Rule(E500, filename="b")) == ["1b", "3b"]
    assert failing(Rule(E500, on="listing")) == []


def test_a_rule_holds_for_a_time(tmp_path: Path) -> None:
    """A token that expires, say."""
    clock = StoppedClock()
    with ControlledIndex(tmp_path, faults=[Rule(REJECTED, since=900, until=1000)], clock=clock) as index:
        statuses = []
        for seconds in (0, 899, 1, 99, 1):
            clock.now += seconds
            statuses.append(post(index, BODY).status)
    assert statuses == [200, 200, 403, 403, 200]


def test_waits_add_up_and_the_first_other_fault_decides() -> None:
    plan = Plan([Rule(Wait(0.5), on="any"), Rule(E500), Rule(Wait(0.25)), Rule(LOST_RESPONSE)])
    assert plan.next_fault("upload", filename=NAME, age=0) == (0.75, E500)
    assert plan.next_fault("listing", project="demo", age=0) == (0.5, None)


def test_a_wait_comes_before_the_usual_answer(tmp_path: Path) -> None:
    with ControlledIndex(tmp_path, faults=[Rule(Wait(0.1), on="any")]) as index:
        began = time.monotonic()
        assert post(index, BODY).status == 200
        assert time.monotonic() - began >= 0.1
        assert stored(index) == [sha256(CONTENT)]


def test_shares_are_drawn_alike_in_whatever_order_requests_come() -> None:
    def drawn(names: list[str], seed: int) -> dict[str, list[Fault | None]]:
        plan = Plan(flaky(0.3), seed=seed)
        met: dict[str, list[Fault | None]] = {}
        for name in names:
            met.setdefault(name, []).append(plan.next_fault("upload", filename=name, age=0)[1])
        return met

    names = [f"demo-{number}.tar.gz" for number in range(500)] * 2
    first = drawn(names, 1)
    assert first == drawn(names[::-1], 1)
    assert first != drawn(names, 2)
    met = [fault for faults in first.values() for fault in faults]
    failed = [fault for fault in met if fault is not None]
    assert 0.25 < len(failed) / len(met) < 0.35
    assert 0.4 < sum(isinstance(fault, Cut) for fault in failed) / len(failed) < 0.6


# --- the log


def test_every_request_is_written_down(tmp_path: Path) -> None:
    clock = StoppedClock()
    with ControlledIndex(tmp_path, clock=clock) as index:
        post(index, BODY, Authorization="Basic X190b2tlbl9fOnNlY3JldA==")
        clock.now += 5
        host = f"Host: {index.upload_url.split('/')[2]}\r\n".encode()
        raw(index, b"GET /simple/demo/?x=1 HTTP/1.1\r\nConnection: close\r\n" + host + b"\r\n")
        ask(index.simple_url.replace("simple", "files") + NAME)
        ask(index.simple_url)
        raw(index, b"PUT /legacy/ HTTP/1.1\r\n" + host + b"\r\n")
        log = index.log
    upload = log[0]
    assert (upload.began, upload.ended, log[1].began) == (clock.now - 5, clock.now - 5, clock.now)
    assert (upload.size, upload.sha256, upload.user) == (len(CONTENT), sha256(CONTENT), "__token__")
    assert [(each.method, each.kind, each.filename, each.project, each.status) for each in log] == [
        ("POST", "upload", NAME, "demo", 200),
        ("GET", "listing", "", "demo", 200),
        ("GET", "file", NAME, "demo", 200),
        ("GET", "projects", "", "", 200),
        ("PUT", "other", "", "", 501),
    ]
    assert log[1].path == "/simple/demo/?x=1"
    assert "secret" not in repr(log)


# --- the state of projects and files


@pytest.mark.parametrize(
    ("status", "takes", "shows"),
    [("active", True, True), ("deprecated", True, True), ("archived", False, True), ("quarantined", False, False)],
)
def test_the_status_of_a_project_is_served_and_enforced(
    status: Status, takes: bool, shows: bool, tmp_path: Path
) -> None:
    """PEP 792."""
    with ControlledIndex(tmp_path) as index:
        assert post(index, BODY).status == 200
        assert page(index, "demo")["project-status"] == {"status": "active"}
        index.set_status("Demo", status, "for a <reason>")
        document = page(index, "demo")
        assert document["project-status"] == {"status": status, "reason": "for a <reason>"}
        assert (len(document["files"]), len(document["versions"])) == ((1, 1) if shows else (0, 0))
        text = ask(f"{index.simple_url}demo/").text
        assert f'<meta name="pypi:project-status" content="{status}">' in text
        assert '<meta name="pypi:project-status-reason" content="for a &lt;reason&gt;">' in text
        answer = post(index, form("demo-1.1.tar.gz", b"content", version="1.1"))
        assert answer.status == (200 if takes else 403)
        assert takes or f"it is {status}" in answer.text


def test_a_yanked_file_is_marked(tmp_path: Path) -> None:
    """PEP 592."""
    with ControlledIndex(tmp_path) as index:
        for version in ("1.0", "2.0", "3.0"):
            assert post(index, form(f"demo-{version}.tar.gz", b"content", version=version)).status == 200
        index.yank("demo-2.0.tar.gz", 'broken "badly"')
        index.yank("demo-3.0.tar.gz")
        assert [entry.get("yanked") for entry in page(index, "demo")["files"]] == [None, 'broken "badly"', True]
        text = ask(f"{index.simple_url}demo/").text
    assert 'data-yanked="broken &quot;badly&quot;">demo-2.0.tar.gz</a>' in text
    assert 'data-yanked="">demo-3.0.tar.gz</a>' in text


def test_a_deleted_file_is_gone_and_a_lenient_index_takes_another(tmp_path: Path) -> None:
    with ControlledIndex(tmp_path) as index:
        assert post(index, BODY).status == 200
        index.delete(NAME)
        index.delete("demo-9.9.tar.gz")
        assert ask(f"{index.simple_url}demo/").status == 404
        assert ask(index.simple_url.replace("simple", "files") + NAME).status == 404
        assert post(index, form(NAME, b"other")).status == 200
