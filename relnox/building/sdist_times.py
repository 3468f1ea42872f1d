"""The times in an sdist: the same in every build of a commit, so that building again gives the public bytes."""

from __future__ import annotations

import gzip
import tarfile
from pathlib import Path


def limit_times(path: Path, epoch: int) -> None:
    """Set the times in an sdist that are later than `epoch` to it, as SOURCE_DATE_EPOCH asks of every build tool.

    setuptools and pdm-backend write the time of the build. Where there is such a time, the owners of the files,
    which are those of this machine, are removed as well; every other sdist keeps its bytes.
    """
    with tarfile.open(path) as archive:
        members = archive.getmembers()
        if all(member.mtime <= epoch for member in members) and _time_of_gzip(path) <= epoch:
            return
        limited = path.with_name(f"{path.name}.new")
        with (
            limited.open("wb") as file,
            gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=epoch) as compressed,
            tarfile.open(fileobj=compressed, mode="w", format=tarfile.PAX_FORMAT) as rewritten,
        ):
            for member in members:
                member.mtime = min(int(member.mtime), epoch)
                member.uid = member.gid = 0
                member.uname = member.gname = ""
                member.pax_headers = {name: value for name, value in member.pax_headers.items() if name != "mtime"}
                rewritten.addfile(member, archive.extractfile(member) if member.isreg() else None)
    limited.replace(path)


def _time_of_gzip(path: Path) -> int:
    """Return the time in the header of a gzip file, in seconds since 1970 (RFC 1952)."""
    with path.open("rb") as file:
        return int.from_bytes(file.read(8)[4:], "little")
