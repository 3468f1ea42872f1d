"""The files of the embedded index, in a directory that several processes may share.

    DIRECTORY/files/<file name>/       an upload: the file and `upload.json`
    DIRECTORY/incoming/<random>/       an upload in progress

An upload is written to `incoming` and moved to `files` by renaming its directory, so that it is atomic. The first
of two uploads with the same name wins, since a directory cannot replace one that is not empty.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from packaging.utils import parse_sdist_filename, parse_wheel_filename
from packaging.version import Version

from relnox.core import fixes
from relnox.errors import Blocked, Conflict

CLEAR_FIX = fixes.task_command("publish-test", "--index", "embedded", "--clear")
_FILE = "file"
_RECORD = "upload.json"
# `packaging` accepts any characters in tags of wheels, even slashes. These need no quoting in paths or URLs.
_FILENAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+!-]*")
_NAME_FIX = f"build the file with `{fixes.task_command('build-all')}`, and do not rename it"


@dataclass(frozen=True, kw_only=True)
class StoredFile:
    """A stored wheel or sdist.

    Attributes:
        project: The normalized name of the project (PEP 503).
        path: The path of its content.
        sha256: The hex digest of the file.
        blake2_256: The hex digest of the file by BLAKE2b with 32 bytes.
        upload_time: The time of the upload in UTC as ISO 8601 with microseconds (PEP 700).
        requires_python: The value of `requires_python` in the upload form, or None.
    """

    filename: str
    project: str
    version: Version
    path: Path
    size: int
    sha256: str
    blake2_256: str
    upload_time: str
    requires_python: str | None


class Store:
    """The files of an embedded index; its directory is created if missing.

    Attributes:
        clock: The function that returns the time in seconds since the epoch.

    Raises:
        Blocked: The directory cannot be created or written to.
    """

    def __init__(self, directory: Path) -> None:
        self.clock: Callable[[], float] = time.time
        self._files = directory / "files"
        self._incoming = directory / "incoming"
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            for subdirectory in (self._files, self._incoming):
                subdirectory.mkdir(exist_ok=True)
        except OSError as error:
            raise Blocked(
                "index-directory-not-usable",
                f"{directory} cannot be used for the embedded index: {error.strerror}",
                fix="use a directory that you can write to",
            ) from error

    def files(self, project: str | None = None) -> list[StoredFile]:
        """Return the files of a project or of all projects, sorted by version and then by name."""
        uploads = (self.find(entry.name) for entry in self._files.iterdir())
        files = [file for file in uploads if file is not None and project in (None, file.project)]
        return sorted(files, key=lambda file: (file.version, file.filename))

    def find(self, filename: str) -> StoredFile | None:
        """Return the file with a name, or None if it is missing or its record is damaged."""
        try:
            project, version = identify(filename)
            record = json.loads((self._files / filename / _RECORD).read_bytes())
            path = self._files / filename / _FILE
            return StoredFile(filename=filename, project=project, version=version, path=path, **record)
        except (Blocked, OSError, ValueError, TypeError):
            return None

    def add(self, filename: str, content: bytes, requires_python: str | None = None) -> bool:
        """Add a file; return whether it is new, and not the file that the store already has.

        Raises:
            Blocked: The name is not that of a wheel or sdist.
            Conflict: The store has a different file with this name.
            OSError: The file cannot be written.
        """
        identify(filename)
        record = {
            "size": len(content),
            "sha256": hashlib.sha256(content).hexdigest(),
            "blake2_256": blake2_256(content),
            "upload_time": f"{datetime.fromtimestamp(self.clock(), UTC):%Y-%m-%dT%H:%M:%S.%fZ}",
            "requires_python": requires_python,
        }
        with tempfile.TemporaryDirectory(dir=self._incoming) as temporary:
            upload = Path(temporary, "upload")
            upload.mkdir()
            (upload / _FILE).write_bytes(content)
            (upload / _RECORD).write_text(json.dumps(record, indent=2), encoding="utf-8")
            try:
                upload.rename(self._files / filename)
            except OSError:  # the error for a directory that exists differs between systems
                if (stored_file := self.find(filename)) is None:
                    raise
                if stored_file.sha256 == record["sha256"]:
                    return False
                raise Conflict(
                    "index-file-differs",
                    f"{file_exists_message(stored_file)} The one sent has {record['blake2_256']!r}.",
                    fix="bump the version, or clear the embedded index",
                ) from None
        return True

    def holds_only(self, files: Mapping[str, str]) -> bool:
        """Return whether every stored file is one of these (SHA-256 in hex, by name)."""
        return all(files.get(file.filename) == file.sha256 for file in self.files())

    def clear(self) -> None:
        """Delete all files, and what killed uploads left."""
        # Renamed before they are deleted, so that no half-deleted upload is visible.
        trash = Path(tempfile.mkdtemp(dir=self._incoming))
        for upload in [*self._files.iterdir()]:
            with contextlib.suppress(FileNotFoundError):  # another process is clearing as well
                upload.rename(trash / upload.name)
        for leftover in self._incoming.iterdir():
            shutil.rmtree(leftover, ignore_errors=True)


def identify(filename: str) -> tuple[str, Version]:
    """Return the normalized project name and the version in a file name.

    Raises:
        Blocked: It is not the name of a wheel or sdist.
    """
    try:
        if not _FILENAME.fullmatch(filename):
            raise ValueError("only letters, digits and . _ + ! - are allowed")  # noqa: TRY301 - as for other names
        if filename.endswith(".whl"):
            project, version, _build, _tags = parse_wheel_filename(filename)
        else:
            project, version = parse_sdist_filename(filename)
    except ValueError as error:
        raise Blocked(
            "archive-invalid",
            f"{filename!a} is not the name of a wheel or a source distribution: {error}",
            fix=_NAME_FIX,
        ) from error
    return project, version


def blake2_256(content: bytes) -> str:
    """Return the digest that PyPI calls `blake2_256`, in hex."""
    return hashlib.blake2b(content, digest_size=32).hexdigest()


def file_exists_message(file: StoredFile) -> str:
    """Return PyPI's message for a file name or a content that already exists."""
    return f"File already exists ({file.filename!r}, with blake2_256 hash {file.blake2_256!r})."
