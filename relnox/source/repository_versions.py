"""Read the version in every pyproject.toml of a repository, including those outside the project's packages."""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING, NamedTuple

from relnox.core.documents import strings_in, table_at
from relnox.errors import Blocked
from relnox.source import pyproject, version_files
from relnox.source.directory_search import PYPROJECT, is_excluded, is_skipped

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from relnox.core.packages import Package
    from relnox.core.settings.config import Config


class FileVersion(NamedTuple):
    """The version of the package that a pyproject.toml describes.

    Attributes:
        file: The path of the pyproject.toml, relative to the project's directory.
        package: The name of the package, or None if the file describes no package.
        version: The version as written, or None if no file contains it.
        source: The key in this pyproject.toml, or the path of another file, that has the version; or what computes
            it; empty if the file describes no package.
        outside: None if the package belongs to the project. Otherwise, the answer to whether it does: `no`, also
            with a reason, or `not known`.
        error: The error that kept the package or its version from being read, or None.
    """

    file: str
    package: str | None = None
    version: str | None = None
    source: str = ""
    outside: str | None = None
    error: Blocked | None = None

    @property
    def is_sample(self) -> bool:
        """Whether the file needs no version: it is excluded, an example, a template or test data."""
        return self.outside in (_NO_VERSION_EXCLUDED, _NO_VERSION_SAMPLE)


_NO_VERSION_EXCLUDED = "no: excluded"
_NO_VERSION_SAMPLE = "no: example, template or test"


def read_versions(
    files: Iterable[str], root: Path, config: Config, workspace: Mapping[str, Package] | None
) -> Iterator[FileVersion]:
    """Yield the version of each pyproject.toml in `files`, whose paths are relative to the root.

    `workspace` has the project's packages by directory, or is None if they are not known.
    """
    excluded_globs = [*config.exclude]
    try:
        document = pyproject.load(root, PYPROJECT) if (root / PYPROJECT).is_file() else {}
        excluded_globs += strings_in(table_at(document, "tool", "uv", "workspace").get("exclude"))
    except Blocked:
        pass  # the error of that file is in its own line
    for file in files:
        directory = posixpath.dirname(file) or "."
        member = (workspace or {}).get(directory)
        outside = None
        if member is None:
            outside = _why_no_version_is_needed(directory, excluded_globs) or (
                "no" if workspace is not None else "not known"
            )
        try:
            package = member or _read_package(file, directory, root)
        except Blocked as error:
            message = error.message.replace(f"{root}/", "")
            yield FileVersion(file, outside=outside, error=Blocked(error.code, message, fix=error.fix))
            continue
        if package is None:
            yield FileVersion(file, outside=outside)
            continue
        version = package.source.text if package.source.is_in_file else None
        yield FileVersion(file, package.name, version, _describe_version_source(package), outside)


def _why_no_version_is_needed(directory: str, excluded_globs: Iterable[str]) -> str | None:
    """Return why the package in a directory needs no version (excluded or a sample), or None if it needs one."""
    if is_excluded(directory, [*excluded_globs]):
        return _NO_VERSION_EXCLUDED
    parts = (part for part in directory.split("/") if part not in ("..", "."))
    return _NO_VERSION_SAMPLE if any(map(is_skipped, parts)) else None


def _read_package(file: str, directory: str, root: Path) -> Package | None:
    """Return the package that a pyproject.toml describes, or None if it contains only settings of tools."""
    document = pyproject.load(root, file)
    return version_files.read_package(document, directory, root) if pyproject.describes_package(document) else None


def _describe_version_source(package: Package) -> str:
    source = package.source
    if not source.is_in_file:
        return source.text or "the build backend"
    is_own_key = source.kind == "toml" and source.file == package.pyproject
    return ".".join(map(str, source.key)) if is_own_key else source.file
