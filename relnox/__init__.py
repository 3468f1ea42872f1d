"""Release Python packages from importable nox sessions and invoke tasks: planned, resumable, verified.

A noxfile imports from `relnox.sessions`, a tasks file from `relnox.tasks`; the command line is `relnox`. Python
code imports `Workspace` and `run` from here (`relnox.api`).
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False  # typing is slow to import, and until `__main__` handles signals, they print a traceback
if TYPE_CHECKING:
    from importlib.machinery import ModuleSpec
    from typing import Any

    from relnox.api import TaskPlan as TaskPlan
    from relnox.api import Workspace as Workspace
    from relnox.api import run as run

__all__ = ["TaskPlan", "Workspace", "run"]
_IMPORTED = (*__all__, "sessions", "tasks")
"""What projects import from relnox."""


def __getattr__(name: str) -> Any:
    if name in __all__:
        from relnox import api

        return getattr(api, name)
    importer = sys._getframe(1)  # noqa: SLF001 - the only way to find the importing file
    if importer.f_code.co_name == "<module>":  # import statements ask here for each submodule, from a function
        from relnox import importing

        importing.check_import(name, _IMPORTED, importer)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


class _MisspelledModules:
    """The last finder of modules: answers `from relnox.session import *` in a noxfile with the right name."""

    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        del path, target
        if name.startswith("relnox."):
            from relnox import importing

            importer = importing.importer_of(sys._getframe(1))  # noqa: SLF001 - as above
            if importer is not None:
                importing.check_import(name.removeprefix("relnox."), _IMPORTED, importer)
        return None


if "nox" in sys.modules or "invoke" in sys.modules:
    sys.meta_path.append(_MisspelledModules)
