"""Tag names: how a package's version is written as one, and which package and version one means."""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING

from packaging.version import Version

from relnox.core import patterns, rules, versioning
from relnox.core.config import Config
from relnox.core.records import Record
from relnox.core.tag_survey import survey_tags
from relnox.core.version_bumps import version_groups
from relnox.errors import Blocked

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from relnox.core.packages import Package
    from relnox.core.versioning import Scheme
    from relnox.core.workspace import Workspace

__all__ = [
    "TagFormat",
    "any_tag_readers",
    "configured_formats",
    "detect_format",
    "has_common_tags",
    "latest_tags",
    "tag_formats",
]

_USUAL_FOR_ONE = ("v{version}", "{version}", "{name}-v{version}", "{name}-{version}", "{name}=={version}")
_USUAL = (
    "{name}-v{version}",
    "{name}=={version}",
    "{name}@{version}",
    "{name}@v{version}",
    "{name}/v{version}",
    "{name}/{version}",
    "{name}-{version}",
    "{name}_v{version}",
    "{folder}-v{version}",
    "{folder}/v{version}",
    "{folder}-{version}",
    "{folder}=={version}",
)


class TagFormat(Record):
    """How one package's tags look.

    Attributes:
        prefix: The text before the version.
        suffix: The text after the version.
        scheme: How the version is spelled.
    """

    prefix: str
    suffix: str
    scheme: Scheme

    def render(self, version: Version) -> str:
        """The tag of a version."""
        return f"{self.prefix}{versioning.format_version(version, self.scheme)}{self.suffix}"

    def parse(self, tag: str) -> Version | None:
        """The version that a tag means, in any spelling; None for a tag that is not of this package."""
        if not (tag.startswith(self.prefix) and tag.endswith(self.suffix)):
            return None
        text = tag[len(self.prefix) : len(tag) - len(self.suffix)]
        try:
            return Version(text) if text[:1].isdigit() else None
        except ValueError:  # InvalidVersion is one; so is a number of thousands of digits
            return None

    def matches(self, tags: Iterable[str]) -> list[tuple[str, Version]]:
        """Those of the tags that are of this package, with the versions they mean."""
        return [(tag, version) for tag in tags if (version := self.parse(tag)) is not None]

    def has(self, version: Version, tags: Sequence[str]) -> bool:
        """Whether one of these sorted tags means a version."""
        start = bisect_left(tags, self.prefix)
        end = bisect_left(tags, f"{self.prefix}\U0010ffff")
        return any(self.parse(tag) == version for tag in tags[start:end])

    def latest(self, tags: Iterable[str]) -> tuple[str, Version] | None:
        """The tag with the greatest version and that version."""
        return max(self.matches(tags), key=lambda pair: pair[1], default=None)


def tag_formats(
    workspace: Workspace, config: Config, present: Iterable[str] = (), *, is_alone: bool = True
) -> Mapping[str, TagFormat]:
    """Every package's tag format, by name.

    Without a configured one, a package whose backend looks at certain tags has those; one package or one lockstep
    set has `v{version}`, else it is `{name}-v{version}`; or the other usual form that the present tags have.
    Packages whose backends look at any tag share one.

    Args:
        workspace: The packages.
        config: The project's settings.
        present: The tags that are there.
        is_alone: Whether the repository holds no other packages than these.

    Raises:
        Blocked: The configured format is none, or makes tags that could be those of two packages.
    """
    tags, packages = sorted(present), workspace.packages
    one_set = has_common_tags(workspace, config, tags, is_alone=is_alone)
    usual = None if config.tag_format else detect_format(packages, tags, one_set=one_set)
    text = config.tag_format or usual or ("v{version}" if one_set else "{name}-v{version}")
    texts = dict.fromkeys((package.name for package in packages), text)
    if not config.tag_format and not one_set and len(readers := any_tag_readers(packages)) > 1:
        shared = detect_format(readers, tags, one_set=True)
        texts |= dict.fromkeys((package.name for package in readers), shared or "v{version}")
    configured = configured_formats(workspace, config)
    texts |= configured
    formats = {
        package.name: _tag_format(package, texts[package.name], config, chosen=package.name in configured)
        for package in packages
    }
    for name, tag_format in formats.items():
        text = texts[name]
        if (why := rules.ref_name(sample := f"{tag_format.prefix}1{tag_format.suffix}")) is not None:
            raise Blocked(
                "todo",
                f"tag-format {text!r} gives {name} tags such as {sample!r}, which git would not accept: {why}",
                fix='write for example tag-format = "{name}-v{version}"',
            )
    if one_set and len(set(formats.values())) == 1:
        return formats
    together = {
        package.name: track.name
        for track in version_groups(workspace, config)
        if track.kind == "fixed"
        for package in track.packages
    }
    by_start = sorted(formats.items(), key=lambda pair: (pair[1].prefix, pair[1].suffix))
    for (one, first), (other, second) in _confusable(by_start):
        text = texts[one]
        if first == second and one in together and together[one] == together.get(other):
            continue
        if first == second:
            raise Blocked(
                "todo",
                f"tag-format {text!r} gives {one} and {other} the same tags",
                fix='use {name} or {folder} in it, or set versions = "lockstep" for one tag for all',
            )
        if (tag := _shared_tag(first, second)) is not None:
            raise Blocked(
                "todo",
                f"tag-format {text!r} does not tell {one} and {other} apart: {tag} could be a tag of either",
                fix='put something between name and version that no version has, as in "{name}-v{version}"',
            )
    return formats


def latest_tags(
    formats: Mapping[str, TagFormat], tags: Iterable[str], stated: Mapping[str, Version | None] | None = None
) -> dict[str, tuple[str, Version]]:
    """For each package its tag with the greatest version, and that version; packages without one are left out.

    Args:
        formats: How each package's tags look.
        tags: Names of tags.
        stated: Versions that tags should not be above, by package; those that are count where there are no others.
    """
    ordered = sorted(tags)
    known: dict[TagFormat, list[tuple[str, Version]]] = {}
    found = {}
    for package, tag_format in formats.items():
        if tag_format not in known:
            start = bisect_left(ordered, tag_format.prefix)
            end = bisect_left(ordered, f"{tag_format.prefix}\U0010ffff")
            known[tag_format] = tag_format.matches(ordered[start:end])
        every, limit = known[tag_format], (stated or {}).get(package)
        below = [pair for pair in every if limit is None or pair[1] <= limit]
        if every:
            found[package] = max(below or every, key=lambda pair: pair[1])
    return found


def _confusable(
    formats: Sequence[tuple[str, TagFormat]],
) -> Iterator[tuple[tuple[str, TagFormat], tuple[str, TagFormat]]]:
    """Pairs of formats of which one begins as the other does, given those in the order of their beginnings."""
    for place, one in enumerate(formats):
        for other in formats[place + 1 :]:
            if not other[1].prefix.startswith(one[1].prefix):
                break
            yield one, other


def _shared_tag(first: TagFormat, second: TagFormat) -> str | None:
    """A tag of one format that the other one reads as well: what stands around a version goes on with it."""
    for written, read in ((first, second), (second, first)):
        tag = f"{written.prefix}1{written.suffix}"
        if read.parse(tag) is not None:
            return tag
    return None


def has_common_tags(workspace: Workspace, config: Config, tags: Sequence[str], *, is_alone: bool = True) -> bool:
    """Whether all packages have one tag for each release, which need not name a package.

    That is so in lockstep and for one package alone. One package beside others that are not of the project has
    plain tags only if its present version has one.
    """
    if config.versions == "lockstep":
        return True
    if len(workspace.packages) != 1:
        return False
    (package,) = workspace.packages
    return is_alone or (
        package.version is not None and survey_tags(workspace.packages, tags).plain_of(package.version) is not None
    )


def any_tag_readers(packages: Iterable[Package]) -> tuple[Package, ...]:
    """Packages whose backends take the version from the last tag, whatever stands before its version."""
    return tuple(package for package in packages if package.source.kind == "tags" and not package.source.key)


def configured_formats(workspace: Workspace, config: Config) -> dict[str, str]:
    """The formats that the settings give to single packages and to groups, by package."""
    texts: dict[str, str] = {}
    for group in config.groups.values():
        if group.tag_format is not None:
            members = patterns.select(group.packages, workspace.packages)
            texts |= dict.fromkeys((package.name for package in members), group.tag_format)
    for pattern, text in config.tag_formats.items():
        named = patterns.select((pattern,), workspace.packages)
        texts |= dict.fromkeys((package.name for package in named), text)
    return texts


def detect_format(packages: Sequence[Package], tags: Iterable[str], *, one_set: bool) -> str | None:
    """The usual form that the tags have: of several that some have, the one of the greatest version; or None.

    For packages of one set a form in which a present version is tagged comes first: other tags may be of other
    things. Else it is the form that most packages have.
    """
    ordered, plain = sorted(tags), Config()
    if not ordered:
        return None
    best: tuple[int, Version] | None = None
    usual = None
    for text in _USUAL_FOR_ONE if one_set else _USUAL:
        formats = {package.name: _tag_format(package, text, plain) for package in packages}
        found = latest_tags(formats, ordered)
        if found:
            stated = {(formats[each.name], each.version) for each in packages if one_set}
            is_present = any(version is not None and each.has(version, ordered) for each, version in stated)
            rank = (int(is_present) if one_set else len(found), max(version for _, version in found.values()))
            if best is None or rank > best:
                best, usual = rank, text
    return usual


def _tag_format(package: Package, text: str, config: Config, *, chosen: bool = False) -> TagFormat:
    """The format of a package; `chosen` for one that the settings give to this package itself."""
    if config.tag_format is None and not chosen and package.source.kind == "tags" and package.source.key:
        return TagFormat(str(package.source.key[0]), "", config.scheme)
    known = {
        "name": package.name,
        "folder": package.folder_name,
        "tag-name": config.tag_names.get(package.name, package.name),
    }
    if (problem := rules.tag_format(text)) is not None:
        raise Blocked("todo", f"tag-format {text!r} cannot work: {problem.why}", fix=problem.fix)
    before, after = text.split("{version}")

    def filled(part: str) -> str:
        return rules.TAG_FIELDS.sub(lambda found: known[found[1]], part)

    return TagFormat(filled(before), filled(after), config.scheme)
