"""Keep distributions in a folder that several processes may share.

    FOLDER/files/<file name>/       an upload: the file, its wheel's metadata, its attestations, and what was noted
    FOLDER/incoming/<random>/       an upload under way
    FOLDER/hashes/<sha256>          the name under which these bytes were kept, or were about to be

An upload is prepared and fsynced in `incoming` and then renamed as a whole. It is there completely or not at
all, and the first one wins: a folder cannot be renamed onto one that has something in it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Protocol, Self

from packaging.utils import parse_sdist_filename, parse_wheel_filename

from relnox.core import fixes
from relnox.errors import Blocked, Conflict
from relnox.files import TemporaryFolder, make_private, remove_leftovers, replace_file, sync_folder
from relnox.indexes.embedded import messages
from relnox.indexes.embedded.contents import wheel_metadata
from relnox.indexes.embedded.projects import Projects

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path
    from types import TracebackType
    from typing import BinaryIO

    from packaging.version import Version

__all__ = ["Incoming", "Store", "StoredFile", "identify"]

_FILE = "file"
_METADATA = "metadata"
_NOTE = "upload.json"
_PROVENANCE = "provenance"
_YANKED = "yanked"
_MARKER = "relnox-embedded-index"
_CONTENT = {_MARKER, "files", "incoming", "hashes", "projects", "burnt"}
"""What is in the folder of an index: nothing of one in which there was something else is ever cleared."""
# `packaging` lets a wheel's tags be anything, slashes included. What is left here needs no quoting in a path,
# an URL or a page either.
_FILENAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+!-]*")
_NAME_HINT = f"build the file with `{fixes.command('build-all')}`, and do not rename it"


@dataclass(frozen=True, kw_only=True)
class _Note:
    """What is written down beside a file, as `upload.json` spells it."""

    size: int
    sha256: str
    blake2_256: str
    upload_time: str
    requires_python: str | None
    metadata_sha256: str | None


@dataclass(frozen=True, kw_only=True)
class StoredFile(_Note):
    """A distribution that the store holds.

    Attributes:
        filename: Its name.
        project: Normalised name of its project (PEP 503).
        version: Its version.
        size: In bytes.
        sha256: Hex digest, taken as the file arrived: one that is changed later no longer fits it.
        blake2_256: Hex digest of BLAKE2b with 32 bytes.
        upload_time: ISO 8601, UTC, with microseconds (PEP 700).
        requires_python: As it was declared at the upload, or None.
        metadata_sha256: Hex digest of a wheel's `METADATA` (PEP 658); None when it could not be read.
        has_provenance: Whether it came with attestations (PEP 740).
        yanked: Why it was yanked (PEP 592), which may be an empty text; None when it was not.
    """

    filename: str
    project: str
    version: Version
    has_provenance: bool = False
    yanked: str | None = None

    @property
    def uploaded(self) -> float:
        """When it came, in seconds since the epoch."""
        return datetime.fromisoformat(self.upload_time).timestamp()


@lru_cache(maxsize=4096)
def identify(filename: str) -> tuple[str, Version]:
    """The normalised project and the version that a distribution's name tells.

    Raises:
        Blocked: It is neither a wheel's nor a source distribution's name.
    """
    if not _FILENAME.fullmatch(filename):
        raise Blocked(
            "todo",
            f"{filename!a} is no file name for an index: only letters, digits and . _ + ! - may stand in it",
            fix=_NAME_HINT,
        )
    try:
        if filename.endswith(".whl"):
            project, version, _build, _tags = parse_wheel_filename(filename)
        else:
            project, version = parse_sdist_filename(filename)
    except ValueError as error:
        raise Blocked(
            "todo", f"{filename} is not the name of a wheel or a source distribution: {error}", fix=_NAME_HINT
        ) from error
    return project, version


class Store:
    """The files of an index.

    Args:
        folder: Where they are kept; made when it is not there.
        clock: Tells the time of an upload, in seconds since the epoch.

    Raises:
        Blocked: The folder can be neither made nor written to.
    """

    def __init__(self, folder: Path, clock: Callable[[], float] = time.time) -> None:
        self.clock = clock
        self._files = folder / "files"
        self._incoming = folder / "incoming"
        self._hashes = folder / "hashes"
        self._marker = folder / _MARKER
        self.projects = Projects(folder)
        try:
            make_private(folder)
            if {path.name for path in folder.iterdir()} <= _CONTENT:
                self._marker.touch()
            for each in (self._files, self._incoming, self._hashes):
                each.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise Blocked(
                "todo",
                f"{folder} cannot hold the embedded index: {error.strerror}",
                fix="name a folder that you may write to",
            ) from error
        except Blocked as error:
            raise Blocked(
                "todo", f"{folder} cannot hold the embedded index: {error.message}", fix=error.fix
            ) from error
        remove_leftovers(self._incoming)

    def names(self) -> list[str]:
        """Normalised names of the projects that are here, sorted."""
        return sorted({project for _, project, _ in self._entries()}.union(self.projects.names()))

    def files(self, project: str) -> list[StoredFile]:
        """The files of a project, by version and then by name.

        Args:
            project: Normalised name.
        """
        found = [self.find(filename) for filename, owner, _ in self._entries() if owner == project]
        held = [file for file in found if file is not None]
        return sorted(held, key=lambda file: (file.version, file.filename))

    def find(self, filename: str) -> StoredFile | None:
        """What is known of a file; None when there is none of that name."""
        try:
            project, version = identify(filename)
            folder = self._files / filename
            note = _Note(**json.loads((folder / _NOTE).read_bytes()))
        except (Blocked, FileNotFoundError, NotADirectoryError):
            return None
        return StoredFile(
            **asdict(note),
            filename=filename,
            project=project,
            version=version,
            has_provenance=(folder / _PROVENANCE).exists(),
            yanked=_text(folder / _YANKED),
        )

    def holder(self, sha256: str) -> str | None:
        """The name of a file with these bytes, in whatever project; None when there is none."""
        name = _text(self._hashes / sha256)
        held = self.find(name) if name is not None else None
        return name if held is not None and held.sha256 == sha256 else None

    def note_holder(self, sha256: str, filename: str) -> None:
        """Remember under which name these bytes are about to be kept, unless they have one."""
        if self.holder(sha256) is None:
            replace_file(self._hashes / sha256, filename.encode(), mode=0o600)

    def open_file(self, filename: str) -> BinaryIO | None:
        """A file's content; None when there is none of that name."""
        return self._open(filename, _FILE)

    def open_metadata(self, filename: str) -> BinaryIO | None:
        """A wheel's `METADATA`; None when there is no such wheel, or none could be read from it."""
        return self._open(filename, _METADATA)

    def open_provenance(self, filename: str) -> BinaryIO | None:
        """The attestations of a file; None when there are none."""
        return self._open(filename, _PROVENANCE)

    def delete(self, filename: str) -> None:
        """Delete a file and remember its name: by the public index's rules it is never used again."""
        identify(filename)
        self.projects.burn(filename)
        with TemporaryFolder(self._incoming) as bin_, contextlib.suppress(FileNotFoundError):
            (self._files / filename).rename(bin_.path / filename)

    def yank(self, filename: str, reason: str) -> None:
        """Mark a file as one that installers pass over, unless it is asked for (PEP 592)."""
        replace_file(self._files / filename / _YANKED, reason.encode(), mode=0o600)

    def receive(self) -> Incoming:
        """Begin an upload: a `with` statement, after which nothing of it is left unless it was kept."""
        return Incoming(self._files, TemporaryFolder(self._incoming), self)

    def holds_only(self, files: Mapping[str, str]) -> bool:
        """Whether nothing is here but some of these files, in the state in which they were uploaded.

        Args:
            files: SHA-256 (hex) by name.
        """
        if self.projects.are_altered():
            return False
        stored = [self.find(filename) for filename, _, _ in self._entries()]
        return all(
            file is not None and file.yanked is None and files.get(file.filename) == file.sha256 for file in stored
        )

    def clear(self) -> None:
        """Forget every file. An upload that is under way is lost too.

        Raises:
            Blocked: There was something else in the folder before the index was.
        """
        if not self._marker.exists():
            raise Blocked(
                "todo",
                f"{self._marker.parent} cannot be cleared (it holds more than an index)",
                fix="name an empty folder for the embedded index",
            )
        # Moved out before they are deleted: nobody sees half of an upload.
        with TemporaryFolder(self._incoming) as bin_:
            for entry in self._files.iterdir():
                with contextlib.suppress(FileNotFoundError):  # another process is clearing as well
                    entry.rename(bin_.path / entry.name)
        for leftover in self._incoming.iterdir():
            shutil.rmtree(leftover, ignore_errors=True)
        for hash_ in self._hashes.iterdir():
            hash_.unlink(missing_ok=True)
        self.projects.clear()

    def _entries(self) -> Iterator[tuple[str, str, Version]]:
        """File name, project and version of all files."""
        for entry in self._files.iterdir():
            with contextlib.suppress(Blocked):  # what somebody else has put into the folder
                yield entry.name, *identify(entry.name)

    def _open(self, filename: str, part: str) -> BinaryIO | None:
        try:
            identify(filename)
            return (self._files / filename / part).open("rb")
        except (Blocked, FileNotFoundError, NotADirectoryError):
            return None


class _Digest(Protocol):
    """What hashlib's objects have in common."""

    def update(self, data: bytes, /) -> None: ...
    def hexdigest(self) -> str: ...


class Incoming:
    """A file on its way into the store; made by `Store.receive`."""

    def __init__(self, files: Path, temporary: TemporaryFolder, store: Store) -> None:
        self._files = files
        self._temporary = temporary
        self._folder = temporary.path / "upload"
        self._folder.mkdir()
        self._store = store
        self._content = (self._folder / _FILE).open("xb")
        self.size = 0
        self._digests: dict[str, _Digest] = {
            "sha256": hashlib.sha256(),
            "blake2_256": hashlib.blake2b(digest_size=32),
            "md5": hashlib.md5(usedforsecurity=False),
        }

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
        for digest in self._digests.values():
            digest.update(piece)

    @property
    def digests(self) -> Mapping[str, str]:
        """Hex digests of what has arrived: `sha256`, `blake2_256` and `md5`."""
        return {name: digest.hexdigest() for name, digest in self._digests.items()}

    @contextlib.contextmanager
    def under_its_name(self, filename: str) -> Iterator[Path]:
        """The file as it has arrived so far, under its own name, for as long as the `with` statement lasts."""
        identify(filename)
        self._content.flush()
        with TemporaryFolder(self._temporary.path) as folder:
            path = folder.path / filename
            try:
                os.link(self._folder / _FILE, path)
            except OSError:  # not every file system has links
                shutil.copyfile(self._folder / _FILE, path)
            yield path

    def keep(self, filename: str, *, requires_python: str | None = None, provenance: bytes | None = None) -> bool:
        """Put the file into the store, for good.

        Args:
            filename: Its name.
            requires_python: What is listed for it (PEP 503's `data-requires-python`).
            provenance: Its attestations, as they are served (PEP 740); None: it has none.

        Returns:
            Whether it is new: False when the store holds the very same file already.

        Raises:
            Blocked: No distribution has such a name.
            Conflict: The store holds another file of that name.
        """
        identify(filename)
        _sync(self._content)
        self._content.close()
        metadata = wheel_metadata(self._folder / _FILE) if filename.endswith(".whl") else None
        if metadata is not None:
            self._write(_METADATA, metadata)
        if provenance is not None:
            self._write(_PROVENANCE, provenance)
        digests = self.digests
        note = _Note(
            size=self.size,
            sha256=digests["sha256"],
            blake2_256=digests["blake2_256"],
            upload_time=f"{datetime.fromtimestamp(self._store.clock(), UTC):%Y-%m-%dT%H:%M:%S.%fZ}",
            requires_python=requires_python,
            metadata_sha256=None if metadata is None else hashlib.sha256(metadata).hexdigest(),
        )
        self._write(_NOTE, json.dumps(asdict(note), indent=2).encode())
        sync_folder(self._folder)
        self._store.note_holder(note.sha256, filename)
        try:
            self._folder.rename(self._files / filename)
        except OSError:
            # Which error means "there is one already" differs between systems: looking tells.
            held = self._store.find(filename)
            if held is None:
                raise
            if held.sha256 == note.sha256:
                return False
            raise Conflict(
                "todo",
                f"{messages.exists(filename, held.blake2_256)} The one sent has {note.blake2_256!r}.",
                fix="bump the version, or clear the embedded index",
            ) from None
        sync_folder(self._files)
        return True

    def _write(self, part: str, content: bytes) -> None:
        with (self._folder / part).open("xb") as file:
            file.write(content)
            _sync(file)


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None


def _sync(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())
