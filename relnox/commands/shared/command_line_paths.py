"""Paths on the command line are relative to the working directory, and those in plans to the project's root."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from relnox.core.settings.kinds import ListOf, PathText
from relnox.core.settings.schema import fields_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from relnox.core.settings.options import CommonOptions
    from relnox.core.settings.schema import Value


def relative_to_root(
    declaration: type[CommonOptions], values: Mapping[str, Value], root: Path
) -> dict[str, Value]:
    """Return values of options with paths relative to the root instead of the working directory.

    Absolute paths are kept. The values are by field name.
    """
    return _convert(declaration, values, root, lambda path: os.path.relpath(path, root))


def relative_to_working_directory(
    declaration: type[CommonOptions], values: Mapping[str, Value], root: Path
) -> dict[str, Value]:
    """Return values of options with paths as a command line has them; the reverse of `relative_to_root`."""
    return _convert(declaration, values, root, lambda path: os.path.relpath(root / path))


def _convert(
    declaration: type[CommonOptions], values: Mapping[str, Value], root: Path, convert: Callable[[str], str]
) -> dict[str, Value]:
    """Convert the relative paths among the values of options, unless the root is the working directory."""

    def converted(value: Value) -> Value:
        if isinstance(value, tuple):
            return tuple(str(converted(item)) for item in value)
        if not isinstance(value, str) or os.path.isabs(value):  # noqa: PTH117 - as below
            return value
        if os.path.samefile(root, os.curdir):  # noqa: PTH121 - the value is kept as it was written
            return value
        try:
            return Path(convert(value)).as_posix()
        except ValueError:  # another drive
            return os.path.abspath(value)  # noqa: PTH100 - links are kept

    paths = {field.name for field in fields_of(declaration) if _is_path(field.kind)}
    return {name: converted(value) if name in paths else value for name, value in values.items()}


def _is_path(kind: object) -> bool:
    return isinstance(kind.item if isinstance(kind, ListOf) else kind, PathText)
