"""Whether users can install what is published: its requirements are on the indexes, or in the same run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relnox import core
from relnox.core.names import normalized

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from relnox.building.archives import Archive
    from relnox.commands.project import Project
    from relnox.commands.publishing.inspection import Snapshot
    from relnox.core.availability import Need
    from relnox.core.plan import Problem

__all__ = ["HELP", "requirements"]

HELP = "Ask the indexes for what packages require before they are published; --no-check-requirements does not."
_LIMIT = 500
"""Projects that are asked for at most."""


def requirements(
    snapshot: Snapshot, project: Project, folder: Path
) -> tuple[tuple[Problem, ...], tuple[str, ...]]:
    """Requirements that cannot be had, and what a reader should know of others.

    Packages of which a file is public already are not looked at: what they began is finished.

    Args:
        snapshot: What is published, and what the index has of it.
        project: The project.
        folder: The folder with the archives.
    """
    needs: dict[str, list[Need]] = {}
    for need in _needs(snapshot, project, folder):
        needs.setdefault(need.name, []).append(need)
    asked = dict(list(needs.items())[:_LIMIT])
    if not asked:
        return (), ()
    # The name of a package of this checkout is told to a public index only where it would be published there.
    trusted = {name for name, of in asked.items() if not (snapshot.production and of[0].sibling)}
    found = project.indexes.available(snapshot.target, asked, trusted=trusted)
    every = [need for of in asked.values() for need in of]
    released = {name: snapshot.manifest.version(name) for name in snapshot.manifest.packages}
    remarks = [
        *core.availability.unmet_extras(every, found, released),
        *core.availability.unreadable(found, every),
    ]
    if len(needs) > len(asked):
        remarks.append(f"of {len(needs)} requirements the first {len(asked)} were looked for")
    task, usual = ("publish", "pypi") if snapshot.production else ("publish-test", "testpypi")
    index = "" if snapshot.target == usual else f" --index {snapshot.target}"
    command = f"relnox {task}{index}"
    return tuple(core.availability.unmet(every, found, released, command)), tuple(remarks)


def _needs(snapshot: Snapshot, project: Project, folder: Path) -> Iterator[Need]:
    """What packages that are new on the index require and this run does not bring."""
    from packaging.specifiers import SpecifierSet

    from relnox.building import archives

    manifest = snapshot.manifest
    siblings = project.workspace.by_name
    for package in manifest.packages:
        files = manifest.files_of(package)
        if any(file.filename in snapshot.listed.get(package, {}) for file in files):
            continue
        wheels = [file for file in files if file.kind == "wheel"]
        paths = [folder / file.filename for file in wheels or files]
        read = (
            archives.read(path, project.config.archives)
            for path in paths
            if archives.is_in(folder, path) and not any(each.file == path.name for each in snapshot.unfit)
        )
        seen: set[str] = set()
        for name, text, specifier, extra in _required(read):
            is_here = name in manifest.packages and SpecifierSet(specifier).contains(
                manifest.version(name), prereleases=True
            )
            skipped = core.availability.unchecked(name, project.config.publish.unchecked_requirements)
            if name != package and text not in seen and not is_here and not skipped:
                yield core.availability.Need(
                    package=package,
                    version=manifest.version(package),
                    text=text,
                    name=name,
                    specifier=specifier,
                    extra=extra,
                    sibling=name in siblings,
                    private=name in siblings and siblings[name].private,
                )
            seen.add(text)


def _required(found: Iterable[Archive]) -> Iterator[tuple[str, str, str, bool]]:
    """Name, text, versions and whether only an extra asks for it, of each requirement that may ever count."""
    from packaging.requirements import InvalidRequirement, Requirement

    from relnox.building import modules
    from relnox.building.checks.requirements import can_apply

    for archive in found:
        pythons = modules.requires_python(archive)
        for text in archive.requires:
            try:
                requirement = Requirement(text)
            except InvalidRequirement:  # the checks of archives tell that
                continue
            if requirement.url is not None:
                continue
            always = can_apply(requirement, pythons, extras=False)
            if always or can_apply(requirement, pythons, extras=True):
                yield normalized(requirement.name), text, str(requirement.specifier), not always
