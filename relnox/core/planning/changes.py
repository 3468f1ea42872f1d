"""The changes that a bump makes in the checkout, as data: edits of files, and tags."""

from __future__ import annotations

import difflib

from relnox.core.records import Record
from relnox.core.text import split_lines


class Edit(Record, kw_only=True):
    """The edit of one file, with its content before and after.

    Attributes:
        file: POSIX path relative to the root.
        before: The content before the edit, or None if the file does not exist yet.
        after: The content after the edit, or None if the edit removes the file.
    """

    file: str
    before: bytes | None
    after: bytes | None

    def diff(self) -> str:
        """Return the edit as a unified diff."""
        old, new = (split_lines((part or b"").decode("utf-8", "replace")) for part in (self.before, self.after))

        lines = difflib.unified_diff(old, new, f"a/{self.file}", f"b/{self.file}", lineterm="", n=1)
        return "\n".join(lines)


class NewTag(Record, kw_only=True):
    """An annotated tag to create, on the commit that the plan creates or else on `HEAD`."""

    name: str
    message: str
