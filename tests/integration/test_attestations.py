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
from accounts import Publisher as Entitled
from package_index import PackageIndex
from packaging.version import Version
from releases import Package, described, is_whole, public, publish, reading, release
from sigstore.models import ClientTrustConfig

from relnox.cli import main
from relnox.core.release.manifest import Distribution
from relnox.core.release.publication import ATTESTATION_SUFFIX, Publisher
from relnox.indexes import attestations
from relnox.indexes.attestations import InvalidAttestation
from relnox.indexes.trusted_publishing import JobIdentity
from relnox.system.files import replace_file
from relnox.system.secrets import Secret

if TYPE_CHECKING:
    from collections.abc import Iterator

    from releases import SimulatedClock
    from signing import Services

    from relnox.core.release.manifest import Manifest

pytestmark = pytest.mark.heavy

SAMPLES = Path(__file__).parents[1] / "attestations"
PACKAGES = [Package("core"), Package("agents", needs=("core",))]
SIGNER = "GitHub acme/demo, release.yml, environment pypi"
ENTRIES = "/api/v1/log/entries"


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
def index(tmp_path: Path) -> Iterator[PackageIndex]:
    with trusting(tmp_path / "index") as running:
        yield running


def trusting(directory: Path) -> PackageIndex:
    """An index that knows the job's workflow as the publisher of both packages."""
    entitled = [
        Entitled(project=package.name, repository=signing.REPOSITORY, workflow="release.yml")
        for package in PACKAGES
    ]
    index = PackageIndex(publishers=entitled)
    for package in PACKAGES:
        index.create_project(package.name)
    return index


@pytest.fixture
def built(tmp_path: Path) -> Manifest:
    return release(tmp_path / "work", PACKAGES)


def provenance(index: PackageIndex, package: str) -> dict[str, Any]:
    own = reading(index.simple_url)
    listed = own.fetch_listing(package)
    served = {name: own.provenance(file) for name, file in listed.items()}
    return {name: json.loads(content) for name, content in served.items() if content is not None}


def signed(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in (tmp_path / "work" / "dist").glob(f"*{ATTESTATION_SUFFIX}"))


# --- the whole way


def test_a_job_with_an_identity_publishes_with_attestations_without_being_asked_to(
    tmp_path: Path, job: Services, index: PackageIndex, built: Manifest
) -> None:
    ran = publish(tmp_path / "work", index, "--plan", str(tmp_path / "plan.json"), code=0)
    assert f"attestations: signed as {SIGNER}" in ran.text
    assert "4 files with valid attestations" in ran.text
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
    assert job.asked.count(ENTRIES) == 4
    # Everything is signed before anything is sent.
    steps = json.loads((tmp_path / "plan.json").read_text())["steps"]
    uploads = [step for step in steps if step["kind"] == "Upload"]
    assert steps[0]["kind"] == "Attest"
    assert all("attest" in step["needs"] for step in uploads)
    # The installation from the index verifies what it serves.
    words = ["verify-install", "--project", str(tmp_path / "work"), "--index", "own", "--report"]
    main([*words, str(tmp_path / "report.json")])
    downloads = [
        step for step in json.loads((tmp_path / "report.json").read_text())["steps"] if step["key"][:5] == "fetch"
    ]
    assert all("; provenance: GitHub acme/demo, release.yml" in step["detail"] for step in downloads)
    assert len(downloads) == 2


def test_what_another_job_of_the_workflow_signed_is_collected_and_sent_as_it_is(
    tmp_path: Path, job: Services, index: PackageIndex, built: Manifest
) -> None:
    root = tmp_path / "work"
    with trusting(tmp_path / "before") as before:
        assert publish(root, before).code == 0
    for package in built.packages:
        part = built.restricted_to(frozenset({package}))
        directory = root / "jobs" / package
        directory.mkdir(parents=True)
        (directory / "manifest.json").write_text(part.to_json(), encoding="utf-8")
        for file in part.distributions:
            for name in (file.filename, f"{file.filename}{ATTESTATION_SUFFIX}"):
                (root / "dist" / name).rename(directory / name)
    assert main(["collect", "--project", str(root), "--from", str(root / "jobs"), "--reporter", "plain"]) == 0
    asked = job.asked.count(ENTRIES)
    ran = publish(root, index, code=0)
    assert "4 files with valid attestations" in ran.text
    assert job.asked.count(ENTRIES) == asked
    served = provenance(index, "core") | provenance(index, "agents")
    assert served.keys() == {file.filename for file in built.distributions}


@pytest.mark.parametrize("left", ["truncated", "of another file", "of another job"])
def test_what_lies_there_and_proves_nothing_is_signed_again(
    left: str, tmp_path: Path, job: Services, index: PackageIndex, built: Manifest
) -> None:
    dist = tmp_path / "work" / "dist"
    first, second = built.files_of("core")
    with trusting(tmp_path / "before") as before:
        assert publish(tmp_path / "work", before, "--package", "core").code == 0
    path, other = (dist / f"{file.filename}{ATTESTATION_SUFFIX}" for file in (first, second))
    if left == "truncated":
        path.write_bytes(path.read_bytes()[:-100])
    elif left == "of another file":
        path.write_bytes(other.read_bytes())
    else:
        job.names = {"repository": "mallory/demo"}
        attestations.sign_files([first], signing_identity(), lambda _, content: replace_file(path, content))
        job.names = {}
    asked = job.asked.count(ENTRIES)
    publish(tmp_path / "work", index, "--package", "core", code=0)
    assert job.asked.count(ENTRIES) - asked == 1
    assert provenance(index, "core").keys() == {first.filename, second.filename}


# --- without attestations


def test_without_trusted_publishing_nothing_is_signed_and_the_run_says_so(
    tmp_path: Path, job: Services, built: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RELNOX_OWN_TOKEN", "unused-token")
    with PackageIndex() as index:
        ran = publish(tmp_path / "work", index, "--verbose")
    assert ran.code == 0, ran.text
    assert "attestations: off (uploads do not use Trusted Publishing)" in ran.text
    assert (signed(tmp_path), job.asked) == ([], [])


@pytest.mark.parametrize("reason", ["--attestations off", "the packages that sign are not installed: pip install"])
def test_off_is_off(
    *,
    reason: str,
    tmp_path: Path,
    job: Services,
    index: PackageIndex,
    built: Manifest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if reason.startswith("--"):
        monkeypatch.setenv("RELNOX_ATTESTATIONS", "off")
    else:
        monkeypatch.setattr(attestations, "is_attest_installed", lambda: False)
    ran = publish(tmp_path / "work", index, "--verbose", code=0)
    assert f"attestations: off ({reason}" in ran.text
    assert (signed(tmp_path), job.asked, provenance(index, "core")) == ([], [], {})
    assert is_whole(index, built)


# --- the signing service's bad days


def test_an_outage_ends_the_run_with_nothing_sent_and_a_rerun_continues(
    tmp_path: Path, job: Services, index: PackageIndex, built: Manifest, clock: SimulatedClock
) -> None:
    job.is_down = lambda: True
    ran = publish(tmp_path / "work", index)
    assert 120 <= clock.monotonic() <= 200
    assert ran.code == 5, ran.text
    assert public(index, built) == {}
    assert "the signing service failed: " in ran.text
    assert "--attestations off" in ran.text
    job.is_down = lambda: job.asked.count(ENTRIES) > 2
    assert publish(tmp_path / "work", index).code == 5
    assert len(signed(tmp_path)) == 2
    job.is_down = lambda: False
    ran = publish(tmp_path / "work", index, code=0)
    assert len(provenance(index, "core") | provenance(index, "agents")) == 4


@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize(
    "faults",
    [
        [503],
        ["cut"],  # half a certificate
        [200, "cut"],  # half a log entry
        [200, 429, 500, "cut", 502],
        ["stall"],  # sigstore's own clients know no time-out
    ],
)
def test_transient_errors_are_retried(
    *,
    faults: list[int | str],
    tmp_path: Path,
    job: Services,
    index: PackageIndex,
    built: Manifest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if faults == ["stall"]:
        monkeypatch.setattr(attestations, "_START_TIMEOUT", 2.0)
        monkeypatch.setattr(attestations, "_TIMEOUT_PER_FILE", 0.0)
    job.faults = ["" if fault == 200 else fault for fault in faults]
    publish(tmp_path / "work", index, code=0)
    assert len(provenance(index, "core")) == 2


@pytest.mark.parametrize("fault", [400, 403])
def test_a_rejection_by_the_signing_service_is_not_retried(
    fault: int, tmp_path: Path, job: Services, index: PackageIndex, built: Manifest
) -> None:
    job.faults = [fault]
    ran = publish(tmp_path / "work", index, code=2)
    assert f"the signing service rejected the request: {fault}" in ran.text
    assert "I refuse" in ran.text
    assert (len(job.asked), public(index, built)) == (1, {})


def test_a_certificate_of_another_publisher_blocks_the_uploads(
    tmp_path: Path, job: Services, index: PackageIndex, built: Manifest
) -> None:
    job.names = {"repository": "mallory/demo"}
    ran = publish(tmp_path / "work", index, code=2)
    assert f"the signing service returned no valid attestation by {SIGNER}" in ran.text
    assert public(index, built) == {}


def test_identity_tokens_are_neither_printed_nor_stored(
    tmp_path: Path, job: Services, index: PackageIndex, built: Manifest
) -> None:
    job.faults = [403]
    runs = [publish(tmp_path / "work", index, "--report", str(tmp_path / "report.json")) for _ in range(2)]
    assert [ran.code for ran in runs] == [2, 0], runs[-1].text
    output = "\n".join(
        line for ran in runs for line in ran.text.splitlines() if not line.startswith("::add-mask::")
    )
    kept = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert len(job.given) >= 4
    for token in job.given:
        for part in (token, token.split(".")[1]):
            assert part not in output
            assert part.encode() not in kept


# --- what is verified


def a_file(tmp_path: Path, content: bytes = b"content", name: str = "demo-1.0.tar.gz") -> Distribution:
    path = tmp_path / name
    path.write_bytes(content)
    return described(path)


def signing_identity() -> JobIdentity:
    return JobIdentity(Secret(signing.identity_token()))


@pytest.fixture
def attested(tmp_path: Path, services: Services) -> tuple[Distribution, bytes]:
    file, contents = a_file(tmp_path), []
    attestations.sign_files([file], signing_identity(), lambda _, content: contents.append(content))
    return file, contents[0]


def a_publisher(kind: str, **fields: str) -> Publisher:
    return Publisher(kind=kind, fields=tuple(fields.items()))


@pytest.mark.parametrize(
    "other",
    [
        a_publisher("GitHub", repository="mallory/demo", workflow="release.yml"),
        a_publisher("GitHub", repository="acme/demo", workflow="test.yml"),
        a_publisher("GitLab", repository="acme/demo", workflow_filepath="release.yml"),
        a_publisher("Google", email="release@acme.example"),
    ],
)
def test_an_attestation_is_good_for_its_publisher_and_its_file_alone(
    other: Publisher, attested: tuple[Distribution, bytes], tmp_path: Path
) -> None:
    file, content = attested
    attestations.verify_attestation(content, file, signing.PUBLISHER)
    with pytest.raises(InvalidAttestation, match=f"the attestation of .* by {other.description} is not valid"):
        attestations.verify_attestation(content, file, other)
    for reason, another in (
        ("digest", a_file(tmp_path, b"other content")),
        ("name", a_file(tmp_path, name="other-1.0.tar.gz")),
    ):
        with pytest.raises(InvalidAttestation, match=reason):
            attestations.verify_attestation(content, another, signing.PUBLISHER)


GITLAB_SHA256 = "c1ca9b0d85df1606451098233018534497bf584362e10e4a8c21dfaea92c02a8"
GITHUB_SHA256 = "9bb1add04b1b4e182be6b0b80931593f7a291eb49d69b4fd728a5d4cbcdc4bd3"


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


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"null",
        b'{"attestation_bundles": []}',
        b'{"attestation_bundles": [{"publisher": {"kind": "GitHub"}, "attestations": []}]}',
        b'{"attestation_bundles": [{"publisher": {"kind": "GitHub"}, "attestations": [{"version": 1}]}]}',
    ],
)
def test_invalid_provenance_is_rejected(content: bytes, tmp_path: Path) -> None:
    with pytest.raises(InvalidAttestation, match=r"the provenance of .* on house is not valid \(") as rejected:
        attestations.verify_provenance(content, a_file(tmp_path), "house")
    assert rejected.value.exit_code == 4


def test_what_was_signed_for_real_releases_is_verified_with_the_keys_that_sigstore_brings() -> None:
    file = sample("pypi-attestations", "0.0.19", GITHUB_SHA256)
    content = (SAMPLES / f"{file.filename}.provenance").read_bytes()
    description = attestations.verify_provenance(content, file, "house")
    assert description.startswith("GitHub trailofbits/pypi-attestations, release.yml")
    with pytest.raises(InvalidAttestation, match="digest"):
        attestations.verify_provenance(content, sample("pypi-attestations", "0.0.19", "0" * 64), "house")
    with pytest.raises(InvalidAttestation):
        attestations.verify_provenance(content.replace(b"trailofbits/pypi-", b"mallory/pypi-"), file, "house")
    (path,) = SAMPLES.glob(f"gitlab*{ATTESTATION_SUFFIX}")
    file = sample("gitlab-oidc-project", "0.0.3", GITLAB_SHA256)
    own = a_publisher("GitLab", repository="facutuesca/gitlab-oidc-project", workflow_filepath=".gitlab-ci.yml")
    attestations.verify_attestation(path.read_bytes(), file, own)
    other = a_publisher("GitLab", repository="acme/demo", workflow_filepath=".gitlab-ci.yml")
    with pytest.raises(InvalidAttestation):
        attestations.verify_attestation(path.read_bytes(), file, other)
