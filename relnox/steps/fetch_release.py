"""Get the files of a release to verify, from an index or from a directory, and select the one to install."""

from __future__ import annotations

import shutil
from functools import cache
from typing import TYPE_CHECKING

from relnox import building
from relnox.core import fixes
from relnox.core.planning.step import Step
from relnox.core.records import Record
from relnox.core.release.manifest import Distribution
from relnox.core.text import join_names
from relnox.errors import Conflict, Failed, TryLater
from relnox.steps.action import Action

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from packaging.tags import Tag

    from relnox.building.archives import Archive
    from relnox.system.retries import Deadline

_MIN_WAIT = 0.5
_MAX_WAIT = 15.0


class ReleaseFiles(Record, kw_only=True):
    """The files of a package on this machine, whose hashes have been compared."""

    package: str
    archives: tuple[Archive, ...]


class Download(Step, kw_only=True):
    """Download the files of a package and compare their hashes.

    Attributes:
        deadline: How long to retry files that the index lists but does not serve yet, in seconds.
    """

    concurrent = True
    index: str
    package: str
    files: tuple[Distribution, ...]
    deadline: int

    @property
    def key(self) -> str:
        return f"fetch {self.package}"

    @property
    def title(self) -> str:
        return f"download {join_names([file.filename for file in self.files])} from {self.index}, compare hashes"


class DownloadAction(Action[Download]):
    """Downloads the release's files from the index; only files with the right hash are used.

    If the index serves the provenance of a file, and relnox[attest] is installed, it must be valid.
    """

    def apply(self) -> None:
        """Download and compare, with retries: an index may list a file before it serves it."""
        from relnox.system.retries import Deadline

        directory = self.run.create_directory(self.step.key)
        self._publishers: dict[str, None] = {}
        deadline = Deadline(self.step.deadline)
        wait = _MIN_WAIT
        while True:
            try:
                downloads = tuple(self._download_file(file, directory, deadline) for file in self.step.files)
            except TryLater as transient_error:
                if not (seconds_left := deadline.left()):
                    raise
                deadline.wait(min(wait, seconds_left), transient_error.message)
            else:
                self.result = ReleaseFiles(package=self.step.package, archives=downloads)
                return
            wait = min(wait * 2, _MAX_WAIT)

    def verify(self) -> str:
        """Report the hashes, which were compared with each download, and the publishers in provenance."""
        provenance = f"; provenance: {join_names(self._publishers)}" if self._publishers else ""
        return f"{_format_hashes(self.step.files)}{provenance}"

    def _download_file(self, file: Distribution, directory: Path, deadline: Deadline) -> Archive:
        from relnox.indexes import attestations, client
        from relnox.steps.published_files import different_file_error

        index = self.step.index
        index_file = self.run.indexes.fetch_listing(index, self.step.package, deadline).get(file.filename)
        if index_file is None:
            raise TryLater(
                "file-not-listed",
                f"{index} does not list {file.filename}",
                fix=f"publish it, or try again later: {fixes.task_command('verify-install')}",
            )
        if index_file.yanked:
            raise Failed(
                "file-yanked",
                f"{index} lists {file.filename} as yanked (installers skip it)",
                fix=f"unyank it on the index, or release a new version: {fixes.task_command('bump')}",
            )
        path = directory / file.filename
        sha256 = client.download(index_file, path, deadline)
        if sha256 != file.sha256:
            raise different_file_error(index, file, sha256)
        if attestations.is_installed() and (content := client.provenance(index_file, deadline)) is not None:
            self._publishers[attestations.verify_provenance(content, file, index)] = None
        return building.checks.read_valid_archive(path)


class CopyFiles(Step, kw_only=True):
    """Copy the files of a package from a directory and compare their hashes."""

    concurrent = True
    directory: str
    package: str
    files: tuple[Distribution, ...]

    @property
    def key(self) -> str:
        return f"fetch {self.package}"

    @property
    def title(self) -> str:
        return f"copy {join_names([file.filename for file in self.files])} from {self.directory}, compare hashes"


class CopyFilesAction(Action[CopyFiles]):
    """Copies built files, so that the files that were compared are the ones that are installed."""

    def apply(self) -> None:
        directory = self.run.create_directory(self.step.key)
        self.result = ReleaseFiles(
            package=self.step.package, archives=tuple(self._copy_file(file, directory) for file in self.step.files)
        )

    def verify(self) -> str:
        """Report the hashes, which were compared with each copy."""
        return _format_hashes(self.step.files)

    def _copy_file(self, file: Distribution, directory: Path) -> Archive:
        source, path = self.run.root / self.step.directory / file.filename, directory / file.filename
        if not building.file_hashes.is_file_inside(source.parent, source):
            raise Failed(
                "archive-missing",
                f"{self.step.directory}/{file.filename} is missing, although the manifest lists it",
                fix=f"rebuild: {fixes.task_command('build-all')}",
            )
        shutil.copyfile(source, path)
        if (sha256 := building.file_hashes.hash_file(path).sha256) != file.sha256:
            raise Conflict(
                "archive-changed",
                f"{self.step.directory}/{file.filename} differs from the file that was built:\n"
                f"  found  sha256 {sha256}\n  built  sha256 {file.sha256}",
                fix=f"rebuild: {fixes.task_command('build-all')}",
            )
        return building.checks.read_valid_archive(path)


def _format_hashes(files: Iterable[Distribution]) -> str:
    return "; ".join(f"{file.filename} sha256 {file.sha256[:16]}…" for file in files)


def best_archive(downloads: Iterable[Archive], package: str, python: str) -> Archive:
    """Select the file to install with a Python on this machine: the best compatible wheel, else the sdist."""
    from packaging.utils import parse_wheel_filename

    ranks = _tag_ranks(python)
    candidates: list[tuple[int, Archive]] = []
    for archive in downloads:
        if archive.kind == "sdist":
            candidates.append((len(ranks), archive))
        elif compatible := [ranks[tag] for tag in parse_wheel_filename(archive.path.name)[3] if tag in ranks]:
            candidates.append((min(compatible), archive))
    if not candidates:
        raise Failed(
            "archive-invalid",
            f"{package}: no file can be installed on this machine: "
            + ", ".join(archive.path.name for archive in downloads),
            fix="verify on a machine that one of the wheels supports, or publish an sdist too",
        )
    return min(candidates, key=lambda candidate: candidate[0])[1]


@cache
def _tag_ranks(python: str) -> Mapping[Tag, int]:
    """Return the wheel tags that a Python supports here, with the rank of each; 0 is the best (PEP 425)."""
    from packaging import tags

    if not python:
        return {tag: rank for rank, tag in enumerate(tags.sys_tags())}
    major, minor = (int(number) for number in python.split(".")[:2])
    supported = [*tags.cpython_tags((major, minor)), *tags.compatible_tags((major, minor), f"cp{major}{minor}")]
    return {tag: rank for rank, tag in enumerate(supported)}
