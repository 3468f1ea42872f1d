"""An upload in progress, which is kept in its own directory until it is complete."""

from __future__ import annotations

import hashlib
import json
import re
import zipfile
import zlib
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Self

from relnox.errors import Conflict
from relnox.indexes.embedded.stored_files import (
    FILE,
    METADATA,
    RECORD,
    damaged_file_error,
    file_exists_message,
    identify,
)
from relnox.system.files import sync

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path
    from types import TracebackType

    from relnox.indexes.embedded.stored_files import StoredFile
    from relnox.system.files import TemporaryDirectory

_METADATA_LIMIT = 1 << 24
_UNREADABLE = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    OSError,
    RuntimeError,  # encrypted, or an unsupported compression
    ValueError,
)


class IncomingFile:
    """An upload in progress, created by `Store.receive`.

    Args:
        files: The directory of the stored files.
        temporary: The directory of the upload.
        find: Returns a stored file by name, or None.
        clock: Returns the time in seconds since the epoch.
    """

    def __init__(
        self,
        files: Path,
        temporary: TemporaryDirectory,
        find: Callable[[str], StoredFile | None],
        clock: Callable[[], float],
    ) -> None:
        self._files = files
        self._temporary = temporary
        self._directory = temporary.path / "upload"
        self._directory.mkdir()
        self._find = find
        self._clock = clock
        self._content = (self._directory / FILE).open("xb")
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
        """Add the rest of the file in pieces."""
        for piece in pieces:
            self.write(piece)

    @property
    def digests(self) -> Mapping[str, str]:
        """The hex digests of the bytes received so far, by algorithm: `sha256` and `blake2_256`."""
        return {"sha256": self._sha256.hexdigest(), "blake2_256": self._blake2.hexdigest()}

    def store(self, filename: str, *, requires_python: str | None = None) -> bool:
        """Move the complete file into the store.

        Args:
            filename: The name of the file.
            requires_python: The value of `Requires-Python` to list (PEP 503), or None if there is none.

        Returns:
            Whether the file is new; False if the store already has the same file.

        Raises:
            Blocked: The name is not that of a wheel or sdist.
            Conflict: The store has a different file with this name.
        """
        identify(filename)
        sync(self._content)
        self._content.close()
        metadata = _wheel_metadata(self._directory / FILE) if filename.endswith(".whl") else None
        if metadata is not None:
            self._write(METADATA, metadata)
        digests = self.digests
        record = {
            "size": self.size,
            **digests,
            "upload_time": f"{datetime.fromtimestamp(self._clock(), UTC):%Y-%m-%dT%H:%M:%S.%fZ}",
            "requires_python": requires_python,
            "metadata_sha256": None if metadata is None else hashlib.sha256(metadata).hexdigest(),
        }
        self._write(RECORD, json.dumps(record, indent=2).encode())
        try:
            self._directory.rename(self._files / filename)
        except OSError:
            # The error for an existing directory differs between systems.
            stored_file = self._find(filename)
            if stored_file is None and (self._files / filename).exists():
                raise damaged_file_error(self._files / filename / RECORD) from None
            if stored_file is None:
                raise
            if stored_file.sha256 == digests["sha256"]:
                return False
            raise Conflict(
                "index-file-differs",
                f"{file_exists_message(filename, stored_file.blake2_256)} The one sent has "
                f"{digests['blake2_256']!r}.",
                fix="bump the version, or clear the embedded index",
            ) from None
        return True

    def _write(self, part: str, content: bytes) -> None:
        """Write another file into the directory of the upload, and flush it to disk."""
        with (self._directory / part).open("xb") as file:
            file.write(content)
            sync(file)


def _wheel_metadata(wheel: Path) -> bytes | None:
    """Return the content of `METADATA` in a wheel, or None if it cannot be read."""
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
