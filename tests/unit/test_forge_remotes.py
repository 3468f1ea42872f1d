"""Which forge a remote is on, and which token goes where."""

from __future__ import annotations

import pytest

from relnox.errors import Blocked
from relnox.forges import forge_of
from relnox.forges.remotes import repository_location

IN_GITHUB = {"GITHUB_SERVER_URL": "https://github.com", "GITHUB_API_URL": "https://api.github.com"}
IN_GITLAB = {"CI_SERVER_URL": "https://git.example.org", "CI_API_V4_URL": "https://git.example.org/api/v4"}


@pytest.mark.parametrize(
    ("remote", "kind", "path", "api"),
    [
        ("https://github.com/acme/demo", "github", "acme/demo", "https://api.github.com"),
        ("https://github.com/acme/demo.git", "github", "acme/demo", "https://api.github.com"),
        ("https://user:password@github.com/acme/demo.git/", "github", "acme/demo", "https://api.github.com"),
        ("git@github.com:acme/demo.git", "github", "acme/demo", "https://api.github.com"),
        ("github.com:acme/demo.git", "github", "acme/demo", "https://api.github.com"),
        ("ssh://git@github.com:22/acme/demo.git", "github", "acme/demo", "https://api.github.com"),
        ("ssh://git@ssh.github.com:443/acme/demo.git", "github", "acme/demo", "https://api.github.com"),
        ("https://acme.ghe.com/acme/demo.git", "github", "acme/demo", "https://api.acme.ghe.com"),
        ("https://GitHub.example.org/acme/demo", "github", "acme/demo", "https://github.example.org/api/v3"),
        ("https://gitlab.com/group/sub/demo.git", "gitlab", "group/sub/demo", "https://gitlab.com/api/v4"),
        ("git@gitlab.com:group/demo.git", "gitlab", "group/demo", "https://gitlab.com/api/v4"),
        ("https://gitlab.example.org:8443/g/d", "gitlab", "g/d", "https://gitlab.example.org:8443/api/v4"),
        ("ssh://git@gitlab.example.org:2222/g/d.git", "gitlab", "g/d", "https://gitlab.example.org/api/v4"),
        ("http://gitlab.localhost:8080/g/d.git", "gitlab", "g/d", "http://gitlab.localhost:8080/api/v4"),
    ],
)
def test_the_forge_is_detected_from_the_remote(remote: str, kind: str, path: str, api: str) -> None:
    location = repository_location(remote, {})
    assert (location.kind, location.path, location.api) == (kind, path, api)


@pytest.mark.parametrize(
    "remote",
    [
        "/srv/git/demo.git",
        "../demo.git",
        "C:/git/demo.git",
        "file:///srv/git/demo.git",
        "https://example.org/acme/demo.git",
        "https://notgithub.com/acme/demo.git",
        "https://github.com.example.org/acme/demo.git\n",
        "https://github.com/",
        "https://github.com/demo",
        "https://github.com/../../admin",
        "https://github.com/acme/demo%3Fa=b",
        "https://github.com/acme/de mo",
        "https://[github.com/acme/demo",
        "https://github.com:x/acme/demo",
        "git@github.com",
        "",
    ],
)
def test_other_remotes_have_no_forge(remote: str) -> None:
    with pytest.raises(Blocked) as caught:
        repository_location(remote, {})
    assert caught.value.code == "forge-unknown"
    assert ("git remote add" in caught.value.fix) == (not remote)


@pytest.mark.parametrize(
    ("remote", "path"),
    [
        ("https://example.org/lab/group/demo.git", "group/demo"),
        ("git@example.org:lab/demo.git", "lab/demo"),
        ("ssh://git@example.org:2222/group/demo.git", "group/demo"),
    ],
)
def test_a_server_may_be_below_a_path(remote: str, path: str) -> None:
    url = "https://example.org/lab"
    location = repository_location(remote, {"CI_SERVER_URL": f"{url}/", "CI_API_V4_URL": f"{url}/api/v4"})
    assert (location.path, location.web, location.api) == (path, f"{url}/{path}", f"{url}/api/v4")


def test_a_password_in_the_remote_is_not_repeated() -> None:
    with pytest.raises(Blocked) as caught:
        repository_location("https://user:hunter22@example.org/acme/demo", {})
    assert "hunter22" not in f"{caught.value} {caught.value.fix}"


def test_the_kind_can_be_set() -> None:
    remote = "https://git.example.org/acme/demo"
    assert repository_location(remote, {"RELNOX_FORGE": "github"}).api == "https://git.example.org/api/v3"
    assert repository_location(remote, {"RELNOX_FORGE": "gitlab"}).api == "https://git.example.org/api/v4"
    with pytest.raises(Blocked, match="unknown forge"):
        repository_location(remote, {"RELNOX_FORGE": "gitea"})


def test_the_forge_of_a_ci_job_is_known_by_its_variables() -> None:
    assert repository_location("https://git.example.org/a/b", IN_GITLAB).kind == "gitlab"
    server = {
        "GITHUB_SERVER_URL": "https://code.example.org",
        "GITHUB_API_URL": "https://code.example.org/api/v3/",
    }
    assert repository_location("git@code.example.org:a/b.git", server).api == "https://code.example.org/api/v3"


def test_the_api_of_a_job_is_not_that_of_other_servers() -> None:
    assert (
        repository_location("https://github.example.org/a/b", IN_GITHUB).api == "https://github.example.org/api/v3"
    )
    assert repository_location("https://gitlab.com/a/b", IN_GITLAB).api == "https://gitlab.com/api/v4"


ALL = {name: f"value-{name}" for name in ("GH_TOKEN", "GITHUB_TOKEN", "GITLAB_TOKEN", "CI_JOB_TOKEN")}


@pytest.mark.parametrize(
    ("remote", "variables", "variable"),
    [
        ("https://github.com/a/b", {"GITHUB_TOKEN": "x"}, "GITHUB_TOKEN"),
        ("https://github.com/a/b", ALL, "GH_TOKEN"),
        ("https://github.com/a/b", {**ALL, "RELNOX_FORGE_TOKEN": "x"}, "RELNOX_FORGE_TOKEN"),
        ("https://github.com/a/b", {"GH_TOKEN": " ", "GITHUB_TOKEN": "x"}, "GITHUB_TOKEN"),
        ("https://github.com/a/b", {"GITLAB_TOKEN": "x"}, ""),
        ("https://gitlab.com/a/b", ALL, "GITLAB_TOKEN"),
        ("https://gitlab.com/a/b", {"CI_JOB_TOKEN": "x"}, ""),
        ("https://git.example.org/a/b", {**IN_GITLAB, "CI_JOB_TOKEN": "x"}, "CI_JOB_TOKEN"),
        # A server that only looks like GitHub does not get GitHub's token, nor one of another CI provider.
        ("https://github.example.org/a/b", {**IN_GITHUB, **ALL}, ""),
        ("https://gitlab.example.org/a/b", {**IN_GITLAB, **ALL}, ""),
        ("https://github.example.org/a/b", {**ALL, "RELNOX_FORGE_TOKEN": "x"}, "RELNOX_FORGE_TOKEN"),
    ],
)
def test_a_token_goes_to_the_server_that_it_is_for(remote: str, variables: dict[str, str], variable: str) -> None:
    assert repository_location(remote, variables).token_variable == variable


def test_the_fix_for_a_missing_token_names_a_variable_that_is_set_by_hand() -> None:
    for remote, variables, name in (
        ("https://github.com/a/b", {}, "GH_TOKEN"),
        ("https://git.example.org/a/b", IN_GITLAB, "GITLAB_TOKEN"),
        ("https://github.example.org/a/b", IN_GITHUB, "RELNOX_FORGE_TOKEN"),
    ):
        with pytest.raises(Blocked) as caught:
            forge_of(remote, variables).require_token()
        assert str(caught.value.fix).startswith(f"set {name} to a token for a/b")
