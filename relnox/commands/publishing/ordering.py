"""In which order a release goes out: nothing is public before what it needs is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relnox import core
from relnox.commands import attesting

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from relnox.commands.attesting import Attesting
    from relnox.commands.publishing.inspection import Snapshot
    from relnox.core.manifest import Distribution, Manifest
    from relnox.core.steps import Step

__all__ = ["publication", "steps"]

_PATIENCE = 2700
"""Seconds that an index may take to list what it took: caches before one were stale for half an hour and more."""


COMPARE_LIMIT = 64
"""MiB up to which all of a file is fetched and hashed after it was published."""
COMPARE_HELP = (
    "Fetch and hash published files up to this size in MiB; of larger ones compare the length and the last MiB."
)


def steps(snapshot: Snapshot, dist: str, compare_limit: int = COMPARE_LIMIT) -> Iterator[Step]:
    """The steps that make public what was looked at, from a folder.

    Args:
        snapshot: What was looked at.
        dist: The folder with the files.
        compare_limit: MiB up to which all of a file is fetched and hashed afterwards.
    """
    missing = dict.fromkeys(file.package for file in snapshot.missing) if snapshot.minted else ()
    return publication(
        snapshot.manifest,
        snapshot.target,
        dist,
        minted=tuple(missing),
        attests=snapshot.attesting,
        compare_limit=compare_limit << 20,
    )


def publication(  # noqa: PLR0913 - how a release goes out
    manifest: Manifest,
    index: str,
    dist: str,
    *,
    minted: Sequence[str] = (),
    attests: Attesting = attesting.NOTHING,
    compare_limit: int = COMPARE_LIMIT << 20,
) -> Iterator[Step]:
    """The steps that make a manifest public.

    Before the first file is sent all are signed, where they go with attestations, and there are tokens for all. A
    package waits for those that it needs to be there.

    Args:
        manifest: What is to be public.
        index: Where.
        dist: The folder with the files.
        minted: The packages that the index mints tokens for (Trusted Publishing).
        attests: Whether files go with attestations.
        compare_limit: Bytes up to which all of a file is fetched and hashed afterwards.
    """
    yield from attests.signing(index, dist)
    entered: tuple[str, ...] = ()
    if minted:
        login = core.steps.LogIn(index=index, packages=tuple(minted))
        yield login
        entered = (login.key,)
    needs = dict(manifest.needs)
    for package in manifest.packages:
        files = manifest.files_of(package)
        before = tuple(f"await {name}" for name in needs.get(package, ()) if name in manifest.packages)
        sent = [attests.attached(step) for step in _uploads(files, index, dist, entered, before)]
        yield from sent
        yield core.steps.AwaitIndex(
            index=index,
            package=package,
            version=manifest.version(package),
            files=files,
            deadline=_PATIENCE,
            compare_limit=compare_limit,
            folder=dist,
            needs=tuple(step.key for step in sent),
        )
        yield from attests.proof(index, manifest, package)


def _uploads(
    files: Sequence[Distribution], index: str, dist: str, entered: tuple[str, ...], before: tuple[str, ...]
) -> Iterator[core.steps.Upload]:
    """Uploads of one package, each public at once.

    The first goes alone, since it creates the project or the release, and the sdist last: an installer that comes
    in between does not have to build.
    """
    keys: list[str] = []
    for file in sorted(files, key=lambda file: file.kind == "sdist"):
        after = tuple(keys if file.kind == "sdist" else keys[:1])
        step = core.steps.Upload(index=index, file=file, folder=dist, needs=entered + before + after)
        keys.append(step.key)
        yield step
