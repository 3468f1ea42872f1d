"""Steps of a bump, in the checkout and on its remote."""

from __future__ import annotations

from typing import ClassVar

from relnox.core.escaping import split_lines
from relnox.core.records import Record
from relnox.core.steps.base import BaseStep, listing

__all__ = [
    "Commit",
    "CreateTags",
    "Edit",
    "EditFiles",
    "Push",
    "Tag",
    "UndoBump",
]


class Edit(Record, kw_only=True):
    """One file before and after, byte for byte.

    Attributes:
        file: POSIX path relative to the root.
        before: The content before the edit; None if the file does not exist yet.
        after: The content after the edit; None if the file is removed.
    """

    file: str
    before: bytes | None
    after: bytes | None

    @property
    def digest(self) -> str | None:
        """SHA-256 of the content after the edit, in hex; None if the file is removed."""
        import hashlib

        return None if self.after is None else hashlib.sha256(self.after).hexdigest()

    def diff(self) -> str:
        """Return the edit as a unified diff."""
        old, new = (split_lines((part or b"").decode("utf-8", "replace")) for part in (self.before, self.after))
        import difflib  # slow to import, and rarely needed

        lines = difflib.unified_diff(old, new, f"a/{self.file}", f"b/{self.file}", lineterm="", n=1)
        return "\n".join(lines)


class Tag(Record, kw_only=True):
    """An annotated tag on the commit that the plan creates, or on `HEAD`."""

    name: str
    message: str


class EditFiles(BaseStep, kw_only=True):
    """Edit several files of the checkout, all or none."""

    atomic: ClassVar[bool] = True
    edits: tuple[Edit, ...]

    @property
    def key(self) -> str:
        return "edit"

    @property
    def title(self) -> str:
        return f"edit {listing([edit.file for edit in self.edits])}"


class Commit(BaseStep, kw_only=True):
    """Commit exactly these files, whatever else is staged.

    Attributes:
        message: The commit message.
        files: The files, each with the SHA-256 of its content, in hex; None for a removed file.
    """

    atomic: ClassVar[bool] = True
    message: str
    files: tuple[tuple[str, str | None], ...]

    @property
    def key(self) -> str:
        return "commit"

    @property
    def title(self) -> str:
        return f"commit {self.message.splitlines()[0]!r}"


class CreateTags(BaseStep, kw_only=True):
    """Create annotated tags, all or none."""

    atomic: ClassVar[bool] = True
    tags: tuple[Tag, ...]

    @property
    def key(self) -> str:
        return "tag"

    @property
    def title(self) -> str:
        return f"tag {listing([tag.name for tag in self.tags])}"


class UndoBump(BaseStep, kw_only=True):
    """Revert a bump: its tags, its commit, its edits.

    Attributes:
        commit: The commit to remove; None if the files were only edited.
        tags: The tags to delete.
        edits: The reverse edits.
    """

    atomic: ClassVar[bool] = True
    commit: str | None
    tags: tuple[str, ...]
    edits: tuple[Edit, ...]

    @property
    def key(self) -> str:
        return "undo"

    @property
    def title(self) -> str:
        tags = [f"tag {tag}" for tag in self.tags]
        commit = [f"commit {self.commit[:10]}"] if self.commit is not None else []
        return f"revert {listing([*tags, *commit, *(f'the edit of {edit.file}' for edit in self.edits)])}"


class Push(BaseStep, kw_only=True):
    """Push the branch and the tags atomically."""

    remote: ClassVar[bool] = True
    atomic: ClassVar[bool] = True
    to: str
    branch: str
    tags: tuple[str, ...]

    @property
    def key(self) -> str:
        return "push"

    @property
    def title(self) -> str:
        return f"push {listing([self.branch, *self.tags])} to {self.to} atomically"
