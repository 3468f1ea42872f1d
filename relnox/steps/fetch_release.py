"""Get the files of a release to verify, from an index or from a directory, and select the one to install."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

from packaging import tags
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.tags import Tag
from packaging.utils import parse_wheel_filename
from packaging.version import Version

from relnox.building import archives, checks
from relnox.building.archives import Archive
from relnox.building.environments import RUNNING_PYTHON, find_interpreter
from relnox.core import fixes
from relnox.core.planning.step import Step
from relnox.core.records import Record
from relnox.core.release.manifest import Distribution
from relnox.core.text import format_count, format_size, join_names
from relnox.errors import Failed, Problem, TryLater
from relnox.indexes import attestations
from relnox.indexes.index import Index
from relnox.indexes.listings import IndexFile, Listing
from relnox.indexes.uploads import next_release_hint
from relnox.steps.built_archives import changed_archive_error
from relnox.steps.publication import different_files_error, served_content_error
from relnox.steps.run import Run
from relnox.system import retries
from relnox.system.retries import Deadline

_LITTLE_STORAGE = 0.1
"""The part of a project's storage below which what is left is reported."""


class ReleaseFiles(Record, kw_only=True):
    """The files of a package, downloaded or copied, whose hashes are the expected ones.

    Attributes:
        publishers: Who signed them, by their provenance, as text for messages; empty without provenance or without
            the extra `attest`.
    """

    package: str
    archives: tuple[Archive, ...]
    publishers: tuple[str, ...] = ()


class LookUpRelease(Step, key="look up {self.package}"):
    """Check that a public release is listed and not yanked; warn about missing wheels, or an archived project.

    Attributes:
        version: The version; None, so that the step fails, if the index listed none of the package.
        storage_limit: The storage of the project on the index, in bytes.
        is_requested: Whether the user named the version; otherwise it is the newest one.
        pythons: The Pythons, such as `3.12`, for which the release should have wheels.
    """

    concurrent = True
    index: str
    package: str
    version: Version | None
    storage_limit: int
    is_requested: bool
    pythons: tuple[str, ...]

    @property
    def title(self) -> str:
        return f"look up {self.package} {self.version or ''}".rstrip() + f" on {self.index}"

    def apply(self, run: Run) -> str:
        """Describe the files that the index lists, and warn about missing wheels and the state of the project.

        Raises:
            Failed: The release is not listed, or yanked, or the project is in quarantine.
        """
        index = run.indexes[self.index]
        listing = index.cached_listing(self.package)
        warnings = tuple(_project_warnings(self.package, listing, index, self.storage_limit))
        for warning in warnings:
            if warning.code == "project-quarantined":
                raise Failed("project-quarantined", warning.message, warning.fix)
        files = listing.releases().get(self.version, ()) if self.version is not None else ()
        if not files:
            raise Failed(
                "file-not-listed",
                f"{self.index} lists no files of {self.package} {self.version or ''}".rstrip(),
                fix="correct the name or the version; or publish it: "
                f"{fixes.task_command('publish', '--index', self.index)}",
            )
        if all(file.yanked for file in files):
            raise Failed(
                "file-yanked",
                f"{self.index} lists {self.package} {self.version} as yanked (installers skip it)",
                fix="publish a release that replaces it, or unyank it on the index",
            )
        run.add_warnings(self, (*warnings, *self._release_warnings(listing, files)))
        return _describe_files(files)

    def _release_warnings(self, listing: Listing, files: tuple[IndexFile, ...]) -> Iterable[Problem]:
        """Yield warnings about Pythons without a wheel, and a newer yanked version if the user named none."""
        newer = [version for version in listing.releases() if self.version is not None and version > self.version]
        if not self.is_requested and (final := [version for version in newer if not version.is_prerelease]):
            yield Problem(
                "file-yanked",
                f"{self.package} {max(final)} is yanked on {self.index}: installers choose {self.version}",
                fix="publish a release that replaces it",
                level="warning",
            )
        wheels = [file.filename for file in files if file.filename.endswith(".whl") and not file.yanked]
        for python in self.pythons if wheels else ():
            version = find_interpreter(python).version
            is_supported = any(_allows_python(file.requires_python, version) for file in files)
            if is_supported and select_file(wheels, python) is None:
                yield Problem(
                    "wheels-missing",
                    f"{self.package} {self.version} has no wheel for Python {python} on this machine, only for "
                    f"{join_names(sorted({name.split('-', 2)[2].removesuffix('.whl') for name in wheels}), 6)}",
                    fix=f"publish a release of {self.package} with a wheel for it",
                    level="warning",
                )


def _project_warnings(package: str, listing: Listing, index: Index, storage_limit: int) -> Iterable[Problem]:
    """Yield warnings if a project is archived, deprecated or in quarantine, or its storage is nearly used up.

    `storage_limit`, in bytes, applies only to indexes with the rules of the public index.
    """
    reason = f" ({listing.reason})" if listing.reason else ""
    if listing.status == "quarantined":
        yield _project_warning(
            "project-quarantined",
            f"project {package} is quarantined on {index.name}, and cannot be installed{reason}",
            "contact the index operator",
        )
    elif listing.status != "active":
        yield _project_warning(
            "project-archived",
            f"project {package} is {listing.status} on {index.name}{reason}",
            f"if it is still maintained, change that in the project's settings on {index.name}",
        )
    if index.has_public_rules and storage_limit - listing.total_size < _LITTLE_STORAGE * storage_limit:
        yield _project_warning(
            "storage-low",
            f"project {package} has {format_size(listing.total_size)} on {index.name} (the limit is "
            f"{format_size(storage_limit)})",
            "request a higher limit on the index, and set it: [tool.relnox.check] storage-limit = 20000",
        )


def _project_warning(code: str, message: str, fix: str) -> Problem:
    """Return a warning about a project on an index."""
    return Problem(code, message, fix, level="warning")


def _describe_files(files: tuple[IndexFile, ...]) -> str:
    """Return a line about a release's files: number, size, day of the first upload, how many have provenance."""
    parts = [format_count(len(files), "file")]
    if sizes := [file.size for file in files if file.size is not None]:
        parts.append(format_size(sum(sizes)))
    if times := [file.upload_time for file in files if file.upload_time is not None]:
        parts.append(f"uploaded {min(times):%Y-%m-%d}")
    count = sum(file.provenance is not None for file in files)
    parts.append(f"provenance of {format_count(count, 'file')}" if count else "no provenance")
    return ", ".join(parts)


def _allows_python(requires_python: str, version: str) -> bool:
    """Return whether a `Requires-Python` of an index allows a Python version.

    An invalid one allows all, as for pip.
    """
    try:
        return version in SpecifierSet(requires_python)
    except InvalidSpecifier:
        return True


class _FetchStep(Step, key="fetch {self.package}"):
    """A step that gets the files of a package into a temporary directory and checks their hashes."""

    concurrent = True
    package: str
    files: tuple[Distribution, ...]

    def verify(self, run: Run, result: ReleaseFiles) -> str:
        del run
        provenance = f"; provenance: {join_names(result.publishers)}" if result.publishers else ""
        return "; ".join(f"{file.filename} sha256 {file.sha256[:16]}…" for file in self.files) + provenance


class Download(_FetchStep):
    """Download the files of a package, compare their hashes, and verify their provenance if there is any.

    Attributes:
        deadline: How long to retry files that the index lists but does not serve yet, in seconds.
    """

    index: str
    deadline: int

    @property
    def title(self) -> str:
        return f"download {join_names([file.filename for file in self.files])} from {self.index}, compare hashes"

    def apply(self, run: Run) -> ReleaseFiles:
        """Download the files and compare hashes, with retries: an index may list a file before it serves it.

        Raises:
            Conflict: A file has another hash, or its provenance is not valid.
            Failed: A file is yanked.
            TryLater: The index does not list and serve all files before the deadline.
        """
        directory, deadline = run.create_temporary_directory(self.key), Deadline(self.deadline)

        def download() -> tuple[Archive, ...]:
            return tuple(self._download_file(run, file, directory, deadline) for file in self.files)

        archives = retries.retry(download, deadline, on=TryLater)
        publishers = self._verify_provenance(run, deadline) if attestations.is_attest_installed() else ()
        return ReleaseFiles(package=self.package, archives=archives, publishers=publishers)

    def _verify_provenance(self, run: Run, deadline: Deadline) -> tuple[str, ...]:
        """Return the publishers in the files' provenance, if any; raise `InvalidAttestation` if it is invalid."""
        index = run.indexes[self.index]
        listing = index.cached_listing(self.package)
        served = ((file, index.provenance(listing[file.filename], deadline)) for file in self.files)
        signers = (
            attestations.verify_provenance(content, file, self.index)
            for file, content in served
            if content is not None
        )
        return tuple(dict.fromkeys(signers))

    def _download_file(self, run: Run, file: Distribution, directory: Path, deadline: Deadline) -> Archive:
        """Download a file, and read it; raise an error if it is not listed, is yanked, or has another hash."""
        index = run.indexes[self.index]
        index_file = index.fetch_listing(self.package, deadline).get(file.filename)
        if index_file is None:
            raise TryLater(
                "file-not-listed",
                f"{self.index} does not list {file.filename}",
                fix="rerun the command later; or publish it: "
                f"{fixes.task_command('publish', '--index', self.index)}",
            )
        if index_file.yanked:
            raise Failed(
                "file-yanked",
                f"{self.index} lists {file.filename} as yanked (installers skip it)",
                fix=f"unyank it on the index; or {next_release_hint(file.package, file.version, index)}",
            )
        path = directory / file.filename
        sha256 = index.download(index_file, path, deadline)
        if sha256 != file.sha256:
            if index_file.sha256 == file.sha256:  # what is public is right: no fix may publish it again
                lines = f"\n  {file.filename} sha256 {sha256}, built {file.sha256}"
                raise served_content_error(index.name, f"{file.package} {file.version}", lines)
            raise different_files_error(index, [(file, sha256)])
        return checks.read_valid_archive(path)


class CopyFiles(_FetchStep):
    """Copy the files of a package from a directory, relative to the root, and compare their hashes."""

    directory: str

    @property
    def title(self) -> str:
        return f"copy {join_names([file.filename for file in self.files])} from {self.directory}, compare hashes"

    def apply(self, run: Run) -> ReleaseFiles:
        """Copy the files; raise `Conflict` if the hash of a copy differs, `Failed` if a file is missing."""
        directory = run.create_temporary_directory(self.key)
        archives = tuple(self._copy_file(run, file, directory) for file in self.files)
        return ReleaseFiles(package=self.package, archives=archives)

    def _copy_file(self, run: Run, file: Distribution, directory: Path) -> Archive:
        """Copy a file to `directory`, and read it; raise an error if it is missing or its hash differs."""
        source, path = run.root / self.directory / file.filename, directory / file.filename
        sha256 = None
        if archives.is_file_inside(source.parent, source):
            shutil.copyfile(source, path)
            sha256 = archives.hash_file(path).sha256
        if sha256 != file.sha256:
            fix = f"rebuild: {fixes.task_command('build-all')}"
            raise changed_archive_error(f"{self.directory}/{file.filename}", file.sha256, sha256, fix)
        return checks.read_valid_archive(path)


def select_archive(downloads: Iterable[Archive], package: str, python: str) -> Archive:
    """Return the file to install with a Python on this machine: the best compatible wheel, else the sdist.

    `python` is a version such as `3.12`.

    Raises:
        Failed: None of the files can be installed here; the message names `package`.
    """
    by_name = {archive.path.name: archive for archive in downloads}
    name = select_file(by_name, python)
    if name is None:
        raise Failed(
            "archive-invalid",
            f"{package}: none of its files can be installed on this machine: {', '.join(by_name)}",
            fix="verify on a machine that one of the wheels supports, or publish an sdist too",
        )
    return by_name[name]


def select_file(names: Iterable[str], python: str) -> str | None:
    """Return the name of the file to install on this machine: the best compatible wheel, else the sdist, or None.

    `python` is the version of the Python to install it with, such as `3.12`.
    """
    ranks = _wheel_tag_ranks(python)
    candidates: list[tuple[int, str]] = []
    for name in names:
        if not name.endswith(".whl"):
            candidates.append((len(ranks), name))
        elif compatible := [ranks[tag] for tag in parse_wheel_filename(name)[3] if tag in ranks]:
            candidates.append((min(compatible), name))
    return min(candidates, key=lambda candidate: candidate[0])[1] if candidates else None


@cache
def _wheel_tag_ranks(python: str) -> Mapping[Tag, int]:
    """Return the wheel tags that a Python such as `3.12` supports here, each with its rank; 0 is the best."""
    if python == RUNNING_PYTHON:
        return {tag: rank for rank, tag in enumerate(tags.sys_tags())}
    major, minor = (int(number) for number in python.split(".")[:2])
    supported = [*tags.cpython_tags((major, minor)), *tags.compatible_tags((major, minor), f"cp{major}{minor}")]
    return {tag: rank for rank, tag in enumerate(supported)}
