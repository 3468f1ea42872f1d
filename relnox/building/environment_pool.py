"""Build environments and processes: shared by packages, or new ones for each package."""

from __future__ import annotations

import contextlib
import hashlib
import json
import threading
import tomllib
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING, Generic, Literal, Protocol, TypeVar

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name, parse_wheel_filename

from relnox import process
from relnox.building.backends import SHAREABLE_BACKENDS, SINGLE_PROCESS_BACKENDS
from relnox.building.workers import Fork, ForkServer, has_fork
from relnox.core import serialization
from relnox.core.records import Record, replace
from relnox.core.settings.build_settings import UNCONSTRAINED

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from relnox.building.cache import EnvironmentCache
    from relnox.building.environments import Environment, Installer
    from relnox.core.settings.build_settings import Constraints

__all__ = ["BuildEnvironmentPool", "BuildSession", "HookContext", "Isolation", "digest"]

Isolation = Literal["fast", "strict"]

_HOOK_TIMEOUT = 4 * 3600.0

_DEFAULT = "setuptools.build_meta"
"""The backend of a project without `build-backend` (PEP 517)."""

K = TypeVar("K")
V = TypeVar("V")


class HookContext(Record, kw_only=True):
    """The context in which the build hooks of one package run.

    Attributes:
        variables: The environment variables, without credentials.
        umask: The umask.
        siblings: New wheels of siblings that the build requires, by name.
        on_line: Called with each line of output.
        constraints: Which releases may be installed.
    """

    variables: Mapping[str, str]
    umask: int
    siblings: Mapping[str, Path]
    on_line: Callable[[str], None]
    constraints: Constraints = UNCONSTRAINED


class BuildSession(Protocol):
    """The environment and the processes in which the hooks of one archive, or of both archives of a package, run.

    Attributes:
        context: The context of the hooks.
        requirement_sets: The arguments of all calls of `ensure`.
    """

    context: HookContext
    requirement_sets: list[tuple[str, ...]]

    def ensure(self, requirements: Collection[str]) -> Environment:
        """Return an environment with these requirements.

        Raises:
            Failed: They cannot be installed.
        """

    def run(
        self, environment: Environment, argv: Sequence[str], *, cwd: Path | None, more: Mapping[str, str]
    ) -> process.Completed:
        """Run a hook.

        Args:
            environment: An environment from `ensure`.
            argv: Its interpreter, the script that calls the hook, and the script's arguments.
            cwd: The working folder.
            more: Variables in addition to those of the context.
        """

    def close(self) -> None:
        """End processes that wait for another hook."""


class BuildEnvironmentPool:
    """The environments and warm processes of all builds of a run; it has to be closed.

    Args:
        installer: Creates environments.
        python: The interpreter of the environments.
        folder: Creates a new folder with a name for its purpose; the folder exists until the run ends.
        installing: The environment variables of the installer, which may configure an index.
        cache: Caches environments between runs; None to create all of them.
        sources: The configured addresses to install packages from; empty for the installer's default.
        on_install: Called before the installer contacts an index.
        project: The folder whose settings uv reads.
    """

    def __init__(  # noqa: PLR0913 - configuration of all builds
        self,
        *,
        installer: Installer,
        python: Path,
        folder: Callable[[str], Path],
        installing: Mapping[str, str],
        cache: EnvironmentCache | None,
        sources: tuple[str, ...] = (),
        on_install: Callable[[], None] = lambda: None,
        project: Path | None = None,
    ) -> None:
        self._installer = installer
        self._python = python
        self._folder = folder
        self._installing = installing
        self._cache = cache
        # Another index may have other files of the same release.
        self._kind = " ".join([installer.name, *sources])
        self._on_install = on_install
        self._project = project
        self.sources = sources
        self._pins: _OncePerKey[tuple[tuple[str, ...], Constraints], tuple[str, ...]] = _OncePerKey()
        self._environments: _OncePerKey[tuple[tuple[str, ...], Constraints], Environment] = _OncePerKey()
        self._servers: _OncePerKey[tuple[Path, str], ForkServer] = _OncePerKey()
        self._running: list[ForkServer] = []
        self._closed = False

    def session(
        self, source: Path, isolation: Isolation, context: HookContext, *, both: bool = False
    ) -> BuildSession:
        """Open a session to build a package, or one of its archives.

        Args:
            source: The package's folder.
            isolation: `fast` shares environments and processes where that is safe; `strict` shares nothing.
            context: The context of its hooks.
            both: Whether its wheel is built in this session after its sdist.
        """
        backend = _backend(source)
        if isolation == "fast" and backend is not None and backend in SHAREABLE_BACKENDS:
            return _SharedSession(self, backend, context, both=both)
        return _IsolatedSession(self, context)

    @property
    def cache_problem(self) -> str | None:
        """Why environments are not cached, or a cached one was not used; None without a problem."""
        return self._cache.problem if self._cache is not None else None

    def pins(self, requirements: Collection[str], constraints: Constraints = UNCONSTRAINED) -> tuple[str, ...]:
        """Resolve requirements within constraints to pins, dependencies included.

        Raises:
            Failed: They cannot be resolved, or the index does not answer.
        """
        ordered = tuple(sorted(requirements))
        if not ordered:
            return ()
        self._on_install()
        return self._pins.get(
            (ordered, constraints),
            lambda: self._installer.resolve(
                ordered, self._python, env=self._installing, constraints=constraints, project=self._project
            ),
        )

    def shared_environment(
        self, requirements: Collection[str], siblings: Mapping[str, Path], constraints: Constraints = UNCONSTRAINED
    ) -> Environment:
        """Return the environment for packages with these requirements; it is cached if it has no siblings."""
        plain = tuple(sorted(requirements))
        resolved = tuple(_with_siblings(plain, siblings))
        return self._environments.get(
            (resolved, constraints),
            lambda: (
                self._create_cached(plain, constraints)
                if resolved == plain
                else self._create(resolved, constraints)
            ),
        )

    def new_environment(self) -> Environment:
        """Create an empty environment."""
        return self._installer.create(self._folder("environment") / "env", self._python, env=self._installing)

    def install(
        self,
        environment: Environment,
        requirements: Sequence[str],
        on_line: Callable[[str], None] | None = None,
        constraints: Constraints = UNCONSTRAINED,
    ) -> None:
        """Install into an environment.

        Raises:
            Failed: The installer failed; the message has its last lines.
        """
        if requirements:
            self._on_install()
            completed = self._installer.install(
                environment,
                requirements,
                env=self._installing,
                on_line=on_line,
                constraints=constraints,
                project=self._project,
            )
            _check_installed(completed, requirements)

    def prepare(
        self,
        requirements: Collection[str],
        backend: str,
        variables: Mapping[str, str],
        constraints: Constraints = UNCONSTRAINED,
    ) -> Environment:
        """Create the environment shared by packages with the same requirements, and start its warm process.

        The environment that these requirements led to last time is started while the index is queried, since it is
        usually still the right one.

        Raises:
            Failed: The requirements cannot be installed.
        """
        if self._cache is not None:
            last = self._cache.last(sorted(requirements), self._python, self._kind_with(constraints))
            if last is not None:
                self._start_server(last, backend, variables)
        environment = self.shared_environment(requirements, {}, constraints)
        self._start_server(environment, backend, variables)
        return environment

    def server(self, environment: Environment, backend: str, variables: Mapping[str, str]) -> ForkServer | None:
        """Return the warm process of a backend in an environment; None if its hooks need new processes."""
        server = self._start_server(environment, backend, variables)
        return server if server is not None and server.is_single_threaded() else None

    def _start_server(
        self, environment: Environment, backend: str, variables: Mapping[str, str]
    ) -> ForkServer | None:
        def start() -> ForkServer:
            modules = (backend, *SHAREABLE_BACKENDS[backend])
            server = ForkServer(environment.python, modules, variables, self._folder("output"))
            self._running.append(server)
            if self._closed:  # the pool was closed meanwhile
                server.close()
            return server

        return self._servers.get((environment.folder, backend), start) if has_fork() else None

    def close(self) -> None:
        """End the warm processes, and the hooks that run in them."""
        self._closed = True
        for server in self._running:  # so that they all end at the same time
            server.close_stdin()
        for server in self._running:
            server.close()

    def _kind_with(self, constraints: Constraints) -> str:
        """Return the installer and its sources with the constraints, which builds during installation obey too."""
        return self._kind if constraints == UNCONSTRAINED else f"{self._kind} {digest(constraints)}"

    def _create(self, requirements: tuple[str, ...], constraints: Constraints) -> Environment:
        environment = self.new_environment()
        self.install(environment, requirements, constraints=constraints)
        return environment

    def _create_cached(self, requirements: tuple[str, ...], constraints: Constraints) -> Environment:
        pins = self.pins(requirements, constraints)
        kind = self._kind_with(constraints)

        def make(folder: Path) -> Environment:
            environment = self._installer.create(folder, self._python, env=self._installing)
            if pins:
                completed = self._installer.install(
                    environment,
                    pins,
                    env=self._installing,
                    no_deps=True,
                    constraints=constraints,
                    project=self._project,
                )
                _check_installed(completed, requirements)
            return environment

        has_urls = any(" @ " in pin for pin in pins)  # their content may change
        if self._cache is not None and not has_urls:
            with contextlib.suppress(OSError):  # the disk is full, or the folder not writable
                environment = self._cache.get(pins, self._python, kind, make)
                self._cache.remember(requirements, pins, self._python, kind)
                return environment
        return make(self._folder("environment") / "env")


class _SharedSession:
    """A session in shared environments, with hooks in forks of warm processes, as few as possible."""

    def __init__(self, pool: BuildEnvironmentPool, backend: str, context: HookContext, *, both: bool) -> None:
        self._pool = pool
        self._backend = backend
        self._last_hook = "build_wheel" if both else "build_"
        self._fork: Fork | None = None
        self.context = context
        self.requirement_sets: list[tuple[str, ...]] = []

    def ensure(self, requirements: Collection[str]) -> Environment:
        self.requirement_sets.append(tuple(sorted(requirements)))
        return self._pool.shared_environment(requirements, self.context.siblings, self.context.constraints)

    def run(
        self, environment: Environment, argv: Sequence[str], *, cwd: Path | None, more: Mapping[str, str]
    ) -> process.Completed:
        _, script, *arguments = argv  # the server already runs in that interpreter
        variables = {**self.context.variables, **more}
        server = self._pool.server(environment, self._backend, variables)
        if server is None:
            return _run_in_new_process(argv, cwd, more, self.context)
        if self._fork is None or self._fork.server is not server:
            self.close()
            self._fork = Fork(server)
        return self._fork.run(
            [script, *arguments],
            cwd=cwd,
            env=variables,
            timeout=_HOOK_TIMEOUT,
            on_line=self.context.on_line,
            keep_alive=self._backend in SINGLE_PROCESS_BACKENDS and not arguments[0].startswith(self._last_hook),
        )

    def close(self) -> None:
        if self._fork is not None:
            self._fork.end()
            self._fork = None


class _IsolatedSession:
    """A session in a new environment, with each hook in a new process."""

    def __init__(self, pool: BuildEnvironmentPool, context: HookContext) -> None:
        self._pool = pool
        self._environment: Environment | None = None
        self._installed: set[str] = set()
        self.context = context
        self.requirement_sets: list[tuple[str, ...]] = []

    def ensure(self, requirements: Collection[str]) -> Environment:
        self.requirement_sets.append(tuple(sorted(requirements)))
        if self._environment is None:
            self._environment = self._pool.new_environment()
        missing = set(_with_siblings(sorted(requirements), self.context.siblings)) - self._installed
        self._pool.install(self._environment, sorted(missing), self.context.on_line, self.context.constraints)
        self._installed |= missing
        return self._environment

    def run(
        self, environment: Environment, argv: Sequence[str], *, cwd: Path | None, more: Mapping[str, str]
    ) -> process.Completed:
        del environment  # its interpreter is argv[0]
        return _run_in_new_process(argv, cwd, more, self.context)

    def close(self) -> None:
        """Do nothing: every hook has ended with its process."""


def _run_in_new_process(
    argv: Sequence[str], cwd: Path | None, more: Mapping[str, str], context: HookContext
) -> process.Completed:
    """Run a hook in a new process."""
    variables = {**context.variables, **more}
    return process.run(
        argv,
        cwd=cwd,
        env=variables,
        umask=context.umask,
        kill_leftovers=True,
        timeout=_HOOK_TIMEOUT,
        on_line=context.on_line,
    )


class _OncePerKey(Generic[K, V]):
    """A cache that makes each value once, even if several threads request it at the same time."""

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


def digest(constraints: Constraints) -> str:
    """Hash constraints, with the present content of constraint files."""
    contents = []
    for name in constraints.files:
        with contextlib.suppress(OSError):
            contents.append(Path(name).read_bytes().decode(errors="replace"))
    document = serialization.encode(replace(constraints, files=()))
    # The content behind an address may change, like that of an index: both are resolved to pins in every run.
    addresses = [name for name in constraints.files if "://" in name]
    return hashlib.sha256(json.dumps([document, contents, addresses]).encode()).hexdigest()


def _backend(source: Path) -> str | None:
    """Return the module of a package's build backend; None for one in its own tree (PEP 517, `backend-path`)."""
    file = source / "pyproject.toml"
    table = tomllib.loads(file.read_text(encoding="utf-8")).get("build-system", {}) if file.is_file() else {}
    if not isinstance(table, dict) or "backend-path" in table:
        return None
    name = table.get("build-backend", _DEFAULT)
    return name.partition(":")[0] if isinstance(name, str) else None


def _with_siblings(requirements: Sequence[str], siblings: Mapping[str, Path]) -> list[str]:
    """Replace requirements on siblings with the siblings' new wheels.

    A requirement that excludes a sibling's new version refers to an older release, and is kept.
    """
    if not siblings:
        return list(requirements)
    parsed = {text: Requirement(text) for text in requirements}
    names = {text: canonicalize_name(requirement.name) for text, requirement in parsed.items()}
    excluded = {
        names[text]
        for text, requirement in parsed.items()
        if (wheel := siblings.get(names[text])) is not None
        and not requirement.specifier.contains(parse_wheel_filename(wheel.name)[1], prereleases=True)
    }
    used = {name: wheel for name, wheel in siblings.items() if name not in excluded}
    if used.keys().isdisjoint(names.values()):
        return list(requirements)
    others = [text for text, requirement in parsed.items() if names[text] not in used or requirement.extras]
    return [*others, *(f"{name} @ {wheel.as_uri()}" for name, wheel in used.items())]


def _check_installed(completed: process.Completed, requirements: Sequence[str]) -> None:
    completed.check(
        f"installing build requirements ({', '.join(requirements)})",
        fix="check that the package index is reachable, then rerun the command",
    )
