"""Projects with hooks."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import schemas
from backends import in_tree
from projects import repository, write

if TYPE_CHECKING:
    from pathlib import Path

    from package_index import PackageIndex

PUBLISH = ("publish", "--index", "own", "--yes")
NOTE = """\
import json, os, pathlib, sys

event = json.loads(pathlib.Path(os.environ["RELNOX_EVENT"]).read_text())
log = pathlib.Path(os.environ["HOOK_LOG"])
log.mkdir(exist_ok=True)
number = len(list(log.iterdir()))
entry = {"event": event, "cwd": os.getcwd(), "argv": sys.argv[1:], "environment": dict(os.environ)}
(log / f"{number:03d}.json").write_text(json.dumps(entry))
print("noted", event["event"])
"""
GENERATE = """\
import pathlib

pathlib.Path("generated.py").write_text("answer = 42\\n")
pathlib.Path("home.py").write_text("from generated import answer\\n")
"""
DYNAMIC = """\
import tomllib
VERSION = tomllib.loads(pathlib.Path("pyproject.toml").read_text())["project"]["version"]
METADATA = METADATA.replace("Version: 1.0", f"Version: {VERSION}")
"""
"""The version of the archives is that of pyproject.toml."""


class Log:
    """What hooks noted."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    @property
    def entries(self) -> list[dict[str, Any]]:
        files = sorted(self.directory.iterdir()) if self.directory.is_dir() else []
        return [json.loads(file.read_text()) for file in files]

    @property
    def events(self) -> list[dict[str, Any]]:
        events = [entry["event"] for entry in self.entries]
        for event in events:
            schemas.validate(event, "hook-event")
        return events

    @property
    def names(self) -> list[str]:
        return [event["event"] for event in self.events]


def hook(event: str, *lines: str, run: str = '["python", "note.py"]') -> str:
    """The settings of a hook."""
    return "\n".join([f"\n[[tool.relnox.hooks.{event}]]", f"run = {run}", *lines, ""])


def project(root: Path, *settings: str, files: dict[str, str] | None = None) -> Path:
    """A package with hooks, as a repository."""
    root.mkdir(exist_ok=True)
    in_tree(root)
    text = (root / "pyproject.toml").read_text()
    backend = (root / "backend/house.py").read_text().replace("STEM =", f"{DYNAMIC}STEM =", 1)
    more = {"note.py": NOTE, "generate.py": GENERATE, "backend/house.py": backend, **(files or {})}
    write(root, {"pyproject.toml": text + "".join(settings), **more})
    return repository(root)


def own(index: PackageIndex, *, production: bool = True) -> str:
    """The settings of an index."""
    return (
        f'\n[tool.relnox.indexes.own]\nupload = "{index.upload_url}"\nsimple = "{index.simple_url}"\n'
        f"production = {str(production).lower()}\n"
    )
