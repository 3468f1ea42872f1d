"""Tag formats: the tag of a version of a package, and the version in a tag.

The format of a package's tags is the one in the settings, or the prefix that its backend reads, or the one usual
form that all its tags have. If there are no tags, it is the default: `v{version}` for a single package and in
lockstep, else `{name}-v{version}`. In all other cases the format is unclear: `setting_proposals` says what to set.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from packaging.version import Version

from relnox.core.packages import Package
from relnox.core.records import Record
from relnox.core.settings import patterns, release_lines, rules
from relnox.core.settings.config import Config
from relnox.core.settings.release_lines import ReleaseLine
from relnox.core.text import join_names
from relnox.core.version_groups import VersionGroup, find_version_groups
from relnox.core.versions import semver_compat
from relnox.core.versions.semver_compat import Scheme
from relnox.core.workspace import Workspace
from relnox.errors import Blocked

_VERSION = "{version}"
_PLAIN_FORMS = ("v{version}", "{version}")
_COMMON_FORMS = (*_PLAIN_FORMS, "{name}-v{version}", "{name}-{version}", "{name}=={version}")
"""The usual forms of a single package's tags, and of tags that packages share."""
_SEPARATORS = ("-v", "==", "@", "@v", "/v", "/", "-", "_v")
_PACKAGE_FORMS = tuple(
    f"{field}{separator}{_VERSION}" for field in ("{name}", "{directory}") for separator in _SEPARATORS
)
"""The usual forms of tags that tell the packages of a project apart."""
_VERSION_START = re.compile(r"(?:^|(?<=[^0-9A-Za-z.+])|(?<=^[vV])|(?<=[^0-9A-Za-z.+][vV]))\d")
"""Where a version may begin in a tag."""
_ENDS_IN_NUMBER = re.compile(r"(?:^|[^0-9A-Za-z])\d+[^0-9A-Za-z]$")
"""A prefix after which there is no version, as in rel_1_4_0 or 2024-01-31."""
_MAX_LENGTH = 200
_MAX_LISTED = 3

HadVersion = Callable[[Package, str, Version], bool]
"""Tells whether a package had a version at a tag's commit; also true if this clone lacks the commit."""


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

    def latest_tag(self, tags: Iterable[str]) -> tuple[str, Version] | None:
        """Return the tag of this format with the highest version, and that version, or None."""
        return max(self.matching_tags(tags), key=lambda pair: pair[1], default=None)


class TagForms(Record):
    """The tag format of each package.

    Attributes:
        formats: The format of each package; a guess for those in `unclear`.
        unclear: Maps each package whose format is unclear to the reason.
        common: The format, as in the settings, of the packages that have no format of their own.
    """

    formats: Mapping[str, TagFormat]
    unclear: Mapping[str, str]
    common: str


def split_tag(tag: str) -> tuple[str, Version] | None:
    """Split a tag into its prefix and the version at its end; return None if it does not end with a version."""
    for match in _VERSION_START.finditer(tag) if len(tag) <= _MAX_LENGTH else ():
        prefix = tag[: match.start()]
        if _ENDS_IN_NUMBER.search(prefix):
            return None
        try:
            return prefix, Version(tag[match.start() :])
        except ValueError:  # InvalidVersion is one
            continue
    return None


def packages_that_read_any_tag(packages: Iterable[Package]) -> tuple[Package, ...]:
    """Return the packages whose backends take the version from the latest tag, whatever its prefix is."""
    return tuple(package for package in packages if package.source.kind == "tags" and not package.source.key)


def find_tag_forms(
    workspace: Workspace,
    config: Config,
    tags: Iterable[str] = (),
    had_version: HadVersion = lambda *_: True,
) -> TagForms:
    """Return the tag format of each package; packages whose backends read any tag share one.

    Raises:
        Blocked: A format is invalid, or does not distinguish the tags of two packages.
    """
    ordered_tags = sorted(tags)
    texts = _configured_formats(workspace, config)
    rest = [package for package in workspace.packages if package.name not in texts]
    readers = packages_that_read_any_tag(rest)
    parts: list[tuple[Sequence[Package], tuple[str, ...]]]
    if config.versions == "lockstep" or len(workspace.packages) == 1:
        parts = [(rest, _COMMON_FORMS)]
    elif len(readers) > 1:
        parts = [(list(readers), _COMMON_FORMS), ([p for p in rest if p not in readers], _PACKAGE_FORMS)]
    else:
        parts = [(rest, _PACKAGE_FORMS)]
    formats = {
        package.name: tag_format_of(package, texts[package.name], config)
        for package in workspace.packages
        if package.name in texts
    }
    unclear: dict[str, str] = {}
    text = config.tag_format or "{name}-v{version}"
    for packages, forms in parts:
        text, reason = _usual_form(packages, forms, ordered_tags, config, had_version)
        texts |= dict.fromkeys((package.name for package in packages), text)
        formats |= {package.name: tag_format_of(package, text, config) for package in packages}
        unclear |= {package.name: reason for package in packages if reason}
    formats = {package.name: formats[package.name] for package in workspace.packages}
    _check_formats(formats, texts, workspace, config)
    owned = {tag for tag_format in set(formats.values()) for tag, _ in _tags_with(tag_format, ordered_tags)}
    if others := [tag for tag in ordered_tags if tag not in owned and any(map(str.isdigit, tag))]:
        for package in rest:
            if not _tags_with(formats[package.name], ordered_tags):
                reason = (
                    f"it has no tag like {formats[package.name].sample}, and there are others ({_some(others)})"
                )
                unclear.setdefault(package.name, reason)
    return TagForms(formats, unclear, text)


def _usual_form(
    packages: Sequence[Package],
    forms: Sequence[str],
    tags: Sequence[str],
    config: Config,
    had_version: HadVersion,
) -> tuple[str, str]:
    """Return the usual form that all tags of these packages have, or else a guess with why it is unclear."""
    default = "v{version}" if forms is _COMMON_FORMS else "{name}-v{version}"
    if not tags:
        return default, ""
    tags_by_form = {
        form: {package: _tags_with(tag_format_of(package, form, config), tags) for package in packages}
        for form in forms
    }
    matches = {
        form: {pair for pairs in by_package.values() for pair in pairs}
        for form, by_package in tags_by_form.items()
    }
    all_matches = set().union(*matches.values())
    if not all_matches:
        return default, ""

    def rank(form: str) -> tuple[int, int, Version]:
        """Rate a form: by the packages whose version is tagged, then by those that have tags."""
        tagged = [
            any(version == package.version for _, version in pairs)
            for package, pairs in tags_by_form[form].items()
        ]
        return (
            sum(tagged),
            sum(map(bool, tags_by_form[form].values())),
            max(version for _, version in matches[form]),
        )

    form = max((form for form in forms if matches[form]), key=rank)
    if matches[form] != all_matches:
        return form, f"they have several forms: {_latest(matches[form])}, {_latest(all_matches - matches[form])}"
    if form in _PLAIN_FORMS and not _belong_to(packages, matches[form], had_version):
        return form, f"{packages[0].name} has another version at tag {_latest(matches[form])}"
    return form, ""


def _belong_to(packages: Sequence[Package], pairs: Iterable[tuple[str, Version]], had_version: HadVersion) -> bool:
    """Return whether tags that name no package belong to these: their files have the version, or had it there."""
    in_files = [package for package in packages if package.version is not None]
    latest = sorted(pairs, key=lambda pair: pair[1], reverse=True)
    return (
        not in_files
        or any(package.version == version for package in in_files for _, version in latest)
        or any(had_version(package, *pair) for package in in_files for pair in latest[:_MAX_LISTED])
    )


def _some(tags: Sequence[str]) -> str:
    """Return the tags with the highest versions, as a list for messages."""
    versions = {tag: parts[1] for tag in tags if (parts := split_tag(tag)) is not None}
    latest = sorted(versions, key=lambda tag: versions[tag], reverse=True) or list(tags)
    return join_names(latest, _MAX_LISTED)


def _latest(pairs: Iterable[tuple[str, Version]]) -> str:
    return max(pairs, key=lambda pair: pair[1])[0]


def _configured_formats(workspace: Workspace, config: Config) -> dict[str, str]:
    """Map packages to the tag formats that the settings give them, or that their backends read."""
    texts: dict[str, str] = {}
    for package in workspace.packages:
        if config.tag_format is not None:
            texts[package.name] = config.tag_format
        elif package.source.kind == "tags" and package.source.key:
            texts[package.name] = f"{package.source.key[0]}{_VERSION}"
    for pattern, text in config.tag_formats.items():
        members = patterns.select_packages((pattern,), workspace.packages)
        texts |= dict.fromkeys((package.name for package in members), text)
    return texts


def tag_format_of(package: Package, text: str, config: Config) -> TagFormat:
    """Return a package's tag format from its text."""
    if (problem := rules.tag_format(text)) is not None:
        raise Blocked("tag-format-invalid", f"tag-format {text!r} is invalid: {problem.message}", fix=problem.fix)
    fields = {"name": package.name, "directory": package.directory_name}
    prefix, suffix = (rules.TAG_FIELDS.sub(lambda match: fields[match[1]], part) for part in text.split(_VERSION))
    return TagFormat(prefix, suffix, config.scheme)


def _check_formats(
    formats: Mapping[str, TagFormat], texts: Mapping[str, str], workspace: Workspace, config: Config
) -> None:
    """Check that git allows tags of these formats, and that they distinguish packages.

    Packages that are always bumped together may share their tags.
    """
    for name, tag_format in formats.items():
        if (why := rules.ref_name_violation(sample := f"{tag_format.prefix}1{tag_format.suffix}")) is not None:
            raise Blocked(
                "tag-format-invalid",
                f"tag-format {texts[name]!r} gives {name} invalid tags such as {sample!r} ({why})",
                fix='write for example tag-format = "{name}-v{version}"',
            )
    groups = find_version_groups(workspace, config)
    fixed = {package.name: group.name for group in groups if group.kind == "fixed" for package in group.packages}
    names_by_format: dict[TagFormat, list[str]] = {}
    for name, tag_format in formats.items():
        names_by_format.setdefault(tag_format, []).append(name)
    for one, *others in names_by_format.values():
        for other in others:
            if one not in fixed or fixed[one] != fixed.get(other):
                raise Blocked(
                    "tag-format-unknown",
                    f"tag-format {texts[one]!r} gives {one} and {other} the same tags",
                    fix=_how_to_separate_tags(one, other, groups),
                )
    distinct = [(names[0], tag_format) for tag_format, names in names_by_format.items()]
    by_prefix = sorted(distinct, key=lambda pair: (pair[1].prefix, pair[1].suffix))
    for (one, first), (other, second) in _pairs_with_common_prefix(by_prefix):
        if (tag := _shared_tag(first, second)) is not None:
            raise Blocked(
                "tag-format-unknown",
                f"tag-format {texts[one]!r} does not distinguish {one} and {other} "
                f"({tag} could be a tag of either)",
                fix='separate name and version clearly, as in "{name}-v{version}"',
            )


def _how_to_separate_tags(one: str, other: str, groups: Sequence[VersionGroup]) -> str:
    """Return the fix for two packages with the same tags; a group stays a group."""
    by_name = {package.name: group for group in groups for package in group.packages}
    group = by_name[one]
    if group == by_name[other]:
        return (
            f'set [tool.relnox.groups.{group.name}] kind = "fixed" to bump all its packages together, under one '
            "tag; or use {name} or {directory} in the format"
        )
    if any(len(group.packages) > 1 for group in groups):
        return 'use {name} or {directory} in it: tag-format = "{name}-v{version}"'
    return 'use {name} or {directory} in it, or set versions = "lockstep" for common tags'


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
    """Return a tag that has both formats, or None if none is tags_by_form."""
    for tag_format, other in ((first, second), (second, first)):
        tag = f"{tag_format.prefix}1{tag_format.suffix}"
        if other.parse(tag) is not None:
            return tag
    return None


def _tags_with(tag_format: TagFormat, ordered_tags: Sequence[str]) -> list[tuple[str, Version]]:
    """Return the tags that have a format, with their versions."""
    start = bisect_left(ordered_tags, tag_format.prefix)
    end = bisect_left(ordered_tags, f"{tag_format.prefix}\U0010ffff")
    return tag_format.matching_tags(ordered_tags[start:end])


def tags_naming(package: Package, tags: Iterable[str]) -> list[tuple[str, Version]]:
    """Return the tags that contain the name of a package in any usual form, with their versions."""
    ordered_tags = sorted(tags)
    formats = (TagFormat(f"{package.name}{separator}", "", "pep440") for separator in _SEPARATORS)
    return [pair for tag_format in formats for pair in _tags_with(tag_format, ordered_tags)]


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
    matches = {tag_format: _tags_with(tag_format, ordered_tags) for tag_format in set(formats.values())}
    latest = {}
    for package, tag_format in formats.items():
        pairs, limit = matches[tag_format], (limits or {}).get(package)
        pairs = [pair for pair in pairs if release_lines.allows_version(lines, pair[1])] or pairs
        below = [pair for pair in pairs if limit is None or pair[1] <= limit]
        if pairs:
            latest[package] = max(below or pairs, key=lambda pair: pair[1])
    return latest
