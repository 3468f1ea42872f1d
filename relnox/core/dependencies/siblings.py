"""Requirements on sibling packages (of the same workspace) that name no version.

Every bump and build looks for them, so this module avoids the PEP 508 parser, which is slow to import.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from relnox.core.text import join_names

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from relnox.core.packages import Dependency, Package
    from relnox.core.settings.config import Config
    from relnox.core.workspace import Workspace

_BARE_REQUIREMENT = r"(?s)\s*[A-Za-z0-9][\w.-]*\s*(\[[^\]]*\])?\s*(\(\s*\))?\s*(;.*)?"


def is_unbounded(dependency: Dependency) -> bool:
    """Return whether a requirement has neither a version nor a URL."""
    return (
        dependency.text.strip() == "*"
        if dependency.is_poetry_syntax
        else re.fullmatch(_BARE_REQUIREMENT, dependency.text) is not None
    )


def unbounded_sibling_warnings(packages: Iterable[Package], workspace: Workspace, config: Config) -> Iterator[str]:
    """Yield a warning that lists the requirements of published packages on siblings without a version, if any.

    Yield nothing if `sibling-bound` is set.
    """
    if config.sibling_bound is not None:
        return
    requirements = [
        f"{package.name} on {dependency.name}"
        for package in packages
        if not package.is_private
        for dependency in package.dependencies
        if dependency.table in ("runtime", "extra")
        and dependency.name in workspace.by_name
        and dependency.name != package.name
        if dependency.key and is_unbounded(dependency)
    ]
    if requirements:
        yield (
            f"requirements on siblings without a version: {join_names(requirements)}; to add one with the next "
            'bump: [tool.relnox] sibling-bound = "at-least", "compatible" or "exact"; to keep them as they are: '
            '"keep"'
        )
