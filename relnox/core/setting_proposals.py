"""Settings that relnox proposes: formats of tags, version groups, and packages to include or exclude."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from relnox.core import fixes, requirements
from relnox.core.bump.version_bumps import VersionBump
from relnox.core.packages import Package
from relnox.core.settings import patterns
from relnox.core.settings.config import Config
from relnox.core.tags import DetectedTagFormats, tags_of_format
from relnox.core.text import join_names
from relnox.core.version_groups import find_version_groups
from relnox.core.workspace import Workspace
from relnox.errors import Blocked, Problem

_MAX_LISTED = 5


def unclear_tag_format_problems(
    names: Collection[str], detected: DetectedTagFormats, tags: Mapping[str, str]
) -> Iterator[Problem]:
    """Yield at most one problem: the tags so far do not show which tag formats these packages have.

    Its fix has settings that state the formats. `names` are those of the packages, `detected` the formats of all
    packages. `tags` maps tags to commits.
    """
    names_by_reason: dict[str, list[str]] = {}
    for name, reason in detected.unclear.items():
        if name in names:
            names_by_reason.setdefault(reason, []).append(name)
    if names_by_reason:
        settings = fixes.settings_to_toml(propose_settings(detected, tags, names), detected.config)
        yield Blocked(
            "tag-format-unknown",
            "\n".join(
                f"the form of the tags of {join_names(own, _MAX_LISTED)} is not clear ({reason})"
                for reason, own in names_by_reason.items()
            ),
            fix=f"add to pyproject.toml, with the form that the next tags should have:\n{settings}",
        )


def propose_settings(
    detected: DetectedTagFormats, tags: Mapping[str, str], names: Collection[str] = ()
) -> dict[str, Any]:
    """Return settings of `[tool.relnox]`, by key, that state what is unclear from the tags alone.

    That is the tag formats in `detected.unclear`, and which packages share tags; the result may be empty. Formats
    that no version in a package's file confirms are left out, except for the packages in `names`. `tags` maps tags
    to commits.
    """
    settings: dict[str, Any] = {}
    all_packages, proposals = detected.workspace.packages, detected.proposals
    sharing = [
        packages
        for packages in _packages_released_together(detected, tags)
        if proposals[packages[0].name] == proposals[packages[1].name]
    ]
    if sharing and len(sharing[0]) == len(all_packages):
        settings["versions"] = "lockstep"
    elif sharing:
        settings["groups"] = _group_settings(sharing)
    texts = {
        package.name: f"{proposals[package.name].prefix}{{version}}"
        for package in all_packages
        if package.name in detected.confirmed or (package.name in detected.unclear and package.name in names)
    }
    usual = {name for name, tag_format in proposals.items() if tag_format.prefix == f"{name}-v"}
    if len(texts) == len(all_packages) and len(set(texts.values())) == 1:
        settings["tag-format"] = texts.popitem()[1]
        return settings
    if names and len(usual) > 1 and usual | texts.keys() == proposals.keys():
        settings["tag-format"] = "{name}-v{version}"
        texts = {name: text for name, text in texts.items() if name not in usual}
    if texts:
        settings["tag-formats"] = texts
    return settings


def _packages_released_together(detected: DetectedTagFormats, tags: Mapping[str, str]) -> Iterator[list[Package]]:
    """Yield lists of at least two packages that share tags, or always had the same versions at the same commits.

    There are none if the settings say which packages share a version. `tags` maps tags to commits.
    """
    config = detected.config
    groups = find_version_groups(detected.workspace, config)
    if config.versions is not None or config.groups or len(groups) == 1:
        return
    ordered_tags = sorted(tags)
    by_releases: dict[object, list[Package]] = {}
    for package in (group.packages[0] for group in groups if group.kind == "alone"):
        if package.name not in detected.unclear or package.name in detected.confirmed:
            tag_format = detected.proposals[package.name]
            releases = frozenset((tags[tag], version) for tag, version in tags_of_format(tag_format, ordered_tags))
            key = releases if len(releases) > 1 else tag_format
            by_releases.setdefault((key, package.version), []).append(package)
    yield from (packages for packages in by_releases.values() if len(packages) > 1)


def _group_settings(groups: Iterable[Sequence[Package]]) -> dict[str, Any]:
    """Return a value for `[tool.relnox.groups]` with a table for each group, named `main`, `main1`, and so on.

    Each table lists the names of the group's packages.
    """
    return {
        f"main{number or ''}": {"packages": [package.name for package in packages]}
        for number, packages in enumerate(groups)
    }


def version_group_notes(detected: DetectedTagFormats, tags: Mapping[str, str]) -> Iterator[str]:
    """Yield at most one note: some packages with different tags were always released together.

    It has the settings that put them into version groups, so that they are bumped together. `tags` maps tags to
    commits.
    """
    groups = [
        packages
        for packages in _packages_released_together(detected, tags)
        if detected.proposals[packages[0].name] != detected.proposals[packages[1].name]
    ]
    if groups:
        names = join_names([package.name for packages in groups for package in packages], _MAX_LISTED)
        yield (
            f"{names} always had the same version, but are bumped one by one; to bump them together, add to "
            f"pyproject.toml:\n{fixes.settings_to_toml({'groups': _group_settings(groups)}, detected.config)}"
        )


def directory_globs(packages: Sequence[Package], all_packages: Sequence[Package]) -> list[str]:
    """Return patterns that select exactly `packages` from `all_packages`.

    A directory that mostly contains them gets a glob, `libs/*`, and a pattern such as `!libs/old` for each other
    package in it; otherwise the patterns are the directories of packages.
    """
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


def describe_unlisted_packages(unlisted_packages: Sequence[Package], workspace: Workspace, config: Config) -> str:
    """Return a message that packages in the repository are not among those of the project, and not released.

    It has the settings to include them and those to exclude them, except for packages outside the project's
    directory, whose paths begin with `..`: no setting can do that.
    """
    names = join_names((f"{package.name} ({package.pyproject})" for package in unlisted_packages), _MAX_LISTED)
    inside = [package for package in unlisted_packages if package.directory.split("/")[0] != ".."]
    text = f"{names}: not among the packages of this project, not released"
    if not inside:
        return text
    all_packages = (*workspace.packages, *inside)
    globs = directory_globs(inside, all_packages)
    packages = [*config.packages, *globs] if config.packages else directory_globs(all_packages, all_packages)
    # `exclude` does not support patterns that begin with `!`.
    exclude = [pattern for pattern in (*config.exclude, *globs) if not pattern.startswith("!")]
    on_one_line = Config(is_written=True)
    return (
        f"{text}\nto release them: {fixes.settings_to_toml({'packages': packages}, on_one_line)}\n"
        f"to exclude them: {fixes.settings_to_toml({'exclude': exclude}, on_one_line)}"
    )


def outdated_requirement_warnings(
    unlisted_packages: Iterable[Package], bumps: Iterable[VersionBump]
) -> Iterator[str]:
    """Yield a warning for each requirement that does not allow a new version and that a bump does not change.

    These are requirements of `unlisted_packages`: packages in the repository that are not among those of the
    project. The new versions are those of `bumps`.
    """
    after = {bump.package.name: bump.after for bump in bumps}
    for package in unlisted_packages:
        for dependency in package.dependencies:
            version = after.get(dependency.name) if dependency.key else None
            if version is not None and not requirements.is_satisfied_by(dependency, version):
                yield (
                    f"{package.pyproject}: {dependency.text!r} does not allow {dependency.name} {version} and is "
                    f"not changed ({package.name} is not among the packages of this project)"
                )
