"""What users get of archives: their modules, scripts and requirements."""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterable, Iterator
from configparser import ConfigParser
from configparser import Error as ConfigError
from pathlib import Path, PurePosixPath

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name

from relnox.building.archives import REBUILD_FIX, Archive, find_dist_info_file, member_path, read_file
from relnox.core.release.differences import ArchiveContents
from relnox.errors import Failed

_EXTENSION_SUFFIXES = (".so", ".pyd")
_TEST_AND_DOC_NAMES = frozenset({"test", "tests", "docs", "examples", "benchmarks", "conftest"})
"""Top-level modules that often get into wheels by mistake, and import modules that the wheel does not require."""
_VERSIONED = re.compile(r"([^/]+?)-[^-/]+\.(dist-info|data)/")
"""Matches the directories of a wheel whose names have the version (PEP 427)."""
_MAX_LICENSE_LENGTH = 60
RECORD_FILES = ("RECORD", "RECORD.jws", "RECORD.p7s")
"""Files for which RECORD has no hash (PEP 427)."""


def importable_modules(
    archive: Archive, site_packages: Path | None = None, installed_files: Iterable[str] = ()
) -> tuple[str, ...]:
    """Return the full names of the modules that users can import from an archive, sorted.

    They are those that its metadata declares (PEP 794), without private ones; else the top-level ones, without
    tests, examples and the like if there are others.

    A namespace package is replaced by the topmost modules in it. It has no `__init__`, or one that calls pkgutil
    or pkg_resources; such a call is only found with `site_packages`, the directory where the archive is installed,
    with the files `installed_files` (paths as in RECORD). Without `site_packages`, `archive` must be a wheel.
    """
    if (declared := archive.declared_import_names) is not None:
        public = (name.partition(";") for name in declared)
        return tuple(sorted(name.strip() for name, _, mark in public if name.strip() and "private" not in mark))
    members = archive.member_names if site_packages is None else installed_files
    paths = {path for member in members if (path := _path_in_site_packages(member)) is not None}
    modules = sorted(_modules_in_directory(paths, site_packages))
    return tuple(name for name in modules if name.partition(".")[0] not in _TEST_AND_DOC_NAMES) or tuple(modules)


def are_only_test_modules(names: Iterable[str]) -> bool:
    """Return whether all modules are, by name, tests, documentation or examples; False if there are none."""
    tops = {name.partition(".")[0] for name in names}
    return bool(tops) and tops <= _TEST_AND_DOC_NAMES


def parse_entry_points(text: str, source: str = "<string>") -> ConfigParser:
    """Parse `entry_points.txt`: a section for each group; raise `configparser.Error` if the text is invalid.

    `source` is the name of the file in the error.
    """
    parser = ConfigParser(delimiters=("=",), interpolation=None, default_section="")
    parser.optionxform = str  # type: ignore[assignment,method-assign] # names are case-sensitive
    parser.read_string(text, source)
    return parser


def read_scripts(entry_points_file: Path) -> dict[str, tuple[str, tuple[str, ...]]]:
    """Return the target (`module:attribute`) and the required extras of each script, by the script's name.

    A missing `entry_points.txt` has no scripts; an invalid one raises `Failed`.
    """
    try:
        text = entry_points_file.read_text(encoding="utf-8") if entry_points_file.is_file() else ""
        parser = parse_entry_points(text, str(entry_points_file))
    except (ConfigError, UnicodeError) as error:
        raise Failed(
            "archive-invalid",
            f"{entry_points_file.parent.name}/{entry_points_file.name} cannot be parsed: {error}",
            fix=REBUILD_FIX,
        ) from error
    scripts = {}
    for group in filter(parser.has_section, ("console_scripts", "gui_scripts")):
        for name, value in parser.items(group):
            target, _, extras = value.partition("[")
            required_extras = (extra.strip() for extra in extras.rstrip("] ").split(","))
            scripts[name] = target.strip(), tuple(filter(None, required_extras))
    return scripts


def supported_pythons(archive: Archive) -> SpecifierSet:
    """Return the `Requires-Python` of an archive; a missing or invalid value allows all versions."""
    try:
        return SpecifierSet(archive.fields.get("requires_python", ""))
    except InvalidSpecifier:
        return SpecifierSet()


def find_applicable_requirements(
    archive: Archive, python: str, extras: Iterable[str] = ()
) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield the normalized name and the requested extras of each requirement whose marker holds on this machine.

    `python` is a full version such as `3.12.1`; `extras` are the extras of the archive that are installed. Invalid
    requirements are skipped.
    """
    short = ".".join(python.split(".")[:2])
    for text in archive.requires:
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            continue
        environments = [
            {"extra": extra, "python_version": short, "python_full_version": python} for extra in ("", *extras)
        ]
        if requirement.marker is None or any(map(requirement.marker.evaluate, environments)):
            yield canonicalize_name(requirement.name), tuple(requirement.extras)


def _path_in_site_packages(member: str) -> PurePosixPath | None:
    """Return the path in site-packages of a member of a wheel; None for metadata, scripts and data."""
    parts = member_path(member).parts
    if not parts or parts[0].endswith((".dist-info", ".data")):
        return PurePosixPath(*parts[2:]) if len(parts) > 2 and parts[1] in ("purelib", "platlib") else None  # noqa: PLR2004
    return member_path(member)


def _modules_in_directory(
    files: Iterable[PurePosixPath], location: Path | None, prefix: str = ""
) -> Iterator[str]:
    """Yield the full names of the modules and packages in a directory; for a namespace package, those inside it.

    `files` are relative to the directory; `location` is where it is installed, or None if it is not. `prefix` is
    the full name of the directory's own package and a dot; empty at the top.
    """
    inner: dict[str, list[PurePosixPath]] = {}
    for path in files:
        if len(path.parts) == 1:
            if (name := _module_name(path.name)) not in (None, "__init__", "__main__"):
                yield f"{prefix}{name}"
        else:
            inner.setdefault(path.parts[0], []).append(PurePosixPath(*path.parts[1:]))
    for directory, below in inner.items():
        if not _is_identifier(directory):
            continue
        inside = None if location is None else location / directory
        has_init = any(_module_name(path.name) == "__init__" for path in below if len(path.parts) == 1)
        members: list[str] = []
        if not has_init or (inside is not None and _declares_namespace_package(inside / "__init__.py")):
            members += _modules_in_directory(below, inside, f"{prefix}{directory}.")
        yield from members or ([f"{prefix}{directory}"] if has_init else [])


def _declares_namespace_package(init: Path) -> bool:
    """Return whether an `__init__.py`, if it exists, calls pkgutil or pkg_resources to be a namespace package."""
    try:
        return re.search(rb"\bextend_path\b|\bdeclare_namespace\b", init.read_bytes()) is not None
    except OSError:
        return False


def _module_name(filename: str) -> str | None:
    """Return the name of the module in a file, such as `__init__`, or None if the file cannot be imported."""
    stem, _, rest = filename.partition(".")
    importable = rest == "py" or f".{rest}".endswith(_EXTENSION_SUFFIXES)
    return stem if importable and _is_identifier(stem) else None


def _is_identifier(name: str) -> bool:
    """Return whether a name can be that of a module in an import: an identifier, and not a keyword."""
    return name.isidentifier() and not keyword.iskeyword(name)


def read_contents(archive: Archive) -> ArchiveContents:
    """Return the files, requirements, entry points and license of an archive, to compare it with another."""
    is_wheel = archive.kind == "wheel"
    files = [entry for entry in archive.entries if entry.kind != "directory"]
    return ArchiveContents(
        filename=archive.path.name,
        kind=archive.kind,
        members={_path_without_version(file.name, is_wheel=is_wheel): file.size for file in files},
        requires=tuple(map(_normalize_requirement, archive.requires)),
        entry_points=tuple(_format_entry_points(archive)) if is_wheel else (),
        requires_python=str(archive.fields.get("requires_python", "")),
        license=_short_license(archive),
        top_level=tuple(sorted(set(_top_level_names(archive)))) if is_wheel else (),
    )


def _path_without_version(member: str, *, is_wheel: bool) -> str:
    """Return the path of a member in a form that is equal in all versions.

    In a wheel, the `.dist-info` or `.data` directory loses the version; in an sdist, the first directory is
    removed.
    """
    return _VERSIONED.sub(r"\1.\2/", member, count=1) if is_wheel else member.partition("/")[2]


def _normalize_requirement(requirement: str) -> str:
    """Return a requirement as `packaging` writes it, with its name normalized; an invalid one unchanged."""
    try:
        parsed = Requirement(requirement)
    except InvalidRequirement:
        return requirement
    parsed.name = canonicalize_name(parsed.name)
    return str(parsed)


def _format_entry_points(archive: Archive) -> Iterator[str]:
    """Yield the entry points of a wheel as `[GROUP] NAME = OBJECT`; none if they are missing or invalid."""
    name = find_dist_info_file(archive, "entry_points.txt")
    try:
        parser = parse_entry_points(read_file(archive, name).decode("utf-8", "replace") if name else "")
    except ConfigError:
        return
    for group in parser.sections():
        for entry, value in parser.items(group):
            yield f"[{group}] {entry} = {' '.join(value.split())}"


def _short_license(archive: Archive) -> str:
    """Return the license expression, else the start of the license text, else the classifiers; else empty."""
    fields = archive.fields
    first_line = str(fields.get("license_expression") or fields.get("license") or "").strip().partition("\n")[0]
    classifiers = (name for name in fields.get("classifiers", ()) if name.startswith("License ::"))
    return first_line[:_MAX_LICENSE_LENGTH] or ", ".join(name.rpartition(" :: ")[2] for name in classifiers)


def _top_level_names(archive: Archive) -> Iterator[str]:
    """Yield, for each file of a wheel, the top-level module or package that it belongs to; for data, `data/NAME`.

    Names repeat. Metadata, scripts and headers are left out.
    """
    for entry in archive.entries:
        first, *rest = entry.name.split("/")
        if entry.kind == "directory" or first.endswith(".dist-info"):
            continue
        if not first.endswith(".data"):
            yield first if rest else first.partition(".")[0]
        elif rest[:1] in (["purelib"], ["platlib"]):
            yield rest[1] if len(rest) > 2 else rest[1].partition(".")[0]  # noqa: PLR2004 - scheme, directory, file
        elif rest[:1] == ["data"] and len(rest) > 1:
            yield "/".join(rest[:2])
