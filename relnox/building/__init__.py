"""Build environments, builds of packages in them, and inspection of the built archives.

Submodules are imported on first use (`from relnox import building`, then `building.archives.read`), since planning
does not need them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import ModuleType

    from relnox.building import archives as archives
    from relnox.building import build_sessions as build_sessions
    from relnox.building import checks as checks
    from relnox.building import environment_pool as environment_pool
    from relnox.building import environments as environments
    from relnox.building import file_hashes as file_hashes
    from relnox.building import findings as findings
    from relnox.building import fork_client as fork_client
    from relnox.building import installation_checks as installation_checks
    from relnox.building import installed_distributions as installed_distributions
    from relnox.building import interpreters as interpreters
    from relnox.building import package_builds as package_builds
    from relnox.building import wheel_contents as wheel_contents
else:

    def __getattr__(name: str) -> ModuleType:
        if name.startswith("_"):
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return import_module(f"{__name__}.{name}")
