"""Attestations: signed before anything is sent, sent with the file, served as provenance, verified (PEP 740).

The signing service is on loopback (`signing`), everything else is real: pypi-attestations, sigstore, the embedded
index with Trusted Publishing. What the public service signed is verified with the keys that sigstore brings.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import signing
from controlled_index import ControlledIndex
from controlled_index.minting import Publisher as Entitled
from packaging.version import Version
from releases import Package, described, is_whole, public, publish, release
from sigstore.models import ClientTrustConfig

from relnox.cli import main
from relnox.core.release.manifest import Distribution
from relnox.core.release.publishers import ATTESTATION_SUFFIX, Publisher
from relnox.indexes import attestations, client
from relnox.indexes.attestations import Unverified
from relnox.indexes.signing import Signatory
from relnox.system import network

if TYPE_CHECKING:
    from collections.abc import Iterator

    from releases import SimulatedClock
    from running import RunResult
    from signing import Services

    from relnox.core.release.manifest import Manifest

pytestmark = pytest.mark.heavy

SAMPLES = Path(__file__).parents[1] / "attestations"
PACKAGES = [Package("core"), Package("agents", needs=("core",))]


@pytest.fixture
def services(monkeypatch: pytest.MonkeyPatch) -> Iterator[Services]:
    with signing.services() as running:
        trust = running.trust
        monkeypatch.setattr(ClientTrustConfig, "production", classmethod(lambda cls, offline=False: trust))
        yield running


@pytest.fixture
def job(services: Services, monkeypatch: pytest.MonkeyPatch) -> Services:
    """A job of GitHub Actions that may have an identity."""
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("ACTIONS_ID_TOKEN_REQUEST_TOKEN", signing.REQUEST_TOKEN)
    monkeypatch.setenv("ACTIONS_ID_TOKEN_REQUEST_URL", f"{services.url}/identity?api-version=2")
    return services


@pytest.fixture
def index(tmp_path: Path) -> Iterator[ControlledIndex]:
    """An index that knows the job's workflow as the publisher of both packages."""
    entitled = [
        Entitled(project=package.name, repository=signing.REPOSITORY, workflow="release.yml")
        for package in PACKAGES
    ]
    with ControlledIndex(tmp_path / "index", publishers=entitled) as running:
        for package in PACKAGES:
            running.create_project(package.name)
        yield running


@pytest.fixture
def open_index(tmp_path: Path) -> Iterator[ControlledIndex]:
    """An index without accounts: everybody is taken at their word."""
    with ControlledIndex(tmp_path / "open") as running:
        yield running


@pytest.fixture
def built(tmp_path: Path) -> Manifest:
    return release(tmp_path / "work", PACKAGES)


def run(tmp_path: Path, index: ControlledIndex, *options: str, token: bool = False) -> RunResult:
    with pytest.MonkeyPatch.context() as patched:
        if token:
            patched.setenv("RELNOX_OWN_TOKEN", "unused-token")
        return publish(tmp_path / "work", index, *options)


def provenance(index: ControlledIndex, package: str) -> dict[str, Any]:
    listed = client.fetch_listing(index.simple_url, package)
    served = {name: client.provenance(file) for name, file in listed.items()}
    return {name: json.loads(content) for name, content in served.items() if content is not None}


def signed(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in (tmp_path / "work" / "dist").glob(f"*{ATTESTATION_SUFFIX}"))


# --- the whole way


def test_a_job_with_an_identity_publishes_with_attestations_without_being_asked_to(
    tmp_path: Path, job: Services, index: ControlledIndex, built: Manifest
) -> None:
    ran = run(tmp_path, index)
    assert ran.code == 0, ran.text
    assert "attestations: required (relnox[attest] is installed, and the job has an identity)" in ran.text
    assert "4 files signed, and verified offline" in ran.text
    assert (
        ran.text.count("provenance of 2 files verified, by GitHub acme/demo, release.yml, environment pypi") == 2
    )
    assert is_whole(index, built)
    names = [file.filename for file in built.distributions]
    assert signed(tmp_path) == sorted(f"{name}{ATTESTATION_SUFFIX}" for name in names)
    served = provenance(index, "core") | provenance(index, "agents")
    assert served.keys() == set(names)
    for file in built.distributions:
        (bundle,) = served[file.filename]["attestation_bundles"]
        assert bundle["publisher"]["repository"] == signing.REPOSITORY
        attestations.verify_attestation(json.dumps(bundle["attestations"][0]).encode(), file, signing.PUBLISHER)
    # One certificate serves all files.
    assert job.asked.count("/api/v2/signingCert") == 1
    assert job.asked.count("/api/v1/log/entries") == 4


def test_nothing_is_sent_before_everything_is_signed(
    tmp_path: Path, job: Services, index: ControlledIndex, built: Manifest
) -> None:
    ran = run(tmp_path, index, "--plan", str(tmp_path / "plan.json"))
    assert ran.code == 0, ran.text
    steps = json.loads((tmp_path / "plan.json").read_text())["steps"]
    uploads = [step for step in steps if step["kind"] == "Upload"]
    assert steps[0]["kind"] == "Attest"
    assert len(steps[0]["files"]) == len(uploads) == 4
    assert all("attest" in step["needs"] for step in uploads)


def test_a_rerun_signs_nothing_twice_and_finds_everything_done(
    tmp_path: Path, job: Services, index: ControlledIndex, built: Manifest
) -> None:
    assert run(tmp_path, index).code == 0
    asked = len(job.asked)
    again = run(tmp_path, index, "--attestations", "required")
    assert again.code == 0, again.text
    assert "provenance of 2 files verified, by GitHub acme/demo, release.yml" in again.text
    assert len(job.asked) == asked


def test_what_another_machine_signed_is_sent_as_it_is(
    tmp_path: Path, job: Services, open_index: ControlledIndex, built: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(tmp_path, open_index, "--attestations", "required", "--dry-run", token=True).code == 0
    assert signed(tmp_path) == []
    first = run(tmp_path, open_index, "--attestations", "required", "--package", "core", token=True)
    assert first.code == 0, first.text
    for name in ("GITHUB_ACTIONS", "ACTIONS_ID_TOKEN_REQUEST_TOKEN", "ACTIONS_ID_TOKEN_REQUEST_URL"):
        monkeypatch.delenv(name)
    # Without an identity what is signed goes up, and what is not does not.
    refused = run(tmp_path, open_index, "--attestations", "required", token=True)
    assert "files cannot be signed: not running on a supported CI provider" in refused.text
    assert refused.code == 3, refused.text  # core is public
    with ControlledIndex(tmp_path / "other") as other:
        carried = run(tmp_path, other, "--attestations", "required", "--package", "core", token=True)
        assert carried.code == 0, carried.text
        assert "2 files with valid attestations" in carried.text
        assert provenance(other, "core").keys() == {file.filename for file in built.files_of("core")}


def test_what_many_jobs_signed_is_collected_and_sent_as_it_is(
    tmp_path: Path, job: Services, open_index: ControlledIndex, built: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "work"
    assert run(tmp_path, open_index, "--attestations", "required", token=True).code == 0
    for package in built.packages:
        part = built.restricted_to(frozenset({package}))
        directory = root / "jobs" / package
        directory.mkdir(parents=True)
        (directory / "manifest.json").write_text(part.to_json(), encoding="utf-8")
        for file in part.distributions:
            for name in (file.filename, f"{file.filename}{ATTESTATION_SUFFIX}"):
                (root / "dist" / name).rename(directory / name)
    for name in ("GITHUB_ACTIONS", "ACTIONS_ID_TOKEN_REQUEST_TOKEN", "ACTIONS_ID_TOKEN_REQUEST_URL"):
        monkeypatch.delenv(name)

    assert main(["collect", "--project", str(root), "--from", str(root / "jobs"), "--reporter", "plain"]) == 0

    with ControlledIndex(tmp_path / "other") as other:
        ran = run(tmp_path, other, "--attestations", "required", token=True)
        assert ran.code == 0, ran.text
        assert "4 files with valid attestations" in ran.text
        served = provenance(other, "core") | provenance(other, "agents")
        assert served.keys() == {file.filename for file in built.distributions}


# --- policies


def test_without_trusted_publishing_nothing_is_signed_and_the_run_says_so(
    tmp_path: Path, job: Services, open_index: ControlledIndex, built: Manifest
) -> None:
    ran = run(tmp_path, open_index, token=True)
    assert ran.code == 0, ran.text
    assert "attestations: off (uploads do not use Trusted Publishing)" in ran.text
    assert (signed(tmp_path), job.asked) == ([], [])


def test_off_is_off(
    tmp_path: Path, job: Services, index: ControlledIndex, built: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RELNOX_ATTESTATIONS", "off")
    ran = run(tmp_path, index)
    assert ran.code == 0, ran.text
    assert "attestations: off (--attestations off)" in ran.text
    assert (signed(tmp_path), job.asked, provenance(index, "core")) == ([], [], {})
    assert is_whole(index, built)


@pytest.mark.parametrize(
    ("policy", "code", "says"),
    [
        ("auto", 0, "attestations: off (the packages that sign attestations are not installed: pip install"),
        (
            "best-effort",
            0,
            "attestations: off (publishing WITHOUT attestations: the packages that sign attestations",
        ),
        ("required", 1, 'pip install "relnox[attest]"'),
    ],
)
def test_without_the_extra_required_is_refused_with_the_command_that_helps(
    *,
    policy: str,
    code: int,
    says: str,
    tmp_path: Path,
    job: Services,
    index: ControlledIndex,
    built: Manifest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(attestations, "is_installed", lambda: False)
    ran = run(tmp_path, index, "--attestations", policy)
    assert (ran.code, says in ran.text) == (code, True), ran.text
    assert bool(public(index, built)) is (code == 0)


def test_public_indexes_accept_attestations_only_with_trusted_publishing(tmp_path: Path, job: Services) -> None:
    # Said before an upload, which the index would refuse.
    from relnox.commands.options import PublishOptions as Options
    from relnox.commands.publish import attesting
    from relnox.commands.publish.index_state import IndexState
    from relnox.commands.shared.opening import open_project

    built = release(tmp_path / "work", [Package("core")])
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("TEST_PYPI_TOKEN", "a-token-of-mine")
        with open_project(tmp_path / "work") as project:
            index = IndexState("testpypi", built, {}, (), built.distributions, built.restricted_to(frozenset()))
            found = attesting.plan_attestations(Options(attestations="required"), index, project)
    (problem,) = found.problems
    assert (
        "testpypi accepts attestations only with Trusted Publishing, not with TEST_PYPI_TOKEN" in problem.message
    )


@pytest.mark.parametrize("policy", ["auto", "required", "best-effort"])
def test_a_job_in_a_reusable_workflow_signs_nothing(
    *,
    policy: str,
    tmp_path: Path,
    job: Services,
    index: ControlledIndex,
    open_index: ControlledIndex,
    built: Manifest,
) -> None:
    # the index looks at the one, the certificate at the other.
    job.claims = {"job_workflow_ref": "acme/shared/.github/workflows/upload.yml@refs/heads/main"}
    for where, token in ((index, False), (open_index, True)):
        if policy == "auto" and token:
            continue  # nothing is signed with a token anyway
        ran = run(tmp_path, where, "--attestations", policy, token=token)
        assert ran.code == 1, ran.text
        assert "the upload job is part of a reusable workflow" in ran.text
        assert "move the upload job into acme/demo/.github/workflows/release.yml" in ran.text
        assert (public(where, built), job.asked) == ({}, [])


# --- what is public already


def test_a_public_file_without_attestation_is_named_with_the_ways_out(
    tmp_path: Path, job: Services, open_index: ControlledIndex, built: Manifest
) -> None:
    # an identical upload is over before attestations are read.
    assert run(tmp_path, open_index, "--package", "core", token=True).code == 0
    names = [file.filename for file in built.files_of("core")]
    ran = run(tmp_path, open_index, "--attestations", "required", token=True)
    assert ran.code == 4, ran.text
    assert f"has no provenance of {', '.join(names)}" in ran.text
    assert "publish a new version, or continue without provenance: --attestations best-effort" in ran.text
    assert not provenance(open_index, "agents")
    ran = run(tmp_path, open_index, "--attestations", "best-effort", token=True)
    assert ran.code == 0, ran.text
    assert "WITHOUT provenance: core-1.0" in ran.text
    assert len(provenance(open_index, "agents")) == 2


def test_an_attestation_that_the_index_refuses_ends_the_run_or_is_left_out_as_the_policy_says(
    tmp_path: Path, job: Services, built: Manifest
) -> None:
    from controlled_index.accounts import Accounts, Token

    accounts = Accounts({"anna": "secret"}, tokens=[Token(secret="unused-token", user="anna")])
    with ControlledIndex(tmp_path / "accounts", accounts=accounts) as index:
        ran = run(tmp_path, index, "--attestations", "required", "--package", "core", token=True)
        assert ran.code == 2, ran.text
        assert "rejected the attestations of core-1.0" in ran.text
        assert public(index, built) == {}
        ran = run(tmp_path, index, "--attestations", "best-effort", "--package", "core", token=True)
        assert ran.code == 0, ran.text
        assert "uploaded WITHOUT attestation: 200 OK" in ran.text
        assert len(public(index, built)) == 2


# --- the signing service's bad days


def test_a_release_waits_for_three_quarters_of_an_hour_of_outage(
    tmp_path: Path, job: Services, index: ControlledIndex, built: Manifest, clock: SimulatedClock
) -> None:
    job.is_down = lambda: clock.now() < 2700
    ran = run(tmp_path, index)
    assert ran.code == 0, ran.text
    assert clock.now() >= 2700
    assert " returned 502 Bad Gateway; next try at" in ran.text
    assert is_whole(index, built)
    assert len(provenance(index, "core")) == 2


@pytest.mark.parametrize(("policy", "least", "most"), [("required", 3600, 3700), ("best-effort", 60, 200)])
def test_after_too_long_an_outage_required_ends_with_nothing_sent_and_best_effort_goes_on(
    *,
    policy: str,
    least: int,
    most: int,
    tmp_path: Path,
    job: Services,
    index: ControlledIndex,
    built: Manifest,
    clock: SimulatedClock,
) -> None:
    job.is_down = lambda: True
    ran = run(tmp_path, index, "--attestations", policy)
    assert least <= clock.now() <= most
    assert signed(tmp_path) == []
    if policy == "required":
        assert ran.code == 5, ran.text
        assert public(index, built) == {}
        assert "could not be signed: 127.0.0.1" in ran.text
        assert "--attestations off" in ran.text
    else:
        assert ran.code == 0, ran.text
        assert "4 WITHOUT attestation: core-1.0" in ran.text
        assert is_whole(index, built)
        assert provenance(index, "core") == {}


@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize(
    "faults",
    [
        [503],
        ["cut"],  # half a certificate
        [200, "cut"],  # half a log entry
        [200, 429, 500, "cut", 502],
    ],
)
def test_transient_errors_are_retried(
    *,
    faults: list[int | str],
    tmp_path: Path,
    job: Services,
    index: ControlledIndex,
    built: Manifest,
) -> None:
    job.faults = ["" if fault == 200 else fault for fault in faults]
    ran = run(tmp_path, index)
    assert ran.code == 0, ran.text
    assert len(provenance(index, "core")) == 2


def test_a_service_that_does_not_answer_is_given_up_and_asked_again(
    tmp_path: Path, job: Services, index: ControlledIndex, built: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    # sigstore's own clients know no time-out.
    monkeypatch.setattr(
        network.send_once, "__kwdefaults__", {**(network.send_once.__kwdefaults__ or {}), "read_timeout": 0.5}
    )
    job.faults = ["stall", "", "stall"]
    ran = run(tmp_path, index)
    assert ran.code == 0, ran.text
    assert len(job.asked) == 7
    assert len(provenance(index, "core")) == 2


@pytest.mark.parametrize("fault", [400, 401, 403])
def test_a_rejection_by_the_signing_service_is_not_retried(
    fault: int, tmp_path: Path, job: Services, index: ControlledIndex, built: Manifest
) -> None:
    job.faults = [fault]
    ran = run(tmp_path, index)
    assert ran.code == 2, ran.text
    assert f"the signing service rejected the request: {fault}" in ran.text
    assert "I refuse" in ran.text
    assert (len(job.asked), public(index, built)) == (1, {})


def test_a_certificate_of_another_publisher_blocks_the_uploads(
    tmp_path: Path, job: Services, index: ControlledIndex, built: Manifest
) -> None:
    job.names = {"repository": "mallory/demo"}
    ran = run(tmp_path, index)
    assert ran.code == 2, ran.text
    assert "the signing service returned an invalid attestation" in ran.text
    assert (signed(tmp_path), public(index, built)) == ([], {})


def test_an_expired_certificate_is_renewed(tmp_path: Path, services: Services) -> None:
    from relnox.indexes.identities import Identity
    from relnox.system.secrets import Secret

    file = a_file(tmp_path)
    who = Signatory(lambda: Identity(Secret(signing.identity_token())))
    services.lifetime = -1
    with pytest.raises(network.TransientError, match="certificate has expired"):
        who.sign(file)
    services.lifetime = 600
    attestations.verify_attestation(who.sign(file), file, signing.PUBLISHER)


# --- what lies beside the files


def a_file(tmp_path: Path, content: bytes = b"content", name: str = "demo-1.0.tar.gz") -> Distribution:
    path = tmp_path / name
    path.write_bytes(content)
    return described(path)


@pytest.fixture
def attested(tmp_path: Path, services: Services) -> tuple[Distribution, bytes]:
    from relnox.indexes.identities import Identity
    from relnox.system.secrets import Secret

    file = a_file(tmp_path)
    return file, Signatory(lambda: Identity(Secret(signing.identity_token()))).sign(file)


OTHERS = {
    "repository": Publisher(
        ci_provider="GitHub", fields=(("repository", "mallory/demo"), ("workflow", "release.yml"))
    ),
    "workflow": Publisher(ci_provider="GitHub", fields=(("repository", "acme/demo"), ("workflow", "test.yml"))),
    "CI provider": Publisher(
        ci_provider="GitLab", fields=(("repository", "acme/demo"), ("workflow_filepath", "release.yml"))
    ),
    "email": Publisher(ci_provider="Google", fields=(("email", "release@acme.example"),)),
}


@pytest.mark.parametrize("other", OTHERS)
def test_an_attestation_is_good_for_its_publisher_alone(other: str, attested: tuple[Distribution, bytes]) -> None:
    file, content = attested
    assert attestations.verify_attestation(content, file, signing.PUBLISHER).startswith("GitHub acme/demo")
    assert "acme/demo/.github/workflows/release.yml" in attestations.verify_attestation(content, file, None)
    with pytest.raises(Unverified, match="does not prove its publication by"):
        attestations.verify_attestation(content, file, OTHERS[other])


def test_an_attestation_is_good_for_its_file_alone(tmp_path: Path, attested: tuple[Distribution, bytes]) -> None:
    _, content = attested
    with pytest.raises(Unverified, match="digest"):
        attestations.verify_attestation(content, a_file(tmp_path, b"other content"), signing.PUBLISHER)
    with pytest.raises(Unverified, match="name"):
        attestations.verify_attestation(content, a_file(tmp_path, name="other-1.0.tar.gz"), signing.PUBLISHER)


def test_no_prefix_of_an_attestation_is_one(attested: tuple[Distribution, bytes]) -> None:
    file, content = attested
    for size in range(0, len(content), 97):
        with pytest.raises(Unverified, match=r"is not valid \(PEP 740"):
            attestations.verify_attestation(content[:size], file, signing.PUBLISHER)


def test_no_changed_signature_certificate_or_entry_is_good(attested: tuple[Distribution, bytes]) -> None:
    file, content = attested
    for path in (
        ("envelope", "signature"),
        ("envelope", "statement"),
        ("verification_material", "certificate"),
        ("verification_material", "transparency_entries", 0, "canonicalizedBody"),
        ("verification_material", "transparency_entries", 0, "inclusionPromise", "signedEntryTimestamp"),
        ("verification_material", "transparency_entries", 0, "inclusionProof", "rootHash"),
    ):
        document: Any = json.loads(content)
        inside = document
        for part in path[:-1]:
            inside = inside[part]
        text = inside[path[-1]]
        place = len(text) // 2
        inside[path[-1]] = f"{text[:place]}{'A' if text[place] != 'A' else 'B'}{text[place + 1 :]}"
        with pytest.raises(Unverified):
            attestations.verify_attestation(json.dumps(document).encode(), file, None)


@pytest.mark.parametrize("left", ["truncated", "of another file", "of another job"])
def test_what_lies_there_and_proves_nothing_is_signed_again(
    left: str, tmp_path: Path, job: Services, index: ControlledIndex, built: Manifest
) -> None:
    assert run(tmp_path, index, "--dry-run").code == 0
    dist = tmp_path / "work" / "dist"
    first, second = built.files_of("core")
    with ControlledIndex(tmp_path / "before") as before:
        if left == "of another job":
            job.claims = {
                "repository": "mallory/demo",
                "workflow_ref": signing.WORKFLOW.replace("acme", "mallory"),
            }
            job.claims["job_workflow_ref"] = job.claims["workflow_ref"]
        assert run(tmp_path, before, "--attestations", "required", "--package", "core", token=True).code == 0
        job.claims = {}
    path = dist / f"{first.filename}{ATTESTATION_SUFFIX}"
    if left == "truncated":
        path.write_bytes(path.read_bytes()[:-100])
    if left == "of another file":
        path.write_bytes((dist / f"{second.filename}{ATTESTATION_SUFFIX}").read_bytes())
    asked = job.asked.count("/api/v1/log/entries")
    ran = run(tmp_path, index, "--package", "core")
    assert ran.code == 0, ran.text
    assert job.asked.count("/api/v1/log/entries") - asked == (2 if left == "of another job" else 1)
    assert provenance(index, "core").keys() == {first.filename, second.filename}


# --- provenance


def served(content: bytes, **publisher: str) -> bytes:
    bundle = {"publisher": publisher, "attestations": [json.loads(content)]}
    return json.dumps({"version": 1, "attestation_bundles": [bundle]}).encode()


def test_provenance_is_proven_for_the_publisher_that_the_run_was(attested: tuple[Distribution, bytes]) -> None:
    file, content = attested
    good = served(content, kind="GitHub", repository="Acme/Demo", workflow="release.yml", environment="")
    description = "GitHub acme/demo, release.yml, environment pypi"
    assert attestations.verify_provenance(good, file, signing.PUBLISHER, "house") == description
    # A private index may name publishers of unknown kinds: the signature counts.
    own = served(content, kind="own")
    assert attestations.verify_provenance(own, file, signing.PUBLISHER, "house") == description
    assert "acme/demo" in attestations.verify_provenance(own, file, None, "house")
    # Later, on a machine without an identity, the index's word is held against the signature.
    named = served(content, kind="GitHub", repository="acme/demo", workflow="release.yml")
    assert attestations.verify_provenance(named, file, None, "house") == "GitHub acme/demo, release.yml"


@pytest.mark.parametrize(
    ("publisher", "says"),
    [
        (
            {"kind": "GitHub", "repository": "mallory/demo", "workflow": "release.yml"},
            "index     GitHub mallory/demo",
        ),
        ({"kind": "GitHub", "repository": "acme/demo", "workflow": "other.yml"}, "index     GitHub acme/demo, o"),
        (
            {"kind": "GitHub", "repository": "acme/demo", "workflow": "release.yml", "environment": "prod"},
            "environment prod",
        ),
        ({"kind": "GitLab", "repository": "acme/demo", "workflow_filepath": "release.yml"}, "index     GitLab"),
    ],
)
def test_provenance_of_another_publisher_is_rejected(
    publisher: dict[str, str], says: str, attested: tuple[Distribution, bytes]
) -> None:
    file, content = attested
    with pytest.raises(Unverified) as caught:
        attestations.verify_provenance(served(content, **publisher), file, signing.PUBLISHER, "house")
    assert says in caught.value.message
    assert "this job  GitHub acme/demo, release.yml, environment pypi" in caught.value.message
    assert caught.value.exit_code == 4


@pytest.mark.parametrize(
    "content",
    [
        *(
            b"",
            b"{",
            b"[]",
            b"null",
            b'{"attestation_bundles": []}',
            b'{"attestation_bundles": [{"publisher": {}}]}',
        ),
        b'{"attestation_bundles": [{"publisher": {"kind": "GitHub"}, "attestations": []}]}',
        b'{"attestation_bundles": [{"publisher": {"kind": "GitHub"}, "attestations": [{"version": 1}]}]}',
    ],
)
def test_invalid_provenance_is_rejected(content: bytes, tmp_path: Path) -> None:
    with pytest.raises(Unverified, match=r"the provenance of .* is not valid \("):
        attestations.verify_provenance(content, a_file(tmp_path), None, "house")


# --- what the public service signed


def sample(package: str, version: str, sha256: str) -> Distribution:
    return Distribution(
        package=package,
        version=Version(version),
        filename=f"{package.replace('-', '_')}-{version}.tar.gz",
        kind="sdist",
        size=0,
        sha256=sha256,
        blake2b_256="",
    )


GITLAB_SHA256 = "c1ca9b0d85df1606451098233018534497bf584362e10e4a8c21dfaea92c02a8"
ON_GITHUB = sample(
    "pypi-attestations", "0.0.19", "9bb1add04b1b4e182be6b0b80931593f7a291eb49d69b4fd728a5d4cbcdc4bd3"
)


def test_provenance_of_a_real_release_is_verified_with_the_keys_that_sigstore_brings() -> None:
    content = (SAMPLES / f"{ON_GITHUB.filename}.provenance").read_bytes()
    description = attestations.verify_provenance(content, ON_GITHUB, None, "house")
    assert description == "GitHub trailofbits/pypi-attestations, release.yml"
    ours = Publisher(
        ci_provider="GitHub",
        fields=(
            ("repository", "trailofbits/pypi-attestations"),
            ("workflow", "release.yml"),
            ("environment", "x"),
        ),
    )
    assert attestations.verify_provenance(content, ON_GITHUB, ours, "house") == ours.description
    with pytest.raises(Unverified):
        attestations.verify_provenance(content, ON_GITHUB, signing.PUBLISHER, "house")
    with pytest.raises(Unverified, match="digest"):
        attestations.verify_provenance(content, sample("pypi-attestations", "0.0.19", "0" * 64), None, "house")


def test_an_attestation_of_a_real_pipeline_is_verified() -> None:
    (path,) = SAMPLES.glob(f"gitlab*{ATTESTATION_SUFFIX}")
    content = path.read_bytes()
    file = sample("gitlab-oidc-project", "0.0.3", GITLAB_SHA256)
    ours = Publisher(
        ci_provider="GitLab",
        fields=(("repository", "facutuesca/gitlab-oidc-project"), ("workflow_filepath", ".gitlab-ci.yml")),
    )
    assert attestations.verify_attestation(content, file, ours) == ours.description
    with pytest.raises(Unverified):
        attestations.verify_attestation(content, file, OTHERS["CI provider"])


# --- secrets


def test_identity_tokens_are_neither_printed_nor_stored(
    tmp_path: Path, job: Services, index: ControlledIndex, built: Manifest
) -> None:
    job.faults = [403, "", 403]
    runs = [run(tmp_path, index), run(tmp_path, index), run(tmp_path, index, "--report", str(tmp_path / "r.json"))]
    assert [ran.code for ran in runs] == [2, 2, 0], runs[-1].text
    output = "\n".join(
        line for ran in runs for line in ran.text.splitlines() if not line.startswith("::add-mask::")
    )
    kept = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert len(job.given) >= 6
    for token in job.given:
        for part in (token, token.split(".")[1]):
            assert part not in output
            assert part.encode() not in kept
