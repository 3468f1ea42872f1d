"""The archives of packages: checks before they get their final names, and the output directory."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from relnox.building import archives, checks
from relnox.building.archives import Archive
from relnox.building.checks.expected import ExpectedArchive
from relnox.core import tag_versions
from relnox.core.planning.step import Step
from relnox.core.records import Record
from relnox.core.release.manifest import MANIFEST_JSON, Distribution, Manifest
from relnox.core.tag_versions import CommitTags
from relnox.core.text import format_count, join_names
from relnox.errors import Blocked, Conflict, Failed, Problem
from relnox.steps.run import Run
from relnox.system.files import flush_to_disk, read_file

_WRITABLE_BY_OTHERS = 0o022


class BuiltPackage(Record, kw_only=True):
    """The archives of a package in the output directory.

    Attributes:
        files: The archives, the sdist first.
        requires: The values of `Requires-Dist` in the metadata of the wheels, or of the sdist if there are none.
    """

    package: str
    files: tuple[Distribution, ...]
    requires: tuple[str, ...] = ()


def built_packages(run: Run) -> dict[str, BuiltPackage]:
    """Return the packages that steps have built so far, by name."""
    return {built.package: built for built in run.results(BuiltPackage)}


def wheels_or_sdist(built: BuiltPackage) -> list[Distribution]:
    """Return the wheels of a package, or its sdist if it has no wheels."""
    return [file for file in built.files if file.kind == "wheel"] or list(built.files)


def check_archives(
    paths: Sequence[Path],
    expected: ExpectedArchive,
    warn: Callable[[tuple[Problem, ...]], None],
    *,
    tags: CommitTags | None = None,
    strict: bool = False,
) -> BuiltPackage:
    """Check the built archives of a package, and return them with their hashes and requirements.

    `warn` is called once, with all warnings, which may be none. `tags` are those of the commit if the backend
    derives the version from tags, else None. With `strict`, warnings are errors, except those about incomplete
    metadata.

    Raises:
        Failed: An archive is not as `expected`, would be rejected by the index, or contains a secret; the message
            lists all problems.
    """
    release = [archives.read_archive(path) for path in paths]
    release.sort(key=lambda archive: archive.kind != "sdist")
    findings = [finding for archive in release for finding in checks.check_archive(archive, expected)]
    findings += [finding for archive in release for finding in _derived_version_problems(archive, expected, tags)]
    findings += checks.check_wheels_against_sdist(release, optional_extensions=expected.extensions_are_optional)
    files: dict[Problem, list[str]] = {}  # the files with the same finding, such as sdist and wheel
    for finding in findings:
        files.setdefault(finding.but(file=""), []).append(finding.file)
    errors = {
        finding: names
        for finding, names in files.items()
        if finding.level == "error" or (strict and finding.code != "metadata-incomplete")  # shown only
    }
    warn(tuple(finding.but(file=", ".join(names)) for finding, names in files.items() if finding not in errors))
    if errors:
        lines = "\n".join(
            f"  {', '.join(names)}: {finding.message} [{finding.code}]" for finding, names in errors.items()
        )
        fix = "; ".join(dict.fromkeys(finding.fix for finding in errors))
        raise Failed("archive-invalid", f"{expected.name}: built archives are invalid:\n{lines}", fix=fix)
    wheels = [archive for archive in release if archive.kind == "wheel"] or release
    return BuiltPackage(
        package=expected.name,
        files=tuple(_to_distribution(archive) for archive in release),
        requires=tuple(dict.fromkeys(requirement for wheel in wheels for requirement in wheel.requires)),
    )


def _derived_version_problems(
    archive: Archive, expected: ExpectedArchive, tags: CommitTags | None
) -> Iterator[Problem]:
    """Yield a problem if the version that a backend derived for an archive contradicts the tags of the commit.

    Nothing is yielded if `tags` is None or the version was planned.
    """
    if tags is None or expected.version is not None:
        return
    variable = tag_versions.find_version_variable(os.environ, archive.version)
    mismatch = tag_versions.version_mismatch_problem(expected.name, archive.version, tags, variable=variable)
    if mismatch is not None:
        yield mismatch.but(file=archive.path.name)


def _to_distribution(archive: Archive) -> Distribution:
    """Return the entry for an archive in the manifest of a build; the file is read for its size and hashes."""
    digests = archives.hash_file(archive.path)
    return Distribution(
        package=archive.name,
        version=archive.version,
        filename=archive.path.name,
        kind=archive.kind,
        size=digests.size,
        sha256=digests.sha256,
        blake2b_256=digests.blake2b_256,
    )


def read_manifest_if_valid(output: Path) -> Manifest | None:
    """Return the manifest, which lists the built archives, of an earlier run; None if it is missing or invalid.

    `output` is the directory of the archives.
    """
    path = output / MANIFEST_JSON
    try:
        return Manifest.from_json(read_file(path).decode(), where=str(path))
    except (OSError, UnicodeDecodeError, Blocked):
        return None


@contextlib.contextmanager
def archive_staging_directory(output: Path, package: str) -> Iterator[Path]:
    """Yield an empty directory in `output` (created if missing) for a package's archives; remove it at the end."""
    output.mkdir(parents=True, exist_ok=True)
    staging = output / f".relnox-{package}"
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(mode=0o700)
    try:
        yield staging
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def move_files(directory: Path, files: Iterable[Path]) -> None:
    """Move files to a directory, where they replace those of the same name, each atomically.

    The content is flushed to disk before. Afterwards, only their owner may write them.
    """
    for path in files:
        with path.open("rb") as content:
            path.chmod(path.stat().st_mode & ~_WRITABLE_BY_OTHERS)
            flush_to_disk(content)
        path.replace(directory / path.name)


def changed_archive_error(
    path: str, built_sha256: str, found_sha256: str | None, fix: str, *, missing: type[Problem] = Failed
) -> Problem:
    """Return the error for an archive that is missing (`found_sha256` is None), or is not the one that was built.

    `path` and `fix` are for its message. For a missing file, its class is `missing`; otherwise it is a `Conflict`.
    """
    if found_sha256 is None:
        return missing("archive-missing", f"{path} is missing, although the manifest lists it", fix)
    return Conflict(
        "archive-changed",
        f"{path} differs from the file that was built:\n"
        f"  found  sha256 {found_sha256}\n  built  sha256 {built_sha256}",
        fix,
    )


class CleanDirectory(Step, key="clean"):
    """Remove files of earlier builds from the output directory.

    Attributes:
        directory: The output directory, relative to the root.
    """

    exclusive = True
    directory: str
    files: tuple[str, ...]

    @property
    def title(self) -> str:
        return f"remove {join_names(self.files)} from {self.directory}"

    def reason_to_skip(self, run: Run) -> str | None:
        return None if self._remaining_files(run) else f"{format_count(len(self.files), 'file')} removed"

    def apply(self, run: Run) -> None:
        for path in self._remaining_files(run):
            path.unlink()

    def _remaining_files(self, run: Run) -> list[Path]:
        paths = [run.root / self.directory / name for name in self.files]
        return [path for path in paths if path.is_file() or path.is_symlink()]
