"""Checks of an sdist's contents against its format (PEP 625), its pyproject.toml and the files that git tracks."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from relnox.building.archives import COPY_FILE_FIX, member_path, read_file
from relnox.building.findings import error, format_names, rejected_by_index, warning
from relnox.core.documents import parse_toml, table_at

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from relnox.building.archives import Archive, ArchiveEntry
    from relnox.building.checks.identity import ExpectedArchive
    from relnox.building.findings import Finding

_MAX_SETTINGS_SIZE = 1 << 20
_GENERATED_FILES = re.compile(
    r"PKG-INFO|setup\.cfg|.*\.egg-info(/.*)?|Cargo\.lock|pyproject\.toml\.orig"
    r"|(.*/)?(_version|__version__|version|_about|__about__|_scm_version|_build_config)\.pyi?"
    r"|(.*/)?[^/]+_pb2(_grpc)?\.pyi?"
    r"|(LICEN[CS]E|COPYING|NOTICE|AUTHORS|README)[^/]*",  # from the directory above, in a monorepo
    re.IGNORECASE,
)
_TEST_DIRECTORIES = frozenset({"test", "tests", "testing"})
_REPLACE_LINK_FIX = "replace the link with the file"
_INCLUDE_FIX = "include it in the build configuration"


def check_sdist(archive: Archive) -> Iterator[Finding]:
    """Yield violations of the sdist format, and missing files that the sdist's pyproject.toml refers to."""
    top = archive.path.name.removesuffix(".tar.gz")
    tops = {parts[0] for member in archive.member_names if (parts := member_path(member).parts)}
    if len(tops) > 1:
        yield rejected_by_index(
            "archive-invalid",
            f"top-level entries are {', '.join(sorted(tops))} instead of the single directory {top} "
            "(rejected by the public index)",
            "configure the build backend to put all files into that directory (PEP 625)",
        )
    elif tops != {top}:
        yield warning(
            "archive-invalid",
            f"top-level directory is {', '.join(tops)} instead of {top}",
            "build with a current version of the build backend (PEP 625)",
        )
    inside = _paths_inside(archive).keys()
    yield from _check_links(archive.entries)
    yield from _check_required_files(_read_project_table(archive), inside)


def _check_links(entries: Sequence[ArchiveEntry]) -> Iterator[Finding]:
    """Yield links: an error if the target is outside the sdist, or reached through another link (PEP 706)."""
    links = {_path_parts(entry.name) for entry in entries if entry.kind == "symlink"}
    files = {_path_parts(entry.name) for entry in entries if entry.kind == "file"}
    for entry in entries:
        parts = _path_parts(entry.name)
        if links and any(parts[:length] in links for length in range(1, len(parts))):
            message = f"contains an entry inside a linked directory: {entry.name!r}"
            yield error("archive-invalid", message, _REPLACE_LINK_FIX)
        if entry.kind not in ("hardlink", "symlink"):
            continue
        if entry.kind == "hardlink":
            is_inside = _path_parts(entry.link_target) in files
        else:
            is_inside = not entry.link_target.startswith("/") and _stays_inside(parts, entry.link_target, links)
        link = f"{entry.name!r} -> {entry.link_target!r}"
        if is_inside:
            yield warning("archive-invalid", f"contains a link: {link}", _REPLACE_LINK_FIX)
        else:
            yield error("archive-invalid", f"contains a link to a target outside the sdist: {link}", COPY_FILE_FIX)


def _path_parts(name: str) -> tuple[str, ...]:
    return tuple(part for part in name.split("/") if part not in ("", "."))


def _stays_inside(link: tuple[str, ...], target: str, links: AbstractSet[tuple[str, ...]]) -> bool:
    """Return whether no step to a link's target leaves the top-level directory or follows another link."""
    path = link[:-1]
    for part in _path_parts(target):
        if path in links:
            return False
        path = path[:-1] if part == ".." else (*path, part)
        if path[:1] != link[:1]:
            return False
    return True


def _read_project_table(archive: Archive) -> Mapping[str, Any] | None:
    """Return the table `[project]` in the sdist's pyproject.toml, or None if the sdist has no such file."""
    for entry in archive.entries:
        if entry.kind == "file" and _path_parts(entry.name)[1:] == ("pyproject.toml",):
            text = read_file(archive, entry.name, _MAX_SETTINGS_SIZE)
            try:
                return table_at(parse_toml(text.decode()), "project")
            except ValueError:
                return {}
    return None


def _check_required_files(project: Mapping[str, Any] | None, inside: AbstractSet[str]) -> Iterator[Finding]:
    if project is None and "setup.py" in inside:
        yield warning(
            "project-not-found",
            "pyproject.toml is missing (builds from setup.py alone are deprecated)",
            f"add one, and {_INCLUDE_FIX}",
        )
    elif project is None:
        yield error("project-not-found", "pyproject.toml is missing (the sdist cannot be built)", _INCLUDE_FIX)
    for key, file in _referenced_files(project or {}):
        if file not in inside and ".." not in PurePosixPath(file).parts:
            yield error("archive-content", f"{file} is missing (project.{key} refers to it)", _INCLUDE_FIX)


def _referenced_files(project: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield each key of `[project]` that refers to a file, and the file; glob patterns are ignored."""
    for key in ("readme", "license"):
        value = project.get(key)
        file = value.get("file") if isinstance(value, dict) else value if key == "readme" else None
        if isinstance(file, str):
            yield key, PurePosixPath(file).as_posix()
    files = project.get("license-files")
    for pattern in files if isinstance(files, list) else ():
        if isinstance(pattern, str) and not set(pattern) & set("*?["):
            yield "license-files", PurePosixPath(pattern).as_posix()


def check_tracked_files(archive: Archive, expected: ExpectedArchive) -> Iterator[Finding]:
    """Yield files in an sdist that git does not track, and tracked modules that are missing from it."""
    if (tracked_files := expected.tracked_files) is None:
        return
    members = _paths_inside(archive)
    inside = members.keys()
    files = inside - {parent for name in inside for parent in _parent_directories(name)} - {""}
    extra = {name for name in files - tracked_files if not is_generated(name)}
    # hatchling copies the nearest .gitignore, so that a wheel built from the sdist has the same files.
    extra -= {
        name
        for name, content in expected.parent_directory_files
        if name in extra and read_file(archive, members[name]) == content
    }
    if extra:
        yield warning(
            "archive-content",
            f"contains files that git does not track: {format_names(extra)}",
            "exclude them in the build configuration, or add them to git",
        )
    if "pyproject.toml" in tracked_files - inside and "setup.py" in inside:
        yield error("project-not-found", "pyproject.toml is missing, although git tracks it", _INCLUDE_FIX)
    missing = {name for name in tracked_files - inside if _is_module_and_no_test(name, inside)}
    if generated := missing & expected.generated_files:
        yield error(
            "archive-content",
            f"lacks modules that a before-build hook generated: {format_names(generated)}",
            "include these modules in the build configuration (hatchling leaves out what .gitignore matches: "
            "[tool.hatch.build] artifacts), or do not ignore them",
        )
    if missing := missing - generated:
        yield warning(
            "archive-content",
            f"lacks modules of a package that it contains: {format_names(missing)}",
            "include these modules in the build configuration, or exclude them by name",
        )


def _paths_inside(archive: Archive) -> dict[str, str]:
    """Map the path of each member of an sdist, relative to its top-level directory, to the member's full name."""
    return {"/".join(member_path(member).parts[1:]): member for member in archive.member_names}


def is_generated(name: str) -> bool:
    """Return whether build backends generate a file with this name, or copy it from another directory."""
    return _GENERATED_FILES.fullmatch(name) is not None


def _is_module_and_no_test(file: str, included_files: AbstractSet[str]) -> bool:
    """Return whether a file is a module, but not a test, of an import package that the sdist contains."""
    return (
        file.endswith(".py")
        and not _TEST_DIRECTORIES & set(member_path(file).parts)
        and any(f"{parent}/__init__.py" in included_files for parent in _parent_directories(file))
    )


def _parent_directories(name: str) -> list[str]:
    return [str(parent) for parent in member_path(name).parents if parent.parts]
