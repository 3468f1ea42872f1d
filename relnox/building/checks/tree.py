"""The files of an sdist, against the files that git tracks."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from relnox.building.archives import member_path, read_file
from relnox.building.findings import abbreviate, error, warning

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from relnox.building.archives import Archive
    from relnox.building.findings import Finding

__all__ = ["check_tracked_files", "is_generated"]

_GENERATED = re.compile(
    r"PKG-INFO|setup\.cfg|.*\.egg-info(/.*)?|Cargo\.lock|pyproject\.toml\.orig"
    r"|(.*/)?(_version|__version__|version|_about|__about__|_scm_version|_build_config)\.pyi?"
    r"|(.*/)?[^/]+_pb2(_grpc)?\.pyi?"
    r"|(LICEN[CS]E|COPYING|NOTICE|AUTHORS|README)[^/]*",  # of the folder above, in a repository of many packages
    re.IGNORECASE,
)
_TESTS = frozenset({"test", "tests", "testing"})


def check_tracked_files(
    archive: Archive, tracked: frozenset[str], above: Iterable[tuple[str, bytes]] = ()
) -> Iterator[Finding]:
    """Find files of an sdist that git does not track, and tracked modules that it lacks.

    Args:
        archive: An sdist.
        tracked: The files that git tracks, relative to the package's folder.
        above: Names and contents of files that git tracks in the folders above.
    """
    inside = {"/".join(member_path(member).parts[1:]) for member in archive.members}
    files = inside - {parent for name in inside for parent in _parents(name)} - {""}
    extra = {name for name in files - tracked if not is_generated(name)}
    # hatchling copies the nearest .gitignore, so that a wheel built from the sdist has the same files.
    extra -= {name for name, content in above if name in extra and _content(archive, name) == content}
    if extra:
        yield warning(
            "untracked-file-in-sdist",
            f"contains files that git does not track: {abbreviate(extra)}",
            "exclude them in the build configuration, or git add them",
        )
    if "pyproject.toml" in tracked - inside and "setup.py" in inside:
        yield error(
            "pyproject-missing",
            "pyproject.toml is missing, although git tracks it",
            "include it in the build configuration",
        )
    if missing := {name for name in tracked - inside if _is_missing_module(name, inside)}:
        yield warning(
            "module-missing-from-sdist",
            f"lacks modules of a package that it contains: {abbreviate(missing)}",
            "include all packages in the build configuration, or exclude these by name",
        )


def _content(archive: Archive, name: str) -> bytes:
    member = next(member for member in archive.members if "/".join(member_path(member).parts[1:]) == name)
    return read_file(archive, member)


def is_generated(name: str) -> bool:
    """Return whether a file is one that build backends generate, or copy from another folder."""
    return _GENERATED.fullmatch(name) is not None


def _is_missing_module(name: str, inside: set[str]) -> bool:
    """Return whether a module is missing from a package that is there; tests are often left out on purpose."""
    return (
        name.endswith(".py")
        and not _TESTS & set(member_path(name).parts)
        and any(f"{parent}/__init__.py" in inside for parent in _parents(name))
    )


def _parents(name: str) -> list[str]:
    return [str(parent) for parent in member_path(name).parents if parent.parts]
