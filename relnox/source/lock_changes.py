"""Compares the versions of uv.lock files in the history, to tell which packages a commit concerns."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from relnox.core.bump.lock_entries import LOCK_FILE, LockReader, needed_entries
from relnox.core.settings import patterns

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from relnox.core.bump.release_history import Commit
    from relnox.source.git import Git

_BATCH = 16
"""The number of lock files that are read at a time; large ones have several megabytes."""


class _Change(NamedTuple):
    """A change of a file by a commit, with the object ids of its contents; zeros if there is none."""

    commit: str
    file: str
    before: str
    after: str


def lock_changes(
    git: Git, commits: Iterable[Commit], rules: Mapping[str, Sequence[str]]
) -> dict[tuple[str, str], frozenset[str]]:
    """Map commits and the uv.lock files that they change to the packages that the change concerns.

    A change concerns a package if the entries that it needs differ before and after it, or if they are not known:
    the lock is new or removed, has no entry for the package, or has an unexpected format.

    If no rule includes a lock file, git is not run. Otherwise it is run once for all commits, and once for some
    versions of the lock each; equal entries of different versions are parsed once.

    Args:
        git: The checkout.
        commits: The commits to look at.
        rules: The file patterns of each package, from `release_history.path_patterns_by_package`.
    """
    packages: dict[str, list[str]] = {}
    changed_entries: dict[str, None] = {}
    for commit in commits:
        for file in commit.files:
            if file.rpartition("/")[2] != LOCK_FILE:
                continue
            if file not in packages:
                packages[file] = [name for name in rules if patterns.is_file_included(rules[name], file)]
            if packages[file]:
                changed_entries[commit.id] = None
    if not changed_entries:
        return {}
    files = [file for file, names in packages.items() if names]
    changes = list(_changes(git, changed_entries, files))
    by_blob: dict[str, set[str]] = {}
    for change in changes:
        for blob in (change.before, change.after):
            if blob.strip("0"):
                by_blob.setdefault(blob, set()).update(packages[change.file])
    needed_entries = dict(_number_needed_entries(git, by_blob))
    return {
        (change.commit, change.file): frozenset(
            name
            for name in packages[change.file]
            if (before := needed_entries.get((change.before, name))) is None
            or before != needed_entries.get((change.after, name))
        )
        for change in changes
    }


def _changes(git: Git, commits: Iterable[str], files: Sequence[str]) -> Iterator[_Change]:
    """Yield how each commit changes these files; merges change none, as in the release history."""
    paths = (f":(top,literal){git.prefix}{file}" for file in files)
    differences = git.run(
        *(
            "diff-tree",
            "--stdin",
            "-r",
            "--root",
            "--raw",
            "--no-abbrev",
            "--no-renames",
            "--relative",
            "-z",
            "--",
        ),
        *paths,
        stdin="".join(f"{commit}\n" for commit in commits),
        stderr=False,
    )
    commit = ""
    fields = iter(differences.check("git diff-tree").output.split("\0"))
    for field in fields:
        if field.startswith(":"):
            _, _, before, after, _ = field.split(" ")
            yield _Change(commit, next(fields), before, after)
        else:
            commit = field


def _number_needed_entries(
    git: Git, packages: Mapping[str, Iterable[str]]
) -> Iterator[tuple[tuple[str, str], int]]:
    """Yield a number for each lock file and package: equal numbers stand for equal entries that it needs.

    Args:
        git: The checkout.
        packages: Maps the object ids of lock files to names of packages. Those without an entry are left out.
    """
    reader = LockReader()
    numbers: dict[object, int] = {}
    blobs = list(packages)
    for start in range(0, len(blobs), _BATCH):
        for blob, text in git.blobs(blobs[start : start + _BATCH]):
            try:
                lock = reader.read(text)
            except ValueError:
                continue
            for name in packages[blob]:
                entries = needed_entries(lock, name)
                if entries is not None:
                    yield (blob, name), numbers.setdefault(entries, len(numbers))
