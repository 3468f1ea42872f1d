"""What an index remembers of projects and names, apart from the files.

FOLDER/projects/<project>.json      who made it, and its status
FOLDER/burnt/<file name>            a file of that name was there and was deleted
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
"""PEP 792: nothing is uploaded to an archived or quarantined project, and of the latter nothing is listed."""


class Project(Record, kw_only=True):
    """A project.

    Attributes:
        owner: The user who made it; None when there are no accounts.
        status: What its page says of it.
        reason: Why, for people.
    """

    owner: str | None = None
    status: Status = "active"
    reason: str = ""


class Projects:
    """The projects of an index, by their normalised names.

    Args:
        folder: The index's folder.
    """

    def __init__(self, folder: Path) -> None:
        self._projects = folder / "projects"
        self._burnt = folder / "burnt"

    def find(self, name: str) -> Project | None:
        """What is known of a project; None when it has never been made."""
        try:
            return Project(**json.loads((self._projects / f"{name}.json").read_bytes()))
        except FileNotFoundError:
            return None

    def names(self) -> list[str]:
        """Those that were made, with files or without."""
        return sorted(path.stem for path in self._projects.glob("*.json"))

    def make(self, name: str, owner: str | None) -> None:
        """Make a project, unless it is there."""
        if self.find(name) is None:
            self._write(name, Project(owner=owner))

    def set_status(self, name: str, status: Status, reason: str) -> None:
        """Change what a project's page says of it."""
        self._write(name, replace(self.find(name) or Project(), status=status, reason=reason))

    def burn(self, filename: str) -> None:
        """Remember that a file of that name is gone for ever."""
        self._burnt.mkdir(mode=0o700, exist_ok=True)
        (self._burnt / filename).touch()
        sync_folder(self._burnt)

    def is_burnt(self, filename: str) -> bool:
        """Whether a file of that name was deleted."""
        return (self._burnt / filename).exists()

    def are_altered(self) -> bool:
        """Whether a project was given another status than `active`, or a file was deleted."""
        projects = map(self.find, self.names())
        altered = any(project is not None and project.status != "active" for project in projects)
        return altered or self._burnt.is_dir()

    def clear(self) -> None:
        """Forget everything."""
        for folder in (self._projects, self._burnt):
            shutil.rmtree(folder, ignore_errors=True)

    def _write(self, name: str, project: Project) -> None:
        self._projects.mkdir(mode=0o700, exist_ok=True)
        replace_file(self._projects / f"{name}.json", json.dumps(fields(project)).encode(), mode=0o600)
