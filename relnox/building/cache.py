"""Environments that are kept between runs: made once for a set of pins, looked over before they serve again.

Each is a folder of its own, and a small file beside it leads to it by its key, so that two runs at once never
share one that is half made. Other small files tell what requirements stood for the last time, so that its backend
can be warmed up while the index is asked. What was not used for longest goes when all together grow too large.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relnox.building.environments import Environment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

__all__ = ["EnvironmentCache"]

_FORMAT = 1
_MOST_BYTES = 2 << 30
_IN_USE = 24 * 3600.0
"""Seconds after which nobody can be using an environment any more: longer than any build."""


class EnvironmentCache:
    """A folder of environments.

    Args:
        folder: Where they are; it is made when there is something to keep.
        most_bytes: How large all of them may be together.
    """

    def __init__(self, folder: Path, most_bytes: int = _MOST_BYTES) -> None:
        self.folder = folder
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
        """
        entry = self.folder / f"{_key(pins, python, installer)}.json"
        if (kept := _kept(entry)) is not None:
            return kept
        self.folder.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f"{entry.stem[:16]}-", dir=self.folder))
        try:
            environment = make(folder / "env")
            fingerprint, size = _fingerprint(environment.folder)
        except BaseException:
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
        return _kept(self.folder / str(led_to)) if led_to else None

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

    def clear(self) -> None:
        """Remove all of them."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _lead(self, requirements: Sequence[str], python: Path, installer: str) -> Path:
        return self.folder / f"{_key(requirements, python, installer)}.lead"

    def _bound(self, newest: Path) -> None:
        """Remove the least recently used until all are small enough, and folders that no entry leads to."""
        entries = sorted(self.folder.glob("*.json"), key=_used, reverse=True)
        total = 0
        led_to = set()
        for entry in entries:
            told = _read(entry)
            total += told.get("bytes", 0)
            if entry != newest and total > self._most_bytes:
                entry.unlink(missing_ok=True)
            else:
                led_to.add(told.get("folder"))
        for lead in self.folder.glob("*.lead"):
            if not (self.folder / str(_read(lead).get("entry"))).exists():
                lead.unlink(missing_ok=True)
        before = time.time() - _IN_USE
        for folder in self.folder.iterdir():
            if folder.is_dir() and folder.name not in led_to and _used(folder) < before:
                shutil.rmtree(folder, ignore_errors=True)


def _key(pins: Sequence[str], python: Path, installer: str) -> str:
    """What must be the same for an environment to be the same one."""
    real = Path(os.path.realpath(python))
    told = [_FORMAT, sorted(pins), str(real), real.stat().st_mtime_ns, sys.version, sys.platform, installer]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()


def _kept(entry: Path) -> Environment | None:
    """The environment that an entry leads to, if it is there just as it was made."""
    told = _read(entry)
    try:
        folder = entry.parent / told["folder"]
        for used in (entry, folder):  # first: from now on no other run removes it
            os.utime(used)
        python = folder / told["python"]
        same = _fingerprint(folder / "env")[0] == told["fingerprint"] and python.exists()
    except (KeyError, TypeError, OSError):
        return None
    return Environment(folder / "env", python) if same else None


def _fingerprint(folder: Path) -> tuple[str, int]:
    """A digest over the name, size and time of each file below a folder, and how many bytes they are.

    What Python compiles of them comes and goes.
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
            if entry.is_dir(follow_symlinks=False):
                if entry.name != "__pycache__":
                    yield from _files(entry.path, f"{prefix}{entry.name}/")
            else:
                yield f"{prefix}{entry.name}", entry.stat(follow_symlinks=False)


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
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem[:16]}-")
    with os.fdopen(descriptor, "w", encoding="utf-8") as out:
        out.write(text)
    Path(name).replace(path)
