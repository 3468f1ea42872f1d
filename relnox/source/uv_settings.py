"""Read the settings of uv that affect builds: those that relnox applies, and those that it does not."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from relnox.core.documents import strings_in, table_at
from relnox.core.names import normalize_name, requirement_name
from relnox.core.records import Record
from relnox.core.settings.build_settings import BuildSettings, Constraints
from relnox.source.pyproject import load

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from relnox.core.packages import Package

_INSTALLER_KEYS = (
    *("index", "index-url", "extra-index-url", "find-links", "no-index", "index-strategy", "keyring-provider"),
    *("native-tls", "system-certs", "allow-insecure-host", "link-mode", "offline", "python-preference"),
    *("no-binary", "no-binary-package", "no-build", "no-build-package", "required-version"),
)
"""Settings that apply to everything uv installs, and not only to a project's environment or lock files."""
_INDEX_KEYS = ("index-url", "extra-index-url", "find-links", "no-index")


class UvBuildSettings(Record):
    """The settings of uv for a package's build.

    Attributes:
        file: The path of the file with the settings, relative to the project's root; empty if there is none.
        build: The settings that relnox applies to the build.
        applied_keys: The keys of the settings that relnox applies.
        ignored_settings: A message for each setting that relnox does not apply, with what it does instead.
    """

    file: str = ""
    build: BuildSettings = BuildSettings()
    applied_keys: tuple[str, ...] = ()
    ignored_settings: tuple[str, ...] = ()


def read_build_settings(root: Path, package: Package) -> UvBuildSettings:
    """Read the settings that `uv build` uses in a package's directory.

    These are the settings of the uv workspace that the package is in, else the nearest ones in the package's
    directory or its parents, up to the project's root. In each directory, uv.toml takes precedence over
    pyproject.toml.

    Raises:
        Blocked: A file is not valid TOML.
    """
    directory = root / package.directory
    candidates = [directory, *directory.parents]
    candidates = candidates[: candidates.index(root) + 1] if root in candidates else [directory]
    document = load(root, package.pyproject)
    top = next((candidate for candidate in candidates if _is_workspace_member(candidate, directory)), None)
    for candidate in sorted(candidates, key=lambda candidate: candidate != top):
        name, table = _read_uv_table(candidate)
        if name:
            file = (candidate / name).relative_to(root).as_posix()
            return _uv_settings(file, table, package, document)
    return _uv_settings("", {}, package, document)


def _uv_settings(
    file: str, table: Mapping[str, Any], package: Package, document: Mapping[str, Any]
) -> UvBuildSettings:
    """Return the settings of a `[tool.uv]` table; `document` is the content of the package's pyproject.toml."""
    keys = ["build-constraint-dependencies", "exclude-newer", "exclude-newer-package", "config-settings"]
    applied_keys = [key for key in keys if table.get(key)]
    extra_requires = _value_for_package("extra-build-dependencies", table, package)
    if extra_requires is not None:
        applied_keys.append("extra-build-dependencies")
    exclude_newer = table.get("exclude-newer")
    build = BuildSettings(
        constraints=Constraints(
            requirements=tuple(_valid_requirements(table.get("build-constraint-dependencies"))),
            exclude_newer="" if exclude_newer in (None, False) else str(exclude_newer),
            exclude_newer_package=tuple(
                (normalize_name(name), "false" if value is False else str(value))
                for name, value in sorted(table_at(table, "exclude-newer-package").items())
            ),
        ),
        extra_requires=tuple(_valid_requirements(extra_requires)),
        config_settings=tuple(
            (key, tuple(strings_in(value)) if isinstance(value, list) else str(value))
            for key, value in sorted(table_at(table, "config-settings").items())
        ),
    )
    ignored_settings = tuple(_describe_ignored_settings(table, package, document))
    return UvBuildSettings(file, build, tuple(applied_keys), ignored_settings)


def _describe_ignored_settings(
    table: Mapping[str, Any], package: Package, document: Mapping[str, Any]
) -> Iterator[str]:
    isolation_note = 'relnox always isolates builds, with [build-system] requires and "extra-build-dependencies"'
    if package.name in map(normalize_name, strings_in(table.get("no-build-isolation-package"))):
        yield f"no-build-isolation-package: {isolation_note}"
    elif table.get("no-build-isolation") is True:
        yield f"no-build-isolation: {isolation_note}"
    extra_requires = _value_for_package("extra-build-dependencies", table, package)
    for entry in extra_requires if isinstance(extra_requires, list) else ():
        if isinstance(entry, dict) and entry.get("match-runtime"):
            yield f"match-runtime of {entry.get('requirement')}: relnox uses any matching release"
    for key in ("extra-build-variables", "config-settings-package"):
        if _value_for_package(key, table, package) is not None:
            yield f"{key}: uv build ignores it for the package itself as well"
    sources = table_at(table, "sources").keys() | table_at(document, "tool", "uv", "sources").keys()
    build_requires = {dependency.name for dependency in package.dependencies if dependency.table == "build"}
    for source in sorted(build_requires & set(map(normalize_name, sources))):
        yield f"sources of {source}: relnox uses the index, or the wheel of the same run"


def _value_for_package(key: str, table: Mapping[str, Any], package: Package) -> Any:
    """Return the value for a package in a table whose keys are package names, or None if there is none."""
    by_name = table_at(table, key).items()
    return next((value for name, value in by_name if normalize_name(name) == package.name), None)


def read_installer_settings(root: Path) -> dict[str, Any]:
    """Return the settings that apply to everything uv installs in a project, as the content of a new uv.toml.

    Raises:
        Blocked: A file is not valid TOML.
    """
    for directory in (root, *root.parents):
        name, table = _read_uv_table(directory)
        if name:
            return _installer_settings(table, directory)
    return {}


def _installer_settings(table: Mapping[str, Any], directory: Path) -> dict[str, Any]:
    """Return the settings in a table that apply to everything uv installs, with absolute paths."""

    def absolute(location: str) -> str:
        return location if "://" in location else str(directory / location)

    settings = {key: table[key] for key in _INSTALLER_KEYS if key in table}
    settings |= {key: value for key, value in table_at(table, "pip").items() if key in _INDEX_KEYS}
    if isinstance(indexes := settings.get("index"), list):
        settings["index"] = [
            {**index, "url": absolute(index["url"])} if isinstance(index.get("url"), str) else index
            for index in indexes
            if isinstance(index, dict)
        ]
    for key in ("index-url", "extra-index-url", "find-links"):
        if isinstance(value := settings.get(key), str):
            settings[key] = absolute(value)
        elif isinstance(value, list):
            settings[key] = [absolute(location) for location in strings_in(value)]
    return settings


def _read_uv_table(directory: Path) -> tuple[str, Mapping[str, Any]]:
    """Return the name of uv's settings file in a directory, and the settings; both are empty if there are none."""
    if (directory / "uv.toml").is_file():
        return "uv.toml", load(directory, "uv.toml")
    if (directory / "pyproject.toml").is_file():
        tool = table_at(load(directory, "pyproject.toml"), "tool")
        if "uv" in tool:
            return "pyproject.toml", table_at(tool, "uv")
    return "", {}


def _is_workspace_member(top: Path, directory: Path) -> bool:
    """Return whether a directory is a member of the uv workspace whose root is `top`."""
    if not (top / "pyproject.toml").is_file():
        return False
    workspace = table_at(load(top, "pyproject.toml"), "tool", "uv", "workspace")
    path = directory.relative_to(top).as_posix()

    def matches(key: str) -> bool:
        globs = (glob.rstrip("/") for glob in strings_in(workspace.get(key)))
        return any(fnmatchcase(path, glob) and path.count("/") == glob.count("/") for glob in globs)

    return bool(workspace) and (top == directory or (matches("members") and not matches("exclude")))


def _valid_requirements(value: Any) -> Iterator[str]:
    """Yield the valid requirements in a list whose items are strings, or tables with the key `requirement`."""
    for item in value if isinstance(value, list) else ():
        text = item.get("requirement") if isinstance(item, dict) else item
        if isinstance(text, str) and requirement_name(text) is not None:
            yield text
