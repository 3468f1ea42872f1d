"""Read uv's settings: those that apply to builds, to everything that uv installs, and the indexes that it uses."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal, TypeAlias
from urllib.parse import urlsplit, urlunsplit

from relnox.core.documents import strings_in, table_at
from relnox.core.packages import Package, normalize_name, requirement_name
from relnox.core.records import Record
from relnox.core.settings.build_settings import BuildSettings, Constraints
from relnox.source.pyproject import read_toml

SettingsTable: TypeAlias = tuple[Path, Mapping[str, Any]]
"""A settings file and its settings."""

SourceKind = Literal["index", "extra index", "find-links"]

_INSTALLER_KEYS = (
    *("index", "index-url", "extra-index-url", "find-links", "no-index", "index-strategy", "keyring-provider"),
    *("native-tls", "system-certs", "allow-insecure-host", "link-mode", "offline", "python-preference"),
    *("no-binary", "no-binary-package", "no-build", "no-build-package", "required-version"),
)
"""Settings that apply to everything uv installs, and not only to a project's environment or lock files."""
_INDEX_KINDS: Mapping[str, SourceKind] = {
    "index-url": "index",
    "extra-index-url": "extra index",
    "find-links": "find-links",
}
_INDEX_VARIABLES: Mapping[str, SourceKind] = {
    "UV_DEFAULT_INDEX": "index",
    "UV_INDEX_URL": "index",
    "UV_INDEX": "extra index",
    "UV_EXTRA_INDEX_URL": "extra index",
    "UV_FIND_LINKS": "find-links",
}
_FALSE = ("", "0", "f", "false", "n", "no", "off")


class UvBuildSettings(Record):
    """The settings of uv for builds of a package.

    Attributes:
        build: The settings that relnox applies.
        applied_settings: What these come from, for messages: keys, each with its file in parentheses, and
            environment variables.
        ignored_settings: A message for each setting that relnox does not apply, with what it does instead.
    """

    build: BuildSettings = BuildSettings()
    applied_settings: tuple[str, ...] = ()
    ignored_settings: tuple[str, ...] = ()


class PackageSource(Record):
    """An index or another location from which uv gets packages.

    Attributes:
        kind: The main index, an extra index, or a `find-links` location.
        url: The URL, without user name and password.
        setting: The environment variable or the settings file that names the URL.
    """

    kind: SourceKind
    url: str
    setting: str


def _read_settings_tables(root: Path, directory: Path, variables: Mapping[str, str]) -> list[SettingsTable]:
    """Return the settings that uv reads in a directory, as pairs of a file and its content, the strongest first.

    They are those of the project, the user and the system; only those in the file that `UV_CONFIG_FILE` names, if
    it is set; or none with `UV_NO_CONFIG`. Those of the project are in the root of the uv workspace that the
    directory belongs to, if it is inside `root`, else in the nearest uv.toml or pyproject.toml upwards from the
    directory. `variables` are the environment.
    """
    if file := variables.get("UV_CONFIG_FILE"):
        return [(Path(file), _read_uv_toml(Path(file)))]
    if _is_true_for_uv(variables.get("UV_NO_CONFIG")):
        return []
    candidates = [directory, *directory.parents]
    inside = candidates[: candidates.index(root) + 1] if root in candidates else [directory]
    top = next((candidate for candidate in inside if _is_workspace_member(candidate, directory)), None)
    candidates.sort(key=lambda candidate: candidate != top)
    project = next((table for candidate in candidates if (table := _find_uv_table(candidate)) is not None), None)
    if sys.platform == "win32":
        homes = [Path(variables[name]) for name in ("APPDATA", "PROGRAMDATA") if variables.get(name)]
    else:
        user = variables.get("XDG_CONFIG_HOME") or Path(variables.get("HOME") or Path.home()) / ".config"
        system = (variables.get("XDG_CONFIG_DIRS") or "/etc/xdg").split(":")
        homes = [Path(name) for name in (user, *filter(None, system), "/etc")]
    files = [home / "uv" / "uv.toml" for home in homes]
    return [*([] if project is None else [project]), *((file, _read_uv_toml(file)) for file in files)]


def _is_true_for_uv(value: str | None) -> bool:
    """Return whether uv takes the value of an environment variable for true; None, if it is not set, is false."""
    return (value or "").lower() not in _FALSE


def read_build_settings(root: Path, package: Package, variables: Mapping[str, str]) -> UvBuildSettings:
    """Return the settings that `uv build` uses in a package's directory; `variables` are the environment."""
    tables = _read_settings_tables(root, root / package.directory, variables)
    table = _merge_tables(tables)
    extra_by_name = table_at(table, "extra-build-dependencies").items()
    extra_requires = {normalize_name(name): value for name, value in extra_by_name}.get(package.name)
    exclude_newer = variables.get("UV_EXCLUDE_NEWER") or table.get("exclude-newer")
    variable = variables.get("UV_REQUIRE_BUILD_HASHES")
    require_hashes = table.get("require-build-hashes") is True if variable is None else _is_true_for_uv(variable)
    build = BuildSettings(
        constraints=Constraints(
            requirements=tuple(_valid_requirements(table.get("build-constraint-dependencies"))),
            require_hashes=require_hashes or _is_true_for_uv(variables.get("UV_REQUIRE_HASHES")),
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
    keys = ["build-constraint-dependencies", "require-build-hashes", "exclude-newer", "exclude-newer-package"]
    keys += ["config-settings", *(["extra-build-dependencies"] if extra_requires is not None else [])]
    names = ("UV_REQUIRE_BUILD_HASHES", "UV_REQUIRE_HASHES", "UV_EXCLUDE_NEWER")
    files = {key: file for file, settings in reversed(tables) for key in settings}
    applied_settings = [f"{key} ({_display_path(files[key], root)})" for key in keys if table.get(key)]
    applied_settings += [name for name in names if variables.get(name)]
    file = _display_path(tables[0][0], root) if tables else package.pyproject
    ignored_settings = _describe_ignored_settings(table, extra_requires, package, root)
    return UvBuildSettings(build, tuple(applied_settings), tuple(f"{text} ({file})" for text in ignored_settings))


def _merge_tables(tables: Sequence[SettingsTable]) -> dict[str, Any]:
    """Merge settings as uv does: lists and tables are combined; of other values, the first counts.

    The first table has the highest precedence.
    """
    merged: dict[str, Any] = {}
    for _, table in tables:
        for key, value in table.items():
            first = merged.get(key)
            if isinstance(first, list) and isinstance(value, list):
                merged[key] = [*first, *value]
            elif isinstance(first, dict) and isinstance(value, dict):
                merged[key] = {**value, **first}
            elif key not in merged:
                merged[key] = value
    return merged


def _display_path(file: Path, root: Path) -> str:
    """Return a path for messages: relative to the root if it is below, else as it is."""
    return (file.relative_to(root) if file.is_relative_to(root) else file).as_posix()


def _describe_ignored_settings(
    table: Mapping[str, Any], extra_requires: Any, package: Package, root: Path
) -> Iterator[str]:
    """Yield a message for each setting of builds in uv's `table` that relnox does not apply.

    `extra_requires` is what `extra-build-dependencies` has for the package, or None.
    """
    isolation_note = 'relnox always isolates builds, with [build-system] requires and "extra-build-dependencies"'
    if package.name in map(normalize_name, strings_in(table.get("no-build-isolation-package"))):
        yield f"no-build-isolation-package: {isolation_note}"
    elif table.get("no-build-isolation") is True:
        yield f"no-build-isolation: {isolation_note}"
    for entry in extra_requires if isinstance(extra_requires, list) else ():
        if isinstance(entry, dict) and entry.get("match-runtime"):
            yield f"match-runtime of {entry.get('requirement')}: relnox uses any matching release"
    own_sources = table_at(read_toml(root, package.pyproject), "tool", "uv", "sources")
    sources = table_at(table, "sources").keys() | own_sources.keys()
    build_requires = {dependency.name for dependency in package.dependencies if dependency.table == "build"}
    for source in sorted(build_requires & set(map(normalize_name, sources))):
        yield f"sources of {source}: relnox uses the index, or the wheel of the same run"


def read_installer_settings(root: Path, variables: Mapping[str, str]) -> dict[str, Any]:
    """Return the settings that apply to everything uv installs in a project, as the content of a new uv.toml.

    They come from the uv.toml and pyproject.toml files that uv would read with the environment `variables`.
    """
    table = _merge_tables(_read_settings_tables(root, root, variables))
    pip = table_at(table, "pip")
    settings = {key: table[key] for key in _INSTALLER_KEYS if key in table}
    return settings | {key: pip[key] for key in (*_INDEX_KINDS, "no-index") if key in pip}


def find_package_sources(root: Path, variables: Mapping[str, str]) -> tuple[PackageSource, ...]:
    """Return where uv gets packages in a project, by its settings and the environment `variables`.

    At most one is of the kind `index`, the main index; without one, that is PyPI.
    """
    sources = [
        PackageSource(kind, _redact_credentials(_strip_index_name(url)), name)
        for name, kind in _INDEX_VARIABLES.items()
        for url in variables.get(name, "").split("," if kind == "find-links" else None)
        if url
    ]
    for file, table in _read_settings_tables(root, root, variables):
        sources += [
            PackageSource(kind, _redact_credentials(url), str(file))
            for kind, url in _find_package_locations(table)
        ]
    main = [source for source in sources if source.kind == "index"][:1]  # the first one is used
    return tuple(dict.fromkeys(source for source in sources if source.kind != "index" or source in main))


def _find_package_locations(table: Mapping[str, Any]) -> Iterator[tuple[SourceKind, str]]:
    """Yield the kind and URL of each index and each `find-links` location in uv's settings.

    Indexes that are `explicit` (used only for packages that name them) are left out.
    """
    for index in table.get("index", ()):
        if not index.get("explicit"):
            yield "index" if index.get("default") else "extra index", str(index.get("url", ""))
    for settings in (table_at(table, "pip"), table):
        for key, kind in _INDEX_KINDS.items():
            value = settings.get(key, ())
            for url in [value] if isinstance(value, str) else strings_in(value):
                yield kind, url


def _find_uv_table(directory: Path) -> SettingsTable | None:
    """Return uv's settings file in a directory, and the settings in it; None if the directory has none.

    The file is uv.toml, or pyproject.toml with `[tool.uv]`. Paths of indexes in the settings are made absolute.
    """
    if (file := directory / "uv.toml").is_file():
        return file, _with_absolute_index_paths(read_toml(directory, file.name), directory)
    if (file := directory / "pyproject.toml").is_file():
        tool = table_at(read_toml(directory, file.name), "tool")
        if "uv" in tool:
            return file, _with_absolute_index_paths(table_at(tool, "uv"), directory)
    return None


def _read_uv_toml(file: Path) -> Mapping[str, Any]:
    """Return the settings in a uv.toml, with absolute paths of indexes; empty if the file does not exist."""
    if not file.is_file():
        return {}
    real = file.resolve()  # the user's own file may be a link
    return _with_absolute_index_paths(read_toml(real.parent, real.name), file.parent)


def _with_absolute_index_paths(table: Mapping[str, Any], directory: Path) -> dict[str, Any]:
    """Return settings with paths of indexes relative to `directory` made absolute, and invalid indexes removed."""

    def absolute(location: str) -> str:
        return location if "://" in location else str(directory / location)

    settings = dict(table)
    if "index" in settings:
        indexes = settings["index"] if isinstance(settings["index"], list) else []
        settings["index"] = [
            {**index, "url": absolute(index["url"])} if isinstance(index.get("url"), str) else index
            for index in indexes
            if isinstance(index, dict)
        ]
    for key in _INDEX_KINDS:
        if isinstance(value := settings.get(key), str):
            settings[key] = absolute(value)
        elif isinstance(value, list):
            settings[key] = [absolute(location) for location in strings_in(value)]
    if "pip" in settings:
        settings["pip"] = _with_absolute_index_paths(table_at(settings, "pip"), directory)
    return settings


def _strip_index_name(url: str) -> str:
    """Return the URL of an entry in `UV_INDEX`, which may be `NAME=URL`."""
    name, separator, rest = url.partition("=")
    return rest if separator and "://" in rest and "/" not in name else url


def _redact_credentials(url: str) -> str:
    """Return a URL without login, query and fragment, or `invalid address` if it is not valid."""
    try:
        parts = urlsplit(url)
        return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
    except ValueError:
        return "invalid address"


def _is_workspace_member(top: Path, directory: Path) -> bool:
    """Return whether `top` is the root of a uv workspace, and the directory is `top` or one of its members."""
    if not (top / "pyproject.toml").is_file():
        return False
    workspace = table_at(read_toml(top, "pyproject.toml"), "tool", "uv", "workspace")
    path = directory.relative_to(top).as_posix()

    def matches(key: str) -> bool:
        globs = (glob.rstrip("/") for glob in strings_in(workspace.get(key)))
        return any(fnmatchcase(path, glob) and path.count("/") == glob.count("/") for glob in globs)

    return bool(workspace) and (top == directory or (matches("members") and not matches("exclude")))


def _valid_requirements(value: Any) -> Iterator[str]:
    """Yield the valid requirements in a list whose items are strings, or tables with requirement and hashes.

    Hashes are added as in a constraint file.
    """
    for item in value if isinstance(value, list) else ():
        text = item.get("requirement") if isinstance(item, dict) else item
        if isinstance(text, str) and requirement_name(text) is not None:
            hashes = strings_in(item.get("hashes")) if isinstance(item, dict) else ()
            yield " ".join([text, *(f"--hash={value}" for value in hashes)])
