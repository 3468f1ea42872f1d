"""Release histories: the last tag of each package, the commits since that tag, and the bump that they ask for.

Commit messages are parsed as Conventional Commits 1.0.0. If a version was raised by hand after the last tag, that
version is released unchanged.

The only record of a bump are the trailers of commits and tags. `Release: NAME VERSION` is in the message of a
release commit and of its tags, once for each package, and `Development: NAME VERSION` in that of the commit that
starts the next development versions.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from packaging.version import Version

from relnox.core.bump.version_bumps import BumpRequest, VersionBump
from relnox.core.packages import Package
from relnox.core.settings import patterns
from relnox.core.settings.config import CommitsConfig, Config
from relnox.core.text import format_count
from relnox.core.versions import versioning
from relnox.core.versions.versioning import LEVELS, Bump, Level, Phase
from relnox.core.workspace import LOCK_FILES, Workspace, owning_package
from relnox.errors import Blocked

RELEASE, DEVELOPMENT = "Release", "Development"
_TRAILER = re.compile(rf"(?m)^({RELEASE}|{DEVELOPMENT}): (\S+) (\S+)[ \t]*$")
_LAST_PARAGRAPH_OF_TRAILERS = re.compile(r"\n\n(?:[A-Za-z0-9-]+: .*\n)*[A-Za-z0-9-]+: .*\Z")


def add_trailers(message: str, key: str, bumps: Iterable[VersionBump]) -> str:
    """Return a message with a trailer `KEY: PACKAGE VERSION` for each bump, below the trailers that it has."""
    message = message.rstrip()
    separator = "\n" if _LAST_PARAGRAPH_OF_TRAILERS.search(message) else "\n\n"
    return message + separator + "\n".join(f"{key}: {bump.package.name} {bump.after}" for bump in bumps)


def read_trailers(message: str, key: str = RELEASE) -> dict[str, Version]:
    """Return the versions in the trailers `KEY: PACKAGE VERSION` of a message, by package.

    Other lines, and trailers with an invalid version, are ignored.
    """
    versions = {}
    for own_key, name, text in _TRAILER.findall(message.partition("\n")[2]):
        try:
            version = Version(text)
        except ValueError:  # InvalidVersion, or a number of thousands of digits: written by a person
            continue
        if own_key == key:
            versions[name] = version
    return versions


_COMMIT_HEADER = re.compile(r"(?P<type>[A-Za-z][\w-]*)(?:\([^()\r\n]*\))?(?P<breaking>!)?:[ \t]+\S")
_SQUASHED_HEADER = re.compile(rf"(?m)^[*-][ \t]+{_COMMIT_HEADER.pattern}")
"""Matches a commit in the list that GitHub makes the body of a squash merge."""
_REVERT = re.compile(
    r'(?P<word>Revert|Reapply) "(?P<subject>[^\n]*)"(?: \(#\d+\))?(?:\n|\Z)'
    r"(?:\s*This reverts commit (?P<id>[0-9a-f]{7,}))?"
)
"""Matches the messages that git and GitHub write for a revert, and for the revert of a revert."""
_BREAKING_FOOTER = re.compile(r"^BREAKING[ -]CHANGE:[ \t]", re.MULTILINE)
_LEVEL_ORDER: tuple[Level | None, ...] = (None, "patch", "minor", "major")


class Commit(NamedTuple):
    """A git commit, with what decides which packages it changes.

    Attributes:
        id: The full commit ID.
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
        tag: The tag of the package with the highest version that is reachable and not above the package's own, or
            None.
        version: The version in that tag, or None if there is no tag.
        commits: The commits since that tag (without one, all) that change files of the package, newest first.
    """

    tag: str | None
    version: Version | None
    commits: tuple[Commit, ...]


def current_versions(packages: Iterable[Package], history: Mapping[str, ReleaseHistory]) -> dict[str, Version]:
    """Map the name of each package to its current version: the one in its files, or else in its last tag.

    The tag counts only for packages whose version is read from tags. Packages without a version are left out.
    """
    versions = {}
    for package in packages:
        from_tag = (
            history[package.name].version if package.source.kind == "tags" and package.name in history else None
        )
        if (version := package.version or from_tag) is not None:
            versions[package.name] = version
    return versions


class TagCoverage(NamedTuple):
    """Which commits are in the histories of tagged commits; the history of a commit includes itself.

    Attributes:
        masks: By commit ID, bits: bit N is set if the commit is in the history of the tagged commit number N.
        newest_common: The newest commits in all of these histories; empty if no commit is tagged.
    """

    masks: Mapping[str, int]
    newest_common: Sequence[str]


def find_tag_coverage(parents: Mapping[str, Sequence[str]], tagged_commits: Iterable[str]) -> TagCoverage:
    """Find the commits in the histories of tagged ones; `parents` maps commits to parents, children first."""
    bits = {commit: 1 << index for index, commit in enumerate(tagged_commits)}
    all_bits = (1 << len(bits)) - 1
    masks: dict[str, int] = dict.fromkeys(parents, 0)
    boundary: dict[str, None] = {}
    for commit, own_parents in parents.items():
        mask = masks[commit] = masks[commit] | bits.get(commit, 0)
        if mask == all_bits and commit in bits:
            boundary[commit] = None
        for parent in own_parents:
            if parent in masks:
                masks[parent] |= mask
                if mask != all_bits and masks[parent] | bits.get(parent, 0) == all_bits:
                    boundary[parent] = None
    return TagCoverage(masks, list(boundary) if all_bits else [])


def collect_histories(  # noqa: PLR0913 - what it is derived from
    packages: Iterable[Package],
    last_tags: Mapping[str, tuple[str, Version]],
    tags: Mapping[str, str],
    masks: Mapping[str, int],
    commits: Iterable[Commit],
    *,
    path_patterns: Mapping[str, Sequence[str]] = MappingProxyType({}),
) -> dict[str, ReleaseHistory]:
    """Return the release history of each package, by its name.

    `last_tags` has the last tag of each package that has one, with its version; `tags` maps tags to commits.
    `masks` are those of `TagCoverage` for these commits in the order of `last_tags`. `commits` are, newest first,
    all that at least one of these tags does not contain. `path_patterns` has, by package, patterns of files that
    also belong to it or are excluded from it.
    """
    numbers = {
        commit: index for index, commit in enumerate(dict.fromkeys(tags[tag] for tag, _ in last_tags.values()))
    }
    bit = {name: 1 << numbers[tags[tag]] for name, (tag, _) in last_tags.items()}
    workspace = tuple(packages)
    commits_by_package: dict[str, list[Commit]] = {package.name: [] for package in workspace}
    for commit, package_names in commits_with_changed_packages(workspace, commits, path_patterns):
        mask = masks.get(commit.id, 0)
        for name in package_names:
            if not mask & bit.get(name, 0):
                commits_by_package[name].append(commit)
    no_tag: tuple[str | None, Version | None] = (None, None)
    return {
        name: ReleaseHistory(*last_tags.get(name, no_tag), commits=tuple(since))
        for name, since in commits_by_package.items()
    }


def commits_with_changed_packages(
    packages: Iterable[Package],
    commits: Iterable[Commit],
    path_patterns: Mapping[str, Sequence[str]],
) -> Iterator[tuple[Commit, set[str]]]:
    """Yield each commit with the names of the packages that it changes, which may be none.

    `commits` must be newest first. Changes of lock files do not count. `path_patterns` has file patterns that add
    files of other directories to a package, or exclude some of its own.
    """
    owners = {package.directory: package.name for package in packages}
    cache: dict[str, str | None] = {}
    for commit in commits:
        changed_packages: set[str] = set()
        for file in commit.files:
            owner = owning_package(file, owners, cache) if not file.endswith(LOCK_FILES) else None
            names = {owner} if owner is not None else set()
            for name, file_patterns in path_patterns.items():
                is_included = patterns.is_file_included(file_patterns, file)
                if is_included is not None:
                    (names.add if is_included else names.discard)(name)
            changed_packages |= names
        yield commit, changed_packages
        for old, new in commit.renamed_directories:
            if new in owners and old not in owners:
                owners[old] = owners[new]
                cache.clear()


def path_patterns_by_package(
    paths: Mapping[str, Sequence[str]], packages: Sequence[Package]
) -> dict[str, tuple[str, ...]]:
    """Return the file patterns of each package that has any, from the setting `paths`.

    The keys of `paths` are names or directories of packages, or globs. If several match a package, the patterns of
    globs come first, so that those of names override them.
    """
    path_patterns: dict[str, tuple[str, ...]] = {}
    for key in sorted(paths, key=lambda key: not set("*?[") & set(key)):
        for package in patterns.select_packages((key,), packages):
            path_patterns[package.name] = (*path_patterns.get(package.name, ()), *paths[key])
    return path_patterns


def omit_development_commits(history: ReleaseHistory) -> ReleaseHistory:
    """Return a release history without the commits that start the next development version.

    These have a trailer `Development: PACKAGE VERSION`.
    """
    commits = (commit for commit in history.commits if not read_trailers(commit.message, DEVELOPMENT))
    return history._replace(commits=tuple(commits))


def changes_since_release(history: ReleaseHistory) -> list[Commit]:
    """Return the commits of a package since its last release, without those that release other packages.

    These have a trailer `Release: PACKAGE VERSION`.
    """
    return [commit for commit in history.commits if not read_trailers(commit.message)]


def level_of_commit(message: str, config: CommitsConfig) -> Level | None:
    """Return the level (major, minor, patch) that a commit message asks for, or None if it asks for no release.

    `config` says which types of commits ask for which level. Source: Conventional Commits 1.0.0,
    https://www.conventionalcommits.org/en/v1.0.0/
    """
    if _REVERT.match(message):
        message = f"revert: {message}"
    header = _COMMIT_HEADER.match(message)
    headers = [header] if header is not None else list(_SQUASHED_HEADER.finditer(message))
    if any(header["breaking"] for header in headers) or (headers and _BREAKING_FOOTER.search(message)):
        return "major"
    types = {header["type"].lower() for header in headers}
    if types & set(map(str.lower, config.minor)):
        return "minor"
    return "patch" if types & set(map(str.lower, config.patch)) else None


def unconventional_commits(histories: Iterable[ReleaseHistory]) -> tuple[Commit, ...]:
    """Return the commits whose messages are no Conventional Commits, so that they ask for no release, each once.

    Release commits do not count, nor do histories without a tag.
    """
    commits = {commit.id: commit for history in histories if history.tag for commit in history.commits}
    return tuple(
        commit
        for commit in commits.values()
        if not (_COMMIT_HEADER.match(commit.message) or _REVERT.match(commit.message))
        and not (_SQUASHED_HEADER.search(commit.message) or read_trailers(commit.message))
    )


def auto_bump_requests(
    workspace: Workspace,
    history: Mapping[str, ReleaseHistory],
    config: Config,
    phase: Phase | None = None,
    selected_names: Collection[str] = (),
) -> dict[str, BumpRequest]:
    """Return the bump that `--part auto` requests for each package with something to release, by name.

    With `phase`, the new versions are prereleases of that phase. Private packages are left out, and those without
    a version that can be bumped. A package without tags is released if no other has tags either, or if it is in
    `selected_names`, those on the command line.

    Raises:
        Blocked: A prerelease is requested, but it would be lower than the version in the files.
    """
    requests = {}
    untagged_packages = [name for name, package_history in history.items() if package_history.tag is None]
    for package in workspace.packages:
        package_history = history.get(package.name, ReleaseHistory(None, None, ()))
        if package.is_private or package.source.kind == "dynamic":
            continue
        # Among tagged packages, one without tags may have tags of another form, so it counts as new only if named.
        is_new = package.name in selected_names or len(untagged_packages) == len(history)
        bump_request = _request_for_manual_version(
            package, package_history, phase, is_new=is_new
        ) or _request_from_changes(package, package_history, phase, config)
        if bump_request is not None:
            requests[package.name] = bump_request
    return requests


def _request_for_manual_version(
    package: Package, history: ReleaseHistory, phase: Phase | None, *, is_new: bool
) -> BumpRequest | None:
    """Return the request to release a version that was set by hand since the last release, or None if none was.

    `phase` is that of the requested prerelease, or None. `is_new` is whether a package without tags is released
    for the first time; if not, there is no request for such a package.

    Raises:
        Blocked: A prerelease of this phase would be lower than that version.
    """
    version = package.version
    # A local segment marks development, as in 1.2.0+dev after 1.2.0; it is never released.
    if version is None or (history.version is not None and Version(version.public) <= history.version):
        return None
    if history.tag is None and not is_new:
        return None
    reason = "no tag yet" if history.tag is None else f"raised by hand since {history.tag}"
    if version.dev is not None:
        if history.tag is not None:
            return None
        if phase is not None:
            return BumpRequest(Bump(pre=phase), reason)
        return BumpRequest(Bump(part="pre" if version.pre is not None else "release"), reason)
    if phase is not None and versioning.phase_of(version) != phase:
        raise Blocked(
            "version-not-higher",
            f"a prerelease of {package.name} would be lower than the current version {version} ({reason})",
            fix=f"release {version} without --pre; or set the version: --to {version.base_version}"
            f"{versioning.LETTERS[phase]}0 --allow-lower",
        )
    without_local = Bump(to=version.public, allow_lower=True) if version.local is not None else None
    return BumpRequest(without_local, reason)


def bump_requests_from_own_changes(
    workspace: Workspace, history: Mapping[str, ReleaseHistory], config: Config
) -> dict[str, BumpRequest]:
    """Return, by package, the bump that its own commits ask for.

    They apply only if the bump of another package makes it be bumped: then the higher level of the two is used.
    Packages whose version was raised by hand since their last release are left out.
    """
    requests = auto_bump_requests(workspace, history, config)
    return {name: one for name, one in requests.items() if one.bump is not None and one.bump.part in LEVELS}


def _without_reverted_commits(commits: Sequence[Commit]) -> list[Commit]:
    """Return the commits that are left if reverts and what they revert are removed; `commits` are newest first.

    The reverted commit is the one whose ID is in the message. GitHub writes none; then it is the newest earlier
    commit with the quoted subject.
    """
    canceled: set[str] = set()
    for position, commit in enumerate(commits):  # the newest first, since a revert may be reverted as well
        revert = _REVERT.match(commit.message)
        if commit.id in canceled or revert is None:
            continue
        subject = revert["subject"] if revert["word"] == "Revert" else f'Revert "{revert["subject"]}"'
        reverted = (
            other.id
            for other in commits[position + 1 :]
            if (other.id.startswith(revert["id"]) if revert["id"] else other.subject == subject)
        )
        if (reverted_id := next((one for one in reverted if one not in canceled), None)) is not None:
            canceled |= {commit.id, reverted_id}
    return [commit for commit in commits if commit.id not in canceled]


def _request_from_changes(
    package: Package, history: ReleaseHistory, phase: Phase | None, config: Config
) -> BumpRequest | None:
    """Return the request for the highest level among the commits since the last release.

    With `phase`, it is for a prerelease of that phase. Return None if the commits ask for no release, or if the
    package has no tag or no version yet.
    """
    commits = _without_reverted_commits(history.commits)
    levels = [level_of_commit(commit.message, config.commits) for commit in commits]
    level = max(levels, key=_LEVEL_ORDER.index, default=None)
    current = package.version if package.version is not None else history.version
    if level is None or current is None or history.tag is None:
        return None
    subject = commits[levels.index(level)].subject
    more = f" (and {format_count(len(levels) - 1, 'more commit')})" if len(levels) > 1 else ""
    part = versioning.adjust_level_before_1_0(current, level, shift=config.commits.major_version_zero)  # below 1.0
    return BumpRequest(Bump(part=part, pre=phase), f"{level}: {subject}{more}")
