"""Wheels of other repositories in folders (`--find-links`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relnox import core, steps
from relnox.core.planning import fixes
from relnox.errors import Blocked

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from packaging.version import Version

    from relnox.commands.shared.project import Project
    from relnox.core.release.manifest import Manifest


def copy_others(folders: Sequence[str], manifest: Manifest, project: Project) -> Iterator[steps.CopyFiles]:
    """Yield a step for each project outside the manifest that copies its newest wheels from the folders.

    Raises:
        Blocked: A folder does not exist or has no wheels, or a wheel has an invalid file name.
    """
    from packaging.utils import InvalidWheelFilename, parse_wheel_filename

    from relnox.building.file_hashes import hash_file, is_file_inside

    newest: dict[str, tuple[Version, str, list[Path]]] = {}
    for folder in folders:
        resolved = project.root / folder
        fix = f"build the wheels in the other repository: {fixes.task_command('build-all')}"
        if not resolved.is_dir():
            raise Blocked("folder-missing", f"{folder} is not a folder", fix=fix)
        wheels = sorted(path for path in resolved.glob("*.whl") if is_file_inside(resolved, path))
        if not wheels:
            raise Blocked("wheels-missing", f"{folder} has no wheels", fix=fix)
        for path in wheels:
            try:
                name, version, _, _ = parse_wheel_filename(path.name)
            except InvalidWheelFilename as error:
                raise Blocked(
                    "file-name-invalid",
                    f"{folder}/{path.name} is not a valid file name of a wheel ({error})",
                    fix="remove the file",
                ) from error
            if name in manifest.packages:
                continue
            if name not in newest or newest[name][0] < version:
                newest[name] = (version, folder, [])
            if newest[name][:2] == (version, folder):
                newest[name][2].append(path)
    for project_name, (version, folder, paths) in sorted(newest.items()):
        files = [
            core.manifest.Distribution(
                package=project_name,
                version=version,
                filename=path.name,
                kind="wheel",
                size=(digest := hash_file(path)).size,
                sha256=digest.sha256,
                blake2b_256=digest.blake2b_256,
            )
            for path in paths
        ]
        yield steps.CopyFiles(folder=folder, package=project_name, files=tuple(files))
