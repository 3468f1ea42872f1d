"""The tags of a repository: the package that each tag belongs to, and the form of each package's tags.

A tag consists of a prefix and a version. The prefix may name a package: by its name, its directory, or the end of
its name, with any separators. Tags without a package are plain tags, such as `v1.2.0` and `release-1.2.0`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from packaging.version import Version

from relnox.core.records import Record

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from relnox.core.packages import Package
    from relnox.core.settings.config import Config
    from relnox.core.workspace import Workspace

_START = r"(?:^|(?<=[^0-9A-Za-z.+])|(?<=^[vV])|(?<=[^0-9A-Za-z.+][vV]))\d"
"""Where a version may begin in a tag."""
_NUMBER_BEFORE = r"(?:^|[^0-9A-Za-z])\d+[^0-9A-Za-z]$"
"""A prefix that ends in a number: what follows is then not a version, as in rel_1_4_0 or 2024-01-31."""
_GENERIC = frozenset({"v", "release", "releases", "rel", "version", "tag", "tags", "python", "py"})
"""Words in prefixes that name no package."""
_MAX_LENGTH = 200
"""The maximum length of a tag in characters; longer tags are ignored."""

TaggedVersion = tuple[str, Version]


class TagSurvey(Record):
    """The tags that contain a version, by prefix.

    Attributes:
        by_prefix: Maps each prefix to its tags and their versions.
        package_prefixes: Maps each package that has tags to the prefixes that name it.
        plain_prefixes: The prefixes that name no package.
        unreadable: Tags that contain a digit but no version.
    """

    by_prefix: Mapping[str, tuple[TaggedVersion, ...]]
    package_prefixes: Mapping[str, tuple[str, ...]]
    plain_prefixes: tuple[str, ...]
    unreadable: tuple[str, ...] = ()

    def versions(self, prefix: str) -> frozenset[Version]:
        """Return the versions of the tags with this prefix."""
        return frozenset(version for _, version in self.by_prefix.get(prefix, ()))

    def tags_of(self, package: str) -> tuple[TaggedVersion, ...]:
        """Return all tags that name a package, with their versions."""
        prefixes = self.package_prefixes.get(package, ())
        return tuple(pair for prefix in prefixes for pair in self.by_prefix[prefix])

    def prefix_of(self, package: Package) -> str | None:
        """Return the prefix of the tag of the package's current version, or else of its latest tag, or None."""
        return self.best_prefix(self.package_prefixes.get(package.name, ()), package.version)

    def plain_prefix_of(self, version: Version | None) -> str | None:
        """Return the prefix of the plain tag of a version, or None if there is no such tag."""
        prefixes = [prefix for prefix in self.plain_prefixes if version in self.versions(prefix)]
        return self.best_prefix(prefixes, version)

    def best_prefix(self, prefixes: Iterable[str], version: Version | None) -> str | None:
        """Return the prefix that has a tag of the version, or else the one with the highest version, if any."""
        return max(
            prefixes,
            key=lambda prefix: (version in self.versions(prefix), max(self.versions(prefix))),
            default=None,
        )


def split_tag(tag: str) -> tuple[str, Version] | None:
    """Split a tag into its prefix and the version at its end; return None if it does not end with a version."""
    if len(tag) > _MAX_LENGTH:
        return None
    for match in re.finditer(_START, tag):
        prefix, rest = tag[: match.start()], tag[match.start() :]
        if re.search(_NUMBER_BEFORE, prefix):
            return None
        try:
            return prefix, Version(rest)
        except ValueError:  # InvalidVersion is one
            continue
    return None


def survey_tags(packages: Sequence[Package], tags: Iterable[str]) -> TagSurvey:
    """Group tags by prefix, and find the packages that the prefixes name."""
    by_prefix: dict[str, list[TaggedVersion]] = {}
    unreadable = []
    for tag in sorted(tags):
        if (parts := split_tag(tag)) is not None:
            by_prefix.setdefault(parts[0], []).append((tag, parts[1]))
        elif any(char.isdigit() for char in tag):
            unreadable.append(tag)
    aliases = list(_packages_by_alias(packages))
    package_prefixes: dict[str, list[str]] = {}
    plain_prefixes = []
    for prefix in by_prefix:
        words = _split_into_words(prefix)
        if not _without_generic(words):
            plain_prefixes.append(prefix)
        elif (name := _named_package(words, aliases)) is not None:
            package_prefixes.setdefault(name, []).append(prefix)
    return TagSurvey(
        {prefix: tuple(pairs) for prefix, pairs in by_prefix.items()},
        {name: tuple(prefixes) for name, prefixes in package_prefixes.items()},
        tuple(plain_prefixes),
        tuple(unreadable),
    )


def _split_into_words(text: str) -> list[str]:
    """Split text into lowercase words of letters and digits."""
    return [word for word in re.split(r"[^0-9A-Za-z]+", text.lower()) if word]


def _without_generic(words: list[str]) -> list[str]:
    """Return the words without the generic ones at both ends."""
    while words and words[0] in _GENERIC:
        words = words[1:]
    while words and words[-1] in _GENERIC:
        words = words[:-1]
    return words


def _named_package(words: list[str], aliases: Iterable[Mapping[str, set[str]]]) -> str | None:
    """Return the package that the words name, or None; `aliases` are tried in order until one is unambiguous."""
    # A v at the end belongs to the version, unless the package's name ends in it.
    without_v = words[:-1] if words[-1] == "v" else words
    keys = dict.fromkeys("".join(part) for part in (words, without_v, _without_generic(words)))
    for packages_by_alias in aliases:
        for key in keys:
            if len(names := packages_by_alias.get(key, set())) == 1:
                return next(iter(names))
    return None


def _packages_by_alias(packages: Sequence[Package]) -> Iterator[Mapping[str, set[str]]]:
    """Yield a mapping from aliases to packages for each kind of alias, the most reliable kind first.

    The kinds are the name of the package, its directory, the last part of its directory, and the last words of its
    name: `bar-baz` and `baz` for `foo-bar-baz`.
    """
    alias_functions = (
        lambda package: (package.name,),
        lambda package: (package.directory,),
        lambda package: (package.directory_name,),
        lambda package: [package.name[hyphen.end() :] for hyphen in re.finditer("-", package.name)],
    )
    for kind in alias_functions:
        packages_by_alias: dict[str, set[str]] = {}
        for package in packages:
            for text in kind(package):
                if key := "".join(_split_into_words(text)):
                    packages_by_alias.setdefault(key, set()).add(package.name)
        yield packages_by_alias


def packages_that_read_any_tag(packages: Iterable[Package]) -> tuple[Package, ...]:
    """Return the packages whose backends take the version from the latest tag, whatever its prefix is."""
    return tuple(package for package in packages if package.source.kind == "tags" and not package.source.key)


class KnownTags(Record):
    """The tags of a repository, and the form that each package's tags have.

    Attributes:
        tags: All tags of this clone and, if it was queried, of the remote.
        prefixes: Maps each package that has tags to their prefix.
        latest_plain: The prefix and the version of the latest plain tag (one that names no package), or None.
        covers_repository: Whether the repository contains no other packages than those of the workspace.
    """

    tags: tuple[str, ...]
    survey: TagSurvey
    prefixes: Mapping[str, str]
    latest_plain: tuple[str, Version] | None
    covers_repository: bool


def read_known_tags(
    workspace: Workspace, tags: Iterable[str], reachable: Collection[str] = (), *, covers_repository: bool = True
) -> KnownTags:
    """Determine the prefix of each package's tags.

    Plain tags, which name no package, belong to the packages that have their version, to the package at the root,
    to the only package of the repository, and to packages whose backends take the version from any tag. The latest
    plain tag is one of the `reachable` tags, those in the history of the current commit, if there are any.
    """
    packages, all_tags = workspace.packages, tuple(sorted(tags))
    survey = survey_tags(packages, all_tags)
    plain = _latest_plain(survey, reachable)
    is_single = len(packages) == 1 and covers_repository
    packages_by_tag = _packages_sharing_tags(packages, survey, plain) if plain is not None else {}
    readers = {package.name for package in packages_that_read_any_tag(packages)}
    prefixes: dict[str, str] = {}
    for package in packages:
        own = survey.prefix_of(package)
        if package.source.kind == "tags" and package.source.key:
            prefixes[package.name] = str(package.source.key[0])
        elif own is not None and (
            package.name not in packages_by_tag
            or _tagged_origin(package.version, survey.versions(own)) is not None
        ):
            prefixes[package.name] = own
        elif package.name in packages_by_tag:
            prefixes[package.name] = packages_by_tag[package.name]
        elif plain is not None and (
            (package.directory == "." and covers_repository) or is_single or package.name in readers
        ):
            prefixes[package.name] = survey.plain_prefix_of(package.version) or plain[0]
        elif is_single and (
            matches := [
                prefix
                for prefix in survey.by_prefix
                if _tagged_origin(package.version, survey.versions(prefix)) is not None
            ]
        ):
            prefixes[package.name] = survey.best_prefix(matches, package.version) or matches[0]
    return KnownTags(all_tags, survey, prefixes, plain, covers_repository)


def _packages_sharing_tags(
    packages: Sequence[Package], survey: TagSurvey, last: tuple[str, Version]
) -> dict[str, str]:
    """Map the packages that share plain tags to the prefix of these tags; `last` is the latest plain tag.

    These are the packages whose version has a plain tag, or directly follows one that has. If they have several
    such versions, only the highest counts: packages with other versions are new or no longer released. If only
    one package has it, the tag must be the latest in the history, or the one with the highest version.
    """
    versions = {version: prefix for prefix in survey.plain_prefixes for version in survey.versions(prefix)}
    packages_by_version: dict[Version, list[str]] = {}
    for package in packages:
        if package.version is not None and _tagged_origin(package.version, versions) is not None:
            packages_by_version.setdefault(package.version, []).append(package.name)
    if not packages_by_version:
        return {}
    version, names = max(packages_by_version.items())
    origin = _tagged_origin(version, versions)
    if origin is None or (len(names) == 1 and origin not in (last[1], max(versions))):
        return {}
    return dict.fromkeys(names, versions[origin])


def _tagged_origin(version: Version | None, tagged_versions: Collection[Version]) -> Version | None:
    """Return the tagged version that a version is or continues, or None if there is none.

    A prerelease continues the release before it: `1.3.0.dev1` the tagged `1.2.0`, if nothing is between them.
    """
    if version is None or version in tagged_versions:
        return version
    before = max((old for old in tagged_versions if old < version), default=None)
    if not version.is_prerelease or before is None:
        return None
    length = max(len(version.release), len(before.release))
    new, old = ((*item.release, *[0] * (length - len(item.release))) for item in (version, before))
    level = next((level for level in range(length) if new[level] != old[level]), length)
    is_step = new == old or (new[level] == old[level] + 1 and not any(new[level + 1 :]))
    return before if is_step and version.epoch == before.epoch else None


def lockstep_reason(workspace: Workspace, config: Config, known_tags: KnownTags) -> str | None:
    """Return why the packages are bumped in lockstep although no setting says so; return None if they are not.

    They are if all packages have the same version, and their tags contain no package names.
    """
    is_configured = config.versions is not None or config.groups or config.tag_names or config.tag_formats
    names_packages = config.tag_format is not None and any(
        field in config.tag_format for field in ("{name}", "{directory}", "{tag-name}")
    )
    packages, plain = workspace.packages, known_tags.latest_plain
    if is_configured or names_packages or len(packages) < 2 or plain is None:  # noqa: PLR2004 - one is alone anyway
        return None
    versions = {package.version for package in packages if package.source.kind != "tags"}
    if len(versions) != 1 or None in versions:
        return None
    plain_prefixes = known_tags.survey.plain_prefixes
    if any(known_tags.prefixes.get(package.name, plain[0]) not in plain_prefixes for package in packages):
        return None
    prefix, last = plain
    return (
        f"lockstep: the {len(packages)} packages have version {versions.pop()}, and their tags name no package "
        f'({prefix}{last}); to change it: [tool.relnox] versions = "independent"'
    )


def _latest_plain(survey: TagSurvey, reachable: Collection[str]) -> tuple[str, Version] | None:
    """Return the prefix and the version of the latest plain tag, if possible of a reachable one."""
    tagged_versions = [
        (version, prefix, tag) for prefix in survey.plain_prefixes for tag, version in survey.by_prefix[prefix]
    ]
    if not tagged_versions:
        return None
    here = [entry for entry in tagged_versions if entry[2] in reachable]
    version, prefix, _ = max(here or tagged_versions, key=lambda entry: (entry[0], entry[1]))
    return prefix, version
