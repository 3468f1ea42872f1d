"""The metadata inside a distribution; nothing is unpacked."""

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
    RuntimeError,  # encrypted, or a compression that this Python lacks
    ValueError,
)


def wheel_metadata(wheel: Path) -> bytes | None:
    """A wheel's `METADATA`; None where the archive does not let it be read."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            found = [
                entry for entry in archive.infolist() if re.fullmatch(r"[^/]+\.dist-info/METADATA", entry.filename)
            ]
            if len(found) != 1 or found[0].file_size > _LIMIT:
                return None
            return archive.read(found[0])
    except _UNREADABLE:
        return None


def sdist_metadata(sdist: Path, stem: str) -> bytes | None:
    """A source distribution's `PKG-INFO` (PEP 643); None where there is none to read.

    Args:
        sdist: The archive (`.tar.gz`).
        stem: Its file name without the extension, which is the folder that it holds.
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
