"""What a release is: the packages of a build whose release tag is at the built commit, or that are not public yet.

The other packages of the build were released earlier, from other commits. They are skipped.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from relnox import core
from relnox.commands.shared import tag_checks
from relnox.core.version_groups import find_version_groups
from relnox.errors import Blocked

if TYPE_CHECKING:
    from collections.abc import Iterator

    from relnox.commands.shared.project import Project
    from relnox.core.release.manifest import Distribution, Manifest


def split_release(
    manifest: Manifest, index: str, project: Project, insisted: frozenset[str] = frozenset()
) -> tuple[Manifest, Manifest]:
    """Return the manifest of the release, and that of the packages that were released earlier.

    Packages of a fixed version group are released together. If every package was released earlier, all of them
    are the release, and are compared with the public files.

    Args:
        manifest: The manifest of the build, without private packages.
        index: The name of the index, whose listings were requested.
        project: The project.
        insisted: The packages that are part of the release whatever their tags are.
    """
    packages = frozenset(manifest.packages)
    earlier: set[str] = set()
    if any(_public_files(name, manifest, index, project) for name in packages - insisted):
        remote_tags, _ = tag_checks.read_remote_tags(project)
        project = project if remote_tags is None else project.with_remote_tags(remote_tags)
        tags = release_tags(manifest, project)
        for names in fixed_groups(project, manifest.packages):
            is_decided = not insisted.isdisjoint(names)
            is_tagged_here = any(manifest.commit in tags[name].values() for name in names)
            if not is_decided and not is_tagged_here:
                is_released = (
                    _is_released(name, manifest, index, project, is_tagged=bool(tags[name])) for name in names
                )
                earlier |= {*names} if all(is_released) else set()
    if earlier == packages:
        earlier = set()
    return manifest.restricted_to(packages - earlier), manifest.restricted_to(frozenset(earlier))


def released_earlier_notes(earlier: Manifest, index: str) -> Iterator[str]:
    """Yield a note on the packages that a run skips."""
    if earlier.packages:
        names = core.text.join_names(f"{name} {earlier.version(name)}" for name in earlier.packages)
        yield f"not part of this release: {names} (released earlier, already on {index})"


def release_tags(manifest: Manifest, project: Project) -> dict[str, dict[str, str]]:
    """Map each package of a manifest to the tags of its version, with their commits."""
    try:
        formats = project.tag_formats if project.tags else {}
    except Blocked:  # ambiguous settings of tag formats, which `bump` reports
        formats = {}
    return {
        name: {
            tag: project.tags[tag]
            for tag, version in formats[name].matching_tags(sorted(project.tags))
            if version == manifest.version(name)
        }
        if name in formats
        else {}
        for name in manifest.packages
    }


def packages_tagged_here(project: Project) -> frozenset[str]:
    """Return the packages that have a release tag of their version at the current commit."""
    if project.state is None:
        return frozenset()
    here = sorted(tag for tag, commit in project.tags.items() if commit == project.state.head)
    return frozenset(
        package.name
        for package in (project.workspace.packages if here else ())
        for _, version in project.tag_formats[package.name].matching_tags(here)
        if package.version in (None, version)
    )


def fixed_groups(project: Project, names: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Yield those of the packages that are always released together: of one fixed group, or a single package."""
    others = dict.fromkeys(names)
    for group in find_version_groups(project.workspace, project.config):
        members = tuple(package.name for package in group.packages if package.name in others)
        if group.kind == "fixed" and members:
            yield members
            others = dict.fromkeys(name for name in others if name not in members)
    yield from ((name,) for name in others)


def published_siblings(
    release: Manifest, earlier: Manifest, index: str, project: Project
) -> dict[str, tuple[Distribution, ...]]:
    """Map each package that was released earlier, and that the release needs, to its public files."""
    needed = core.graph.closure(frozenset(release.packages), dict(release.needs))
    return {
        name: tuple(
            core.manifest.Distribution(
                package=name,
                version=earlier.version(name),
                filename=filename,
                kind="wheel" if filename.endswith(".whl") else "sdist",
                size=0,  # not known, and not needed to install the file
                sha256=sha256,
                blake2b_256="",
            )
            for filename, sha256 in _public_files(name, earlier, index, project).items()
            if sha256 is not None
        )
        for name in earlier.packages
        if name in needed
    }


def _public_files(name: str, manifest: Manifest, index: str, project: Project) -> dict[str, str | None]:
    """Return the files of a package's version that the index lists, with their SHA-256 if it has them."""
    version = manifest.version(name)
    listing = project.indexes.cached_listing(index, name)
    return {file.filename: file.sha256 for file in listing.values() if file.version == version}


def _is_released(name: str, manifest: Manifest, index: str, project: Project, *, is_tagged: bool) -> bool:
    """Return whether a version without a tag at the built commit is public, and was built from another commit.

    Without a tag on another commit, that shows in complete files, all with other content: if one of them is that
    of this build, the others were damaged on the way, or uploaded by another job.
    """
    public = _public_files(name, manifest, index, project)
    if is_tagged:
        return bool(public)
    return all(public.get(file.filename) not in (None, file.sha256) for file in manifest.files_of(name))
