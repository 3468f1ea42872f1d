"""The JSON schema (draft 7) of settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from relnox.core.settings.kinds import Flag, ListOf, Number, TableOf, Text
from relnox.core.settings.release_lines import ReleaseLineSetting
from relnox.core.settings.schema import Table

if TYPE_CHECKING:
    from relnox.core.settings.kinds import Kind
    from relnox.core.settings.schema import Field


def json_schema_of(kind: Kind) -> dict[str, Any]:
    """Return the JSON schema of a kind of setting; rules for strings are not part of it."""
    match kind:
        case Flag():
            return {"type": "boolean"}
        case Number(maximum=maximum):
            return {"type": "integer", "minimum": 0, "maximum": maximum}
        case Text(choices=choices):
            return {"type": "string"} | ({"enum": list(choices)} if choices else {})
        case ListOf(item=item, may_be_empty=may_be_empty):
            return {"type": "array", "items": json_schema_of(item)} | ({} if may_be_empty else {"minItems": 1})
        case ReleaseLineSetting(name=name, names=names, bounds=bounds):
            return {"anyOf": [json_schema_of(kind) for kind in (name, names, bounds)]}
        case TableOf(item=item):
            return {"type": "object", "additionalProperties": json_schema_of(item)}
        case Table(settings=settings, keys=keys):
            fields = [field for field in keys.values() if "file" in field.sources]
            needed = [field.key for field in fields if field.is_required]
            return {
                "type": "object",
                "additionalProperties": False,
                "properties": {field.key: _field_schema(field) for field in fields},
                "description": settings.summary(),
            } | ({"required": needed} if needed else {})
        case _:
            raise TypeError(f"a kind of setting without a JSON schema: {type(kind).__name__}")


def _field_schema(field: Field) -> dict[str, Any]:
    """Return the JSON schema of a setting, with its help text and its default."""
    default = list(field.default) if isinstance(field.default, tuple) else field.default
    is_constant = default not in (None, [], "") and isinstance(default, bool | int | str | list)
    return json_schema_of(field.kind) | {"description": field.help} | ({"default": default} if is_constant else {})
