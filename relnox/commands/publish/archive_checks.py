"""Checks of a release's archives on disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from relnox.building.checks import Finding
    from relnox.core.release.manifest import Distribution, Manifest
    from relnox.core.settings.config import Config

__all__ = ["local_hashes", "violations"]


def local_hashes(folder: Path, manifest: Manifest) -> dict[str, str]:
    """Return SHA-256 by name of the manifest's files that exist in a folder."""
    from relnox.building.archives import digests, is_in

    paths = [folder / file.filename for file in manifest.distributions]
    return {path.name: digests(path).sha256 for path in paths if is_in(folder, path)}


def violations(
    folder: Path, manifest: Manifest, files: Sequence[Distribution], *, public: bool, config: Config
) -> Iterator[Finding]:
    """Check archives on disk, which may not have been built by relnox.

    Args:
        folder: Their folder.
        manifest: The release.
        files: The files of it to check.
        public: Whether the rules of a public index apply.
        config: The project's settings.
    """
    from relnox.building import archives, checks

    for file in files:
        if archives.is_in(folder, path := folder / file.filename):
            yield from checks.errors(
                path,
                public=public,
                limits=config.archives,
                may_be_empty=config.is_metadata_only(file.package),
                optional_extensions=config.has_optional_extensions(file.package),
            )
    yield from _missing_extensions(folder, manifest, {file.package for file in files}, config)


def _missing_extensions(
    folder: Path, manifest: Manifest, packages: Iterable[str], config: Config
) -> Iterator[Finding]:
    """Find wheels without the extension modules that their source distribution declares."""
    from relnox.building import archives, checks

    for package in sorted(packages):
        if not config.has_optional_extensions(package):
            paths = [folder / file.filename for file in manifest.files_of(package)]
            existing = [path for path in paths if archives.is_in(folder, path)]
            yield from checks.extension_errors(existing, config.archives)
