"""Entries of archives, limits on their size, and the error for archives that cannot be read safely."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

from relnox.core import fixes
from relnox.errors import Failed

if TYPE_CHECKING:
    from relnox.core.settings.config_tables import ArchiveLimits

COPY_FILE_FIX = "copy the file into the package, in place of the link"
REBUILD_FIX = f"build it again: {fixes.task_command('build-all')}"
_MIN_UNPACKED_SIZE = 64 << 20
"""The size in bytes to which an archive may always unpack, however small it is."""


class ArchiveEntry(NamedTuple):
    """A file, directory or link in an archive; the last three fields are for zip files only.

    Attributes:
        name: The path in the archive; for directories of zip files, it ends in a slash.
        mode: The permission bits, including setuid and setgid, or 0 if the archive does not have them.
        content_offset: Where the content starts: in the file (zip) or in the decompressed stream (tar).
    """

    name: str
    kind: Literal["file", "directory", "symlink", "hardlink"]
    size: int
    mode: int = 0
    link_target: str = ""
    content_offset: int = 0
    compressed_size: int = 0
    compression_method: int = 0
    crc32: int = 0


class ArchiveError(Failed):
    """The error for an archive that cannot be read safely; `archives.read` adds the archive's file name."""

    def __init__(
        self, message: str, fix: str = REBUILD_FIX, *, file: str = "", code: str = "archive-unreadable"
    ) -> None:
        super().__init__(code, f"{file} {message}".lstrip(), fix=fix)
        self.reason = message


def too_large_error(message: str, setting: str) -> ArchiveError:
    """Return the error for an archive that exceeds the limit that a setting in `[tool.relnox.archives]` sets."""
    fix = f"if the archive is meant to be that large, raise {setting} in [tool.relnox.archives]"
    return ArchiveError(message, fix, code="archive-too-large")


def unpacked_size_limit(packed_size: int, limits: ArchiveLimits) -> tuple[int, ArchiveError]:
    """Return the number of bytes to which a file of `packed_size` bytes may unpack, and the error for more."""
    total = limits.max_unpacked << 20
    by_ratio = max(packed_size * limits.max_ratio, _MIN_UNPACKED_SIZE)
    if by_ratio < total:
        return by_ratio, too_large_error(f"unpacks to more than {limits.max_ratio} times its size", "max-ratio")
    return total, too_large_error(f"unpacks to more than {limits.max_unpacked} MiB", "max-unpacked")
