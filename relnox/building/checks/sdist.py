"""Checks of an sdist's contents against its format (PEP 625) and the files that git tracks."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

from relnox.building.archives import Archive, member_path, read_file
from relnox.building.checks.subject import Subject
from relnox.building.findings import Rule, format_names
from relnox.core.documents import parse_toml, table_at

_GENERATED_FILES = re.compile(
    r"PKG-INFO|setup\.cfg|.*\.egg-info(/.*)?|Cargo\.lock|pyproject\.toml\.orig"
    r"|(.*/)?(_version|__version__|version|_about|__about__|_scm_version|_build_config)\.pyi?"
    r"|(.*/)?[^/]+_pb2(_grpc)?\.pyi?"
    r"|(LICEN[CS]E|COPYING|NOTICE|AUTHORS|README)[^/]*|\.(git|hg)ignore",  # from a parent directory
    re.IGNORECASE,
)
_TEST_DIRECTORIES = frozenset({"test", "tests", "testing"})
_INCLUDE_FIX = "include it in the build configuration"


def is_generated(name: str) -> bool:
    """Return whether build backends generate a file with this name, or copy it from another directory."""
    return _GENERATED_FILES.fullmatch(name) is not None


def _paths_inside(subject: Subject) -> set[str]:
    """Return the path of each member of an sdist, relative to its top-level directory."""
    return {"/".join(member_path(member).parts[1:]) for member in subject.archive.member_names}


def _parents(paths: Iterable[str]) -> set[str]:
    return {str(parent) for path in paths for parent in member_path(path).parents}


def _several_top_level_entries(subject: Subject) -> str | None:
    tops = {parts[0] for name in subject.archive.member_names if (parts := member_path(name).parts)}
    return ", ".join(sorted(tops)) if len(tops) > 1 else None


def _lacks_pyproject(subject: Subject, *, has_setup: bool) -> bool:
    """Return whether pyproject.toml is missing; with setup.py, only if git does not track it either."""
    inside = _paths_inside(subject)
    builds_from_setup = "setup.py" in inside and "pyproject.toml" not in (subject.expected.tracked_files or ())
    return "pyproject.toml" not in inside and builds_from_setup == has_setup


def read_pyproject(sdist: Archive) -> Mapping[str, Any]:
    """Return the pyproject.toml of an sdist, or nothing if it is missing or invalid."""
    files = [name for name in sdist.member_names if name.count("/") == 1 and name.endswith("/pyproject.toml")]
    try:
        return parse_toml(read_file(sdist, files[0]).decode()) if files else {}
    except (ValueError, RecursionError):
        return {}


def _missing_license_files(subject: Subject) -> Iterator[str]:
    """Yield the license files that pyproject.toml names and the sdist lacks: some backends ignore them."""
    names = table_at(read_pyproject(subject.archive), "project").get("license-files")
    inside = _paths_inside(subject)
    for name in names if isinstance(names, list) else ():
        if isinstance(name, str) and not set(name) & set("*?["):
            path = PurePosixPath(name)
            if ".." not in path.parts and path.as_posix() not in inside:
                yield name


def _untracked_files(subject: Subject) -> str | None:
    if (tracked_files := subject.expected.tracked_files) is None:
        return None
    inside = _paths_inside(subject)
    extra = inside - _parents(inside) - tracked_files - {""}
    return format_names(name for name in extra if not is_generated(name))


def _missing_modules(subject: Subject, *, generated: bool) -> str | None:
    """Return the tracked modules of packages in the sdist that it lacks: those that hooks generated, or others."""
    inside = _paths_inside(subject)
    packages = {str(member_path(name).parent) for name in inside if name.endswith("/__init__.py")}
    missing = {
        name
        for name in (subject.expected.tracked_files or frozenset()) - inside
        if name.endswith(".py")
        and not _TEST_DIRECTORIES.intersection(member_path(name).parts)
        and not packages.isdisjoint(_parents([name]))
    }
    hooked = subject.expected.generated_files
    return format_names(missing & hooked if generated else missing - hooked)


RULES = (
    Rule(
        _several_top_level_entries,
        "top-level entries are {} instead of a single directory (rejected by the public index)",
        "configure the build backend to put all files into one directory (PEP 625)",
        level="rejected-by-index",
    ),
    Rule(
        lambda subject: _lacks_pyproject(subject, has_setup=False),
        "pyproject.toml is missing (the sdist cannot be built as the project is)",
        _INCLUDE_FIX,
        code="project-not-found",
    ),
    Rule(
        lambda subject: _lacks_pyproject(subject, has_setup=True),
        "pyproject.toml is missing (builds from setup.py alone are deprecated)",
        f"add one, and {_INCLUDE_FIX}",
        code="project-not-found",
        level="warning",
    ),
    Rule(
        _missing_license_files,
        "{} is missing (project.license-files names it)",
        f"{_INCLUDE_FIX}, or remove it from project.license-files",
        code="license-file-missing",
    ),
    Rule(
        _untracked_files,
        "contains files that git does not track: {}",
        "exclude them in the build configuration, or add them to git",
        code="archive-content",
        level="warning",
    ),
    Rule(
        lambda subject: _missing_modules(subject, generated=True),
        "lacks modules that a before-build hook generated: {}",
        "include these modules in the build configuration (hatchling leaves out what .gitignore matches: "
        "[tool.hatch.build] artifacts), or do not ignore them",
        code="archive-content",
    ),
    Rule(
        lambda subject: _missing_modules(subject, generated=False),
        "lacks modules of a package that it contains: {}",
        "include these modules in the build configuration, or exclude them by name",
        code="archive-content",
        level="warning",
    ),
)
