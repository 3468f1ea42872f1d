"""Environments that are kept between runs: made once for a set of pins, looked over before they serve again.

Each is a folder of its own, and a small file beside it leads to it by its key, so that two runs at once never
share one that is half made. Other small files tell what requirements stood for the last time, so that its backend
can be warmed up while the index is asked. What was not used for longest goes when all together grow too large.

What is in them is executed later. All of it is private, and nothing is used that is a link, belongs to another
user, or can be written by one.
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

from relnox.building.environments import Environment
from relnox.errors import Blocked
from relnox.files import make_private, why_unsafe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

__all__ = ["EnvironmentCache"]

_FORMAT = 1
_WRITABLE_BY_OTHERS = 0o022
_NAMES = {
    "entry": re.compile(r"[0-9a-f]{64}\.json"),
    "lead": re.compile(r"[0-9a-f]{64}\.lead"),
    "folder": re.compile(r"[0-9a-f]{16}-[0-9a-z_]{8,16}"),
    "new": re.compile(r"\.[0-9a-f]{16}-[0-9a-f]{16}"),
}
"""What is in the folder: nothing of another name is used or removed."""
_MOST_BYTES = 2 << 30
_IN_USE = 24 * 3600.0
"""Seconds after which nobody can be using an environment any more: longer than any build."""


class EnvironmentCache:
    """A folder of environments.

    Args:
        folder: Where they are; it is made when there is something to keep.
        most_bytes: How large all of them may be together.

    Attributes:
        problem: Why an environment that is there was not used, or none is kept; None if all is well.
    """

    def __init__(self, folder: Path, most_bytes: int = _MOST_BYTES) -> None:
        self.folder = folder
        self.problem: str | None = None
        self._most_bytes = most_bytes

    def get(
        self, pins: Sequence[str], python: Path, installer: str, make: Callable[[Path], Environment]
    ) -> Environment:
        """The environment with exactly these packages; made if there is none, or it is not as it was made.

        Args:
            pins: What is in it, each with its one version.
            python: The interpreter it is made with.
            installer: What fills it.
            make: Makes it in a new folder, and fills it.

        Raises:
            OSError: Nothing can be kept here, or not safely: see `problem`.
        """
        entry = self.folder / f"{_key(pins, python, installer)}.json"
        self._make_safe()
        if (kept := self._kept(entry)) is not None:
            return kept
        folder = self.folder / f"{entry.stem[:16]}-{os.urandom(8).hex()}"
        folder.mkdir(0o700)
        try:
            environment = make(folder / "env")
            _close_to_others(str(folder))
            fingerprint, size = _fingerprint(environment.folder)
        except BaseException:  # an interruption too leaves no half-made environment
            shutil.rmtree(folder, ignore_errors=True)
            raise
        told = {
            "folder": folder.name,
            "python": str(environment.python.relative_to(folder)),
            "fingerprint": fingerprint,
            "bytes": size,
            "pins": list(pins),
        }
        _write(entry, json.dumps(told, indent=2))
        self._bound(entry)
        return environment

    def last(self, requirements: Sequence[str], python: Path, installer: str) -> Environment | None:
        """What requirements led to when they were last told, which may not be what they lead to today.

        Args:
            requirements: As they are written.
            python: As for `get`.
            installer: As for `get`.
        """
        led_to = _read(self._lead(requirements, python, installer)).get("entry")
        if not isinstance(led_to, str) or _NAMES["entry"].fullmatch(led_to) is None or why_unsafe(self.folder):
            return None
        return self._kept(self.folder / led_to)

    def tell(self, requirements: Sequence[str], pins: Sequence[str], python: Path, installer: str) -> None:
        """Keep in mind what requirements stand for; see `last`.

        Args:
            requirements: As they are written.
            pins: As for `get`.
            python: As for `get`.
            installer: As for `get`.
        """
        lead, entry = self._lead(requirements, python, installer), f"{_key(pins, python, installer)}.json"
        if _read(lead).get("entry") != entry:
            _write(lead, json.dumps({"entry": entry}))

    def content(self) -> list[Path]:
        """All that is in it, and nothing that is not of the cache."""
        try:
            there = tuple(self.folder.iterdir())
        except (FileNotFoundError, NotADirectoryError):
            return []
        return [path for path in there if any(name.fullmatch(path.name) for name in _NAMES.values())]

    def clear(self) -> None:
        """Remove all of them.

        Raises:
            Blocked: The folder is not this user's alone.
        """
        if (found := self.content()) and (reason := why_unsafe(self.folder)) is not None:
            raise Blocked(
                "todo",
                f"the kept environments cannot be removed ({reason})",
                fix=f"look at it: ls -la {self.folder}",
            )
        for path in found:
            _remove(path)
        with contextlib.suppress(OSError):  # something else is in it
            self.folder.rmdir()

    def _make_safe(self) -> None:
        """Make the folder, and see that nobody else can change what is in it.

        Raises:
            OSError: Somebody can.
        """
        try:
            make_private(self.folder)
            self.problem = why_unsafe(self.folder)
        except Blocked as error:
            self.problem = error.message
        if self.problem is not None:
            raise PermissionError(self.problem)

    def _kept(self, entry: Path) -> Environment | None:
        """The environment that an entry leads to, if it is there just as it was made."""
        told = _read(entry)
        try:
            if _NAMES["folder"].fullmatch(told["folder"]) is None:
                return None
            folder = entry.parent / told["folder"]
            for used in (entry, folder, folder / "env"):
                _check(str(used), used.lstat(), link=False)
            for used in (entry, folder):  # from now on no other run removes it
                os.utime(used)
            python = folder / told["python"]
            inside = ".." not in python.parts and python.is_relative_to(folder / "env")
            same = inside and _fingerprint(folder / "env")[0] == told["fingerprint"] and python.exists()
        except (KeyError, TypeError, OSError):
            return None
        except _Untrusted as error:
            self.problem = f"{error}: it is made again"
            return None
        return Environment(folder / "env", python) if same else None

    def _lead(self, requirements: Sequence[str], python: Path, installer: str) -> Path:
        return self.folder / f"{_key(requirements, python, installer)}.lead"

    def _bound(self, newest: Path) -> None:
        """Remove the least recently used until all are small enough, and folders that no entry leads to."""
        entries = sorted(self._named("entry"), key=_used, reverse=True)
        total = 0
        led_to = set()
        for entry in entries:
            told = _read(entry)
            total += told.get("bytes", 0)
            if entry != newest and total > self._most_bytes:
                _remove(entry)
            else:
                led_to.add(told.get("folder"))
        for lead in self._named("lead"):
            if not (self.folder / str(_read(lead).get("entry"))).exists():
                _remove(lead)
        before = time.time() - _IN_USE
        for path in (*self._named("folder"), *self._named("new")):
            if path.name not in led_to and _used(path) < before:
                _remove(path)

    def _named(self, kind: str) -> list[Path]:
        return [path for path in self.folder.iterdir() if _NAMES[kind].fullmatch(path.name)]


class _Untrusted(Exception):
    """Somebody else could have changed a file of an environment."""


def _key(pins: Sequence[str], python: Path, installer: str) -> str:
    """What must be the same for an environment to be the same one."""
    real = Path(os.path.realpath(python))
    told = [_FORMAT, sorted(pins), str(real), real.stat().st_mtime_ns, sys.version, sys.platform, installer]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()


def _check(path: str, status: os.stat_result, *, link: bool) -> None:
    """See that a file or folder is this user's, and that nobody else can write it; `link`: or a link.

    Raises:
        _Untrusted: It is not.
    """
    is_link = stat.S_ISLNK(status.st_mode)
    if is_link and not link:
        raise _Untrusted(f"{path} is a symbolic link")
    if os.name == "posix" and status.st_uid != os.geteuid():
        raise _Untrusted(f"{path} belongs to another user")
    if os.name == "posix" and not is_link and status.st_mode & _WRITABLE_BY_OTHERS:
        raise _Untrusted(f"{path} can be written by other users")


def _close_to_others(folder: str) -> None:
    """Take the right to write away from others, whatever the umask, in a folder and all below it."""
    for path, _, files in os.walk(folder):
        for name in (path, *(f"{path}/{file}" for file in files)):
            status = os.lstat(name)
            if not stat.S_ISLNK(status.st_mode) and status.st_mode & _WRITABLE_BY_OTHERS:
                os.chmod(name, stat.S_IMODE(status.st_mode) & ~_WRITABLE_BY_OTHERS)  # noqa: PTH101 - thousands of them


def _remove(path: Path) -> None:
    """Remove something of the cache that is this user's; of a link the link itself."""
    with contextlib.suppress(OSError):
        status = path.lstat()
        if os.name == "posix" and status.st_uid != os.geteuid():
            return
        if stat.S_ISDIR(status.st_mode):
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _fingerprint(folder: Path) -> tuple[str, int]:
    """A digest over the name, size and time of each file below a folder, and how many bytes they are.

    What Python compiles of them comes and goes.

    Raises:
        _Untrusted: One of them is not this user's alone.
    """
    digest = hashlib.sha256()
    total = 0
    for name, status in sorted(_files(str(folder), "")):
        digest.update(f"{name}\0{status.st_size}\0{status.st_mtime_ns}\n".encode(errors="surrogateescape"))
        total += status.st_size
    return digest.hexdigest(), total


def _files(folder: str, prefix: str) -> Iterator[tuple[str, os.stat_result]]:
    with os.scandir(folder) as entries:
        for entry in entries:
            status = entry.stat(follow_symlinks=False)
            _check(entry.path, status, link=True)  # such as that to the interpreter
            if not stat.S_ISDIR(status.st_mode):
                yield f"{prefix}{entry.name}", status
            elif entry.name == "__pycache__":
                list(_files(entry.path, ""))  # Python executes what is in it: it is checked as well
            else:
                yield from _files(entry.path, f"{prefix}{entry.name}/")


def _used(path: Path) -> float:
    with contextlib.suppress(OSError):
        return path.stat().st_mtime
    return 0.0


def _read(entry: Path) -> dict[str, Any]:
    try:
        told = json.loads(entry.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return told if isinstance(told, dict) else {}


def _write(path: Path, text: str) -> None:
    new = path.with_name(f".{path.stem[:16]}-{os.urandom(8).hex()}")
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as out:
        out.write(text)
    new.replace(path)
