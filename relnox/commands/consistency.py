"""What git and the manifest say of a release: whether tag, version, commit and archives belong together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relnox import core
from relnox.core import fixes
from relnox.errors import Blocked

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from packaging.version import Version

    from relnox.commands.project import Project
    from relnox.core.consistency import TaggedElsewhere
    from relnox.core.manifest import Manifest
    from relnox.core.packages import Package
    from relnox.core.plan import Problem
    from relnox.core.tags import TagFormat

__all__ = ["HELP", "allowed_notes", "check_build", "check_manifest"]

HELP = "Go on although tag, version, commit and manifest contradict one another."


def check_build(
    packages: Sequence[Package], project: Project, commit: str | None
) -> tuple[tuple[Problem, ...], tuple[str, ...]]:
    """What is wrong with the tags of a commit that is built, and what publishing will refuse.

    A commit after a release, whose version was not raised yet, is built in CI for good reasons: that is told only.

    Args:
        packages: What is built.
        project: The project.
        commit: What is built; None for the tree as it is.
    """
    formats = _formats(project)
    if commit is None or project.state is None or formats is None:
        return (), ()
    tags = project.state.tags
    versions = {package.name: package.version for package in packages if package.version is not None}
    here = [name for name, at in tags.items() if at == commit]
    wrong = core.consistency.tag_mismatches(versions, formats, here, commit, stated=True)
    later = (
        f"{each.message(commit)}; publish refuses it: raise the version first, with {fixes.command('bump')}"
        for each in _tagged_elsewhere(versions, formats, commit, project)
    )
    return tuple(wrong), tuple(later)


def check_manifest(manifest: Manifest, dist: str, project: Project, *, production: bool) -> Iterator[Problem]:
    """Where a manifest, the checkout and its tags contradict one another.

    Args:
        manifest: What is to be published.
        dist: The manifest's folder.
        project: The project.
        production: Whether that is public for good: on other indexes, versions may be used again.
    """
    where = f"{dist}/{core.manifest.MANIFEST_JSON}"
    packages = project.workspace.packages
    head = project.state.head if project.state is not None else None
    built = manifest.commit
    files: tuple[str, ...] | None = None
    if project.git is not None and built is not None and head is not None and built != head:
        files = project.git.files_changed_between(built, head)
    yield from core.consistency.commit_mismatches(manifest, where, head, packages, files)
    if production:
        yield from core.consistency.missing_wheels(manifest, where, _platform_wheels(manifest, project))
    formats = _formats(project)
    if built is None or manifest.dirty or project.state is None or formats is None:
        return
    versions = {name: manifest.version(name) for name in manifest.packages if name in formats}
    here = [name for name, at in project.state.tags.items() if at == built]
    yield from core.consistency.tag_mismatches(versions, formats, here, built, stated=False)
    if production:
        for each in _tagged_elsewhere(versions, formats, built, project):
            which = "" if len(each.packages) == len(packages) else f" --package {each.packages[0]}"
            yield core.plan.Problem(
                code="todo",
                message=each.message(built),
                fix=f"{fixes.command('bump', '--part', 'patch')}{which}, then: {fixes.command('build-all')}; "
                f"to publish what is tagged: "
                f"git switch --detach {each.tag}, and build that; to go on as it is: {core.consistency.FLAG}",
            )


def allowed_notes(mismatches: Sequence[Problem]) -> Iterator[str]:
    """What a reader should know where mismatches stop nothing, since the command line says so."""
    for each in mismatches:
        yield f"by {core.consistency.FLAG}: {each.message}"


def _tagged_elsewhere(
    versions: Mapping[str, Version], formats: Mapping[str, TagFormat], commit: str, project: Project
) -> Iterator[TaggedElsewhere]:
    """Packages whose version is tagged at another commit of this clone, and that changed since."""
    assert project.git is not None  # noqa: S101 - there are tags
    assert project.state is not None  # noqa: S101 - as above
    found = core.consistency.tagged_elsewhere(versions, formats, project.state.tags, commit)
    for (tag, version, at), packages in found.items():
        files = project.git.files_changed_between(at, commit)
        touched = core.consistency.changed_files(files or (), project.workspace.packages)
        if names := tuple(name for name in packages if name in touched):
            yield core.consistency.TaggedElsewhere(
                tag=tag,
                version=version,
                commit=at,
                packages=names,
                files=tuple(file for name in names for file in touched[name]),
            )


def _formats(project: Project) -> Mapping[str, TagFormat] | None:
    """How each package's tags look; None outside git, and where the settings do not tell packages apart."""
    if project.git is None or project.state is None or not project.state.tags:
        return None
    try:
        return project.tag_formats
    except Blocked:
        return None


def _platform_wheels(manifest: Manifest, project: Project) -> dict[str, int]:
    """How many wheels the settings give each package of a manifest that has platform wheels."""
    by_name = project.workspace.by_name
    return {
        name: number
        for name in manifest.packages
        if name in by_name
        and (number := sum(len(job.identifiers) for job in core.wheels.jobs(by_name[name], project.config.wheels)))
    }
