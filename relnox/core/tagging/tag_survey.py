"""A survey of existing tags, which finds the package that each tag belongs to, whatever the form of the tag.

A tag consists of a prefix and a version. The prefix may name a package: by its name, its folder, or the end of its
name, with any separators. Tags that name no package are plain tags, such as `v1.2.0`, `1.2.0` and `release-1.2.0`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from packaging.version import Version

from relnox.core.records import Record

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from relnox.core.packages import Package

_START = re.compile(r"(?:^|(?<=[^0-9A-Za-z.+])|(?<=^[vV])|(?<=[^0-9A-Za-z.+][vV]))\d")
"""Where a version may begin in a tag."""
_NUMBER_BEFORE = re.compile(r"(?:^|[^0-9A-Za-z])\d+[^0-9A-Za-z]$")
"""A prefix that ends in a number: what follows is then not a version, as in rel_1_4_0 or 2024-01-31."""
_PARTS = re.compile(r"[^0-9A-Za-z]+")
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
        return tuple(tagged for prefix in prefixes for tagged in self.by_prefix[prefix])

    def prefix_of(self, package: Package) -> str | None:
        """Return the prefix of the tag of the package's current version, or else of its latest tag, or None."""
        return self.best_prefix(self.package_prefixes.get(package.name, ()), package.version)

    def plain_prefix_of(self, version: Version | None) -> str | None:
        """Return the prefix of the plain tag of a version, or None if there is no such tag."""
        return self.best_prefix(
            [prefix for prefix in self.plain_prefixes if version in self.versions(prefix)], version
        )

    def best_prefix(self, prefixes: Iterable[str], version: Version | None) -> str | None:
        """Return the prefix that has a tag of the version, or else the one with the greatest version, if any."""
        return max(
            prefixes,
            key=lambda prefix: (version in self.versions(prefix), max(self.versions(prefix))),
            default=None,
        )


def split_tag(tag: str) -> tuple[str, Version] | None:
    """Split a tag into its prefix and the version at its end; return None if it does not end with a version."""
    if len(tag) > _MAX_LENGTH:
        return None
    for match in _START.finditer(tag):
        prefix, rest = tag[: match.start()], tag[match.start() :]
        if _NUMBER_BEFORE.search(prefix):
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
    aliases = list(_aliases(packages))
    package_prefixes: dict[str, list[str]] = {}
    plain_prefixes = []
    for prefix in by_prefix:
        words = _split_into_words(prefix)
        if not _without_generic(words):
            plain_prefixes.append(prefix)
        elif (name := _named_package(words, aliases)) is not None:
            package_prefixes.setdefault(name, []).append(prefix)
    return TagSurvey(
        {prefix: tuple(tagged) for prefix, tagged in by_prefix.items()},
        {name: tuple(prefixes) for name, prefixes in package_prefixes.items()},
        tuple(plain_prefixes),
        tuple(unreadable),
    )


def split_prefix(prefix: str) -> tuple[str, str, str]:
    """Split a prefix at the word that names its package: the text before it, the word, the text after it."""
    match = re.fullmatch(r"(?P<lead>.*?/)?(?P<word>.*?)(?P<end>[^0-9A-Za-z]+[vV]?|)", prefix)
    if match is None or not match["word"]:
        return prefix, "", ""
    return match["lead"] or "", match["word"], match["end"]


def _split_into_words(text: str) -> list[str]:
    """Split text into lowercase words of letters and digits."""
    return [word for word in _PARTS.split(text.lower()) if word]


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


def _aliases(packages: Sequence[Package]) -> Iterator[Mapping[str, set[str]]]:
    """Yield a mapping from aliases to packages for each kind of alias, the most reliable kind first.

    The kinds are the name of the package, its folder, the last part of its folder, and the ends of its name.
    """
    kinds = (
        lambda package: (package.name,),
        lambda package: (package.folder,),
        lambda package: (package.folder_name,),
        lambda package: _suffixes_of_name(package.name),
    )
    for kind in kinds:
        packages_by_alias: dict[str, set[str]] = {}
        for package in packages:
            for text in kind(package):
                if key := "".join(_split_into_words(text)):
                    packages_by_alias.setdefault(key, set()).add(package.name)
        yield packages_by_alias


def _suffixes_of_name(name: str) -> tuple[str, ...]:
    """Return the parts of a name after each hyphen: `b-c` and `c` for `a-b-c`."""
    words = name.split("-")
    return tuple("-".join(words[start:]) for start in range(1, len(words)))
