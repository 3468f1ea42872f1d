"""Compare files of the checkout with what commits contain, by object ids.

`git diff` and `git status` trust bits of the index that hide changes (skip-worktree, assume-unchanged); the ids of
objects do not depend on them.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from relnox.source.git.parsing import quote_path
from relnox.source.git.repository import blob_id

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from relnox.source.git.repository import Git

_MANY_FILES = 100
"""The number of files from which one listing of the whole commit is faster than a query for each of them."""


def files_match_head(git: Git, files: Iterable[str]) -> bool:
    """Return whether these files have the content that the current commit has, after git's filters."""
    names = list(files)
    return not differing_files(git, object_ids_at_head(git, names))


def object_ids_at_head(git: Git, names: Sequence[str]) -> dict[str, str | None]:
    """Map files to their object ids in the current commit, or to None if it does not have them."""
    if len(names) < _MANY_FILES:
        return git.object_ids("HEAD", names)
    entries = (entry.partition("\t") for entry in git.read_entries("ls-tree", "-r", "HEAD"))
    ids = {name: header.split(" ")[2] for header, _, name in entries}
    return {name: ids.get(name) for name in names}


def differing_files(git: Git, ids: Mapping[str, str | None]) -> list[str]:
    """Return the files that git would not store as the object with this id, or that exist although it is None."""
    candidates = [name for name, object_id in ids.items() if not _has_content_of(git, name, object_id)]
    # If git stores another content than that of the file, as with filters, git has to compute the id.
    filtered = [name for name in candidates if ids[name] is not None and _is_regular(git, name)]
    if not filtered:
        return candidates
    paths = b"".join(quote_path(f"{git.prefix}{name}") + b"\n" for name in filtered)
    listing = git.run("hash-object", "--stdin-paths", stdin=paths, stderr=False)
    stored = dict(zip(filtered, listing.check("git hash-object").output.split(), strict=True))
    return [name for name in candidates if name not in stored or stored[name] != ids[name]]


def _has_content_of(git: Git, name: str, object_id: str | None) -> bool:
    """Return whether an object has the content of a regular file, or neither of them exists."""
    if object_id is None or not _is_regular(git, name):
        return object_id is None and not os.path.lexists(git.root / name)
    return blob_id((git.root / name).read_bytes(), object_id) == object_id


def _is_regular(git: Git, name: str) -> bool:
    path = git.root / name
    return path.is_file() and not path.is_symlink()
