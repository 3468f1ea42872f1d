"""The check that users can install the requirements of a release, from indexes or from the release itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relnox import core
from relnox.core.names import normalize_name

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator
    from pathlib import Path

    from relnox.building.archives import Archive
    from relnox.commands.publish.index_state import IndexState
    from relnox.commands.shared.project import Project
    from relnox.core.dependencies.availability import RequiredProject
    from relnox.core.problems import Problem

_MAX_PROJECTS = 500
"""The maximum number of required projects that are checked."""


def check_requirements(
    state: IndexState, project: Project, directory: Path, *, invalid_files: Container[str]
) -> tuple[list[Problem], list[str]]:
    """Return a problem for each requirement of the packages to publish that users could not install, and warnings.

    Packages with files that are already public are not checked, so that their release can be finished. Archives
    with errors (`invalid_files`) are not read.
    """
    by_project: dict[str, list[RequiredProject]] = {}
    for requirement in _required_projects(state, project, directory, invalid_files):
        by_project.setdefault(requirement.name, []).append(requirement)
    checked_projects = dict(list(by_project.items())[:_MAX_PROJECTS])
    if not checked_projects:
        return [], []
    production = project.indexes.is_production(state.name)
    # Do not disclose names of packages of this checkout to an index that they are not published to.
    trusted_names = {name for name, of_name in checked_projects.items() if not (production and of_name[0].sibling)}
    available = project.indexes.available(state.name, checked_projects, trusted_projects=trusted_names)
    flat = [requirement for of_name in checked_projects.values() for requirement in of_name]
    released_versions = {name: state.manifest.version(name) for name in state.manifest.packages}
    warnings = [
        *core.availability.unsatisfied_extra_warnings(flat, available, released_versions),
        *core.availability.unreachable_index_warnings(available, flat),
    ]
    if len(by_project) > len(checked_projects):
        warnings.append(f"only the first {len(checked_projects)} of {len(by_project)} requirements were checked")
    task, default = ("publish", "pypi") if production else ("publish-test", "testpypi")
    index = "" if state.name == default else f" --index {state.name}"
    command = f"relnox {task}{index}"
    return list(core.availability.unsatisfied_problems(flat, available, released_versions, command)), warnings


def _required_projects(
    state: IndexState, project: Project, directory: Path, invalid_files: Container[str]
) -> Iterator[RequiredProject]:
    """Yield the requirements of packages without public files, except those that this release itself satisfies."""
    from packaging.specifiers import SpecifierSet

    from relnox.building import archives, file_hashes

    manifest = state.manifest
    siblings = project.workspace.by_name
    for package in manifest.packages:
        if state.hashes[package]:
            continue
        files = manifest.files_of(package)
        wheels = [file for file in files if file.kind == "wheel"]
        paths = [directory / file.filename for file in wheels or files]
        package_archives = (
            archives.read(path, project.config.archives)
            for path in paths
            if file_hashes.is_file_inside(directory, path) and path.name not in invalid_files
        )
        texts: set[str] = set()
        for name, text, specifier, extra in _list_requirements(package_archives):
            in_this_run = name in manifest.packages and SpecifierSet(specifier).contains(
                manifest.version(name), prereleases=True
            )
            is_skipped = core.availability.is_excluded_from_check(
                name, project.config.publish.unchecked_requirements
            )
            if name != package and text not in texts and not in_this_run and not is_skipped:
                yield core.availability.RequiredProject(
                    package=package,
                    version=manifest.version(package),
                    text=text,
                    name=name,
                    specifier=specifier,
                    extra=extra,
                    sibling=name in siblings,
                    private=name in siblings and siblings[name].is_private,
                )
            texts.add(text)


def _list_requirements(package_archives: Iterable[Archive]) -> Iterator[tuple[str, str, str, bool]]:
    """Yield the requirements of archives whose markers can be true on a Python that the archive supports.

    Each is the project's normalized name, the text, the version specifier, and whether only an extra needs it.
    """
    from packaging.requirements import InvalidRequirement, Requirement

    from relnox.building import wheel_contents
    from relnox.building.checks.requirements import can_apply

    for archive in package_archives:
        pythons = wheel_contents.supported_pythons(archive)
        for text in archive.requires:
            try:
                requirement = Requirement(text)
            except InvalidRequirement:  # reported by the checks of archives
                continue
            if requirement.url is not None:
                continue
            always = can_apply(requirement, pythons, extras=False)
            if always or can_apply(requirement, pythons, extras=True):
                yield normalize_name(requirement.name), text, str(requirement.specifier), not always
