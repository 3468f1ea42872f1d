"""The file names of stored wheels and sdists, and the records about their uploads."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING

from packaging.utils import parse_sdist_filename, parse_wheel_filename

from relnox.core import fixes
from relnox.errors import Blocked

if TYPE_CHECKING:
    from pathlib import Path

    from packaging.version import Version

FILE = "file"
METADATA = "metadata"
RECORD = "upload.json"
# `packaging` accepts any characters in tags of wheels, even slashes. These need no quoting in paths or URLs.
_FILENAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+!-]*")
CLEAR_FIX = fixes.task_command("publish-test", "--index", "embedded", "--clear")
_NAME_HINT = f"build the file with `{fixes.task_command('build-all')}`, and do not rename it"


@dataclass(frozen=True, kw_only=True)
class StoredFile:
    """A stored wheel or sdist, with the values in its file name and in `upload.json`.

    Attributes:
        project: The normalized name of the project (PEP 503).
        sha256: The hex digest of the file.
        blake2_256: The hex digest of the file by BLAKE2b with 32 bytes.
        upload_time: The time of the upload in UTC as ISO 8601 with microseconds (PEP 700).
        requires_python: The value of `requires_python` in the upload form, or None.
        metadata_sha256: The SHA-256 (hex) of `METADATA` in a wheel (PEP 658), or None if there is none.
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
        """The time of the upload in seconds since the epoch."""
        return datetime.fromisoformat(self.upload_time).timestamp()


@lru_cache(maxsize=4096)
def identify(filename: str) -> tuple[str, Version]:
    """Return the normalized project name and the version in a file name.

    Raises:
        Blocked: It is not the name of a wheel or sdist.
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


def parse_record(filename: str, content: bytes) -> StoredFile | None:
    """Return the file that a record (`upload.json`) describes, or None if the record is damaged.

    Raises:
        Blocked: It is not the name of a wheel or sdist.
    """
    project, version = identify(filename)
    try:
        file = StoredFile(filename=filename, project=project, version=version, **json.loads(content))
        datetime.fromisoformat(file.upload_time)
    except (ValueError, TypeError, RecursionError):
        return None
    texts = (file.sha256, file.blake2_256, file.requires_python or "", file.metadata_sha256 or "")
    return file if type(file.size) is int and all(isinstance(text, str) for text in texts) else None


def damaged_file_error(path: Path) -> Blocked:
    """Return the error for a file of the index that cannot be read, or is not what was uploaded."""
    return Blocked(
        "index-file-damaged",
        f"{path} is damaged (it cannot be read, or is not what was uploaded to the embedded index)",
        fix=CLEAR_FIX,
    )


def file_exists_message(filename: str, blake2_256: str) -> str:
    """Return PyPI's message for a file name or a content that already exists."""
    return f"File already exists ({filename!r}, with blake2_256 hash {blake2_256!r})."
