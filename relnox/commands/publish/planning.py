"""The plan that `publish` and `publish-test` share: hooks, and uploads in dependency order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from relnox import core, steps
from relnox.commands.publish import attesting, preflight
from relnox.commands.shared.verification import await_listings
from relnox.core.planning.step import after
from relnox.core.records import replace

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from relnox.commands.options import PublishingOptions
    from relnox.commands.publish.attesting import AttestationPlan
    from relnox.commands.publish.inspection import Snapshot
    from relnox.core.planning.plan import Plan
    from relnox.core.planning.step import Step
    from relnox.core.release.manifest import Manifest

_LISTING_TIMEOUT = 2700
"""How long to wait for the listing of a package, in seconds; caches of indexes can be stale for half an hour."""


def publishing_plan(task: str, snapshot: Snapshot, options: PublishingOptions) -> Plan:
    """Plan to upload the files that the index lacks, and to verify them there.

    `after-publish` hooks run even if the index has all files: an earlier run may have ended before them.
    """
    state, missing = snapshot.state, snapshot.state.missing
    packages = dict.fromkeys(file.package for file in missing) if snapshot.credentials.uses_oidc else ()
    uploads = tuple(
        upload_steps(
            state.manifest,
            state.name,
            options.dist,
            compare_limit=options.compare_limit << 20,
            tokens_for=tuple(packages),
            attestations=snapshot.attestations,
        )
    )
    hook_fields: dict[str, Any] = {
        "task": task,
        "packages": snapshot.hooks.describe_packages(
            {name: state.manifest.version(name) for name in state.manifest.packages}
        ),
        "rehearsal": not snapshot.production,
        "index": state.name,
        "directory": options.dist,
        "files": state.manifest.distributions,
    }
    skip = None if missing else f"all files are already on {state.name}"
    hooks_before = snapshot.hooks.hook_steps("before-publish", skip=skip, **hook_fields)
    hooks_after = snapshot.hooks.hook_steps("after-publish", needs=after(*uploads), **hook_fields)
    needs = after(*hooks_before)
    return core.plan.Plan(
        task=task,
        steps=(
            *hooks_before,
            *(replace(step, needs=(*needs, *step.needs)) if needs else step for step in uploads),
            *hooks_after,
        ),
        notes=tuple(preflight.notes(snapshot, options)),
        problems=preflight.problems(snapshot, options),
        continue_on_error=True,
        skipped=snapshot.credentials.skip_reason,
        public=preflight.public_files(snapshot, options),
    )


def upload_steps(  # noqa: PLR0913 - parameters of a release
    manifest: Manifest,
    index: str,
    dist: str,
    *,
    compare_limit: int,
    tokens_for: Sequence[str] = (),
    attestations: AttestationPlan = attesting.NO_ATTESTATIONS,
) -> Iterator[Step]:
    """Yield the steps that publish the files of a manifest and verify them on the index.

    Before the first upload, all files are signed, and upload tokens are requested for the packages `tokens_for`
    (Trusted Publishing). A package is uploaded after its dependencies have been verified on the index. Files up to
    `compare_limit` bytes are downloaded and hashed for that.
    """
    attest = attestations.sign_step(index, dist)
    login = steps.LogIn(index=index, packages=tuple(tokens_for)) if tokens_for else None
    yield from (step for step in (attest, login) if step is not None)
    needs = dict(manifest.needs)
    deadline = dict.fromkeys(manifest.packages, _LISTING_TIMEOUT)
    awaited = await_listings(manifest, index, deadline, compare_limit=compare_limit, directory=dist)
    listings = {step.package: step for step in awaited}
    for package, step in listings.items():
        dependencies = (listings[name] for name in needs.get(package, ()) if name in listings)
        before = after(attest, login, *dependencies)
        uploads = [attestations.with_attestation(upload) for upload in _package_uploads(step, dist, before)]
        yield from uploads
        yield replace(step, needs=after(*uploads))
        yield from attestations.provenance_steps(step)


def _package_uploads(release: steps.AwaitIndex, dist: str, before: tuple[str, ...]) -> Iterator[steps.Upload]:
    """Yield the steps that upload the files of one package after the steps with the keys `before`.

    The first file is uploaded alone, because it creates the project or the release. The sdist is uploaded last, so
    that installers do not build from it while wheels are missing.
    """
    earlier: list[steps.Upload] = []
    for file in sorted(release.files, key=lambda file: file.kind == "sdist"):
        needed = earlier if file.kind == "sdist" else earlier[:1]
        step = steps.Upload(index=release.index, file=file, directory=dist, needs=before + after(*needed))
        earlier.append(step)
        yield step
