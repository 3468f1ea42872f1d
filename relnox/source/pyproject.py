"""Read packages from pyproject.toml."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from relnox.core.documents import KeyPath, parse_toml, strings_in, table_at
from relnox.core.packages import (
    Dependency,
    DependencyTable,
    Package,
    VersionSource,
    is_valid_name,
    normalize_name,
    requirement_name,
)
from relnox.core.versions import versioning
from relnox.errors import Blocked
from relnox.system.files import read_project_file

LEGACY_BACKEND = "setuptools.build_meta:__legacy__"
"""The build backend of a project that does not set `build-backend` (PEP 517)."""
_HAS_VERSION = re.compile(r"[<>=~!]=|[<>]")


def read_toml(root: Path, name: str) -> Mapping[str, Any]:
    """Return the content of a TOML file of the project, which is cached: callers must not change it.

    Raises:
        Blocked: The file is missing, outside of the checkout, or not valid TOML.
    """
    path = root / name
    try:
        return parse_toml(read_project_file(root, name).decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:  # also invalid UTF-8, huge numbers, thousands of brackets
        raise Blocked(
            "project-file-invalid", f"{path} is not valid TOML: {error}", fix=f"correct the syntax of {path}"
        ) from error
    except OSError as error:
        raise Blocked(
            "project-file-invalid",
            f"{path} cannot be read ({error.strerror})",
            fix="check that the file exists, and that you have permission to read it",
        ) from error


def describes_package(document: Mapping[str, Any]) -> bool:
    """Return whether a pyproject.toml describes a package: it has `[project]`, or a name in `[tool.poetry]`."""
    return bool(document.get("project")) or "name" in table_at(document, "tool", "poetry")


_FILE_SETTINGS: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "flit_core.buildapi": (("flit", "module"),),
    "hatchling.build": (("hatch", "build"),),
    "pdm.backend": (("pdm", "build"),),
    "poetry.core.masonry.api": (("poetry", "packages"), ("poetry", "include"), ("poetry", "build")),
    "setuptools.build_meta": (("setuptools",),),
    "uv_build": (("uv", "build-backend"),),
}
"""The tables of `tool` that say which files are in a wheel, by the backends that look for modules without them."""


def parse_package(document: Mapping[str, Any], directory: str) -> Package:
    """Return the package that a pyproject.toml declares; its version is None if it is dynamic.

    `directory` is that of the file, relative to the root. Raise `Blocked` if the name or the version is missing or
    invalid, or the build backend is invalid.
    """
    file = "pyproject.toml" if directory == "." else f"{directory}/pyproject.toml"
    project, poetry = table_at(document, "project"), table_at(document, "tool", "poetry")
    name = project.get("name", poetry.get("name"))
    if not isinstance(name, str):
        raise Blocked(
            "project-file-invalid",
            f"{file} has no package name ([project] has no key `name`)",
            fix='add name = "NAME" to [project]',
        )
    if not is_valid_name(name):
        raise Blocked(
            "project-file-invalid",
            f"{file}: {name!r} is not a valid package name",
            fix="use ASCII letters, digits, -, _ and .; begin and end with a letter or digit",
        )
    backend = table_at(document, "build-system").get("build-backend", LEGACY_BACKEND)
    if not isinstance(backend, str):
        raise Blocked(
            "project-file-invalid",
            f"{file}: [build-system] build-backend is not a string",
            fix='write it like build-backend = "hatchling.build"',
        )
    source = _find_version_source(document, file)
    requires_python = project.get("requires-python", table_at(poetry, "dependencies").get("python"))
    classifiers = strings_in(project.get("classifiers")) or strings_in(poetry.get("classifiers"))
    dynamic = tuple(strings_in(project.get("dynamic"))) if project else None
    extras = (*table_at(project, "optional-dependencies"), *table_at(poetry, "extras"))
    has_dynamic_extras = not (project or poetry) or "optional-dependencies" in (dynamic or ())
    return Package(
        name=normalize_name(name),
        directory=directory,
        version=None if source.kind == "dynamic" else versioning.parse_version(source.text, where=file),
        source=source,
        backend=backend,
        dependencies=tuple(_read_dependencies(document)),
        is_metadata_only=_has_no_modules(table_at(document, "tool")),
        finds_modules=backend in _FILE_SETTINGS
        and not any(table_at(document, "tool", *path) for path in _FILE_SETTINGS[backend]),
        is_private=any(classifier.startswith("Private ::") for classifier in classifiers),
        requires_python=requires_python if isinstance(requires_python, str) else "",
        classifiers=tuple(classifiers),
        dynamic=dynamic,
        extras=None if has_dynamic_extras else tuple(map(normalize_name, extras)),
    )


def _has_no_modules(tool: Mapping[str, Any]) -> bool:
    """Return whether settings of hatchling or setuptools say that a package has no files, but only requirements.

    `tool` is the table of that name in pyproject.toml.
    """
    setuptools = table_at(tool, "setuptools")
    files = [
        setuptools.get(key) for key in ("packages", "py-modules", "ext-modules", "data-files", "script-files")
    ]
    is_bypassed = table_at(tool, "hatch", "build", "targets", "wheel").get("bypass-selection") is True
    return is_bypassed or (not any(files) and [] in files[:2])


def _find_version_source(document: Mapping[str, Any], file: str) -> VersionSource:
    """Return where a pyproject.toml has its version, or that it is dynamic; raise `Blocked` if it says neither."""
    project, poetry = table_at(document, "project"), table_at(document, "tool", "poetry")
    if isinstance(version := project.get("version"), str):
        return VersionSource(kind="toml", file=file, key=("project", "version"), text=version)
    if isinstance(version := poetry.get("version"), str) and (
        not project or "version" in strings_in(project.get("dynamic"))
    ):
        return VersionSource(kind="toml", file=file, key=("tool", "poetry", "version"), text=version)
    if "version" in strings_in(project.get("dynamic")):
        return VersionSource(kind="dynamic", file=file, text=_describe_version_provider(document))
    raise Blocked(
        "version-missing",
        f"{file} has no version ([project] has neither version nor dynamic)",
        fix='add version = "0.1.0" to [project]',
    )


def _describe_version_provider(document: Mapping[str, Any]) -> str:
    """Return what computes a dynamic version, for messages, such as `setuptools-scm, from the tags`."""
    tool = table_at(document, "tool")
    hatch = table_at(tool, "hatch", "version")
    setuptools = table_at(tool, "setuptools", "dynamic", "version")
    backend = table_at(document, "build-system").get("build-backend", LEGACY_BACKEND)
    if "path" in hatch:
        return f"hatch, from {hatch['path']}"
    if "source" in hatch:
        return f"hatch, by {hatch['source']}"
    if "setuptools_scm" in tool:
        return "setuptools-scm, from the tags"
    if setuptools:
        return f"setuptools, from {setuptools.get('attr') or setuptools.get('file')}"
    return f"the backend, {backend}"


def _read_dependencies(document: Mapping[str, Any]) -> Iterator[Dependency]:
    """Yield the requirements in all tables of a pyproject.toml, including those of tools."""
    project = table_at(document, "project")
    yield from _read_requirements(project.get("dependencies"), "runtime", ("project", "dependencies"))
    for extra, requirements in table_at(project, "optional-dependencies").items():
        yield from _read_requirements(requirements, "extra", ("project", "optional-dependencies", extra))
    for group, requirements in table_at(document, "dependency-groups").items():
        yield from _read_requirements(requirements, "group", ("dependency-groups", group))
    yield from _read_requirements(
        table_at(document, "build-system").get("requires"), "build", ("build-system", "requires")
    )
    poetry = ("tool", "poetry")
    yield from _read_poetry_requirements(document, "runtime", (*poetry, "dependencies"))
    yield from _read_poetry_requirements(document, "group", (*poetry, "dev-dependencies"))
    for group in table_at(document, *poetry, "group"):
        yield from _read_poetry_requirements(document, "group", (*poetry, "group", group, "dependencies"))
    yield from _find_versioned_requirements(document.get("tool"), ("tool",))


def _read_requirements(value: Any, table: DependencyTable, key: tuple[str, ...]) -> Iterator[Dependency]:
    """Yield the requirements in `value`, a list at the path `key`; nothing if it is no list.

    Other items of the list, such as included groups, are skipped. `table` is the kind of table that the list is
    in.
    """
    for number, text in enumerate(value if isinstance(value, list) else ()):
        if isinstance(text, str) and (name := requirement_name(text)) is not None:
            yield Dependency(name=name, text=text, table=table, key=(*key, number))


def _read_poetry_requirements(
    document: Mapping[str, Any], table: DependencyTable, key: tuple[str, ...]
) -> Iterator[Dependency]:
    """Yield the requirements in the table at the path `key`, which is in Poetry's form; Python itself is left out.

    The table has names of packages as keys; each value is a version constraint, a table or a list of these. A
    requirement without a version becomes a `Dependency` whose text and key are empty. `table` is the kind of the
    table; an optional requirement of the kind `runtime` becomes `extra`.
    """
    for name, value in table_at(document, *key).items():
        if name == "python":
            continue
        for number, entry in enumerate(value if isinstance(value, list) else [value]):
            entry_key: tuple[str | int, ...] = (*key, name, number) if isinstance(value, list) else (*key, name)
            entry_table = table
            match entry:
                case str():
                    text = entry
                case {"version": str(text), **more}:
                    entry_key = (*entry_key, "version")
                    if more.get("optional") and table == "runtime":
                        entry_table = "extra"
                case _:
                    text, entry_key = "", ()
            yield Dependency(
                name=normalize_name(name), text=text, table=entry_table, key=entry_key, syntax="poetry"
            )


def _find_versioned_requirements(value: Any, key: KeyPath) -> Iterator[Dependency]:
    """Yield each requirement with a version, such as `x>=1`, that is an item of a list at any depth of `value`.

    `key` is the path of `value`.
    """
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _find_versioned_requirements(inner, (*key, name))
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from _find_versioned_requirements(item, (*key, number))
    elif isinstance(value, str) and isinstance(key[-1], int):
        name = requirement_name(value) if _HAS_VERSION.search(value) else None
        if name is not None:
            yield Dependency(name=name, text=value, table="tool", key=key)
