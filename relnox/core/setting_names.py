"""Names and patterns of packages in the settings: each must mean a package, or it is a typing error."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relnox.core import patterns
from relnox.core.config import is_named
from relnox.core.schema import did_you_mean
from relnox.errors import Blocked

if TYPE_CHECKING:
    from collections.abc import Iterator

    from relnox.core.config import Config
    from relnox.core.workspace import Workspace

__all__ = ["check"]


def check(config: Config, workspace: Workspace) -> None:
    """See that every name and every pattern of packages in the settings means one of the workspace.

    Raises:
        Blocked: One means none.
    """
    for where, listed in _patterns(config):
        patterns.check(listed, workspace.packages, where)
    known = [package.name for package in workspace.packages]
    of_archives = {"metadata-only": config.metadata_only, "optional-extensions": config.optional_extensions}
    for key, globs in of_archives.items():
        for glob in globs:
            if not any(is_named(name, (glob,)) for name in known):
                raise Blocked(
                    "todo",
                    f"[tool.relnox] {key} names {glob!r}, which is no package of this workspace",
                    fix=did_you_mean(glob, known),
                )
    for where, name in _names(config):
        if name not in workspace.by_name:
            raise Blocked(
                "todo",
                f"{where} names {name}, which is no package of this workspace",
                fix=did_you_mean(name, known),
            )
    if config.wheels.packages or config.wheels.abi or config.wheels.skip:
        from relnox.core import wheels  # the matrix, which few projects have

        wheels.check(config.wheels, known)


def _patterns(config: Config) -> Iterator[tuple[str, tuple[str, ...]]]:
    for name, group in config.groups.items():
        yield f"[tool.relnox.groups.{name}] packages", group.packages
    yield "[tool.relnox] tag-formats", tuple(config.tag_formats)


def _names(config: Config) -> Iterator[tuple[str, str]]:
    for name in config.tag_names:
        yield "[tool.relnox] tag-names", name
    for of in config.dependency_updates.values():
        yield "[tool.relnox] dependency-updates", of
    for name in config.build_commands:
        yield "[tool.relnox.build] commands", name
    for name, key in config.verify.names.items():
        yield f"[tool.relnox.verify] {key}", name
