"""The check that the siblings which a release requires are in the same run, or public at a fitting version."""

from __future__ import annotations

from typing import TYPE_CHECKING

from packaging.requirements import InvalidRequirement, Requirement

from relnox import core
from relnox.core.names import normalize_name

if TYPE_CHECKING:
    from collections.abc import Container, Iterator
    from pathlib import Path

    from packaging.version import Version

    from relnox.commands.publish.index_state import IndexState
    from relnox.commands.shared.project import Project
    from relnox.core.problems import Problem


def unavailable_sibling_problems(
    state: IndexState, project: Project, directory: Path, *, invalid_files: Container[str]
) -> Iterator[Problem]:
    """Yield a problem for each requirement on a sibling that users could not install.

    Packages with files that are already public are not checked, so that their release can be finished. Archives
    with errors (`invalid_files`) are not read. Requirements of extras are not checked.
    """
    for package in state.manifest.packages:
        for requirement in _sibling_requirements(package, state, project, directory, invalid_files):
            name = normalize_name(requirement.name)
            is_in_run = name in state.manifest.packages
            if is_in_run and requirement.specifier.contains(state.manifest.version(name), prereleases=True):
                continue
            public = _public_versions(name, state.name, project)
            if not any(True for _ in requirement.specifier.filter(public)):
                yield _problem(package, requirement, public, state, project)


def _sibling_requirements(
    package: str, state: IndexState, project: Project, directory: Path, invalid_files: Container[str]
) -> Iterator[Requirement]:
    """Yield the requirements on siblings in the first archive of a package without public files."""
    from relnox.building import archives, file_hashes

    files = sorted(state.manifest.files_of(package), key=lambda file: file.kind == "sdist")
    path = directory / files[0].filename
    is_readable = file_hashes.is_file_inside(directory, path) and path.name not in invalid_files
    if state.hashes[package] or not is_readable:
        return
    for text in archives.read(path, project.config.archives).requires:
        try:
            requirement = Requirement(text)
        except InvalidRequirement:  # reported by the checks of archives
            continue
        name = normalize_name(requirement.name)
        is_of_extra = requirement.marker is not None and "extra" in str(requirement.marker)
        if name in project.workspace.by_name and name != package and not (requirement.url or is_of_extra):
            yield requirement


def _public_versions(name: str, index: str, project: Project) -> set[Version]:
    """Return the versions of a sibling that the index lists and that are not yanked.

    Packages on a test index may need siblings of the trusted index. Names are not disclosed to it otherwise, since
    a project of that name there may belong to another owner.
    """
    from relnox.indexes import client

    listings = [project.indexes.cached_listing(index, name)]
    if not project.indexes.is_production(index):
        listings.append(client.fetch_listing(project.indexes.trusted_simple_url, name))
    files = (file for listing in listings if not listing.redirected for file in listing.values())
    return {file.version for file in files if file.version is not None and not file.yanked}


def _problem(
    package: str, requirement: Requirement, public: set[Version], state: IndexState, project: Project
) -> Problem:
    """Return the problem for a requirement that neither the run nor the index satisfies."""
    name = normalize_name(requirement.name)
    versions = core.text.join_names(map(str, sorted(public, reverse=True)))
    reason = f"only {versions} on {state.name}" if public else f"{name} is not on {state.name}"
    if name in state.manifest.packages:
        reason += f", and this run publishes {state.manifest.version(name)}"
    task = "publish" if project.indexes.is_production(state.name) else "publish-test"
    command = core.fixes.task_command(task, "--index", state.name)
    fix = f"publish both in one run: {command} --package {package} --package {name}"
    if project.workspace.by_name[name].is_private:
        fix = f"remove the Private :: classifier of {name}, or the requirement of {package}"
    return core.problems.Problem(
        code="requirement-unavailable",
        message=f"{package} {state.manifest.version(package)} requires {requirement}, which cannot be installed "
        f"({reason})",
        fix=f"{fix}; to ignore it: --no-check-requirements",
    )
