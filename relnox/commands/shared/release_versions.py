"""The tag and the version that a CI job was started with: which packages it releases, and in which version."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from relnox import core

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from relnox.commands.options import ReleaseOptions
    from relnox.commands.shared.project import Project
    from relnox.core.problems import Problem
    from relnox.core.release.manifest import Manifest
    from relnox.core.release.release_versions import ReleaseTag, StatedVersion


class VersionComparison(NamedTuple):
    """What tag, expected version and files say about the versions of a release.

    There is no tag if the run was not started for one. The notes on where each version comes from are empty
    outside CI if there is neither a tag nor an expected version.
    """

    tag: ReleaseTag | None = None
    problems: tuple[Problem, ...] = ()
    notes: tuple[str, ...] = ()


def selected_packages(options: ReleaseOptions, package: tuple[str, ...], project: Project) -> tuple[str, ...]:
    """Return the names given with `--package`, or else those of the packages that `--tag` releases.

    An empty tuple stands for all packages.
    """
    tag = read_tag(options, project)
    names = tuple(tag.versions) if tag is not None else ()
    return package if package or len(names) == len(project.workspace.packages) else names


def compare_versions(
    options: ReleaseOptions, project: Project, packages: tuple[str, ...], manifest: Manifest | None = None
) -> VersionComparison:
    """Compare the versions of the packages with the tag of the run and the expected version.

    The manifest to publish has the versions that no file contains; there is none before the build.

    Raises:
        Blocked: The expected version is not a version.
    """
    if project.is_rehearsal:
        return VersionComparison()
    tag = read_tag(options, project)
    expected = _expected_version(options, project)
    files = {name: _version_in_file(name, project, manifest) for name in packages}
    resolutions = core.release_versions.collect_version_statements(files, tag, expected)
    names = project.workspace.by_name.keys()
    problems = list(core.release_versions.version_disagreement_problems(resolutions, tag, names))
    notes = list(core.release_versions.describe_version_sources(resolutions))
    if tag is not None:
        problems += _tag_problems(tag, options, project, packages, is_published=manifest is not None)
        if not tag.versions and not problems:
            notes.append(f"tag {tag.name} ({tag.origin}) is not a release tag of this project")
    return VersionComparison(tag, tuple(problems), tuple(notes) if tag or expected or os.environ.get("CI") else ())


def read_tag(options: ReleaseOptions, project: Project) -> ReleaseTag | None:
    """Return the tag of `--release-tag` or else of the CI job; None if there is neither, or in a rehearsal."""
    pair = ("--release-tag", options.release_tag) if options.release_tag else _tag_of_job(os.environ)
    if pair is None or project.is_rehearsal:
        return None
    origin, name = pair
    formats = project.tag_formats_with(name)
    versions = core.release_versions.versions_in_tag(name, project.workspace.packages, formats)
    is_elsewhere = name in project.tags and project.commit not in (None, project.tags[name])
    return core.release_versions.ReleaseTag(name=name, origin=origin, versions=versions, is_elsewhere=is_elsewhere)


def _tag_of_job(environment: Mapping[str, str]) -> tuple[str, str] | None:
    """Return the variable that names the tag of the CI job, and the tag; None if the job runs for no tag."""
    if environment.get("GITHUB_REF_TYPE") == "tag" and (name := environment.get("GITHUB_REF_NAME")):
        return "GITHUB_REF_NAME", name
    if name := environment.get("CI_COMMIT_TAG"):
        return "CI_COMMIT_TAG", name
    return None


def _expected_version(options: ReleaseOptions, project: Project) -> StatedVersion | None:
    """Return the version given with `--expect-version`, or None."""
    if not (text := options.expect_version.strip()):
        return None
    source = "--expect-version"
    version = core.release_versions.parse_version_input(text, source, project.tag_formats.values())
    return core.release_versions.StatedVersion(kind="expected", source=source, text=text, version=version)


def _version_in_file(name: str, project: Project, manifest: Manifest | None) -> StatedVersion | None:
    """Return the version in the package's file, or else in the manifest; None if neither has one."""
    package = project.workspace.by_name.get(name)
    source, version = (package.source.file, package.version) if package is not None else ("", None)
    if version is None and manifest is not None:
        source, version = core.manifest.MANIFEST_JSON, manifest.version(name)
    if version is None:
        return None
    return core.release_versions.StatedVersion(kind="file", source=source, text=str(version), version=version)


def _tag_problems(
    tag: ReleaseTag, options: ReleaseOptions, project: Project, packages: tuple[str, ...], *, is_published: bool
) -> Iterator[Problem]:
    """Yield a problem if the tag is not a release tag, lacks a package, or is not on the commit to build."""
    tag_text = f"tag {tag.name} ({tag.origin})"
    if not tag.versions:
        if is_published or options.release_tag:
            formats = project.tag_formats_with(tag.name)
            samples = core.text.join_names(dict.fromkeys(formats[name].sample for name in packages))
            yield core.problems.Problem(
                code="tag-not-checked-out",
                message=f"{tag_text} is not a release tag of this project (its tags are like {samples})",
                fix="start the run for a release tag, or on a branch; to ignore it: "
                f"{core.consistency.ALLOW_MISMATCH_FLAG}",
            )
        return
    if others := [name for name in packages if name not in tag.versions]:
        yield core.problems.Problem(
            code="package-not-tagged",
            message=f"{tag_text} does not include {core.text.join_names(others)} "
            f"(only {core.text.join_names(tag.versions)})",
            fix=f"remove --package; to ignore it: {core.consistency.ALLOW_MISMATCH_FLAG}",
        )
    if tag.is_elsewhere and not is_published and any(version is not None for version in tag.versions.values()):
        commits = (project.tags[tag.name], project.commit)
        tagged_commit, head = (core.consistency.shorten_commit_id(commit or "") for commit in commits)
        yield core.problems.Problem(
            code="tag-not-checked-out",
            message=f"{tag_text} is on {tagged_commit}, but the checkout is at {head}",
            fix=f"git switch --detach refs/tags/{tag.name}; to ignore it: {core.consistency.ALLOW_MISMATCH_FLAG}",
        )
