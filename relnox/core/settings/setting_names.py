"""A check that all names and patterns of packages in the settings match packages of the workspace."""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Any

from relnox.core.settings import patterns
from relnox.core.settings.config import Config
from relnox.core.settings.kinds import Kind, ListOf, TableOf, Text
from relnox.core.settings.patterns import PACKAGE_GLOB, PACKAGE_NAME, PACKAGE_PATTERN
from relnox.core.settings.schema import Table, fields_of
from relnox.core.text import did_you_mean
from relnox.core.workspace import Workspace
from relnox.errors import Blocked


def check_package_names(config: Config, workspace: Workspace) -> None:
    """Raise `Blocked` unless every name and pattern of packages in the settings matches one of the workspace."""
    packages = workspace.packages
    for kind, text, where in _texts_of_kind(Table(Config), config, "tool.relnox"):
        if kind is PACKAGE_NAME or kind is PACKAGE_GLOB:
            matches = any(fnmatchcase(package.name, text) for package in packages)
        elif kind is PACKAGE_PATTERN:
            matches = any(patterns.matches_package(text.removeprefix("!"), package) for package in packages)
        else:
            continue
        if not matches:
            names = {package.name for package in packages}
            if kind is PACKAGE_PATTERN:
                names |= {package.directory for package in packages}
            raise Blocked(
                "package-unknown",
                f"{text!r} in {where} matches no package of this workspace",
                fix=did_you_mean(patterns.normalize_path(text.removeprefix("!")), names),
            )


def _texts_of_kind(kind: Kind, value: Any, table: str, key: str = "") -> Iterator[tuple[Kind, str, str]]:
    """Yield each string in a setting, or in a whole table, with its kind, and the table and key where it is."""
    match kind:
        case Text():
            yield kind, value, f"[{table}] {key}"
        case ListOf(item=item):
            for element in value:
                yield from _texts_of_kind(item, element, table, key)
        case TableOf(item=item, keys=keys):
            for name, element in value.items():
                yield keys, name, f"[{table}] {key}"
                if isinstance(item, Table):
                    yield from _texts_of_kind(item, element, f"{table}.{key}.{name}")
                else:
                    yield from _texts_of_kind(item, element, table, key)
        case Table():
            inner = f"{table}.{key}" if key else table
            for field in fields_of(type(value)):
                if value.is_set(field.name):
                    yield from _texts_of_kind(field.kind, getattr(value, field.name), inner, field.key)
        case _:
            pass
