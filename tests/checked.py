"""A project in which `check` finds nothing, for each of the usual backends."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from projects import NOXFILE, git, repository, write

from relnox.cli import main

if TYPE_CHECKING:
    from pathlib import Path

BACKENDS = {
    "hatchling": ('["hatchling>=1.26"]', "hatchling.build"),
    "setuptools": ('["setuptools>=77"]', "setuptools.build_meta"),
    "flit": ('["flit_core>=3.11,<4"]', "flit_core.buildapi"),
    "pdm": ('["pdm-backend"]', "pdm.backend"),
    "uv": ('["uv_build>=0.9,<1"]', "uv_build"),
    "in-tree": ('[]\nbackend-path = ["backend"]', "house"),
    "poetry": ('["poetry-core>=2"]', "poetry.core.masonry.api"),
}
PROJECT = """\
[build-system]
requires = {requires}
build-backend = "{backend}"

[project]
name = "{name}"
version = "1.0.0"
description = "Says hello"
readme = "README.md"
requires-python = ">=3.11"
license = "MIT"
license-files = ["LICENSE"]
authors = [{{ name = "The authors", email = "authors@example.org" }}]
keywords = ["hello"]
classifiers = ["Programming Language :: Python :: 3"]
urls = {{ Repository = "https://example.org/{name}" }}
dependencies = []
"""
POETRY = """\
[build-system]
requires = {requires}
build-backend = "{backend}"

[tool.poetry]
name = "{name}"
version = "1.0.0"
description = "Says hello"
readme = "README.md"
license = "MIT"
authors = ["The authors <authors@example.org>"]
keywords = ["hello"]
repository = "https://example.org/{name}"
packages = [{{ include = "{name}", from = "src" }}]

[tool.poetry.dependencies]
python = ">=3.11"
"""


class Checked(NamedTuple):
    """How `check` ended: its exit code, and each item of its report."""

    code: int
    items: dict[str, dict[str, Any]]

    def named(self, *statuses: str) -> set[str]:
        """The names of the items with one of these statuses."""
        return {name for name, item in self.items.items() if item["status"] in statuses}

    def codes(self, item: str) -> set[str]:
        """The codes of an item's problems."""
        return {problem["code"] for problem in self.items[item]["problems"]}


def healthy(root: Path, backend: str = "hatchling", settings: str = "", name: str = "demo") -> Path:
    """Write a project in which nothing is wrong, without committing it."""
    requires, module = BACKENDS[backend]
    text = (POETRY if backend == "poetry" else PROJECT).format(name=name, requires=requires, backend=module)
    return write(
        root,
        {
            "pyproject.toml": f"{text}\n{settings}",
            "README.md": f"# {name}\n\nSays *hello*.\n",
            "LICENSE": "MIT License\n",
            "CHANGELOG.md": "# Changelog\n\n## Unreleased\n\n## 1.0.0 - 2026-11-01\n\n- It says hello.\n",
            f"src/{name}/__init__.py": '"""Say hello."""\n\n__version__ = "1.0.0"\n',
            "noxfile.py": NOXFILE,
            ".gitignore": "/dist/\n/.nox/\n__pycache__/\n",
        },
    )


def committed(root: Path) -> Path:
    """Commit a project, tag its version, and push both."""
    repository(root)
    git(root, "tag", "--annotate", "--message", "1.0.0", "v1.0.0")
    git(root, "push", "--quiet", "--tags")
    return root


def check(root: Path, *options: str) -> Checked:
    """Run `check`, and read its report."""
    report = root.parent / "report.json"
    code = main(["check", "--project", str(root), "--reporter", "plain", "--report", str(report), *options])
    items = json.loads(report.read_text(encoding="utf-8"))["items"]
    return Checked(code, {item["name"]: item for item in items})
