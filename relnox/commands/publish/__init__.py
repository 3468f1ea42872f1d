"""Publish the files of the manifest to the production index, and verify them there.

Packages are uploaded after their dependencies. Files that the index has with the same hash are skipped; a file
with another hash blocks all uploads. Rerunning the command finishes an interrupted release.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from packaging.version import Version

from relnox.commands.options import PublishingOptions
from relnox.commands.options import PublishOptions as Options
from relnox.commands.publish import preflight
from relnox.commands.publish.preflight import Snapshot
from relnox.commands.shared import consistency, releases
from relnox.commands.shared.project import Project
from relnox.commands.shared.releases import read_public_part
from relnox.commands.shared.verification import await_listings
from relnox.core.planning.plan import Plan
from relnox.core.planning.step import Step, after
from relnox.core.records import replace
from relnox.core.release.manifest import Manifest
from relnox.indexes import targets
from relnox.steps.attest import Attest
from relnox.steps.upload import LogIn, Upload

_LISTING_TIMEOUT = 2700
"""How long to wait for the listing of a package, in seconds; caches of indexes can be stale for half an hour."""


def observe(options: Options, project: Project) -> Snapshot:
    """Read the manifest and hash its files, read which files the index lists, and find credentials."""
    if options.index is not None:
        project.indexes[options.index].is_chosen = True
    index = options.index or _index_for_tags(options, project)
    snapshot = preflight.read_snapshot(index, options, project)
    if snapshot.production and snapshot.state.missing:
        more = preflight.production_problems(snapshot.state, options, project)
        snapshot = snapshot._replace(problems=(*snapshot.problems, *more))
    return snapshot


def plan(snapshot: Snapshot, options: Options) -> Plan:
    """Plan to upload the files that the index lacks, in dependency order, and to verify them there."""
    publishing = publishing_plan("publish", snapshot, options)
    state = snapshot.state
    if not (state.missing and snapshot.production) or options.yes:
        return publishing
    names = ", ".join(f"{name} {state.manifest.version(name)}" for name in state.manifest.packages)
    consent = f"Publish {names} to {state.name} ({snapshot.host})? Files cannot be replaced later."
    return replace(publishing, consent=consent)


def publishing_plan(task: str, snapshot: Snapshot, options: PublishingOptions) -> Plan:
    """Plan to upload the files that the index lacks, and to verify them there.

    `after-publish` hooks run even if the index has all files: an earlier run may have ended before them.
    """
    state, hooks = snapshot.state, snapshot.hooks
    manifest = state.manifest
    first: list[Step] = []
    if snapshot.publisher is not None:
        first.append(
            Attest(index=state.name, files=state.missing, directory=options.dist, publisher=snapshot.publisher)
        )
    if snapshot.uses_oidc:
        packages = tuple(dict.fromkeys(file.package for file in state.missing))
        first.append(LogIn(index=state.name, packages=packages))
    uploads = tuple(upload_steps(manifest, state.name, options.dist, *first))
    hook_fields: dict[str, Any] = {
        "task": task,
        "packages": hooks.describe_packages({name: manifest.version(name) for name in manifest.packages}),
        "rehearsal": not snapshot.production,
        "index": state.name,
        "directory": options.dist,
        "files": manifest.distributions,
    }
    skip = None if state.missing else f"all files are already on {state.name}"
    before = hooks.hook_steps("before-publish", skip=skip, **hook_fields)
    return Plan(
        task=task,
        steps=(
            *before,
            *(replace(step, needs=(*after(*before), *step.needs)) for step in uploads),
            *hooks.hook_steps("after-publish", needs=after(*uploads), **hook_fields),
        ),
        notes=snapshot.notes,
        problems=snapshot.problems,
        continue_on_error=True,
        public=snapshot.public,
    )


def upload_steps(manifest: Manifest, index: str, dist: str, *first: Step) -> Iterator[Step]:
    """Yield the steps that publish the files of a manifest and verify them on the index.

    Files are signed and upload tokens requested before the first upload, by the steps `first`. A package is
    uploaded after its dependencies have been verified on the index.
    """
    yield from first
    attested = any(isinstance(step, Attest) for step in first)
    deadline = dict.fromkeys(manifest.packages, _LISTING_TIMEOUT)
    awaited = await_listings(manifest, index, deadline)
    listings = {step.package: step for step in awaited}
    needs = dict(manifest.needs)
    for package, listing in listings.items():
        dependencies = [listings[name] for name in needs.get(package, ()) if name in listings]
        # The first file is uploaded alone, because it creates the project or the release. The sdist is uploaded
        # last, so that installers do not build from it while wheels are missing.
        uploads: list[Upload] = []
        for file in sorted(listing.files, key=lambda file: file.kind == "sdist"):
            earlier = uploads if file.kind == "sdist" else uploads[:1]
            upload = Upload(
                index=index,
                file=file,
                directory=dist,
                attested=attested,
                needs=after(*first, *dependencies, *earlier),
            )
            uploads.append(upload)
            yield upload
        yield replace(listing, needs=after(*uploads))


def _index_for_tags(options: Options, project: Project) -> str:
    """Return the index that `[tool.relnox.targets]` selects for the release tag or tags of the built commit."""
    if not project.config.targets:
        return targets.PRODUCTION
    package_names = consistency.selected_packages(options, options.package, project)
    manifest, _ = read_public_part(options.dist, package_names, project)
    release_tag = consistency.read_tag(options, project)
    if release_tag is not None and all(
        release_tag.versions.get(name) == manifest.version(name) for name in manifest.packages
    ):
        return targets.select_by_tags(
            project.config, {name: (release_tag.name, manifest.version(name)) for name in manifest.packages}
        )
    tags = releases.release_tags(manifest, project)
    tag_by_package: dict[str, tuple[str, Version] | None] = {}
    for name in manifest.packages:
        tags_here = (tag for tag, commit in tags[name].items() if commit == manifest.commit)
        tag_by_package[name] = next(((tag, manifest.version(name)) for tag in tags_here), None)
    others = {name for name, tag in tag_by_package.items() if tag is None and tags[name]}
    if others and (tagged := {name: tag for name, tag in tag_by_package.items() if name not in others}):
        index = targets.select_by_tags(project.config, tagged)
        project.indexes[index].fetch_listings(manifest.packages)
        release, _ = releases.split_release(manifest, index, project)
        tag_by_package = {name: tag_by_package[name] for name in release.packages}
    return targets.select_by_tags(project.config, tag_by_package)
