"""The tags of a repository, and the form that each package's tags have."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relnox.core.records import Record
from relnox.core.tagging.tag_survey import survey_tags
from relnox.core.tagging.tags import any_tag_readers

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from packaging.version import Version

    from relnox.core.packages import Package
    from relnox.core.settings.config import Config
    from relnox.core.tagging.tag_survey import TagSurvey
    from relnox.core.workspace import Workspace


class KnownTags(Record):
    """The tags of a repository, and the form that each package's tags have.

    Attributes:
        tags: All tags of this clone and, if it was queried, of the remote.
        survey: The tags, grouped by prefix.
        prefixes: Maps each package that has tags to their prefix.
        latest_plain: The prefix and the version of the latest plain tag (one that names no package), or None.
        is_alone: Whether the repository contains no other packages than those of the workspace.
    """

    tags: tuple[str, ...]
    survey: TagSurvey
    prefixes: Mapping[str, str]
    latest_plain: tuple[str, Version] | None
    is_alone: bool


def read_known_tags(
    workspace: Workspace, tags: Iterable[str], reachable: Collection[str] = (), *, is_alone: bool = True
) -> KnownTags:
    """Determine the prefix of each package's tags.

    Plain tags, which name no package, belong to the packages that have their version, to the package at the root,
    to the only package of the repository, and to packages whose backends take the version from any tag. The latest
    plain tag is one of the `reachable` tags, those in the history of the current commit, if there are any.
    """
    packages, all_tags = workspace.packages, tuple(sorted(tags))
    survey = survey_tags(packages, all_tags)
    plain = _latest_plain(survey, reachable)
    is_single = len(packages) == 1 and is_alone
    shared = _packages_sharing_tags(packages, survey, plain) if plain is not None else {}
    readers = {package.name for package in any_tag_readers(packages)}
    prefixes: dict[str, str] = {}
    for package in packages:
        own = survey.prefix_of(package)
        if package.source.kind == "tags" and package.source.key:
            prefixes[package.name] = str(package.source.key[0])
        elif own is not None and (
            package.name not in shared or _tagged_origin(package.version, survey.versions(own)) is not None
        ):
            prefixes[package.name] = own
        elif package.name in shared:
            prefixes[package.name] = shared[package.name]
        elif plain is not None and ((package.folder == "." and is_alone) or is_single or package.name in readers):
            prefixes[package.name] = survey.plain_prefix_of(package.version) or plain[0]
        elif is_single and (
            matches := [
                prefix
                for prefix in survey.by_prefix
                if _tagged_origin(package.version, survey.versions(prefix)) is not None
            ]
        ):
            prefixes[package.name] = survey.best_prefix(matches, package.version) or matches[0]
    return KnownTags(all_tags, survey, prefixes, plain, is_alone)


def _packages_sharing_tags(
    packages: Sequence[Package], survey: TagSurvey, last: tuple[str, Version]
) -> dict[str, str]:
    """Map the packages that share plain tags to the prefix of these tags; `last` is the latest plain tag.

    These are the packages whose version has a plain tag, or directly follows one that has. If they have several
    such versions, only the greatest counts: packages with other versions are new or no longer released. If only
    one package has it, the tag must be the latest in the history, or the one with the greatest version.
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


def _tagged_origin(version: Version | None, tagged: Collection[Version]) -> Version | None:
    """Return a tagged version: this one, or else, for a prerelease, the one that it directly follows, or None."""
    if version is None or version in tagged:
        return version
    if (
        not version.is_prerelease
        or (before := max((old for old in tagged if old < version), default=None)) is None
    ):
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
        field in config.tag_format for field in ("{name}", "{folder}", "{tag-name}")
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
    tagged = [
        (version, prefix, tag) for prefix in survey.plain_prefixes for tag, version in survey.by_prefix[prefix]
    ]
    if not tagged:
        return None
    here = [entry for entry in tagged if entry[2] in reachable]
    version, prefix, _ = max(here or tagged, key=lambda entry: (entry[0], entry[1]))
    return prefix, version
