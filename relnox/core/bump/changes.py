"""What a bump changes in the checkout, as values: files and tags."""

from __future__ import annotations

from relnox.core.escaping import split_lines
from relnox.core.records import Record


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


class CombinedEdit(Edit, kw_only=True):
    """Two edits of one file, the second of what the first made.

    Attributes:
        between: The content between them, which the file may have as well when the edit is made.
    """

    between: bytes | None


class Tag(Record, kw_only=True):
    """An annotated tag on the commit that the plan creates, or on `HEAD`."""

    name: str
    message: str
