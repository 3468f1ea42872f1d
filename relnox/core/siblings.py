"""Requirements on packages of the same workspace that name no version.

They are looked for in every bump and build, without the grammar of PEP 508, which takes long to import.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from relnox.core.config import Config
    from relnox.core.packages import Dependency, Package
    from relnox.core.workspace import Workspace

__all__ = ["is_unbounded", "unbounded_siblings"]

_BARE = re.compile(r"\s*[A-Za-z0-9][\w.-]*\s*(\[[^\]]*\])?\s*(\(\s*\))?\s*(;.*)?", re.DOTALL)


def is_unbounded(need: Dependency) -> bool:
    """Whether a requirement names no version and no URL."""
    return need.text.strip() == "*" if need.poetry else _BARE.fullmatch(need.text) is not None


def unbounded_siblings(packages: Iterable[Package], workspace: Workspace, config: Config) -> Iterator[str]:
    """A warning for published requirements on packages of the workspace that name no version."""
    if config.sibling_bound is not None:
        return
    found = [
        f"{package.name} on {need.name}"
        for package in packages
        if not package.private
        for need in package.dependencies
        if need.table in ("runtime", "extra") and need.name in workspace.by_name and need.name != package.name
        if need.key and is_unbounded(need)
    ]
    if found:
        listed = ", ".join(found[:4]) + (f" and {len(found) - 4} more" if len(found) > 4 else "")  # noqa: PLR2004
        yield (
            f"requirements without a version are published as they are: {listed}; [tool.relnox] sibling-bound = "
            '"at-least", "compatible" or "exact" adds one with the next bump, "keep" says that they are meant so'
        )
