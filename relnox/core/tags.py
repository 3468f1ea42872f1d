"""Tag formats: the tag of a version of a package, and the version in a tag.

The format of a package's tags is the one in the settings, or else the only usual form that they have, if the
package's file had the version of one of the last tags. A package without tags gets the form that all others have.
If the project has no tags, the default is `v{version}` for a single package and in lockstep, or else
`{name}-v{version}`. In all other cases the format is unclear: `setting_proposals` says what to set.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from operator import itemgetter

from packaging.version import Version

from relnox.core import fixes
from relnox.core.packages import Package
from relnox.core.records import Record
from relnox.core.settings import patterns, release_lines, rules
from relnox.core.settings.config import Config
from relnox.core.settings.release_lines import ReleaseLine
from relnox.core.text import join_names
from relnox.core.version_groups import find_version_groups
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
_UNSPECIFIC_WORDS = frozenset({"v", "release", "rel", "version", "ver", "python", "py"})
"""Words in tags that are not about one package."""
_MIN_PART = 2
_MAX_LENGTH = 200
_MAX_LISTED = 3

HadVersion = Callable[[Package, str, Version], bool | None]
"""Tells whether a package's file had a version at a tag's commit; None if there was no such file."""


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
        """Return the tags that have this format, in the given order, each with its version."""
        return [(tag, version) for tag in tags if (version := self.parse(tag)) is not None]

    def latest_tag(self, tags: Iterable[str]) -> tuple[str, Version] | None:
        """Return the tag of this format with the highest version, and that version; None if no tag has it."""
        return max(self.matching_tags(tags), key=itemgetter(1), default=None)


class DetectedTagFormats(Record):
    """The tag formats that `detect_tag_formats` found for `workspace`; all mappings are by package name.

    Attributes:
        formats: The format of each package; a guess for those in `unclear`.
        proposals: Like `formats`, but for packages in `unclear` the format that messages propose for the settings.
        unclear: Maps each package whose format is neither set nor certain from tags to the reason, for messages.
        confirmed: The packages in `unclear` whose proposal is sound: at one of the last tags in that format, the
            package's file had the version of the tag, or it has that version now.
    """

    workspace: Workspace
    config: Config
    formats: Mapping[str, TagFormat]
    proposals: Mapping[str, TagFormat]
    unclear: Mapping[str, str]
    confirmed: frozenset[str]


def split_tag(tag: str) -> tuple[str, Version] | None:
    """Split a tag into a prefix such as `acme-v` and the version at its end; return None if it has none there."""
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


def detect_tag_formats(
    workspace: Workspace,
    config: Config,
    tags: Iterable[str] = (),
    had_version: HadVersion = lambda *_: True,
) -> DetectedTagFormats:
    """Return the tag format of each package; packages whose backends read any tag share one.

    `tags` are all tags of the repository. `had_version` takes a package, a tag and a version, and returns whether
    the package's file had the version at that tag, or None if there was no file; by default, it always had. It is
    called for the last tags of a package, to confirm that they are the package's.

    Raises:
        Blocked: A format is invalid, or does not distinguish the tags of two packages.
    """
    ordered_tags = sorted(tags)
    texts = _configured_formats(workspace, config)
    unclear: dict[str, str] = {}
    untagged: list[tuple[Sequence[Package], Sequence[str]]] = []
    common_forms: Sequence[str] = _PACKAGE_FORMS
    for packages, forms in _packages_with_usual_forms(workspace, config, texts):
        own_forms: Sequence[str]
        own_forms, reason = _detect_forms_of_tags(packages, forms, ordered_tags, config, had_version)
        if not own_forms:
            untagged.append((packages, forms))
            continue
        texts |= dict.fromkeys((package.name for package in packages), own_forms[0])
        if reason:
            unclear |= dict.fromkeys((package.name for package in packages), reason)
        elif forms is _PACKAGE_FORMS:
            common_forms = [form for form in common_forms if form in own_forms]
    by_name = workspace.by_name
    owned_formats = {parse_tag_format(by_name[name], text, config) for name, text in texts.items()}
    owned = {tag for tag_format in owned_formats for tag, _ in tags_of_format(tag_format, ordered_tags)}
    with_digits = [tag for tag in ordered_tags if any(map(str.isdigit, tag))]
    others = [tag for tag in with_digits if tag not in owned]
    for packages, forms in untagged:
        if forms is _PACKAGE_FORMS:
            has_example = bool(common_forms) and common_forms is not _PACKAGE_FORMS
            own_forms, unexplained = common_forms or forms, others if has_example else with_digits
        else:
            own_forms, unexplained = forms, others if forms is _COMMON_FORMS else []
        texts |= dict.fromkeys((package.name for package in packages), own_forms[0])
        if unexplained:
            reason = f"it has no tag of a usual form, and there are others: {_join_highest_tags(unexplained)}"
            unclear |= dict.fromkeys((package.name for package in packages), reason)
    formats = {
        package.name: parse_tag_format(package, texts[package.name], config) for package in workspace.packages
    }
    _check_distinct_formats(
        {name: own for name, own in formats.items() if name not in unclear}, texts, workspace, config
    )
    proposals = dict(formats)
    confirmed = _propose_formats(proposals, unclear, workspace, config, ordered_tags, had_version)
    return DetectedTagFormats(workspace, config, formats, proposals, unclear, confirmed)


def _detect_forms_of_tags(
    packages: Sequence[Package],
    forms: Iterable[str],
    tags: Sequence[str],
    config: Config,
    had_version: HadVersion,
) -> tuple[list[str], str]:
    """Return those of `forms`, such as `{name}-v{version}`, that the tags have, and why that is unclear, or "".

    The packages share one form. Several forms are returned only if they stand for the same tags. If the tags are
    of different forms, the one with the highest version decides; if none has such a form, the list is empty.
    `tags` is sorted as strings; `had_version` is as in `detect_tag_formats`.
    """
    forms_by_formats: dict[frozenset[TagFormat], list[str]] = {}
    for form in forms:
        key = frozenset(parse_tag_format(package, form, config) for package in packages)
        forms_by_formats.setdefault(key, []).append(form)
    matches = [
        (tagged, own_forms)
        for formats, own_forms in forms_by_formats.items()
        if (tagged := sorted((pair for own in formats for pair in tags_of_format(own, tags)), key=itemgetter(1)))
    ]
    matches.sort(key=lambda match: match[0][-1][1], reverse=True)
    if not matches:
        return [], ""
    tagged, own_forms = matches[0]
    if len(matches) > 1:
        return own_forms, f"they have several forms: {join_names([pairs[-1][0] for pairs, _ in matches])}"
    if not any(answer for package in packages for answer in _had_tagged_versions(package, tagged, had_version)):
        return own_forms, f"its file has another version at tag {tagged[-1][0]}"
    return own_forms, ""


def _packages_with_usual_forms(
    workspace: Workspace, config: Config, texts: Mapping[str, str]
) -> Iterator[tuple[Sequence[Package], Sequence[str]]]:
    """Yield packages that share a tag format, or one package, with the usual forms of their tags.

    `texts` has the formats in the settings by package name; these packages are left out.
    """
    rest = [package for package in workspace.packages if package.name not in texts]
    filtering = [package for package in rest if package.source.kind == "tags" and package.source.key]
    for package in filtering:  # their backends ignore other tags, but the pattern may end before a `v`
        prefix = str(package.source.key[0])
        with_v = [f"{prefix}v{_VERSION}"] if prefix and not prefix.endswith("v") else []
        yield [package], [f"{prefix}{_VERSION}", *with_v]
    filtered = {package.name for package in filtering}
    rest = [package for package in rest if package.name not in filtered]
    if config.versions == "lockstep" or len(workspace.packages) == 1:
        sharing = rest
    elif len(sharing := list(packages_that_read_any_tag(rest))) == 1:
        sharing = []
    if sharing:
        yield sharing, _COMMON_FORMS
    shared = {package.name for package in sharing}
    yield from (([package], _PACKAGE_FORMS) for package in rest if package.name not in shared)


def _had_tagged_versions(
    package: Package, tagged: Sequence[tuple[str, Version]], had_version: HadVersion
) -> Iterator[bool]:
    """Yield whether the package's file had the tagged version, for the last three of `tagged`, last first.

    `tagged` has tags with their versions, sorted by version. The answer is also true for the package's current
    version, and always if that is None. Tags at which there was no file are left out.
    """
    for tag, version in tagged[: -_MAX_LISTED - 1 : -1]:
        answer = package.version in (None, version) or had_version(package, tag, version)
        if answer is not None:
            yield answer


def _propose_formats(  # noqa: PLR0913, PLR0917 - what `detect_tag_formats` knows
    formats: dict[str, TagFormat],
    unclear: Collection[str],
    workspace: Workspace,
    config: Config,
    tags: Iterable[str],
    had_version: HadVersion,
) -> frozenset[str]:
    """Replace the format of each package in `unclear` with one that fits its tags, or else with a common form.

    `formats` is changed, and `tags` are all tags of the repository. Return the names of the packages for which
    `had_version` confirms a tag of the new format.
    """
    packages = [package for package in workspace.packages if package.name in unclear]
    tags_by_prefix: dict[str, list[tuple[str, Version]]] = {}
    pairs = [(tag, parts) for tag in tags if (parts := split_tag(tag)) is not None and "{" not in tag]
    for tag, (prefix, version) in sorted(pairs, key=lambda pair: pair[1][1]):
        tags_by_prefix.setdefault(prefix, []).append((tag, version))
    prefixes = {name: tag_format.prefix for name, tag_format in formats.items() if name not in unclear}
    of_others = set(prefixes.values())
    for package in packages:
        candidates = [
            (answers[0], tagged[-1][1], len(prefix), prefix)
            for prefix, tagged in tags_by_prefix.items()
            if prefix not in of_others and _may_be_prefix_of(prefix, package)
            if any(answers := list(_had_tagged_versions(package, tagged, had_version)))
        ]
        if candidates:
            prefixes[package.name] = max(candidates)[-1]
    for prefix in {*prefixes.values()} - of_others:
        sharing = [package for package in packages if prefixes.get(package.name) == prefix]
        for package in _ungroupable_packages(sharing, workspace, config):
            del prefixes[package.name]
    confirmed = frozenset(prefixes.keys() & unclear)
    examples = Counter(
        text
        for package in workspace.packages
        if prefixes.get(package.name) in tags_by_prefix
        for text in _formats_with_fields(package, prefixes[package.name])
    )
    is_lockstep = config.versions == "lockstep"
    default = _COMMON_FORMS[0] if is_lockstep or len(workspace.packages) == 1 else _PACKAGE_FORMS[0]
    for package in packages:
        if package.name not in confirmed:
            texts = [*(text for text, _ in examples.most_common(1)), default, *_PACKAGE_FORMS]
            proposals = [parse_tag_format(package, text, config).prefix for text in texts]
            used = {*tags_by_prefix, *(() if is_lockstep else prefixes.values())}
            prefixes[package.name] = next((prefix for prefix in proposals if prefix not in used), proposals[-1])
        formats[package.name] = TagFormat(prefixes[package.name], "", config.scheme)
    return confirmed


def _ungroupable_packages(sharing: Sequence[Package], workspace: Workspace, config: Config) -> Sequence[Package]:
    """Return the packages that no group may bump together with the one of the highest version in `sharing`.

    All packages in `sharing` have the same tag prefix. Each of the others is returned if the settings already
    decide about groups or lockstep, or if its version differs. If one fixed group has all of them, none is
    returned.
    """
    groups = find_version_groups(workspace, config)
    fixed = {package.name: group.name for group in groups if group.kind == "fixed" for package in group.packages}
    if len({fixed.get(package.name, package.name) for package in sharing}) == 1:
        return ()
    latest = max(sharing, key=lambda package: package.version or Version("0"))
    is_settled = config.versions is not None or bool(config.groups)
    return [
        package
        for package in sharing
        if package is not latest and (is_settled or package.version != latest.version)
    ]


def _may_be_prefix_of(prefix: str, package: Package) -> bool:
    """Return whether tags with this prefix may be a package's.

    Each word in the prefix must be a general one, such as `release`, or occur in the package's name or directory.
    """
    own_words = {*_UNSPECIFIC_WORDS, *re.findall(r"[a-z0-9]+", f"{package.name} {package.directory}".lower())}
    joined = package.name.replace("-", "")
    words = re.findall(r"[a-z0-9]+", prefix.lower())
    return all(word in own_words or (len(word) > _MIN_PART and word in joined) for word in words)


def _formats_with_fields(package: Package, prefix: str) -> Iterator[str]:
    """Yield the formats, such as `{name}-v{version}`, whose tags have this prefix for the package.

    There are none if neither its name nor the name of its directory is in the prefix.
    """
    for field, value in (("{name}", package.name), ("{directory}", package.directory_name)):
        text = re.sub(rf"(?<![A-Za-z0-9]){re.escape(value)}(?![A-Za-z0-9])", field, prefix)
        if text != prefix:
            yield f"{text}{_VERSION}"


def _join_highest_tags(tags: Sequence[str]) -> str:
    """Return the tags with the three highest versions as text for messages, as in `v3.0, v2.1, v2.0 and 7 more`.

    Tags without a version are left out, unless all are.
    """
    versions = {tag: parts[1] for tag in tags if (parts := split_tag(tag)) is not None}
    latest = sorted(versions, key=lambda tag: versions[tag], reverse=True) or list(tags)
    return join_names(latest, _MAX_LISTED)


def _configured_formats(workspace: Workspace, config: Config) -> dict[str, str]:
    """Map the names of packages to the tag formats, as text, that the settings give them; others are left out."""
    texts = {} if config.tag_format is None else dict.fromkeys(workspace.by_name, config.tag_format)
    for pattern, text in config.tag_formats.items():
        members = patterns.select_packages((pattern,), workspace.packages)
        texts |= dict.fromkeys((package.name for package in members), text)
    return texts


def parse_tag_format(package: Package, text: str, config: Config) -> TagFormat:
    """Return a package's tag format from a text such as `{name}-v{version}`; raise `Blocked` if it is invalid."""
    if (problem := rules.tag_format_problem(text)) is not None:
        raise Blocked("tag-format-invalid", f"tag-format {text!r} is invalid: {problem.message}", fix=problem.fix)
    fields = {"name": package.name, "directory": package.directory_name}
    prefix, suffix = (rules.TAG_FIELDS.sub(lambda match: fields[match[1]], part) for part in text.split(_VERSION))
    return TagFormat(prefix, suffix, config.scheme)


def _check_distinct_formats(
    formats: Mapping[str, TagFormat], texts: Mapping[str, str], workspace: Workspace, config: Config
) -> None:
    """Raise `Blocked` if git rejects tags of these formats, or if the formats do not distinguish packages.

    Packages that are always bumped together may share their tags. `texts` has the formats as text, such as
    `{name}-v{version}`, for messages; both mappings are by package name.
    """
    for name, tag_format in formats.items():
        if (why := rules.ref_name_violation(sample := f"{tag_format.prefix}1{tag_format.suffix}")) is not None:
            raise Blocked(
                "tag-format-invalid",
                f"tag-format {texts[name]!r} gives {name} invalid tags such as {sample!r} ({why})",
                fix='write, for example: [tool.relnox] tag-format = "{name}-v{version}"',
            )
    groups = find_version_groups(workspace, config)
    group_by_name = {package.name: group for group in groups for package in group.packages}
    names_by_format: dict[TagFormat, list[str]] = {}
    for name, tag_format in formats.items():
        names_by_format.setdefault(tag_format, []).append(name)
    for one, *others in names_by_format.values():
        group = group_by_name[one]
        if foreign := [name for name in others if group.kind != "fixed" or group_by_name[name] != group]:
            fix = 'put {name} or {directory} in it: [tool.relnox] tag-format = "{name}-v{version}"'
            if group.kind == "linked":
                fix += f'; or, for common tags: [tool.relnox.groups.{group.name}] kind = "fixed"'
            elif config.groups:
                by_name = {name: group_by_name[name].name for name in (one, *others)}
                words = {name: group if group in config.groups else name for name, group in by_name.items()}
                own_forms = {name: f"{word}-v{{version}}" for name, word in words.items()}
                fix = f"add to pyproject.toml:\n{fixes.settings_to_toml({'tag-formats': own_forms}, config)}"
            raise Blocked(
                "tag-format-unknown",
                f"tag-format {texts[one]!r} gives {one} and {foreign[0]} the same tags",
                fix=fix if config.groups else f'{fix}; or, for common tags: [tool.relnox] versions = "lockstep"',
            )
    _check_unambiguous_formats(names_by_format, texts)


def _check_unambiguous_formats(
    names_by_format: Mapping[TagFormat, Sequence[str]], texts: Mapping[str, str]
) -> None:
    """Raise `Blocked` if a tag could have two of these formats.

    `names_by_format` maps each format to the packages that have it; `texts` has the formats as text, by package
    name.
    """
    by_prefix = sorted(names_by_format, key=lambda tag_format: (tag_format.prefix, tag_format.suffix))
    for number, first in enumerate(by_prefix, 1):
        for second in by_prefix[number:]:
            if not second.prefix.startswith(first.prefix):
                break
            for tag_format, other in ((first, second), (second, first)):
                if other.parse(tag := f"{tag_format.prefix}1{tag_format.suffix}") is not None:
                    one, *_ = names_by_format[first]
                    raise Blocked(
                        "tag-format-unknown",
                        f"tag-format {texts[one]!r} does not distinguish {one} and {names_by_format[second][0]} "
                        f"({tag} could be a tag of either)",
                        fix='separate name and version: [tool.relnox] tag-format = "{name}-v{version}"',
                    )


def tags_of_format(tag_format: TagFormat, ordered_tags: Sequence[str]) -> list[tuple[str, Version]]:
    """Return the tags with this format, and their versions, from a list that is sorted as strings.

    That is faster than `matching_tags`, which takes tags in any order.
    """
    start = bisect_left(ordered_tags, tag_format.prefix)
    end = bisect_left(ordered_tags, f"{tag_format.prefix}\U0010ffff")
    return tag_format.matching_tags(ordered_tags[start:end])


def tags_with_name(package: Package, tags: Iterable[str]) -> list[tuple[str, Version]]:
    """Return the tags such as `acme-v1.2` or `acme/1.2` for a package acme, each with its version.

    Any usual separator between the name and the version is accepted.
    """
    ordered_tags = sorted(tags)
    formats = (TagFormat(f"{package.name}{separator}", "", "pep440") for separator in _SEPARATORS)
    return [pair for tag_format in formats for pair in tags_of_format(tag_format, ordered_tags)]


def latest_tags(
    formats: Mapping[str, TagFormat],
    tags: Iterable[str],
    limits: Mapping[str, Version | None] | None = None,
    lines: Sequence[ReleaseLine] = (),
) -> dict[str, tuple[str, Version]]:
    """Map each package that has tags to its tag with the highest version, and that version.

    `formats` maps the packages to their tag formats, `limits` to the highest version to consider (None: any). Tags
    above that limit are used only if the package has no others. `lines` are the release lines of the commit, or
    empty. Tags outside of them, too, are used only if there are no others: the first release of a line follows
    such a tag.
    """
    ordered_tags = sorted(tags)
    matches = {tag_format: tags_of_format(tag_format, ordered_tags) for tag_format in set(formats.values())}
    latest = {}
    for package, tag_format in formats.items():
        pairs, limit = matches[tag_format], (limits or {}).get(package)
        pairs = [pair for pair in pairs if release_lines.allows_version(lines, pair[1])] or pairs
        below = [pair for pair in pairs if limit is None or pair[1] <= limit]
        if pairs:
            latest[package] = max(below or pairs, key=itemgetter(1))
    return latest
