"""Versions that a backend reads from another file: hatch `path`, setuptools `attr` and `file`, flit, pdm `file`.

What pyproject.toml declares is looked up; where it cannot be found, or not once, the version stays one that only
the backend knows, with the reason.
"""

from __future__ import annotations

import posixpath
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from relnox.core import version_text, versioning
from relnox.core.packages import VersionSource
from relnox.errors import Refused
from relnox.source.pyproject import strings, table_at

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from relnox.core.packages import Package, SourceKind

__all__ = ["located"]


class _Place(NamedTuple):
    """A declared place: candidates for the file, relative to the package's folder, and how to find it there."""

    kind: SourceKind
    files: tuple[str, ...]
    key: tuple[str, ...]


def located(package: Package, document: Mapping[str, Any], root: Path) -> Package:
    """The package with its version, if a file that its pyproject.toml names holds it."""
    if package.source.kind != "dynamic" or (place := _declared(package, document)) is None:
        return package
    folder = root / package.folder
    found = next((file for file in place.files if (folder / file).is_file()), None)
    if found is None:
        return _unknown(package, f"{place.files[0]}, which is not there")
    file = posixpath.normpath(f"{package.folder}/{found}")
    if file.startswith("../"):
        return _unknown(package, f"{file}, which is outside of the project")
    try:
        text = (folder / found).read_bytes().decode("utf-8-sig")
        source = VersionSource(kind=place.kind, file=file, key=place.key)
        span = version_text.span_of(text, source)
        version = versioning.parse(span.text, where=file)
    except (OSError, ValueError) as error:
        return _unknown(package, f"{file}: {error}")
    except Refused as error:
        return _unknown(package, error.message)
    return replace(package, version=version, source=replace(source, text=span.text))


def _unknown(package: Package, reason: str) -> Package:
    return replace(package, source=replace(package.source, text=f"{package.source.text} ({reason})"))


def _declared(package: Package, document: Mapping[str, Any]) -> _Place | None:
    """What pyproject.toml says of where the version is; None for what only the backend can work out."""
    tool = table_at(document, "tool")
    hatch, pdm = table_at(tool, "hatch", "version"), table_at(tool, "pdm", "version")
    setuptools = table_at(tool, "setuptools", "dynamic", "version")
    match hatch, setuptools, pdm:
        case {"path": str(path), **more}, _, _ if more.get("source", "regex") == "regex":
            return _Place("pattern", (path,), (str(more.get("pattern", version_text.HATCH_PATTERN)),))
        case _, {"attr": str(attribute)}, _:
            module, _, name = attribute.rpartition(".")
            return _Place("attribute", tuple(_module_files(module, document)), (name,))
        case _, {"file": str() | [str()] as listed}, _:
            return _Place("text", (listed if isinstance(listed, str) else strings(listed)[0],), ())
        case _, _, {"source": "file", "path": str(path)}:
            return _Place("attribute", (path,), ("__version__",))
        case _:
            return _flit(package, document)


def _flit(package: Package, document: Mapping[str, Any]) -> _Place | None:
    """With flit nothing is declared: the version is the module's."""
    if not package.backend.startswith("flit_core"):
        return None
    name = table_at(document, "tool", "flit", "module").get("name") or table_at(document, "project").get(
        "name", ""
    )
    return _Place("attribute", tuple(_module_files(str(name).replace("-", "_"), document)), ("__version__",))


def _module_files(module: str, document: Mapping[str, Any]) -> Iterator[str]:
    """Files that a module may be, in the usual layouts and where setuptools is told to look."""
    path = module.replace(".", "/")
    folders = table_at(document, "tool", "setuptools", "package-dir")
    for top in dict.fromkeys([*(str(each) for each in folders.values()), "src", "."]):
        start = "" if top in ("", ".") else f"{top.strip('/')}/"
        yield f"{start}{path}.py"
        yield f"{start}{path}/__init__.py"
