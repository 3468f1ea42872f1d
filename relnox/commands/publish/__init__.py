"""Publish the files of the manifest to the production index, and verify them there.

Packages are uploaded after their dependencies. Files that the index has with the same hash are skipped; a file
with another hash blocks all uploads. Rerunning the command finishes an interrupted release.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from relnox.commands.publish import inspection, planning, preflight
from relnox.commands.shared import consistency, release_branch, releases
from relnox.commands.shared.manifests import read_public_part
from relnox.core.records import replace

if TYPE_CHECKING:
    from packaging.version import Version

    from relnox.commands.options import PublishOptions as Options
    from relnox.commands.publish.inspection import Snapshot
    from relnox.commands.shared.project import Project
    from relnox.core.planning.plan import Plan


def observe(options: Options, project: Project) -> Snapshot:
    """Read the manifest and hash its files, read which files the index lists, and find credentials."""
    if options.index is not None:
        project.indexes.choose(options.index)
    index = options.index or _index_for_tags(options, project)
    snapshot = inspection.read_snapshot(index, options, project)
    commit = snapshot.state.manifest.commit
    if snapshot.production and snapshot.state.missing and commit is not None and not options.allow_branch:
        release_tag = consistency.read_tag(options, project)
        if release_tag is None or not release_tag.versions or release_tag.is_elsewhere:
            problems = tuple(release_branch.unreleased_commit_problems(commit, project))
            return snapshot._replace(unreleased_commit=problems)
    return snapshot


def plan(snapshot: Snapshot, options: Options) -> Plan:
    """Plan to upload the files that the index lacks, in dependency order, and to verify them there."""
    publishing = planning.publishing_plan("publish", snapshot, options)
    consent = None
    state = snapshot.state
    if state.missing and snapshot.production and not options.yes and publishing.skipped is None:
        releases = ", ".join(f"{name} {state.manifest.version(name)}" for name in state.manifest.packages)
        consent = f"Publish {releases} to {state.name} ({snapshot.host})? Files cannot be replaced later."
    development = preflight.development_problems(snapshot, allowed=options.allow_dev)
    return replace(
        publishing, problems=(*publishing.problems, *snapshot.unreleased_commit, *development), consent=consent
    )


def _index_for_tags(options: Options, project: Project) -> str:
    """Return the index that `[tool.relnox.targets]` selects for the release tag or tags of the built commit."""
    from relnox.indexes import targets

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
        project.indexes.fetch_listings(index, manifest.packages)
        release, _ = releases.split_release(manifest, index, project)
        tag_by_package = {name: tag_by_package[name] for name in release.packages}
    return targets.select_by_tags(project.config, tag_by_package)
