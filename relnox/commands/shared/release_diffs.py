"""Each package of a build, compared with its last release on an index.

The last release is the newest final version below the built one that is not yanked; for 2.0rc2, it may be 2.0rc1.
The sdists are compared, and one wheel with the one that is most like it: `publish` shows what changes
(`diff_tables`), and `check` what `[tool.relnox.diff]` does not allow.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from relnox.building import archive_contents, archives
from relnox.building.archives import Archive
from relnox.core.planning.plan import Table
from relnox.core.release.differences import (
    ArchiveContents,
    FileSizes,
    ReleaseDiff,
    find_counterpart,
    has_same_tags,
)
from relnox.core.release.manifest import Distribution, Manifest
from relnox.core.text import format_size
from relnox.errors import Failed, Problem
from relnox.indexes.index import Index
from relnox.indexes.listings import IndexFile
from relnox.project import Project
from relnox.system import http
from relnox.system.files import temporary_directory
from relnox.system.retries import Deadline
from relnox.system.run_scope import call_concurrently

_MAX_FILE_SIZE = 64 << 20
"""The maximum size in bytes of a file of the last release that is downloaded."""
_MAX_FILES = 200
"""How many files of an archive are listed."""
_DOWNLOAD_TIME = 60.0
"""The maximum seconds for the downloads of all last releases, which the comparison could do without."""


def compare_with_last_releases(
    manifest: Manifest, directory: str, index: Index, project: Project
) -> tuple[ReleaseDiff, ...]:
    """Return how the packages of a build differ from their last releases on an index.

    Packages without an earlier release are left out. The built files are in `directory`, relative to the root;
    those of the index are downloaded, once in a run.

    Raises:
        Problem: The index cannot be read. Files that cannot be read are in `ReleaseDiff.unread` instead.
    """
    return project.once(_compare_packages, project.root / directory, manifest, index)


def archive_file_tables(manifest: Manifest, directory: str, project: Project) -> tuple[Table, ...]:
    """Return a table of the files in those archives of a build that can be read, or no table if none can.

    The archives are in `directory`, relative to the root.
    """
    rows: list[tuple[str, ...]] = []
    for file in manifest.distributions:
        with contextlib.suppress(Problem):  # the checks say what is wrong
            archive = project.once(archives.read_archive, project.root / directory / file.filename)
            sizes = [(entry.name, entry.size) for entry in archive.entries if entry.kind != "directory"]
            first = (file.filename, format_size(file.size))
            for name, size in sorted(sizes)[:_MAX_FILES]:
                rows.append((*first, name, format_size(size)))
                first = ("", "")
            if len(sizes) > _MAX_FILES:
                rows.append(("", "", f"and {len(sizes) - _MAX_FILES} more", ""))
    columns = ("archive", "size", "file", "size unpacked")
    return (Table(title="Files of the archives", columns=columns, rows=tuple(rows)),) if rows else ()


def diff_tables(diffs: Sequence[ReleaseDiff], *, full: bool) -> tuple[Table, ...]:
    """Return one table of how releases differ, or none if `diffs` is empty.

    With `full`, it has every name that was added or removed; otherwise only a few of many.
    """
    rows = []
    for diff in diffs:
        cells = (diff.package, str(diff.before), str(diff.after))
        for what, change in diff.changes(full=full):
            rows.append((*cells, what, change))
            cells = ("", "", "")
    if not rows:
        return ()
    title = f"Changes since the last release on {diffs[0].index}"
    return (Table(title=title, columns=("package", "from", "to", "what", "change"), rows=tuple(rows)),)


def incomplete_diff_notes(diffs: Sequence[ReleaseDiff]) -> Iterator[str]:
    """Yield a note for each reason why files of a last release were not compared."""
    for diff in diffs:
        for reason in diff.unread:
            yield f"not compared: {diff.package} {diff.after} with {diff.before} on {diff.index} ({reason})"


def _read_released_archive(index: Index, directory: Path, deadline: Deadline, file: IndexFile) -> Archive:
    """Download a file into a directory, compare its hash with the listed one, if any, and read it.

    Raises:
        Problem: The file is too large, cannot be downloaded before the deadline or read, or has another hash.
    """
    if file.size is not None and file.size > _MAX_FILE_SIZE:
        limit = format_size(_MAX_FILE_SIZE)
        raise Failed("archive-too-large", f"it has {format_size(file.size)}, the limit is {limit}")
    path = directory / file.filename
    limits = http.file_limit(_MAX_FILE_SIZE)._replace(seconds=max(deadline.seconds_left(), 1.0))
    sha256 = index.download(file, path, deadline, limits)
    if file.sha256 not in (None, sha256):
        raise Failed("served-content-differs", f"it has the hash {sha256[:16]}…, not the listed one")
    return archives.read_archive(path)


def _compare_packages(directory: Path, manifest: Manifest, index: Index) -> tuple[ReleaseDiff, ...]:
    """Compare each package of a manifest with its last release; the built files are in `directory`."""
    with temporary_directory() as temporary:
        read_released = partial(_read_released_archive, index, temporary, Deadline(_DOWNLOAD_TIME))
        compare = partial(_compare_with_last_release, directory, index, read_released)
        diffs = call_concurrently(lambda package: compare(manifest.files_of(package)), manifest.packages)
    return tuple(diff for diff in diffs if diff is not None)


def _compare_with_last_release(
    directory: Path, index: Index, read_released: Callable[[IndexFile], Archive], files: Sequence[Distribution]
) -> ReleaseDiff | None:
    """Compare a package with its last release; return None if there is none.

    `files` are its built files, in `directory`; `read_released` downloads and reads a file of the index.
    """
    listing = index.cached_listing(files[0].package)
    if (before := listing.newest_release(below=files[0].version)) is None:
        return None
    old = {file.filename: file for file in listing.releases()[before]}
    others = {file.filename: name for file in files for name in old if has_same_tags(file.filename, name)}
    sizes = {name: file.size for name, file in old.items()}
    pairs: list[tuple[ArchiveContents, ArchiveContents]] = []
    unread: dict[str, list[str]] = {}
    for kind in ("sdist", "wheel"):
        names = [file.filename for file in files if file.kind == kind]
        name = next((name for name in names if name in others), next(iter(names), None))
        if name is None or (other := others.get(name) or find_counterpart(name, old)) is None:
            continue
        others[name] = other
        try:
            built = archive_contents.read_contents(_read_built_archive(directory / name))
            archive = read_released(old[other])
            pairs.append((archive_contents.read_contents(archive), built))
            sizes[other] = archive.path.stat().st_size
        except Problem as error:
            unread.setdefault(error.message, []).append(other)
    compared = [(others[file.filename], file) for file in files if file.filename in others]
    return ReleaseDiff(
        package=files[0].package,
        index=index.name,
        before=before,
        after=files[0].version,
        files=(tuple(old), tuple(file.filename for file in files)),
        sizes=tuple(
            FileSizes(other, file.filename, size, file.size)
            for other, file in compared
            if (size := sizes[other]) is not None
        ),
        archives=tuple(pairs),
        unread=tuple(f"{', '.join(names)}: {reason}" for reason, names in unread.items()),
    )


def _read_built_archive(path: Path) -> Archive:
    """Read a built archive.

    Raises:
        Failed: It is damaged or does not exist, such as if another job uploaded it.
    """
    if not path.is_file():
        raise Failed("archive-missing", f"{path.name} is not on this machine")
    return archives.read_archive(path)
