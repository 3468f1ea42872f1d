"""Preflight checks of a bump.

Each check yields its problems instead of raising an error, so that a plan can list the problems of all checks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from relnox.core.problems import Problem
from relnox.core.settings.release_lines import allows_version, describe_lines
from relnox.core.text import format_count, join_names
from relnox.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from packaging.version import Version

    from relnox.core.bump.version_bumps import VersionBump
    from relnox.core.packages import Package
    from relnox.core.planning.changes import NewTag
    from relnox.core.settings.release_lines import ReleaseLine

_MAX_LISTED = 5
"""The maximum number of files named in a message."""


def check_no_uncommitted_changes(
    dirty: Iterable[str], edited_files: Iterable[str], packages: Iterable[Package]
) -> Iterator[Problem]:
    """Yield a problem if a file to edit or the directory of a bumped package has uncommitted changes.

    Args:
        dirty: The files with uncommitted changes.
        edited_files: The files that the bump edits.
        packages: The bumped packages.
    """
    files = set(edited_files)
    directories = [package.directory for package in packages]
    affected_files = [
        name
        for name in dirty
        if name in files or any(directory == "." or name.startswith(f"{directory}/") for directory in directories)
    ]
    if affected_files:
        names = ", ".join(affected_files[:_MAX_LISTED]) + (" …" if len(affected_files) > _MAX_LISTED else "")
        yield Problem(
            code="tree-dirty",
            message=f"uncommitted changes: {names}",
            fix="git stash, or commit them",
        )


def check_branch_allows_releases(
    branch: str | None, lines: Sequence[ReleaseLine], configured_lines: Sequence[ReleaseLine]
) -> Iterator[Problem]:
    """Yield a problem if the settings do not allow releases from the current branch.

    Args:
        branch: The current branch, or None if HEAD is detached; then no problem is reported here.
        lines: The release lines of the current branch.
        configured_lines: All configured release lines.
    """
    if branch is not None and configured_lines and not lines:
        names = [line.branch for line in configured_lines]
        single = [line.branch for line in configured_lines if not line.is_glob]
        yield Problem(
            code="branch-not-allowed",
            message=f"branch {branch} is not a release branch ([tool.relnox] branch: {join_names(names)})",
            fix=f"git switch {single[0] if single else 'BRANCH'}",
        )


def check_upstream_is_pushed_to(
    branch: str | None, remote: str, upstream: str | None, upstream_remote: str | None
) -> Iterator[Problem]:
    """Yield a problem if a branch would not be pushed to the branch that it tracks (`upstream`).

    Args:
        branch: The current branch, or None if HEAD is detached.
        remote: The name of the remote to push to.
        upstream: The remote-tracking branch, such as `origin/main`; None if there is none.
        upstream_remote: The remote of the upstream; `.` for a branch of this repository.
    """
    if branch is None or upstream is None or upstream_remote in (None, ".") or upstream == f"{remote}/{branch}":
        return
    name = upstream.removeprefix(f"{upstream_remote}/")
    fix = f"git branch --unset-upstream, or release on {name}: git switch {name}"
    if upstream_remote != remote:
        fix = f'[tool.relnox] remote = "{upstream_remote}"; or git branch --set-upstream-to {remote}/{branch}'
    yield Problem(
        code="branch-not-allowed",
        message=f"branch {branch} would be pushed to {remote}/{branch}, but it tracks {upstream}",
        fix=fix,
    )


def check_versions_within_bounds(
    bumps: Iterable[VersionBump], lines: Sequence[ReleaseLine], configured_lines: Sequence[ReleaseLine]
) -> Iterator[Problem]:
    """Yield a problem for each new version outside the bounds of the release lines of the current commit.

    Args:
        bumps: The bumps.
        lines: The release lines of the current commit.
        configured_lines: All configured release lines; the fix names a branch whose line allows the version.
    """
    for bump in bumps:
        if allows_version(lines, bump.after):
            continue
        others = [line.branch for line in configured_lines if line.contains(bump.after) and not line.is_glob]
        switch = f"; or release from its branch: git switch {others[0]}" if others else ""
        yield Problem(
            code="version-outside-bounds",
            message=f"{bump.package.name} {bump.after} is outside the bounds of {describe_lines(lines)} "
            "([tool.relnox] branch)",
            fix=f"choose another version: --to VERSION{switch}",
        )


def check_head_not_detached(branch: str | None) -> Iterator[Problem]:
    """Yield a problem if HEAD is detached (`branch` is None), since the commit would be on no branch."""
    if branch is None:
        yield Problem(
            code="head-detached",
            message="HEAD is detached (the commit would be on no branch)",
            fix="git switch BRANCH",
        )


def check_branch_unchanged(began_on: str | None, branch: str | None, head: str | None) -> Iterator[Problem]:
    """Yield a problem if a recorded bump cannot be continued here because another branch is checked out.

    Args:
        began_on: The branch that the bump began on, or None if HEAD was detached.
        branch: The current branch, or None if HEAD is detached.
        head: The commit that the bump began with.
    """
    if branch != began_on:
        yield Problem(
            code="bump-interrupted",
            message=f"the bump began {f'on branch {began_on}' if began_on else 'with a detached HEAD'}, but "
            f"{f'branch {branch} is checked out' if branch else 'HEAD is detached'}",
            fix=f"git switch {began_on or f'--detach {head}'}, then rerun the command",
        )


def check_not_behind_remote(branch: str | None, remote: str, *, is_ancestor: bool | None) -> Iterator[Problem]:
    """Yield a problem if the remote's branch has commits that the local branch lacks.

    Args:
        branch: The current branch, or None if HEAD is detached.
        remote: The name of the remote.
        is_ancestor: Whether the remote's branch is an ancestor of HEAD, or None if unknown.
    """
    if is_ancestor is False:
        yield Problem(
            code="branch-behind",
            message=f"{remote} has commits on {branch} that this checkout does not have",
            fix=f"git pull --rebase {remote} {branch}",
        )


def check_not_behind_upstream(missing: int, upstream: str) -> Iterator[Problem]:
    """Yield a problem if the current branch lacks commits of its upstream branch.

    Args:
        missing: The number of missing commits.
        upstream: The remote-tracking branch.
    """
    if missing:
        yield Problem(
            code="branch-behind",
            message=f"the branch is behind {upstream} by {format_count(missing, 'commit')}",
            fix="git pull --rebase",
        )


def check_tags_do_not_exist(
    tags: Iterable[NewTag], local: Mapping[str, str], remote: Mapping[str, str], head: str | None, remote_name: str
) -> Iterator[Problem]:
    """Yield a problem for each planned tag that already exists, locally or on the remote.

    Args:
        tags: The planned tags.
        local: Maps each local tag to its commit.
        remote: Maps each tag on the remote to its commit.
        head: The commit that the planned tags may already be on, or None if the plan creates a commit for them.
        remote_name: The name of the remote.
    """
    for tag in tags:
        repositories = (("here", local), (f"on {remote_name}", remote))
        where = [name for name, commits in repositories if tag.name in commits and commits[tag.name] != head]
        if where:
            yield Problem(
                code="tag-exists",
                message=f"tag {tag.name} already exists {' and '.join(where)}",
                fix=f"choose a higher version; to see the tag: git show {tag.name}",
                exit_code=ExitCode.CONFLICT,
            )


def check_tags_can_be_read(
    local: Mapping[str, str], remote_error: str | None, remote_name: str
) -> Iterator[Problem]:
    """Yield a problem if the clone has no tags, as in many CI jobs, and the remote's tags cannot be read.

    Args:
        local: Maps each local tag to its commit.
        remote_error: Why the remote's tags could not be read, or None if they were read.
        remote_name: The name of the remote.
    """
    if not local and remote_error is not None:
        yield Problem(
            code="clone-shallow",
            message=f"this clone has no tags, and those of {remote_name} could not be read: {remote_error}",
            fix=f"git fetch --tags {remote_name}",
        )


def check_versions_above_last_tags(
    bumps: Iterable[VersionBump], names: Mapping[str, str], last_tags: Mapping[str, tuple[str, Version]]
) -> Iterator[Problem]:
    """Yield a problem for each new version that is not greater than the package's last reachable tag.

    If that tag is the planned one, nothing is reported here: `check_tags_do_not_exist` reports existing tags.

    Args:
        bumps: The bumps.
        names: Maps each package to its planned tag.
        last_tags: Maps each package to its last reachable tag and the version in that tag.
    """
    reported_tags = set()
    for bump in bumps:
        tag, version = last_tags.get(bump.package.name, ("", None))
        if tag == names.get(bump.package.name):
            continue
        if version is not None and bump.after <= version and (tag, bump.after) not in reported_tags:
            reported_tags.add((tag, bump.after))
            yield Problem(
                code="version-not-higher",
                message=f"{bump.package.name} {bump.after} is not higher than the last release ({tag})",
                fix="choose a higher version: --to VERSION; to release a lower one, add --allow-lower",
            )


def check_tags_readable_by_backends(bumps: Iterable[VersionBump], names: Mapping[str, str]) -> Iterator[Problem]:
    """Yield a problem for each planned tag that the package's build backend would not read the version from.

    Args:
        bumps: The bumps.
        names: Maps each package to its planned tag.
    """
    for bump in bumps:
        source, name = bump.package.source, names.get(bump.package.name)
        if source.kind == "tags" and source.key and name is not None and not name.startswith(str(source.key[0])):
            yield Problem(
                code="tag-format-unknown",
                message=f"{source.text} of {bump.package.name} ignores tag {name} (it reads only tags that begin "
                f"with {source.key[0]})",
                fix=f'set [tool.relnox] tag-format = "{source.key[0]}{{version}}", or remove that setting',
            )
