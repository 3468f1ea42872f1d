"""What a wheel offers: the modules one can import, the scripts one can run, and what it says of itself."""

from __future__ import annotations

import csv
import keyword
import zipfile
from configparser import ConfigParser
from configparser import Error as ConfigError
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from relnox.building.archives import info_file, path_of
from relnox.errors import Failed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from packaging.specifiers import SpecifierSet

    from relnox.building.archives import Archive

__all__ = ["import_names", "only_tests", "record", "required", "requires_python", "scripts"]

_EXTENSIONS = (".so", ".pyd")
_NOT_FOR_USERS = frozenset({"test", "tests", "docs", "examples", "benchmarks", "conftest"})
"""Top-level names that get into wheels by accident; what they need nobody requires."""
_SIGNATURES = ("RECORD", "RECORD.jws", "RECORD.p7s")
"""What RECORD does not tell of (PEP 427)."""


def import_names(archive: Archive, installed: Iterable[str] | None = None) -> tuple[str, ...]:
    """What a wheel lets one import: what its metadata states (PEP 794), else its top-level modules.

    A folder without `__init__` is a namespace package: the first modules below it count, by their full names.
    Tests, examples and the like at the top do not count, where there is anything else.

    Args:
        archive: A wheel, or an sdist that is installed.
        installed: The names of an sdist's installed files.
    """
    if archive.import_names is not None:
        public = (each.partition(";") for each in archive.import_names)
        return tuple(sorted(name.strip() for name, _, mark in public if name.strip() and "private" not in mark))
    files = {
        path
        for member in (archive.members if installed is None else installed)
        if (path := _installed(member)) is not None
    }
    found = sorted(_modules(files))
    return tuple(name for name in found if name.partition(".")[0] not in _NOT_FOR_USERS) or tuple(found)


def only_tests(names: Iterable[str]) -> bool:
    """Whether modules are nothing but tests, examples and the like; False for no modules."""
    tops = {name.partition(".")[0] for name in names}
    return bool(tops) and tops <= _NOT_FOR_USERS


def scripts(entry_points: Path) -> dict[str, tuple[str, tuple[str, ...]]]:
    """Console and GUI scripts: what each calls (`module:attribute`), and the extras that it needs.

    Args:
        entry_points: The file `entry_points.txt` of an installed distribution; it need not be there.
    """
    parser = ConfigParser(delimiters=("=",), interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign] # names are case-sensitive
    try:
        parser.read(entry_points, encoding="utf-8")
    except (ConfigError, UnicodeError) as error:
        raise Failed(
            "todo", f"{entry_points.parent.name}/{entry_points.name} cannot be read: {error}", fix="build it again"
        ) from error
    found = {}
    for group in filter(parser.has_section, ("console_scripts", "gui_scripts")):
        for name, value in parser.items(group):
            target, _, extras = value.partition("[")
            needed = (each.strip() for each in extras.rstrip("] ").split(","))
            found[name] = target.strip(), tuple(filter(None, needed))
    return found


def requires_python(archive: Archive) -> SpecifierSet:
    """The Pythons that an archive is for (`Requires-Python`); all where it does not say, or says nonsense."""
    from packaging.metadata import parse_email
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    try:
        return SpecifierSet(parse_email(archive.metadata)[0].get("requires_python", ""))
    except InvalidSpecifier:
        return SpecifierSet()


def required(archive: Archive, python: str, extras: Iterable[str] = ()) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The names of what an archive requires on this machine, each with the extras that it asks for.

    Args:
        archive: The archive.
        python: The version of the Python, such as `3.12.1`.
        extras: The archive's own extras that are installed.
    """
    from packaging.requirements import InvalidRequirement, Requirement
    from packaging.utils import canonicalize_name

    short = ".".join(python.split(".")[:2])
    for text in archive.requires:
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            continue
        environments = [
            {"extra": extra, "python_version": short, "python_full_version": python} for extra in ("", *extras)
        ]
        if requirement.marker is None or any(requirement.marker.evaluate(each) for each in environments):
            yield canonicalize_name(requirement.name), tuple(requirement.extras)


def record(archive: Archive) -> dict[str, str]:
    """Hashes of the files that a wheel puts beside one another, by name, as its RECORD spells them."""
    return {
        str(place): digest
        for name, digest in _recorded(archive).items()
        if digest and (place := _installed(name)) is not None and place.name not in _SIGNATURES
    }


def _recorded(archive: Archive) -> dict[str, str]:
    if (name := info_file(archive, "RECORD")) is None:
        return {}
    with zipfile.ZipFile(archive.path) as wheel:
        text = wheel.read(name).decode()
    return {row[0]: row[1] for row in csv.reader(text.splitlines()) if len(row) > 1}


def _installed(member: str) -> PurePosixPath | None:
    """Where a member of a wheel is installed below site-packages; None for what is not."""
    parts = path_of(member).parts
    if not parts or parts[0].endswith((".dist-info", ".data")):
        return PurePosixPath(*parts[2:]) if len(parts) > 2 and parts[1] in ("purelib", "platlib") else None  # noqa: PLR2004
    return path_of(member)


def _modules(files: Iterable[PurePosixPath], prefix: str = "") -> Iterator[str]:
    """Names of the modules and packages among files of one folder; namespace packages are gone into."""
    inner: dict[str, list[PurePosixPath]] = {}
    for path in files:
        if len(path.parts) == 1:
            if (name := _module_name(path.name)) is not None:
                yield f"{prefix}{name}"
        else:
            inner.setdefault(path.parts[0], []).append(PurePosixPath(*path.parts[1:]))
    for folder, below in inner.items():
        if not _is_identifier(folder):
            continue
        if any(_module_name(path.name, init=True) == "__init__" for path in below if len(path.parts) == 1):
            yield f"{prefix}{folder}"
        else:
            yield from _modules(below, f"{prefix}{folder}.")


def _module_name(filename: str, *, init: bool = False) -> str | None:
    stem, _, rest = filename.partition(".")
    importable = rest == "py" or f".{rest}".endswith(_EXTENSIONS)
    if not importable or not _is_identifier(stem) or (stem in ("__init__", "__main__") and not init):
        return None
    return stem


def _is_identifier(name: str) -> bool:
    return name.isidentifier() and not keyword.iskeyword(name)
