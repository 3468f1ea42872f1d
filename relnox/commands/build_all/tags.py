"""The tags on the commit to build, for packages whose versions come from tags."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relnox import core

if TYPE_CHECKING:
    from collections.abc import Iterator

    from relnox.commands.shared.project import Project
    from relnox.core.packages import Package
    from relnox.core.versions.derived_versions import CommitTags


def commit_tags(packages: tuple[Package, ...], project: Project) -> Iterator[tuple[str, CommitTags]]:
    """Yield each package whose version is computed by its build backend, with the tags on the present commit."""
    from relnox.source import tag_versions

    state, formats = project.state, project.tag_formats
    here = [tag for tag, commit in state.tags.items() if commit == state.head] if state is not None else []
    for package in packages:
        if package.source.kind in ("tags", "dynamic"):
            derives = package.source.kind == "tags"
            remedy = ""
            if derives:
                settings = tag_versions.settings_for_own_tags(package, formats[package.name].prefix)
                remedy = f"make the build backend use the package's own tags; add to the named file:\n{settings}"
            tags = core.derived_versions.tags_of_commit(
                package.name, here, formats, derives=derives, remedy=remedy
            )
            yield package.name, tags


def untagged_packages(packages: tuple[Package, ...], project: Project) -> tuple[str, ...]:
    """Return the names of packages whose versions come from tags, but that have no tag on the present commit."""
    state, formats = project.state, project.tag_formats
    here = [tag for tag, commit in state.tags.items() if commit == state.head] if state is not None else []
    return tuple(
        package.name
        for package in packages
        if package.source.kind == "tags" and formats[package.name].latest_tag(here) is None
    )
