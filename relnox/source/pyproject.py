"""Read what a pyproject.toml says of a package: facts only, through tomllib; edits are made elsewhere."""

from __future__ import annotations

import re
import tomllib
from typing import TYPE_CHECKING, Any

from relnox.core import versioning
from relnox.core.names import is_valid, normalized, requirement_name
from relnox.core.packages import Dependency, Package, VersionSource
from relnox.errors import Blocked

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from relnox.core.packages import DependencyTable

__all__ = ["is_package", "load", "package_of", "strings", "table_at"]

LEGACY_BACKEND = "setuptools.build_meta:__legacy__"
"""What builds a project that names no backend (PEP 517, "build-backend")."""
_ENDLESS_NUMBER = re.compile(r"\b0[xob][0-9A-Fa-f_]{2000}")
"""Python reads such a number, and then fails to show it."""


def load(path: Path) -> dict[str, Any]:
    """The document as tomllib reads it; a byte order mark is passed over.

    Raises:
        Blocked: The file cannot be read, is no UTF-8, or is no TOML; the line is told.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
        if _ENDLESS_NUMBER.search(text):
            raise ValueError("a number has thousands of digits")  # noqa: TRY301 - as tomllib says of decimal ones
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # also no UTF-8, numbers of a thousand digits, endless brackets
        raise Blocked("todo", f"{path} is not valid TOML: {error}", fix=f"mend {path}") from error
    except OSError as error:
        raise Blocked(
            "todo", f"{path} cannot be read: {error.strerror}", fix="is this the project's folder?"
        ) from error


def table_at(document: Mapping[str, Any], *keys: str) -> Mapping[str, Any]:
    """The table at these keys; an empty one where there is none or something else stands."""
    for key in keys:
        inner = document.get(key) if isinstance(document, dict) else None
        document = inner if isinstance(inner, dict) else {}
    return document


def strings(listed: Any) -> list[str]:
    """The strings of a list; none where something else stands."""
    return [each for each in listed if isinstance(each, str)] if isinstance(listed, list) else []


def is_package(document: Mapping[str, Any]) -> bool:
    """Whether the document describes a package at all: tool settings alone do not."""
    return bool(document.get("project")) or "name" in table_at(document, "tool", "poetry")


def package_of(document: Mapping[str, Any], folder: str) -> Package:
    """The package that a pyproject.toml describes.

    Args:
        document: What `load` gave.
        folder: The file's folder, POSIX, relative to the root.

    Raises:
        Blocked: The name or the version is missing or cannot be one.
    """
    file = "pyproject.toml" if folder == "." else f"{folder}/pyproject.toml"
    project, poetry = table_at(document, "project"), table_at(document, "tool", "poetry")
    name = project.get("name", poetry.get("name"))
    if not isinstance(name, str):
        raise Blocked("todo", f"{file} names no package", fix="add [project] name")
    if not is_valid(name):
        raise Blocked("todo", f"{file}: {name!r} cannot be a package's name", fix="see PEP 508, names")
    backend = table_at(document, "build-system").get("build-backend", LEGACY_BACKEND)
    if not isinstance(backend, str):
        raise Blocked(
            "todo", f"{file}: build-backend is no string", fix='write build-backend = "hatchling.build", say'
        )
    source = _version_source(document, file)
    classifiers = strings(project.get("classifiers")) or strings(poetry.get("classifiers"))
    return Package(
        name=normalized(name),
        folder=folder,
        version=None if source.kind == "dynamic" else versioning.parse(source.text, where=file),
        source=source,
        backend=backend,
        dependencies=tuple(_dependencies(document)),
        private=any(each.startswith("Private ::") for each in classifiers),
        python=_python(document),
        classifiers=tuple(classifiers),
        dynamic=tuple(strings(project.get("dynamic"))) if project else None,
    )


def _python(document: Mapping[str, Any]) -> str:
    """The Pythons that a package runs on, as written; empty where nothing is said."""
    poetry = table_at(document, "tool", "poetry", "dependencies").get("python")
    stated = table_at(document, "project").get("requires-python", poetry)
    return stated if isinstance(stated, str) else ""


def _version_source(document: Mapping[str, Any], file: str) -> VersionSource:
    project, poetry = table_at(document, "project"), table_at(document, "tool", "poetry")
    if isinstance(version := project.get("version"), str):
        return VersionSource(kind="toml", file=file, key=("project", "version"), text=version)
    if isinstance(version := poetry.get("version"), str) and (
        not project or "version" in strings(project.get("dynamic"))
    ):
        return VersionSource(kind="toml", file=file, key=("tool", "poetry", "version"), text=version)
    if "version" in strings(project.get("dynamic")):
        return VersionSource(kind="dynamic", file=file, text=_provider(document))
    raise Blocked(
        "todo",
        f"{file} states no version, neither [project] version nor dynamic",
        fix='add version = "0.1.0" to [project]',
    )


def _provider(document: Mapping[str, Any]) -> str:
    """Who works the version out, in a few words for people."""
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


def _dependencies(document: Mapping[str, Any]) -> Iterator[Dependency]:
    project = table_at(document, "project")
    yield from _requirements(project.get("dependencies"), "runtime", ("project", "dependencies"))
    for extra, listed in table_at(project, "optional-dependencies").items():
        yield from _requirements(listed, "extra", ("project", "optional-dependencies", extra))
    for group, listed in table_at(document, "dependency-groups").items():
        yield from _requirements(listed, "group", ("dependency-groups", group))
    yield from _requirements(
        table_at(document, "build-system").get("requires"), "build", ("build-system", "requires")
    )
    poetry = ("tool", "poetry")
    yield from _poetry(table_at(document, *poetry, "dependencies"), "runtime", (*poetry, "dependencies"))
    yield from _poetry(table_at(document, *poetry, "dev-dependencies"), "group", (*poetry, "dev-dependencies"))
    for group in table_at(document, *poetry, "group"):
        key = (*poetry, "group", group, "dependencies")
        yield from _poetry(table_at(document, *key), "group", key)


def _requirements(listed: Any, table: DependencyTable, key: tuple[str, ...]) -> Iterator[Dependency]:
    """Requirements of a list of strings; what is none (an included group, a template) is passed over."""
    for number, text in enumerate(listed if isinstance(listed, list) else ()):
        if isinstance(text, str) and (name := requirement_name(text)) is not None:
            yield Dependency(name=name, text=text, table=table, key=(*key, number))


def _poetry(listed: Mapping[str, Any], table: DependencyTable, key: tuple[str, ...]) -> Iterator[Dependency]:
    """Requirements of a Poetry table: a constraint, a table with one, or a list of tables."""
    for name, stated in listed.items():
        if name == "python":
            continue
        for number, entry in enumerate(stated if isinstance(stated, list) else [stated]):
            at: tuple[str | int, ...] = (*key, name, number) if isinstance(stated, list) else (*key, name)
            match entry:
                case str():
                    yield Dependency(name=normalized(name), text=entry, table=table, key=at, poetry=True)
                case {"version": str(text), **more}:
                    kind: DependencyTable = "extra" if more.get("optional") and table == "runtime" else table
                    yield Dependency(
                        name=normalized(name), text=text, table=kind, key=(*at, "version"), poetry=True
                    )
                case _:
                    yield Dependency(name=normalized(name), text="", table=table, poetry=True)
