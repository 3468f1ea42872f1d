"""The entries of a uv.lock that a package of the workspace needs, to tell which changes of the file concern it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from relnox.core.documents import load_toml, table_at

if TYPE_CHECKING:
    from collections.abc import Mapping

LOCK_FILE = "uv.lock"
"""The name of the lock files whose entries are compared."""

_ENTRY = "\n[[package]]\n"
_LOCAL_SOURCES = frozenset({"editable", "virtual", "directory"})
"""The kinds of sources that are directories of the checkout, as those of the members of a workspace."""
_ALWAYS = ""
"""The key of the requirements that an entry has without any extra."""

LockEntries: TypeAlias = "Mapping[str, tuple[LockEntry, ...]]"
"""The entries of a lock file by name; a name has several entries if the version depends on the environment."""


class LockRequirement(NamedTuple):
    """A requirement of an entry.

    Attributes:
        name: The normalized name of the required distribution.
        version: Its version if the lock has several versions of it, otherwise empty.
        extras: The required extras of it.
        marker: The environments that it is required in; empty for all.
    """

    name: str
    version: str
    extras: tuple[str, ...]
    marker: str


class LockEntry(NamedTuple):
    """An entry of a lock file.

    Attributes:
        name: The normalized name of the distribution.
        version: Its version; empty for a directory of the checkout, whose version the lock does not decide.
        source: The kind and value of its source, unless that is an index or a directory of the checkout.
        is_local: Whether it is a directory of the checkout.
        requirements: Its requirements by extra; the empty extra has those that are always needed. Development
            dependencies are left out.
    """

    name: str
    version: str
    source: tuple[tuple[str, str], ...]
    is_local: bool
    requirements: Mapping[str, tuple[LockRequirement, ...]]


class LockReader:
    """Reads versions of lock files; an entry that several of them contain is parsed only once."""

    def __init__(self) -> None:
        self._entries: dict[str, LockEntry] = {}

    def read(self, text: str) -> LockEntries:
        """Return the entries of a lock file.

        Raises:
            ValueError: The text does not have the form that uv writes.
        """
        lock: dict[str, tuple[LockEntry, ...]] = {}
        for block in text.replace("\r\n", "\n").split(_ENTRY)[1:]:
            entry = self._entries.get(block)
            if entry is None:
                entry = self._entries[block] = _parse_entry(block)
            lock[entry.name] = (*lock.get(entry.name, ()), entry)
        return lock


def _parse_entry(block: str) -> LockEntry:
    """Parse the text of an entry, without its header.

    Raises:
        ValueError: It does not have the form that uv writes.
    """
    try:
        table = load_toml(f"{_ENTRY}{block}")["package"][0]
        source = table_at(table, "source")
        is_local = not _LOCAL_SOURCES.isdisjoint(source)
        extras = table_at(table, "optional-dependencies")
        return LockEntry(
            name=str(table["name"]),
            version="" if is_local else str(table.get("version", "")),
            source=()
            if is_local or "registry" in source
            else tuple((key, str(source[key])) for key in sorted(source)),
            is_local=is_local,
            requirements={
                extra: tuple(_requirement(item) for item in items)
                for extra, items in {**extras, _ALWAYS: table.get("dependencies", [])}.items()
            },
        )
    except (AttributeError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"unexpected format of an entry: {error!r}") from error


def _requirement(table: Mapping[str, Any]) -> LockRequirement:
    extras = tuple(map(str, table.get("extra", ())))
    return LockRequirement(str(table["name"]), str(table.get("version", "")), extras, str(table.get("marker", "")))


def needed_entries(lock: LockEntries, package: str) -> frozenset[tuple[object, ...]] | None:
    """Return what a lock decides about a package: its entry with all extras, and the entries that it needs.

    Equal results mean that the same versions are installed with the package. Hashes and addresses of archives are
    left out, since they may change without a new version.

    Args:
        lock: The entries of the lock file.
        package: The name of the package.

    Returns:
        A value to compare, or None if no entry is a directory of the checkout with this name.
    """
    own = next((entry for entry in lock.get(package, ()) if entry.is_local), None)
    if own is None:
        return None
    needed_keys: set[tuple[object, ...]] = set()
    waiting = [(own, extra) for extra in own.requirements]
    while waiting:
        entry, extra = waiting.pop()
        requirements = entry.requirements.get(extra, ())
        item = (entry.name, entry.version, entry.source, extra, requirements)
        if item in needed_keys:
            continue
        needed_keys.add(item)
        waiting += [
            (required_entry, required_extra)
            for requirement in requirements
            for required_entry in lock.get(requirement.name, ())
            if requirement.version in ("", required_entry.version)
            for required_extra in (_ALWAYS, *requirement.extras)
        ]
    return frozenset(needed_keys)
