"""The hashes by which poetry and pdm recognize that a lock file is that of its pyproject.toml."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

from packaging.version import InvalidVersion, Version

from relnox.core.documents import table_at
from relnox.core.packages import normalize_name

_POETRY_KEYS = ("dependencies", "source", "extras", "dev-dependencies")
_PROJECT_KEYS = ("requires-python", "dependencies", "optional-dependencies")
_WITH_GROUPS = Version("2.3.0")
"""The first version of Poetry whose hash covers dependency groups."""


def is_current(name: str, lock: Mapping[str, Any], text: str, document: Mapping[str, Any]) -> bool | None:
    """Return whether a lock file is that of a pyproject.toml; None if it has no hash that relnox can compute.

    Args:
        name: The name of the lock file, `poetry.lock` or `pdm.lock`.
        lock: Its content.
        text: The same as text: its first line says which Poetry wrote it.
        document: The content of the pyproject.toml.
    """
    try:
        return _is_current(name, lock, text, document)
    except (TypeError, AttributeError, RecursionError):  # values that JSON does not have, or of wrong types
        return None


def _is_current(name: str, lock: Mapping[str, Any], text: str, document: Mapping[str, Any]) -> bool | None:
    metadata = table_at(lock, "metadata")
    if name == "poetry.lock":
        stored = metadata.get("content-hash")
        if not isinstance(stored, str):
            return None
        hashes = [poetry_hash(document)]
        match = re.search(r"Poetry ([^ ]+)", text.partition("\n")[0])
        if match is None or _is_older(match[1]):
            hashes.append(poetry_hash(document, with_groups=False))
        return stored in hashes
    stored = metadata.get("content_hash")
    pdm = table_at(document, "tool", "pdm")
    if not isinstance(stored, str) or not stored.startswith("sha256:") or pdm.get("workspace"):
        return None
    return "project" not in document or stored == f"sha256:{pdm_hash(document)}"


def _is_older(version: str) -> bool:
    try:
        return Version(version) < _WITH_GROUPS
    except InvalidVersion:
        return True


def poetry_hash(document: Mapping[str, Any], *, with_groups: bool = True) -> str:
    """Return the content hash of poetry.lock for a pyproject.toml (as of Poetry 2.5)."""
    project, poetry = table_at(document, "project"), table_at(document, "tool", "poetry")
    groups = table_at(document, "dependency-groups") if with_groups else {}
    standard = {key: project[key] for key in _PROJECT_KEYS if project.get(key) is not None}
    own = {
        key: poetry.get(key)
        for key in (*_POETRY_KEYS, "group")
        if poetry.get(key) is not None or (key != "group" and not standard and not groups)
    }
    content: dict[str, Any] = own
    if standard or groups:
        content = {
            **({"project": standard} if standard else {}),
            **({"dependency-groups": groups} if groups else {}),
            "tool": {"poetry": own},
        }
    return _sha256_of_json(content)


def pdm_hash(document: Mapping[str, Any]) -> str:
    """Return the content hash of pdm.lock for a pyproject.toml (as of pdm 2.29)."""
    project, pdm = table_at(document, "project"), table_at(document, "tool", "pdm")
    groups: dict[str, list[Any]] = {}
    for tables in (table_at(document, "dependency-groups"), table_at(pdm, "dev-dependencies")):
        for name, requirements in tables.items():
            groups.setdefault(normalize_name(name), []).extend(requirements)
    return _sha256_of_json(
        {
            "sources": pdm.get("source", []),
            "dependencies": project.get("dependencies", []),
            "dev-dependencies": groups,
            "optional-dependencies": project.get("optional-dependencies", {}),
            "requires-python": project.get("requires-python", ""),
            "resolution": pdm.get("resolution", {}),
        }
    )


def _sha256_of_json(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
