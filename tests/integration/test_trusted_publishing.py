"""Trusted Publishing against a loopback index that mints, and the identity providers that `id` knows."""

from __future__ import annotations

import re
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
import releases
from accounts import Publisher
from package_index import PackageIndex
from trusting import AUDIENCE, GITLAB_VARIABLE, REQUEST_TOKEN, identity, trusting

from relnox.core.settings.config import Config, IndexConfig
from relnox.errors import Blocked, Failed, Problem, TryLater
from relnox.indexes import credentials, targets, trusted_publishing
from relnox.system import retries

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from releases import SimulatedClock
    from running import RunResult
    from trusting import Trusting

pytestmark = pytest.mark.heavy


@pytest.fixture
def index(clock: SimulatedClock) -> Iterator[Trusting]:
    with trusting() as index:
        yield index


def on_github(index: Trusting, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    variables = {
        "GITHUB_ACTIONS": "true",
        "ACTIONS_ID_TOKEN_REQUEST_TOKEN": REQUEST_TOKEN,
        "ACTIONS_ID_TOKEN_REQUEST_URL": f"{index.origin}/identity?api-version=2",
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return variables


def on_gitlab(monkeypatch: pytest.MonkeyPatch, token: str) -> dict[str, str]:
    variables = {"GITLAB_CI": "true", GITLAB_VARIABLE: token}
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return variables


def found(index: Trusting, variables: dict[str, str]) -> credentials.Credentials:
    config = Config(indexes={"house": IndexConfig(upload=index.upload_url, simple=index.simple_url)})
    return credentials.find_credentials(targets.find_target("house", config), variables)


def token(of: credentials.Credentials, project: str) -> str:
    return of.secret(project).reveal()


def test_each_project_has_a_token_of_its_own_and_each_mint_an_identity_of_its_own(
    index: Trusting, monkeypatch: pytest.MonkeyPatch
) -> None:
    # it works with any index, and nothing is stored anywhere.
    who = found(index, on_github(index, monkeypatch))
    assert (who.user, who.origin) == ("__token__", "Trusted Publishing, as acme/demo")
    assert index.minted == []  # looking mints nothing
    assert [token(who, name) for name in ("core", "agents", "core", "agents")] == [
        "minted-1",
        "minted-2",
        "minted-1",
        "minted-2",
    ]
    assert len(index.seen) == 2


def test_eight_threads_of_one_project_mint_once(index: Trusting, monkeypatch: pytest.MonkeyPatch) -> None:
    who = found(index, on_github(index, monkeypatch))
    with ThreadPoolExecutor(8) as pool:
        tokens = list(pool.map(lambda number: token(who, f"p{number % 4}"), range(40)))
    assert sorted(set(tokens)) == ["minted-1", "minted-2", "minted-3", "minted-4"]
    assert len(index.minted) == 4


@pytest.mark.parametrize(("later", "minted"), [(590.0, 1), (605.0, 2), (2000.0, 2)])
def test_a_token_is_renewed_when_fewer_than_five_minutes_are_left(
    later: float, minted: int, index: Trusting, clock: SimulatedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    who = found(index, on_github(index, monkeypatch))
    token(who, "core")
    clock.pause(later, threading.Event())
    assert token(who, "core") == f"minted-{minted}"


def test_a_job_with_one_identity_mints_once_for_all_projects(
    index: Trusting, clock: SimulatedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    # GitLab gives a job one identity, and the index takes it once.
    variables = on_gitlab(monkeypatch, identity("only", project_path="acme/demo"))
    who = found(index, variables)
    assert {token(who, name) for name in ("core", "agents", "vespa")} == {"minted-1"}
    clock.pause(800, threading.Event())  # less than five minutes are left, and they are used
    assert token(who, "core") == "minted-1"
    clock.pause(60, threading.Event())
    with pytest.raises(Failed, match="invalid-reuse-token"):
        token(found(index, variables), "core")
    with pytest.raises(Failed, match="GitLab CI issues one identity token for each job") as failed:
        token(who, "core")
    assert "rerun the job" in (failed.value.fix or "")
    assert "--package NAME" in (failed.value.fix or "")
    assert index.requests.count("POST /_/oidc/mint-token") == 2


def test_a_mint_that_failed_is_tried_with_another_identity(
    index: Trusting, monkeypatch: pytest.MonkeyPatch
) -> None:
    index.errors = ["503", "service-unavailable"]
    who = found(index, on_github(index, monkeypatch))
    for _ in range(2):
        with pytest.raises(retries.TransientError):
            token(who, "core")
    assert token(who, "core") == "minted-1"
    assert len(set(index.identities)) == len(index.identities) == 4  # one to look at, three to show


@pytest.mark.parametrize(
    ("code", "kind", "remedy"),
    [
        ("invalid-publisher", Blocked, "with the project name core"),
        ("invalid-pending-publisher", Blocked, "add the publisher to the project if it exists"),
        ("invalid-reuse-token", Failed, "rerun the job"),
        ("invalid-token", Failed, "clock"),
        ("invalid-payload", Failed, "clock"),
        ("not-enabled", TryLater, "status page"),
        ("unheard-of", Failed, "or use a token"),
    ],
)
def test_a_rejected_identity_token_has_a_fix(
    code: str, kind: type[Problem], remedy: str, index: Trusting, monkeypatch: pytest.MonkeyPatch
) -> None:
    index.errors = [code]
    who = found(index, on_github(index, monkeypatch))
    with pytest.raises(kind) as failed:
        token(who, "core")
    assert f"house did not issue an upload token for core ({code}" in failed.value.message
    assert remedy in (failed.value.fix or "")
    assert ("workflow_ref: acme/demo/.github" in failed.value.message) == (code == "invalid-publisher")
    assert index.identities[-1] not in f"{failed.value.message} {failed.value.fix}"  # the index repeats it


@pytest.mark.parametrize(
    ("variables", "reason"),
    [
        ({}, "not running on a supported CI provider"),
        ({"GITHUB_ACTIONS": "true"}, "permissions: id-token: write"),
        ({"GITLAB_CI": "true"}, f"id_tokens: {GITLAB_VARIABLE}: aud: {AUDIENCE}"),
        ({"BUILDKITE": "true"}, f"Buildkite issues no identity token for {AUDIENCE}"),
        ({"CIRCLECI": "true"}, f"CircleCI issues no identity token for {AUDIENCE}"),
    ],
)
def test_without_an_identity_the_reason_is_the_last_of_the_list(
    variables: dict[str, str], reason: str, index: Trusting, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(credentials.CredentialsNotFound) as refused:
        found(index, variables)
    last = refused.value.message.splitlines()[-2]
    assert last.startswith("  Trusted Publishing: ")
    assert reason in last


def test_an_index_without_the_endpoints_does_not_support_trusted_publishing(
    index: Trusting, monkeypatch: pytest.MonkeyPatch
) -> None:
    variables = on_github(index, monkeypatch)
    house = targets.Target("house", f"{index.origin}/legacy/", "")
    monkeypatch.setattr(trusted_publishing, "_AUDIENCE", "/nothing/here")
    provider = trusted_publishing.token_provider(house, variables)
    assert provider == f"not supported by {index.origin.removeprefix('http://')}"
    far = targets.Target("house", "http://packages.example.invalid/legacy/", "")
    reason = trusted_publishing.token_provider(far, variables)
    assert reason == "not used over http (packages.example.invalid)"


@pytest.mark.parametrize(
    "audience",
    [
        *("pypi", "testpypi", "sigstore", "sts.cloud.example", "https://forge.example/acme", "api://exchange"),
        *("https://127.0.0.1.example/", "http://[::1", "urn:127.0.0.1", "acme-packages", "vault", ""),
    ],
)
def test_an_index_gets_no_identity_for_another_service(
    audience: str, index: Trusting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trusting.AUDIENCE", audience)
    with pytest.raises(
        Blocked, match=f"requests an identity token for {re.escape(audience)}, which is another service"
    ):
        found(index, on_github(index, monkeypatch))
    assert not any("/identity" in each for each in index.requests)
    assert index.minted == []


@pytest.mark.parametrize("audience", ["127.0.0.1", "127.0.0.1:443", "https://127.0.0.1/packages"])
def test_an_index_gets_an_identity_for_itself(
    audience: str, index: Trusting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trusting.AUDIENCE", audience)
    assert token(found(index, on_github(index, monkeypatch)), "core") == "minted-1"


# --- a release of several projects

SEVERAL = [releases.Package("core"), releases.Package("agents")]


def publish(root: Path, index: Trusting | PackageIndex, code: int | None = None) -> RunResult:
    return releases.publish_to(root, index.upload_url, index.simple_url, "--attestations", "off", code=code)


@pytest.mark.parametrize("code", ["invalid-publisher", "invalid-pending-publisher"])
@pytest.mark.parametrize("missing", [1, 2])
def test_nothing_is_sent_for_any_project_when_one_gets_no_token(
    *, missing: int, code: str, index: Trusting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_github(index, monkeypatch)
    releases.release(tmp_path, SEVERAL)
    index.errors = [code] * missing
    ran = publish(tmp_path, index, code=1)
    messages = (f"own did not issue an upload token for {each.name} ({code}" for each in SEVERAL)
    assert sum(message in ran.err for message in messages) == missing
    assert "publish: blocked; nothing was changed" in ran.err
    assert len(index.minted) == len(SEVERAL) - missing
    assert (index.hashes, index.logins) == ({}, [])
    # With the publisher in its place the same command is all it takes.
    publish(tmp_path, index, code=0)
    assert len(index.hashes) == 4


def test_tokens_that_remain_unavailable_end_the_run_before_any_upload(
    index: Trusting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_github(index, monkeypatch)
    releases.release(tmp_path, SEVERAL)
    index.errors = ["service-unavailable"] * 10_000
    ran = publish(tmp_path, index, code=5)
    for each in SEVERAL:
        assert f"own did not issue an upload token for {each.name} (service-unavailable" in ran.err
    assert "; gave up after 20 min" in ran.err
    assert (index.hashes, index.logins) == ({}, [])
    index.errors = ["service-unavailable"] * 3  # that is for a moment
    assert publish(tmp_path, index).code == 0
    assert len(index.hashes) == 4


def test_different_errors_of_two_projects_are_all_reported(
    index: Trusting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_github(index, monkeypatch)
    releases.release(tmp_path, SEVERAL)
    index.errors = ["invalid-publisher", "not-enabled"]
    ran = publish(tmp_path, index, code=5)
    assert "(invalid-publisher" in ran.err
    assert "(not-enabled" in ran.err
    assert "compare owner, repository, workflow file and environment with the publisher" in ran.err
    assert "check the status page of the index" in ran.err
    assert index.hashes == {}


def test_a_token_that_is_good_for_one_project_alone_leaves_a_release_that_the_same_command_finishes(
    index: Trusting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # An identity names no project: where the job is the publisher of one, the index mints for the other, too, and
    # says no to its first file.
    index.claims = {"iss": "https://token.actions.githubusercontent.com"}
    on_github(index, monkeypatch)
    manifest = releases.release(tmp_path / "work", SEVERAL)
    core, agents = (
        Publisher(project=each.name, repository="acme/demo", workflow="release.yml") for each in SEVERAL
    )
    for entitled, code in (([core], 3), ([core, agents], 0)):
        with PackageIndex(publishers=entitled) as house:
            for each in SEVERAL:
                house.create_project(each.name)
            ran = publish(tmp_path / "work", house, code=code)
            assert releases.is_whole(house, manifest) is (code == 0)
            assert releases.public(house, manifest).keys() >= {file.filename for file in manifest.files_of("core")}
        assert ("token is not valid for project: 'agents'" in ran.err) is (code != 0)
