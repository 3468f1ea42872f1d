"""The build environments and workers that building steps share, and where build requirements come from."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relnox.building import build_environments, environments
from relnox.core.planning.step import Step
from relnox.core.records import Record
from relnox.core.settings.build_settings import UNCONSTRAINED, Constraints
from relnox.errors import Problem
from relnox.source import uv_settings
from relnox.source.uv_settings import PackageSource
from relnox.steps.run import Run, SharedService

if TYPE_CHECKING:
    from relnox.building.build_environments import BuildEnvironmentPool

_CONCURRENT_INSTALLATIONS = 8
"""Environments that are created at once: they mostly wait for the index or the disk."""
_IGNORED_UV_VARIABLES = ("UV_CONSTRAINT", "UV_OVERRIDE", "UV_EXCLUDE", "UV_REQUIRE_HASHES")
"""Variables with another meaning for `uv pip` than for `uv build`."""


class InstallerSettings(Record):
    """The settings for installing build requirements.

    Attributes:
        only_index: The URL of the only index to use, or None to use the configuration of uv.
        uv: The content of the `uv.toml` for builds, as pairs of a key and a value.
    """

    only_index: str | None = None
    uv: tuple[tuple[str, Any], ...] = ()


class BuildingServices(SharedService):
    """The environments and worker processes that all builds of a run share."""

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self._settings = run.result(InstallerSettings) or InstallerSettings()
        self._lock = threading.RLock()
        self._pools: dict[str, BuildEnvironmentPool] = {}
        self._has_reported_sources = False

    def close(self) -> None:
        """End the worker processes, even if they are still running a build."""
        for pool in tuple(self._pools.values()):
            pool.close()

    def installer_variables(self) -> dict[str, str]:
        """Return the environment of installers, with `InstallerSettings.only_index` as the only index, if set.

        Otherwise, the user's index settings apply.
        """
        variables = self._run.environment_variables(own_indexes=True)
        index = self._settings.only_index
        return variables if index is None else environments.single_index_variables(variables, index)

    def report_package_sources(self) -> None:
        """Report, once in a run, the configured index of build requirements, and warn about sources besides it."""
        with self._lock:
            if self._has_reported_sources:
                return
            self._has_reported_sources = True
        if (only_index := self._settings.only_index) is not None:
            sources: tuple[PackageSource, ...] = (PackageSource("index", only_index, "the project's settings"),)
        else:
            sources = uv_settings.find_package_sources(self._run.root, self.installer_variables())
        index = [f"{source.url} ({source.setting})" for source in sources if source.kind == "index"]
        others = [
            f"{source.url} ({source.kind}, {source.setting})" for source in sources if source.kind != "index"
        ]
        if index:  # or else it is the public one, the default of uv
            self._run.emit(Problem("", f"build requirements come from {index[-1]}", level="note"))
        if others:
            message = (
                "build requirements may also come from these sources, by the configuration of uv "
                "(a project of the same name there may be installed instead):"
            )
            fix = 'to use a single index, set [tool.relnox] trusted-index = "URL"'
            self._run.emit(Problem("trusted-index-missing", "\n".join([message, *others]), fix, level="warning"))

    def environment_pool(self, python: str = "") -> BuildEnvironmentPool:
        """Return the pool of build environments for a Python (empty: the running one), shared by all builds.

        Raises:
            Blocked: The Python is not installed.
        """
        with self._lock:
            if python not in self._pools:
                variables = {
                    name: value
                    for name, value in self.installer_variables().items()
                    if name not in _IGNORED_UV_VARIABLES
                }
                self._pools[python] = build_environments.BuildEnvironmentPool(
                    installer=environments.Installer(variables, self._create_uv_settings_directory()),
                    python=environments.find_interpreter(python).path,
                    create_directory=self._run.create_temporary_directory,
                    on_install=self.report_package_sources,
                )
            return self._pools[python]

    def _create_uv_settings_directory(self) -> Path:
        """Create a directory with a uv.toml that contains only the project settings that apply to builds.

        With the project's own files, `uv pip` would apply settings of the project's environment to builds.
        """
        directory, text = self._run.create_temporary_directory("uv"), ""
        if self._settings.uv:
            import tomlkit  # imported lazily: it is slow to import

            text = tomlkit.dumps(dict(self._settings.uv))
        (directory / "uv.toml").write_text(text, encoding="utf-8")
        return directory


class PrepareBuildEnvironment(Step):
    """Create the environment for packages with the same build requirements, and start its worker process.

    Attributes:
        requires: The build requirements, as written.
        backend: The module of their build backend, which the process imports in advance.
        epoch: `SOURCE_DATE_EPOCH` of the builds (None: unset); some backends read it when they are imported.
        constraints: The constraints on the releases that may be installed.
    """

    runs_project_code = True
    concurrent = True
    requires: tuple[str, ...]
    backend: str
    epoch: int | None
    constraints: Constraints = UNCONSTRAINED

    @property
    def resources(self) -> tuple[tuple[str, int | None], ...]:
        return (("installing", _CONCURRENT_INSTALLATIONS),)

    @property
    def key(self) -> str:
        return f"environment with {', '.join(self.requires)}"

    @property
    def title(self) -> str:
        return f"prepare build environment with {', '.join(self.requires)}"

    def apply(self, run: Run) -> str:
        run.service(BuildingServices).environment_pool().prepare_environment(
            self.requires,
            self.backend,
            run.environment_variables(
                more=build_environments.DEFAULT_CONDITIONS.environment_variables(self.epoch)
            ),
            self.constraints,
        )
        return "ready"
