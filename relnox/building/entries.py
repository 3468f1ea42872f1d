"""Entries of archives, and how an archive that cannot be read safely is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

from relnox.core import fixes
from relnox.core.records import Record
from relnox.errors import Failed

if TYPE_CHECKING:
    from relnox.core.config import ArchiveLimits

__all__ = ["REBUILD", "ArchiveError", "Entry", "unpacked_limit"]

REBUILD = f"build it again: {fixes.command('build-all')}"
_ALWAYS_ALLOWED = 64 << 20
"""Bytes that any archive may unpack to, however small it is."""


class Entry(NamedTuple):
    """A file, folder or link in an archive.

    Attributes:
        name: Its path in the archive; folders of zip files end in a slash.
        kind: What it is.
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
        fault: What is wrong with it.
        fix: What to do about it.
        file: Its name; added by who knows it.
    """

    def __init__(self, fault: str, fix: str = REBUILD, *, file: str = "") -> None:
        super().__init__("unreadable-archive", f"{file} {fault}".lstrip(), fix=fix)
        self.fault = fault


class Limit(Record):
    """Bytes that an archive may unpack to, and how exceeding it is told."""

    size: int
    fault: str


def unpacked_limit(packed: int, limits: ArchiveLimits) -> Limit:
    """What an archive of a size may unpack to.

    Args:
        packed: Size of the archive in bytes.
        limits: The project's limits.
    """
    total = limits.max_unpacked << 20
    by_ratio = max(packed * limits.max_ratio, _ALWAYS_ALLOWED)
    if by_ratio < total:
        return Limit(by_ratio, f"unpacks to more than {limits.max_ratio} times its size")
    return Limit(total, f"unpacks to more than {limits.max_unpacked} MiB")


LIMIT_HINT = "if it is meant to be so large, raise the limit in [tool.relnox.archives]"
