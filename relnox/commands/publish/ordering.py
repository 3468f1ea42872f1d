"""The steps of publishing in dependency order, so that no package is public before its dependencies."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relnox import steps
from relnox.commands.publish import attesting
from relnox.commands.publish.options import COMPARE_LIMIT
from relnox.commands.shared.verification import await_listings
from relnox.core.planning.step import after
from relnox.core.records import replace

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from relnox.commands.publish.attesting import AttestationPlan
    from relnox.commands.publish.snapshot import Snapshot
    from relnox.core.planning.step import Step
    from relnox.core.release.manifest import Manifest

_LISTING_TIMEOUT = 2700
"""How long to wait for the listing of a package, in seconds; caches of indexes can be stale for half an hour."""


def publish_steps(snapshot: Snapshot, dist: str, compare_limit: int = COMPARE_LIMIT) -> Iterator[Step]:
    """Yield the steps that publish the release of a snapshot and verify it on the index.

    Args:
        snapshot: The release and the state of the index.
        dist: The folder with the files.
        compare_limit: The size up to which files are downloaded and hashed after publishing, in MiB.
    """
    missing = dict.fromkeys(file.package for file in snapshot.missing) if snapshot.uses_oidc else ()
    return publication(
        snapshot.manifest,
        snapshot.target,
        dist,
        tokens_for=tuple(missing),
        attestations=snapshot.attestations,
        compare_limit=compare_limit << 20,
    )


def publication(  # noqa: PLR0913 - parameters of a release
    manifest: Manifest,
    index: str,
    dist: str,
    *,
    tokens_for: Sequence[str] = (),
    attestations: AttestationPlan = attesting.NO_ATTESTATIONS,
    compare_limit: int = COMPARE_LIMIT << 20,
) -> Iterator[Step]:
    """Yield the steps that publish the files of a manifest and verify them on the index.

    Before the first upload, all files are signed and the upload tokens for all projects are requested. A package
    is uploaded after its dependencies have been verified on the index.

    Args:
        manifest: The manifest of the release.
        index: The name of the index.
        dist: The folder with the files.
        tokens_for: The packages to request upload tokens for (Trusted Publishing).
        attestations: How attestations are handled.
        compare_limit: The size up to which files are downloaded and hashed after publishing, in bytes.
    """
    attest = attestations.sign_step(index, dist)
    login = steps.LogIn(index=index, packages=tuple(tokens_for)) if tokens_for else None
    yield from (step for step in (attest, login) if step is not None)
    needs = dict(manifest.needs)
    deadline = dict.fromkeys(manifest.packages, _LISTING_TIMEOUT)
    awaited = await_listings(manifest, index, deadline, compare_limit=compare_limit, folder=dist)
    listings = {step.package: step for step in awaited}
    for package, step in listings.items():
        dependencies = (listings[name] for name in needs.get(package, ()) if name in listings)
        before = after(attest, login, *dependencies)
        uploads = [attestations.with_attestation(upload) for upload in _upload_steps(step, dist, before)]
        yield from uploads
        yield replace(step, needs=after(*uploads))
        yield from attestations.provenance_steps(step)


def _upload_steps(release: steps.AwaitIndex, dist: str, before: tuple[str, ...]) -> Iterator[steps.Upload]:
    """Yield the steps that upload the files of one package.

    The first file is uploaded alone, because it creates the project or the release. The sdist is uploaded last, so
    that installers do not build from it while wheels are missing.

    Args:
        release: The step that waits for the listing of the files.
        dist: The folder with the files.
        before: The keys of the steps that must succeed before any of the uploads.
    """
    earlier: list[steps.Upload] = []
    for file in sorted(release.files, key=lambda file: file.kind == "sdist"):
        needed = earlier if file.kind == "sdist" else earlier[:1]
        step = steps.Upload(index=release.index, file=file, folder=dist, needs=before + after(*needed))
        earlier.append(step)
        yield step
