"""Settings that relnox proposes: formats of tags, and packages to include or exclude."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from packaging.version import Version

from relnox.core import fixes, requirements
from relnox.core.bump.version_bumps import VersionBump
from relnox.core.packages import Dependency, Package
from relnox.core.settings import patterns
from relnox.core.settings.config import Config
from relnox.core.tags import TagForms, packages_that_read_any_tag, split_tag, tag_format_of
from relnox.core.text import join_names
from relnox.core.workspace import Workspace
from relnox.errors import Blocked, Problem

_RELEASE_PREFIX = re.compile(r"(?:release|rel|version|ver|python|py)[\W_]*v?", re.IGNORECASE)
_MAX_LISTED = 5
_VERSION = "{version}"


def unclear_format_problems(
    packages: Iterable[Package], workspace: Workspace, config: Config, forms: TagForms, tags: Iterable[str]
) -> Iterator[Problem]:
    """Yield a problem for each reason why the tag formats of some of these packages are unclear."""
    by_reason: dict[str, list[str]] = {}
    for package in packages:
        if package.name in forms.unclear:
            by_reason.setdefault(forms.unclear[package.name], []).append(package.name)
    for reason, names in by_reason.items():
        settings = as_toml(propose_settings(workspace, config, forms, tags))
        yield Blocked(
            "tag-format-unknown",
            f"the form of the tags of {join_names(names, _MAX_LISTED)} is not clear ({reason})",
            fix=f"{fixes.task_command('init', '--update')}, which adds this to pyproject.toml:\n{settings}",
        )


def propose_settings(workspace: Workspace, config: Config, forms: TagForms, tags: Iterable[str]) -> dict[str, Any]:
    """Return settings that state the tag formats, if some are unclear: those of the tags of current versions.

    Formats that are clear stay as they are.
    """
    if not forms.unclear:
        return {}
    packages = workspace.packages
    split_tags = [parts for tag in tags if (parts := split_tag(tag)) is not None and "{" not in tag]
    prefixes = {
        package.name: _tagged_prefix(package, split_tags) if package.name in forms.unclear else None
        for package in packages
    }
    if config.versions == "lockstep" or len(packages) == 1:
        tagged = [prefix for prefix in prefixes.values() if prefix is not None]
        of_releases = {prefix for prefix, _ in split_tags if _RELEASE_PREFIX.fullmatch(prefix)}
        only_prefix = tagged[:1] or (list(of_releases) if len(of_releases) == 1 else [])
        guess = forms.formats[packages[0].name]
        has_plain_tags = guess.prefix in ("", "v") and guess.latest_tag(tags) is not None
        is_of_others = (
            has_plain_tags and packages[0].source.kind != "tags"
        )  # which all tags of the project are for
        text = "{name}-v{version}" if is_of_others else forms.common
        return {"tag-format": f"{only_prefix[0]}{_VERSION}" if only_prefix else text}
    if config.versions is None and not config.groups and _share_one_tag(packages, prefixes):
        return {"versions": "lockstep", "tag-format": f"{prefixes[packages[0].name]}{_VERSION}"}
    settings: dict[str, Any] = {} if config.tag_format else {"tag-format": forms.common}
    by_prefix: dict[str, list[Package]] = {}
    for package in packages:
        prefix = prefixes[package.name]
        prefix = forms.formats[package.name].prefix if prefix is None else prefix
        if prefix != tag_format_of(package, forms.common, config).prefix:
            by_prefix.setdefault(prefix, []).append(package)
    for prefix, members in by_prefix.items():
        versions = {package.version for package in members}
        if len(members) > 1 and len(packages_that_read_any_tag(members)) < len(members):
            if len(versions) == 1 and not config.groups:
                names = [package.name for package in members]
                settings.setdefault("groups", {})[f"main{len(settings.get('groups', {})) or ''}"] = {
                    "packages": names
                }
            else:  # the tag is that of another package with this version
                members[:] = [max(members, key=lambda package: package.version or Version("0"))]
        settings.setdefault("tag-formats", {}).update({package.name: prefix + _VERSION for package in members})
    return settings


def _tagged_prefix(package: Package, split_tags: Iterable[tuple[str, Version]]) -> str | None:
    """Return the prefix of the tag of a package's version, preferably one with its name, or None."""
    prefixes = {prefix for prefix, version in split_tags if version == package.version}
    return min(prefixes, key=lambda prefix: (package.name not in prefix, len(prefix), prefix), default=None)


def _share_one_tag(packages: Sequence[Package], prefixes: Mapping[str, str | None]) -> bool:
    """Return whether all packages have one version, and one tag of it."""
    return len({(package.version, prefixes[package.name]) for package in packages}) == 1 and None not in (
        prefixes[packages[0].name],
        packages[0].version,
    )


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
    import tomlkit  # slow to import, and few commands propose settings

    return tomlkit.dumps({"tool": {"relnox": settings}} if header else settings).rstrip()


def describe_unlisted_packages(unlisted_packages: Sequence[Package], workspace: Workspace, config: Config) -> str:
    """Return a message that names these packages, and the settings that would include or exclude them."""
    names = [f"{package.name} ({package.pyproject})" for package in unlisted_packages[:_MAX_LISTED]]
    more = f" and {len(unlisted_packages) - _MAX_LISTED} more" if len(unlisted_packages) > _MAX_LISTED else ""
    inside = [package for package in unlisted_packages if package.directory.split("/")[0] != ".."]
    text = f"{', '.join(names)}{more}: not among the packages of this project, not released"
    if not inside:
        return text
    all_packages = (*workspace.packages, *inside)
    globs = directory_globs(inside, all_packages)
    packages = [*config.packages, *globs] if config.packages else directory_globs(all_packages, all_packages)
    # `exclude` does not support patterns that begin with `!`.
    exclude = [pattern for pattern in (*config.exclude, *globs) if not pattern.startswith("!")]
    return (
        f"{text}\nto release them: {as_toml({'packages': packages}, header=False)}\n"
        f"to exclude them: {as_toml({'exclude': exclude}, header=False)}"
    )


def outdated_pin_warnings(unlisted_packages: Iterable[Package], bumps: Iterable[VersionBump]) -> Iterator[str]:
    """Yield a message for each requirement of a package outside the project that does not allow a new version."""
    after = {bump.package.name: bump.after for bump in bumps}
    for package in unlisted_packages:
        for dependency in package.dependencies:
            if dependency.name in after and not _requirement_allows(dependency, after[dependency.name]):
                yield (
                    f"{package.pyproject}: {dependency.text!r} does not allow {dependency.name} "
                    f"{after[dependency.name]} and is not changed ({package.name} is not among the packages of "
                    "this project)"
                )


def _requirement_allows(dependency: Dependency, version: Version) -> bool:
    """Return whether a requirement is valid and allows a version."""
    try:
        return not dependency.key or requirements.allows(dependency.text, version, dependency.syntax)
    except Blocked:
        return False
