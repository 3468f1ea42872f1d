"""What goes wrong with a forge: lost answers, rate limits, permissions, answers that make no sense."""

from __future__ import annotations

import copy
import shutil
import threading
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from fake_forge import DROP, PullRequest, Reply, forge_server
from fake_forge.github import GitHubServer
from fake_forge.gitlab import GitLabServer
from fake_forge.repository import Repository
from loopback import eventually
from projects import repository, single
from raw_server import answering, raw_server

from relnox.errors import Blocked, Failed, RelnoxError, TryLater
from relnox.forges import FileChange, forge_of
from relnox.system import network, secrets, waits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from fake_forge import ForgeServer
    from releases import SimulatedClock

    from relnox.core.planning.events import Waiting
    from relnox.forges import Forge

CHANGES = (FileChange("a.txt", b"a"), FileChange("b.bin", b"\x00\xff"))
SERVERS = (GitHubServer, GitLabServer)


@pytest.fixture(scope="session")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with the branches main and release, to copy."""
    path = repository(single(tmp_path_factory.mktemp("forge") / "demo")).parent / "demo.git"
    stored = Repository(path)
    main = str(stored.ref("refs/heads/main"))
    tree = stored.tree(main, [("100644", "NEWS", stored.blob(b"news\n"))])
    stored.set_ref("refs/heads/release", stored.commit(tree, [main], "Release"))
    return path


@pytest.fixture(params=SERVERS, ids=["github", "gitlab"])
def server(
    request: pytest.FixtureRequest, tmp_path: Path, bare: Path, clock: SimulatedClock
) -> Iterator[ForgeServer]:
    fake: ForgeServer = request.param(shutil.copytree(bare, tmp_path / "demo.git"))
    with forge_server(fake):
        yield fake


def branch_length(server: ForgeServer, branch: str) -> int:
    exists = server.repository.ref(f"refs/heads/{branch}") is not None
    return len(server.repository.git("rev-list", branch).split()) - 1 if exists else 0


@dataclass
class Operation:
    """Something that is created on a forge.

    Attributes:
        requests: The requests that do it, on GitHub and on GitLab.
        act: Does it.
        count: How often it was done.
    """

    requests: tuple[str, str]
    act: Callable[[Forge, str], Any]
    count: Callable[[ForgeServer], int]

    def request(self, server: ForgeServer) -> str:
        return self.requests[isinstance(server, GitLabServer)]


OPERATIONS = {
    "new branch": Operation(
        ("POST /git/refs", "POST /repository/commits"),
        lambda forge, main: forge.commit("work", main, "Change", CHANGES),
        lambda server: branch_length(server, "work"),
    ),
    "commit": Operation(
        ("PATCH /git/refs", "POST /repository/commits"),
        lambda forge, main: forge.commit("main", main, "Change", CHANGES, replaces=main),
        lambda server: branch_length(server, "main"),
    ),
    "commit instead of another": Operation(
        ("PATCH /git/refs", "POST /repository/commits"),
        lambda forge, main: forge.commit(
            "release", main, "Change", CHANGES, replaces=forge.branch_head("release")
        ),
        lambda server: branch_length(server, "release"),
    ),
    "pull request": Operation(
        ("POST /pulls", "POST /merge_requests"),
        lambda forge, _main: forge.create_pull_request("release", "main", "Release", ""),
        lambda server: len(server.pull_requests),
    ),
}
LOST = {
    "502": Reply(502, b"<html>bad gateway</html>", {"Content-Type": "text/html"}),
    "500": Reply(500, {"message": "Server Error"}, {"X-RateLimit-Remaining": "4990", "X-RateLimit-Reset": "1e10"}),
    "520": Reply(520, b""),
    "dropped": DROP,
    "truncated": Reply(201, b'{"ref": "refs/'),
    "html": Reply(200, b"<html>sign in</html>", {"Content-Type": "text/html"}),
    "empty": Reply(201, {}),
}


@pytest.mark.parametrize("lost", LOST)
@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)
def test_what_happened_although_the_answer_was_lost_is_not_done_again(
    forge: Forge, server: ForgeServer, main: str, operation: Operation, lost: str
) -> None:
    server.fail(operation.request(server), LOST[lost], stored=True)
    operation.act(forge, main)
    assert operation.count(server) == 1
    assert server.faults == []


@pytest.mark.parametrize("lost", ["502", "dropped"])
@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)
def test_what_did_not_happen_is_done_again(
    forge: Forge, server: ForgeServer, main: str, operation: Operation, lost: str
) -> None:
    server.fail(operation.request(server), LOST[lost], times=2)
    operation.act(forge, main)
    assert operation.count(server) == 1
    assert server.faults == []


@pytest.mark.heavy
@pytest.mark.parametrize("stored", [True, False], ids=["stored", "not stored"])
@pytest.mark.parametrize("name", OPERATIONS)
def test_every_request_may_fail_once(
    forge: Forge, server: ForgeServer, main: str, name: str, stored: bool
) -> None:
    """Each request of an operation fails in turn; the operation is done in the end, and once."""
    saved = shutil.copytree(server.repository.path, server.repository.path.with_suffix(".saved"))
    OPERATIONS[name].act(forge, main)
    for number in range(len(server.requests)):
        shutil.rmtree(server.repository.path)
        shutil.copytree(saved, server.repository.path)
        server.pull_requests.clear()
        server.fail(r"\w+ ", LOST["502"], stored=stored, skip=number)
        OPERATIONS[name].act(forge, main)
        assert OPERATIONS[name].count(server) == 1
        assert server.faults == []


# --- rate limits


def minutes(server: ForgeServer, clock: SimulatedClock, number: float) -> str:
    return str(int((clock.today() + timedelta(minutes=number)).timestamp()))


LIMITS: dict[str, Callable[[ForgeServer, SimulatedClock], tuple[Reply, float]]] = {
    "retry-after": lambda *_: (Reply(429, {"message": "slow down"}, {"Retry-After": "90"}), 90),
    "secondary": lambda *_: (
        Reply(403, {"message": "You have exceeded a secondary rate limit."}, {"Retry-After": "45"}),
        45,
    ),
    "secondary without a time": lambda *_: (
        Reply(403, {"message": "You have exceeded a secondary rate limit."}, {"X-RateLimit-Remaining": "4000"}),
        60,
    ),
    "429 without a time": lambda *_: (Reply(429, {"message": "Retry later"}), 60),
    "primary": lambda server, clock: (
        Reply(
            403,
            {"message": "API rate limit exceeded for installation ID 1."},
            {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": minutes(server, clock, 5)},
        ),
        299,
    ),
}


@pytest.mark.parametrize("limit", LIMITS)
@pytest.mark.parametrize("act", ["read", "write"])
def test_rate_limits_are_waited_for(  # noqa: PLR0917 - columns of a table
    forge: Forge, server: ForgeServer, main: str, clock: SimulatedClock, limit: str, act: str
) -> None:
    reply, seconds = LIMITS[limit](server, clock)
    server.fail("GET " if act == "read" else OPERATIONS["new branch"].request(server), reply)
    reported: list[Waiting] = []
    before = clock.now()
    with waits.on_wait(reported.append):
        if act == "read":
            assert forge.branch_head("main") == main
        else:
            forge.commit("work", main, "Change", CHANGES)
            # Not read again after the rejection, which had no effect.
            assert (
                len([name for name in server.names("GET") if name.endswith(("heads/work", "branches/work"))]) == 1
            )
    assert seconds <= clock.now() - before <= seconds + 10
    assert [("rate" in waiting.reason) for waiting in reported] == [True]


def test_a_rate_limit_of_an_hour_is_for_another_run(
    forge: Forge, server: ForgeServer, main: str, clock: SimulatedClock
) -> None:
    headers = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": minutes(server, clock, 50)}
    server.fail("POST", Reply(403, {"message": "API rate limit exceeded"}, headers), times=100)
    with pytest.raises(TryLater, match=r"limits the rate of requests \(403\); retry after \d\d:\d\d:\d\d UTC"):
        forge.commit("work", main, "Change", CHANGES)
    assert len(server.names("POST")) == 1
    assert clock.now() < 10


def test_a_forge_that_is_down_is_tried_for_ten_minutes(
    forge: Forge, server: ForgeServer, main: str, clock: SimulatedClock
) -> None:
    server.fail(OPERATIONS["new branch"].request(server), Reply(503, b""), times=1000)
    with pytest.raises(TryLater, match=r"returned 503 .*; gave up after 10 min"):
        forge.commit("work", main, "Change", CHANGES)
    assert 590 <= clock.now() <= 620


def test_a_run_that_is_interrupted_waits_for_no_answer(forge: Forge, server: ForgeServer, main: str) -> None:
    server.fail("POST", delay=60, reply=DROP)

    def interrupt() -> None:
        assert eventually(lambda: bool(server.names("POST")))
        network.cancel_all()

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(Failed) as caught:
        forge.commit("work", main, "Change", CHANGES)
    thread.join()
    assert caught.value.code == "interrupted"
    assert server.repository.ref("refs/heads/work") is None


# --- permissions


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)
def test_without_a_token_nothing_is_sent_that_changes_something(
    server: ForgeServer, main: str, operation: Operation
) -> None:
    environment = {
        name: value for name, value in server.environment.items() if name not in ("GITHUB_TOKEN", "GITLAB_TOKEN")
    }
    forge = forge_of(server.remote, environment)
    assert forge.branch_head("main") == main
    with pytest.raises(Blocked, match="no token for") as caught:
        operation.act(forge, main)
    assert caught.value.code == "forge-token-missing"
    assert server.names("POST", "PATCH", "PUT") == []


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)
def test_a_token_that_is_not_accepted(server: ForgeServer, main: str, operation: Operation) -> None:
    names = ("GITHUB_TOKEN", "GITLAB_TOKEN")
    variable = next(name for name in names if name in server.environment)
    forge = forge_of(server.remote, server.environment | {variable: "an-old-token"})
    with pytest.raises(Blocked, match=rf"the token in {variable} is not accepted") as caught:
        operation.act(forge, main)
    assert caught.value.code == "forge-token-missing"


PERMISSIONS = {"pull request": "pull-requests: write", "run": "actions: write"}


@pytest.mark.parametrize("name", OPERATIONS)
def test_a_token_that_lacks_a_permission(forge: Forge, server: ForgeServer, main: str, name: str) -> None:
    if isinstance(server, GitHubServer):
        permission = PERMISSIONS.get(name, "contents: write")
        server.permissions[permission.partition(":")[0]] = "read"
    else:
        permission = "scope api"
        server.is_read_only = True  # type: ignore[attr-defined]  # the only other server
    with pytest.raises(Blocked) as caught:
        OPERATIONS[name].act(forge, main)
    assert caught.value.code == "forge-rejected"
    assert permission in str(caught.value.fix)
    assert OPERATIONS[name].count(server) == (1 if name == "commit instead of another" else 0)


@pytest.mark.parametrize("status", [403, 404])
@pytest.mark.parametrize("name", OPERATIONS)
def test_github_hides_what_a_token_may_not_see(
    forge: Forge, server: ForgeServer, main: str, name: str, status: int
) -> None:
    server.fail("POST|PATCH|PUT", Reply(status, {"message": "Not Found"}))
    with pytest.raises(Blocked, match="Not Found"):
        OPERATIONS[name].act(forge, main)


@pytest.mark.parametrize("server", [GitLabServer], ids=["gitlab"], indirect=True)
def test_the_token_of_a_gitlab_job_may_only_read(server: GitLabServer, main: str) -> None:
    server.of_job = True
    forge = forge_of(server.remote, server.environment)
    assert forge.branch_head("main") == main
    with pytest.raises(Blocked) as caught:
        forge.commit("work", main, "Change", CHANGES)
    assert "set GITLAB_TOKEN to a project access token" in str(caught.value.fix)


def test_what_the_forge_says_is_shown_without_secrets(forge: Forge, server: ForgeServer, main: str) -> None:
    text = f"rule violated:\n\x1b[31m {server.token} " + "x" * 1000
    server.fail("POST", Reply(422, {"message": "Validation Failed", "errors": [{"message": text}, 7, None, [[]]]}))
    with pytest.raises(Failed, match="422 Validation Failed; rule violated") as caught:
        forge.commit("work", main, "Change", CHANGES)
    assert server.token not in str(caught.value)
    assert len(str(caught.value)) < 500


# --- addresses


def test_a_token_is_not_sent_over_http(server: ForgeServer, main: str) -> None:
    forge = forge_of("http://gitlab.example.org/a/b", {"RELNOX_FORGE_TOKEN": "hunter22"})
    for act in (
        lambda: forge.branch_head("main"),
        lambda: forge.create_pull_request("release", "main", "Release", ""),
    ):
        with pytest.raises(Blocked) as caught:
            act()
        assert caught.value.code == "ca-bundle-missing"


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_renamed_repository_is_followed(forge: Forge, server: ForgeServer, main: str, status: int) -> None:
    location = f"{server.url}{server.prefix()}"
    git = isinstance(server, GitHubServer)
    path = "/git/ref/heads/main" if git else "/repository/branches/main"
    server.fail("GET", Reply(status, {}, {"Location": location + path}))
    assert forge.branch_head("main") == main
    path = "/git/refs" if git else "/repository/commits"
    server.fail(OPERATIONS["new branch"].request(server), Reply(status, {}, {"Location": location + path}))
    if status in (307, 308):
        new = forge.commit("work", main, "Change", CHANGES)
        assert forge.branch_head("work") == new.id
    else:
        with pytest.raises(Failed, match=str(status)):
            forge.commit("work", main, "Change", CHANGES)


def test_a_redirect_to_another_server_is_not_followed(forge: Forge, server: ForgeServer, main: str) -> None:
    with raw_server(answering(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")) as other:
        for location in (f"{other}repos", "//other.invalid/", "http://[", "ftp://x/"):
            for status in (302, 307):
                server.fail("GET", Reply(status, {}, {"Location": location}))
                with pytest.raises(Blocked) as caught:
                    forge.branch_head("main")
                assert caught.value.code == "forge-rejected"
    server.fail("GET", Reply(301, {}, {"Location": server.url + server.prefix() + "/x"}), times=100)
    with pytest.raises(Blocked, match="endlessly"):
        forge.branch_head("main")


def test_a_next_page_on_another_server_is_not_requested(forge: Forge, server: ForgeServer) -> None:
    def elsewhere(reply: Reply) -> Reply:
        return Reply(200, reply.document, {"Link": '<http://127.0.0.1:9/next>; rel="next"'})

    server.fail("GET", change=elsewhere)
    with pytest.raises(Failed, match="another server"):
        forge.pull_requests("release")


def test_a_listing_that_does_not_end(forge: Forge, server: ForgeServer) -> None:
    def endless(reply: Reply) -> Reply:
        path = "/pulls" if isinstance(server, GitHubServer) else "/merge_requests"
        return Reply(200, [], {"Link": f'<{server.url}{server.prefix()}{path}?page=2>; rel="next"'})

    server.fail("GET", change=endless, times=10_000)
    with pytest.raises(Failed, match="more than 50 pages"):
        forge.pull_requests("release")


@pytest.mark.parametrize("token", ["a\nb: c", "\x00", "t\u00f6k\u20acn"])
def test_a_token_that_no_header_can_hold(server: ForgeServer, main: str, token: str) -> None:
    with pytest.raises(Blocked) as caught:
        forge_of(server.remote, server.environment | {"RELNOX_FORGE_TOKEN": token})
    assert caught.value.code == "forge-token-missing"
    assert token not in f"{caught.value} {caught.value.fix}"


def test_the_token_is_a_secret(forge: Forge, server: ForgeServer) -> None:
    assert secrets.mask_secrets(f"token: {server.token}") == "token: ****"
    assert forge.name in ("GitHub", "GitLab")


# --- answers that make no sense

READS: dict[str, Callable[[Forge], Any]] = {
    "ref": lambda forge: forge.branch_head("main"),
    "pull request": lambda forge: forge.pull_request(1),
    "merged pull request": lambda forge: forge.pull_request(2),
    "pull requests": lambda forge: forge.pull_requests("release", only_open=False),
}
NONSENSE: tuple[Any, ...] = (
    *(
        None,
        True,
        0,
        -1,
        1 << 70,
        1.5,
        "",
        "x",
        "\ud800\x1b[2J",
        "9999-99-99T00:00:00Z",
        "0001-01-01T00:00:00+23:59",
    ),
    *([], [None], [[]], {}, {"ref": None}, {"sha": "x"}),
)


def leaves(document: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The paths of all values inside a document."""
    if path:
        yield path
    if isinstance(document, dict):
        for name, value in document.items():
            yield from leaves(value, (*path, name))
    elif isinstance(document, list):
        for number, value in enumerate(document):
            yield from leaves(value, (*path, number))


def replaced(document: Any, path: tuple[str | int, ...], value: Any) -> Any:
    changed = copy.deepcopy(document)
    inner = changed
    for name in path[:-1]:
        inner = inner[name]
    inner[path[-1]] = value
    return changed


@pytest.mark.heavy
@pytest.mark.parametrize("read", READS)
def test_no_answer_is_a_bug_of_relnox(
    forge: Forge, server: ForgeServer, main: str, read: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each value of an answer is replaced by others: there is a result, or an error of relnox."""
    server.pull_requests = [PullRequest(number, "release", "main", "Release", "body") for number in (1, 2)]
    server.pull_requests[0].unchecked = 0
    server.merge(2)
    server.add_run("refs/heads/main", main, event="x")
    READS[read](forge)
    answers: list[Reply] = []

    def record(reply: Reply) -> Reply:
        answers.append(reply)
        return reply

    server.fail("GET", change=record)
    READS[read](forge)
    document = answers[0].document
    monkeypatch.setattr(server, "answer", lambda _request: Reply(200, answers[-1].document))
    monkeypatch.setattr(server, "check", lambda *_: None)
    outcomes = set()
    for path in leaves(document):
        for value in NONSENSE:
            answers.append(Reply(200, replaced(document, path, value)))
            try:
                READS[read](forge)
                outcomes.add("result")
            except RelnoxError as error:
                outcomes.add(error.code)
    assert "forge-rejected" in outcomes
    assert outcomes <= {"result", "forge-rejected"}


LISTINGS = (("pull requests", "list"), ("runs", "list"))
BODIES = {
    "nothing": b"",
    "html": b"<!doctype html><title>Sign in</title>",
    "text": b"OK",
    "truncated": b'{"ref": "refs/heads/ma',
    "not utf-8": b'{"ref": "\xff"}',
    "deep": b"[" * 100_000,
    "a long number": b'{"number": ' + b"9" * 5000 + b"}",
    "many values": b"[" + b"0," * 2_000_000 + b"0]",
    "large": b'"' + b"x" * (17 << 20) + b'"',
    "list": b"[]",
    "object": b"{}",
    "null": b"null",
    "number": b"7",
}


@pytest.mark.parametrize(
    ("read", "body"),
    # An empty list is an answer there, on GitLab to both.
    [(read, body) for read in READS for body in BODIES if (read, body) not in LISTINGS],
)
def test_bodies_that_make_no_sense(forge: Forge, server: ForgeServer, read: str, body: str) -> None:
    server.fail("GET", Reply(200, BODIES[body]))
    with pytest.raises(Failed) as caught:
        READS[read](forge)
    assert caught.value.code == "forge-rejected"
    assert caught.value.fix is not None


@pytest.mark.parametrize("body", ["nothing", "html", "deep", "large", "list", "null"])
@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)
def test_bodies_that_make_no_sense_after_nothing_happened(
    forge: Forge, server: ForgeServer, main: str, operation: Operation, body: str
) -> None:
    server.fail(operation.request(server), Reply(201, BODIES[body]))
    before = operation.count(server) if operation is OPERATIONS["commit instead of another"] else 0
    with pytest.raises(RelnoxError) as caught:
        operation.act(forge, main)
    assert caught.value.code in ("forge-rejected", "run-missing", "ref-not-created")
    if before:
        assert operation.count(server) == before
