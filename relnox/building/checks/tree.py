"""An sdist against what git tracks: what got in by chance, and what was forgotten."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from relnox.building.archives import file_content, path_of
from relnox.building.findings import error, few, warning

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from relnox.building.archives import Archive
    from relnox.building.findings import Found

__all__ = ["check", "is_generated"]

_GENERATED = re.compile(
    r"PKG-INFO|setup\.cfg|.*\.egg-info(/.*)?|Cargo\.lock|pyproject\.toml\.orig"
    r"|(.*/)?(_version|__version__|version|_about|__about__|_scm_version|_build_config)\.pyi?"
    r"|(.*/)?[^/]+_pb2(_grpc)?\.pyi?"
    r"|(LICEN[CS]E|COPYING|NOTICE|AUTHORS|README)[^/]*",  # of the folder above, in a repository of many packages
    re.IGNORECASE,
)
_TESTS = frozenset({"test", "tests", "testing"})


def check(archive: Archive, tracked: frozenset[str], above: Iterable[tuple[str, bytes]] = ()) -> Iterator[Found]:
    """Files of an sdist that git does not track, and tracked ones that it should have.

    Args:
        archive: An sdist.
        tracked: The files that git tracks, relative to the package's folder.
        above: Names and contents of files that git tracks in the folders above.
    """
    inside = {"/".join(path_of(member).parts[1:]) for member in archive.members}
    files = inside - {parent for name in inside for parent in _parents(name)} - {""}
    extra = {name for name in files - tracked if not is_generated(name)}
    # hatchling takes the nearest .gitignore along, so that the wheel is the same when it is built from the sdist.
    extra -= {name for name, content in above if name in extra and _content(archive, name) == content}
    if extra:
        yield warning("todo", f"in it, though git does not track it: {few(extra)}", "leave it out, or git add it")
    if "pyproject.toml" in tracked - inside and "setup.py" in inside:
        yield error(
            "todo", "pyproject.toml is not in it, though git tracks it", "let the build configuration include it"
        )
    if missing := {name for name in tracked - inside if _is_forgotten(name, inside)}:
        yield warning(
            "todo",
            f"not in it, though the package around is: {few(missing)}",
            "let the build configuration find all packages, or exclude them by name",
        )


def _content(archive: Archive, name: str) -> bytes:
    member = next(each for each in archive.members if "/".join(path_of(each).parts[1:]) == name)
    return file_content(archive, member)


def is_generated(name: str) -> bool:
    """Whether a file is one that backends write, or bring along from elsewhere."""
    return _GENERATED.fullmatch(name) is not None


def _is_forgotten(name: str, inside: set[str]) -> bool:
    """Whether a module is missing from a package that is there; tests are often left out on purpose."""
    return (
        name.endswith(".py")
        and not _TESTS & set(path_of(name).parts)
        and any(f"{parent}/__init__.py" in inside for parent in _parents(name))
    )


def _parents(name: str) -> list[str]:
    return [str(parent) for parent in path_of(name).parents if parent.parts]
