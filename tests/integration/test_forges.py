"""Pull requests on GitHub and GitLab: the same calls have the same results, and what goes wrong with a forge."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from fake_forge import DROP, GitHubServer, GitLabServer, PullRequest, Reply, forge_server
from loopback import eventually
from projects import git, remote_of, repository, single

from relnox.errors import Blocked, Failed, TryLater
from relnox.forges import forge_of
from relnox.system import retries
from relnox.system.run_scope import current_scope

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from fake_forge import ForgeServer
    from releases import SimulatedClock

    from relnox.core.planning.events import Waiting
    from relnox.forges import Forge


@pytest.fixture(params=[GitHubServer, GitLabServer], ids=["github", "gitlab"])
def server(request: pytest.FixtureRequest, tmp_path: Path, clock: SimulatedClock) -> Iterator[ForgeServer]:
    """A forge with the branches main and release, and a simulated clock."""
    root = repository(single(tmp_path / "demo"))
    git(root, "push", "--quiet", "origin", "main:release")
    fake: ForgeServer = request.param(remote_of(root))
    with forge_server(fake):
        yield fake


@pytest.fixture
def forge(server: ForgeServer) -> Forge:
    return forge_of(server.remote, server.environment)


def find(forge: Forge) -> Any:
    return forge.find_open_pull_request("release", "main")


def create(forge: Forge) -> Any:
    return forge.create_pull_request("release", "main", "Release", "notes")


def update(forge: Forge) -> Any:
    return forge.update_pull_request(1, title="Release", body="notes")


def read(forge: Forge) -> Any:
    return forge.pull_request(1)


CALLS = {"find": find, "create": create, "update": update, "read": read}


def requests_sent(server: ForgeServer) -> int:
    return len(server.sent("POST", "PATCH", "PUT"))


# --- pull requests


def test_a_pull_request_lives_through_its_states(forge: Forge, server: ForgeServer) -> None:
    assert find(forge) is None
    pull = create(forge)
    assert (pull.number, pull.title, pull.body, pull.is_open) == (1, "Release", "notes", True)
    assert pull.url.startswith("https://")
    changed = forge.update_pull_request(1, title="Release 1.1", body="more notes")
    assert (changed.title, changed.body) == ("Release 1.1", "more notes")
    assert find(forge) == read(forge) == changed
    for state in ("closed", "merged"):
        server.pull_requests[0].state = state
        assert read(forge).is_open is False
        assert find(forge) is None


def test_the_open_pull_request_of_a_branch_is_not_created_twice(forge: Forge, server: ForgeServer) -> None:
    first = create(forge)
    assert forge.create_pull_request("release", "main", "Other", "other") == first
    assert len(server.pull_requests) == 1


def test_only_the_pull_request_between_the_branches_of_the_repository_counts(
    forge: Forge, server: ForgeServer
) -> None:
    server.pull_requests = [
        PullRequest(1, "release", "main", "Release", "", fork="acme/fork"),
        PullRequest(2, "release", "main", "Release", "", fork="mallory/demo"),
        PullRequest(3, "other", "main", "Release", None),
        PullRequest(4, "release", "other", "Release", None),
    ]
    assert find(forge) is None
    server.pull_requests.append(PullRequest(5, "release", "main", "Release", None))
    assert find(forge).number == 5


def test_a_pull_request_of_a_branch_that_is_not_there(forge: Forge) -> None:
    with pytest.raises(Failed, match="422 Validation Failed"):
        forge.create_pull_request("missing", "main", "Release", "")


# --- lost answers, rate limits

LOST = {
    "502": Reply(502, b"<html>bad gateway</html>", {"Content-Type": "text/html"}),
    "500": Reply(500, {"message": "Server Error"}, {"X-RateLimit-Remaining": "4990", "X-RateLimit-Reset": "1e10"}),
    "520": Reply(520, b""),
    "dropped": DROP,
}


@pytest.mark.parametrize("lost", LOST)
@pytest.mark.parametrize("stored", [False, True])
def test_one_pull_request_is_created_if_answers_are_lost(
    forge: Forge, server: ForgeServer, lost: str, stored: bool
) -> None:
    server.fail("", LOST[lost], stored=stored, times=3)
    assert create(forge).title == "Release"
    assert len(server.pull_requests) == 1


def minutes(clock: SimulatedClock, number: float) -> str:
    return str(int((clock.utc_now() + timedelta(minutes=number)).timestamp()))


LIMITS: dict[str, Callable[[SimulatedClock], tuple[Reply, float]]] = {
    "retry-after": lambda _: (Reply(429, {"message": "slow down"}, {"Retry-After": "90"}), 90),
    "secondary": lambda _: (
        Reply(403, {"message": "You have exceeded a secondary rate limit."}, {"Retry-After": "45"}),
        45,
    ),
    "secondary without a time": lambda _: (
        Reply(403, {"message": "You have exceeded a secondary rate limit."}, {"X-RateLimit-Remaining": "4000"}),
        60,
    ),
    "429 without a time": lambda _: (Reply(429, {"message": "Retry later"}), 60),
    "primary": lambda clock: (
        Reply(
            403,
            {"message": "API rate limit exceeded for installation ID 1."},
            {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": minutes(clock, 5)},
        ),
        299,
    ),
}


@pytest.mark.parametrize("limit", LIMITS)
@pytest.mark.parametrize("call", [find, create])
def test_rate_limits_are_waited_for(
    forge: Forge, server: ForgeServer, clock: SimulatedClock, limit: str, call: Callable[[Forge], Any]
) -> None:
    reply, seconds = LIMITS[limit](clock)
    server.fail("", reply)
    reported: list[Waiting] = []
    before = clock.monotonic()
    with retries.use_wait_listener(reported.append):
        call(forge)
    assert seconds <= clock.monotonic() - before <= seconds + 10
    assert [("rate" in waiting.reason) for waiting in reported] == [True]
    assert len(server.requests) == 2


def test_a_rate_limit_of_an_hour_is_for_another_run(
    forge: Forge, server: ForgeServer, clock: SimulatedClock
) -> None:
    headers = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": minutes(clock, 50)}
    server.fail("POST", Reply(403, {"message": "API rate limit exceeded"}, headers), times=100)
    with pytest.raises(TryLater, match=r"limits the rate of requests \(403\); retry after \d\d:\d\d:\d\d UTC"):
        create(forge)
    assert requests_sent(server) == 1
    assert clock.monotonic() < 10


def test_a_forge_that_is_down_is_tried_for_ten_minutes(
    forge: Forge, server: ForgeServer, clock: SimulatedClock
) -> None:
    server.fail("POST", Reply(503, b""), times=1000)
    with pytest.raises(TryLater, match=r"returned 503 .*; gave up after 10 min"):
        create(forge)
    assert 590 <= clock.monotonic() <= 620


def test_a_run_that_is_interrupted_waits_for_no_answer(forge: Forge, server: ForgeServer) -> None:
    server.fail("POST", DROP, delay=60)

    def interrupt() -> None:
        assert eventually(lambda: requests_sent(server) > 0)
        current_scope().interrupt()

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(Failed) as caught:
        create(forge)
    thread.join()
    assert caught.value.code == "interrupted"
    assert server.pull_requests == []


# --- permissions


@pytest.mark.parametrize("call", [create, update])
def test_without_a_token_nothing_is_sent_that_changes_something(
    server: ForgeServer, call: Callable[[Forge], Any]
) -> None:
    environment = {name: value for name, value in server.environment.items() if not name.endswith("_TOKEN")}
    forge = forge_of(server.remote, environment)
    assert find(forge) is None
    with pytest.raises(Blocked, match="no token for") as caught:
        call(forge)
    assert caught.value.code == "forge-token-missing"
    assert requests_sent(server) == 0


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_a_token_that_is_not_accepted(server: ForgeServer, call: Callable[[Forge], Any]) -> None:
    variable = next(name for name in server.environment if name.endswith("_TOKEN"))
    forge = forge_of(server.remote, server.environment | {variable: "an-old-token"})
    with pytest.raises(Blocked, match=rf"the token in {variable} is not accepted") as caught:
        call(forge)
    assert caught.value.code == "forge-token-missing"


@pytest.mark.parametrize("status", [403, 404])
@pytest.mark.parametrize("call", [create, update])
def test_a_token_that_lacks_a_permission(
    forge: Forge, server: ForgeServer, call: Callable[[Forge], Any], status: int
) -> None:
    server.fail("POST|PATCH|PUT", Reply(status, {"message": "Not Found"}))
    with pytest.raises(Blocked, match=f"{status} Not Found") as caught:
        call(forge)
    assert caught.value.code == "forge-rejected"
    permission = "pull-requests: write" if isinstance(server, GitHubServer) else "scope api"
    assert permission in str(caught.value.fix)


def test_jobs_that_may_not_create_pull_requests(server: ForgeServer) -> None:
    environment, fix = server.environment, "Settings > Actions > General"
    if isinstance(server, GitLabServer):
        environment["CI_JOB_TOKEN"] = environment.pop("GITLAB_TOKEN")
        fix = "set GITLAB_TOKEN to a project access token"
    server.fail(
        "POST", Reply(403, {"message": "GitHub Actions is not permitted to create or approve pull requests."})
    )
    with pytest.raises(Blocked) as caught:
        create(forge_of(server.remote, environment))
    assert fix in str(caught.value.fix)


def test_what_the_forge_says_is_shown_without_secrets(forge: Forge, server: ForgeServer) -> None:
    text = f"rule violated:\n\x1b[31m {server.token} " + "x" * 1000
    server.fail("POST", Reply(422, {"message": "Validation Failed", "errors": [{"message": text}, 7, None, [[]]]}))
    with pytest.raises(Failed, match="422 Validation Failed; rule violated") as caught:
        create(forge)
    assert server.token not in str(caught.value)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("token", ["a\nb: c", "\x00", "t\u00f6k\u20acn"])
def test_a_token_that_no_header_can_hold(server: ForgeServer, token: str) -> None:
    with pytest.raises(Blocked) as caught:
        forge_of(server.remote, server.environment | {"RELNOX_FORGE_TOKEN": token})
    assert caught.value.code == "forge-token-missing"
    assert token not in f"{caught.value} {caught.value.fix}"


# --- addresses


def test_a_token_is_not_sent_over_http() -> None:
    forge = forge_of("http://gitlab.example.org/a/b", {"RELNOX_FORGE_TOKEN": "hunter22"})
    for call in (find, create):
        with pytest.raises(Blocked) as caught:
            call(forge)
        assert caught.value.code == "connection-not-encrypted"


@pytest.mark.parametrize("status", [301, 302, 307, 308])
@pytest.mark.parametrize("call", [find, create])
def test_a_moved_repository_is_an_error(
    forge: Forge, server: ForgeServer, call: Callable[[Forge], Any], status: int
) -> None:
    """The token goes to no other address."""
    server.fail("", Reply(status, {}, {"Location": f"{server.url}{server.prefix}/elsewhere"}))
    with pytest.raises(Blocked, match="was moved") as caught:
        call(forge)
    assert "git remote set-url" in str(caught.value.fix)
    assert len(server.requests) == 1


# --- answers that make no sense

NONSENSE: tuple[Any, ...] = (
    *(None, True, -1, 1 << 70, 1.5, float("inf"), "", "\ud800\x1b[2J"),
    *([], [None], {}, {"ref": None}),
)
BODIES: dict[str, bytes] = {
    "nothing": b"",
    "html": b"<!doctype html><title>Sign in</title>",
    "truncated": b'{"ref": "refs/heads/ma',
    "not utf-8": b'{"ref": "\xff"}',
    "deep": b"[" * 100_000,
    "a long number": b'{"number": ' + b"9" * 5000 + b"}",
    "many values": b"[" + b"0," * 2_000_000 + b"0]",
    "large": b'"' + b"x" * (17 << 20) + b'"',
    "entries": b"[[]]",
    "object": b"{}",
    "null": b"null",
}


def test_no_value_in_an_answer_is_a_bug_of_relnox(forge: Forge, server: ForgeServer) -> None:
    """Each value is replaced by others: there is a pull request, or an error of relnox."""
    document = server.document(PullRequest(1, "release", "main", "", None))
    server.fail("GET", Reply(200, document))
    assert read(forge).number == 1
    codes = set()
    for name in document:
        for value in NONSENSE:
            for nested in (
                [value] if not isinstance(document[name], dict) else [value, {**document[name], "repo": value}]
            ):
                server.fail("GET", Reply(200, {**document, name: nested}))
                try:
                    read(forge)
                except Failed as error:
                    codes.add(error.code)
    assert codes == {"forge-rejected"}


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_bodies_that_make_no_sense(
    forge: Forge, server: ForgeServer, call: Callable[[Forge], Any], body: str
) -> None:
    server.fail("", Reply(200, BODIES[body]), stored=call is create)
    with pytest.raises(Failed, match="unexpected response") as caught:
        call(forge)
    assert caught.value.code == "forge-rejected"
    assert caught.value.fix is not None
    if call is create:
        assert create(forge).title == "Release"
        assert len(server.pull_requests) == 1
