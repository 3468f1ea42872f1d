"""Checks of a project's tags before a release: newer tags, missing tags, and backends that read any tag."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relnox import core
from relnox.core.records import Record
from relnox.errors import Failed
from relnox.source import tag_versions
from relnox.source.git import parse_tags, remotes

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from packaging.version import Version

    from relnox.commands.shared.project import Project
    from relnox.core.bump.version_bumps import VersionBump
    from relnox.core.packages import Package
    from relnox.core.planning.plan import Problem
    from relnox.core.settings.config import Config
    from relnox.core.tagging.known_tags import KnownTags
    from relnox.core.tagging.tags import TagFormat
    from relnox.core.workspace import Workspace

_MAX_LISTED = 5


class NewerTags(Record):
    """Tags that are newer than the versions of their packages, each with its version, by package.

    Attributes:
        reachable: Those that the present commit contains.
        unmerged: Those that it does not contain: on another branch, or on a remote and not fetched.
    """

    reachable: Mapping[str, tuple[str, Version]]
    unmerged: Mapping[str, tuple[str, Version]]

    def notes(self, packages: Collection[str], config: Config, local: Mapping[str, str]) -> Iterator[str]:
        """Yield notes on newer tags of these packages that the present commit does not contain."""
        by_tag: dict[str, list[str]] = {}
        for name, (tag, _) in self.unmerged.items():
            if name in packages:
                by_tag.setdefault(tag, []).append(name)
        for tag, names in list(by_tag.items())[:_MAX_LISTED]:
            where = (
                "not an ancestor of HEAD" if tag in local else f"only on {config.remote}; run: git fetch --tags"
            )
            yield f"tag {tag} is newer than the present version of {core.text.listing(names)} ({where})"
        if len(by_tag) > _MAX_LISTED:
            yield f"{len(by_tag) - _MAX_LISTED} more tags are newer than the present versions of their packages"


def newer_tags(project: Project) -> NewerTags:
    """Return the last tags, in any form, that are newer than the versions of their packages; usually none.

    A tag on a commit before that of the present version's tag does not count: its version was abandoned.
    """
    if project.git is None or project.state is None or project.state.head is None or not project.tags:
        return NewerTags({}, {})
    present = {
        package.name: version
        for package in project.workspace.packages
        if (version := _current_version(package, project)) is not None
    }
    all_latest = _latest(project, project.tags)
    if not any(name in present and version > present[name] for name, (_, version) in all_latest.items()):
        return NewerTags({}, {})
    merged = project.git.merged_tags()
    tags, formats = project.tags, project.tag_formats
    reachable: dict[str, tuple[str, Version]] = {}
    for name, (tag, version) in _latest(project, merged).items():
        if name in present and version > present[name]:
            own = tags.get(formats[name].render(present[name]))
            if own is None or not project.git.is_ancestor(tags[tag], own):
                reachable[name] = (tag, version)
    unmerged = {
        name: (tag, version)
        for name, (tag, version) in all_latest.items()
        if name in present and version > present[name] and tag not in merged
    }
    return NewerTags(reachable, unmerged)


def _current_version(package: Package, project: Project) -> Version | None:
    if package.version is not None or package.source.kind != "tags":
        return package.version
    history = project.history.get(package.name)
    return history.version if history is not None else None


def _latest(project: Project, tags: Iterable[str]) -> dict[str, tuple[str, Version]]:
    """Return each package's tag with the greatest version, among those of its format and those that name it.

    Tags of other release lines do not count.
    """
    names = set(tags)
    latest = {
        name: tagged
        for name, tagged in core.tags.latest_tags(project.tag_formats, names, lines=project.lines).items()
        if core.release_lines.contain(project.lines, tagged[1])
    }
    for package in project.workspace.packages:
        if package.source.kind == "tags" and package.source.key:
            continue  # its backend reads no others
        more = [tagged for tagged in project.known_tags.survey.tags_of(package.name) if tagged[0] in names]
        more = [tagged for tagged in more if core.release_lines.contain(project.lines, tagged[1])]
        if more:
            candidates = [*more, *filter(None, [latest.get(package.name)])]
            latest[package.name] = max(candidates, key=lambda tagged: tagged[1])
    return latest


def remote_tags(project: Project) -> tuple[Mapping[str, str] | None, str | None]:
    """Return the remote's tags for a clone without tags, as many CI jobs have; or why they cannot be read."""
    git, remote = project.git, project.config.remote
    if git is None or project.state is None or project.state.tags or remote not in remotes.names(git):
        return None, None
    try:
        return parse_tags(remotes.read_refs(git, remote, timeout=remotes.NETWORK_TIMEOUT)), None
    except Failed as error:
        return None, error.message


def missing_tags(project: Project, error: str | None) -> Iterator[str]:
    """Yield a note on a clone without tags whose remote has some, or may have some."""
    remote = project.config.remote
    if error is not None:
        yield f"this clone has no tags, and those of {remote} could not be read: {error}"
    elif project.state is not None and not project.state.tags and project.remote_tags:
        yield (
            f"this clone has no tags, but {remote} has {len(project.remote_tags)} (the last releases and changes "
            f"since are not known); run: git fetch --tags {remote}"
        )


def any_tag_problems(
    bumps: tuple[VersionBump, ...],
    tags: Iterable[str],
    formats: Mapping[str, TagFormat],
    known_tags: KnownTags,
) -> Iterator[Problem]:
    """Find packages whose backends take the version from any tag, if the bump creates several tags.

    Args:
        bumps: The bumps.
        tags: The planned tags.
        formats: The tag format of each package.
        known_tags: The existing tags.
    """
    readers = core.tags.any_tag_readers(bump.package for bump in bumps)
    planned = list(dict.fromkeys(tags))
    if not readers or len(planned) < 2:  # noqa: PLR2004 - one tag is right for all of them
        return
    names = core.text.listing([package.name for package in readers])
    settings = "\n".join(
        tag_versions.settings_for_own_tags(package, _own_prefix(package, formats, known_tags))
        for package in readers
    )
    yield core.plan.Problem(
        code="backend-reads-any-tag",
        message=f"{names}: {readers[0].source.text} takes the version from any tag, and this bump creates "
        f"{core.text.listing(planned)}",
        fix=f"configure each backend to read its own tags; add to the files:\n{settings}",
    )


def _own_prefix(package: Package, formats: Mapping[str, TagFormat], known_tags: KnownTags) -> str:
    """Return the tag prefix of a package: that of existing tags, else that of its tag format."""
    survey = known_tags.survey
    existing = survey.prefix_of(package)
    if existing is not None:
        return existing
    prefix = formats[package.name].prefix
    names_package = prefix and prefix not in survey.plain_prefixes and prefix != "v"
    return prefix if names_package else f"{package.name}-v"


def any_tag_notes(bumps: tuple[VersionBump, ...], workspace: Workspace) -> Iterator[str]:
    """Yield a note on packages that are not bumped, but whose backends would read the tags of this bump."""
    bumped = {bump.package.name for bump in bumps}
    readers = [package for package in core.tags.any_tag_readers(workspace.packages) if package.name not in bumped]
    if readers and bumped:
        names = core.text.listing([package.name for package in readers])
        yield (
            f"{names}: {readers[0].source.text} takes the version from any tag, so the next build uses the "
            "tags of this bump; to avoid it, configure the backend to read its own tags"
        )
