"""The build environments and backend processes of a run, shared by packages or created for each package."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Generic, TypeVar

from relnox.building.environments import INDEX_FIX, Installer, VirtualEnvironment, choose_installer_fix
from relnox.building.fork_client import ForkServer, can_fork_safely
from relnox.building.known_backends import SHAREABLE_BACKENDS
from relnox.building.sibling_archives import use_sibling_archives
from relnox.core.settings.build_settings import UNCONSTRAINED, Constraints

K = TypeVar("K")
V = TypeVar("V")


class BuildEnvironmentPool:
    """The environments and warm processes of all builds in a run; call `close` when the builds are done.

    Args:
        installer: Creates environments.
        python: The interpreter of the environments.
        directory: Takes a purpose, and creates a new directory that exists until the run ends.
        on_install: Called before the installer contacts an index.
    """

    def __init__(
        self,
        *,
        installer: Installer,
        python: Path,
        directory: Callable[[str], Path],
        on_install: Callable[[], None] = lambda: None,
    ) -> None:
        self._installer = installer
        self._python = python
        self._directory = directory
        self._on_install = on_install
        self._environments: _ComputeOncePerKey[tuple[tuple[str, ...], Constraints], VirtualEnvironment] = (
            _ComputeOncePerKey()
        )
        self._servers: _ComputeOncePerKey[tuple[Path, str], ForkServer] = _ComputeOncePerKey()
        self._running: list[ForkServer] = []
        self._closed = False

    def get_shared_environment(
        self, requirements: Collection[str], siblings: Mapping[str, Path], constraints: Constraints
    ) -> VirtualEnvironment:
        """Return the environment shared by packages with these requirements and these archives of siblings."""
        resolved_requirements = tuple(use_sibling_archives(sorted(requirements), siblings))

        def create() -> VirtualEnvironment:
            environment = self.create_environment()
            self.install(environment, resolved_requirements, constraints=constraints)
            return environment

        return self._environments.get((resolved_requirements, constraints), create)

    def create_environment(self) -> VirtualEnvironment:
        """Create an empty environment."""
        return self._installer.create_environment(self._directory("environment") / "env", self._python)

    def install(
        self,
        environment: VirtualEnvironment,
        requirements: Sequence[str],
        *,
        on_line: Callable[[str], None] | None = None,
        constraints: Constraints = UNCONSTRAINED,
    ) -> None:
        """Install requirements into an environment; raise `Failed` with the last lines of the installer."""
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
        """Create the environment shared by packages with the same requirements, and start its warm process."""
        environment = self.get_shared_environment(requirements, {}, constraints)
        self._get_or_start_server(environment, backend, variables)

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
