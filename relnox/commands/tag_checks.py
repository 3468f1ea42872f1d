"""What a project's tags say of a release: newer ones, missing ones, and backends that read any of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from relnox import core
from relnox.errors import Failed
from relnox.source import tag_versions
from relnox.source.git import NETWORK_TIMEOUT, parse_tags

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from packaging.version import Version

    from relnox.commands.project import Project
    from relnox.core.config import Config
    from relnox.core.packages import Package
    from relnox.core.plan import Problem
    from relnox.core.tag_proposals import KnownTags
    from relnox.core.tags import TagFormat
    from relnox.core.version_bumps import VersionBump
    from relnox.core.workspace import Workspace

__all__ = ["NewerTags", "any_tag_notes", "any_tag_problems", "missing_tags", "newer_tags", "remote_tags"]

_LISTED = 5


class NewerTags(NamedTuple):
    """Tags that are newer than the versions of their packages, each with its version, by package.

    Attributes:
        reachable: Those that the present commit contains.
        elsewhere: Those that it does not contain: of another branch, or of a remote and not fetched.
    """

    reachable: Mapping[str, tuple[str, Version]]
    unmerged: Mapping[str, tuple[str, Version]]

    def notes(self, packages: Collection[str], config: Config, local: Mapping[str, str]) -> Iterator[str]:
        """The tags of these packages that the present commit does not contain, for a reader."""
        by_tag: dict[str, list[str]] = {}
        for name, (tag, _) in self.unmerged.items():
            if name in packages:
                by_tag.setdefault(tag, []).append(name)
        for tag, names in list(by_tag.items())[:_LISTED]:
            where = (
                "HEAD does not contain it" if tag in local else f"it is on {config.remote} only: git fetch --tags"
            )
            yield f"tag {tag} is newer than the version of {core.steps.base.listing(names)} here ({where})"
        if len(by_tag) > _LISTED:
            yield f"{len(by_tag) - _LISTED} more tags are newer than their packages; HEAD does not contain them"


def newer_tags(project: Project) -> NewerTags:
    """The last tags, in whatever form, that are newer than the versions of their packages; usually there are none.

    A tag that came before the one of the present version is of a version that was given up: it does not count.
    """
    if project.git is None or project.state is None or project.state.head is None or not project.tags:
        return NewerTags({}, {})
    present = {
        package.name: version
        for package in project.workspace.packages
        if (version := _present(package, project)) is not None
    }
    every = _latest(project, project.tags)
    if not any(name in present and version > present[name] for name, (_, version) in every.items()):
        return NewerTags({}, {})
    merged = project.git.merged_tags()
    tags, formats = project.tags, project.tag_formats
    reachable: dict[str, tuple[str, Version]] = {}
    for name, (tag, version) in _latest(project, merged).items():
        if name in present and version > present[name]:
            own = tags.get(formats[name].render(present[name]))
            if own is None or not project.git.is_ancestor(tags[tag], own):
                reachable[name] = (tag, version)
    elsewhere = {
        name: (tag, version)
        for name, (tag, version) in every.items()
        if name in present and version > present[name] and tag not in merged
    }
    return NewerTags(reachable, elsewhere)


def _present(package: Package, project: Project) -> Version | None:
    if package.version is not None or package.source.kind != "tags":
        return package.version
    history = project.history.get(package.name)
    return history.version if history is not None else None


def _latest(project: Project, tags: Iterable[str]) -> dict[str, tuple[str, Version]]:
    """For each package its tag with the greatest version, among those of its format and those that name it."""
    names = set(tags)
    found = core.tags.latest_tags(project.tag_formats, names)
    for package in project.workspace.packages:
        if package.source.kind == "tags" and package.source.key:
            continue  # its backend looks at no others
        more = [tagged for tagged in project.known_tags.survey.of(package.name) if tagged[0] in names]
        if more:
            found[package.name] = max([*more, *filter(None, [found.get(package.name)])], key=lambda each: each[1])
    return found


def remote_tags(project: Project) -> tuple[Mapping[str, str] | None, str | None]:
    """The tags of the remote for a clone that has none, as many CI jobs check out; or why they are not known."""
    git, remote = project.git, project.config.remote
    if git is None or project.state is None or project.state.tags or remote not in git.remotes():
        return None, None
    try:
        return parse_tags(git.remote_refs(remote, timeout=NETWORK_TIMEOUT)), None
    except Failed as error:
        return None, error.message


def missing_tags(project: Project, unreachable: str | None) -> Iterator[str]:
    """Say of a clone without tags that its remote has some, or may have some."""
    remote = project.config.remote
    if unreachable is not None:
        yield f"this clone has no tags, and those of {remote} are not known: {unreachable}"
    elif project.state is not None and not project.state.tags and project.remote_tags:
        yield (
            f"this clone has no tags, and {remote} has {len(project.remote_tags)}: what was released, and what "
            f"changed since, is not known here; to fetch them: git fetch --tags {remote}"
        )


def any_tag_problems(
    moves: tuple[VersionBump, ...],
    tags: Iterable[str],
    workspace: Workspace,
    formats: Mapping[str, TagFormat],
    known: KnownTags,
) -> Iterator[Problem]:
    """Packages whose backends take the version from any tag, where the tags of the bump are not one and the same.

    Args:
        moves: What moves.
        tags: The tags that are planned.
        workspace: All packages.
        formats: How tags look.
        known: What the tags say.
    """
    readers = [move.package for move in moves if move.package in core.tags.any_tag_readers(workspace.packages)]
    planned = list(dict.fromkeys(tags))
    if not readers or len(planned) < 2:  # noqa: PLR2004 - one tag is right for all of them
        return
    names = core.steps.base.listing([package.name for package in readers])
    settings = "\n".join(
        tag_versions.settings_for_own_tags(package, _own_beginning(package, formats, known)) for package in readers
    )
    yield core.plan.Problem(
        code="todo",
        message=f"{names}: {readers[0].source.text} takes the version from any tag, and this bump makes "
        f"{core.steps.base.listing(planned)}",
        fix=f"let each backend look at its own tags; paste into the files that are named:\n{settings}",
    )


def _own_beginning(package: Package, formats: Mapping[str, TagFormat], known: KnownTags) -> str:
    """What tags of a package begin with that name it: those that are there, else as formats has it."""
    named = known.survey.form_of(package)
    if named is not None:
        return named
    before = formats[package.name].prefix
    return before if before and before not in known.survey.plain and before != "v" else f"{package.name}-v"


def any_tag_notes(moves: tuple[VersionBump, ...], workspace: Workspace) -> Iterator[str]:
    """Packages that stay, and whose backends would take their version from the tags of this bump."""
    moving = {move.package.name for move in moves}
    readers = [package for package in core.tags.any_tag_readers(workspace.packages) if package.name not in moving]
    if readers and moving:
        names = core.steps.base.listing([package.name for package in readers])
        yield (
            f"{names}: {readers[0].source.text} takes the version from any tag, so the next build takes it from "
            "the tags of this bump; to fix it, give the backend a pattern for its own tags"
        )
