"""The settings of the project that some steps read when they run (`Run.result`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from relnox.core.records import Record
from relnox.core.settings.config_tables import ArchiveLimits
from relnox.steps.export_commit import build_source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from relnox.steps.run import Run


class InstallerSettings(Record):
    """The settings for installing build requirements.

    Attributes:
        only_index: The URL of the only index to use, or None to use the configuration of pip and uv.
    """

    only_index: str | None = None
    uv: tuple[tuple[str, Any], ...] = ()


class PackageFolders(Record):
    """The folder of each package of the project, by name; read on first use."""

    read: Callable[[], Mapping[str, str]]


def find_packages_with_module(package: str, modules: Iterable[str], run: Run) -> tuple[str, tuple[str, ...]]:
    """Return the first of the modules that other packages of the project contain, and these packages.

    Args:
        package: The package that lacks a module.
        modules: Names that the missing module may have, the likeliest first.
        run: The run.
    """
    from relnox.source import module_owners

    folders = run.result(PackageFolders)
    others = {name: folder for name, folder in folders.read().items() if name != package} if folders else {}
    return module_owners.find_first_owned_module(build_source(run).folder, others, modules)


def archive_limits(run: Run) -> ArchiveLimits:
    """Return the limits for archives that are read."""
    return run.result(ArchiveLimits) or ArchiveLimits()
