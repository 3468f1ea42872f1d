"""A strict gzip reader that decompresses the tar archive of an sdist as a stream, within limits."""

from __future__ import annotations

import contextlib
import zlib
from functools import lru_cache
from typing import IO, TYPE_CHECKING

from relnox.building.archive_entries import ArchiveError, unpacked_size_limit

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from relnox.core.settings.config_tables import ArchiveLimits

_CHUNK_SIZE = 1 << 18
_MAX_CACHED_SIZE = 1 << 20
_MAX_CACHED_UNPACKED_SIZE = 8 << 20


class TarStream:
    """A readable stream over an iterator of byte strings; `position` is the number of bytes read so far."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self.position = 0
        self._pieces = pieces
        self._piece = b""
        self._at = 0

    def read(self, size: int) -> bytes:
        """Return the next `size` bytes, or fewer at the end of the stream."""
        end = self._at + size
        if end > len(self._piece):
            parts = [self._piece[self._at :]]
            missing = size - len(parts[0])
            self._piece, end = b"", 0
            while missing and (piece := next(self._pieces, b"")):
                parts.append(piece[:missing])
                self._piece, end = piece, len(parts[-1])
                missing -= end
            data = b"".join(parts)
        else:
            data = self._piece[self._at : end]
        self._at = end
        self.position += len(data)
        return data

    def skip_to(self, position: int) -> bool:
        """Skip forward to a position; return False if the stream ends before it."""
        while (remaining := position - self.position) > 0:
            if not self.read(min(remaining, _CHUNK_SIZE)):
                return False
        return True

    def is_zero_to_the_end(self) -> bool:
        """Read the rest of the stream, and return whether it contains only zero bytes."""
        while data := self.read(_CHUNK_SIZE):
            if data.strip(b"\0"):
                return False
        return True


@contextlib.contextmanager
def open_tar_stream(path: Path, limits: ArchiveLimits) -> Iterator[TarStream]:
    """Open the tar archive in an sdist as a stream; small archives are cached, since many checks read them."""
    stat = path.stat()
    if stat.st_size <= _MAX_CACHED_SIZE:
        content = _decompress_cached(str(path), stat.st_size, stat.st_mtime_ns, limits)
        if content is not None:
            yield TarStream(iter((content,)))
            return
    with path.open("rb") as file:
        yield TarStream(_decompressed_chunks(file, stat.st_size, limits))


@lru_cache(maxsize=8)
def _decompress_cached(path: str, size: int, time: int, limits: ArchiveLimits) -> bytes | None:
    """Return the tar archive in an sdist, or None if it is too large to keep in memory."""
    del time  # part of the key of the cache
    with open(path, "rb") as file:  # noqa: PTH123 - the cache's keys are plain
        stream = TarStream(_decompressed_chunks(file, size, limits))
        content = stream.read(_MAX_CACHED_UNPACKED_SIZE + 1)
    return content if len(content) <= _MAX_CACHED_UNPACKED_SIZE else None


def _decompressed_chunks(file: IO[bytes], size: int, limits: ArchiveLimits) -> Iterator[bytes]:
    """Yield the content of a gzip file of `size` bytes, which must be exactly one complete gzip stream."""
    limit, too_large = unpacked_size_limit(size, limits)
    inflate = zlib.decompressobj(wbits=31)
    is_gzip = file.read(2) == b"\x1f\x8b"
    file.seek(0)
    unpacked_size = 0
    while not inflate.eof:
        if not (packed := inflate.unconsumed_tail or file.read(_CHUNK_SIZE)):
            raise ArchiveError("is truncated (incomplete gzip stream)")
        try:
            piece = inflate.decompress(packed, _CHUNK_SIZE)
        except zlib.error as error:
            problem = "has damaged gzip data" if is_gzip else "is not a gzip file"
            raise ArchiveError(f"{problem} ({error})") from error
        unpacked_size += len(piece)
        if unpacked_size > limit:
            raise too_large
        if piece:
            yield piece
    rest = inflate.unused_data
    while rest or (rest := file.read(_CHUNK_SIZE)):
        if rest.strip(b"\0"):
            extra = "a second gzip stream" if rest.startswith(b"\x1f\x8b") else "trailing data"
            raise ArchiveError(f"has {extra} after its gzip stream")
        rest = b""
