"""The metadata in a distribution, read without unpacking it."""

from __future__ import annotations

import re
import tarfile
import zipfile
import zlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["sdist_metadata", "wheel_metadata"]

_LIMIT = 1 << 24
_UNREADABLE = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    EOFError,
    OSError,
    RuntimeError,  # encrypted, or an unsupported compression
    ValueError,
)


def wheel_metadata(wheel: Path) -> bytes | None:
    """Return the `METADATA` of a wheel; None if it cannot be read."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            entries = [
                entry for entry in archive.infolist() if re.fullmatch(r"[^/]+\.dist-info/METADATA", entry.filename)
            ]
            if len(entries) != 1 or entries[0].file_size > _LIMIT:
                return None
            return archive.read(entries[0])
    except _UNREADABLE:
        return None


def sdist_metadata(sdist: Path, stem: str) -> bytes | None:
    """Return the `PKG-INFO` of a source distribution (PEP 643); None if it cannot be read.

    Args:
        sdist: The archive (`.tar.gz`).
        stem: Its file name without the extension, which is also the name of its folder.
    """
    try:
        with tarfile.open(sdist, "r:gz") as archive:
            for member in archive:
                if member.name == f"{stem}/PKG-INFO" and member.isreg() and member.size <= _LIMIT:
                    content = archive.extractfile(member)
                    return None if content is None else content.read()
    except _UNREADABLE:
        pass
    return None
