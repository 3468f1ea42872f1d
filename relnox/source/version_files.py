"""Find the files that contain a package's version: the one that its build backend reads, and others.

The file that pyproject.toml or hatch.toml declares is searched for where the backend would read it. If it has no
version, or several, the version stays `dynamic` (only the backend can compute it), and the reason is recorded.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from packaging.version import Version

from relnox.core import tag_versions
from relnox.core.documents import strings_in, table_at
from relnox.core.packages import Package, SourceKind, VersionSource
from relnox.core.records import Record, replace
from relnox.core.settings.config import Config, VersionFileConfig
from relnox.core.versions import version_locations
from relnox.core.workspace import Workspace, owning_package
from relnox.errors import Blocked
from relnox.source import crates, pyproject
from relnox.source.git import Git
from relnox.system.files import read_project_file

_RUST_BACKENDS = ("maturin", "setuptools_rust")
_HATCH, _NODE, _CITATION = "hatch.toml", "package.json", "CITATION.cff"
_CITATION_PATTERN = r"""^version:[ \t]*["']?(?P<version>[^"'\s#]+)"""
_KNOWN_FILES: Mapping[str, tuple[SourceKind, tuple[str, ...]]] = {
    crates.CARGO: ("toml", ("package", "version")),
    _NODE: ("json", ()),
    _CITATION: ("pattern", (_CITATION_PATTERN,)),
}
_SCIKIT_BUILD_PATTERN = version_locations.HATCH_PATTERN.replace("?P<version>", "?P<value>")


class _BackendVersionLocation(Record):
    """The place where a build backend reads the version.

    Attributes:
        kind: How the version is found in the file, as in `VersionSource`.
        files: Paths relative to the package, of which the first that exists is read.
        key: The key, the name of the attribute, or the pattern, by `kind`, as in `VersionSource`.
    """

    kind: SourceKind
    files: tuple[str, ...]
    key: tuple[str, ...] = ()


def read_package(document: Mapping[str, Any], directory: str, root: Path) -> Package:
    """Return the package that `document`, the pyproject.toml of a directory, declares, with its version.

    `directory` is relative to the root. The version is None if only the backend can compute it. Raise `Blocked` if
    the package is invalid.
    """
    if (root / directory / _HATCH).is_file():
        tool = table_at(document, "tool")
        hatch = {**table_at(tool, "hatch"), **pyproject.read_toml(root, posixpath.join(directory, _HATCH))}
        document = {**document, "tool": {**tool, "hatch": hatch}}
    package = pyproject.parse_package(document, directory)
    plugin = table_at(document, "tool", tag_versions.POETRY_PLUGIN)
    if plugin.get("enable") is True:  # then the version in pyproject.toml is a placeholder
        source = VersionSource(kind="dynamic", file=package.pyproject, text=tag_versions.POETRY_PLUGIN)
        package = replace(package, version=None, source=source)
        return package if "from-file" in plugin else tag_versions.detect_tag_source(package, document)
    if package.source.kind == "toml":
        return replace(package, other_locations=_find_crate_locations(package, document, root))
    if (location := _find_backend_location(package, document)) is not None:
        return _with_version_from_location(package, location, root)
    if locations := _find_crate_locations(package, document, root):
        return _take_version_from(package, locations)
    return tag_versions.detect_tag_source(package, document)


def version_at_commit(commit: str, package: Package, git: Git) -> Version | None:
    """Return the version in a commit's copy of `package.source.file`, or None if it cannot be read there."""
    content = git.run("cat-file", "blob", f"{commit}:{git.prefix}{package.source.file}", stderr=False)
    if content.returncode != 0:
        return None
    try:
        versions = version_locations.read_versions(content.output, package.source)
        return version_locations.parse_source_version(replace(package.source, text=versions[0]))
    except (ValueError, IndexError, Blocked):
        return None


def add_declared_version_files(packages: Sequence[Package], config: Config, root: Path) -> list[Package]:
    """Return packages with the places in `[[tool.relnox.version-files]]` added to the locations of their versions.

    Places in files with `count = 0` are removed instead. Raise `Blocked` if a file cannot be read, has no version,
    or belongs to no clear package.
    """
    sources: dict[str, list[VersionSource]] = {package.name: [] for package in packages}
    excluded_files = {file.file for file in config.version_files if file.count == 0}
    for file in config.version_files:
        if file.count:
            source = _read_version_file(file, root)
            sources[_owning_package(file, packages, config).name].append(source)
            excluded_files |= {source.file} if source.kind != "pattern" else set()
    return [_add_version_files(package, sources[package.name], excluded_files) for package in packages]


def _add_version_files(package: Package, sources: Sequence[VersionSource], excluded_files: set[str]) -> Package:
    """Return a package with all places of its version: those detected before, and the declared `sources`.

    Detected ones in `excluded_files` are left out. If only the backend knows the version so far, it is read at the
    first of the `sources`.
    """
    if package.source.kind == "dynamic" and sources:
        return _take_version_from(package, sources)
    detected = (location for location in package.other_locations if location.file not in excluded_files)
    declared = (version_locations.detect_short_form(source, package.version) for source in sources)
    return replace(package, other_locations=(*detected, *declared))


def _take_version_from(package: Package, locations: Sequence[VersionSource]) -> Package:
    """Return a package with the version at the first of these locations; the others become `other_locations`."""
    first, *others = locations
    return replace(
        package, version=version_locations.parse_source_version(first), source=first, other_locations=tuple(others)
    )


def _owning_package(file: VersionFileConfig, packages: Sequence[Package], config: Config) -> Package:
    """Return the package whose version a file of `[[tool.relnox.version-files]]` contains.

    It is the package that the setting names, else the innermost one whose directory contains the file, else the
    only package, or the first one if all have the same version. Raise `Blocked` if none of this is so.
    """
    if file.package is not None:
        return Workspace(tuple(packages)).select([file.package])[0]
    owner = owning_package(file.file, {package.directory: package for package in packages}, {})
    if owner is not None:
        return owner
    if len(packages) == 1 or config.versions == "lockstep":
        return packages[0]
    raise Blocked(
        "setting-invalid",
        f"{file.file} of [[tool.relnox.version-files]] is not in the directory of a package, and has no "
        "key `package`",
        fix=f'add package = "{packages[0].name}" to that table',
    )


def _read_version_file(file: VersionFileConfig, root: Path) -> VersionSource:
    """Return where a file of `[[tool.relnox.version-files]]` has the version.

    Raise `Blocked` if it cannot be read there.
    """
    name = posixpath.basename(file.file)
    semver = file.scheme == "semver" or (file.scheme is None and name in (crates.CARGO, _NODE))
    kind: SourceKind
    key: tuple[str, ...]
    if file.pattern is not None:
        kind, key = "pattern", (file.pattern,)
    elif name.endswith((".py", ".pyi")):
        kind, key = "attribute", ("__version__",)
    elif name in _KNOWN_FILES:
        kind, key = _KNOWN_FILES[name]
    else:
        raise Blocked(
            "setting-invalid",
            f"{file.file} of [[tool.relnox.version-files]] requires a pattern (the format of the file is unknown)",
            fix="add pattern = '…(?P<version>…)…' to that table",
        )
    source = VersionSource(kind=kind, file=file.file, key=key, semver=semver, count=file.count)
    try:
        return _with_version_text(source, root)
    except OSError as error:
        raise Blocked(
            "setting-invalid",
            f"{file.file} of [[tool.relnox.version-files]] cannot be read ({error.strerror})",
            fix=f'correct file = "{file.file}" in that table',
        ) from error
    except ValueError as error:
        raise Blocked(
            "setting-invalid",
            f"{file.file} of [[tool.relnox.version-files]]: {error}",
            fix="correct `pattern` or `count` in that table",
        ) from error


def _with_version_text(source: VersionSource, root: Path) -> VersionSource:
    """Return a location with `text` set to the version that the file has there.

    Raises:
        ValueError: The version is missing, does not occur `source.count` times, or differs between places.
        OSError: The file cannot be read.
    """
    text = read_project_file(root, source.file).decode("utf-8-sig")
    versions = sorted(set(version_locations.read_versions(text, source)))
    if len(versions) > 1:
        raise ValueError(f"it has different versions: {' and '.join(versions)}")
    return replace(source, text=versions[0])


def _find_crate_locations(package: Package, document: Mapping[str, Any], root: Path) -> tuple[VersionSource, ...]:
    """Return the version's location in Cargo.toml; none unless the package's backend builds a Rust crate.

    `document` is the package's pyproject.toml.
    """
    build_requires = strings_in(table_at(document, "build-system").get("requires"))
    needs_rust = any(requirement.startswith("setuptools-rust") for requirement in build_requires)
    if not needs_rust and not package.backend.startswith(_RUST_BACKENDS):
        return ()
    file = table_at(document, "tool", "maturin").get("manifest-path", crates.CARGO)
    location = crates.find_crate_version_location(posixpath.normpath(f"{package.directory}/{file}"), root)
    return () if location is None else (location,)


def _with_version_from_location(package: Package, location: _BackendVersionLocation, root: Path) -> Package:
    """Return the package with the version at a location.

    If it cannot be read there, the version stays unknown, and `source.text` gets the reason, for messages.
    """
    directory = root / package.directory
    name = next((file for file in location.files if (directory / file).is_file()), None)
    if name is None:
        return _with_unknown_version(package, f"{location.files[0]} does not exist")
    file = posixpath.normpath(f"{package.directory}/{name}")
    if file.startswith("../"):
        return _with_unknown_version(package, f"{file} is outside of the project")
    source = VersionSource(kind=location.kind, file=file, key=location.key, semver=location.kind == "json")
    try:
        source = _with_version_text(source, root)
        return replace(package, version=version_locations.parse_source_version(source), source=source)
    except (OSError, ValueError) as error:
        return _with_unknown_version(package, f"{file}: {error}")
    except Blocked as error:
        return _with_unknown_version(package, error.message)


def _with_unknown_version(package: Package, reason: str) -> Package:
    """Return a package whose version stays `dynamic`, with the reason added to `source.text` for messages."""
    return replace(package, source=replace(package.source, text=f"{package.source.text} ({reason})"))


def _find_backend_location(package: Package, document: Mapping[str, Any]) -> _BackendVersionLocation | None:
    """Return the place where the backend reads the version, or None if it is not known to be in a file.

    `document` is the package's pyproject.toml.
    """
    tool = table_at(document, "tool")
    hatch, pdm = table_at(tool, "hatch", "version"), table_at(tool, "pdm", "version")
    setuptools = table_at(tool, "setuptools", "dynamic", "version")
    match hatch, setuptools, pdm:
        case {"source": "nodejs"}, _, _:
            return _BackendVersionLocation("json", (str(hatch.get("path", "package.json")),))
        case {"source": "code", "path": str(path)}, _, _:
            expression = str(hatch.get("expression", "__version__"))
            return (
                _BackendVersionLocation("attribute", (path,), (expression,)) if expression.isidentifier() else None
            )
        case {"path": str(path), **more}, _, _ if more.get("source", "regex") == "regex":
            pattern = str(more.get("pattern", version_locations.HATCH_PATTERN))
            return _BackendVersionLocation("pattern", (path,), (pattern,))
        case _, {"attr": str(attribute)}, _:
            module, _, name = attribute.rpartition(".")
            return _BackendVersionLocation("attribute", tuple(_module_files(module, document)), (name,))
        case _, {"file": str() | [str()] as file}, _:
            return _BackendVersionLocation("text", (file if isinstance(file, str) else strings_in(file)[0],))
        case _, _, {"source": "file", "path": str(path)}:
            return _BackendVersionLocation("attribute", (path,), ("__version__",))
        case _:
            return _find_default_location(package, document)


def _find_default_location(package: Package, document: Mapping[str, Any]) -> _BackendVersionLocation | None:
    """Return where a backend reads the version if its usual settings name no file, or None if it reads no file.

    The backends are flit, meson-python and scikit-build-core. `document` is the package's pyproject.toml.
    """
    if package.backend.startswith("flit_core"):  # without a declaration flit reads the version from the module
        project = table_at(document, "project")
        name = table_at(document, "tool", "flit", "module").get("name") or project.get("name", "")
        files = tuple(_module_files(str(name).replace("-", "_"), document))
        return _BackendVersionLocation("attribute", files, ("__version__",))
    if package.backend == "mesonpy":
        return _BackendVersionLocation("pattern", ("meson.build",), (version_locations.MESON_PATTERN,))
    provider = table_at(document, "tool", "scikit-build", "metadata", "version")
    if provider.get("provider") == "scikit_build_core.metadata.regex" and isinstance(provider.get("input"), str):
        if provider.get("result", "{value}") != "{value}":
            return None  # composed of several parts: it is unknown which of them to bump
        pattern = str(provider.get("regex", _SCIKIT_BUILD_PATTERN))
        return _BackendVersionLocation("pattern", (provider["input"],), (pattern,))
    return None


def _module_files(module: str, document: Mapping[str, Any]) -> Iterator[str]:
    """Yield the files in which a module may be, whether they exist or not, as paths relative to the package.

    They follow from common layouts and from the settings of setuptools in `document`, the pyproject.toml.
    """
    setuptools = table_at(document, "tool", "setuptools")
    by_package = {name: str(directory) for name, directory in table_at(setuptools, "package-dir").items()}
    package, *submodules = module.split(".")
    paths = ["/".join([by_package[package], *submodules])] if package in by_package else []
    searched = strings_in(table_at(setuptools, "packages", "find").get("where"))
    root = [by_package[""]] if "" in by_package else []
    # Only if nothing else is set, setuptools searches for packages, below src first.
    layouts = ("", "src") if setuptools.keys() & {"packages", "py-modules"} else ("src", "")
    paths += ["/".join([parent, package, *submodules]) for parent in (*root, *searched, *layouts)]
    for path in dict.fromkeys(posixpath.normpath(path.lstrip("/")) for path in paths):
        yield f"{path}.py"
        yield f"{path}/__init__.py"
