"""How far a package has come since its last tag, and the level that its commits or change fragments ask for.

Commits are read as Conventional Commits 1.0.0. A version that was raised by hand since the tag is taken as it is:
who wrote it there knew why.
"""

from __future__ import annotations

import re
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING, NamedTuple

from relnox.core import versioning
from relnox.core.tags import latest_tags
from relnox.core.version_bumps import BumpRequest
from relnox.core.versioning import Bump
from relnox.errors import Blocked

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from packaging.version import Version

    from relnox.core.config import CommitsConfig, Config
    from relnox.core.fragments import Fragment
    from relnox.core.packages import Package
    from relnox.core.tags import TagFormat
    from relnox.core.versioning import Level, Phase
    from relnox.core.workspace import Workspace

__all__ = [
    "LOCK_FILES",
    "Commit",
    "ReleaseHistory",
    "bump_requests",
    "check_tag_format_fits",
    "histories",
    "last_tags",
    "level_of",
    "owning_package",
    "tag_coverage",
]

_HEADER = re.compile(r"(?P<type>[A-Za-z][\w-]*)(?:\([^()\r\n]*\))?(?P<breaking>!)?:[ \t]+\S")
_BREAKING_FOOTER = re.compile(r"^BREAKING[ -]CHANGE:[ \t]", re.MULTILINE)
_ORDER: tuple[Level | None, ...] = (None, "patch", "minor", "major")


LOCK_FILES = ("uv.lock", "poetry.lock", "pdm.lock")
"""Files that tools write: a commit that changes nothing else of a package does not change the package."""


class Commit(NamedTuple):
    """A commit.

    Attributes:
        id: Its full id.
        message: Its message.
        files: The files it changed, relative to the root.
        renamed: Folders of packages that it renamed, each with its new name.
    """

    id: str
    message: str
    files: tuple[str, ...]
    renamed: tuple[tuple[str, str], ...] = ()

    @property
    def subject(self) -> str:
        """The first line of its message."""
        return self.message.partition("\n")[0].strip()


class ReleaseHistory(NamedTuple):
    """Where a package stands: its last reachable tag, and the commits since then that touch its files."""

    tag: str | None
    version: Version | None
    commits: tuple[Commit, ...]


def level_of(message: str, config: CommitsConfig) -> Level | None:
    """The level that a commit's message asks for; None for one that asks for no release.

    Source: Conventional Commits 1.0.0, https://www.conventionalcommits.org/en/v1.0.0/
    """
    found = _HEADER.match(message)
    if found is None:
        return None
    if found["breaking"] or _BREAKING_FOOTER.search(message):
        return "major"
    kind = found["type"].lower()
    if kind in map(str.lower, config.minor):
        return "minor"
    return "patch" if kind in map(str.lower, config.patch) else None


def last_tags(
    formats: Mapping[str, TagFormat],
    tags: Mapping[str, str],
    reachable: Iterable[str],
    stated: Mapping[str, Version | None] | None = None,
) -> dict[str, tuple[str, Version]]:
    """For each package its last tag among those that the present commit contains.

    That is the greatest that is not above the version which the package states: tags may go on from a version
    that was given up. Where all are above, or no file states a version, it is the greatest of all.

    Args:
        formats: How each package's tags look.
        tags: All tags, with the commit each leads to.
        reachable: The present commit and its ancestors.
        stated: The versions that the packages state.
    """
    ancestors = reachable if isinstance(reachable, AbstractSet) else set(reachable)
    return latest_tags(formats, (name for name, commit in tags.items() if commit in ancestors), stated)


def tag_coverage(
    history: Mapping[str, Sequence[str]], released: Iterable[str]
) -> tuple[dict[str, int], list[str]]:
    """Which of several released commits contain which commit.

    Args:
        history: Parents of each commit, children before their parents.
        released: Commits that tags lead to.

    Returns:
        For each commit a number with one bit for each released commit, in their order, that is set where that one
        contains it; and the newest commits that all of them contain.
    """
    bits = {commit: 1 << place for place, commit in enumerate(released)}
    every = (1 << len(bits)) - 1
    inside: dict[str, int] = dict.fromkeys(history, 0)
    edge: dict[str, None] = {}
    for commit, parents in history.items():
        mask = inside[commit] = inside[commit] | bits.get(commit, 0)
        if mask == every and commit in bits:
            edge[commit] = None
        for parent in parents:
            if parent in inside:
                inside[parent] |= mask
                if mask != every and inside[parent] | bits.get(parent, 0) == every:
                    edge[parent] = None
    return inside, list(edge) if every else []


def histories(
    packages: Iterable[Package],
    tagged: Mapping[str, tuple[str, Version]],
    tags: Mapping[str, str],
    inside: Mapping[str, int],
    commits: Iterable[Commit],
) -> dict[str, ReleaseHistory]:
    """Where each package stands.

    Args:
        packages: All packages of the workspace.
        tagged: What `last_tags` gave.
        tags: All tags, with the commit each leads to.
        inside: What `tag_coverage` gave for the tagged commits, in the order of `dict.fromkeys` over `tagged`.
        commits: The commits that not every tagged one contains, the newest first.
    """
    places = {commit: place for place, commit in enumerate(dict.fromkeys(tags[tag] for tag, _ in tagged.values()))}
    owners = {package.folder: package.name for package in packages}
    bit = {name: 1 << places[tags[tag]] for name, (tag, _) in tagged.items()}
    found: dict[str, list[Commit]] = {name: [] for name in owners.values()}
    known: dict[str, str | None] = {}
    for commit in commits:
        mask = inside.get(commit.id, 0)
        touched = dict.fromkeys(
            owning_package(file, owners, known) for file in commit.files if not file.endswith(LOCK_FILES)
        )
        for name in touched:
            if name is not None and not mask & bit.get(name, 0):
                found[name].append(commit)
        for old, new in commit.renamed:
            if new in owners and old not in owners:
                owners[old] = owners[new]
                known.clear()
    nothing: tuple[str | None, Version | None] = (None, None)
    return {
        name: ReleaseHistory(*tagged.get(name, nothing), commits=tuple(since)) for name, since in found.items()
    }


def check_tag_format_fits(history: Mapping[str, ReleaseHistory], tags: Collection[str]) -> None:
    """See that what was released can be told: where there are tags, one at least is of a package.

    Raises:
        Blocked: None is.
    """
    if tags and not any(each.tag for each in history.values()):
        raise Blocked(
            "todo",
            f"none of the {len(tags)} tags here fits the form of the packages' tags: "
            "what was released cannot be told",
            fix='set [tool.relnox] tag-format (and tag-names) to the form they have, as in "{name}=={version}"',
        )


def bump_requests(  # noqa: PLR0913, PLR0917 - all that a level comes from
    workspace: Workspace,
    history: Mapping[str, ReleaseHistory],
    fragments: Sequence[Fragment] | None,
    config: Config,
    phase: Phase | None = None,
    chosen: Collection[str] = (),
) -> dict[str, BumpRequest]:
    """What `--part auto` asks for each package that has something to release.

    Args:
        workspace: The packages.
        history: What `histories` gave.
        fragments: The change fragments, where the project keeps them: they decide then, not the commits.
        config: The project's settings.
        phase: The phase of a prerelease to be made of it.
        chosen: Packages that were named: their first release is meant.

    Raises:
        Blocked: A prerelease is asked for where the version that is written down would come after it.
    """
    found = {}
    never = [name for name, stands in history.items() if stands.tag is None]
    for package in workspace.packages:
        stands = history.get(package.name, ReleaseHistory(None, None, ()))
        if package.private or package.source.kind == "dynamic":
            continue
        # Among packages with tags, one without any may have tags of another form: that is not ours to guess.
        is_new = package.name in chosen or len(never) == len(history)
        bump_request = _stated(package, stands, phase, is_new=is_new) or _derived(
            package, stands, fragments, config, phase
        )
        if bump_request is not None:
            found[package.name] = bump_request
    return found


def _stated(package: Package, stands: ReleaseHistory, phase: Phase | None, *, is_new: bool) -> BumpRequest | None:
    """The wish for the version that somebody has written down since the last release."""
    version = package.version
    if version is None or (stands.version is not None and version <= stands.version):
        return None
    if stands.tag is None and not is_new:
        return None
    reason = "no tag of it yet" if stands.tag is None else f"raised by hand since {stands.tag}"
    if version.dev is not None:
        if phase is not None:
            return BumpRequest(Bump(pre=phase), reason) if stands.tag is None else None
        return (
            BumpRequest(Bump(part="pre" if version.pre is not None else "release"), reason)
            if stands.tag is None
            else None
        )
    if phase is not None and versioning.phase_of(version) != phase:
        raise Blocked(
            "todo",
            f"{package.name} {version} {reason}: a prerelease of it would come before it",
            fix=f"release it as it is, without --pre, or name the version: --to {version.base_version}"
            f"{phase[0] if phase != 'rc' else 'rc'}0 --allow-lower",
        )
    return BumpRequest(None, reason)


def _derived(
    package: Package,
    stands: ReleaseHistory,
    fragments: Sequence[Fragment] | None,
    config: Config,
    phase: Phase | None,
) -> BumpRequest | None:
    level: Level | None
    if fragments is not None:
        named = [each for each in fragments if each.levels.get(package.name)]
        level = max((each.levels[package.name] for each in named), key=_ORDER.index, default=None)
        reason = f"{level}: {_counted(len(named), 'change fragment')}"
    else:
        levels = [level_of(commit.message, config.commits) for commit in stands.commits]
        level = max(levels, key=_ORDER.index, default=None)
        subject = stands.commits[levels.index(level)].subject if level is not None else ""
        more = f" (and {_counted(len(levels) - 1, 'more commit')})" if len(levels) > 1 else ""
        reason = f"{level}: {subject}{more}"
    present = package.version if package.version is not None else stands.version
    if level is None or present is None or stands.tag is None:
        return None
    part = versioning.shift_level(present, level, shift=config.commits.major_version_zero)
    return BumpRequest(Bump(part=part, pre=phase), reason)


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def owning_package(file: str, owners: Mapping[str, str], known: dict[str, str | None]) -> str | None:
    """The package whose folder a file is in, the innermost one."""
    folder = file.rpartition("/")[0]
    if folder not in known:
        at = folder
        while at and at not in owners:
            at = at.rpartition("/")[0]
        known[folder] = owners.get(at or ".")
    return known[folder]
