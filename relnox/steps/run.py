"""What the actions of a run share."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from relnox.core.planning.events import Notice, OutputLine, Status, StepFinished
from relnox.core.settings.config import ArchiveLimits
from relnox.environment_variables import clean_environment
from relnox.errors import Blocked

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from typing import Self

    from relnox.building.archives import Archive
    from relnox.building.cache import EnvironmentCache
    from relnox.building.environment_pool import BuildEnvironmentPool
    from relnox.building.environments import Installer
    from relnox.building.installer_settings import PackageSource
    from relnox.building.workers import ForkServer
    from relnox.core.planning.events import Event, Outcome, StepWarning
    from relnox.core.planning.plan import Plan
    from relnox.core.planning.step import Step
    from relnox.core.release.manifest import BuildInputs, Distribution, Manifest
    from relnox.indexes import Indexes
    from relnox.source.git import Git
    from relnox.steps.bump_record import Pending
    from relnox.steps.scratch import ScratchFolder
    from relnox.steps.stages import Stage

__all__ = ["Run"]

T = TypeVar("T")

_NOT_FOR_BUILDS = ("UV_CONSTRAINT", "UV_OVERRIDE", "UV_EXCLUDE")
"""Variables that affect `uv pip` but not `uv build`."""


class Run:
    """The state of one run of a plan.

    Attributes:
        plan: The plan.
        root: The project's folder; paths of steps are relative to it.
        private: The folder for data that later runs need.
        git: The checkout, or None outside git.
        stage: Runs a task of a chain in a folder.
        pending: The edits that are recorded before the first step, and discarded after the last local one.
        built: Archives that this run built, by package, in order.
        wheel_requires: `Requires-Dist` of the wheels, by package.
        downloads: Archives that this run downloaded or may take from disk, verified by hash, by package.
        reusable_env_dirs: Folders of environments that were verified, by Python, to be replaced by the next.
        reused: Packages whose archives of an earlier build are still valid.
        inputs: The inputs of builds, by package.
        tracked: The files of the commit that is built, relative to the project's folder, sorted; None for a tree.
        source: The folder that is built: the project's folder, or its copy in the exported commit.
        commit: The commit that is built; None for a tree.
        export: The folder of the exported commit, if any.
        clone: The temporary checkout that stages run in, if any.
        stages: The outcomes of the stages of a chain.
        build_index: The only index for build requirements; None for the configuration of pip and uv.
        passed: Variables that programs may see although they look like credentials.
        limits: Limits for archives.
        handles_signals: Whether SIGINT and SIGTERM are handled while the plan runs.
        unsuccessful: Steps that failed or were not tried.
        rejected: Packages whose archives failed the check of all packages.
        warnings: Warnings about files that a step made, by the step's key.
        generated: Files that hooks wrote before the build, by package, with their SHA-256; None for a removed one.
        recorded_hooks: Hooks that this run recorded as due, by key.
    """

    def __init__(  # noqa: PLR0913 - the parts of a run
        self,
        *,
        plan: Plan,
        root: Path,
        private: Path,
        git: Git | None,
        indexes: Callable[[], Indexes],
        emit: Callable[[Event], None],
        stage: Callable[[Stage, Path], Outcome],
        scratch: ScratchFolder,
        pending: Pending | None = None,
        build_index: str | None = None,
        passed: Collection[str] = (),
        limits: ArchiveLimits | None = None,
        uv_settings: Mapping[str, Any] | None = None,
        folders: Callable[[], Mapping[str, str]] = dict,
        handles_signals: bool = True,
    ) -> None:
        self.plan = plan
        self.root = root
        self.private = private
        self.git = git
        self._indexes = indexes
        self._emit = emit
        self._emitting = threading.Lock()
        self.stage = stage
        self.pending = pending
        self.built: dict[str, list[Distribution]] = {}
        self.wheel_requires: dict[str, tuple[str, ...]] = {}
        self.downloads: dict[str, list[Archive]] = {}
        self.reusable_env_dirs: dict[str, list[Path]] = {}
        self.reused: set[str] = set()
        self.inputs: dict[str, BuildInputs] = {}
        self.unsuccessful: list[Step] = []
        self.rejected: set[str] = set()
        self.warnings: dict[str, tuple[StepWarning, ...]] = {}
        self.generated: dict[str, dict[str, str | None]] = {}
        self.recorded_hooks: set[str] = set()
        self.tracked: tuple[str, ...] | None = None
        self.source = root
        self.export: Path | None = None
        self.commit: str | None = None
        self._previous: dict[str, Manifest | None] = {}
        self.clone: Path | None = None
        self.stages: list[Outcome] = []
        self.limits = limits or ArchiveLimits()
        self.handles_signals = handles_signals
        self._scratch = scratch
        self._build_index = build_index
        self._passed = passed
        self._uv_settings = uv_settings or {}
        self._folders = folders
        self._reported_installers: set[str] = set()
        self._environment_pools: dict[tuple[str, str], BuildEnvironmentPool] = {}
        self._opening = threading.RLock()
        self._twine: ForkServer | None = None
        self._services: dict[type[Any], Any] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end_workers()
        if self.export is not None and self.git is not None:
            from relnox.source import exports

            exports.remove(self.git, self.export)

    def service(self, kind: type[T]) -> T:
        """Return the one object of a class that the steps of this run share; it is made on first use."""
        with self._opening:
            if kind not in self._services:
                self._services[kind] = kind(self)  # type: ignore[call-arg]  # classes of services take the run
            service: T = self._services[kind]
            return service

    def end_workers(self) -> None:
        """End the worker processes, including running work."""
        if self._twine is not None:
            self._twine.close_stdin()
        for pool in self._environment_pools.values():
            pool.close()
        if self._twine is not None:
            self._twine.close()

    @property
    def folders(self) -> Mapping[str, str]:
        """The folder of each package of the project, by name."""
        return self._folders()

    @property
    def indexes(self) -> Indexes:
        """The indexes of the project."""
        return self._indexes()

    @property
    def scratch(self) -> Path:
        """An empty folder that is removed when the run ends."""
        return self._scratch.path

    def emit(self, event: Event) -> None:
        """Pass an event to the reporter; thread-safe."""
        with self._emitting:
            if isinstance(event, StepFinished) and event.status in (Status.FAILED, Status.ABORTED):
                self.unsuccessful.append(event.step)
            self._emit(event)

    def on_line(self, step: Step) -> Callable[[str], None]:
        """Return a callback for the lines of output of a step's program."""
        return lambda line: self.emit(OutputLine(step, line))

    def variables(self, *, own_indexes: bool = False, more: Mapping[str, str] | None = None) -> dict[str, str]:
        """Return the environment of programs that must not see credentials; see `process`."""
        temporary = self.temporary_variables() | dict(more or {})
        return clean_environment(os.environ, own_indexes=own_indexes, passed=self._passed, more=temporary)

    def temporary_variables(self) -> dict[str, str]:
        """Return the variables that name the folder for temporary files of programs."""
        names = ("TEMP", "TMP") if os.name == "nt" else ("TMPDIR",)
        return dict.fromkeys(names, str(self._scratch.temporary))

    def inputs_of(self, package: str, digest: str | None) -> str | None:
        """Return a digest of a package's inputs that includes generated files; None without a digest."""
        generated = self.generated.get(package)
        if digest is None or not generated:
            return digest
        return hashlib.sha256(json.dumps([digest, sorted(generated.items())]).encode()).hexdigest()

    def installer_variables(self, *, more: Mapping[str, str] | None = None) -> dict[str, str]:
        """Return the environment of installers for build and test environments."""
        variables = self.variables(own_indexes=True, more=more)
        if self._build_index is None:
            return variables
        from relnox.building.installer_settings import pin_index

        return pin_index(variables, self._build_index)

    def package_sources(self, installer: str) -> tuple[PackageSource, ...]:
        """Return the package sources that an installer is configured for."""
        from relnox.building.installer_settings import PackageSource, package_sources

        if self._build_index is not None:
            return (PackageSource("index", self._build_index, "the project's settings"),)
        return package_sources(installer, self.installer_variables(), self.root)

    def report_package_sources(self, installer: str) -> None:
        """Report the sources of build requirements once, with a warning about sources beside the index."""
        with self._opening:
            if installer in self._reported_installers:
                return
            self._reported_installers.add(installer)
        sources = self.package_sources(installer)
        index = [f"{source.url} ({source.setting})" for source in sources if source.kind == "index"]
        used = index[-1] if index else f"the public index, the default of {installer}"
        others = [
            f"{source.url} ({source.kind}, {source.setting})" for source in sources if source.kind != "index"
        ]
        self.emit(Notice(f"build requirements come from {used}"))
        if others:
            message = f"build requirements may also come from these sources, by the configuration of {installer}"
            self.emit(
                Notice(
                    "\n".join(
                        [f"{message} (a project of the same name there may be installed instead):", *others]
                    ),
                    'to use a single index, set [tool.relnox] build-index = "URL"',
                )
            )

    def installer(self, name: str) -> Installer:
        """Return an installer by name."""
        from relnox.building.environments import find_installer

        return find_installer(name)

    def warm_twine(self) -> ForkServer | None:
        """Return a fork server with twine imported, started on first use; None where fork is missing."""
        from relnox.building import workers

        with self._opening:
            if self._twine is None and workers.has_fork():
                self._twine = workers.warm_twine(self.variables(), self.folder("output"))
            return self._twine

    def previous(self, output: str) -> Manifest | None:
        """Return the manifest of an earlier run in a folder, if it can be read."""
        with self._opening:
            if output not in self._previous:
                from relnox.core.release.manifest import MANIFEST_JSON, Manifest

                path = self.root / output / MANIFEST_JSON
                try:
                    self._previous[output] = Manifest.from_json(path.read_text(encoding="utf-8"), where=str(path))
                except (OSError, UnicodeDecodeError, Blocked):
                    self._previous[output] = None
            return self._previous[output]

    def environment_pool(self, installer: str, python: str, *, keep_environments: bool) -> BuildEnvironmentPool:
        """Return the build environments of a Python, which all builds of a run share."""
        with self._opening:
            if (installer, python) not in self._environment_pools:
                from relnox.building.environment_pool import BuildEnvironmentPool
                from relnox.building.interpreters import find_interpreter

                selected = self.installer(installer)
                self._environment_pools[installer, python] = BuildEnvironmentPool(
                    installer=selected,
                    python=find_interpreter(python).path,
                    folder=self.folder,
                    installing={
                        name: value
                        for name, value in self.installer_variables().items()
                        if name not in _NOT_FOR_BUILDS
                    },
                    sources=tuple(source.url for source in self.package_sources(selected.name)),
                    on_install=lambda: self.report_package_sources(selected.name),
                    project=self._uv_folder(),
                    cache=self.environment_cache if keep_environments else None,
                )
            return self._environment_pools[installer, python]

    def _uv_folder(self) -> Path:
        """Make a folder whose uv.toml has only those settings of the project that apply to builds.

        With the project's own files, `uv pip` would apply settings of the project's environment to builds.
        """
        import tomlkit

        folder = self.folder("uv")
        (folder / "uv.toml").write_text(tomlkit.dumps(dict(self._uv_settings)), encoding="utf-8")
        return folder

    @property
    def environment_cache(self) -> EnvironmentCache:
        """The cache of environments between runs."""
        import platformdirs

        from relnox.building.cache import EnvironmentCache

        return EnvironmentCache(platformdirs.user_cache_path("relnox") / "environments")

    def folder(self, name: str) -> Path:
        """Make a new folder under `scratch`, named after its purpose."""
        import tempfile

        prefix = name.replace("/", "_").replace(" ", "-")
        return Path(tempfile.mkdtemp(prefix=f"{prefix}-", dir=self.scratch))
