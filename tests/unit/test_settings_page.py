"""`docs/settings.md` lists every setting."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from relnox.core.settings.config import BUILD_KEYS, OPTION_TABLES, PUBLISH_KEYS, VERIFY_KEYS, config_table
from relnox.core.settings.schema import ListOf, Table, TableOf

PAGE = (Path(__file__).parents[2] / "docs" / "settings.md").read_text(encoding="utf-8")
ROWS = {row[1]: row[0] for row in re.finditer(r"^\| `([a-z-]+)` \|.*$", PAGE, re.MULTILINE)}
SETTINGS = config_table({}).keys


def test_every_key_has_a_row() -> None:
    assert ROWS.keys() - OPTION_TABLES == SETTINGS.keys()


@pytest.mark.parametrize("key", SETTINGS)
def test_the_row_of_a_table_has_its_keys(key: str) -> None:
    kind = SETTINGS[key]
    table = kind.kind if isinstance(kind, (ListOf, TableOf)) else kind
    if isinstance(table, Table):
        assert {name for name in table.keys if f"`{name}`" not in ROWS[key]} == set()


@pytest.mark.parametrize(
    ("table", "keys"), [("build", BUILD_KEYS), ("publish", PUBLISH_KEYS), ("verify", VERIFY_KEYS)]
)
def test_the_rows_of_options_have_the_further_keys(table: str, keys: dict[str, object]) -> None:
    assert {name for name in keys if f"`{name}`" not in ROWS[table]} == set()
