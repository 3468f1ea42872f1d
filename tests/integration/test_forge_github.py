"""GitHub alone: what GitLab does not have, or does in another way."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from fake_forge import forge_server
from fake_forge.github import GitHubServer
from projects import repository, single

from relnox.errors import Blocked
from relnox.forges import FileChange

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from releases import SimulatedClock

    from relnox.forges import Forge


@pytest.fixture
def server(tmp_path: Path, clock: SimulatedClock) -> Iterator[GitHubServer]:
    fake = GitHubServer(repository(single(tmp_path / "demo")).parent / "demo.git")
    with forge_server(fake):
        yield fake


def release_branch(server: GitHubServer, main: str) -> None:
    tree = server.repository.tree(main, [("100644", "NEWS", server.repository.blob(b"news\n"))])
    server.repository.set_ref("refs/heads/release", server.repository.commit(tree, [main], "Release"))


@pytest.mark.parametrize(
    ("head", "base", "code"),
    [("main", "release", "pull-request-changed"), ("missing", "main", "branch-changed")],
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
    assert caught.value.code == "forge-rejected"
    assert "Settings > Actions > General" in str(caught.value.fix)


def test_a_commit_that_changes_workflows(forge: Forge, server: GitHubServer, main: str) -> None:
    """The token of a job may not create refs to commits that change workflows, and GitHub does not say why."""
    server.may_change_workflows = False
    changes = (FileChange(".github/workflows/new.yml", b"on: push"),)
    with pytest.raises(Blocked, match=r"\.github/workflows differ from the default branch") as caught:
        forge.commit("work", main, "CI", changes)
    assert caught.value.code == "forge-rejected"
