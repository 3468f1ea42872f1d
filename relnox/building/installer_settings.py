"""The indexes that pip and uv are configured to use, and environment variables that restrict them to one index."""

from __future__ import annotations

import configparser
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit, urlunsplit

from relnox.core.documents import load_toml, table_at
from relnox.core.records import Record

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

SourceKind = Literal["index", "extra index", "find-links"]

_PIP_KEYS: Mapping[str, SourceKind] = {
    "index-url": "index",
    "extra-index-url": "extra index",
    "find-links": "find-links",
}
_UV_VARIABLES: Mapping[str, SourceKind] = {
    "UV_DEFAULT_INDEX": "index",
    "UV_INDEX_URL": "index",
    "UV_INDEX": "extra index",
    "UV_EXTRA_INDEX_URL": "extra index",
    "UV_FIND_LINKS": "find-links",
}
_SOURCE_VARIABLES = re.compile(
    r"PIP_(CONFIG_FILE|CONSTRAINT|EXTRA_INDEX_URL|FIND_LINKS|INDEX_URL|NO_INDEX|REQUIREMENT)"
    r"|UV_(BUILD_CONSTRAINT|CONFIG_FILE|CONSTRAINT|DEFAULT_INDEX|EXTRA_INDEX_URL|FIND_LINKS|INDEX\w*|NO_INDEX|OVERRIDE)",
    re.ASCII,
)
"""Names of variables that change which packages an installer selects, or where it gets them from."""
_EXTERNAL_CONSTRAINT = re.compile(r"\S\s*@\s*\w|://|^-(?!-hash=)")
"""A constraint that names a URL, or a line of a constraint file with an option other than `--hash`."""


class PackageSource(Record):
    """An index or another location from which an installer gets packages.

    Attributes:
        kind: The main index, an extra index, or a `find-links` location.
        url: The URL, without user name and password.
        setting: The environment variable or the settings file that names the URL.
    """

    kind: SourceKind
    url: str
    setting: str


def find_package_sources(
    installer: str, variables: Mapping[str, str], directory: Path
) -> tuple[PackageSource, ...]:
    """Return where `uv` or `pip`, run in a directory, gets packages; without a main index, from the public one."""
    sources = _uv_sources(variables, directory) if installer == "uv" else _pip_sources(variables)
    return tuple(dict.fromkeys(sources))


def use_only_index(variables: Mapping[str, str], index_url: str) -> dict[str, str]:
    """Return `variables`, changed so that an installer uses only this index (a simple API URL).

    Unlike options, variables also apply to the builds that an installer runs for sdists.
    """
    others = {name: value for name, value in variables.items() if not _SOURCE_VARIABLES.fullmatch(name)}
    # [tool.uv.sources] of an sdist may name another index.
    pip = {"PIP_CONFIG_FILE": os.devnull, "PIP_INDEX_URL": index_url}
    return others | pip | {"UV_NO_CONFIG": "1", "UV_NO_SOURCES": "1", "UV_DEFAULT_INDEX": index_url}


def find_constraint_files(variables: Mapping[str, str], directory: Path) -> tuple[tuple[str, str], ...]:
    """Return the constraint files for builds, each as its path or URL and the variable that names it.

    Relative paths are resolved in `directory`. The variables are read by pip in `python -m build`, by pip in its
    builds, and by `uv build`, in this order; relnox applies all of them with either installer.
    """
    files = [
        (file if "://" in file else str(directory / file), name)
        for name in ("PIP_CONSTRAINT", "PIP_BUILD_CONSTRAINT", "UV_BUILD_CONSTRAINT")
        for file in variables.get(name, "").split()
    ]
    return tuple(dict.fromkeys(files))


def find_external_constraints(files: Iterable[str], requirements: Iterable[str]) -> Iterator[str]:
    """Yield the constraints in `files` and `requirements` that refer to a location other than the index.

    A constraint file that is itself a URL is yielded, since its content is not known.
    """
    yield from (requirement for requirement in requirements if "@" in requirement)
    for file in files:
        try:
            text = "" if "://" in file else Path(file).read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue  # the installer reports the problem
        lines = (line.partition(" #")[0].strip() for line in text.splitlines())
        if "://" in file:
            yield file
        yield from (line for line in lines if not line.startswith("#") and _EXTERNAL_CONSTRAINT.search(line))


def _pip_sources(variables: Mapping[str, str]) -> Iterator[PackageSource]:
    """Yield the sources in pip's settings.

    `[install]` overrides `[global]`, later files override earlier ones, and variables override all files.
    """
    settings: dict[str, tuple[str, str]] = {}
    for section in ("global", "install"):
        for file in _pip_config_files(variables):
            parser = configparser.RawConfigParser()
            try:
                parser.read(file, encoding="utf-8")
            except (OSError, UnicodeDecodeError, configparser.Error):
                continue  # pip reports the problem
            for name, value in parser.items(section) if parser.has_section(section) else ():
                settings[name.lower().replace("_", "-").removeprefix("--")] = value, str(file)
    for key in ("no-index", *_PIP_KEYS):
        name = f"PIP_{key.upper().replace('-', '_')}"
        if variables.get(name):
            settings[key] = variables[name], name
    no_index = settings.get("no-index", ("", ""))[0].lower() in ("1", "true", "yes", "on")
    for key, kind in _PIP_KEYS.items():
        value, setting = settings.get(key, ("", ""))
        for url in value.split():
            if kind == "find-links" or not no_index:
                yield PackageSource(kind, _redact_credentials(url), setting)


def _pip_config_files(variables: Mapping[str, str]) -> Iterator[Path]:
    if variables.get("PIP_CONFIG_FILE") == os.devnull:
        return
    import platformdirs

    name = "pip.ini" if sys.platform == "win32" else "pip.conf"
    shared_directories = platformdirs.site_config_dir("pip", appauthor=False, multipath=True).split(os.pathsep)
    yield from (Path(directory) / name for directory in shared_directories)
    if sys.platform != "win32":
        yield Path("/etc") / name
    yield Path.home() / ("pip" if sys.platform == "win32" else ".pip") / name
    mac = platformdirs.user_config_path("pip", appauthor=False, roaming=True)
    own = mac if sys.platform == "win32" or mac.is_dir() else Path.home() / ".config" / "pip"
    yield own / name
    yield Path(sys.prefix) / name
    if variables.get("PIP_CONFIG_FILE"):
        yield Path(variables["PIP_CONFIG_FILE"])


def _uv_sources(variables: Mapping[str, str], directory: Path) -> Iterator[PackageSource]:
    for name, kind in _UV_VARIABLES.items():
        value = variables.get(name, "")
        for url in value.split(",") if kind == "find-links" and value else value.split():
            yield PackageSource(kind, _redact_credentials(_strip_index_name(url)), name)
    default = any(variables.get(name) for name, kind in _UV_VARIABLES.items() if kind == "index")
    for file, table in _uv_config_tables(variables, directory):
        for kind, url in _sources_in_table(table):
            if kind == "index" and default:
                continue  # the first one is used
            default = default or kind == "index"
            yield PackageSource(kind, _redact_credentials(url), str(file))


def _uv_config_tables(variables: Mapping[str, str], directory: Path) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    """Yield each settings file of uv (project, user, system) and its table, highest precedence first."""
    if file := variables.get("UV_CONFIG_FILE"):
        yield Path(file), _load_toml(Path(file))
        return
    if variables.get("UV_NO_CONFIG", "0").lower() not in ("", "0", "false", "no"):
        return
    for above in (directory, *directory.parents):
        if (above / "uv.toml").is_file():
            yield above / "uv.toml", _load_toml(above / "uv.toml")
            break
        tool = table_at(_load_toml(above / "pyproject.toml"), "tool")
        if "uv" in tool:
            yield above / "pyproject.toml", table_at(tool, "uv")
            break
    if sys.platform == "win32":
        homes = [Path(variables[name]) / "uv" for name in ("APPDATA", "PROGRAMDATA") if variables.get(name)]
    else:
        own = Path(variables.get("XDG_CONFIG_HOME") or Path.home() / ".config")
        shared_directories = (variables.get("XDG_CONFIG_DIRS") or "/etc/xdg").split(":")
        homes = [base / "uv" for base in (own, *map(Path, filter(None, shared_directories)), Path("/etc"))]
    for home in homes:
        yield home / "uv.toml", _load_toml(home / "uv.toml")


def _sources_in_table(table: Mapping[str, Any]) -> Iterator[tuple[SourceKind, str]]:
    for index in table.get("index", ()) if isinstance(table.get("index"), list) else ():
        if isinstance(index, dict) and not index.get("explicit"):
            yield "index" if index.get("default") else "extra index", str(index.get("url", ""))
    for settings in (table.get("pip", {}), table):
        for key, kind in _PIP_KEYS.items() if isinstance(settings, dict) else ():
            value = settings.get(key, ())
            for url in [value] if isinstance(value, str) else value:
                yield kind, str(url)


def _load_toml(file: Path) -> dict[str, Any]:
    try:
        return load_toml(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def _strip_index_name(url: str) -> str:
    """Return the URL of an entry in `UV_INDEX`, which may be `NAME=URL`."""
    name, separator, rest = url.partition("=")
    return rest if separator and "://" in rest and "/" not in name else url


def _redact_credentials(url: str) -> str:
    try:
        parts = urlsplit(url)
        return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
    except ValueError:
        return "invalid address"
