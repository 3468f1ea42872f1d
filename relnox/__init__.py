"""Release Python packages from importable nox sessions and invoke tasks: planned, resumable, verified.

A noxfile imports from `relnox.sessions`, a tasks file from `relnox.tasks`; the command line is `relnox`. Python
code imports `Workspace` and `run` from here (`relnox.api`).
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from relnox.api import TaskPlan as TaskPlan
    from relnox.api import Workspace as Workspace
    from relnox.api import run as run

__all__ = ["TaskPlan", "Workspace", "run"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from relnox import api

        return getattr(api, name)
    importer = sys._getframe(1)  # noqa: SLF001 - the only way to find the importing file
    if importer.f_code.co_name == "<module>":  # import statements ask here for each submodule, from a function
        from relnox import importing

        importing.check_import(name, [*__all__, "sessions", "tasks"], importer)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
