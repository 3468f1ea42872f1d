"""What a release is: the manifest of a build, and which of its packages belong to the release.

Those are the packages whose release tag is at the built commit, or that are not public yet. The other packages of
the build were released earlier, from other commits. They are skipped.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from relnox.commands.shared.project import Project
from relnox.core import fixes, graph
from relnox.core.release import collection
from relnox.core.release.manifest import MANIFEST_JSON, Distribution, Manifest
from relnox.core.text import join_names
from relnox.core.version_groups import find_version_groups
from relnox.errors import Blocked
from relnox.system.files import read_file

_REBUILD = f"rebuild: {fixes.task_command('build-all')}"


def read_release(root: Path, directory: str, names: Iterable[str]) -> Manifest:
    """Read the manifest in a directory, and check that it has packages with these names and can be released.

    Raises:
        Blocked: The manifest is missing or invalid, lists no files, has a file name that does not match its
            package and version, has packages that need one another in a cycle, or lacks one of the names.
    """
    manifest = read_manifest(root, directory)
    where = f"{directory}/{MANIFEST_JSON}"
    for file in manifest.distributions:
        if not collection.has_valid_filename(file):
            raise Blocked(
                "manifest-invalid",
                f"{where} lists {file.filename} as a file of {file.package} {file.version}",
                fix=_REBUILD,
            )
        if file.version != manifest.version(file.package):
            raise Blocked(
                "manifest-invalid", f"{where} lists files of two versions of {file.package}", fix=_REBUILD
            )
    graph.waves(dict(manifest.needs))
    if not manifest.distributions:
        raise Blocked("archive-missing", f"{where} lists no files", fix=_REBUILD)
    if missing := sorted(set(names) - set(manifest.packages)):
        raise Blocked("archive-missing", f"{where} lists no files of {', '.join(missing)}", fix=_REBUILD)
    return manifest


def read_manifest(root: Path, directory: str) -> Manifest:
    """Read the manifest in a directory of artifacts.

    Raises:
        Blocked: The manifest does not exist, cannot be read, or is invalid.
    """
    path = root / directory / MANIFEST_JSON
    where = f"{directory}/{MANIFEST_JSON}"
    if not path.is_file():
        raise Blocked(
            "manifest-missing", f"{where} does not exist: nothing was built", fix=fixes.task_command("build-all")
        )
    try:
        text = read_file(path).decode()
    except UnicodeDecodeError:
        raise Blocked(
            "manifest-invalid", f"{where} is not a valid manifest (it is not in UTF-8)", fix=_REBUILD
        ) from None
    except OSError as error:
        raise Blocked("manifest-invalid", f"cannot read {where} ({error.strerror})", fix=_REBUILD) from error
    return Manifest.from_json(text, where=where)


def public_part(manifest: Manifest, project: Project) -> tuple[Manifest, tuple[str, ...]]:
    """Return the manifest without private packages (`Private ::` classifier), and the names of those packages."""
    private_names = {package.name for package in project.workspace.packages if package.is_private}
    private = tuple(name for name in manifest.packages if name in private_names)
    return manifest.restricted_to(frozenset(manifest.packages) - private_names), private


def private_notes(private: Sequence[str]) -> Iterator[str]:
    """Yield a note for each private package, saying that it is not published."""
    for name in private:
        yield f"{name} is private (a Private :: classifier) and is not published"


def read_public_part(dist: str, names: tuple[str, ...], project: Project) -> tuple[Manifest, tuple[str, ...]]:
    """Return the manifest of the selected packages without private ones, and the names of the private ones.

    Raises:
        Blocked: The manifest cannot be released (see `read_release`), or no packages are selected and it lacks
            files of packages that could not be built, that other jobs build, or that are released together with
            one of its packages.
    """
    packages = frozenset(package.name for package in project.workspace.select(names))
    manifest = read_release(project.root, dist, packages)
    private = {package.name for package in project.workspace.packages if package.is_private}
    missing = sorted({*manifest.missing, *_absent_siblings(manifest, project)} - private) if not packages else []
    if missing:
        complete = [name for name in manifest.packages if name not in {*missing, *private}]
        options = " ".join(f"--package {name}" for name in complete)
        raise Blocked(
            "manifest-incomplete",
            f"{dist}/{MANIFEST_JSON} is incomplete (files of {join_names(missing, limit=6)} are missing)",
            fix=f"{fixes.task_command('build-all')}; or merge the output of all jobs: "
            f"{fixes.task_command('collect', '--from', 'DIR')}"
            + (f"; or publish only the others: {options}" if complete else ""),
        )
    return public_part(manifest.restricted_to(packages or frozenset(manifest.packages)), project)


def _absent_siblings(manifest: Manifest, project: Project) -> Iterator[str]:
    """Yield the packages without files that are always released together with packages of the manifest."""
    built = frozenset(manifest.packages)
    others = tuple(package.name for package in project.workspace.packages if package.name not in built)
    for group in fixed_groups(project, (*built, *others)) if others else ():
        if not built.isdisjoint(group):
            yield from (name for name in group if name in others)


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
        names = join_names(f"{name} {earlier.version(name)}" for name in earlier.packages)
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
    needed = graph.closure(frozenset(release.packages), dict(release.needs))
    return {
        name: tuple(
            Distribution(
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
    listing = project.indexes[index].cached_listing(name)
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
