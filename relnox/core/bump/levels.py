"""The bump levels that the commits since the last release ask for.

Commit messages are parsed as Conventional Commits 1.0.0. If a version was raised by hand after the last tag, that
version is released unchanged.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

from packaging.version import Version

from relnox.core.bump.release_history import ReleaseHistory
from relnox.core.bump.version_bumps import BumpRequest
from relnox.core.packages import Package
from relnox.core.settings.config import Config
from relnox.core.settings.config_tables import CommitsConfig
from relnox.core.text import format_count
from relnox.core.versions import versioning
from relnox.core.versions.requested_bump import Bump, Level, Phase
from relnox.core.workspace import Workspace
from relnox.errors import Blocked

_COMMIT_HEADER = re.compile(r"(?P<type>[A-Za-z][\w-]*)(?:\([^()\r\n]*\))?(?P<breaking>!)?:[ \t]+\S")
_BREAKING_FOOTER = re.compile(r"^BREAKING[ -]CHANGE:[ \t]", re.MULTILINE)
_LEVEL_ORDER: tuple[Level | None, ...] = (None, "patch", "minor", "major")


def level_of_commit(message: str, config: CommitsConfig) -> Level | None:
    """Return the level that a commit message asks for, or None if it asks for no release.

    Source: Conventional Commits 1.0.0, https://www.conventionalcommits.org/en/v1.0.0/
    """
    header = _COMMIT_HEADER.match(message)
    if header is None:
        return None
    if header["breaking"] or _BREAKING_FOOTER.search(message):
        return "major"
    kind = header["type"].lower()
    if kind in map(str.lower, config.minor):
        return "minor"
    return "patch" if kind in map(str.lower, config.patch) else None


def requests_from_changes(
    workspace: Workspace,
    history: Mapping[str, ReleaseHistory],
    config: Config,
    phase: Phase | None = None,
    selected_names: Collection[str] = (),
) -> dict[str, BumpRequest]:
    """Return the bump that `--part auto` requests for each package with something to release.

    Args:
        workspace: The packages.
        history: The release history of each package, from `collect_histories`.
        config: The settings of the project.
        phase: The phase of the new version if a prerelease is requested, else None.
        selected_names: Packages named on the command line, which may be released for the first time.

    Raises:
        Blocked: A prerelease is requested, but it would be lower than the version in the files.
    """
    requests = {}
    untagged_packages = [name for name, package_history in history.items() if package_history.tag is None]
    for package in workspace.packages:
        package_history = history.get(package.name, ReleaseHistory(None, None, ()))
        if package.is_private or package.source.kind == "dynamic":
            continue
        # Among tagged packages, one without tags may have tags of another form, so it counts as new only if named.
        is_new = package.name in selected_names or len(untagged_packages) == len(history)
        bump_request = _request_for_manual_version(
            package, package_history, phase, is_new=is_new
        ) or _request_from_changes(package, package_history, config, phase)
        if bump_request is not None:
            requests[package.name] = bump_request
    return requests


def _request_for_manual_version(
    package: Package, history: ReleaseHistory, phase: Phase | None, *, is_new: bool
) -> BumpRequest | None:
    """Return the request to release a version that was set by hand since the last release, or None if none was.

    Args:
        package: The package.
        history: Its release history.
        phase: The phase of the new version if a prerelease is requested, else None.
        is_new: Whether a package without tags is released for the first time.

    Raises:
        Blocked: A prerelease is requested, but it would be lower than the version in the files.
    """
    version = package.version
    # A local segment marks development, as in 1.2.0+dev after 1.2.0; it is never released.
    if version is None or (history.version is not None and Version(version.public) <= history.version):
        return None
    if history.tag is None and not is_new:
        return None
    reason = "no tag yet" if history.tag is None else f"raised by hand since {history.tag}"
    if version.dev is not None:
        if history.tag is not None:
            return None
        if phase is not None:
            return BumpRequest(Bump(pre=phase), reason)
        return BumpRequest(Bump(part="pre" if version.pre is not None else "release"), reason)
    if phase is not None and versioning.phase_of(version) != phase:
        raise Blocked(
            "version-not-higher",
            f"a prerelease of {package.name} would be lower than the current version {version} ({reason})",
            fix=f"release {version} without --pre, or set the version: --to {version.base_version}"
            f"{phase[0] if phase != 'rc' else 'rc'}0 --allow-lower",
        )
    without_local = Bump(to=version.public, allow_lower=True) if version.local is not None else None
    return BumpRequest(without_local, reason)


def requests_for_bumped_packages(
    workspace: Workspace,
    history: Mapping[str, ReleaseHistory],
    config: Config,
) -> dict[str, BumpRequest]:
    """Return the levels that the changes of packages ask for, in case they are bumped because of others.

    A package whose version was raised by hand since its last release has none.

    Args:
        workspace: The packages.
        history: The release history of each package.
        config: The settings of the project.
    """
    requests = {}
    nothing = ReleaseHistory(None, None, ())
    for package in workspace.packages:
        package_history = history.get(package.name, nothing)
        if package.is_private or package.source.kind == "dynamic":
            continue
        if package_history.tag is None or _request_for_manual_version(
            package, package_history, None, is_new=False
        ):
            continue
        current = package.version if package.version is not None else package_history.version
        level, reason = _level_of_changes(package_history, config)
        if level is not None and current is not None:
            requests[package.name] = BumpRequest(_bump_of_level(current, level, None, config), reason)
    return requests


def _request_from_changes(
    package: Package,
    history: ReleaseHistory,
    config: Config,
    phase: Phase | None,
) -> BumpRequest | None:
    """Return the request for the highest level among the commits since the last release.

    Return None if they ask for no release, or if the package has no tag or no version yet.
    """
    level, reason = _level_of_changes(history, config)
    current = package.version if package.version is not None else history.version
    if level is None or current is None or history.tag is None:
        return None
    return BumpRequest(_bump_of_level(current, level, phase, config), reason)


def _level_of_changes(history: ReleaseHistory, config: Config) -> tuple[Level | None, str]:
    """Return the highest level among the commits of a package, and the reason for it."""
    levels = [level_of_commit(commit.message, config.commits) for commit in history.commits]
    level = max(levels, key=_LEVEL_ORDER.index, default=None)
    subject = history.commits[levels.index(level)].subject if level is not None else ""
    more = f" (and {format_count(len(levels) - 1, 'more commit')})" if len(levels) > 1 else ""
    return level, f"{level}: {subject}{more}"


def _bump_of_level(current: Version, level: Level, phase: Phase | None, config: Config) -> Bump:
    """Return the bump for a level that changes ask for, which is shifted below 1.0."""
    part = versioning.shift_level(current, level, shift=config.commits.major_version_zero)
    return Bump(part=part, pre=phase)
