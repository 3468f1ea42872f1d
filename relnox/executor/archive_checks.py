"""Built archives against the plan: all that is not right about them is told before they get their final names."""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING

from relnox.building import archives, checks
from relnox.core import derived_versions
from relnox.core.events import StepWarning
from relnox.core.manifest import Distribution
from relnox.errors import Failed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from relnox.building.archives import Archive
    from relnox.core.steps import Build
    from relnox.executor.run import Run

__all__ = ["check_archives"]

_IGNORING = (".gitignore", ".hgignore")


def check_archives(paths: Sequence[Path], step: Build, run: Run) -> list[Distribution]:
    """The archives of a package as the manifest will tell them, the sdist first.

    Raises:
        Failed: One is not as planned, would be refused by the index, or gives a secret away; all of it is told.
    """
    found = [archives.read(path, run.limits) for path in paths]
    found.sort(key=lambda archive: archive.kind != "sdist")
    expected = checks.Expected(
        name=step.package,
        version=step.version,
        requires=step.requires,
        tracked=_tracked(step.folder, run),
        above=tuple(_above(step.folder, run)),
        private=step.private,
        may_be_empty=step.may_be_empty,
        optional_extensions=step.optional_extensions,
    )
    findings = [finding for archive in found for finding in checks.verify(archive, expected)]
    findings += [finding for archive in found for finding in _against_tags(archive, step)]
    sdist = next((archive for archive in found if archive.kind == "sdist"), None)
    for archive in found:
        if sdist is not None and archive.kind == "wheel":
            findings += checks.verify_pair(sdist, archive)
    if not step.optional_extensions:
        findings += checks.verify_extensions(found)
    bad = [finding for finding in findings if finding.level == "error" or step.strict]
    run.warnings[step.key] = tuple(
        StepWarning(finding.code, finding.file, finding.message, finding.fix)
        for finding in findings
        if finding not in bad
    )
    if bad:
        listed = "\n".join(f"  {finding.file}: {finding.message}" for finding in bad)
        fixes = "; ".join(dict.fromkeys(finding.fix for finding in bad))
        raise Failed("todo", f"{step.package}: what was built is not right:\n{listed}", fix=fixes)
    wheels = [archive for archive in found if archive.kind == "wheel"]
    run.wheel_requires[step.package] = tuple(dict.fromkeys(each for wheel in wheels for each in wheel.requires))
    return [_distribution(archive) for archive in found]


def _against_tags(archive: Archive, step: Build) -> Iterator[checks.Finding]:
    """A version that the backend worked out, where the tags of the commit say another one."""
    if step.tags is None or step.version is not None:
        return
    if (told := derived_versions.find_mismatch(step.package, archive.version, step.tags)) is not None:
        yield checks.Finding(
            level=told.level, code="todo", file=archive.path.name, message=told.message, fix=told.fix
        )


def _distribution(archive: Archive) -> Distribution:
    digests = archives.digests(archive.path)
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
    """What the commit has in folders above a package's that backends take along, the nearest first."""
    if run.export is None:
        return
    here = run.source / folder
    for parent in here.parents if here != run.export else ():
        for name in _IGNORING:
            if (parent / name).is_file():
                yield name, (parent / name).read_bytes()
        if parent == run.export:
            return


def _tracked(folder: str, run: Run) -> frozenset[str] | None:
    """The files below a folder that git tracks, relative to it; None where there is no commit that is built."""
    if run.tracked is None:
        return None
    if folder == ".":
        return frozenset(run.tracked)
    prefix = f"{folder}/"
    first, last = bisect_left(run.tracked, prefix), bisect_left(run.tracked, f"{folder}0")  # 0 comes after /
    return frozenset(name.removeprefix(prefix) for name in run.tracked[first:last])
