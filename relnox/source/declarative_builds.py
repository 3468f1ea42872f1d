"""Tell which packages have builds that run only the code of a known build backend."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relnox.core.documents import table_at
from relnox.source.pyproject import load

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from typing import Any

    from relnox.core.packages import Package

_DECLARATIVE_BACKENDS = {
    "flit_core.buildapi": "flit-core",
    "hatchling.build": "hatchling",
    "pdm.backend": "pdm-backend",
    "poetry.core.masonry.api": "poetry-core",
    "uv_build": "uv-build",
}
"""Maps backends that run project code only if it is configured to the distributions that contain them."""
_CODE_FILES = ("setup.py", "hatch.toml", "hatch_build.py", "pdm_build.py")
"""Files that contain code for the build, or settings that can make it run code."""
_PDM_CODE_SETTINGS = {"custom-hook", "run-setuptools", "setup-script"}
"""Settings of pdm-backend that make it run code of the project."""


def has_declarative_build(root: Path, package: Package) -> bool:
    """Return whether a package's build runs only the backend itself, without plugins or code of the project."""
    build_requirements = [dependency.name for dependency in package.dependencies if dependency.table == "build"]
    is_computed = package.dynamic or package.source.kind == "tags"
    return (
        not is_computed
        and build_requirements == [_DECLARATIVE_BACKENDS.get(package.backend)]
        and not any((root / package.directory / name).exists() for name in _CODE_FILES)
        and not _has_backend_hooks(load(root, package.pyproject))
    )


def _has_backend_hooks(document: Mapping[str, Any]) -> bool:
    """Return whether the settings of a declarative backend make it run code."""
    hatch, pdm = (table_at(document, "tool", name) for name in ("hatch", "pdm"))
    targets = table_at(hatch, "build", "targets")
    return bool(
        table_at(hatch, "build", "hooks")
        or any(table_at(targets, name, "hooks") for name in targets)
        or table_at(hatch, "metadata", "hooks")
        or table_at(hatch, "version").get("source") == "code"
        or table_at(pdm, "build").keys() & _PDM_CODE_SETTINGS
        or table_at(pdm, "version").get("source") == "call"
        or table_at(document, "tool", "poetry", "build")
        or "backend-path" in table_at(document, "build-system")
    )
