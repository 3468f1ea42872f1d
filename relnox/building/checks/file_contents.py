"""Checks of the content of each file in an archive, which is read once for all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relnox.building.archives import member_path
from relnox.building.checks import secrets
from relnox.building.findings import error
from relnox.core.records import replace

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from relnox.building.findings import Finding

_LFS_POINTER = b"version https://git-lfs.github.com/spec/v1\n"
"""The first line of the files that git has instead of those that Git LFS stores."""
_MAX_POINTER_SIZE = 1024


def check_file_contents(
    files: Iterable[tuple[str, bytes]], tracked_files: frozenset[str] | None
) -> Iterator[Finding]:
    """Yield secrets and Git LFS pointers in files, given as their names and first bytes.

    A pointer in tests or documentation is only a warning. `tracked_files` are those that git tracks, if known.
    """
    for name, content in files:
        if content.startswith(_LFS_POINTER) and len(content) <= _MAX_POINTER_SIZE:
            finding = error(
                "lfs-pointer-in-archive",
                f"{name} is a pointer of Git LFS, not the file itself",
                "git lfs install && git lfs pull (in CI: check out with LFS), then rebuild",
            )
            yield replace(finding, level="warning") if secrets.is_sample(member_path(name)) else finding
        yield from secrets.find_secrets([(name, content)], tracked_files)
