"""Entries of archives, limits on their size, and the error for archives that cannot be read safely."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

from relnox.core.planning import fixes
from relnox.core.records import Record
from relnox.errors import Failed

if TYPE_CHECKING:
    from relnox.core.settings.config_tables import ArchiveLimits

REBUILD = f"build it again: {fixes.command('build-all')}"
RAISE_LIMIT = "if it is meant to be that large, raise the limit in [tool.relnox.archives]"
_ALWAYS_ALLOWED = 64 << 20
"""Bytes that any archive may unpack to, however small it is."""


class Entry(NamedTuple):
    """A file, folder or link in an archive.

    Attributes:
        name: Its path in the archive; folders of zip files end in a slash.
        kind: Its type, such as a file or a link.
        size: Bytes of its content.
        mode: Permission bits, with setuid and setgid; 0 where there are none.
        target: What a link points to.
        offset: Where its content starts: in the file (zip), or in the unpacked stream (tar).
        packed: Bytes of its compressed content (zip).
        method: How it is compressed (zip).
        crc: CRC-32 of its content (zip).
    """

    name: str
    kind: Literal["file", "directory", "symlink", "hardlink"]
    size: int
    mode: int = 0
    target: str = ""
    offset: int = 0
    packed: int = 0
    method: int = 0
    crc: int = 0


class ArchiveError(Failed):
    """An archive that cannot be read safely.

    Args:
        message: What is wrong with it; the name of the file is put before it.
        fix: As for every error.
        file: The archive's name; readers of its content leave it out, and `archives.read` adds it.
        code: As for every error.
    """

    def __init__(
        self, message: str, fix: str = REBUILD, *, file: str = "", code: str = "archive-unreadable"
    ) -> None:
        super().__init__(code, f"{file} {message}".lstrip(), fix=fix)
        self.reason = message


def too_large(message: str) -> ArchiveError:
    """Return the error for an archive that exceeds one of the project's limits."""
    return ArchiveError(message, RAISE_LIMIT, code="archive-too-large")


class Limit(Record):
    """Bytes that an archive may unpack to, and the message when it unpacks to more."""

    size: int
    message: str


def unpacked_limit(packed: int, limits: ArchiveLimits) -> Limit:
    """Return the limit for an archive of `packed` bytes."""
    total = limits.max_unpacked << 20
    by_ratio = max(packed * limits.max_ratio, _ALWAYS_ALLOWED)
    if by_ratio < total:
        return Limit(by_ratio, f"unpacks to more than {limits.max_ratio} times its size")
    return Limit(total, f"unpacks to more than {limits.max_unpacked} MiB")
