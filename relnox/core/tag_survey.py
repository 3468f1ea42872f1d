"""Which package each existing tag is of, in whatever form it is written: a bump goes on with that form.

A tag is a version with something before it. What stands before it names a package (its distribution, its folder,
or the end of its name, with any separators), or no package: `v1.2.0`, `1.2.0`, `release-1.2.0` are plain.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from packaging.version import Version

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from relnox.core.packages import Package

__all__ = ["Survey", "split_prefix", "split_tag", "survey_tags"]

_START = re.compile(r"(?:^|(?<=[^0-9A-Za-z.+])|(?<=^[vV])|(?<=[^0-9A-Za-z.+][vV]))\d")
"""Where a version may begin in a tag."""
_NUMBER_BEFORE = re.compile(r"(?:^|[^0-9A-Za-z])\d+[^0-9A-Za-z]$")
"""What ends in a number of its own: the rest is no version, as in rel_1_4_0 or 2024-01-31."""
_PARTS = re.compile(r"[^0-9A-Za-z]+")
_GENERIC = frozenset({"v", "release", "releases", "rel", "version", "tag", "tags", "python", "py"})
"""Words that name no package."""
_LONGEST = 200
"""Characters of a tag that may be one of a release."""

Tagged = tuple[str, Version]


class Survey(NamedTuple):
    """The tags that hold a version, by what stands before it.

    Attributes:
        series: By what stands before the version: the tags, with their versions.
        owned: By package: the beginnings of tags that name it.
        plain: The beginnings of tags that name no package.
        unreadable: Tags with a digit in them that hold no version.
    """

    series: Mapping[str, tuple[Tagged, ...]]
    owned: Mapping[str, tuple[str, ...]]
    plain: tuple[str, ...]
    unreadable: tuple[str, ...] = ()

    def versions(self, before: str) -> frozenset[Version]:
        """The versions of the tags of a form."""
        return frozenset(version for _, version in self.series.get(before, ()))

    def of(self, package: str) -> tuple[Tagged, ...]:
        """All tags that name a package, with their versions."""
        return tuple(tagged for before in self.owned.get(package, ()) for tagged in self.series[before])

    def form_of(self, package: Package) -> str | None:
        """What stands before the version in tags that name a package: of its present version, if there is one."""
        return self.best(self.owned.get(package.name, ()), package.version)

    def plain_of(self, version: Version | None) -> str | None:
        """What stands before a version in a plain tag of it, or None if there is no such tag."""
        fitting = [before for before in self.plain if any(tagged == version for _, tagged in self.series[before])]
        return self.best(fitting, version)

    def best(self, beginnings: Iterable[str], version: Version | None) -> str | None:
        """Of several forms the one that has a version, then the one with the greatest version."""
        return max(
            beginnings,
            key=lambda before: (
                any(tagged == version for _, tagged in self.series[before]),
                max(tagged for _, tagged in self.series[before]),
            ),
            default=None,
        )


def split_tag(tag: str) -> tuple[str, Version] | None:
    """What stands before the version in a tag, and the version; None for a tag without one at its end."""
    if len(tag) > _LONGEST:
        return None
    for found in _START.finditer(tag):
        if _NUMBER_BEFORE.search(tag[: found.start()]):
            return None
        try:
            return tag[: found.start()], Version(tag[found.start() :])
        except ValueError:  # InvalidVersion is one
            continue
    return None


def survey_tags(packages: Sequence[Package], tags: Iterable[str]) -> Survey:
    """Sort tags by what stands before their versions, and find the packages that this names."""
    series: dict[str, list[Tagged]] = {}
    unreadable = []
    for tag in sorted(tags):
        if (parts := split_tag(tag)) is not None:
            series.setdefault(parts[0], []).append((tag, parts[1]))
        elif any(char.isdigit() for char in tag):
            unreadable.append(tag)
    levels = list(_keys(packages))
    owned: dict[str, list[str]] = {}
    plain = []
    for before in series:
        words = _words(before)
        if not _without_generic(words):
            plain.append(before)
        elif (name := _owner(words, levels)) is not None:
            owned.setdefault(name, []).append(before)
    return Survey(
        {before: tuple(tagged) for before, tagged in series.items()},
        {name: tuple(beginnings) for name, beginnings in owned.items()},
        tuple(plain),
        tuple(unreadable),
    )


def split_prefix(before: str) -> tuple[str, str, str]:
    """The word in the beginning of a tag that names its package, with what stands before and after that word."""
    found = re.fullmatch(r"(?P<lead>.*?/)?(?P<word>.*?)(?P<end>[^0-9A-Za-z]+[vV]?|)", before)
    if found is None or not found["word"]:
        return before, "", ""
    return found["lead"] or "", found["word"], found["end"]


def _words(before: str) -> list[str]:
    return [word for word in _PARTS.split(before.lower()) if word]


def _without_generic(words: list[str]) -> list[str]:
    """The words without those at both ends that name no package."""
    first, last = 0, len(words)
    while first < last and words[first] in _GENERIC:
        first += 1
    while first < last and words[last - 1] in _GENERIC:
        last -= 1
    return words[first:last]


def _owner(words: list[str], levels: Iterable[Mapping[str, set[str]]]) -> str | None:
    """The one package that words name, by the first way of naming that one package alone answers to."""
    # A v at the end belongs to the version, unless the package is called so.
    without_v = words[:-1] if words[-1] == "v" else words
    spelled = dict.fromkeys("".join(each) for each in (words, without_v, _without_generic(words)))
    for level in levels:
        for key in spelled:
            if len(names := level.get(key, set())) == 1:
                return next(iter(names))
    return None


def _keys(packages: Sequence[Package]) -> Iterator[Mapping[str, set[str]]]:
    """What packages are called in tags, the surest way first: name, folder, folder's name, ends of the name."""
    ways = (
        lambda package: (package.name,),
        lambda package: (package.folder,),
        lambda package: (package.folder_name,),
        lambda package: _ends(package.name),
    )
    for way in ways:
        level: dict[str, set[str]] = {}
        for package in packages:
            for text in way(package):
                if key := "".join(_words(text)):
                    level.setdefault(key, set()).add(package.name)
        yield level


def _ends(name: str) -> tuple[str, ...]:
    words = name.split("-")
    return tuple("-".join(words[start:]) for start in range(1, len(words)))
