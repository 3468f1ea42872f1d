"""`[tool.uv]` as far as it decides how packages are built: what relnox honors of it, and what it does not."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from relnox.core.build_settings import BuildSettings, Constraints
from relnox.core.names import normalized, requirement_name
from relnox.source.pyproject import load, strings, table_at

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from relnox.core.packages import Package

__all__ = ["UvSettings", "read", "read_installer_settings"]

_OF_THE_INSTALLER = (
    *("index", "index-url", "extra-index-url", "find-links", "no-index", "index-strategy", "keyring-provider"),
    *("native-tls", "system-certs", "allow-insecure-host", "link-mode", "offline", "python-preference"),
    *("no-binary", "no-binary-package", "no-build", "no-build-package", "required-version"),
)
"""Keys that count for everything that uv installs; others are for the project's environment, or for lock files."""
_INDEXES = ("index-url", "extra-index-url", "find-links", "no-index")


class UvSettings:
    """The settings of uv that a package is built with.

    Args:
        file: Where they stand, relative to the project's root; empty where there are none.
        table: The settings.
        package: What is built.
        document: Its pyproject.toml.
    """

    def __init__(self, file: str, table: Mapping[str, Any], package: Package, document: Mapping[str, Any]) -> None:
        self.file = file
        self._table = table
        self._package = package
        self._sources = table_at(table, "sources").keys() | table_at(document, "tool", "uv", "sources").keys()

    @property
    def build(self) -> BuildSettings:
        """What decides how the package is built."""
        table = self._table
        newer = table_at(table, "exclude-newer-package")
        stated = table.get("exclude-newer")
        return BuildSettings(
            constraints=Constraints(
                requirements=tuple(_requirements(table.get("build-constraint-dependencies"))),
                exclude_newer="" if stated in (None, False) else str(stated),
                exclude_newer_package=tuple(
                    (normalized(name), "false" if value is False else str(value))
                    for name, value in sorted(newer.items())
                ),
            ),
            extra_requires=tuple(_requirements(self._of_package("extra-build-dependencies"))),
            config_settings=tuple(
                (key, tuple(strings(value)) if isinstance(value, list) else str(value))
                for key, value in sorted(table_at(table, "config-settings").items())
            ),
        )

    @property
    def honored(self) -> tuple[str, ...]:
        """The keys that change how the package is built."""
        keys = ("build-constraint-dependencies", "exclude-newer", "exclude-newer-package", "config-settings")
        found = [key for key in keys if self._table.get(key)]
        if self._of_package("extra-build-dependencies") is not None:
            found.append("extra-build-dependencies")
        return tuple(found)

    @property
    def not_honored(self) -> tuple[str, ...]:
        """What the settings say of the package's build that relnox does not do, each with what it does."""
        return tuple(self._not_honored())

    def _not_honored(self) -> Iterator[str]:
        name, table = self._package.name, self._table
        isolated = 'relnox builds isolated, with requires of [build-system] and "extra-build-dependencies"'
        if name in map(normalized, strings(table.get("no-build-isolation-package"))):
            yield f"no-build-isolation-package: {isolated}"
        elif table.get("no-build-isolation") is True:
            yield f"no-build-isolation: {isolated}"
        for each in _entries(self._of_package("extra-build-dependencies")):
            if isinstance(each, dict) and each.get("match-runtime"):
                yield f"match-runtime of {each.get('requirement')}: any release that fits is taken"
        for key in ("extra-build-variables", "config-settings-package"):
            if self._of_package(key) is not None:
                yield f"{key}: uv build does not heed it for the package itself either"
        needed = {need.name for need in self._package.dependencies if need.table == "build"}
        for source in sorted(needed & {normalized(each) for each in self._sources}):
            yield f"sources of {source}: it comes from the index, or as it was just built"

    def _of_package(self, key: str) -> Any:
        named = table_at(self._table, key).items()
        return next((value for name, value in named if normalized(name) == self._package.name), None)


def read(root: Path, package: Package) -> UvSettings:
    """The settings of uv that count for a package, as for `uv build` in its folder.

    They are those of the workspace that it is a member of, else the nearest ones upwards; not above the project's
    root. A uv.toml goes before the pyproject.toml beside it.

    Raises:
        Blocked: A file is no TOML.
    """
    folder = root / package.folder
    above = [folder, *folder.parents]
    above = above[: above.index(root) + 1] if root in above else [folder]
    document = load(root / package.pyproject)
    tables = [(place, *_table(place)) for place in above]
    for place, _, _ in tables:
        if _is_member(place, folder):
            tables.sort(key=lambda each: each[0] != place)
            break
    for place, name, table in tables:
        if name:
            file = (place / name).relative_to(root).as_posix()
            return UvSettings(file, table, package, document)
    return UvSettings("", {}, package, document)


def read_installer_settings(root: Path) -> dict[str, Any]:
    """What a project says of everything that uv installs, as a uv.toml in another folder says it.

    Raises:
        Blocked: A file is no TOML.
    """
    for folder in (root, *root.parents):
        name, table = _table(folder)
        if name:
            return _for_all(table, folder)
    return {}


def _for_all(table: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Keys of settings that count for everything that uv installs, for another folder than theirs."""

    def absolute(place: str) -> str:
        return place if "://" in place else str(folder / place)

    kept = {key: table[key] for key in _OF_THE_INSTALLER if key in table}
    kept |= {key: value for key, value in table_at(table, "pip").items() if key in _INDEXES}
    if isinstance(indexes := kept.get("index"), list):
        kept["index"] = [
            {**each, "url": absolute(each["url"])} if isinstance(each.get("url"), str) else each
            for each in indexes
            if isinstance(each, dict)
        ]
    for key in ("index-url", "extra-index-url", "find-links"):
        if isinstance(value := kept.get(key), str):
            kept[key] = absolute(value)
        elif isinstance(value, list):
            kept[key] = [absolute(each) for each in strings(value)]
    return kept


def _table(folder: Path) -> tuple[str, Mapping[str, Any]]:
    """The file of a folder that has settings of uv, and the settings; no name where there is none."""
    if (folder / "uv.toml").is_file():
        return "uv.toml", load(folder / "uv.toml")
    if (folder / "pyproject.toml").is_file():
        tool = table_at(load(folder / "pyproject.toml"), "tool")
        if "uv" in tool:
            return "pyproject.toml", table_at(tool, "uv")
    return "", {}


def _is_member(top: Path, folder: Path) -> bool:
    """Whether a folder is a member of the uv workspace whose root is another one."""
    if not (top / "pyproject.toml").is_file():
        return False
    workspace = table_at(load(top / "pyproject.toml"), "tool", "uv", "workspace")
    below = folder.relative_to(top).as_posix()

    def named(key: str) -> bool:
        globs = (glob.rstrip("/") for glob in strings(workspace.get(key)))
        return any(fnmatchcase(below, glob) and below.count("/") == glob.count("/") for glob in globs)

    return bool(workspace) and (top == folder or (named("members") and not named("exclude")))


def _entries(listed: Any) -> list[Any]:
    return listed if isinstance(listed, list) else []


def _requirements(listed: Any) -> Iterator[str]:
    """Requirements of a list, in both forms that uv has for them; what is none is uv's to tell."""
    for each in _entries(listed):
        text = each.get("requirement") if isinstance(each, dict) else each
        if isinstance(text, str) and requirement_name(text) is not None:
            yield text
