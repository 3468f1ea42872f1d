"""Settings that continue the form of a repository's existing tags.

A new tag must have the form of the package's existing tags. If the settings, or the lack of them, would give it
another form, the bump is blocked and these settings are proposed.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from relnox.core import fixes
from relnox.core.problems import Problem
from relnox.core.records import Record, replace
from relnox.core.settings import patterns
from relnox.core.tagging.known_tags import lockstep_reason
from relnox.core.tagging.tags import configured_formats, detect_format, has_common_tags

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from relnox.core.packages import Package
    from relnox.core.settings.config import Config
    from relnox.core.tagging.known_tags import KnownTags, TagSurvey
    from relnox.core.tagging.tags import TagFormat
    from relnox.core.workspace import Workspace

_MAX_LISTED = 5
"""The maximum number of packages named in a message."""
_VERSION = "{version}"


def format_problems(
    packages: Iterable[Package],
    workspace: Workspace,
    config: Config,
    formats: Mapping[str, TagFormat],
    known_tags: KnownTags,
) -> Iterator[Problem]:
    """Yield a problem if next tags would differ in form from existing ones, and one if their form is not clear."""
    survey, tags = known_tags.survey, known_tags.tags
    if not (survey.plain_prefixes or survey.package_prefixes or survey.unreadable or known_tags.prefixes):
        return  # there are no tags, or none of releases
    configured_by_package = configured_formats(workspace, config)
    common = has_common_tags(workspace, config, tags, covers_repository=known_tags.covers_repository)
    usual = detect_format(workspace.packages, tags, common=common)
    different: dict[str, tuple[str, str]] = {}
    unknown: list[str] = []
    on_purpose = {
        package.name
        for pattern in config.tag_formats
        for package in patterns.select_packages((pattern,), workspace.packages)
    }
    for package in packages:
        tag_format, prefix = formats[package.name], known_tags.prefixes.get(package.name)
        if package.name in on_purpose or tag_format.suffix or prefix == tag_format.prefix:
            continue
        has_tags = any(tag_format.parse(tag) is not None for tag in tags)
        names_package = prefix is not None and prefix not in survey.plain_prefixes
        if prefix is not None and prefix in survey.by_prefix:
            is_tagged = (
                tag_format.has_version_tag(package.version, tags) if package.version is not None else has_tags
            )
            if not has_tags or (names_package and not is_tagged and package.version in survey.versions(prefix)):
                different[package.name] = (prefix, tag_format.prefix)
        elif (
            not has_tags
            and usual is None
            and config.tag_format is None
            and package.name not in configured_by_package
        ):
            unknown.append(package.name)
    if not different and not unknown:
        return
    proposal = as_toml(propose_settings(workspace, config, known_tags))
    fix = f"{fixes.task_command('init', '--update')}, which adds this to pyproject.toml:\n{proposal}"
    if different:
        lines = [
            f"next tag of {name} would be {new}{workspace.by_name[name].version or '1.0'} "
            f"(its tags are like {_example_tag(old, known_tags, workspace.by_name[name])})"
            for name, (old, new) in list(different.items())[:_MAX_LISTED]
        ]
        more = [f"and {len(different) - _MAX_LISTED} more packages"] if len(different) > _MAX_LISTED else []
        yield Problem(code="tag-format-unknown", message="\n".join([*lines, *more]), fix=fix)
    if unknown:
        names = ", ".join(unknown[:_MAX_LISTED]) + (" …" if len(unknown) > _MAX_LISTED else "")
        examples = ", ".join([*_example_tags(known_tags)][:3])
        yield Problem(
            code="tag-format-unknown",
            message=f"no tags found for {names}, and their form is not clear from other tags ({examples})",
            fix=f"to choose one: {fix}",
        )


def _example_tag(prefix: str, known_tags: KnownTags, package: Package | None = None) -> str:
    """Return the latest tag with a prefix, if possible one not above the package's version, as an example."""
    tagged_versions = known_tags.survey.by_prefix[prefix]
    version = package.version if package is not None else None
    older_versions = [pair for pair in tagged_versions if version is not None and pair[1] <= version]
    return max(older_versions or tagged_versions, key=lambda pair: pair[1])[0]


def _example_tags(known_tags: KnownTags) -> Iterator[str]:
    """Yield an example of the tags with each prefix, the most frequent one first, then tags without a version."""
    by_prefix = known_tags.survey.by_prefix
    for prefix in sorted(by_prefix, key=lambda prefix: -len(by_prefix[prefix])):
        yield _example_tag(prefix, known_tags)
    yield from known_tags.survey.unreadable


def propose_settings(workspace: Workspace, config: Config, known_tags: KnownTags) -> dict[str, Any]:
    """Return the settings to add or change in `[tool.relnox]` so that new tags look like the existing ones."""
    if config.versions == "lockstep" or lockstep_reason(workspace, config, known_tags) is not None:
        versions = {} if config.versions else {"versions": "lockstep"}
        return versions | _common_format(workspace, replace(config, versions="lockstep"), known_tags)
    if has_common_tags(workspace, config, known_tags.tags, covers_repository=known_tags.covers_repository):
        return _common_format(workspace, config, known_tags)
    survey = known_tags.survey
    settings: dict[str, Any] = {}
    if config.versions is None and len(workspace.packages) > 1:
        settings["versions"] = "independent"
    if not known_tags.prefixes and not survey.by_prefix and not survey.unreadable:
        return settings
    formats = configured_formats(workspace, config)
    prefixes = {name: prefix for name, prefix in known_tags.prefixes.items() if name not in formats}
    clusters = list(_tagged_together(workspace, config, survey, prefixes))
    if config.versions is None and any(len(members) == len(workspace.packages) for _, members in clusters):
        lockstep = replace(config, versions="lockstep")
        return {"versions": "lockstep"} | _common_format(workspace, lockstep, known_tags)
    grouped_packages = {package.name for _, members in clusters for package in members}
    alone = {name: prefix for name, prefix in prefixes.items() if name not in grouped_packages}
    settings |= _separate_formats(
        workspace, config, alone, survey.plain_prefixes, has_untagged=len(prefixes) < len(workspace.packages)
    )
    used_names = set(config.groups)
    for prefix, members in clusters:
        candidates = ("main", *(f"main-{number}" for number in range(2, 99)))
        name = next(name for name in candidates if name not in used_names)
        used_names.add(name)
        directories = directory_globs(members, workspace.packages)
        settings.setdefault("groups", {})[name] = {"packages": directories, "tag-format": prefix + _VERSION}
    return settings


def _common_format(workspace: Workspace, config: Config, known_tags: KnownTags) -> dict[str, Any]:
    """Return the `tag-format` setting for packages with common tags; empty if no setting is needed."""
    if detect_format(workspace.packages, known_tags.tags, common=True) and not config.tag_format:
        return {}
    prefixes = set(known_tags.prefixes.values())
    if len(prefixes) != 1:
        return {"tag-format": "v{version}"} if known_tags.survey.unreadable and not config.tag_format else {}
    text = prefixes.pop() + _VERSION
    return {} if config.tag_format == text else {"tag-format": text}


def _tagged_together(
    workspace: Workspace, config: Config, survey: TagSurvey, prefixes: Mapping[str, str]
) -> Iterator[tuple[str, list[Package]]]:
    """Yield the prefix of each kind of plain tags that several packages of one version share, and these packages.

    Packages in groups of the settings are left out.
    """
    in_groups = {
        package.name
        for group in config.groups.values()
        for package in patterns.select_packages(group.packages, workspace.packages)
    }
    clusters: dict[str, list[Package]] = {}
    for package in workspace.packages:
        prefix = prefixes.get(package.name)
        if prefix is not None and prefix in survey.plain_prefixes and package.name not in in_groups:
            clusters.setdefault(prefix, []).append(package)
    for prefix, members in clusters.items():
        versions = {package.version for package in members if package.version is not None}
        if len(members) > 1 and len(versions) <= 1:
            yield prefix, members


def _split_prefix(prefix: str) -> tuple[str, str, str]:
    """Split the prefix of a tag into the text before the name of the package, the name, and the text after it."""
    match = re.fullmatch(r"(?P<lead>.*?/)?(?P<word>.*?)(?P<end>[^0-9A-Za-z]+[vV]?|)", prefix)
    if match is None or not match["word"]:
        return prefix, "", ""
    return match["lead"] or "", match["word"], match["end"]


class _TaggedPackage(Record):
    """A package with tags of its own.

    Attributes:
        parts: The prefix of its tags in three parts: the text before the name, the name, the text after it.
        tag_name: The value of `{tag-name}` for the package, according to the settings.
    """

    package: Package
    prefix: str
    parts: tuple[str, str, str]
    tag_name: str

    @property
    def templates(self) -> Iterator[str]:
        """The tag formats with which the package has the prefix of its existing tags, without further settings."""
        lead, word, end = self.parts
        values = {"{name}": self.package.name, "{directory}": self.package.directory_name, "{tag-name}": word}
        yield from (f"{lead}{field}{end}{_VERSION}" for field, value in values.items() if word and word == value)

    def entry(self, text: str) -> tuple[str, str] | None:
        """Return the key and the value that the package needs in addition to the tag format `text`, or None."""
        values = {
            "{name}": self.package.name,
            "{directory}": self.package.directory_name,
            "{tag-name}": self.tag_name,
        }
        prefix = text.removesuffix(_VERSION)
        for field, value in values.items():
            prefix = prefix.replace(field, value)
        lead, word, end = self.parts
        if prefix == self.prefix:
            return None
        if word and text == f"{lead}{{tag-name}}{end}{_VERSION}":
            return "tag-names", word
        return "tag-formats", self.prefix + _VERSION


def _separate_formats(
    workspace: Workspace,
    config: Config,
    prefixes: Mapping[str, str],
    plain_prefixes: Collection[str],
    *,
    has_untagged: bool,
) -> dict[str, Any]:
    """Return the settings `tag-format`, `tag-names` and `tag-formats` for packages with tags of their own.

    Of all possible settings, those with the fewest entries are returned. `prefixes` maps the packages to the
    prefixes of their tags; `has_untagged` tells whether the project has packages without tags.
    """
    packages = [
        _TaggedPackage(
            workspace.by_name[name],
            prefix,
            (prefix, "", "") if prefix in plain_prefixes else _split_prefix(prefix),
            config.tag_names.get(name, name),
        )
        for name, prefix in sorted(prefixes.items())
    ]
    templates = sorted(
        (text for package in packages for text in package.templates),
        key=lambda text: [field in text for field in ("{tag-name}", "{directory}", "{name}")],
    )
    texts = list(dict.fromkeys([config.tag_format, *templates] if config.tag_format is not None else templates))
    if not texts:
        texts = ["{name}-v{version}"] if has_untagged else ["{version}"]

    def cost(text: str) -> tuple[int, int]:
        """Rate a tag format: the fewer other settings it needs, the lower."""
        keys = [entry[0] for package in packages if (entry := package.entry(text)) is not None]
        # The configured format is replaced only if it does not fit at least half of the packages.
        is_sufficient = text == config.tag_format and len(keys) <= len(packages) // 2
        return (0 if is_sufficient else 1, sum(1 if key == "tag-names" else 3 for key in keys))

    text = min(texts, key=cost)
    settings: dict[str, Any] = {} if text in (config.tag_format, _VERSION) else {"tag-format": text}
    for key in ("tag-names", "tag-formats"):
        entries = {package.package.name: package.entry(text) for package in packages}
        if values := {name: entry[1] for name, entry in entries.items() if entry is not None and entry[0] == key}:
            settings[key] = values
    return settings


def directory_globs(packages: Sequence[Package], all_packages: Sequence[Package]) -> list[str]:
    """Return patterns for exactly these packages, with a glob for each directory that mostly contains them."""
    package_directories = {package.directory for package in packages}
    by_parent: dict[str, list[str]] = {}
    for directory in sorted(package_directories):
        by_parent.setdefault(directory.rpartition("/")[0], []).append(directory)
    globs: list[str] = []
    for parent, directories in by_parent.items():
        others = [
            package
            for package in all_packages
            if package.directory not in package_directories and package.directory.startswith(f"{parent}/")
        ]
        is_shorter = len(directories) > 1 and len(others) < len(directories)
        globs += [f"{parent}/*"] if parent and is_shorter else directories
    matches = patterns.select_packages(globs, all_packages)
    return [
        *globs,
        *(f"!{package.directory}" for package in matches if package.directory not in package_directories),
    ]


def as_toml(settings: Mapping[str, Any], *, header: bool = True) -> str:
    """Format settings as TOML, ready to paste; `header` adds the line `[tool.relnox]`."""
    import tomlkit

    return tomlkit.dumps({"tool": {"relnox": settings}} if header else settings).rstrip()
