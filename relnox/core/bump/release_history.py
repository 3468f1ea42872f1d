"""Release histories: the last tag of each package, and the commits since that tag."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from types import MappingProxyType
from typing import NamedTuple

from packaging.version import Version

from relnox.core.bump import trailers
from relnox.core.packages import Package
from relnox.core.settings import patterns
from relnox.core.settings.release_lines import ReleaseLine
from relnox.core.tagging.tags import TagFormat, latest_tags
from relnox.core.workspace import LOCK_FILES, owning_package


class Commit(NamedTuple):
    """A commit.

    Attributes:
        id: The full commit ID.
        message: The full commit message.
        files: The files it changed, relative to the root.
        renamed_directories: The package directories it renamed, as pairs of the old and the new path.
    """

    id: str
    message: str
    files: tuple[str, ...]
    renamed_directories: tuple[tuple[str, str], ...] = ()

    @property
    def subject(self) -> str:
        """The first line of the commit message."""
        return self.message.partition("\n")[0].strip()


class ReleaseHistory(NamedTuple):
    """The last release of a package, and the commits since then.

    Attributes:
        tag: The last reachable tag of the package, or None if it has none.
        version: The version in that tag, or None if there is no tag.
        commits: The commits since that tag that change files of the package.
    """

    tag: str | None
    version: Version | None
    commits: tuple[Commit, ...]


def last_reachable_tags(
    formats: Mapping[str, TagFormat],
    tags: Mapping[str, str],
    reachable: AbstractSet[str],
    versions: Mapping[str, Version | None] | None = None,
    lines: Sequence[ReleaseLine] = (),
) -> dict[str, tuple[str, Version]]:
    """Return the last reachable tag of each package, with the version in it.

    The last tag is the one with the highest version that is not above the package's own version, since higher
    tags may be from abandoned releases. If all tags are above it, or no file has a version, it is the highest of
    all.

    Args:
        formats: The tag format of each package.
        tags: Maps each tag to its commit.
        reachable: The current commit and its ancestors.
        versions: The current version of each package, or None if no file has it.
        lines: The release lines of the current commit. Tags outside their bounds count only if there are no
            others.
    """
    return latest_tags(formats, (name for name, commit in tags.items() if commit in reachable), versions, lines)


def find_tags_containing_commits(
    history: Mapping[str, Sequence[str]], tagged_commits: Iterable[str]
) -> tuple[dict[str, int], list[str]]:
    """Determine for each commit which of the tagged commits contain it.

    Args:
        history: Maps each commit to its parents; children come before their parents.
        tagged_commits: The tagged commits.

    Returns:
        A mapping and a list. The mapping has a bit mask for each commit: bit N is set if tagged commit N contains
        it. The list has the newest commits that all tagged commits contain.
    """
    bits = {commit: 1 << index for index, commit in enumerate(tagged_commits)}
    all_bits = (1 << len(bits)) - 1
    coverage: dict[str, int] = dict.fromkeys(history, 0)
    boundary: dict[str, None] = {}
    for commit, parents in history.items():
        mask = coverage[commit] = coverage[commit] | bits.get(commit, 0)
        if mask == all_bits and commit in bits:
            boundary[commit] = None
        for parent in parents:
            if parent in coverage:
                coverage[parent] |= mask
                if mask != all_bits and coverage[parent] | bits.get(parent, 0) == all_bits:
                    boundary[parent] = None
    return coverage, list(boundary) if all_bits else []


def collect_histories(  # noqa: PLR0913 - what it is derived from
    packages: Iterable[Package],
    last_tags: Mapping[str, tuple[str, Version]],
    tags: Mapping[str, str],
    coverage: Mapping[str, int],
    commits: Iterable[Commit],
    *,
    rules: Mapping[str, Sequence[str]] = MappingProxyType({}),
) -> dict[str, ReleaseHistory]:
    """Return the release history of each package.

    Args:
        packages: All packages of the workspace.
        last_tags: The last tag of each package and its version, from `last_reachable_tags`.
        tags: Maps each tag to its commit.
        coverage: The bit masks from `find_tags_containing_commits`, for the commits in the order of `last_tags`.
        commits: The commits that at least one of the tagged commits does not contain, newest first.
        rules: The file patterns of each package, from `path_patterns_by_package`.
    """
    numbers = {
        commit: index for index, commit in enumerate(dict.fromkeys(tags[tag] for tag, _ in last_tags.values()))
    }
    bit = {name: 1 << numbers[tags[tag]] for name, (tag, _) in last_tags.items()}
    workspace = tuple(packages)
    commits_by_package: dict[str, list[Commit]] = {package.name: [] for package in workspace}
    for commit, package_names in released_packages(workspace, commits, rules):
        mask = coverage.get(commit.id, 0)
        for name in package_names:
            if not mask & bit.get(name, 0):
                commits_by_package[name].append(commit)
    no_tag: tuple[str | None, Version | None] = (None, None)
    return {
        name: ReleaseHistory(*last_tags.get(name, no_tag), commits=tuple(since))
        for name, since in commits_by_package.items()
    }


def released_packages(
    packages: Iterable[Package],
    commits: Iterable[Commit],
    rules: Mapping[str, Sequence[str]],
) -> Iterator[tuple[Commit, set[str]]]:
    """Yield each commit with the names of the packages that it changes, and thereby releases.

    Args:
        packages: All packages of the workspace.
        commits: The commits, newest first.
        rules: The file patterns of each package, from `path_patterns_by_package`.
    """
    owners = {package.directory: package.name for package in packages}
    cache: dict[str, str | None] = {}
    for commit in commits:
        names: set[str] = set()
        for file in commit.files:
            owner = owning_package(file, owners, cache) if not file.endswith(LOCK_FILES) else None
            names |= _packages_changed_by(file, owner, rules)
        yield commit, names
        for old, new in commit.renamed_directories:
            if new in owners and old not in owners:
                owners[old] = owners[new]
                cache.clear()


def path_patterns_by_package(
    paths: Mapping[str, Sequence[str]], packages: Sequence[Package]
) -> dict[str, tuple[str, ...]]:
    """Return the file patterns of each package that has any, from the setting `paths`.

    If several keys of the setting match a package, the patterns of globs come first, so that those of names
    override them.

    Args:
        paths: The setting `paths`.
        packages: All packages of the workspace.
    """
    rules: dict[str, tuple[str, ...]] = {}
    for key in sorted(paths, key=lambda key: not set("*?[") & set(key)):
        for package in patterns.select_packages((key,), packages):
            rules[package.name] = (*rules.get(package.name, ()), *paths[key])
    return rules


def _packages_changed_by(file: str, owner: str | None, rules: Mapping[str, Sequence[str]]) -> set[str]:
    """Return the packages that a change to a file releases.

    Args:
        file: The file.
        owner: The package whose directory contains the file, or None.
        rules: The file patterns of each package, which may add packages or exclude the owner.
    """
    names = {owner} if owner is not None else set()
    for name, of_package in rules.items():
        is_included = patterns.is_file_included(of_package, file)
        if is_included is not None:
            (names.add if is_included else names.discard)(name)
    return names


def without_development_commits(history: ReleaseHistory) -> ReleaseHistory:
    """Return a release history without the commits that start a development version.

    Such commits follow a release; they are not a reason for another one.
    """
    commits = (
        commit for commit in history.commits if not trailers.read_trailers(commit.message, trailers.DEVELOPMENT)
    )
    return history._replace(commits=tuple(commits))
