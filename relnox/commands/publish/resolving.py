"""Check that requirements of a release are available, on indexes or in the same run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relnox import core
from relnox.core.names import normalized

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from relnox.building.archives import Archive
    from relnox.commands.publish.inspection import Snapshot
    from relnox.commands.shared.project import Project
    from relnox.core.dependencies.availability import RequiredProject
    from relnox.core.planning.plan import Problem

__all__ = ["HELP", "requirements"]

HELP = "Check before publishing that the requirements of packages are available on the indexes."
_MAX_PROJECTS = 500
"""Required projects that are checked."""


def requirements(
    snapshot: Snapshot, project: Project, folder: Path
) -> tuple[tuple[Problem, ...], tuple[str, ...]]:
    """Return problems of requirements that are not available, and warnings.

    Packages with public files are not checked, so that their release can be finished.

    Args:
        snapshot: The release and the state of the index.
        project: The project.
        folder: The folder with the archives.
    """
    by_project: dict[str, list[RequiredProject]] = {}
    for requirement in _required_projects(snapshot, project, folder):
        by_project.setdefault(requirement.name, []).append(requirement)
    checked = dict(list(by_project.items())[:_MAX_PROJECTS])
    if not checked:
        return (), ()
    # Do not disclose names of packages of this checkout to an index that they are not published to.
    trusted = {name for name, of_name in checked.items() if not (snapshot.production and of_name[0].sibling)}
    available = project.indexes.available(snapshot.target, checked, trusted=trusted)
    flat = [requirement for of_name in checked.values() for requirement in of_name]
    released = {name: snapshot.manifest.version(name) for name in snapshot.manifest.packages}
    warnings = [
        *core.availability.unsatisfied_extras(flat, available, released),
        *core.availability.unchecked_warnings(available, flat),
    ]
    if len(by_project) > len(checked):
        warnings.append(f"only the first {len(checked)} of {len(by_project)} requirements were checked")
    task, default = ("publish", "pypi") if snapshot.production else ("publish-test", "testpypi")
    index = "" if snapshot.target == default else f" --index {snapshot.target}"
    command = f"relnox {task}{index}"
    return tuple(core.availability.unsatisfied(flat, available, released, command)), tuple(warnings)


def _required_projects(snapshot: Snapshot, project: Project, folder: Path) -> Iterator[RequiredProject]:
    """Yield the requirements of packages that are new on the index, except those that this run satisfies."""
    from packaging.specifiers import SpecifierSet

    from relnox.building import archives

    manifest = snapshot.manifest
    siblings = project.workspace.by_name
    for package in manifest.packages:
        files = manifest.files_of(package)
        if any(file.filename in snapshot.index_hashes.get(package, {}) for file in files):
            continue
        wheels = [file for file in files if file.kind == "wheel"]
        paths = [folder / file.filename for file in wheels or files]
        invalid = {violation.file for violation in snapshot.violations}
        package_archives = (
            archives.read(path, project.config.archives)
            for path in paths
            if archives.is_in(folder, path) and path.name not in invalid
        )
        texts: set[str] = set()
        for name, text, specifier, extra in _requirements(package_archives):
            in_this_run = name in manifest.packages and SpecifierSet(specifier).contains(
                manifest.version(name), prereleases=True
            )
            skipped = core.availability.is_unchecked(name, project.config.publish.unchecked_requirements)
            if name != package and text not in texts and not in_this_run and not skipped:
                yield core.availability.RequiredProject(
                    package=package,
                    version=manifest.version(package),
                    text=text,
                    name=name,
                    specifier=specifier,
                    extra=extra,
                    sibling=name in siblings,
                    private=name in siblings and siblings[name].private,
                )
            texts.add(text)


def _requirements(package_archives: Iterable[Archive]) -> Iterator[tuple[str, str, str, bool]]:
    """Yield name, text, specifier and "only for an extra" of each requirement whose marker can be true."""
    from packaging.requirements import InvalidRequirement, Requirement

    from relnox.building import modules
    from relnox.building.checks.requirements import can_apply

    for archive in package_archives:
        pythons = modules.requires_python(archive)
        for text in archive.requires:
            try:
                requirement = Requirement(text)
            except InvalidRequirement:  # reported by the checks of archives
                continue
            if requirement.url is not None:
                continue
            always = can_apply(requirement, pythons, extras=False)
            if always or can_apply(requirement, pythons, extras=True):
                yield normalized(requirement.name), text, str(requirement.specifier), not always
