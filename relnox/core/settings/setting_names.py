"""A check that names and patterns of packages in the settings match packages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relnox.core.settings import patterns
from relnox.core.settings.config import is_named
from relnox.core.settings.schema import did_you_mean
from relnox.errors import Blocked

if TYPE_CHECKING:
    from collections.abc import Iterator

    from relnox.core.settings.config import Config
    from relnox.core.workspace import Workspace

__all__ = ["check"]


def check(config: Config, workspace: Workspace) -> None:
    """Check that every name and every pattern of packages in the settings matches a package of the workspace.

    Raises:
        Blocked: One matches none.
    """
    for where, globs in _patterns(config):
        patterns.check(globs, workspace.packages, where)
    packages = [package.name for package in workspace.packages]
    archive_keys = {"metadata-only": config.metadata_only, "optional-extensions": config.optional_extensions}
    for key, globs in archive_keys.items():
        for glob in globs:
            if not any(is_named(name, (glob,)) for name in packages):
                raise Blocked(
                    "package-unknown",
                    f"[tool.relnox] {key} names {glob!r}, which matches no package of this workspace",
                    fix=did_you_mean(glob, packages),
                )
    for where, name in _names(config):
        if name not in workspace.by_name:
            raise Blocked(
                "package-unknown",
                f"{where} names {name}, which is not a package of this workspace",
                fix=did_you_mean(name, packages),
            )
    if config.wheels.packages or config.wheels.abi or config.wheels.skip:
        from relnox.core.release import wheels  # imported lazily: few projects have platform wheels

        wheels.check_settings(config.wheels, packages)


def _patterns(config: Config) -> Iterator[tuple[str, tuple[str, ...]]]:
    for name, group in config.groups.items():
        yield f"[tool.relnox.groups.{name}] packages", group.packages
    yield "[tool.relnox] tag-formats", tuple(config.tag_formats)


def _names(config: Config) -> Iterator[tuple[str, str]]:
    for name in config.tag_names:
        yield "[tool.relnox] tag-names", name
    for name in config.dependency_updates.values():
        yield "[tool.relnox] dependency-updates", name
    for name in config.build.commands:
        yield "[tool.relnox.build] commands", name
    for name, key in config.verify.names.items():
        yield f"[tool.relnox.verify] {key}", name
