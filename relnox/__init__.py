"""Release Python packages from importable nox sessions and invoke tasks: planned, resumable, verified.

A noxfile imports from `relnox.sessions`, a tasks file from `relnox.tasks`; the command line is `relnox`. Python
code imports `Workspace` and `run` from here (`relnox.api`).
"""

from __future__ import annotations

TYPE_CHECKING = False  # typing is slow to import, and until `__main__` handles signals, they print a traceback
if TYPE_CHECKING:
    from typing import Any

    from relnox.api import TaskPlan as TaskPlan
    from relnox.api import Workspace as Workspace
    from relnox.api import run as run

__all__ = ["TaskPlan", "Workspace", "run"]


def __getattr__(name: str) -> Any:
    """Import a name of `__all__` on its first use; raise `AttributeError` for any other name."""
    if name in __all__:
        from relnox import api

        return getattr(api, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
