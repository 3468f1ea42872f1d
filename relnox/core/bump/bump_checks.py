"""Preflight checks of a bump; each yields its problems, and a plan lists the problems of all checks at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relnox.core.planning.plan import Problem
from relnox.core.settings.release_lines import contain, describe
from relnox.core.text import listing
from relnox.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from packaging.version import Version

    from relnox.core.bump.changes import Tag
    from relnox.core.bump.version_bumps import VersionBump
    from relnox.core.packages import Package
    from relnox.core.settings.release_lines import ReleaseLine

_MAX_LISTED = 5
"""Files named in a message."""


def check_clean(dirty: Iterable[str], edited: Iterable[str], packages: Iterable[Package]) -> Iterator[Problem]:
    """Check for uncommitted changes in the files to edit and in the folders of the bumped packages."""
    files = set(edited)
    folders = [package.folder for package in packages]
    affected = [
        name
        for name in dirty
        if name in files or any(folder == "." or name.startswith(f"{folder}/") for folder in folders)
    ]
    if affected:
        names = ", ".join(affected[:_MAX_LISTED]) + (" …" if len(affected) > _MAX_LISTED else "")
        yield Problem(
            code="tree-dirty",
            message=f"uncommitted changes: {names}",
            fix="git stash, or commit them",
        )


def check_imports(imports: Iterable[tuple[str, str]]) -> Iterator[Problem]:
    """Check that no committed module imports an untracked one; `imports` are pairs of such modules."""
    for importing, imported in imports:
        yield Problem(
            code="import-untracked",
            message=f"{importing} imports {imported}, which is untracked",
            fix=f"git add {imported}, and commit it",
        )


def check_branch(
    present: str | None, lines: Sequence[ReleaseLine], configured: Sequence[ReleaseLine]
) -> Iterator[Problem]:
    """Check that releases are made from the present branch; a detached head (None) is no problem here."""
    if present is not None and configured and not lines:
        names = [line.branch for line in configured]
        single = [line.branch for line in configured if not line.is_glob]
        yield Problem(
            code="branch-not-allowed",
            message=f"on branch {present}, but releases are made from {listing(names)} ([tool.relnox] branch)",
            fix=f"git switch {single[0] if single else 'BRANCH'}",
        )


def check_bounds(
    bumps: Iterable[VersionBump], lines: Sequence[ReleaseLine], configured: Sequence[ReleaseLine]
) -> Iterator[Problem]:
    """Check that every new version is within the bounds of `lines`, the release lines of the present commit."""
    for bump in bumps:
        if contain(lines, bump.after):
            continue
        others = [line.branch for line in configured if line.contains(bump.after) and not line.is_glob]
        switch = f"; or release from its branch: git switch {others[0]}" if others else ""
        yield Problem(
            code="version-outside-bounds",
            message=f"{bump.package.name} {bump.after} is outside the bounds of {describe(lines)} "
            "([tool.relnox] branch)",
            fix=f"choose another version: --to VERSION{switch}",
        )


def check_on_branch(present: str | None) -> Iterator[Problem]:
    """Check that a commit would be on a branch."""
    if present is None:
        yield Problem(
            code="head-detached",
            message="HEAD is detached (the commit would be on no branch)",
            fix="git switch BRANCH",
        )


def check_branch_up_to_date(branch: str | None, remote: str, *, is_ancestor: bool | None) -> Iterator[Problem]:
    """Check that the branch contains the remote's branch (`is_ancestor`); None if that is not known."""
    if is_ancestor is False:
        yield Problem(
            code="branch-behind",
            message=f"{remote} has commits on {branch} that are missing here",
            fix=f"git pull --rebase {remote} {branch}",
        )


def check_behind(missing: int, upstream: str) -> Iterator[Problem]:
    """Check that no commits of `upstream`, the remote-tracking branch, are missing in the branch."""
    if missing:
        commits = "a commit that is" if missing == 1 else f"{missing} commits that are"
        yield Problem(
            code="branch-behind", message=f"{upstream} has {commits} missing here", fix="git pull --rebase"
        )


def check_tags_free(
    tags: Iterable[Tag], local: Mapping[str, str], remote: Mapping[str, str], head: str | None, remote_name: str
) -> Iterator[Problem]:
    """Check that no planned tag exists, here or on the remote, except on `head` if the plan creates no commit."""
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


def check_tags_known(local: Mapping[str, str], remote_error: str | None, remote_name: str) -> Iterator[Problem]:
    """Check that the remote's tags are known in a clone without tags, as many CI jobs have."""
    if not local and remote_error is not None:
        yield Problem(
            code="tags-unknown",
            message=f"this clone has no tags, and those of {remote_name} could not be read: {remote_error}",
            fix=f"git fetch --tags {remote_name}",
        )


def check_above_tags(
    bumps: Iterable[VersionBump], names: Mapping[str, str], tagged: Mapping[str, tuple[str, Version]]
) -> Iterator[Problem]:
    """Check that every new version is greater than that of the package's last reachable tag, which is in `tagged`.

    A planned tag (in `names`) that exists is reported by `check_tags_free`.
    """
    reported = set()
    for bump in bumps:
        tag, version = tagged.get(bump.package.name, ("", None))
        if tag == names.get(bump.package.name):
            continue
        if version is not None and bump.after <= version and (tag, bump.after) not in reported:
            reported.add((tag, bump.after))
            yield Problem(
                code="version-not-higher",
                message=f"{bump.package.name} {bump.after} is not higher than the last release ({tag})",
                fix="choose a higher version: --to VERSION; to release a lower one, add --allow-lower",
            )


def check_tag_prefixes(bumps: Iterable[VersionBump], names: Mapping[str, str]) -> Iterator[Problem]:
    """Check that backends that derive versions from tags read the planned tags (`names`, by package)."""
    for bump in bumps:
        source, name = bump.package.source, names.get(bump.package.name)
        if source.kind == "tags" and source.key and name is not None and not name.startswith(str(source.key[0])):
            yield Problem(
                code="tag-not-read-by-backend",
                message=f"{source.text} of {bump.package.name} does not read tag {name} (only tags that begin "
                f"with {source.key[0]})",
                fix=f'set [tool.relnox] tag-format = "{source.key[0]}{{version}}", or leave it out',
            )
