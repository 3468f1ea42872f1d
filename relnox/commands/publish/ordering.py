"""The steps of publishing in dependency order: no package is public before its dependencies."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relnox import core
from relnox.commands.publish import attesting
from relnox.commands.publish.options import COMPARE_LIMIT

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from relnox.commands.publish.attesting import AttestationPlan
    from relnox.commands.publish.snapshot import Snapshot
    from relnox.core.release.manifest import Distribution, Manifest
    from relnox.core.steps import Step

__all__ = ["publication", "steps"]

_LISTING_TIME = 2700
"""Seconds to wait for the listing: caches of indexes have been outdated for more than half an hour."""


def steps(snapshot: Snapshot, dist: str, compare_limit: int = COMPARE_LIMIT) -> Iterator[Step]:
    """Yield the steps that publish the missing files of a snapshot.

    Args:
        snapshot: The release and the state of the index.
        dist: The folder with the files.
        compare_limit: MiB up to which files are downloaded and hashed afterwards.
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
    """Yield the steps that publish a manifest.

    Before the first upload all files are signed, and there are tokens for all projects. A package is uploaded when
    its dependencies are verified on the index.

    Args:
        manifest: The release.
        index: The index to publish to.
        dist: The folder with the files.
        tokens_for: Packages for which the index issues tokens (Trusted Publishing).
        attestations: How attestations are handled.
        compare_limit: Bytes up to which files are downloaded and hashed afterwards.
    """
    yield from attestations.sign_steps(index, dist)
    login_key: tuple[str, ...] = ()
    if tokens_for:
        login = core.steps.LogIn(index=index, packages=tuple(tokens_for))
        yield login
        login_key = (login.key,)
    needs = dict(manifest.needs)
    for package in manifest.packages:
        files = manifest.files_of(package)
        before = tuple(f"await {name}" for name in needs.get(package, ()) if name in manifest.packages)
        uploads = [
            attestations.with_attestation(step) for step in _uploads(files, index, dist, login_key + before)
        ]
        yield from uploads
        yield core.steps.AwaitIndex(
            index=index,
            package=package,
            version=manifest.version(package),
            files=files,
            deadline=_LISTING_TIME,
            compare_limit=compare_limit,
            folder=dist,
            needs=tuple(step.key for step in uploads),
        )
        yield from attestations.provenance_steps(index, manifest, package)


def _uploads(
    files: Sequence[Distribution], index: str, dist: str, before: tuple[str, ...]
) -> Iterator[core.steps.Upload]:
    """Yield the uploads of one package.

    The first file is uploaded alone, since it creates the project or the release, and the sdist last, so that
    installers do not build while the wheels are missing.
    """
    keys: list[str] = []
    for file in sorted(files, key=lambda file: file.kind == "sdist"):
        after = tuple(keys if file.kind == "sdist" else keys[:1])
        step = core.steps.Upload(index=index, file=file, folder=dist, needs=before + after)
        keys.append(step.key)
        yield step
