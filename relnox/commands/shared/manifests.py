"""Reading the manifest of a release."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relnox import core
from relnox.commands.shared import releases
from relnox.core import fixes
from relnox.core.text import join_names
from relnox.errors import Blocked
from relnox.system.files import read_file

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from relnox.commands.shared.project import Project
    from relnox.core.release.manifest import Manifest

_REBUILD = f"rebuild: {fixes.task_command('build-all')}"


def read_release(root: Path, directory: str, names: Iterable[str]) -> Manifest:
    """Read the manifest in a directory, and check that it has packages with these names and can be released.

    Raises:
        Blocked: The manifest is missing or invalid, lists no files, has a file name that does not match its
            package and version, has packages that need one another in a cycle, or lacks one of the names.
    """
    manifest = read_manifest(root, directory)
    where = f"{directory}/{core.manifest.MANIFEST_JSON}"
    for file in manifest.distributions:
        if not core.collection.has_valid_filename(file):
            raise Blocked(
                "manifest-invalid",
                f"{where} lists {file.filename} as a file of {file.package} {file.version}",
                fix=_REBUILD,
            )
        if file.version != manifest.version(file.package):
            raise Blocked(
                "manifest-invalid", f"{where} lists files of two versions of {file.package}", fix=_REBUILD
            )
    core.graph.waves(dict(manifest.needs))
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
    path = root / directory / core.manifest.MANIFEST_JSON
    where = f"{directory}/{core.manifest.MANIFEST_JSON}"
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
    return core.manifest.Manifest.from_json(text, where=where)


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
            f"{dist}/{core.manifest.MANIFEST_JSON} is incomplete "
            f"(files of {join_names(missing, limit=6)} are missing)",
            fix=f"{fixes.task_command('build-all')}; or merge the output of all jobs: "
            f"{fixes.task_command('collect', '--from', 'DIR')}"
            + (f"; or publish only the others: {options}" if complete else ""),
        )
    return public_part(manifest.restricted_to(packages or frozenset(manifest.packages)), project)


def _absent_siblings(manifest: Manifest, project: Project) -> Iterator[str]:
    """Yield the packages without files that are always released together with packages of the manifest."""
    built = frozenset(manifest.packages)
    others = tuple(package.name for package in project.workspace.packages if package.name not in built)
    for group in releases.fixed_groups(project, (*built, *others)) if others else ():
        if not built.isdisjoint(group):
            yield from (name for name in group if name in others)
