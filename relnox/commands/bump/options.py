"""The options of `bump`, and the bump that they request."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from relnox.commands.options import BumpOptions as Options
from relnox.core.settings.schema import fields_of
from relnox.core.versions.requested_bump import Bump


def requested_bump(options: Options) -> Bump:
    """Return how the options change a version."""
    names = ("part", "pre", "to", "always_increment", "allow_lower", "number")
    values: Any = {name: getattr(options, name) for name in names}
    return Bump(**values)


def command_line_words(options: Options, names: Collection[str]) -> tuple[str, ...]:
    """Return the options with these field names as command-line words, except those that have their defaults."""
    words: list[str] = []
    for field in fields_of(type(options)):
        value = getattr(options, field.name)
        if field.name not in names or value in (field.default, None):
            continue
        if field.is_list:
            words += [word for name in value for word in (field.flag, name)]
        else:
            words += [field.flag] if value is True else [field.flag, str(value)]
    return tuple(words)
