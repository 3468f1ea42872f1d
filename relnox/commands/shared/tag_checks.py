"""Checks of a project's tags before a release: newer tags, missing tags, and backends that read any tag."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping

from packaging.version import Version

from relnox.commands.shared.project import Project
from relnox.core import tag_versions, text
from relnox.core.bump.version_bumps import VersionBump
from relnox.core.packages import Package
from relnox.core.records import Record
from relnox.core.settings import release_lines
from relnox.core.settings.config import Config
from relnox.core.tags import TagFormat, latest_tags, packages_that_read_any_tag, tags_naming
from relnox.core.workspace import Workspace
from relnox.errors import Blocked, Problem

_MAX_LISTED = 5


class NewerTags(Record):
    """Tags that are newer than the current versions of their packages.

    Attributes:
        reachable: By package: the tag and its version, for tags on HEAD or its ancestors.
        unmerged: The same for tags on other commits: on another branch, or not fetched yet.
    """

    reachable: Mapping[str, tuple[str, Version]]
    unmerged: Mapping[str, tuple[str, Version]]

    def notes(self, packages: Collection[str], config: Config, local: Mapping[str, str]) -> Iterator[str]:
        """Yield notes on newer tags of packages that HEAD does not contain; `local` has this clone's tags."""
        by_tag: dict[str, list[str]] = {}
        for name, (tag, _) in self.unmerged.items():
            if name in packages:
                by_tag.setdefault(tag, []).append(name)
        for tag, names in list(by_tag.items())[:_MAX_LISTED]:
            where = (
                "not an ancestor of HEAD" if tag in local else f"only on {config.remote}; run: git fetch --tags"
            )
            yield f"tag {tag} is newer than the current version of {text.join_names(names)} ({where})"
        if len(by_tag) > _MAX_LISTED:
            yield f"{len(by_tag) - _MAX_LISTED} more tags are newer than the current versions of their packages"


def newer_tags(project: Project) -> NewerTags:
    """Return the latest tag of each package, in any format, if it is newer than the current version.

    A tag on an ancestor of the commit tagged with the current version is ignored: its version was abandoned.
    """
    if project.git is None or project.state is None or project.state.head is None or not project.tags:
        return NewerTags({}, {})
    current_versions = {
        package.name: version
        for package in project.workspace.packages
        if (version := _current_version(package, project)) is not None
    }

    def find_newer(tags: Iterable[str]) -> dict[str, tuple[str, Version]]:
        latest = _latest_tags(project, tags).items()
        return {
            name: tagged
            for name, tagged in latest
            if name in current_versions and tagged[1] > current_versions[name]
        }

    newer = find_newer(project.tags)
    if not newer:
        return NewerTags({}, {})
    merged_tags = project.once(project.git.merged_tags)
    tags, formats = project.tags, project.tag_formats
    reachable: dict[str, tuple[str, Version]] = {}
    for name, (tag, version) in find_newer(merged_tags).items():
        own = tags.get(formats[name].render(current_versions[name]))
        if own is None or not project.once(project.git.is_ancestor, tags[tag], own):
            reachable[name] = (tag, version)
    return NewerTags(reachable, {name: tagged for name, tagged in newer.items() if tagged[0] not in merged_tags})


def _current_version(package: Package, project: Project) -> Version | None:
    """Return the version in the package's files, or that of its last tag if its version comes from tags."""
    if package.version is not None or package.source.kind != "tags":
        return package.version
    history = project.history.get(package.name)
    return history.version if history is not None else None


def _latest_tags(project: Project, tags: Iterable[str]) -> dict[str, tuple[str, Version]]:
    """Map each package to its tag with the highest version, and that version.

    A tag counts if it is in the tag format of the package, or contains its name. Tags of other release lines, such
    as those of 1.x on the branch of 2.x, are ignored.
    """
    names = set(tags)
    latest = {
        name: tagged
        for name, tagged in latest_tags(project.tag_formats, names, lines=project.lines).items()
        if release_lines.allows_version(project.lines, tagged[1])
    }
    for package in project.workspace.packages:
        if package.source.kind == "tags" and package.source.key:
            continue  # its backend reads no others
        more = tags_naming(package, names)
        more = [tagged for tagged in more if release_lines.allows_version(project.lines, tagged[1])]
        if more:
            candidates = [*more, *filter(None, [latest.get(package.name)])]
            latest[package.name] = max(candidates, key=lambda tagged: tagged[1])
    return latest


def missing_tag_notes(project: Project) -> Iterator[str]:
    """Yield a note if this clone has no tags, but the remote has some or could not be read."""
    remote = project.config.remote
    if project.state is None or project.state.tags:
        return
    if project.tags:
        yield (
            f"this clone has no tags, but {remote} has {len(project.tags)} (the last releases and changes "
            f"since are not known); run: git fetch --tags {remote}"
        )
    elif project.remote.error is not None:
        yield f"this clone has no tags, and those of {remote} could not be read: {project.remote.error}"


def ambiguous_tag_problems(
    bumps: tuple[VersionBump, ...], tags: Iterable[str], formats: Mapping[str, TagFormat]
) -> Iterator[Problem]:
    """Yield a problem if the bump creates several tags and a backend takes the version from any tag."""
    readers = packages_that_read_any_tag(bump.package for bump in bumps)
    planned_tags = list(dict.fromkeys(tags))
    if not readers or len(planned_tags) < 2:  # noqa: PLR2004 - one tag is right for all of them
        return

    names = text.join_names([package.name for package in readers])
    settings = "\n".join(
        tag_versions.settings_for_own_tags(package, _own_prefix(package, formats)) for package in readers
    )
    yield Blocked(
        "setting-invalid",
        f"{names}: {readers[0].source.text} takes the version from any tag, and this bump creates "
        f"{text.join_names(planned_tags)}",
        fix=f"configure each backend to read its own tags; add to the files:\n{settings}",
    )


def _own_prefix(package: Package, formats: Mapping[str, TagFormat]) -> str:
    """Return a tag prefix for one package: that of its tag format, or else its name."""
    is_shared = [tag_format.prefix for tag_format in formats.values()].count(formats[package.name].prefix) > 1
    return f"{package.name}-v" if is_shared else formats[package.name].prefix


def notes_on_shared_tags(bumps: tuple[VersionBump, ...], workspace: Workspace) -> Iterator[str]:
    """Yield a note if the tags of this bump also change the versions of packages that are not bumped.

    That is so if their build backends take the version from any tag.
    """
    bumped_packages = {bump.package.name for bump in bumps}
    all_readers = packages_that_read_any_tag(workspace.packages)
    readers = [package for package in all_readers if package.name not in bumped_packages]
    if readers and bumped_packages:
        names = text.join_names([package.name for package in readers])
        yield (
            f"{names}: {readers[0].source.text} takes the version from any tag, so the next build uses the "
            "tags of this bump; to avoid it, configure the backend to read its own tags"
        )
