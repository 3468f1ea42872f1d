"""A store for distributions in a folder, which several processes may share.

    FOLDER/files/<file name>/       an upload: the file, metadata of a wheel, and `upload.json`
    FOLDER/incoming/<random>/       an upload in progress

An upload is prepared and fsynced in `incoming` and then renamed as a whole, so that it is atomic. The first of two
uploads wins: a folder cannot be renamed to one that is not empty.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import threading
import time
import zipfile
import zlib
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Self

from packaging.utils import parse_sdist_filename, parse_wheel_filename

from relnox.core.planning import fixes
from relnox.errors import Blocked, Conflict
from relnox.system.files import make_private_folder, sync_folder
from relnox.system.temporary_folders import TemporaryFolder, remove_leftovers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path
    from types import TracebackType
    from typing import BinaryIO

    from packaging.version import Version

__all__ = ["Incoming", "Store", "StoredFile", "file_exists_message", "identify"]

_FILE = "file"
_METADATA = "metadata"
_RECORD = "upload.json"
_MARKER = "relnox-embedded-index"
_CONTENT = {_MARKER, "files", "incoming"}
"""Content of the folder of an index; a folder with anything else is never cleared."""
# `packaging` accepts any characters in tags of wheels, even slashes. These need no quoting in paths or URLs.
_FILENAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+!-]*")
_METADATA_LIMIT = 1 << 24
_UNREADABLE = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    OSError,
    RuntimeError,  # encrypted, or an unsupported compression
    ValueError,
)
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


class Store:
    """The files of an index.

    Args:
        folder: The folder, created if missing.

    Attributes:
        clock: Returns the time in seconds since the epoch.

    Raises:
        Blocked: The folder cannot be created or written to.
    """

    def __init__(self, folder: Path) -> None:
        self.clock: Callable[[], float] = time.time
        self._files = folder / "files"
        self._incoming = folder / "incoming"
        self._marker = folder / _MARKER
        self._locks: dict[str, threading.Lock] = {}
        try:
            make_private_folder(folder)
            if {path.name for path in folder.iterdir()} <= _CONTENT:
                self._marker.touch()
            for subfolder in (self._files, self._incoming):
                subfolder.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise Blocked(
                "index-folder-not-usable",
                f"{folder} cannot be used for the embedded index: {error.strerror}",
                fix="use a folder with write permission",
            ) from error
        except Blocked as error:
            raise Blocked(
                "index-folder-not-usable",
                f"{folder} cannot be used for the embedded index: {error.message}",
                fix=error.fix,
            ) from error
        remove_leftovers(self._incoming)

    def lock(self, project: str) -> threading.Lock:
        """Return the lock to hold while an upload of a project is checked and stored."""
        return self._locks.setdefault(project, threading.Lock())

    def names(self) -> list[str]:
        """Return the normalized names of all projects, sorted."""
        return sorted({project for _, project, _ in self._entries()})

    def files(self, project: str) -> list[StoredFile]:
        """Return the files of a project, by version and then by name.

        Args:
            project: Normalized name.
        """
        candidates = [self.find(filename) for filename, name, _ in self._entries() if name == project]
        stored = [file for file in candidates if file is not None]
        return sorted(stored, key=lambda file: (file.version, file.filename))

    def find(self, filename: str) -> StoredFile | None:
        """Return a file by name; None if it does not exist."""
        try:
            project, version = identify(filename)
            record = json.loads((self._files / filename / _RECORD).read_bytes())
        except (Blocked, FileNotFoundError, NotADirectoryError):
            return None
        return StoredFile(filename=filename, project=project, version=version, **record)

    def find_content(self, sha256: str) -> StoredFile | None:
        """Return a file with this content, of any project; None if there is none."""
        stored = (self.find(filename) for filename, _, _ in self._entries())
        return next((file for file in stored if file is not None and file.sha256 == sha256), None)

    def open_file(self, filename: str) -> BinaryIO | None:
        """Open a file by name; return None if it does not exist."""
        return self._open(filename, _FILE)

    def open_metadata(self, filename: str) -> BinaryIO | None:
        """Open the `METADATA` of a wheel; return None if there is none."""
        return self._open(filename, _METADATA)

    def receive(self) -> Incoming:
        """Begin an upload; at the end of the `with` statement it is deleted unless it was stored."""
        return Incoming(self._files, TemporaryFolder(self._incoming), self)

    def holds_only(self, files: Mapping[str, str]) -> bool:
        """Return whether there are only files out of these, unchanged since their upload.

        Args:
            files: SHA-256 (hex) by name.
        """
        stored = [self.find(filename) for filename, _, _ in self._entries()]
        return all(file is not None and files.get(file.filename) == file.sha256 for file in stored)

    def clear(self) -> None:
        """Delete all files, also of uploads in progress.

        Raises:
            Blocked: The folder has not been used for an index only.
        """
        if not self._marker.exists():
            raise Blocked(
                "index-folder-not-usable",
                f"{self._marker.parent} cannot be cleared (it contains other files)",
                fix="use an empty folder for the embedded index",
            )
        # Rename before deleting, so that no half-deleted upload is visible.
        with TemporaryFolder(self._incoming) as trash:
            for entry in self._files.iterdir():
                with contextlib.suppress(FileNotFoundError):  # another process is clearing as well
                    entry.rename(trash.path / entry.name)
        for leftover in self._incoming.iterdir():
            shutil.rmtree(leftover, ignore_errors=True)

    def _entries(self) -> Iterator[tuple[str, str, Version]]:
        """Yield file name, project and version of all files."""
        for entry in self._files.iterdir():
            with contextlib.suppress(Blocked):  # foreign files in the folder
                yield entry.name, *identify(entry.name)

    def _open(self, filename: str, part: str) -> BinaryIO | None:
        try:
            identify(filename)
            return (self._files / filename / part).open("rb")
        except (Blocked, FileNotFoundError, NotADirectoryError):
            return None


class Incoming:
    """An upload in progress, created by `Store.receive`."""

    def __init__(self, files: Path, temporary: TemporaryFolder, store: Store) -> None:
        self._files = files
        self._temporary = temporary
        self._folder = temporary.path / "upload"
        self._folder.mkdir()
        self._store = store
        self._content = (self._folder / _FILE).open("xb")
        self.size = 0
        self._sha256 = hashlib.sha256()
        self._blake2 = hashlib.blake2b(digest_size=32)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._content.close()
        self._temporary.__exit__(kind, error, traceback)

    def write(self, piece: bytes) -> None:
        """Add the next bytes of the file."""
        self._content.write(piece)
        self.size += len(piece)
        self._sha256.update(piece)
        self._blake2.update(piece)

    def write_all(self, pieces: Iterable[bytes]) -> None:
        """Add the rest of the file, in pieces."""
        for piece in pieces:
            self.write(piece)

    @property
    def digests(self) -> Mapping[str, str]:
        """Hex digests of the bytes so far: `sha256` and `blake2_256`."""
        return {"sha256": self._sha256.hexdigest(), "blake2_256": self._blake2.hexdigest()}

    def store(self, filename: str, *, requires_python: str | None = None) -> bool:
        """Move the file into the store.

        Args:
            filename: Its name.
            requires_python: Its `data-requires-python` (PEP 503).

        Returns:
            Whether it is new; false if the store has the same file.

        Raises:
            Blocked: The name is not valid for a distribution.
            Conflict: The store has a different file with this name.
        """
        identify(filename)
        _sync(self._content)
        self._content.close()
        metadata = _wheel_metadata(self._folder / _FILE) if filename.endswith(".whl") else None
        if metadata is not None:
            self._write(_METADATA, metadata)
        digests = self.digests
        record = {
            "size": self.size,
            **digests,
            "upload_time": f"{datetime.fromtimestamp(self._store.clock(), UTC):%Y-%m-%dT%H:%M:%S.%fZ}",
            "requires_python": requires_python,
            "metadata_sha256": None if metadata is None else hashlib.sha256(metadata).hexdigest(),
        }
        self._write(_RECORD, json.dumps(record, indent=2).encode())
        sync_folder(self._folder)
        try:
            self._folder.rename(self._files / filename)
        except OSError:
            # The error for an existing folder differs between systems.
            stored = self._store.find(filename)
            if stored is None:
                raise
            if stored.sha256 == digests["sha256"]:
                return False
            raise Conflict(
                "index-file-differs",
                f"{file_exists_message(filename, stored.blake2_256)} The one sent has {digests['blake2_256']!r}.",
                fix="bump the version, or clear the embedded index",
            ) from None
        sync_folder(self._files)
        return True

    def _write(self, part: str, content: bytes) -> None:
        with (self._folder / part).open("xb") as file:
            file.write(content)
            _sync(file)


def _wheel_metadata(wheel: Path) -> bytes | None:
    """Return the `METADATA` of a wheel; None if it cannot be read."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            entries = [
                entry for entry in archive.infolist() if re.fullmatch(r"[^/]+\.dist-info/METADATA", entry.filename)
            ]
            if len(entries) != 1 or entries[0].file_size > _METADATA_LIMIT:
                return None
            return archive.read(entries[0])
    except _UNREADABLE:
        return None


def _sync(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())
