"""GitHub and GitLab behind one protocol: the same calls have the same results on both."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from fake_forge import PullRequest, forge_server
from fake_forge.github import GitHubServer
from fake_forge.gitlab import GitLabServer
from projects import repository, single

from relnox.errors import Blocked, Conflict
from relnox.forges import FileChange, PullRequestState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from fake_forge import ForgeServer
    from releases import SimulatedClock

    from relnox.forges import Forge

ABSENT = "1" * 40


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    return repository(single(tmp_path / "demo"))


@pytest.fixture(params=[GitHubServer, GitLabServer], ids=["github", "gitlab"])
def server(request: pytest.FixtureRequest, checkout: Path, clock: SimulatedClock) -> Iterator[ForgeServer]:
    fake: ForgeServer = request.param(checkout.parent / "demo.git")
    with forge_server(fake):
        yield fake


def release_branch(server: ForgeServer, main: str, name: str = "release") -> str:
    tree = server.repository.tree(main, [("100644", "NEWS", server.repository.blob(b"news\n"))])
    commit = server.repository.commit(tree, [main], "Release")
    server.repository.set_ref(f"refs/heads/{name}", commit)
    return commit


# --- refs


def test_the_head_of_a_branch_is_read(forge: Forge, server: ForgeServer, main: str) -> None:
    assert forge.branch_head("release") is None
    assert forge.branch_head("main") == main
    server.repository.set_ref("refs/heads/topic/c#1", main)
    assert forge.branch_head("topic/c#1") == main


# --- commits

CHANGES = (
    FileChange("pyproject.toml", b"[project]\r\nname = 'n\xc3\xa4me'\n"),
    FileChange("new/data.bin", b"\x00\xff\x00"),
    FileChange("run.sh", b"#!/bin/sh\n", executable=True),
    FileChange("README.md", None),
)


def test_a_commit_has_the_very_files(forge: Forge, server: ForgeServer, main: str) -> None:
    made = forge.commit("release", main, "Release 1.0", CHANGES)
    stored = server.repository
    assert made.verified
    assert forge.branch_head("release") == made.id
    assert (stored.parents(made.id), stored.message(made.id)) == ([main], "Release 1.0")
    for change in CHANGES:
        assert stored.file(made.id, change.path) == change.content
    assert stored.mode(made.id, "run.sh") == "100755"
    changed = stored.git("diff", "--name-only", main, made.id).split()
    assert sorted(changed) == sorted(change.path for change in CHANGES)


def test_an_equal_commit_is_not_made_again(forge: Forge, server: ForgeServer, main: str) -> None:
    made = forge.commit("release", main, "Release 1.0", CHANGES)
    assert forge.commit("release", main, "Release 1.0", CHANGES) == made
    assert len(server.repository.git("rev-list", "main..release").split()) == 1


def test_a_branch_is_replaced_in_one_step(forge: Forge, server: ForgeServer, main: str) -> None:
    """A branch that was moved to its base in between would have its pull request closed."""
    old = forge.commit("release", main, "Release 1.0", CHANGES)
    pull = forge.create_pull_request("release", "main", "Release", "")
    newer = server.repository.commit(server.repository.tree_of(main), [main], "Fix")
    server.repository.set_ref("refs/heads/main", newer)
    made = forge.commit("release", newer, "Release 1.0", CHANGES, replaces=old.id)
    assert server.repository.parents(made.id) == [newer]
    assert forge.pull_request(pull.number).state is PullRequestState.OPEN


def test_a_commit_is_added_to_a_branch(forge: Forge, server: ForgeServer, main: str) -> None:
    made = forge.commit("main", main, "Change", [FileChange("a", b"a")], replaces=main)
    assert server.repository.ref("refs/heads/main") == made.id
    assert server.repository.parents(made.id) == [main]
    assert not any((request.body or {}).get("force") for request in server.requests)


@pytest.mark.parametrize("replaces", [None, ABSENT])
def test_a_branch_that_moved_meanwhile_is_a_conflict(
    forge: Forge, server: ForgeServer, main: str, replaces: str | None
) -> None:
    head = release_branch(server, main)
    with pytest.raises(Conflict) as caught:
        forge.commit("release", main, "Release 1.0", CHANGES, replaces=replaces)
    assert caught.value.code == "branch-behind"
    assert server.repository.ref("refs/heads/release") == head


def test_a_commit_that_the_forge_does_not_sign(forge: Forge, server: ForgeServer, main: str) -> None:
    server.signs = False
    assert forge.commit("release", main, "Release 1.0", CHANGES).verified is False


def test_a_parent_that_was_not_pushed(forge: Forge) -> None:
    with pytest.raises(Blocked) as caught:
        forge.commit("release", ABSENT, "Release 1.0", CHANGES)
    assert caught.value.code == "branch-behind"


# --- pull requests


@pytest.mark.parametrize("squash", [True, False])
def test_a_pull_request_lives_through_its_states(
    forge: Forge, server: ForgeServer, main: str, squash: bool
) -> None:
    release_branch(server, main)
    assert forge.pull_requests("release") == ()
    pull = forge.create_pull_request("release", "main", "Release 1.0", "<!-- marker -->\nnotes")
    assert (pull.number, pull.state, pull.head, pull.base) == (1, PullRequestState.OPEN, "release", "main")
    assert forge.pull_request(1).conflicts is False
    changed = forge.update_pull_request(1, title="Release 1.1", body="<!-- marker -->\nmore notes")
    assert (changed.title, changed.body) == ("Release 1.1", "<!-- marker -->\nmore notes")
    assert [found.number for found in forge.pull_requests("release")] == [1]
    server.pull_requests[0].state = "closed"
    assert forge.pull_request(1).state is PullRequestState.CLOSED_UNMERGED
    assert forge.pull_requests("release") == ()
    server.pull_requests[0].state = "open"
    server.merge(1, squash=squash)
    assert forge.pull_request(1).state is PullRequestState.MERGED
    assert forge.pull_requests("release") == ()
    assert len(forge.pull_requests("release", only_open=False)) == 1


def test_conflicts_are_waited_for(forge: Forge, server: ForgeServer, main: str) -> None:
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
    forge: Forge, server: ForgeServer, main: str
) -> None:
    release_branch(server, main)
    first = forge.create_pull_request("release", "main", "Release", "body")
    assert forge.create_pull_request("release", "main", "Other", "other") == first
    assert len(server.pull_requests) == 1


def test_pull_requests_of_forks_do_not_count(forge: Forge, server: ForgeServer, main: str) -> None:
    release_branch(server, main)
    marker = "<!-- marker -->"
    server.pull_requests = [
        PullRequest(1, "release", "main", "Release", marker, fork="acme/fork"),
        PullRequest(2, "release", "main", "Release", marker, fork="mallory/demo"),
        PullRequest(3, "other", "main", "Release", marker),
    ]
    assert forge.pull_requests("release") == ()


def test_all_pages_are_read(forge: Forge, server: ForgeServer, main: str) -> None:
    release_branch(server, main)
    server.pull_requests = [
        PullRequest(number, "release", "main", "Release", None, state="closed") for number in range(1, 71)
    ]
    numbers = [found.number for found in forge.pull_requests("release", only_open=False)]
    assert numbers == list(range(70, 0, -1))
    assert len(server.requests) in (2, 3)


# --- runs


def test_a_pull_request_of_a_branch_that_is_not_there(forge: Forge) -> None:
    with pytest.raises(Blocked) as caught:
        forge.create_pull_request("missing", "main", "Release", "")
    assert caught.value.code == "branch-changed"


@pytest.mark.parametrize(
    ("read", "code"),
    [
        (lambda forge: forge.pull_request(7), "pull-request-missing"),
    ],
)
def test_what_is_not_there(forge: Forge, read: Callable[[Forge], Any], code: str) -> None:
    with pytest.raises(Blocked) as caught:
        read(forge)
    assert caught.value.code == code
