"""Who may upload to the embedded index: users, scoped tokens, and CI jobs that bring an identity token."""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from controlled_index import ControlledIndex
from controlled_index.accounts import Accounts, Token
from controlled_index.faults import LOST_RESPONSE, Cut, Rule, unavailable
from controlled_index.minting import Publisher, TrustedPublishing
from loopback import StoppedClock, ask, declared, make_sdist, make_wheel, page, post

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from loopback import Answer

pytestmark = pytest.mark.heavy

REJECTED = "Invalid or non-existent authentication information.\n"


def send(index: ControlledIndex, path: Path, user: str | None, password: str = "", **fields: str) -> Answer:
    credentials = base64.b64encode(f"{user}:{password}".encode()).decode()
    headers = {} if user is None else {"Authorization": f"Basic {credentials}"}
    return post(index, declared(path, dict(fields)), **headers)


# --- users and their tokens


@pytest.fixture
def accounts(stopped_clock: StoppedClock) -> Accounts:
    return Accounts(
        {"anna": "secret", "otto": "hidden"},
        [
            Token(secret="pypi-all", user="anna"),
            Token(secret="pypi-demo", user="anna", projects=("Demo_Pkg",)),
            Token(secret="pypi-old", user="anna", expires=stopped_clock.now),
        ],
    )


@pytest.fixture
def index(tmp_path: Path, accounts: Accounts, stopped_clock: StoppedClock) -> Iterator[ControlledIndex]:
    with ControlledIndex(tmp_path / "index", accounts=accounts, clock=stopped_clock) as running:
        yield running


@pytest.mark.parametrize(
    ("user", "password"),
    [
        (None, ""),
        ("anna", "wrong"),
        ("anna", ""),
        ("unknown", "secret"),
        ("__token__", "secret"),
        ("anna", "pypi-all"),
    ],
)
def test_unknown_credentials_are_rejected(
    user: str | None, password: str, index: ControlledIndex, tmp_path: Path
) -> None:
    answer = send(index, make_wheel(tmp_path, "demo", "1.0"), user, password)
    assert (answer.status, answer.text) == (403, REJECTED)
    assert ask(f"{index.simple_url}demo/").status == 404


@pytest.mark.parametrize("header", ["Bearer pypi-all", "Basic ?", "Basic /w=="])
def test_credentials_in_another_form_are_rejected(header: str, index: ControlledIndex, tmp_path: Path) -> None:
    body = declared(make_wheel(tmp_path, "demo", "1.0"))
    assert post(index, body, Authorization=header).status == 403


@pytest.mark.parametrize(("user", "password"), [("anna", "secret"), ("__token__", "pypi-all")])
def test_a_user_makes_a_project_by_uploading(
    user: str, password: str, index: ControlledIndex, tmp_path: Path
) -> None:
    assert send(index, make_wheel(tmp_path, "demo", "1.0"), user, password).status == 200
    assert send(index, make_wheel(tmp_path, "demo", "1.1"), "anna", "secret").status == 200


def test_a_project_is_its_owners(index: ControlledIndex, tmp_path: Path) -> None:
    """Another account has the name."""
    assert send(index, make_wheel(tmp_path, "demo", "1.0"), "anna", "secret").status == 200
    answer = send(index, make_wheel(tmp_path, "demo", "1.1"), "otto", "hidden")
    assert (answer.status, answer.text) == (403, "The user 'otto' isn't allowed to upload to project 'demo'.\n")


def test_a_tokens_scope_is_kept(index: ControlledIndex, tmp_path: Path) -> None:
    first, other = make_wheel(tmp_path, "demo-pkg", "1.0"), make_wheel(tmp_path, "other", "1.0")
    new = send(index, first, "__token__", "pypi-demo")
    assert (new.status, "not valid for project: 'demo-pkg'" in new.text) == (403, True)
    for path in (first, other):
        assert send(index, path, "anna", "secret").status == 200
    assert send(index, make_wheel(tmp_path, "demo-pkg", "1.1"), "__token__", "pypi-demo").status == 200
    answer = send(index, make_wheel(tmp_path, "other", "1.1"), "__token__", "pypi-demo")
    assert answer.status == 403
    assert answer.text == "Invalid API Token: project-scoped token is not valid for project: 'other'\n"


def test_a_token_expires(index: ControlledIndex, stopped_clock: StoppedClock, tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, "demo", "1.0")
    answer = send(index, wheel, "__token__", "pypi-old")
    assert (answer.status, answer.text) == (403, "Invalid API Token: token is expired\n")
    stopped_clock.now -= 1
    assert send(index, wheel, "__token__", "pypi-old").status == 200


def test_no_secret_is_shown(index: ControlledIndex, accounts: Accounts, tmp_path: Path) -> None:
    send(index, make_wheel(tmp_path, "demo", "1.0"), "__token__", "pypi-all")
    shown = repr((index.log, accounts, Token(secret="pypi-all", user="anna")))
    assert "pypi-all" not in shown
    kept = b"".join(path.read_bytes() for path in (tmp_path / "index").rglob("*") if path.is_file())
    assert b"pypi-all" not in kept


def test_twine_uploads_with_a_token(index: ControlledIndex, tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, "demo", "1.0")
    argv = [sys.executable, "-m", "twine", "upload", "--non-interactive", "--repository-url", index.upload_url]
    for password, code in (("pypi-none", 1), ("pypi-all", 0)):
        done = subprocess.run(
            [*argv, "-u", "__token__", "-p", password, wheel], capture_output=True, check=False, timeout=120
        )
        assert done.returncode == code, done.stdout
    assert index.uploads[-1].user == "__token__"


# --- trusted publishing


def jwt(**claims: Any) -> str:
    """An identity token as GitHub makes them; its signature is left to the imagination."""
    usual = {
        "iss": "https://token.actions.githubusercontent.com",
        "aud": "relnox-embedded",
        "repository": "Org/demo",
        "job_workflow_ref": "Org/demo/.github/workflows/release.yml@refs/tags/v1",
        "environment": "pypi",
        "exp": StoppedClock.now + 300,
        "jti": "1",
    }
    kept = {name: value for name, value in {**usual, **claims}.items() if value is not None}
    return ".".join(
        base64.urlsafe_b64encode(part).decode().rstrip("=") for part in (b"{}", json.dumps(kept).encode(), b"sign")
    )


def mint(index: ControlledIndex, token: str) -> tuple[int, Any]:
    answer = ask(index.mint_url, method="POST", body=json.dumps({"token": token}).encode())
    assert answer.headers["Content-Type"] == "application/json"
    return answer.status, json.loads(answer.body)


def refusal(index: ControlledIndex, token: str) -> tuple[str, str]:
    """Code and description of the error that a request to mint meets."""
    status, document = mint(index, token)
    assert (status, document["message"]) == (422, "Token request failed")
    (error,) = document["errors"]
    return error["code"], error["description"]


DEMO = Publisher(project="demo", repository="org/demo", workflow="release.yml", environment="pypi")
PENDING = Publisher(project="New_Project", repository="org/new", workflow="release.yml", pending=True)


@pytest.fixture
def trusting(tmp_path: Path, accounts: Accounts, stopped_clock: StoppedClock) -> Iterator[ControlledIndex]:
    terms = TrustedPublishing(publishers=(DEMO, PENDING))
    with ControlledIndex(
        tmp_path / "index", accounts=accounts, trusted_publishing=terms, clock=stopped_clock
    ) as running:
        assert send(running, make_wheel(tmp_path, "demo", "0.9"), "anna", "secret").status == 200
        yield running


def test_the_audience_is_served(trusting: ControlledIndex) -> None:
    answer = ask(trusting.audience_url)
    assert json.loads(answer.body) == {"audience": "relnox-embedded"}


def test_an_index_without_trusted_publishing_has_no_endpoints(index: ControlledIndex) -> None:
    assert ask(index.audience_url).status == 404
    assert ask(index.mint_url, method="POST", body=b"{}").status == 404


def test_an_identity_is_exchanged_for_a_token_that_uploads_until_it_expires(
    trusting: ControlledIndex, stopped_clock: StoppedClock, tmp_path: Path
) -> None:
    status, document = mint(trusting, jwt())
    assert (status, document["success"], document["expires"]) == (200, True, stopped_clock.now + 900)
    assert send(trusting, make_wheel(tmp_path, "demo", "1.0"), "__token__", document["token"]).status == 200
    stopped_clock.now += 899
    assert send(trusting, make_wheel(tmp_path, "demo", "1.1"), "__token__", document["token"]).status == 200
    stopped_clock.now += 1
    late = send(trusting, make_wheel(tmp_path, "demo", "1.2"), "__token__", document["token"])
    assert (late.status, late.text) == (403, "Invalid API Token: token is expired\n")


def test_an_identity_token_is_taken_once(trusting: ControlledIndex) -> None:
    with ThreadPoolExecutor(8) as pool:
        statuses = [status for status, _ in pool.map(lambda _: mint(trusting, jwt()), range(8))]
    assert sorted(statuses) == [200] + [422] * 7
    assert refusal(trusting, jwt()) == ("invalid-reuse-token", "invalid token: already used")
    assert mint(trusting, jwt(jti="2"))[0] == 200


@pytest.mark.parametrize(
    ("claims", "claim"),
    [
        ({"repository": "org/fork"}, "repository"),
        ({"job_workflow_ref": "org/demo/.github/workflows/other.yml@refs/tags/v1"}, "job_workflow_ref"),
        ({"environment": None}, "environment"),
        ({"environment": "testpypi"}, "environment"),
    ],
)
def test_the_claims_must_fit_the_publisher(
    claims: dict[str, str | None], claim: str, trusting: ControlledIndex
) -> None:
    code, description = refusal(trusting, jwt(**claims))
    assert code == "invalid-publisher"
    assert f"Check failed for required claim {claim!r}" in description
    assert mint(trusting, jwt())[0] == 200  # a token that was refused has not been used


def test_a_gitlab_pipeline_is_a_publisher_too(tmp_path: Path) -> None:
    publisher = Publisher(project="demo", repository="group/demo", workflow=".gitlab-ci.yml")
    token = jwt(
        iss="https://gitlab.invalid",
        repository=None,
        job_workflow_ref=None,
        project_path="group/demo",
        ci_config_ref_uri="gitlab.invalid/group/demo//.gitlab-ci.yml@refs/tags/v1",
        exp=None,
    )
    with ControlledIndex(tmp_path, trusted_publishing=TrustedPublishing(publishers=[publisher])) as index:
        assert mint(index, token)[0] == 200


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"no JSON", "invalid-payload"),
        (b"{}", "invalid-payload"),
        (b"[]", "invalid-payload"),
        (b'{"token": "no-jwt"}', "invalid-payload"),
        (b'{"token": "e30.e30.e30"}', "invalid-payload"),
        (b'{"token": "e30.bnVsbA.e30"}', "invalid-payload"),
        (json.dumps({"token": jwt(aud="pypi")}).encode(), "invalid-token"),
        (json.dumps({"token": jwt(exp=StoppedClock.now)}).encode(), "invalid-token"),
        (json.dumps({"token": jwt(nbf=StoppedClock.now + 1)}).encode(), "invalid-token"),
    ],
)
def test_a_token_that_is_none_is_refused(body: bytes, code: str, trusting: ControlledIndex) -> None:
    answer = ask(trusting.mint_url, method="POST", body=body)
    assert answer.status == 422
    assert json.loads(answer.body)["errors"][0]["code"] == code


def test_who_signed_is_for_the_verifier(tmp_path: Path, stopped_clock: StoppedClock) -> None:
    asked: list[str] = []
    genuine = {"aud": "mine", "repository": "org/demo", "environment": "pypi"}
    genuine["job_workflow_ref"] = "org/demo/.github/workflows/release.yml@refs/heads/main"

    def verify(token: str) -> dict[str, str] | None:
        asked.append(token)
        return genuine if token == "genuine" else None

    terms = TrustedPublishing(publishers=[DEMO], audience="mine", lifetime=60, verify=verify)
    with ControlledIndex(tmp_path, trusted_publishing=terms, clock=stopped_clock) as index:
        assert refusal(index, jwt())[0] == "invalid-token"
        status, document = mint(index, "genuine")
    assert (status, document["expires"]) == (200, stopped_clock.now + 60)
    assert asked == [jwt(), "genuine"]


def test_a_minted_token_is_for_the_publishers_projects_alone(trusting: ControlledIndex, tmp_path: Path) -> None:
    assert send(trusting, make_wheel(tmp_path, "other", "1.0"), "anna", "secret").status == 200
    _, document = mint(trusting, jwt())
    answer = send(trusting, make_wheel(tmp_path, "other", "1.1"), "__token__", document["token"])
    assert answer.status == 403
    assert answer.text == "Invalid API Token: OIDC scoped token is not valid for project: 'other'\n"


def test_a_pending_publisher_makes_its_project_and_no_other(trusting: ControlledIndex, tmp_path: Path) -> None:
    identity = {"repository": "org/new", "job_workflow_ref": "org/new/.github/workflows/release.yml@main"}
    status, document = mint(trusting, jwt(**identity))
    assert status == 200
    assert page(trusting, "new-project")["files"] == []
    wrong = send(trusting, make_wheel(tmp_path, "newproject", "1.0"), "__token__", document["token"])
    assert (wrong.status, wrong.text.startswith("Non-user identities cannot create new projects.")) == (400, True)
    right = make_wheel(tmp_path, "new-project", "1.0")
    assert send(trusting, right, "__token__", document["token"]).status == 200
    assert mint(trusting, jwt(**identity, jti="2"))[0] == 200


def test_a_pending_publisher_comes_too_late(trusting: ControlledIndex, tmp_path: Path) -> None:
    """The name was taken meanwhile."""
    assert send(trusting, make_wheel(tmp_path, "new-project", "1.0"), "otto", "hidden").status == 200
    identity = {"repository": "org/new", "job_workflow_ref": "org/new/.github/workflows/release.yml@main"}
    assert refusal(trusting, jwt(**identity))[0] == "invalid-pending-publisher"


def test_the_mint_can_fail_too(trusting: ControlledIndex) -> None:
    trusting.misbehave(Rule(unavailable(3), on="mint", tries=[1]), Rule(Cut(), on="mint", tries=[2]))
    answer = ask(trusting.mint_url, method="POST", body=json.dumps({"token": jwt()}).encode())
    assert (answer.status, answer.headers["Retry-After"]) == (503, "3")
    with pytest.raises(ConnectionResetError):
        mint(trusting, jwt())
    assert mint(trusting, jwt())[0] == 200
    minted = [(request.kind, request.status) for request in trusting.log if request.kind == "mint"]
    assert minted == [("mint", 503), ("mint", None), ("mint", 200)]


def test_an_answer_of_the_mint_can_be_lost(trusting: ControlledIndex) -> None:
    """The identity token is used up all the same."""
    trusting.misbehave(Rule(LOST_RESPONSE, on="mint", tries=[1]))
    with pytest.raises(ConnectionResetError):
        mint(trusting, jwt())
    assert refusal(trusting, jwt())[0] == "invalid-reuse-token"


# --- attestations


def attestation(path: Path, *, name: str | None = None, digest: str | None = None) -> dict[str, Any]:
    """An attestation for a file, without a valid signature."""
    sha256 = digest or hashlib.sha256(path.read_bytes()).hexdigest()
    statement = {"subject": [{"name": name or path.name, "digest": {"sha256": sha256}}]}
    return {
        "version": 1,
        "verification_material": {"certificate": "AA==", "transparency_entries": []},
        "envelope": {
            "statement": base64.b64encode(json.dumps(statement).encode()).decode(),
            "signature": "AA==",
        },
    }


def test_attestations_are_served_as_provenance(trusting: ControlledIndex, tmp_path: Path) -> None:
    """PEP 740."""
    _, document = mint(trusting, jwt())
    wheel, sdist = make_wheel(tmp_path, "demo", "1.0"), make_sdist(tmp_path, "demo", "1.0")
    given = [attestation(wheel)]
    answer = send(trusting, wheel, "__token__", document["token"], attestations=json.dumps(given))
    assert answer.status == 200, answer.text
    assert send(trusting, sdist, "__token__", document["token"]).status == 200
    entries = {entry["filename"]: entry for entry in page(trusting, "demo")["files"]}
    assert "provenance" not in entries[sdist.name]
    origin = trusting.simple_url.removesuffix("/simple/")
    assert entries[wheel.name]["provenance"] == f"{origin}/integrity/demo/1.0/{wheel.name}/provenance"
    served = ask(entries[wheel.name]["provenance"])
    assert served.headers["Content-Type"] == "application/vnd.pypi.integrity.v1+json"
    publisher = {"kind": "GitHub", "repository": "org/demo", "workflow": "release.yml", "environment": "pypi"}
    assert json.loads(served.body) == {
        "version": 1,
        "attestation_bundles": [{"publisher": {"claims": None, **publisher}, "attestations": given}],
    }
    html = ask(f"{trusting.simple_url}demo/").text
    assert f'data-provenance="{entries[wheel.name]["provenance"]}"' in html
    missing = ask(f"{origin}/integrity/demo/1.0/{sdist.name}/provenance")
    assert missing.status == 404
    assert json.loads(missing.body) == {"message": f"No provenance available for {sdist.name}"}


def test_attestations_cannot_be_added_later(tmp_path: Path) -> None:
    """An identical upload is over before they are read."""
    wheel = make_wheel(tmp_path, "demo", "1.0")
    with ControlledIndex(tmp_path / "index") as index:
        assert send(index, wheel, None).status == 200
        assert send(index, wheel, None, attestations=json.dumps([attestation(wheel)])).status == 200
        assert "provenance" not in page(index, "demo")["files"][0]


def test_attestations_need_a_trusted_publisher(index: ControlledIndex, tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, "demo", "1.0")
    answer = send(index, wheel, "anna", "secret", attestations=json.dumps([attestation(wheel)]))
    assert (answer.status, "only supported when using Trusted Publishing" in answer.text) == (400, True)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("no JSON", "Malformed attestations"),
        ("[]", "an empty attestation set is not permitted"),
        ("[1]", "Malformed attestations"),
        ('[{"version": 2}]', "version 2"),
        ('[{"version": 1}]', "Malformed attestations"),
        ("name", "it is for other-1.0.tar.gz"),
        ("digest", "with sha256 " + "0" * 64),
    ],
)
def test_attestations_that_are_not_about_this_file_are_refused(text: str, says: str, tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, "demo", "1.0")
    wrong = {
        "name": json.dumps([attestation(wheel, name="other-1.0.tar.gz")]),
        "digest": json.dumps([attestation(wheel), attestation(wheel, digest="0" * 64)]),
    }
    with ControlledIndex(tmp_path / "index") as index:
        answer = send(index, wheel, None, attestations=wrong.get(text, text))
        assert answer.status == 400
        assert says in answer.text
        assert ask(f"{index.simple_url}demo/").status == 404
