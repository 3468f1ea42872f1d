"""The JSON schemas in docs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]  # it ships no types

DOCS = Path(__file__).parents[1] / "docs"


def validate(document: Any, name: str) -> None:
    """Validate a document with `docs/NAME.schema.json`; a field that the schema does not name is an error, too."""
    schema = json.loads((DOCS / f"{name}.schema.json").read_text(encoding="utf-8"))
    jsonschema.Draft7Validator.check_schema(schema)
    jsonschema.validate(document, _exact(schema))


def _exact(schema: Any) -> Any:
    """Forbid other fields than those that a schema names: readers must ignore them, relnox may not write them."""
    if isinstance(schema, list):
        return [_exact(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    exact = {key: _exact(value) for key, value in schema.items()}
    return exact | {"additionalProperties": False} if "required" in schema else exact
