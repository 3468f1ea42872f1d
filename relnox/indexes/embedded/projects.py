"""Owners and statuses of projects, and reserved file names.

FOLDER/projects/<project>.json      its owner and status
FOLDER/reserved/<file name>         a file of that name was deleted
"""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Literal

from relnox.core.records import Record, fields, replace
from relnox.files import replace_file, sync_folder

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Project", "Projects", "Status"]

Status = Literal["active", "archived", "quarantined", "deprecated"]
"""PEP 792: archived and quarantined projects accept no uploads, and the latter list no files."""


class Project(Record, kw_only=True):
    """A project.

    Attributes:
        owner: The user who created it; None without accounts.
        status: Its status.
        reason: The reason of the status.
    """

    owner: str | None = None
    status: Status = "active"
    reason: str = ""


class Projects:
    """The projects of an index, by normalized names.

    Args:
        folder: The index's folder.
    """

    def __init__(self, folder: Path) -> None:
        self._projects = folder / "projects"
        self._reserved = folder / "reserved"

    def find(self, name: str) -> Project | None:
        """Return a project; None if it does not exist."""
        try:
            return Project(**json.loads((self._projects / f"{name}.json").read_bytes()))
        except FileNotFoundError:
            return None

    def names(self) -> list[str]:
        """Return the names of all projects, even without files."""
        return sorted(path.stem for path in self._projects.glob("*.json"))

    def create(self, name: str, owner: str | None) -> None:
        """Create a project, unless it exists."""
        if self.find(name) is None:
            self._write(name, Project(owner=owner))

    def set_status(self, name: str, status: Status, reason: str) -> None:
        """Set the status of a project."""
        self._write(name, replace(self.find(name) or Project(), status=status, reason=reason))

    def reserve(self, filename: str) -> None:
        """Reserve the name of a deleted file."""
        self._reserved.mkdir(mode=0o700, exist_ok=True)
        (self._reserved / filename).touch()
        sync_folder(self._reserved)

    def is_reserved(self, filename: str) -> bool:
        """Return whether a file of that name was deleted."""
        return (self._reserved / filename).exists()

    def are_altered(self) -> bool:
        """Return whether the status of a project was changed, or a file was deleted."""
        projects = map(self.find, self.names())
        altered = any(project is not None and project.status != "active" for project in projects)
        return altered or self._reserved.is_dir()

    def clear(self) -> None:
        """Delete all projects and reserved names."""
        for folder in (self._projects, self._reserved):
            shutil.rmtree(folder, ignore_errors=True)

    def _write(self, name: str, project: Project) -> None:
        self._projects.mkdir(mode=0o700, exist_ok=True)
        replace_file(self._projects / f"{name}.json", json.dumps(fields(project)).encode(), mode=0o600)
