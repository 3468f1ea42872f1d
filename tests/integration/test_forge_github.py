"""GitHub alone: what GitLab does not have, or does in another way."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from fake_forge import Reply, forge_server
from fake_forge.github import GitHubServer
from projects import repository, single

from relnox.errors import Blocked, TryLater
from relnox.forges import FileChange, RunStatus

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


def test_a_run_that_is_listed_late_is_waited_for(forge: Forge, server: GitHubServer, main: str) -> None:
    server.returns_run = False
    server.unlisted = 4
    assert forge.start_run("release.yml", "refs/heads/main").id == server.runs[0].id
    assert len(server.runs) == 1


def test_a_run_that_is_never_listed(forge: Forge, server: GitHubServer, main: str) -> None:
    server.returns_run = False
    server.unlisted = 10_000
    with pytest.raises(TryLater) as caught:
        forge.start_run("release.yml", "refs/heads/main")
    assert caught.value.code == "run-missing"
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
    assert forge.run(run.id).status is expected


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


@pytest.mark.parametrize(
    ("workflow", "ref", "code"),
    [
        ("missing.yml", "refs/heads/main", "run-missing"),
        ("release.yml", "refs/tags/v9", "branch-changed"),
        ("ci.yml", "refs/heads/main", "run-missing"),
        ("strict.yml", "refs/heads/main", "run-missing"),
    ],
)
def test_runs_that_cannot_be_started(  # noqa: PLR0917 - columns of a table
    forge: Forge, server: GitHubServer, main: str, workflow: str, ref: str, code: str
) -> None:
    server.workflows |= {"ci.yml", "strict.yml"}
    server.required_inputs["strict.yml"] = "package"
    with pytest.raises(Blocked) as caught:
        forge.start_run(workflow, ref)
    assert caught.value.code == code
    assert server.runs == []


@pytest.mark.parametrize("ref", ["refs/tags/v1.0", "refs/heads/main"])
def test_enterprise_servers_return_no_run(forge: Forge, server: GitHubServer, main: str, ref: str) -> None:
    server.returns_run = False
    server.repository.set_ref("refs/tags/v1.0", main)
    server.add_run(ref, main)
    run = forge.start_run("release.yml", ref)
    assert (run.id, len(server.runs)) == (server.runs[-1].id, 2)


def test_runs_of_a_workflow(forge: Forge, server: GitHubServer, main: str) -> None:
    server.workflows.add("ci.yml")
    run = server.add_run("refs/heads/main", main)
    server.add_run("refs/heads/main", main, "ci.yml")
    assert [run.id for run in forge.runs(workflow="release.yml")] == [run.id]
    with pytest.raises(Blocked) as caught:
        forge.runs(workflow="missing.yml")
    assert caught.value.code == "run-missing"


def test_a_commit_that_changes_workflows(forge: Forge, server: GitHubServer, main: str) -> None:
    """The token of a job may not create refs to commits that change workflows, and GitHub does not say why."""
    server.may_change_workflows = False
    changes = (FileChange(".github/workflows/new.yml", b"on: push"),)
    with pytest.raises(Blocked, match=r"\.github/workflows differ from the default branch") as caught:
        forge.commit("work", main, "CI", changes)
    assert caught.value.code == "forge-rejected"


def test_a_new_run_that_cannot_be_read_at_once(forge: Forge, server: GitHubServer) -> None:
    server.fail("GET /actions/runs/", Reply(404, {"message": "Not Found"}), times=3)
    assert forge.start_run("release.yml", "refs/heads/main").id == server.runs[0].id
    assert len(server.runs) == 1


def test_a_new_run_that_can_never_be_read(forge: Forge, server: GitHubServer) -> None:
    server.fail("GET /actions/runs/", Reply(404, {"message": "Not Found"}), times=1000)
    with pytest.raises(TryLater) as caught:
        forge.start_run("release.yml", "refs/heads/main")
    assert caught.value.code == "run-missing"
    assert len(server.runs) == 1
