"""What must hold before versions move, each guard with its remedy; a plan tells all that do not hold at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relnox.core.plan import Problem
from relnox.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from packaging.version import Version

    from relnox.core.packages import Package
    from relnox.core.steps import Tag
    from relnox.core.version_bumps import VersionBump

__all__ = [
    "check_above_tags",
    "check_behind",
    "check_branch",
    "check_clean",
    "check_imports",
    "check_tag_prefixes",
    "check_tags_free",
    "check_tags_known",
]

_ENOUGH = 5
"""How many names of files somebody reads."""


def check_clean(dirty: Iterable[str], edited: Iterable[str], packages: Iterable[Package]) -> Iterator[Problem]:
    """Nothing uncommitted in the files that a plan edits, nor in the folders of the packages that move.

    Args:
        dirty: Tracked files that differ from the present commit.
        edited: Files of the plan.
        packages: Packages that move.
    """
    files = set(edited)
    folders = [package.folder for package in packages]
    concerned = [
        name
        for name in dirty
        if name in files or any(folder == "." or name.startswith(f"{folder}/") for folder in folders)
    ]
    if concerned:
        listed = ", ".join(concerned[:_ENOUGH]) + (" …" if len(concerned) > _ENOUGH else "")
        yield Problem(
            code="todo", message=f"the tree has uncommitted changes: {listed}", fix="git stash, or commit them"
        )


def check_imports(imports: Iterable[tuple[str, str]]) -> Iterator[Problem]:
    """No committed module imports one that is not committed.

    Args:
        imports: Committed modules, each with one that it imports and that git does not know.
    """
    for importing, imported in imports:
        yield Problem(
            code="todo",
            message=f"{importing} imports {imported}, which is not committed (untracked)",
            fix=f"git add {imported}, and commit it",
        )


def check_branch(present: str | None, wanted: str | None) -> Iterator[Problem]:
    """A commit is on the branch that releases are made from."""
    if present is not None and wanted is not None and present != wanted:
        yield Problem(
            code="todo",
            message=f"releases are made from {wanted}, and this is {present}",
            fix=f"git switch {wanted}",
        )


def check_behind(missing: int, upstream: str) -> Iterator[Problem]:
    """The branch has all that its remote branch had when it was last asked.

    Args:
        missing: How many commits the remote branch is ahead.
        upstream: Its name.
    """
    if missing:
        commits = "a commit that is" if missing == 1 else f"{missing} commits that are"
        yield Problem(code="todo", message=f"{upstream} has {commits} not here", fix="git pull --rebase")


def check_tags_free(
    tags: Iterable[Tag], local: Mapping[str, str], remote: Mapping[str, str], head: str | None, remote_name: str
) -> Iterator[Problem]:
    """No planned tag is taken, here or on the remote.

    Args:
        tags: The planned tags.
        local: Tags that are here, with the commit each leads to.
        remote: Those of the remote.
        head: The commit they may lead to all the same, where the plan makes no new one.
        remote_name: What the remote is called.
    """
    for tag in tags:
        places = (("here", local), (f"on {remote_name}", remote))
        where = [place for place, names in places if tag.name in names and names[tag.name] != head]
        if where:
            yield Problem(
                code="todo",
                message=f"the tag {tag.name} is there already, {' and '.join(where)}",
                fix=f"choose a higher version; to see the tag: git show {tag.name}",
                exit_code=ExitCode.CONFLICT,
            )


def check_tags_known(local: Mapping[str, str], unreachable: str | None, remote_name: str) -> Iterator[Problem]:
    """A clone without tags, as many CI jobs check out, is held against the tags of its remote.

    Args:
        local: Tags that are here.
        unreachable: Why the remote did not answer.
        remote_name: What the remote is called.
    """
    if not local and unreachable is not None:
        yield Problem(
            code="todo",
            message=f"this clone has no tags, and those of {remote_name} are not known: {unreachable}",
            fix=f"git fetch --tags {remote_name}",
        )


def check_above_tags(
    moves: Iterable[VersionBump], names: Mapping[str, str], tagged: Mapping[str, tuple[str, Version]]
) -> Iterator[Problem]:
    """Every new version is greater than that of the package's last reachable tag.

    Args:
        moves: What moves.
        names: The tag planned for each package; one that is taken is told by `tags_free`.
        tagged: The last reachable tag of packages, with its version.
    """
    told = set()
    for move in moves:
        tag, version = tagged.get(move.package.name, ("", None))
        if tag == names.get(move.package.name):
            continue
        if version is not None and move.after <= version and (tag, move.after) not in told:
            told.add((tag, move.after))
            yield Problem(
                code="todo",
                message=f"{move.package.name} {move.after} would not be greater than what {tag} released",
                fix="choose a higher version: --to VERSION",
            )


def check_tag_prefixes(moves: Iterable[VersionBump], names: Mapping[str, str]) -> Iterator[Problem]:
    """A version that comes from tags comes from those that its backend looks at.

    Args:
        moves: What moves.
        names: The tag planned for each package.
    """
    for move in moves:
        source, name = move.package.source, names.get(move.package.name)
        if source.kind == "tags" and source.key and name is not None and not name.startswith(str(source.key[0])):
            yield Problem(
                code="todo",
                message=f"{source.text} reads the version of {move.package.name} from tags that begin with "
                f"{source.key[0]}, and {name} does not",
                fix=f'set [tool.relnox] tag-format = "{source.key[0]}{{version}}", or leave it out',
            )
