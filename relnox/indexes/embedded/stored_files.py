"""Stored distributions: their names, and what is recorded about them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING

from packaging.utils import parse_sdist_filename, parse_wheel_filename

from relnox.core.planning import fixes
from relnox.errors import Blocked

if TYPE_CHECKING:
    from packaging.version import Version

FILE = "file"
METADATA = "metadata"
RECORD = "upload.json"
# `packaging` accepts any characters in tags of wheels, even slashes. These need no quoting in paths or URLs.
_FILENAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+!-]*")
_NAME_HINT = f"build the file with `{fixes.command('build-all')}`, and do not rename it"


@dataclass(frozen=True, kw_only=True)
class StoredFile:
    """A stored distribution: its file name, and what `upload.json` records.

    Attributes:
        filename: Its name.
        project: Normalized name of its project (PEP 503).
        version: Its version.
        size: Bytes.
        sha256: Hex digest of the uploaded bytes.
        blake2_256: Hex digest of BLAKE2b with 32 bytes.
        upload_time: ISO 8601, UTC, with microseconds (PEP 700).
        requires_python: The value in the form, or None.
        metadata_sha256: Hex digest of a wheel's `METADATA` (PEP 658); None if it could not be read.
    """

    filename: str
    project: str
    version: Version
    size: int
    sha256: str
    blake2_256: str
    upload_time: str
    requires_python: str | None
    metadata_sha256: str | None

    @property
    def uploaded(self) -> float:
        """Time of the upload in seconds since the epoch."""
        return datetime.fromisoformat(self.upload_time).timestamp()


@lru_cache(maxsize=4096)
def identify(filename: str) -> tuple[str, Version]:
    """Return the normalized project name and the version in a file name.

    Raises:
        Blocked: It is the name of neither a wheel nor a source distribution.
    """
    if not _FILENAME.fullmatch(filename):
        raise Blocked(
            "file-name-invalid",
            f"{filename!a} is not a valid file name (only letters, digits and . _ + ! - are allowed)",
            fix=_NAME_HINT,
        )
    try:
        if filename.endswith(".whl"):
            project, version, _build, _tags = parse_wheel_filename(filename)
        else:
            project, version = parse_sdist_filename(filename)
    except ValueError as error:
        raise Blocked(
            "file-name-invalid",
            f"{filename} is not the name of a wheel or a source distribution: {error}",
            fix=_NAME_HINT,
        ) from error
    return project, version


def file_exists_message(filename: str, blake2_256: str) -> str:
    """Return PyPI's message for a file that exists with different content."""
    return f"File already exists ({filename!r}, with blake2_256 hash {blake2_256!r})."
