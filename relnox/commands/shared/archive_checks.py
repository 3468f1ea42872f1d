"""Checks of archives to release, which may have been built anywhere: with other settings, or by other tools."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from relnox.core.settings.config import Config

if TYPE_CHECKING:
    from relnox.errors import Problem

    Archives = Iterable[tuple[str, Path]]
    """The package and path of each existing archive."""


def archive_errors(archives: Archives, config: Config, *, public: bool) -> Iterator[tuple[Path, Problem]]:
    """Yield the errors found in the archives, each with its path; `public` adds the rules of public indexes."""
    from relnox.building import checks

    for package, path in archives:
        for finding in checks.find_errors(
            path,
            public=public,
            may_be_empty=config.is_metadata_only(package),
            optional_extensions=config.has_optional_extensions(package),
        ):
            yield path, finding


def errors_against_sdist(archives: Archives, config: Config) -> Iterator[tuple[Path, Problem]]:
    """Yield the wheels that differ from the sdist of their package, each with the error."""
    from relnox.building import checks

    by_package: dict[str, dict[str, Path]] = {}
    for package, path in archives:
        by_package.setdefault(package, {})[path.name] = path
    for package, paths in by_package.items():
        is_optional = config.has_optional_extensions(package)
        for finding in checks.find_errors_against_sdist(paths.values(), optional_extensions=is_optional):
            yield paths[finding.file], finding
