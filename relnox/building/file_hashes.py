"""Hashes of files, and whether a file is the one that was built."""

from __future__ import annotations

import hashlib
import stat
from dataclasses import dataclass
from pathlib import Path

_CHUNK_SIZE = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Digests:
    """The size of a file in bytes, and the hexadecimal hashes of its content."""

    size: int
    sha256: str
    blake2b_256: str


def hash_file(path: Path) -> Digests:
    """Return the size and hashes of a file, reading it only once."""
    sha256, blake2b = hashlib.sha256(), hashlib.blake2b(digest_size=32)
    size = 0
    with path.open("rb") as content:
        while chunk := content.read(_CHUNK_SIZE):
            size += len(chunk)
            sha256.update(chunk)
            blake2b.update(chunk)
    return Digests(size=size, sha256=sha256.hexdigest(), blake2b_256=blake2b.hexdigest())


def file_matches(path: Path, size: int, sha256: str) -> bool:
    """Return whether a path is a regular file with this size and SHA-256 hash.

    The content is read only if the size matches; pipes and devices are never read.
    """
    try:
        status = path.stat()
    except OSError:
        return False
    return stat.S_ISREG(status.st_mode) and status.st_size == size and hash_file(path).sha256 == sha256


def is_file_inside(directory: Path, path: Path) -> bool:
    """Return whether a path is a file in a directory, or a symbolic link to a file inside the directory."""
    return path.is_file() and (not path.is_symlink() or path.resolve().is_relative_to(directory.resolve()))
