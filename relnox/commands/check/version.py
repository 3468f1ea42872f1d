"""Items about the version: whether it is new and everywhere the same, its tags, its entry in the changelog."""

from __future__ import annotations

from collections.abc import Iterator

from packaging.version import Version

from relnox.commands.check.context import CheckContext, Finding
from relnox.commands.shared import checks, consistency, releases
from relnox.core import changelog as changelogs
from relnox.core import setting_proposals, version_groups
from relnox.core.bump import changelog_updates
from relnox.core.packages import Package
from relnox.core.text import join_names, split_lines
from relnox.errors import Blocked, Conflict
from relnox.indexes import uploads
from relnox.indexes.listings import Listing
from relnox.steps.publication import different_files_error


def check_version_new(context: CheckContext) -> Iterator[Finding]:
    """Yield problems for versions that are not new: tagged on another commit, too low, or on the index already.

    Files on the index that differ from the build are a problem as well. After the problems, `NotCheckable` is
    raised if a version, or the tags of the remote, are not known.
    """
    project, (_, _, commit) = context.project, context.git
    reported_names = set()
    for message, _, names in consistency.tagged_elsewhere_messages(context.versions, commit, project):
        reported_names.update(names)
        yield Blocked("version-tagged-elsewhere", message, _patch_bump_command(names[0], context))
    for name, (tag, last) in checks.newer_tags(project).reachable.items():
        if name in context.versions and name not in reported_names:
            reported_names.add(name)
            message = f"{name} {context.versions[name]} is not higher than the last release ({tag})"
            yield Blocked(
                "version-not-higher",
                message,
                project.bump_command(name, "--to", _next_final_version(last), tag=True),
            )
    for name, files in context.public_files().items():
        version = context.versions[name]
        if files and name not in reported_names and not releases.tags_of_version(name, version, project):
            yield Conflict(
                "version-not-higher",
                f"{name} {version} is on {context.index.name} already, and no tag here says from which commit "
                f"({join_names(sorted(files))})",
                uploads.used_version_hint(name, version, context.index),
            )
    yield from _changed_public_file_problems(commit, context)
    context.require_versions()
    if project.remote.error is not None:
        context.require_remote()


def _changed_public_file_problems(commit: str, context: CheckContext) -> Iterator[Finding]:
    """Yield a problem for each package whose files on the index differ from the build, if that is of `commit`."""
    manifest = context.build_manifest
    if manifest is None or manifest.commit != commit:
        return
    for name in manifest.packages:
        listing = context.listings().get(name) or Listing()
        differing_files = [
            (file, sha256)
            for file in manifest.files_of(name)
            if file.filename in listing and (sha256 := listing[file.filename].sha256) not in (None, file.sha256)
        ]
        if differing_files:
            yield different_files_error(context.index, differing_files)


def check_version_everywhere(context: CheckContext) -> Iterator[Finding]:
    """Yield problems for packages whose files differ in the version, and for groups that must share a version."""
    project = context.project
    yield from checks.inconsistent_version_file_problems(context.packages, project)
    for group in project.version_groups:
        if group.kind == "fixed":
            versions = {package.name: package.version for package in group.packages if package.version is not None}
            try:
                version_groups.check_group_has_one_version(group, versions)
            except Blocked as error:
                version = _next_final_version(max(versions.values()))
                yield error.but(fix=project.bump_command(group.packages[0].name, "--to", version))


def check_packages_listed(context: CheckContext) -> Iterator[Finding]:
    """Yield a problem for packages of the repository that are neither in the project nor excluded."""
    project = context.project
    if project.unlisted_packages:
        text = setting_proposals.describe_unlisted_packages(
            project.unlisted_packages, project.workspace, project.config
        )
        message, *ways = split_lines(text)
        yield Blocked("package-unlisted", message, "; or ".join(reversed(ways)))


def check_tags(context: CheckContext) -> Iterator[Finding]:
    """Yield problems for tags of the current versions that the remote lacks or has on other commits.

    With `--profile before-publish`, versions without a tag are problems as well. Without an answer of the remote,
    or if a version is not known, `NotCheckable` is raised.
    """
    project, (_, state, _) = context.project, context.git
    remote = project.config.remote
    context.require_remote()
    reported_tags: set[str] = set()  # packages may share a tag
    for name, version in context.versions.items():
        version_tags = releases.tags_of_version(name, version, project)
        for tag in version_tags.keys() - reported_tags:
            reported_tags.add(tag)
            here, there = state.tags.get(tag), project.remote.tags.get(tag)
            if here and there and here != there:
                yield Conflict(
                    "tag-exists",
                    f"tag {tag} is on {here[:10]} here, but on {there[:10]} on {remote}",
                    f"release another version: {_patch_bump_command(name, context)}",
                )
            elif here and not there:
                yield Blocked(
                    "release-not-tagged", f"{remote} does not have tag {tag}", f"git push {remote} refs/tags/{tag}"
                )
        planned_tag = project.tag_formats[name].render(version)
        if not version_tags and context.profile == "before-publish" and planned_tag not in reported_tags:
            reported_tags.add(planned_tag)
            yield Blocked(
                "release-not-tagged",
                f"{name} {version} is not tagged (tag {planned_tag} does not exist)",
                project.bump_command(name, "--to", str(version), "--push", tag=True),
            )
    context.require_versions()


def check_changelog(context: CheckContext) -> Iterator[Finding]:
    """Yield a problem for packages without a changelog, or without an entry for their final version in it."""
    project = context.project
    if project.config.changelog == "none":
        return
    candidates = project.changelog_candidates
    contents = project.read_files(name for names in candidates.values() for name in names)
    by_package = changelog_updates.find_changelogs(project.workspace, candidates, contents, project.config)
    if names_without_changelog := [package.name for package in context.packages if package.name not in by_package]:
        yield Blocked(
            "changelog-missing",
            f"there is no changelog of {join_names(names_without_changelog)}",
            'write CHANGELOG.md with the heading "## Unreleased", and what has changed below it; or, to have '
            'none: [tool.relnox] changelog = "none"',
            level="warning",
        )
    for package in context.packages:
        version, file = context.versions.get(package.name), by_package.get(package.name)
        if file is not None and version is not None and not version.is_prerelease:
            text = contents[file].decode("utf-8", "replace")
            yield from _changelog_entry_problems(package, version, file, text, context)


def _changelog_entry_problems(
    package: Package, version: Version, file: str, text: str, context: CheckContext
) -> Iterator[Finding]:
    """Yield a problem if a changelog, with this text, has no entry for a version of a package.

    There is none if a bump may still add the entry: the version is not tagged, the profile is not
    `before-publish`, and there are unreleased entries or a tool writes the changelog.
    """
    if changelogs.section_of_version(text, str(version)):
        return
    tools = ("towncrier", "git-cliff")
    is_pending = changelogs.has_unreleased_heading(text, None) and not changelogs.is_unreleased_section_empty(text)
    is_tagged = bool(releases.tags_of_version(package.name, version, context.project))
    if (
        not is_tagged
        and context.profile != "before-publish"
        and (is_pending or context.project.config.changelog in tools)
    ):
        return
    fix = f'add the heading "## {version}" to {file}, with what has changed below it'
    if is_pending and not is_tagged:
        fix = context.project.bump_command(package.name, "--to", str(version))
    yield Blocked("changelog-missing", f"{file} has no entry for {package.name} {version}", fix)


def _patch_bump_command(name: str, context: CheckContext) -> str:
    """Return the command that bumps a package to its next patch version, with commit and tag."""
    return context.project.bump_command(name, "--part", "patch", tag=True)


def _next_final_version(version: Version) -> str:
    """Return the final version of a prerelease (`1.2` of `1.2rc1`), or the next final one (`1.3` after `1.2`)."""
    release = version.release if version.is_prerelease else (*version.release[:-1], version.release[-1] + 1)
    return str(Version.from_parts(epoch=version.epoch, release=release))
