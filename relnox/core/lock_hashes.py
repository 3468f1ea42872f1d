"""The hashes in poetry.lock and pdm.lock by which Poetry and PDM recognize that pyproject.toml has changed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from relnox.core.documents import json_digest, parse_toml, table_at
from relnox.core.packages import normalize_name

_POETRY_KEYS = ("dependencies", "source", "extras", "dev-dependencies")
_PROJECT_KEYS = ("requires-python", "dependencies", "optional-dependencies")
_WITH_GROUPS = (2, 3)
"""The first version of Poetry whose hash covers dependency groups."""


def is_lock_current(name: str, lock: str, pyproject: str) -> bool | None:
    """Return whether the hash in a lock file is that of a pyproject.toml, so that the lock file is not stale.

    Return None if that is not known: a file is invalid, the lock file has no such hash, or PDM's workspaces are
    used. `name` is `poetry.lock` or `pdm.lock`; `lock` and `pyproject` are the texts of both files. A pdm.lock is
    always current for a pyproject.toml without `[project]`.
    """
    try:
        document, metadata = parse_toml(pyproject), table_at(parse_toml(lock), "metadata")
        stored = metadata.get("content-hash" if name == "poetry.lock" else "content_hash")
        if not document or not isinstance(stored, str):
            return None
        if name == "poetry.lock":
            match = re.search(r"Poetry (\d+)\.(\d+)", lock.partition("\n")[0])
            is_older = match is None or (int(match[1]), int(match[2])) < _WITH_GROUPS
            hashes = [poetry_hash(document)] + ([poetry_hash(document, with_groups=False)] if is_older else [])
            return stored in hashes
        if not stored.startswith("sha256:") or table_at(document, "tool", "pdm").get("workspace"):
            return None
        return "project" not in document or stored == f"sha256:{pdm_hash(document)}"
    except (ValueError, TypeError, AttributeError, RecursionError):  # no TOML, or not as these tools write it
        return None


def poetry_hash(document: Mapping[str, Any], *, with_groups: bool = True) -> str:
    """Return the content hash of poetry.lock, in hex, for a parsed pyproject.toml, as of Poetry 2.5.

    Without groups, it is the hash of Poetry before 2.3, which ignores dependency groups.
    """
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
    return json_digest(content)


def pdm_hash(document: Mapping[str, Any]) -> str:
    """Return the content hash of pdm.lock, in hex, for a parsed pyproject.toml, as of pdm 2.29."""
    project, pdm = table_at(document, "project"), table_at(document, "tool", "pdm")
    groups: dict[str, list[Any]] = {}
    for tables in (table_at(document, "dependency-groups"), table_at(pdm, "dev-dependencies")):
        for name, requirements in tables.items():
            groups.setdefault(normalize_name(name), []).extend(requirements)
    return json_digest(
        {
            "sources": pdm.get("source", []),
            "dependencies": project.get("dependencies", []),
            "dev-dependencies": groups,
            "optional-dependencies": project.get("optional-dependencies", {}),
            "requires-python": project.get("requires-python", ""),
            "resolution": pdm.get("resolution", {}),
        }
    )
