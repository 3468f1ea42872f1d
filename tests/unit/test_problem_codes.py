"""docs/problems.md has a row for every code of the source, and no other ones."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import TYPE_CHECKING

import relnox

if TYPE_CHECKING:
    from collections.abc import Iterator

SOURCE = Path(relnox.__file__).parent
PAGE = SOURCE.parent / "docs" / "problems.md"
CODE = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


def codes(trees: list[ast.Module]) -> Iterator[str]:
    """Yield the literals that are passed as `code`, by keyword or as the first argument, and its defaults."""
    nodes = [node for tree in trees for node in ast.walk(tree)]
    takers = {"Problem"}
    takers |= {
        node.name
        for node in nodes
        if isinstance(node, ast.FunctionDef) and "code" in [argument.arg for argument in node.args.args[:1]]
    }
    for _ in range(3):  # subclasses of subclasses
        takers |= {
            node.name
            for node in nodes
            if isinstance(node, ast.ClassDef) and takers & {getattr(base, "id", "") for base in node.bases}
        }
    for node in nodes:
        values: list[ast.expr | None] = []
        if isinstance(node, ast.Call):
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            values = [*(word.value for word in node.keywords if word.arg == "code")]
            values += node.args[:1] if name in takers else []
        elif isinstance(node, ast.FunctionDef):
            pairs = zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)
            values = [default for argument, default in pairs if argument.arg == "code"]
        for value in values:
            for constant in ast.walk(value) if value is not None else ():
                if isinstance(constant, ast.Constant) and CODE.fullmatch(str(constant.value)):
                    yield str(constant.value)


def test_every_code_has_a_row_and_every_row_a_code() -> None:
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in SOURCE.rglob("*.py")]
    rows = re.findall(r"^\| `([a-z0-9-]+)` \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(rows) == len(set(rows))
    found = set(codes(trees))
    assert sorted(found - set(rows)) == []
    # A table of errors has codes as plain text.
    constants = {node.value for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Constant)}
    assert sorted(set(rows) - constants) == []
    assert len(rows) <= 180
