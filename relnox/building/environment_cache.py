"""A cache of build environments that persists between runs: one for each set of pins, verified before each reuse.

Each environment is a directory. An entry file next to it maps a key to the directory; it is written last, so that
concurrent runs never use an incomplete environment. Resolution files record what requirements resolved to last
time, so that the backend's process can start while the index is queried. The least recently used environments are
removed when the cache grows too large.

Code in the environments is executed later. Therefore the cache is private to the user: files and directories that
are links, belong to another user, or are writable by another user are not used.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import stat
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relnox.building.environments import VirtualEnvironment
from relnox.core.serialization import digest
from relnox.system.files import make_private_directory, replace_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

_FORMAT_VERSION = 1
_WRITABLE_BY_OTHERS = 0o022
_NAME_PATTERNS = {
    "entry": re.compile(r"[0-9a-f]{64}\.json"),
    "resolution": re.compile(r"[0-9a-f]{64}\.lead"),
    "directory": re.compile(r"[0-9a-f]{16}-[0-9a-z_]{8,16}"),
}
"""Patterns for the names of the cache's files and directories; anything else is neither used nor removed."""
_MAX_BYTES = 2 << 30
_MAX_BUILD_TIME = 24 * 3600.0
"""The time in seconds after which an environment is no longer in use; longer than any build."""


class _UntrustedFileError(Exception):
    """A file of an environment is a link, or may have been changed by another user."""


class EnvironmentCache:
    """A directory of cached environments, which is created when the first one is stored.

    Attributes:
        problem: Why the cache or one of its environments could not be used, or None if there was no problem.
    """

    def __init__(self, directory: Path, max_bytes: int = _MAX_BYTES) -> None:
        self.directory = directory
        self.problem: str | None = None
        self._max_bytes = max_bytes

    def get_or_create(
        self, pins: Sequence[str], python: Path, installer: str, make: Callable[[Path], VirtualEnvironment]
    ) -> VirtualEnvironment:
        """Return the cached environment with exactly these packages; create it if it is missing or was modified.

        Args:
            pins: The packages, pinned to exact versions.
            python: The interpreter that the environment is created with.
            installer: A text that identifies the installer and the indexes it uses.
            make: Creates the environment in the given directory and installs the packages.

        Raises:
            OSError: The cache directory is not usable or not safe (`problem` has the reason).
        """
        entry = self.directory / f"{_cache_key(pins, python, installer)}.json"
        self._prepare_directory()
        if (cached := self._load_environment(entry)) is not None:
            return cached
        directory = self.directory / f"{entry.stem[:16]}-{os.urandom(8).hex()}"
        directory.mkdir(0o700)
        try:
            environment = make(directory / "env")
            _make_writable_by_owner_only(str(directory))
            fingerprint, size = _fingerprint_of(environment.directory)
        except BaseException:  # an interruption must not leave an incomplete environment either
            shutil.rmtree(directory, ignore_errors=True)
            raise
        document = {
            "directory": directory.name,
            "python": str(environment.python.relative_to(directory)),
            "fingerprint": fingerprint,
            "bytes": size,
            "pins": list(pins),
        }
        _write_json(entry, document)
        self._limit_size(entry)
        return environment

    def last_environment(
        self, requirements: Sequence[str], python: Path, installer: str
    ) -> VirtualEnvironment | None:
        """Return the environment that the same requirements last resolved to, or None; it may be outdated."""
        entry = str(_read_json(self._resolution_file(requirements, python, installer)).get("entry"))
        if _NAME_PATTERNS["entry"].fullmatch(entry) is None:
            return None
        return self._load_environment(self.directory / entry)

    def record_resolution(
        self, requirements: Sequence[str], pins: Sequence[str], python: Path, installer: str
    ) -> None:
        """Record which pins requirements resolved to, for `last_environment`."""
        file = self._resolution_file(requirements, python, installer)
        entry = f"{_cache_key(pins, python, installer)}.json"
        if _read_json(file).get("entry") != entry:
            _write_json(file, {"entry": entry})

    def list_paths(self) -> list[Path]:
        """Return the files and directories that belong to the cache, ignoring any others in its directory."""
        try:
            return [path for kind in _NAME_PATTERNS for path in self._paths_of_kind(kind)]
        except (FileNotFoundError, NotADirectoryError):
            return []

    def clear(self) -> None:
        """Remove all environments."""
        for path in self.list_paths():
            _remove_if_owned(path)
        with contextlib.suppress(OSError):  # there are other files in it
            self.directory.rmdir()

    def _prepare_directory(self) -> None:
        """Create the directory; raise `OSError` if that fails."""
        make_private_directory(self.directory)

    def _load_environment(self, entry: Path) -> VirtualEnvironment | None:
        """Return the environment of an entry file, or None if it does not exist, was modified or is not safe."""
        document = _read_json(entry)
        try:
            if _NAME_PATTERNS["directory"].fullmatch(document["directory"]) is None:
                return None
            directory = entry.parent / document["directory"]
            for path in (entry, directory, directory / "env"):
                _check_owner(str(path), path.lstat(), allow_link=False)
            for path in (entry, directory):  # so that concurrent runs do not remove it
                os.utime(path)
            python = directory / document["python"]
            inside = ".." not in python.parts and python.is_relative_to(directory / "env")
            is_unmodified = (
                inside and _fingerprint_of(directory / "env")[0] == document["fingerprint"] and python.exists()
            )
        except (KeyError, TypeError, OSError):
            return None
        except _UntrustedFileError as error:
            self.problem = f"{error} (the environment is created again)"
            return None
        return VirtualEnvironment(directory / "env", python) if is_unmodified else None

    def _resolution_file(self, requirements: Sequence[str], python: Path, installer: str) -> Path:
        return self.directory / f"{_cache_key(requirements, python, installer)}.lead"

    def _limit_size(self, newest: Path) -> None:
        """Remove the least recently used entries beyond the maximum size, but not `newest`, and old leftovers."""
        entries = sorted(self._paths_of_kind("entry"), key=_last_used, reverse=True)
        total = 0
        directories = set()
        for entry in entries:
            document = _read_json(entry)
            total += document.get("bytes", 0)
            if entry != newest and total > self._max_bytes:
                _remove_if_owned(entry)
            else:
                directories.add(document.get("directory"))
        for file in self._paths_of_kind("resolution"):
            if not (self.directory / str(_read_json(file).get("entry"))).exists():
                _remove_if_owned(file)
        before = time.time() - _MAX_BUILD_TIME
        for path in self._paths_of_kind("directory"):
            if path.name not in directories and _last_used(path) < before:
                _remove_if_owned(path)

    def _paths_of_kind(self, kind: str) -> list[Path]:
        return [path for path in self.directory.iterdir() if _NAME_PATTERNS[kind].fullmatch(path.name)]


def _cache_key(pins: Sequence[str], python: Path, installer: str) -> str:
    """Return the cache key of an environment: a hash of everything that determines its content."""
    real = Path(os.path.realpath(python))
    interpreter = [str(real), real.stat().st_mtime_ns, sys.version, sys.platform]
    return digest([_FORMAT_VERSION, sorted(pins), *interpreter, installer])


def _last_used(path: Path) -> float:
    with contextlib.suppress(OSError):
        return path.stat().st_mtime
    return 0.0


def _read_json(entry: Path) -> dict[str, Any]:
    try:
        document = json.loads(entry.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}


def _write_json(path: Path, document: dict[str, Any]) -> None:
    replace_file(path, json.dumps(document, indent=2).encode(), mode=0o600, keep_mode=False)


def _check_owner(path: str, status: os.stat_result, *, allow_link: bool) -> None:
    """Raise `_UntrustedFileError` if a file or directory belongs to another user, or is writable by others."""
    is_link = stat.S_ISLNK(status.st_mode)
    if is_link and not allow_link:
        raise _UntrustedFileError(f"{path} is a symbolic link")
    if os.name == "posix" and status.st_uid != os.geteuid():
        raise _UntrustedFileError(f"{path} belongs to another user")
    if os.name == "posix" and not is_link and status.st_mode & _WRITABLE_BY_OTHERS:
        raise _UntrustedFileError(f"{path} is writable by other users")


def _make_writable_by_owner_only(directory: str) -> None:
    """Remove the write permissions of group and others from a directory and everything in it."""
    for path, _, files in os.walk(directory):
        for name in (path, *(f"{path}/{file}" for file in files)):
            status = os.lstat(name)
            if not stat.S_ISLNK(status.st_mode) and status.st_mode & _WRITABLE_BY_OTHERS:
                os.chmod(name, stat.S_IMODE(status.st_mode) & ~_WRITABLE_BY_OTHERS)  # noqa: PTH101 - thousands of them


def _remove_if_owned(path: Path) -> None:
    """Remove a file or directory of the cache if it belongs to this user; links are not followed."""
    with contextlib.suppress(OSError):
        status = path.lstat()
        if os.name == "posix" and status.st_uid != os.geteuid():
            return
        if stat.S_ISDIR(status.st_mode):
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _fingerprint_of(directory: Path) -> tuple[str, int]:
    """Return a digest of the names, sizes and times of the files in a directory, and their total size in bytes.

    Compiled bytecode is excluded, since Python may write it at any time.
    """
    fingerprint = hashlib.sha256()
    total = 0
    for name, status in sorted(_walk_files(str(directory), "")):
        fingerprint.update(f"{name}\0{status.st_size}\0{status.st_mtime_ns}\n".encode(errors="surrogateescape"))
        total += status.st_size
    return fingerprint.hexdigest(), total


def _walk_files(directory: str, prefix: str) -> Iterator[tuple[str, os.stat_result]]:
    with os.scandir(directory) as entries:
        for entry in entries:
            status = entry.stat(follow_symlinks=False)
            _check_owner(entry.path, status, allow_link=True)  # such as the link to the interpreter
            if not stat.S_ISDIR(status.st_mode):
                yield f"{prefix}{entry.name}", status
            elif entry.name == "__pycache__":
                list(_walk_files(entry.path, ""))  # Python executes bytecode: its owner is checked as well
            else:
                yield from _walk_files(entry.path, f"{prefix}{entry.name}/")
