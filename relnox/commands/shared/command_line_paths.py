"""Paths on the command line are relative to the working directory, and those in plans to the project's root."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from relnox.core.settings.kinds import ListOf, PathText
from relnox.core.settings.options import CommonOptions
from relnox.core.settings.schema import Value, fields_of


def relative_to_root(
    declaration: type[CommonOptions], values: Mapping[str, Value], root: Path
) -> dict[str, Value]:
    """Return values of options with paths relative to the root instead of the working directory.

    Paths outside the root become absolute. Absolute paths are kept, and all paths if the working directory is the
    root. The values are by field name.
    """

    def converted(value: Value) -> Value:
        if isinstance(value, tuple):
            return tuple(str(converted(item)) for item in value)
        if not isinstance(value, str) or os.path.isabs(value):  # noqa: PTH117 - most values are no paths
            return value
        if os.path.samefile(root, os.curdir):  # noqa: PTH121 - as above
            return value
        path = Path(os.path.abspath(value))  # noqa: PTH100 - links are kept
        return (path.relative_to(root) if path.is_relative_to(root) else path).as_posix()

    paths = {field.name for field in fields_of(declaration) if _is_path(field.kind)}
    return {name: converted(value) if name in paths else value for name, value in values.items()}


def _is_path(kind: object) -> bool:
    return isinstance(kind.item if isinstance(kind, ListOf) else kind, PathText)
