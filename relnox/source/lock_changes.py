"""Compare the versions of uv.lock files in the history, to find the packages that each commit affects."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from relnox.core.bump.lock_entries import LOCK_FILE, LockReader, needed_entries
from relnox.core.settings import patterns
from relnox.errors import Failed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from relnox.core.bump.release_history import Commit
    from relnox.source.git import Git

_BATCH = 16
"""The number of lock files that are read at a time; large ones have several megabytes."""


class _Change(NamedTuple):
    """A change of a file by a commit, with the object ids of its contents; zeros where the file does not exist."""

    commit: str
    file: str
    before: str
    after: str


def packages_affected_by_locks(
    git: Git, commits: Iterable[Commit], rules: Mapping[str, Sequence[str]]
) -> dict[tuple[str, str], frozenset[str]]:
    """Map each pair of a commit and a uv.lock file that it changes to the packages that the change affects.

    A change affects a package if the entries of its direct and indirect dependencies differ before and after the
    change, or are not known: the lock file is new or removed, has no entry for the package, or has an unexpected
    format.

    If no pattern includes a lock file, git is not run. Otherwise it is run once for all commits, and once for each
    batch of versions of the lock file.

    Args:
        git: The checkout.
        commits: The commits.
        rules: The file patterns of each package, from `release_history.path_patterns_by_package`.
    """
    packages: dict[str, list[str]] = {}
    locking_commits: dict[str, None] = {}
    for commit in commits:
        for file in commit.files:
            if file.rpartition("/")[2] != LOCK_FILE:
                continue
            if file not in packages:
                packages[file] = [name for name in rules if patterns.is_file_included(rules[name], file)]
            if packages[file]:
                locking_commits[commit.id] = None
    if not locking_commits:
        return {}
    files = [file for file, names in packages.items() if names]
    changes = list(_changes(git, locking_commits, files))
    by_blob: dict[str, set[str]] = {}
    for change in changes:
        for blob in (change.before, change.after):
            if blob.strip("0"):
                by_blob.setdefault(blob, set()).update(packages[change.file])
    entries = dict(_number_needed_entries(git, by_blob))
    return {
        (change.commit, change.file): frozenset(
            name
            for name in packages[change.file]
            if (before := entries.get((change.before, name))) is None
            or before != entries.get((change.after, name))
        )
        for change in changes
    }


def _changes(git: Git, commits: Iterable[str], files: Sequence[str]) -> Iterator[_Change]:
    """Yield how each commit changes these files; merges change none, as in the release history."""
    options = ("-r", "--root", "--raw", "--no-abbrev", "--no-renames", "--relative", "-z")
    paths = (f":(top,literal){git.prefix}{file}" for file in files)
    ids = "".join(f"{commit}\n" for commit in commits)
    differences = git.run("diff-tree", "--stdin", *options, "--", *paths, stdin=ids, stderr=False)
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
    """Yield a number for each lock file and package; numbers are equal if the entries that it needs are equal.

    Args:
        git: The checkout.
        packages: Maps the object ids of lock files to names of packages; those without an entry are left out.
    """
    reader = LockReader()
    numbers: dict[object, int] = {}
    blobs = list(packages)
    for start in range(0, len(blobs), _BATCH):
        for blob, text in _read_blobs(git, blobs[start : start + _BATCH]):
            try:
                lock = reader.read(text)
            except ValueError:
                continue
            for name in packages[blob]:
                entries = needed_entries(lock, name)
                if entries is not None:
                    yield (blob, name), numbers.setdefault(entries, len(numbers))


def _read_blobs(git: Git, ids: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield the id and text of each of these blobs, in the same order.

    Raises:
        Failed: This clone lacks one of the blobs.
    """
    contents = git.run("cat-file", "--batch", stdin="".join(f"{blob}\n" for blob in ids), stderr=False)
    text = contents.check("git cat-file").output
    # Sizes in headers count bytes before decoding. A blob cannot contain its own id: the id finds its header.
    for blob, following in zip(ids, [*ids[1:], None], strict=True):
        _, header, text = text.partition(f"{blob} blob ")
        if not header:
            message = f"this clone lacks the object {blob}"
            raise Failed("branch-changed", message, fix="check the repository: git fsck")
        _, _, text = text.partition("\n")
        end = len(text) - 1 if following is None else text.find(f"\n{following} ")
        yield blob, text[:end]
        text = text[end:]
