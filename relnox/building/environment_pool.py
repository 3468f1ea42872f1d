"""The build environments and backend processes of a run, shared by packages or created for each package."""

from __future__ import annotations

import contextlib
import threading
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

from relnox.building.environments import INDEX_FIX, choose_installer_fix
from relnox.building.fork_client import ForkServer, can_fork_safely
from relnox.building.known_backends import SHAREABLE_BACKENDS
from relnox.building.sibling_archives import use_sibling_archives
from relnox.core import serialization
from relnox.core.records import replace
from relnox.core.settings.build_settings import UNCONSTRAINED

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from relnox.building.environment_cache import EnvironmentCache
    from relnox.building.environments import Installer, VirtualEnvironment
    from relnox.core.settings.build_settings import Constraints

    _Requirements = tuple[tuple[str, ...], Constraints]

K = TypeVar("K")
V = TypeVar("V")


class BuildEnvironmentPool:
    """The environments and warm processes of all builds in a run; call `close` when the builds are done.

    Args:
        installer: Creates environments.
        python: The interpreter of the environments.
        directory: Takes a purpose, and creates a new directory that exists until the run ends.
        cache: The cache of environments from earlier runs, or None to always create environments.
        sources: The configured URLs to install packages from; empty for the installer's default.
        on_install: Called before the installer contacts an index.
    """

    def __init__(  # noqa: PLR0913 - configuration of all builds
        self,
        *,
        installer: Installer,
        python: Path,
        directory: Callable[[str], Path],
        cache: EnvironmentCache | None,
        sources: tuple[str, ...] = (),
        on_install: Callable[[], None] = lambda: None,
    ) -> None:
        self._installer = installer
        self._python = python
        self._directory = directory
        self._cache = cache
        # Another index may have other files of the same release.
        self._installer_and_sources = " ".join([installer.name, *sources])
        self._on_install = on_install
        self.sources = sources
        self._pins: _ComputeOncePerKey[_Requirements, tuple[str, ...]] = _ComputeOncePerKey()
        self._environments: _ComputeOncePerKey[_Requirements, VirtualEnvironment] = _ComputeOncePerKey()
        self._servers: _ComputeOncePerKey[tuple[Path, str], ForkServer] = _ComputeOncePerKey()
        self._running: list[ForkServer] = []
        self._closed = False

    @property
    def cache_problem(self) -> str | None:
        """Why the cache or one of its environments could not be used, or None if there was no problem."""
        return self._cache.problem if self._cache is not None else None

    def resolve_pins(self, requirements: Collection[str], constraints: Constraints) -> tuple[str, ...]:
        """Resolve requirements and their dependencies to exact versions; raise `Failed` if that fails."""
        ordered_requirements = tuple(sorted(requirements))
        if not ordered_requirements:
            return ()
        self._on_install()
        key = ordered_requirements, constraints
        return self._pins.get(
            key, lambda: self._installer.resolve(ordered_requirements, self._python, constraints)
        )

    def get_shared_environment(
        self, requirements: Collection[str], siblings: Mapping[str, Path], constraints: Constraints
    ) -> VirtualEnvironment:
        """Return the environment shared by packages with these requirements.

        It comes from the cache between runs unless it includes new archives of siblings.
        """
        plain = tuple(sorted(requirements))
        resolved_requirements = tuple(use_sibling_archives(plain, siblings))
        create = self._get_or_create_cached if resolved_requirements == plain else self._create_with_requirements
        return self._environments.get(
            (resolved_requirements, constraints), lambda: create(resolved_requirements, constraints)
        )

    def create_environment(self) -> VirtualEnvironment:
        """Create an empty environment."""
        return self._installer.create_environment(self._directory("environment") / "env", self._python)

    def install(
        self,
        environment: VirtualEnvironment,
        requirements: Sequence[str],
        *,
        on_line: Callable[[str], None] | None = None,
        no_deps: bool = False,
        constraints: Constraints = UNCONSTRAINED,
    ) -> None:
        """Install requirements into an environment; raise `Failed` with the last lines of the installer."""
        if requirements:
            self._on_install()
            completed = self._installer.install(
                environment, requirements, no_deps=no_deps, on_line=on_line, constraints=constraints
            )
            completed.check(
                f"installing build requirements ({', '.join(requirements)})",
                fix=choose_installer_fix(completed, INDEX_FIX),
            )

    def prepare_environment(
        self,
        requirements: Collection[str],
        backend: str,
        variables: Mapping[str, str],
        constraints: Constraints = UNCONSTRAINED,
    ) -> VirtualEnvironment:
        """Create the environment shared by packages with the same requirements, and start its warm process.

        The process is first started in the environment that these requirements last resolved to, while the index
        is queried, since this is usually still the right environment.
        """
        if self._cache is not None:
            installer = self._describe_installer(constraints)
            last = self._cache.last_environment(sorted(requirements), self._python, installer)
            if last is not None:
                self._get_or_start_server(last, backend, variables)
        environment = self.get_shared_environment(requirements, {}, constraints)
        self._get_or_start_server(environment, backend, variables)
        return environment

    def get_backend_server(
        self, environment: VirtualEnvironment, backend: str, variables: Mapping[str, str]
    ) -> ForkServer | None:
        """Return the warm process of a backend in an environment, or None if each hook needs a new process."""
        server = self._get_or_start_server(environment, backend, variables)
        return server if server is not None and server.is_single_threaded() else None

    def _get_or_start_server(
        self, environment: VirtualEnvironment, backend: str, variables: Mapping[str, str]
    ) -> ForkServer | None:
        """Return the fork server of a backend in an environment, or None if forking is not safe on this system."""

        def start() -> ForkServer:
            modules = (backend, *SHAREABLE_BACKENDS[backend])
            server = ForkServer(environment.python, modules, variables, self._directory("output"))
            self._running.append(server)
            if self._closed:  # the pool was closed meanwhile
                server.close()
            return server

        return self._servers.get((environment.directory, backend), start) if can_fork_safely() else None

    def close(self) -> None:
        """Stop the warm processes and the hooks that are running in them."""
        self._closed = True
        for server in self._running:  # so that they all end at the same time
            server.request_shutdown()
        for server in self._running:
            server.close()

    def _describe_installer(self, constraints: Constraints) -> str:
        """Return a text that identifies the installer, its sources and the constraints in the cache."""
        if constraints == UNCONSTRAINED:
            return self._installer_and_sources
        return f"{self._installer_and_sources} {hash_constraints(constraints)}"

    def _create_with_requirements(
        self, requirements: tuple[str, ...], constraints: Constraints
    ) -> VirtualEnvironment:
        environment = self.create_environment()
        self.install(environment, requirements, constraints=constraints)
        return environment

    def _get_or_create_cached(self, requirements: tuple[str, ...], constraints: Constraints) -> VirtualEnvironment:
        pins = self.resolve_pins(requirements, constraints)
        installer = self._describe_installer(constraints)

        def make(directory: Path) -> VirtualEnvironment:
            environment = self._installer.create_environment(directory, self._python)
            self.install(environment, pins, no_deps=True, constraints=constraints)
            return environment

        has_urls = any(" @ " in pin for pin in pins)  # their content may change
        if self._cache is not None and not has_urls:
            with contextlib.suppress(OSError):  # the disk is full, or the directory not writable
                environment = self._cache.get_or_create(pins, self._python, installer, make)
                self._cache.record_resolution(requirements, pins, self._python, installer)
                return environment
        return make(self._directory("environment") / "env")


class _ComputeOncePerKey(Generic[K, V]):
    """A thread-safe cache that computes the value of each key only once."""

    def __init__(self) -> None:
        self._futures: dict[K, Future[V]] = {}
        self._lock = threading.Lock()

    def get(self, key: K, make: Callable[[], V]) -> V:
        with self._lock:
            is_first = key not in self._futures
            future = self._futures.setdefault(key, Future())
        if is_first:
            try:
                future.set_result(make())
            except BaseException as error:  # noqa: BLE001 - raised in all waiting threads
                future.set_exception(error)
        return future.result()


def hash_constraints(constraints: Constraints) -> str:
    """Return a hash of constraints that includes the current content of constraint files."""
    contents = []
    for name in constraints.files:
        with contextlib.suppress(OSError):
            contents.append(Path(name).read_bytes().decode(errors="replace"))
    document = serialization.encode(replace(constraints, files=()))
    # The content behind an address may change, like that of an index: both are resolved to pins in every run.
    addresses = [name for name in constraints.files if "://" in name]
    return serialization.digest([document, contents, addresses])
