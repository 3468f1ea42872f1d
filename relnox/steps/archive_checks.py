"""Checks of built archives, before they get their final names."""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING

from relnox import building, core
from relnox.core.planning.events import StepWarning
from relnox.core.release.manifest import Distribution
from relnox.errors import Failed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from relnox.building.archives import Archive
    from relnox.building.findings import Finding
    from relnox.steps.build import Build
    from relnox.steps.run import Run

__all__ = ["check_archives"]


_IGNORE_FILES = (".gitignore", ".hgignore")


def check_archives(paths: Sequence[Path], step: Build, run: Run) -> list[Distribution]:
    """Check the archives of a package; return their entries for the manifest, the sdist first.

    Raises:
        Failed: An archive differs from the plan, would be rejected by the index, or contains a secret; the message
            lists all problems.
    """
    release = [building.archives.read(path, run.limits) for path in paths]
    release.sort(key=lambda archive: archive.kind != "sdist")
    expected = building.checks.Expected(
        name=step.package,
        version=step.version,
        requires=step.requires,
        tracked=_tracked(step.folder, run),
        above=tuple(_above(step.folder, run)),
        private=step.private,
        may_be_empty=step.may_be_empty,
        optional_extensions=step.optional_extensions,
    )
    findings = [finding for archive in release for finding in building.checks.verify(archive, expected)]
    findings += [finding for archive in release for finding in _compare_with_tags(archive, step)]
    sdist = next((archive for archive in release if archive.kind == "sdist"), None)
    for archive in release:
        if sdist is not None and archive.kind == "wheel":
            findings += building.checks.verify_pair(sdist, archive)
    if not step.optional_extensions:
        findings += building.checks.verify_extensions(release)
    errors = [finding for finding in findings if finding.level == "error" or step.strict]
    run.warnings[step.key] = tuple(
        StepWarning(finding.code, finding.file, finding.message, finding.fix)
        for finding in findings
        if finding not in errors
    )
    if errors:
        lines = "\n".join(f"  {finding.file}: {finding.message} [{finding.code}]" for finding in errors)
        fixes = "; ".join(dict.fromkeys(finding.fix for finding in errors))
        raise Failed("archive-invalid", f"{step.package}: built archives are invalid:\n{lines}", fix=fixes)
    wheels = [archive for archive in release if archive.kind == "wheel"]
    run.wheel_requires[step.package] = tuple(
        dict.fromkeys(requirement for wheel in wheels for requirement in wheel.requires)
    )
    return [_distribution(archive) for archive in release]


def _compare_with_tags(archive: Archive, step: Build) -> Iterator[Finding]:
    """Compare a version that the backend derived with the tags of the commit."""
    if step.tags is None or step.version is not None:
        return
    if (mismatch := core.derived_versions.find_mismatch(step.package, archive.version, step.tags)) is not None:
        yield building.checks.Finding(
            mismatch.level, "version-differs-from-tag", mismatch.message, mismatch.fix, file=archive.path.name
        )


def _distribution(archive: Archive) -> Distribution:
    digests = building.archives.digests(archive.path)
    return Distribution(
        package=archive.name,
        version=archive.version,
        filename=archive.path.name,
        kind=archive.kind,
        size=digests.size,
        sha256=digests.sha256,
        blake2b_256=digests.blake2b_256,
    )


def _above(folder: str, run: Run) -> Iterator[tuple[str, bytes]]:
    """Yield the files in folders above the package's that backends copy, the nearest first."""
    if run.export is None:
        return
    package_folder = run.source / folder
    for parent in package_folder.parents if package_folder != run.export else ():
        for name in _IGNORE_FILES:
            if (parent / name).is_file():
                yield name, (parent / name).read_bytes()
        if parent == run.export:
            return


def _tracked(folder: str, run: Run) -> frozenset[str] | None:
    """Return the files below a folder that git tracks, relative to it; None if no commit is built."""
    if run.tracked is None:
        return None
    if folder == ".":
        return frozenset(run.tracked)
    prefix = f"{folder}/"
    first, last = bisect_left(run.tracked, prefix), bisect_left(run.tracked, f"{folder}0")  # 0 comes after /
    return frozenset(name.removeprefix(prefix) for name in run.tracked[first:last])
