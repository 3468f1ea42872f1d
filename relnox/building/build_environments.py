"""Environments in which the build hooks of a package run, and what builds share: environments and processes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Generic, TypeVar

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name, parse_sdist_filename, parse_wheel_filename

from relnox.building.archives import hash_file
from relnox.building.environments import INDEX_FIX, Installer, VirtualEnvironment, choose_installer_fix
from relnox.building.fork_client import ForkServer, can_fork_safely
from relnox.core.documents import parse_toml, table_at
from relnox.core.records import Record
from relnox.core.settings.build_settings import UNCONSTRAINED, Constraints
from relnox.system import process

K = TypeVar("K")
V = TypeVar("V")

_DEFAULT_BACKEND = "setuptools.build_meta"
"""The backend of a project without `build-backend` (PEP 517)."""
_HOOK_TIMEOUT = 4 * 3600.0

_MODULES_TO_PRELOAD = {
    "hatchling.build": """
        hatchling.bridge.app hatchling.builders.sdist hatchling.builders.wheel hatchling.metadata.core
        hatchling.plugin.manager hatchling.utils.context packaging.licenses packaging.requirements packaging.tags
        trove_classifiers email.headerregistry email.message email.parser glob logging subprocess sysconfig
        textwrap
    """,
    "flit_core.buildapi": "flit_core.sdist flit_core.wheel",
    "poetry.core.masonry.api": """
        poetry.core.factory poetry.core.json poetry.core.poetry poetry.core.masonry.metadata
        poetry.core.masonry.builders.sdist poetry.core.masonry.builders.wheel poetry.core.spdx.helpers
        poetry.core.packages.project_package poetry.core.packages.directory_dependency
        poetry.core.packages.file_dependency poetry.core.packages.url_dependency
        poetry.core.packages.vcs_dependency poetry.core.vcs.git poetry.core.version.markers
        poetry.core.version.pep440.parser poetry.core.version.requirements
        lark lark.lark getpass importlib.readers importlib.resources.readers pickle pkgutil
    """,
    "uv_build": "",
    "setuptools.build_meta": """
        setuptools._scripts setuptools.config._validate_pyproject setuptools.config.pyprojecttoml
        setuptools.modified distutils.command.check decimal json tomllib
        setuptools.command.alias setuptools.command.bdist_egg setuptools.command.bdist_rpm
        setuptools.command.bdist_wheel setuptools.command.build setuptools.command.build_clib
        setuptools.command.build_ext setuptools.command.build_py setuptools.command.develop
        setuptools.command.dist_info setuptools.command.easy_install setuptools.command.editable_wheel
        setuptools.command.egg_info setuptools.command.install setuptools.command.install_egg_info
        setuptools.command.install_lib setuptools.command.install_scripts setuptools.command.rotate
        setuptools.command.saveopts setuptools.command.sdist setuptools.command.setopt
    """,
    "pdm.backend": """
        pdm.backend.hooks.version pdm.backend.sdist pdm.backend.wheel email.generator email.parser gzip
    """,
    "maturin": "tomllib",
    "scikit_build_core.build": """
        scikit_build_core.build.sdist scikit_build_core.build.wheel scikit_build_core.builder.get_requires
        cmake ninja tarfile zipfile
    """,
    "mesonpy": "email.generator",
}
SHAREABLE_BACKENDS: Mapping[str, tuple[str, ...]] = {
    backend: tuple(modules.split()) for backend, modules in _MODULES_TO_PRELOAD.items()
}
"""Maps each backend whose hooks can share environments and processes to the modules that they import.

Tests verify that its archives do not differ from those of `python -m build`.
"""
STATEMENTS_TO_PRELOAD = {
    "poetry.core.masonry.api": """
from poetry.core.factory import Factory
from poetry.core.packages.dependency import Dependency
Factory.validate({"project": {}})
Dependency.create_from_pep_508("name ; extra == 'extra'")
""",
}
"""What fills caches of a backend: its JSON schemas and grammars, compiled once instead of in each hook."""


class BuildConditions(Record, kw_only=True):
    """Umask, time zone (`TZ`) and locale (`LC_ALL`) of a build."""

    umask: int
    time_zone: str
    locale: str

    def environment_variables(self, epoch: int | None) -> dict[str, str]:
        """Return variables for the time zone, the locale and, unless None, `SOURCE_DATE_EPOCH` (Unix time)."""
        variables = {"TZ": self.time_zone, "LC_ALL": self.locale}
        return variables | ({} if epoch is None else {"SOURCE_DATE_EPOCH": str(epoch)})


DEFAULT_CONDITIONS = BuildConditions(umask=0o022, time_zone="UTC", locale="C.UTF-8")
VARIED_CONDITIONS = BuildConditions(umask=0o077, time_zone="Pacific/Kiritimati", locale="C")
"""The conditions of a second build, which gives the same archives if the build is reproducible."""


class BuildHookContext(Record, kw_only=True):
    """The conditions with which all build hooks of one package run.

    Attributes:
        variables: The complete environment, without credentials.
        siblings: Maps the normalized names of other packages of the project that the build requires to their new
            wheels, or to sdists of packages without wheels.
        on_line: Called with each line of output.
        constraints: Limits on the releases that are installed as build requirements.
    """

    variables: Mapping[str, str]
    umask: int
    siblings: Mapping[str, Path]
    on_line: Callable[[str], None]
    constraints: Constraints


class BuildEnvironmentPool:
    """The virtual environments of all builds in a run with one Python, and processes that have imported backends.

    Args:
        python: The interpreter of all environments.
        create_directory: Creates a temporary directory, with the argument (a word) in its name, and returns its
            path; the directory exists until the run ends.
        on_install: Called before each installation of requirements.
    """

    def __init__(
        self,
        *,
        installer: Installer,
        python: Path,
        create_directory: Callable[[str], Path],
        on_install: Callable[[], None] = lambda: None,
    ) -> None:
        self._installer = installer
        self._python = python
        self._create_directory = create_directory
        self._on_install = on_install
        self._environments = _OncePerKeyCache[tuple[tuple[str, ...], Constraints], VirtualEnvironment]()
        self._servers = _OncePerKeyCache[tuple[Path, str], ForkServer]()
        self._running: list[ForkServer] = []
        self._is_closed = False

    def get_shared_environment(
        self, requirements: Collection[str], siblings: Mapping[str, Path], constraints: Constraints
    ) -> VirtualEnvironment:
        """Return the environment with these requirements, which calls with equal arguments share.

        The first of them creates it; if that fails, they all raise the same `Failed`. `siblings` maps normalized
        names of other packages of the project to their new archives, which are installed in place of releases.
        """
        resolved_requirements = tuple(_use_sibling_archives(sorted(requirements), siblings))

        def create() -> VirtualEnvironment:
            environment = self.create_environment()
            self.install(environment, resolved_requirements, constraints=constraints)
            return environment

        return self._environments.get((resolved_requirements, constraints), create)

    def create_environment(self) -> VirtualEnvironment:
        """Create an empty environment that no other build uses; raise `Failed` if that fails."""
        return self._installer.create_environment(self._create_directory("environment") / "env", self._python)

    def install(
        self,
        environment: VirtualEnvironment,
        requirements: Sequence[str],
        *,
        on_line: Callable[[str], None] | None = None,
        constraints: Constraints = UNCONSTRAINED,
    ) -> None:
        """Install requirements, if any, into an environment; raise `Failed` with the end of uv's output.

        `on_line` is called with each line of its output; `constraints` limits the releases.
        """
        if requirements:
            self._on_install()
            completed = self._installer.install(
                environment, requirements, on_line=on_line, constraints=constraints
            )
            completed.check(
                f"installing build requirements ({', '.join(requirements)})",
                fix=choose_installer_fix(completed, INDEX_FIX),
            )

    def prepare_environment(
        self, requirements: Collection[str], backend: str, variables: Mapping[str, str], constraints: Constraints
    ) -> None:
        """Create the shared environment for these requirements, and start its backend's process without waiting.

        `backend` is a key of `SHAREABLE_BACKENDS`, and `variables` is the complete environment of the process.
        Raise `Failed` if the requirements cannot be installed. Where forks are not safe, no process is started.
        """
        environment = self.get_shared_environment(requirements, {}, constraints)
        self._get_or_start_server(environment, backend, variables)

    def get_backend_server(
        self, environment: VirtualEnvironment, backend: str, variables: Mapping[str, str]
    ) -> ForkServer | None:
        """Return the process of a backend once it has imported the backend; None if it cannot be forked safely.

        The first call for an environment starts it, with `variables` as its complete environment variables.
        """
        server = self._get_or_start_server(environment, backend, variables)
        return server if server is not None and server.wait_until_single_threaded() else None

    def _get_or_start_server(
        self, environment: VirtualEnvironment, backend: str, variables: Mapping[str, str]
    ) -> ForkServer | None:
        """Return the process of a backend; only the first call uses `variables`. None where forks are unsafe."""

        def start() -> ForkServer:
            modules = (backend, *SHAREABLE_BACKENDS[backend])
            statements = STATEMENTS_TO_PRELOAD.get(backend, "")
            directory = self._create_directory("output")
            server = ForkServer(environment.python, modules, variables, directory, statements=statements)
            self._running.append(server)
            if self._is_closed:  # the pool was closed meanwhile
                server.close()
            return server

        return self._servers.get((environment.directory, backend), start) if can_fork_safely() else None

    def close(self) -> None:
        """Stop the processes of the backends, and the hooks that are running in them."""
        self._is_closed = True
        for server in self._running:  # so that they all end at the same time
            server.request_shutdown()
        for server in self._running:
            server.close()


class _OncePerKeyCache(Generic[K, V]):
    """A thread-safe cache that computes the value of each key only once."""

    def __init__(self) -> None:
        self._futures: dict[K, Future[V]] = {}
        self._lock = threading.Lock()

    def get(self, key: K, make: Callable[[], V]) -> V:
        """Return the value of a key: the first call creates it with `make`, and other calls wait for it.

        An exception of `make` is raised in all calls.
        """
        with self._lock:
            is_first = key not in self._futures
            future = self._futures.setdefault(key, Future())
        if is_first:
            try:
                future.set_result(make())
            except BaseException as error:  # noqa: BLE001 - raised in all waiting threads
                future.set_exception(error)
        return future.result()


def _use_sibling_archives(requirements: Sequence[str], siblings: Mapping[str, Path]) -> list[str]:
    """Return requirements in which other packages of the project (siblings) are URLs of their new archives.

    If a requirement accepts the new version of its sibling, all siblings are added (`NAME @ URL#sha256=HASH`) in
    place of the requirements on them; a requirement with extras is kept as well. A requirement that excludes the
    new version refers to an older release: it is kept, and that sibling is not added.
    """
    if not siblings:
        return list(requirements)
    parsed = {text: Requirement(text) for text in requirements}
    names = {text: canonicalize_name(requirement.name) for text, requirement in parsed.items()}
    archives = dict(siblings)
    for text, requirement in parsed.items():
        if (archive := siblings.get(names[text])) is not None:
            parse_filename = parse_wheel_filename if archive.suffix == ".whl" else parse_sdist_filename
            if not requirement.specifier.contains(parse_filename(archive.name)[1], prereleases=True):
                archives.pop(names[text], None)
    if archives.keys().isdisjoint(names.values()):
        return list(requirements)
    others = [text for text in requirements if names[text] not in archives or parsed[text].extras]
    urls = (f"{archive.as_uri()}#sha256={hash_file(archive).sha256}" for archive in archives.values())
    return [*others, *(f"{name} @ {url}" for name, url in zip(archives, urls, strict=True))]


class BuildEnvironment:
    """The virtual environment in which archives of one package are built; each hook has a new process."""

    def __init__(self, pool: BuildEnvironmentPool, context: BuildHookContext) -> None:
        self.context = context
        self._pool = pool
        self._environment: VirtualEnvironment | None = None
        self._installed: set[str] = set()

    def get_environment(self, requirements: Collection[str]) -> VirtualEnvironment:
        """Return the environment after installing the requirements that it lacks; raise `Failed` if that fails."""
        if self._environment is None:
            self._environment = self._pool.create_environment()
        missing = set(_use_sibling_archives(sorted(requirements), self.context.siblings)) - self._installed
        self._pool.install(
            self._environment, sorted(missing), on_line=self.context.on_line, constraints=self.context.constraints
        )
        self._installed |= missing
        return self._environment

    def run_hook(
        self, argv: Sequence[str], *, cwd: Path | None, extra_variables: Mapping[str, str]
    ) -> process.CompletedProgram:
        """Run a hook in the environment that `get_environment` returned last; return its result, even if failed.

        `argv` is its interpreter, a script that calls the hook, and the arguments of the script. `cwd` is its
        directory (None: the current one). `extra_variables` are added to those of the context, or replace them.
        Raises `Failed` if the hook times out.
        """
        return process.run(
            argv,
            cwd=cwd,
            env={**self.context.variables, **extra_variables},
            umask=self.context.umask,
            kill_leftovers=True,
            timeout=_HOOK_TIMEOUT,
            on_line=self.context.on_line,
        )


class _SharedBuildEnvironment(BuildEnvironment):
    """A build environment that other packages with the same requirements use as well.

    Where forks are safe, its hooks run in forks of a process that has imported the backend.
    """

    def __init__(self, pool: BuildEnvironmentPool, backend: str, context: BuildHookContext) -> None:
        super().__init__(pool, context)
        self._backend = backend

    def get_environment(self, requirements: Collection[str]) -> VirtualEnvironment:
        """Return the shared environment that has exactly these requirements; raise `Failed` if creating it fails.

        Calls with different requirements return different environments.
        """
        context = self.context
        self._environment = self._pool.get_shared_environment(requirements, context.siblings, context.constraints)
        return self._environment

    def run_hook(
        self, argv: Sequence[str], *, cwd: Path | None, extra_variables: Mapping[str, str]
    ) -> process.CompletedProgram:
        assert self._environment is not None  # argv has its interpreter  # noqa: S101
        variables = {**self.context.variables, **extra_variables}
        server = self._pool.get_backend_server(self._environment, self._backend, variables)
        if server is None:
            return super().run_hook(argv, cwd=cwd, extra_variables=extra_variables)
        return server.run_script(
            argv[1:], cwd=cwd, env=variables, timeout=_HOOK_TIMEOUT, on_line=self.context.on_line
        )


def create_build_environment(
    pool: BuildEnvironmentPool, source: Path, context: BuildHookContext, *, shared: bool
) -> BuildEnvironment:
    """Return the environment for builds of the package in the directory `source`; nothing is installed yet.

    With `shared`, packages with the same backend and requirements share it, if the backend is in
    `SHAREABLE_BACKENDS`.
    """
    backend = _module_of_build_backend(source)
    if shared and backend is not None and backend in SHAREABLE_BACKENDS:
        return _SharedBuildEnvironment(pool, backend, context)
    return BuildEnvironment(pool, context)


def _module_of_build_backend(source: Path) -> str | None:
    """Return the name of the module of a package's build backend, by default setuptools.

    None if the setting is not a text, or if the package has its own backend (`backend-path`).
    """
    file = source / "pyproject.toml"
    document = parse_toml(file.read_text(encoding="utf-8")) if file.is_file() else {}
    table = table_at(document, "build-system")
    if "backend-path" in table:
        return None
    name = table.get("build-backend", _DEFAULT_BACKEND)
    return name.partition(":")[0] if isinstance(name, str) else None
