"""Each package of a build, compared with its last release on an index.

That is the newest final version below the built one that is not yanked; for a prerelease, an earlier one of the
same release as well. The sdists are compared, and one wheel with the one that is most like it: `publish` shows
what changes (`diff_tables`); `release_diff_problems` are what `[tool.relnox.diff]` does not allow, for `check`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from relnox.building import archive_contents, archives
from relnox.building.archives import Archive
from relnox.core.planning.plan import Table
from relnox.core.release.differences import (
    ArchiveContents,
    FileSizes,
    ReleaseDiff,
    budget_problems,
    counterpart,
    has_same_tags,
)
from relnox.core.release.manifest import Distribution, Manifest
from relnox.core.text import format_size
from relnox.errors import Failed, Problem
from relnox.indexes.index import Index
from relnox.indexes.listings import IndexFile
from relnox.project import Project
from relnox.system.files import TemporaryDirectory
from relnox.system.retries import Deadline
from relnox.system.run_scope import call_concurrently

_MAX_FILE_SIZE = 64 << 20
"""The maximum size in bytes of a file of the last release that is downloaded."""
_DOWNLOAD_TIME = 30.0
"""How long to retry the downloads of a release, in seconds."""


def release_diff_problems(manifest: Manifest, directory: str, index: Index, project: Project) -> Iterator[Problem]:
    """Yield what changes since the last release on an index and `[tool.relnox.diff]` does not allow.

    Args:
        manifest: The packages to compare, as `releases.read_release` reads them.
        directory: Where their files are, relative to the root.
        index: The index, which is read for a package if its listing is not cached.
        project: The project.
    """
    yield from budget_problems(release_diffs(manifest, directory, index, project), project.config.diff)


def release_diffs(manifest: Manifest, directory: str, index: Index, project: Project) -> tuple[ReleaseDiff, ...]:
    """Compare packages with their last releases on an index, once in a run; first releases are left out.

    Raises:
        Problem: The index cannot be read; files that cannot be read are in `ReleaseDiff.unread`.
    """
    return project.once(_compare_packages, project.root / directory, manifest, index)


def diff_tables(diffs: Sequence[ReleaseDiff], *, full: bool) -> tuple[Table, ...]:
    """Return a table with a line for each kind of change in each package; `full` shows all names."""
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


def unread_notes(diffs: Sequence[ReleaseDiff]) -> Iterator[str]:
    """Yield a note for each release some of whose files were not compared, with the reason."""
    for diff in diffs:
        for reason in diff.unread:
            yield f"not compared: {diff.package} {diff.after} with {diff.before} on {diff.index} ({reason})"


def _compare_packages(directory: Path, manifest: Manifest, index: Index) -> tuple[ReleaseDiff, ...]:
    with TemporaryDirectory() as temporary:
        diffs = call_concurrently(
            lambda package: _compare(directory, manifest.files_of(package), index, temporary.path),
            manifest.packages,
        )
    return tuple(diff for diff in diffs if diff is not None)


def _compare(directory: Path, files: Sequence[Distribution], index: Index, temporary: Path) -> ReleaseDiff | None:
    """Compare a package with its last release; return None if there is none."""
    package, version = files[0].package, files[0].version
    listing = index.cached_listing(package)
    if (before := listing.newest_release(below=version)) is None:
        return None
    old = {file.filename: file for file in listing.releases()[before]}
    same_tags = {file.filename: other for file in files for other in old if has_same_tags(file.filename, other)}
    pairs, unread, sizes = [], [], []
    deadline = Deadline(_DOWNLOAD_TIME)
    for kind in ("sdist", "wheel"):
        names = [file.filename for file in files if file.kind == kind]
        name = next((name for name in names if name in same_tags), next(iter(names), None))
        if name is None or (other := same_tags.get(name) or counterpart(name, old)) is None:
            continue
        same_tags[name] = other
        try:
            last = _read_published(old[other], index, temporary, deadline)
            pairs.append((last, archive_contents.describe(_read_built(directory / name))))
        except Problem as error:
            unread.append(f"{other}: {error.message}")
    for file in files:
        other = same_tags.get(file.filename, "")
        path = temporary / other
        size = old[other].size or (path.stat().st_size if path.is_file() else None) if other else None
        if size is not None:
            sizes.append(FileSizes(other, file.filename, size, file.size))
    return ReleaseDiff(
        package=package,
        index=index.name,
        before=before,
        after=version,
        files=(tuple(old), tuple(file.filename for file in files)),
        sizes=tuple(sizes),
        archives=tuple(pairs),
        unread=tuple(unread),
    )


def _read_built(path: Path) -> Archive:
    """Read a built archive, which may be missing if the index has it already."""
    if not path.is_file():
        raise Failed("archive-missing", f"{path.name} is not on this machine")
    return archives.read(path)


def _read_published(file: IndexFile, index: Index, directory: Path, deadline: Deadline) -> ArchiveContents:
    """Download a file into a directory, compare its hash with the listed one, and read it.

    Raises:
        Problem: It is too large, not served, not the listed file, or cannot be read.
    """
    if file.size is not None and file.size > _MAX_FILE_SIZE:
        raise Failed("archive-too-large", f"{format_size(file.size)}, the limit is {format_size(_MAX_FILE_SIZE)}")
    path = directory / file.filename
    sha256 = index.download(file, path, deadline, limit=_MAX_FILE_SIZE)
    if file.sha256 not in (None, sha256):
        raise Failed("served-content-differs", f"it has the hash {sha256[:16]}…, not the listed one")
    return archive_contents.describe(archives.read(path))
