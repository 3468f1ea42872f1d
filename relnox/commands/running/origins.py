"""Where the values of options and settings come from, for `--explain`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from relnox import core
from relnox.core.settings.release_lines import ReleaseLine
from relnox.core.settings.schema import Settings, fields_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from relnox.core.planning.plan import Table
    from relnox.core.settings.config import Config
    from relnox.core.settings.options import OptionValue


def tables(options: Mapping[str, OptionValue], config: Config) -> tuple[Table, ...]:
    """Return a table of the task's options and one of the settings, with the value and origin of each."""
    rows = tuple(
        (name.rstrip("_").replace("_", "-"), _format_value(option.value), option.origin)
        for name, option in options.items()
    )
    columns = ("value", "comes from")
    return (
        core.plan.Table(title="Options", columns=("option", *columns), rows=rows),
        core.plan.Table(
            title="Settings", columns=("setting", *columns), rows=tuple(_setting_rows(config, "tool.relnox"))
        ),
    )


def _setting_rows(settings: Settings, table: str) -> Iterator[tuple[str, str, str]]:
    """Yield the key, the value and the origin of each setting in a table and its subtables."""
    for field in fields_of(type(settings)):
        value = getattr(settings, field.name)
        if isinstance(value, Settings):
            yield from _setting_rows(value, f"{table}.{field.key}")
            continue
        default = f"default ({field.otherwise})" if field.otherwise else "default"
        key = f"{table}.{field.key}".removeprefix("tool.relnox.")
        yield key, _format_value(value), f"[{table}] {field.key}" if settings.is_set(field.name) else default


def _format_value(value: Any) -> str:
    """Format a value as JSON, or as a dash if it is None or empty."""
    if value in (None, (), "") or value == {}:
        return "-"
    return json.dumps(value, default=_to_json_value, ensure_ascii=False)


def _to_json_value(value: Settings | Mapping[str, Any] | ReleaseLine) -> dict[str, Any] | str:
    """Convert a value to a type that JSON can represent."""
    if isinstance(value, ReleaseLine):
        return str(value)
    return dict(value) if isinstance(value, Mapping) else dict(vars(value))
