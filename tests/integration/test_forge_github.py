"""GitHub's API: what is asked for, what comes back, and everything that goes wrong in between."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from fake_forge import DROP, Reply, forge_server
from fake_forge.github import GitHubServer, PullRequestOfServer
from projects import git, repository, single

from relnox.errors import Blocked, Conflict, Failed, TryLater
from relnox.forges import FileChange, PullRequestState, RunStatus, forge_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from releases import SimulatedClock

    from relnox.forges import Forge


ABSENT = "1" * 40


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    return repository(single(tmp_path / "demo"))


@pytest.fixture
def server(checkout: Path, clock: SimulatedClock) -> Iterator[GitHubServer]:
    fake = GitHubServer(checkout.parent / "demo.git")
    with forge_server(fake):
        yield fake


@pytest.fixture
def forge(server: GitHubServer) -> Forge:
    return forge_of(server.remote, server.environment)


@pytest.fixture
def main(server: GitHubServer) -> str:
    return str(server.repository.ref("refs/heads/main"))


def release_branch(server: GitHubServer, main: str, name: str = "release") -> str:
    tree = server.repository.tree(main, [("100644", "NEWS", server.repository.blob(b"news\n"))])
    commit = server.repository.commit(tree, [main], "Release")
    server.repository.set_ref(f"refs/heads/{name}", commit)
    return commit


# --- refs


def test_a_tag_is_created_and_read(forge: Forge, server: GitHubServer, main: str, checkout: Path) -> None:
    assert forge.commit_of("refs/tags/v1.0") is None
    assert forge.create_ref("refs/tags/v1.0", main) is True
    assert forge.commit_of("refs/tags/v1.0") == main
    git(checkout, "fetch", "--quiet", "--tags")
    assert git(checkout, "cat-file", "-t", "v1.0") == "commit"


def test_an_annotated_tag_is_created_and_followed(forge: Forge, main: str, checkout: Path) -> None:
    assert forge.create_ref("refs/tags/v1.0", main, "demo 1.0") is True
    assert forge.commit_of("refs/tags/v1.0") == main
    git(checkout, "fetch", "--quiet", "--tags")
    assert git(checkout, "cat-file", "-t", "v1.0") == "tag"
    assert git(checkout, "for-each-ref", "--format=%(contents:subject)", "refs/tags/v1.0") == "demo 1.0"


@pytest.mark.parametrize("message", ["", "demo 1.0"])
def test_what_exists_already_is_not_created_again(forge: Forge, main: str, message: str) -> None:
    forge.create_ref("refs/tags/v1.0", main, message)
    assert forge.create_ref("refs/tags/v1.0", main, message) is False


def test_a_tag_of_another_commit_is_a_conflict(forge: Forge, server: GitHubServer, main: str) -> None:
    other = release_branch(server, main)
    forge.create_ref("refs/tags/v1.0", main)
    with pytest.raises(Conflict, match=r"tag v1\.0 already exists") as caught:
        forge.create_ref("refs/tags/v1.0", other)
    assert caught.value.code == "ref-exists"
    assert forge.commit_of("refs/tags/v1.0") == main


@pytest.mark.parametrize("message", ["", "demo 1.0"])
def test_a_tag_of_a_commit_that_was_not_pushed(forge: Forge, message: str) -> None:
    with pytest.raises(Blocked) as caught:
        forge.create_ref("refs/tags/v1.0", ABSENT, message)
    assert caught.value.code == "commit-not-pushed"


# --- commits

CHANGES = (
    FileChange("pyproject.toml", b"[project]\r\nname = 'n\xc3\xa4me'\n"),
    FileChange("new/data.bin", b"\x00\xff\x00"),
    FileChange("run.sh", b"#!/bin/sh\n", executable=True),
    FileChange("README.md", None),
)


def test_a_commit_has_the_very_files(forge: Forge, server: GitHubServer, main: str) -> None:
    made = forge.commit("release", main, "Release 1.0", CHANGES)
    stored = server.repository
    assert made.verified
    assert forge.commit_of("refs/heads/release") == made.id
    assert (stored.parents(made.id), stored.message(made.id)) == ([main], "Release 1.0")
    for change in CHANGES:
        assert stored.file(made.id, change.path) == change.content
    assert stored.mode(made.id, "run.sh") == "100755"
    changed = stored.git("diff", "--name-only", main, made.id).split()
    assert sorted(changed) == sorted(change.path for change in CHANGES)


def test_an_equal_commit_is_not_made_again(forge: Forge, server: GitHubServer, main: str) -> None:
    made = forge.commit("release", main, "Release 1.0", CHANGES)
    assert forge.commit("release", main, "Release 1.0", CHANGES) == made
    assert server.names("POST", "PATCH").count("POST /git/commits") == 1


def test_a_branch_is_replaced_in_one_step(forge: Forge, server: GitHubServer, main: str) -> None:
    """A branch that was moved to its base in between would have its pull request closed."""
    old = forge.commit("release", main, "Release 1.0", CHANGES)
    pull = forge.create_pull_request("release", "main", "Release", "")
    newer = server.repository.commit(server.repository.tree_of(main), [main], "Fix")
    server.repository.set_ref("refs/heads/main", newer)
    made = forge.commit("release", newer, "Release 1.0", CHANGES, replaces=old.id)
    assert server.repository.parents(made.id) == [newer]
    assert forge.pull_request(pull.number).state is PullRequestState.OPEN


def test_a_commit_is_added_to_a_branch(forge: Forge, server: GitHubServer, main: str) -> None:
    made = forge.commit("main", main, "Change", [FileChange("a", b"a")], replaces=main)
    assert server.repository.ref("refs/heads/main") == made.id
    assert server.requests[-1].body["force"] is False


@pytest.mark.parametrize("replaces", [None, ABSENT])
def test_a_branch_that_moved_meanwhile_is_a_conflict(
    forge: Forge, server: GitHubServer, main: str, replaces: str | None
) -> None:
    head = release_branch(server, main)
    with pytest.raises(Conflict) as caught:
        forge.commit("release", main, "Release 1.0", CHANGES, replaces=replaces)
    assert caught.value.code == "branch-moved"
    assert server.repository.ref("refs/heads/release") == head


def test_a_commit_that_github_does_not_sign(forge: Forge, server: GitHubServer, main: str) -> None:
    server.signs = False
    assert forge.commit("release", main, "Release 1.0", CHANGES).verified is False


def test_a_parent_that_was_not_pushed(forge: Forge) -> None:
    with pytest.raises(Blocked) as caught:
        forge.commit("release", ABSENT, "Release 1.0", CHANGES)
    assert caught.value.code == "commit-not-pushed"


# --- pull requests


def test_a_pull_request_lives_through_its_states(forge: Forge, server: GitHubServer, main: str) -> None:
    head = release_branch(server, main)
    assert forge.pull_requests("release") == ()
    pull = forge.create_pull_request("release", "main", "Release 1.0", "<!-- marker -->\nnotes")
    assert (pull.number, pull.state, pull.head, pull.head_commit, pull.base) == (
        1,
        PullRequestState.OPEN,
        "release",
        head,
        "main",
    )
    assert forge.pull_request(1).conflicts is False
    changed = forge.update_pull_request(1, title="Release 1.1", body="<!-- marker -->\nmore notes")
    assert (changed.title, changed.body) == ("Release 1.1", "<!-- marker -->\nmore notes")
    assert [found.number for found in forge.pull_requests("release", marker="<!-- marker -->")] == [1]
    assert forge.pull_requests("release", marker="<!-- other -->") == ()
    assert forge.update_pull_request(1, is_open=False).state is PullRequestState.CLOSED_UNMERGED
    assert forge.pull_requests("release") == ()
    assert forge.update_pull_request(1, is_open=True).state is PullRequestState.OPEN
    merge = server.merge(1, squash=True)
    merged = forge.pull_request(1)
    assert (merged.state, merged.merge_commit) == (PullRequestState.MERGED, merge)
    assert [found.number for found in forge.pull_requests("release", state=PullRequestState.MERGED)] == [1]
    assert forge.pull_requests("release", state=PullRequestState.CLOSED_UNMERGED) == ()
    assert len(forge.pull_requests("release", state=None)) == 1


def test_a_commit_for_a_merge_check_is_not_the_merge(forge: Forge, server: GitHubServer, main: str) -> None:
    release_branch(server, main)
    assert forge.create_pull_request("release", "main", "Release", "").merge_commit is None


def test_conflicts_are_waited_for(forge: Forge, server: GitHubServer, main: str) -> None:
    for name in ("release", "main"):
        blob = server.repository.blob(name.encode())
        tree = server.repository.tree(main, [("100644", "README.md", blob)])
        server.repository.set_ref(f"refs/heads/{name}", server.repository.commit(tree, [main], name))
    forge.create_pull_request("release", "main", "Release", "")
    server.pull_requests[0].unchecked = 3
    assert forge.pull_request(1).conflicts is True
    server.pull_requests[0].unchecked = 1000
    assert forge.pull_request(1).conflicts is None


def test_the_open_pull_request_of_a_branch_is_not_created_twice(
    forge: Forge, server: GitHubServer, main: str
) -> None:
    release_branch(server, main)
    first = forge.create_pull_request("release", "main", "Release", "body")
    assert forge.create_pull_request("release", "main", "Other", "other") == first
    assert len(server.pull_requests) == 1


def test_pull_requests_of_forks_do_not_count(forge: Forge, server: GitHubServer, main: str) -> None:
    release_branch(server, main)
    marker = "<!-- marker -->"
    server.pull_requests = [
        PullRequestOfServer(1, "release", "main", "Release", marker, fork="acme/fork"),
        PullRequestOfServer(2, "release", "main", "Release", marker, fork="mallory/demo"),
        PullRequestOfServer(3, "other", "main", "Release", marker),
    ]
    assert forge.pull_requests("release", marker=marker) == ()


def test_all_pages_are_read(forge: Forge, server: GitHubServer, main: str) -> None:
    release_branch(server, main)
    server.pull_requests = [
        PullRequestOfServer(number, "release", "main", "Release", None, state="closed") for number in range(1, 71)
    ]
    numbers = [found.number for found in forge.pull_requests("release", state=None)]
    assert numbers == list(range(70, 0, -1))
    assert len(server.requests) == 3


@pytest.mark.parametrize(
    ("head", "base", "code"),
    [("main", "release", "pull-request-empty"), ("missing", "main", "branch-missing")],
)
def test_pull_requests_that_cannot_be(  # noqa: PLR0917 - columns of a table
    forge: Forge, server: GitHubServer, main: str, head: str, base: str, code: str
) -> None:
    release_branch(server, main)
    with pytest.raises(Blocked) as caught:
        forge.create_pull_request(head, base, "Release", "")
    assert caught.value.code == code


def test_github_actions_may_not_create_pull_requests(forge: Forge, server: GitHubServer, main: str) -> None:
    release_branch(server, main)
    server.may_create_pull_requests = False
    with pytest.raises(Blocked, match="not permitted to create") as caught:
        forge.create_pull_request("release", "main", "Release", "")
    assert caught.value.code == "pull-requests-not-permitted"
    assert "Settings > Actions > General" in str(caught.value.fix)


# --- runs


@pytest.mark.parametrize("returns_run", [True, False], ids=["github.com", "enterprise"])
@pytest.mark.parametrize("ref", ["refs/tags/v1.0", "refs/heads/main"])
def test_a_run_is_started_and_followed(
    forge: Forge, server: GitHubServer, main: str, ref: str, returns_run: bool
) -> None:
    server.returns_run = returns_run
    server.repository.set_ref("refs/tags/v1.0", main)
    server.add_run(ref, main)
    run = forge.start_run("release.yml", ref, {"package": "demo"})
    stored = server.runs[-1]
    assert len(server.runs) == 2
    assert stored["inputs"] == {"package": "demo"}
    assert (run.id, run.ref, run.commit) == (stored["id"], ref.rsplit("/", maxsplit=1)[-1], main)
    assert (run.event, run.status, run.status.is_final) == ("workflow_dispatch", RunStatus.QUEUED, False)
    stored.update(status="completed", conclusion="success")
    assert forge.run(run.id).status is RunStatus.SUCCESS


def test_a_run_that_is_listed_late_is_waited_for(forge: Forge, server: GitHubServer, main: str) -> None:
    server.returns_run = False
    server.unlisted = 4
    assert forge.start_run("release.yml", "refs/heads/main", {}).id == server.runs[0]["id"]
    assert len(server.runs) == 1


def test_a_run_that_is_never_listed(forge: Forge, server: GitHubServer, main: str) -> None:
    server.returns_run = False
    server.unlisted = 10_000
    with pytest.raises(TryLater) as caught:
        forge.start_run("release.yml", "refs/heads/main", {})
    assert caught.value.code == "run-not-listed"
    assert len(server.runs) == 1


@pytest.mark.parametrize(
    ("status", "conclusion", "expected"),
    [
        ("queued", None, RunStatus.QUEUED),
        ("requested", None, RunStatus.QUEUED),
        ("in_progress", None, RunStatus.RUNNING),
        ("waiting", None, RunStatus.WAITING),
        ("completed", "success", RunStatus.SUCCESS),
        ("completed", "failure", RunStatus.FAILURE),
        ("completed", "timed_out", RunStatus.FAILURE),
        ("completed", "startup_failure", RunStatus.FAILURE),
        ("completed", "cancelled", RunStatus.CANCELED),
        ("completed", "skipped", RunStatus.SKIPPED),
        ("completed", "action_required", RunStatus.WAITING),
        ("completed", None, RunStatus.FAILURE),
    ],
)
def test_states_of_runs(  # noqa: PLR0917 - columns of a table
    forge: Forge, server: GitHubServer, main: str, status: str, conclusion: str | None, expected: RunStatus
) -> None:
    run = server.add_run("refs/heads/main", main, status=status, conclusion=conclusion)
    assert forge.run(run["id"]).status is expected


def test_runs_are_selected(forge: Forge, server: GitHubServer, main: str) -> None:
    other = release_branch(server, main)
    server.workflows.add("ci.yml")
    tagged = server.add_run("refs/tags/v1.0", main)
    server.add_run("refs/tags/v2.0", other)
    pushed = server.add_run("refs/heads/main", main, event="push", workflow="ci.yml")
    assert [run.id for run in forge.runs(workflow="release.yml", ref="refs/tags/v1.0")] == [tagged["id"]]
    assert [run.id for run in forge.runs(event="push")] == [pushed["id"]]
    assert len(forge.runs(commit=main)) == 2
    since = datetime(2026, 11, 22, 10, 0, 2, 999, tzinfo=UTC)
    assert [run.id for run in forge.runs(since=since)] == [pushed["id"]]
    assert forge.runs(since=since + timedelta(seconds=1)) == ()


@pytest.mark.parametrize(
    ("workflow", "ref", "inputs", "code"),
    [
        ("missing.yml", "refs/heads/main", {}, "workflow-missing"),
        ("release.yml", "refs/tags/v9", {}, "ref-missing"),
        ("ci.yml", "refs/heads/main", {}, "workflow-not-startable"),
        ("release.yml", "refs/heads/main", {"packages": "x"}, "workflow-inputs-invalid"),
    ],
)
def test_runs_that_cannot_be_started(  # noqa: PLR0917 - columns of a table
    forge: Forge, server: GitHubServer, main: str, workflow: str, ref: str, inputs: dict[str, str], code: str
) -> None:
    server.workflows.add("ci.yml")
    with pytest.raises(Blocked) as caught:
        forge.start_run(workflow, ref, inputs)
    assert caught.value.code == code
    assert server.runs == []


@pytest.mark.parametrize(
    ("read", "code"),
    [
        (lambda forge: forge.run(7), "run-missing"),
        (lambda forge: forge.pull_request(7), "pull-request-missing"),
    ],
)
def test_what_is_not_there(forge: Forge, read: Callable[[Forge], Any], code: str) -> None:
    with pytest.raises(Blocked) as caught:
        read(forge)
    assert caught.value.code == code


# --- failures

OPERATIONS: dict[str, tuple[str, Callable[[Forge, str], Any], Callable[[GitHubServer], int]]] = {
    "ref": (
        "POST /git/refs",
        lambda forge, main: forge.create_ref("refs/tags/v1.0", main),
        lambda server: len(server.repository.git("tag").split()),
    ),
    "annotated tag": (
        "POST /git/tags",
        lambda forge, main: forge.create_ref("refs/tags/v1.0", main, "demo 1.0"),
        lambda server: len(server.repository.git("tag").split()),
    ),
    "new branch": (
        "POST /git/refs",
        lambda forge, main: forge.commit("work", main, "Change", CHANGES),
        lambda server: len(server.repository.git("rev-list", "main..work").split()),
    ),
    "branch": (
        "PATCH /git/refs",
        lambda forge, main: forge.commit("main", main, "Change", CHANGES, replaces=main),
        lambda server: len(server.repository.git("rev-list", "main").split()) - 1,
    ),
    "tree": (
        "POST /git/trees",
        lambda forge, main: forge.commit("main", main, "Change", CHANGES, replaces=main),
        lambda server: len(server.repository.git("rev-list", "main").split()) - 1,
    ),
    "pull request": (
        "POST /pulls",
        lambda forge, _main: forge.create_pull_request("release", "main", "Release", ""),
        lambda server: len(server.pull_requests),
    ),
    "run": (
        "POST /actions",
        lambda forge, _main: forge.start_run("release.yml", "refs/heads/main", {}),
        lambda server: len(server.runs),
    ),
}
HTML = Reply(200, b"<html>sign in</html>", {"Content-Type": "text/html"})
LOST = {
    "502": Reply(502, b"<html>bad gateway</html>", {"Content-Type": "text/html"}),
    "500": Reply(500, {"message": "Server Error"}),
    "520": Reply(520, b""),
    "dropped": DROP,
    "truncated": Reply(201, b'{"ref": "refs/'),
}


@pytest.mark.parametrize("lost", LOST)
@pytest.mark.parametrize("operation", OPERATIONS)
def test_what_happened_although_the_answer_was_lost_is_not_done_again(
    forge: Forge, server: GitHubServer, main: str, operation: str, lost: str
) -> None:
    release_branch(server, main)
    request, act, count = OPERATIONS[operation]
    server.fail(request, LOST[lost], stored=True)
    if operation in ("annotated tag", "tree") and lost == "truncated":
        with pytest.raises(Failed, match="not JSON"):
            act(forge, main)
        return
    act(forge, main)
    assert count(server) == 1
    assert server.faults == []


@pytest.mark.parametrize("lost", ["502", "dropped"])
@pytest.mark.parametrize("operation", OPERATIONS)
def test_what_did_not_happen_is_done_again(
    forge: Forge, server: GitHubServer, main: str, operation: str, lost: str
) -> None:
    release_branch(server, main)
    request, act, count = OPERATIONS[operation]
    server.fail(request, LOST[lost], times=2)
    act(forge, main)
    assert count(server) == 1
    assert server.faults == []
