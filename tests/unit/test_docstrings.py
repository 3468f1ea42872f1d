"""Docstrings name the attributes and parameters that exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import relnox

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(relnox.__file__).parent
SOURCES = sorted(ROOT.rglob("*.py"))


def documented(node: ast.ClassDef | ast.FunctionDef, section: str) -> list[str]:
    """The names that a section of a docstring describes."""
    text = re.search(rf"^{section}:\n((?: +.*\n?|\n)*)", ast.get_docstring(node) or "", re.MULTILINE)
    return re.findall(r"^    \*{0,2}(\w+):", text[1], re.MULTILINE) if text is not None else []


def attributes(node: ast.ClassDef) -> Iterator[str]:
    """The names that a class or its methods define."""
    for child in ast.walk(node):
        if isinstance(child, ast.FunctionDef):
            yield child.name
        elif isinstance(child, ast.Name | ast.Attribute) and isinstance(child.ctx, ast.Store):
            yield child.id if isinstance(child, ast.Name) else child.attr


def unknown_names(source: str) -> list[str]:
    """The documented attributes and parameters that do not exist."""
    unknown = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ClassDef):
            known = {*attributes(node), *(name for method in node.body for name in parameters(method))}
            unknown += [f"{node.name}.{name}" for name in documented(node, "Attributes") if name not in known]
        elif isinstance(node, ast.FunctionDef):
            known = set(parameters(node))
            unknown += [f"{node.name}({name})" for name in documented(node, "Args") if name not in known]
    return unknown


def parameters(node: ast.AST) -> list[str]:
    """The names of a function's parameters."""
    return (
        [child.arg for child in ast.walk(node.args) if isinstance(child, ast.arg)]
        if isinstance(node, ast.FunctionDef)
        else []
    )


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_documented_names_exist(path: Path) -> None:
    assert unknown_names(path.read_text(encoding="utf-8")) == []


def test_a_name_that_does_not_exist_is_found() -> None:
    source = '''
class Point:
    """A point.

    Attributes:
        x: Its column.
        z: Its depth.
    """

    x: int

    def move(self, by: int) -> None:
        """Move it.

        Args:
            by: How far.
            on: Which way.
        """
'''
    assert unknown_names(source) == ["Point.z", "move(on)"]
