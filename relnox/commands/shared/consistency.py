"""Checks that tag, version, commit and archives of a release belong together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relnox import core
from relnox.core import fixes
from relnox.errors import Blocked

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from packaging.version import Version

    from relnox.commands.shared.project import Project
    from relnox.core.packages import Package
    from relnox.core.problems import Problem
    from relnox.core.release.consistency import TaggedElsewhere
    from relnox.core.release.manifest import Manifest
    from relnox.core.release.release_versions import ReleaseTag
    from relnox.core.tagging.tags import TagFormat


def check_build(
    packages: Sequence[Package], project: Project, commit: str | None, release_tag: ReleaseTag | None = None
) -> tuple[tuple[Problem, ...], tuple[str, ...]]:
    """Return the problems with the tags of a commit to build, and notes on what will block publishing.

    CI often builds commits made after a release, before the next bump. They only get a note. Packages of the tag
    that the run was started for were already compared with it. A version that is not committed yet says nothing
    about the tags of the commit.
    """
    formats = _tag_formats(project)
    if commit is None or project.state is None or formats is None:
        return (), ()
    changed_files = project.state.changed_files
    versions = {
        package.name: package.version
        for package in packages
        if package.version is not None and package.source.file not in changed_files
    }
    here = [name for name, tagged_commit in project.state.tags.items() if tagged_commit == commit]
    versions_to_compare = _exclude_tagged(versions, release_tag)
    problems = core.consistency.tag_mismatch_problems(versions_to_compare, formats, here, commit, from_files=True)
    notes = (
        f"{mismatch.message(commit)}; before publishing, run: {fixes.task_command('bump')}"
        for mismatch in _changed_since_tag(versions, formats, commit, project)
    )
    return tuple(problems), tuple(notes)


def check_manifest(
    manifest: Manifest, dist: str, project: Project, release_tag: ReleaseTag | None = None, *, production: bool
) -> Iterator[Problem]:
    """Yield the contradictions between the manifest in `dist` and the checkout and its tags.

    Packages of the tag that the run was started for were already compared with it. Only versions on
    production indexes cannot be reused.
    """
    where = f"{dist}/{core.manifest.MANIFEST_JSON}"
    packages = project.workspace.packages
    head = project.state.head if project.state is not None else None
    built_commit = manifest.commit
    files: tuple[str, ...] | None = None
    if project.git is not None and built_commit is not None and head is not None and built_commit != head:
        files = project.git.files_changed_between(built_commit, head)
    yield from core.consistency.outdated_manifest_problems(manifest, where, head, packages, files)
    if production:
        yield from core.consistency.missing_wheel_problems(
            manifest, where, _count_platform_wheels(manifest, project)
        )
    formats = _tag_formats(project)
    if built_commit is None or manifest.dirty or project.state is None or formats is None:
        return
    versions = {name: manifest.version(name) for name in manifest.packages if name in formats}
    here = [name for name, commit in project.state.tags.items() if commit == built_commit]
    versions_to_compare = _exclude_tagged(versions, release_tag)
    yield from core.consistency.tag_mismatch_problems(
        versions_to_compare, formats, here, built_commit, from_files=False
    )
    if production:
        for mismatch in _changed_since_tag(versions, formats, built_commit, project):
            which = "" if len(mismatch.packages) == len(packages) else f" --package {mismatch.packages[0]}"
            yield core.problems.Problem(
                code="version-tagged-elsewhere",
                message=mismatch.message(built_commit),
                fix=f"{fixes.task_command('bump', '--part', 'patch')}{which}, then: "
                f"{fixes.task_command('build-all')}; to publish the tagged commit: "
                f"git switch --detach {mismatch.tag}, and build it; "
                f"to ignore it: {core.consistency.ALLOW_MISMATCH_FLAG}",
            )


def ignored_mismatch_notes(mismatches: Sequence[Problem]) -> Iterator[str]:
    """Yield a note for each mismatch that is ignored because of a command-line option."""
    for problem in mismatches:
        yield f"ignored by {core.consistency.ALLOW_MISMATCH_FLAG}: {problem.message}"


def _exclude_tagged(versions: Mapping[str, Version], release_tag: ReleaseTag | None) -> dict[str, Version]:
    """Return the versions of the packages that were not already compared with the release tag."""
    tagged_versions = release_tag.versions if release_tag is not None else {}
    return {name: version for name, version in versions.items() if tagged_versions.get(name) is None}


def _changed_since_tag(
    versions: Mapping[str, Version], formats: Mapping[str, TagFormat], commit: str, project: Project
) -> Iterator[TaggedElsewhere]:
    """Yield the tags on other commits that have the current version of a package that has changed since then."""
    assert project.git is not None  # noqa: S101 - there are tags
    assert project.state is not None  # noqa: S101 - as above
    by_tag = core.consistency.find_tagged_elsewhere(versions, formats, project.state.tags, commit)
    for (tag, version, tagged_commit), packages in by_tag.items():
        files = project.git.files_changed_between(tagged_commit, commit)
        changed_files = core.consistency.changed_files_by_package(files or (), project.workspace.packages)
        if names := tuple(name for name in packages if name in changed_files):
            yield core.consistency.TaggedElsewhere(
                tag=tag,
                version=version,
                commit=tagged_commit,
                packages=names,
                files=tuple(file for name in names for file in changed_files[name]),
            )


def _tag_formats(project: Project) -> Mapping[str, TagFormat] | None:
    """Return the tag format of each package, or None if the checkout has no tags or the formats are ambiguous."""
    if project.git is None or project.state is None or not project.state.tags:
        return None
    try:
        return project.tag_formats
    except Blocked:
        return None


def _count_platform_wheels(manifest: Manifest, project: Project) -> dict[str, int]:
    """Return how many platform wheels the settings require for each package of the manifest."""
    by_name = project.workspace.by_name
    return {
        name: number
        for name in manifest.packages
        if name in by_name
        and (
            number := sum(
                len(job.identifiers) for job in core.wheels.plan_wheel_jobs(by_name[name], project.config.wheels)
            )
        )
    }
