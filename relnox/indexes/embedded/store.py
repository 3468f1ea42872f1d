"""A store for wheels and sdists in a directory, which several processes may share.

    DIRECTORY/files/<file name>/       an upload: the file, the metadata of a wheel, and `upload.json`
    DIRECTORY/incoming/<random>/       an upload in progress

An upload is written to `incoming`, flushed to disk, and then moved to `files` by renaming its directory, so that
it is atomic. The first of two uploads with the same name wins, since a directory cannot replace one that is not
empty.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import threading
import time
from typing import TYPE_CHECKING

from relnox.errors import Blocked
from relnox.indexes.embedded.incoming import IncomingFile
from relnox.indexes.embedded.stored_files import FILE, METADATA, RECORD, damaged_file_error, identify, parse_record
from relnox.system.files import TemporaryDirectory, make_private_directory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path
    from typing import BinaryIO

    from packaging.version import Version

    from relnox.indexes.embedded.stored_files import StoredFile

_MARKER = "relnox-embedded-index"
_CONTENT = {_MARKER, "files", "incoming"}
"""The names in the directory of an index; a directory that had any other content at first is never cleared."""


class Store:
    """The files of an embedded index.

    Args:
        directory: The directory of the index, which is created if missing.

    Attributes:
        clock: The function that returns the time in seconds since the epoch.

    Raises:
        Blocked: The directory cannot be created or written to.
    """

    def __init__(self, directory: Path) -> None:
        self.clock: Callable[[], float] = time.time
        self._files = directory / "files"
        self._incoming = directory / "incoming"
        self._marker = directory / _MARKER
        self._locks: dict[str, threading.Lock] = {}
        try:
            make_private_directory(directory)
            if {path.name for path in directory.iterdir()} <= _CONTENT:
                self._marker.touch()
            for subdirectory in (self._files, self._incoming):
                subdirectory.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise Blocked(
                "index-directory-not-usable",
                f"{directory} cannot be used for the embedded index: {error.strerror}",
                fix="use a directory that you can write to",
            ) from error
        except Blocked as error:
            raise Blocked(
                "index-directory-not-usable",
                f"{directory} cannot be used for the embedded index: {error.message}",
                fix=error.fix,
            ) from error

    def lock(self, project: str) -> threading.Lock:
        """Return the lock to hold while an upload of a project is checked and stored."""
        return self._locks.setdefault(project, threading.Lock())

    def names(self) -> list[str]:
        """Return the normalized names of all projects, sorted."""
        return sorted({project for _, project, _ in self._entries()})

    def files(self, project: str) -> list[StoredFile]:
        """Return the files of a project, sorted by version and then by name."""
        candidates = [self.find(filename) for filename, name, _ in self._entries() if name == project]
        stored_files = [file for file in candidates if file is not None]
        return sorted(stored_files, key=lambda file: (file.version, file.filename))

    def find(self, filename: str) -> StoredFile | None:
        """Return the file with a name, or None if it does not exist or its record is damaged."""
        try:
            return parse_record(filename, (self._files / filename / RECORD).read_bytes())
        except (Blocked, OSError):
            return None

    def find_content(self, sha256: str) -> StoredFile | None:
        """Return a file of any project with this SHA-256 (hex), or None if there is none."""
        stored_files = (self.find(filename) for filename, _, _ in self._entries())
        return next((file for file in stored_files if file is not None and file.sha256 == sha256), None)

    def open_file(self, filename: str) -> BinaryIO | None:
        """Open a file by name; return None if it does not exist."""
        return self._open(filename, FILE)

    def open_metadata(self, filename: str) -> BinaryIO | None:
        """Open the `METADATA` of a wheel; return None if there is none."""
        return self._open(filename, METADATA)

    def receive(self) -> IncomingFile:
        """Begin an upload, which is deleted at the end of its `with` statement unless it was stored."""
        return IncomingFile(self._files, TemporaryDirectory(self._incoming), self.find, self.clock)

    def holds_only(self, files: Mapping[str, str]) -> bool:
        """Return whether every stored file is one of these files, with the same recorded hash and that content.

        Args:
            files: Maps file names to their SHA-256 hashes (hex).
        """
        stored_files = [self.find(filename) for filename, _, _ in self._entries()]
        return all(
            file is not None and files.get(file.filename) == file.sha256 == self._content_hash(file)
            for file in stored_files
        )

    def check_undamaged(self) -> None:
        """Check that the record of every file can be read, and that the file exists and has the recorded size.

        Raises:
            Blocked: A record or a file is damaged: installers could not download it, nor can it be uploaded again.
        """
        if (path := next(self._damaged_files(), None)) is not None:
            raise damaged_file_error(path)

    def clear(self) -> None:
        """Delete all files, including those of uploads in progress.

        Raises:
            Blocked: The directory contained other files when it was first used for an index.
        """
        if not self._marker.exists():
            raise Blocked(
                "index-directory-not-usable",
                f"{self._marker.parent} cannot be cleared (it contains files that the index did not create)",
                fix="use an empty directory for the embedded index",
            )
        # Rename before deleting, so that no half-deleted upload is visible.
        with TemporaryDirectory(self._incoming) as trash:
            for entry in self._files.iterdir():
                with contextlib.suppress(FileNotFoundError):  # another process is clearing as well
                    entry.rename(trash.path / entry.name)
        for leftover in self._incoming.iterdir():
            shutil.rmtree(leftover, ignore_errors=True)

    def _entries(self) -> Iterator[tuple[str, str, Version]]:
        """Yield the file name, the normalized project name and the version of each file."""
        for entry in self._files.iterdir():
            with contextlib.suppress(Blocked):  # foreign files in the directory
                yield entry.name, *identify(entry.name)

    def _damaged_files(self) -> Iterator[Path]:
        """Yield the path of each record that cannot be read, and of each file without the recorded size."""
        for filename, _, _ in self._entries():
            entry, file = self._files / filename, self.find(filename)
            if file is None:
                if entry.exists():  # or else another process has just cleared the index
                    yield entry / RECORD
                continue
            try:
                is_complete = (entry / FILE).stat().st_size == file.size and os.access(entry / FILE, os.R_OK)
            except OSError:
                is_complete = not entry.exists()
            if not is_complete:
                yield entry / FILE

    def _content_hash(self, file: StoredFile) -> str | None:
        """Return the SHA-256 (hex) of a file's content, or None if it cannot be read."""
        try:
            with (self._files / file.filename / FILE).open("rb") as content:
                return hashlib.file_digest(content, "sha256").hexdigest()
        except OSError:
            return None

    def _open(self, filename: str, part: str) -> BinaryIO | None:
        """Open a part of an upload (`FILE` or `METADATA`) by file name; return None if it does not exist."""
        try:
            identify(filename)
            return (self._files / filename / part).open("rb")
        except (Blocked, FileNotFoundError, NotADirectoryError, IsADirectoryError, PermissionError):
            return None
