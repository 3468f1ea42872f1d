"""Names of tags: the tag for a version of a package, and the version in a tag."""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING

from packaging.version import Version

from relnox.core.records import Record
from relnox.core.settings import patterns, release_lines, rules
from relnox.core.settings.config import Config
from relnox.core.tagging.known_tags import packages_that_read_any_tag, survey_tags
from relnox.core.version_groups import find_version_groups
from relnox.core.versions import semver_compat
from relnox.errors import Blocked

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from relnox.core.packages import Package
    from relnox.core.settings.release_lines import ReleaseLine
    from relnox.core.version_groups import VersionGroup
    from relnox.core.versions.semver_compat import Scheme
    from relnox.core.workspace import Workspace

_COMMON_TAG_FORMATS = ("v{version}", "{version}", "{name}-v{version}", "{name}-{version}", "{name}=={version}")
_PACKAGE_TAG_FORMATS = (
    "{name}-v{version}",
    "{name}=={version}",
    "{name}@{version}",
    "{name}@v{version}",
    "{name}/v{version}",
    "{name}/{version}",
    "{name}-{version}",
    "{name}_v{version}",
    "{directory}-v{version}",
    "{directory}/v{version}",
    "{directory}-{version}",
    "{directory}=={version}",
)


class TagFormat(Record):
    """The format of one package's tags: the text before and after the version, and how the version is written."""

    prefix: str
    suffix: str
    scheme: Scheme

    @property
    def sample(self) -> str:
        """A tag of this format, such as `v1.2.0`."""
        return f"{self.prefix}1.2.0{self.suffix}"

    def render(self, version: Version) -> str:
        """Return the tag of a version."""
        return f"{self.prefix}{semver_compat.format_version(version, self.scheme)}{self.suffix}"

    def parse(self, tag: str) -> Version | None:
        """Return the version in a tag, however it is written, or None if the tag does not have this format."""
        if not (tag.startswith(self.prefix) and tag.endswith(self.suffix)):
            return None
        text = tag[len(self.prefix) : len(tag) - len(self.suffix)]
        try:
            return Version(text) if text[:1].isdigit() else None
        except ValueError:  # InvalidVersion is one; so is a number of thousands of digits
            return None

    def matching_tags(self, tags: Iterable[str]) -> list[tuple[str, Version]]:
        """Return the tags that have this format, with their versions."""
        return [(tag, version) for tag in tags if (version := self.parse(tag)) is not None]

    def has_version_tag(self, version: Version, tags: Sequence[str]) -> bool:
        """Return whether one of these tags, which must be sorted, is a tag of the version in this format."""
        start = bisect_left(tags, self.prefix)
        end = bisect_left(tags, f"{self.prefix}\U0010ffff")
        return any(self.parse(tag) == version for tag in tags[start:end])

    def latest_tag(self, tags: Iterable[str]) -> tuple[str, Version] | None:
        """Return the tag of this format with the highest version, and that version, or None."""
        return max(self.matching_tags(tags), key=lambda pair: pair[1], default=None)


def tag_formats(
    workspace: Workspace, config: Config, existing_tags: Iterable[str] = (), *, covers_repository: bool = True
) -> Mapping[str, TagFormat]:
    """Return the tag format of each package, by name.

    It is, in order of precedence: the configured format, the prefix that the package's backend reads, the usual
    format that existing tags have, or the default. The default is `v{version}` in lockstep and for a single
    package, and `{name}-v{version}` for several packages. Packages whose backends read any tag share one format.
    `covers_repository` tells whether the repository contains no other packages than these.

    Raises:
        Blocked: A format is invalid, or does not distinguish the tags of two packages.
    """
    tags, packages = sorted(existing_tags), workspace.packages
    common = has_common_tags(workspace, config, tags, covers_repository=covers_repository)
    usual = None if config.tag_format else detect_format(packages, tags, common=common)
    text = config.tag_format or usual or ("v{version}" if common else "{name}-v{version}")
    texts = dict.fromkeys((package.name for package in packages), text)
    if not config.tag_format and not common and len(readers := packages_that_read_any_tag(packages)) > 1:
        common_format = detect_format(readers, tags, common=True)
        texts |= dict.fromkeys((package.name for package in readers), common_format or "v{version}")
    configured_by_package = configured_formats(workspace, config)
    texts |= configured_by_package
    formats = {
        package.name: _tag_format(
            package, texts[package.name], config, is_own=package.name in configured_by_package
        )
        for package in packages
    }
    for name, tag_format in formats.items():
        text = texts[name]
        if (why := rules.ref_name_violation(sample := f"{tag_format.prefix}1{tag_format.suffix}")) is not None:
            raise Blocked(
                "tag-format-invalid",
                f"tag-format {text!r} gives {name} invalid tags such as {sample!r} ({why})",
                fix='write for example tag-format = "{name}-v{version}"',
            )
    if common and len(set(formats.values())) == 1:
        return formats
    group_names = {
        package.name: group.name
        for group in find_version_groups(workspace, config)
        if group.kind == "fixed"
        for package in group.packages
    }
    by_prefix = sorted(formats.items(), key=lambda pair: (pair[1].prefix, pair[1].suffix))
    for (one, first), (other, second) in _pairs_with_common_prefix(by_prefix):
        text = texts[one]
        if first == second and one in group_names and group_names[one] == group_names.get(other):
            continue
        if first == second:
            raise Blocked(
                "tag-format-unknown",
                f"tag-format {text!r} gives {one} and {other} the same tags",
                fix=_how_to_separate_tags(one, other, find_version_groups(workspace, config)),
            )
        if (tag := _shared_tag(first, second)) is not None:
            raise Blocked(
                "tag-format-unknown",
                f"tag-format {text!r} does not distinguish {one} and {other} ({tag} could be a tag of either)",
                fix='separate name and version clearly, as in "{name}-v{version}"',
            )
    return formats


def _how_to_separate_tags(one: str, other: str, groups: Sequence[VersionGroup]) -> str:
    """Return the fix for two packages with the same tags; a group stays a group."""
    by_name = {package.name: group for group in groups for package in group.packages}
    group = by_name[one]
    if group == by_name[other]:
        return (
            f'set [tool.relnox.groups.{group.name}] tag-format = "{{name}}-v{{version}}", or kind = "fixed" to '
            "bump all its packages together, under one tag"
        )
    if any(len(group.packages) > 1 for group in groups):
        return 'use {name} or {directory} in it: tag-format = "{name}-v{version}"'
    return 'use {name} or {directory} in it, or set versions = "lockstep" for common tags'


def latest_tags(
    formats: Mapping[str, TagFormat],
    tags: Iterable[str],
    limits: Mapping[str, Version | None] | None = None,
    lines: Sequence[ReleaseLine] = (),
) -> dict[str, tuple[str, Version]]:
    """Map each package that has tags to the tag with the highest version, and to that version.

    Tags with a greater version than the one `limits` has for the package are used only if there are no others. So
    are tags outside the bounds of the release lines of the current commit, since a line begins at such a tag.
    """
    ordered_tags = sorted(tags)
    matches: dict[TagFormat, list[tuple[str, Version]]] = {}
    latest = {}
    for package, tag_format in formats.items():
        if tag_format not in matches:
            start = bisect_left(ordered_tags, tag_format.prefix)
            end = bisect_left(ordered_tags, f"{tag_format.prefix}\U0010ffff")
            matches[tag_format] = tag_format.matching_tags(ordered_tags[start:end])
        matching_tags, limit = matches[tag_format], (limits or {}).get(package)
        matching_tags = [
            pair for pair in matching_tags if release_lines.allows_version(lines, pair[1])
        ] or matching_tags
        below = [pair for pair in matching_tags if limit is None or pair[1] <= limit]
        if matching_tags:
            latest[package] = max(below or matching_tags, key=lambda pair: pair[1])
    return latest


def _pairs_with_common_prefix(
    formats: Sequence[tuple[str, TagFormat]],
) -> Iterator[tuple[tuple[str, TagFormat], tuple[str, TagFormat]]]:
    """Yield the pairs of formats in which one prefix begins with the other; `formats` is sorted by prefix."""
    for index, one in enumerate(formats):
        for other in formats[index + 1 :]:
            if not other[1].prefix.startswith(one[1].prefix):
                break
            yield one, other


def _shared_tag(first: TagFormat, second: TagFormat) -> str | None:
    """Return a tag that has both formats, or None if none is found."""
    for tag_format, other in ((first, second), (second, first)):
        tag = f"{tag_format.prefix}1{tag_format.suffix}"
        if other.parse(tag) is not None:
            return tag
    return None


def has_common_tags(
    workspace: Workspace, config: Config, tags: Sequence[str], *, covers_repository: bool = True
) -> bool:
    """Return whether each release has one common tag, which need not name a package.

    That is so in lockstep and for a single package. If the repository contains packages that do not belong to the
    project (`covers_repository` is false), it is so for a single package only if its current version
    has a plain tag.
    """
    if config.versions == "lockstep":
        return True
    if len(workspace.packages) != 1:
        return False
    (package,) = workspace.packages
    return covers_repository or (
        package.version is not None
        and survey_tags(workspace.packages, tags).plain_prefix_of(package.version) is not None
    )


def configured_formats(workspace: Workspace, config: Config) -> dict[str, str]:
    """Map packages to the tag formats that the settings `groups` and `tag-formats` give them."""
    texts: dict[str, str] = {}
    for group in config.groups.values():
        if group.tag_format is not None:
            members = patterns.select_packages(group.packages, workspace.packages)
            texts |= dict.fromkeys((package.name for package in members), group.tag_format)
    for pattern, text in config.tag_formats.items():
        members = patterns.select_packages((pattern,), workspace.packages)
        texts |= dict.fromkeys((package.name for package in members), text)
    return texts


def detect_format(packages: Sequence[Package], tags: Iterable[str], *, common: bool) -> str | None:
    """Return the format of existing tags, if it is a usual one, or None.

    If tags have several formats, one in which most packages have tags is returned. If the packages have common
    tags, it is one in which a current version is tagged, as other tags may be unrelated. If this leaves several
    formats, the one with the highest version is returned.
    """
    ordered_tags, plain = sorted(tags), Config()
    if not ordered_tags:
        return None
    ranked: list[tuple[int, Version, str]] = []
    for text in _COMMON_TAG_FORMATS if common else _PACKAGE_TAG_FORMATS:
        formats = {package.name: _tag_format(package, text, plain) for package in packages}
        latest = latest_tags(formats, ordered_tags)
        if latest:
            expected_tags = {(formats[package.name], package.version) for package in packages if common}
            is_tagged = any(
                version is not None and tag_format.has_version_tag(version, ordered_tags)
                for tag_format, version in expected_tags
            )
            highest = max(version for _, version in latest.values())
            ranked.append((int(is_tagged) if common else len(latest), highest, text))
    return max(ranked, key=lambda entry: entry[:2])[2] if ranked else None


def _tag_format(package: Package, text: str, config: Config, *, is_own: bool = False) -> TagFormat:
    """Return a package's tag format from its text; `is_own` tells that `text` was set for this package only."""
    if config.tag_format is None and not is_own and package.source.kind == "tags" and package.source.key:
        return TagFormat(str(package.source.key[0]), "", config.scheme)
    fields = {
        "name": package.name,
        "directory": package.directory_name,
        "tag-name": config.tag_names.get(package.name, package.name),
    }
    if (problem := rules.tag_format_violation(text)) is not None:
        raise Blocked("tag-format-invalid", f"tag-format {text!r} is invalid: {problem.why}", fix=problem.fix)
    prefix, suffix = text.split("{version}")

    def fill(part: str) -> str:
        return rules.TAG_FIELDS.sub(lambda match: fields[match[1]], part)

    return TagFormat(fill(prefix), fill(suffix), config.scheme)
