"""Find the files that hold a package's version: those that its backend reads, and those that must agree with it.

What pyproject.toml declares is looked up where the backend would look. Where it cannot be found, or not once, the
version stays one that only the backend knows, with the reason.
"""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING, Any, NamedTuple

from relnox.core import version_locations
from relnox.core.packages import VersionSource
from relnox.core.records import replace
from relnox.core.workspace import Workspace
from relnox.errors import Blocked
from relnox.source import cargo, tag_versions
from relnox.source.pyproject import strings, table_at

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from relnox.core.config import Config, VersionFileConfig
    from relnox.core.packages import Package, SourceKind

__all__ = ["located", "with_declared"]

_RUST_BACKENDS = ("maturin", "setuptools_rust")
_CARGO, _NODE, _CITATION = "Cargo.toml", "package.json", "CITATION.cff"
_CITATION_PATTERN = r"""^version:[ \t]*["']?(?P<version>[^"'\s#]+)"""
_SCIKIT_BUILD_PATTERN = version_locations.HATCH_PATTERN.replace("?P<version>", "?P<value>")


class _Place(NamedTuple):
    """A declared place: candidates for the file, relative to the package's folder, and how to find it there."""

    kind: SourceKind
    files: tuple[str, ...]
    key: tuple[str, ...] = ()


def located(package: Package, document: Mapping[str, Any], root: Path) -> Package:
    """The package with its version and every place that holds it, as far as its pyproject.toml tells.

    Raises:
        Blocked: A file that the backend reads beside pyproject.toml cannot be read.
    """
    if package.source.kind == "toml":
        if not _is_rust(package, document):
            return package
        return replace(package, other_locations=tuple(cargo.places(package, document, root)))
    if (place := _declared(package, document)) is not None:
        return _found(package, place, root)
    if _is_rust(package, document) and (found := tuple(cargo.places(package, document, root))):
        return replace(
            package, version=version_locations.parse_version(found[0]), source=found[0], other_locations=found[1:]
        )
    return tag_versions.recognised(package, document)


def with_declared(packages: Sequence[Package], config: Config, root: Path) -> list[Package]:
    """The packages with the further places that `[[tool.relnox.version-files]]` declares.

    Raises:
        Blocked: A file is not there, holds no version or not as often as declared, or is nobody's.
    """
    more: dict[str, list[VersionSource]] = {}
    none = {place.file for place in config.version_files if place.count == 0}
    for place in config.version_files:
        if place.count:
            owner = _owner(place, packages, config)
            more.setdefault(owner.name, []).append(_declared_place(place, root))
    declared = {source.file for sources in more.values() for source in sources if source.kind != "pattern"}
    return [
        _with_places(package, [each for each in package.other_locations if each.file not in none | declared], more)
        for package in packages
    ]


def _with_places(
    package: Package, found: Sequence[VersionSource], declared: Mapping[str, Sequence[VersionSource]]
) -> Package:
    """The package with its places; a version that nobody found otherwise is that of the first declared place."""
    more = declared.get(package.name, ())
    if package.source.kind == "dynamic" and more:
        first, *others = more
        return replace(
            package, version=version_locations.parse_version(first), source=first, other_locations=tuple(others)
        )
    return replace(package, other_locations=(*found, *more))


def _owner(place: VersionFileConfig, packages: Sequence[Package], config: Config) -> Package:
    """Whose version a declared place states: the one it names, or the one whose folder it is in."""
    if place.package is not None:
        return Workspace(tuple(packages)).select([place.package])[0]
    inside = [
        package for package in packages if package.folder == "." or place.file.startswith(f"{package.folder}/")
    ]
    if inside:
        return max(inside, key=lambda package: len(package.folder))
    if len(packages) == 1 or config.versions == "lockstep":
        return packages[0]
    raise Blocked(
        "todo",
        f"[[tool.relnox.version-files]] does not say whose version {place.file} states",
        fix=f'add package = "{packages[0].name}" to it',
    )


def _declared_place(place: VersionFileConfig, root: Path) -> VersionSource:
    name = posixpath.basename(place.file)
    semver = place.scheme == "semver" or (place.scheme is None and name in (_CARGO, _NODE))
    source = VersionSource(kind="pattern", file=place.file, semver=semver, count=place.count)
    if place.pattern is not None:
        source = replace(source, key=(place.pattern,))
    elif name.endswith((".py", ".pyi")):
        source = replace(source, kind="attribute", key=("__version__",))
    elif name == _CARGO:
        source = replace(source, kind="toml", key=("package", "version"))
    elif name == _NODE:
        source = replace(source, kind="json")
    elif name == _CITATION:
        source = replace(source, key=(_CITATION_PATTERN,))
    else:
        raise Blocked(
            "todo",
            f"[[tool.relnox.version-files]] does not say where in {place.file} the version is",
            fix="add pattern = '…(?P<version>…)…' to it",
        )
    try:
        return _read(source, root)
    except OSError as error:
        raise Blocked(
            "todo",
            f"{place.file} of [[tool.relnox.version-files]] cannot be read: {error.strerror}",
            fix="mend its path",
        ) from error
    except ValueError as error:
        raise Blocked(
            "todo", f"{place.file} of [[tool.relnox.version-files]]: {error}", fix="mend its pattern or count"
        ) from error


def _read(source: VersionSource, root: Path) -> VersionSource:
    """The source with the text that stands in its file, which must be the same wherever it stands there.

    Raises:
        ValueError: It is not there, not as often as declared, or says several things.
        OSError: The file cannot be read.
    """
    text = (root / source.file).read_bytes().decode("utf-8-sig")
    found = sorted({span.text for span in version_locations.find_spans(text, source)})
    if len(found) > 1:
        raise ValueError(f"it says {' and '.join(found)}")
    return replace(source, text=found[0])


def _is_rust(package: Package, document: Mapping[str, Any]) -> bool:
    required = strings(table_at(document, "build-system").get("requires"))
    return package.backend.startswith(_RUST_BACKENDS) or any(
        each.startswith("setuptools-rust") for each in required
    )


def _found(package: Package, place: _Place, root: Path) -> Package:
    folder = root / package.folder
    found = next((file for file in place.files if (folder / file).is_file()), None)
    if found is None:
        return _unknown(package, f"{place.files[0]}, which is not there")
    file = posixpath.normpath(f"{package.folder}/{found}")
    if file.startswith("../"):
        return _unknown(package, f"{file}, which is outside of the project")
    try:
        source = _read(VersionSource(kind=place.kind, file=file, key=place.key, semver=place.kind == "json"), root)
        return replace(package, version=version_locations.parse_version(source), source=source)
    except (OSError, ValueError) as error:
        return _unknown(package, f"{file}: {error}")
    except Blocked as error:
        return _unknown(package, error.message)


def _unknown(package: Package, reason: str) -> Package:
    return replace(package, source=replace(package.source, text=f"{package.source.text} ({reason})"))


def _declared(package: Package, document: Mapping[str, Any]) -> _Place | None:
    """What pyproject.toml says of the file that the version is in; None for what comes from elsewhere."""
    tool = table_at(document, "tool")
    hatch, pdm = table_at(tool, "hatch", "version"), table_at(tool, "pdm", "version")
    setuptools = table_at(tool, "setuptools", "dynamic", "version")
    match hatch, setuptools, pdm:
        case {"source": "nodejs"}, _, _:
            return _Place("json", (str(hatch.get("path", "package.json")),))
        case {"source": "code", "path": str(path)}, _, _:
            expression = str(hatch.get("expression", "__version__"))
            return _Place("attribute", (path,), (expression,)) if expression.isidentifier() else None
        case {"path": str(path), **more}, _, _ if more.get("source", "regex") == "regex":
            return _Place("pattern", (path,), (str(more.get("pattern", version_locations.HATCH_PATTERN)),))
        case _, {"attr": str(attribute)}, _:
            module, _, name = attribute.rpartition(".")
            return _Place("attribute", tuple(_module_files(module, document)), (name,))
        case _, {"file": str() | [str()] as listed}, _:
            return _Place("text", (listed if isinstance(listed, str) else strings(listed)[0],))
        case _, _, {"source": "file", "path": str(path)}:
            return _Place("attribute", (path,), ("__version__",))
        case _:
            return _by_backend(package, document)


def _by_backend(package: Package, document: Mapping[str, Any]) -> _Place | None:
    if package.backend.startswith("flit_core"):  # nothing is declared: the version is the module's
        project = table_at(document, "project")
        name = table_at(document, "tool", "flit", "module").get("name") or project.get("name", "")
        return _Place("attribute", tuple(_module_files(str(name).replace("-", "_"), document)), ("__version__",))
    if package.backend == "mesonpy":
        return _Place("pattern", ("meson.build",), (version_locations.MESON_PATTERN,))
    provider = table_at(document, "tool", "scikit-build", "metadata", "version")
    if provider.get("provider") == "scikit_build_core.metadata.regex" and isinstance(provider.get("input"), str):
        if provider.get("result", "{value}") != "{value}":
            return None  # put together from parts: which of them to raise is not ours to guess
        return _Place("pattern", (provider["input"],), (str(provider.get("regex", _SCIKIT_BUILD_PATTERN)),))
    return None


def _module_files(module: str, document: Mapping[str, Any]) -> Iterator[str]:
    """Files that a module may be, in the usual layouts and where setuptools is told to look."""
    path = module.replace(".", "/")
    folders = table_at(document, "tool", "setuptools", "package-dir")
    for top in dict.fromkeys([*(str(each) for each in folders.values()), "src", "."]):
        start = "" if top in ("", ".") else f"{top.strip('/')}/"
        yield f"{start}{path}.py"
        yield f"{start}{path}/__init__.py"
