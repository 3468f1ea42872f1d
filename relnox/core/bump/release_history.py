"""Release histories: the last tag of each package, and the commits since."""

from __future__ import annotations

import re
from collections.abc import Set as AbstractSet
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from relnox.core.settings import path_patterns, patterns
from relnox.core.tagging.tags import latest_tags

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from packaging.version import Version

    from relnox.core.packages import Package
    from relnox.core.settings.release_lines import ReleaseLine
    from relnox.core.tagging.tags import TagFormat

LOCK_FILES = ("uv.lock", "poetry.lock", "pdm.lock")
"""Generated files: a commit that changes nothing else of a package does not count as a change of it."""


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
    """A package's last reachable tag with its version, and the commits since then that change its files."""

    tag: str | None
    version: Version | None
    commits: tuple[Commit, ...]


def last_tags(
    formats: Mapping[str, TagFormat],
    tags: Mapping[str, str],
    reachable: Iterable[str],
    versions: Mapping[str, Version | None] | None = None,
    lines: Sequence[ReleaseLine] = (),
) -> dict[str, tuple[str, Version]]:
    """Return the last tag of each package that the present commit contains.

    That is the one with the greatest version up to the package's version: higher tags may be of abandoned ones.
    If all are above, or no file has a version, it is the greatest of all.

    Args:
        formats: The tag format of each package.
        tags: All tags, each with its commit.
        reachable: The present commit and its ancestors.
        versions: The present versions of the packages.
        lines: The release lines of the present commit; tags of others do not count.
    """
    ancestors = reachable if isinstance(reachable, AbstractSet) else set(reachable)
    return latest_tags(formats, (name for name, commit in tags.items() if commit in ancestors), versions, lines)


def tag_coverage(
    history: Mapping[str, Sequence[str]], tagged_commits: Iterable[str]
) -> tuple[dict[str, int], list[str]]:
    """Determine which of several tagged commits contain which commit.

    Args:
        history: Parents of each commit, children before their parents.
        tagged_commits: The tagged commits.

    Returns:
        For each commit a bit mask: bit N is set if the tagged commit number N contains it; and the newest commits
        that all tagged commits contain.
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


def histories(  # noqa: PLR0913 - what it is derived from
    packages: Iterable[Package],
    tagged: Mapping[str, tuple[str, Version]],
    tags: Mapping[str, str],
    coverage: Mapping[str, int],
    commits: Iterable[Commit],
    *,
    rules: Mapping[str, Sequence[str]] = MappingProxyType({}),
) -> dict[str, ReleaseHistory]:
    """Return the release history of each package.

    Args:
        packages: All packages of the workspace.
        tagged: The result of `last_tags`.
        tags: All tags, each with its commit.
        coverage: The result of `tag_coverage` for the tagged commits, in the order of `tagged`.
        commits: The commits that not all tagged commits contain, the newest first.
        rules: Patterns for files by package; see `path_rules`.
    """
    numbers = {
        commit: index for index, commit in enumerate(dict.fromkeys(tags[tag] for tag, _ in tagged.values()))
    }
    owners = {package.folder: package.name for package in packages}
    bit = {name: 1 << numbers[tags[tag]] for name, (tag, _) in tagged.items()}
    commits_by_package: dict[str, list[Commit]] = {name: [] for name in owners.values()}
    cache: dict[str, str | None] = {}
    for commit in commits:
        mask = coverage.get(commit.id, 0)
        touched: set[str] = set()
        for file in commit.files:
            owner = owning_package(file, owners, cache) if not file.endswith(LOCK_FILES) else None
            touched |= _released_by(file, owner, rules)
        for name in touched:
            if not mask & bit.get(name, 0):
                commits_by_package[name].append(commit)
        for old, new in commit.renamed:
            if new in owners and old not in owners:
                owners[old] = owners[new]
                cache.clear()
    untagged: tuple[str | None, Version | None] = (None, None)
    return {
        name: ReleaseHistory(*tagged.get(name, untagged), commits=tuple(since))
        for name, since in commits_by_package.items()
    }


def path_rules(paths: Mapping[str, Sequence[str]], packages: Sequence[Package]) -> dict[str, tuple[str, ...]]:
    """Return the patterns for files of each package that has some: those for globs of packages come first.

    Args:
        paths: The setting `paths`.
        packages: All packages of the workspace.
    """
    rules: dict[str, tuple[str, ...]] = {}
    for key in sorted(paths, key=lambda key: not set("*?[") & set(key)):
        for package in patterns.select((key,), packages):
            rules[package.name] = (*rules.get(package.name, ()), *paths[key])
    return rules


def _released_by(file: str, owner: str | None, rules: Mapping[str, Sequence[str]]) -> set[str]:
    """Return the packages that a change of a file releases; `owner` is the one whose folder has it."""
    names = {owner} if owner is not None else set()
    for name, of_package in rules.items():
        included = path_patterns.last_match(of_package, file)
        if included is not None:
            (names.add if included else names.discard)(name)
    return names


def without_development(history: ReleaseHistory, template: str) -> ReleaseHistory:
    """Leave out commits that start a development version: they are part of the release before them.

    Args:
        history: The history of a package.
        template: The setting `dev-commit-message`.
    """
    words = re.escape(template.partition("\n")[0].strip())
    for field in (r"\{version\}", r"\{packages\}"):
        words = words.replace(field, r".*\.dev\d+.*")
    commits = tuple(commit for commit in history.commits if not re.fullmatch(words, commit.subject))
    return history._replace(commits=commits)


def owning_package(file: str, owners: Mapping[str, str], cache: dict[str, str | None]) -> str | None:
    """Return the package whose folder contains a file, the innermost one; `cache` is by folder."""
    folder = file.rpartition("/")[0]
    if folder not in cache:
        package_folder = folder
        while package_folder and package_folder not in owners:
            package_folder = package_folder.rpartition("/")[0]
        cache[folder] = owners.get(package_folder or ".")
    return cache[folder]
