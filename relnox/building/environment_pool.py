"""Where builds are done: environments and warm processes that packages share, or new ones for each package."""

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
from relnox.core.build_settings import UNCONSTRAINED
from relnox.core.records import Record, replace

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from relnox.building.cache import EnvironmentCache
    from relnox.building.environments import Environment, Installer
    from relnox.core.build_settings import Constraints

__all__ = ["BuildEnvironmentPool", "BuildSession", "HookContext", "Isolation", "digest"]

Isolation = Literal["fast", "strict"]

_HOOK_LIMIT = 4 * 3600.0

_DEFAULT = "setuptools.build_meta"
"""The backend of a project that names none."""

K = TypeVar("K")
V = TypeVar("V")


class HookContext(Record, kw_only=True):
    """What the hooks of one package find around them.

    Attributes:
        variables: Their environment variables; no credentials are among them.
        umask: Which permissions files that they make do not get.
        siblings: Wheels of packages that were just built and that the build needs, by name.
        on_line: Called with each line that a program prints.
        constraints: Which releases may be installed.
    """

    variables: Mapping[str, str]
    umask: int
    siblings: Mapping[str, Path]
    on_line: Callable[[str], None]
    constraints: Constraints = UNCONSTRAINED


class BuildSession(Protocol):
    """Where the hooks of one archive run, or of both archives of a package.

    Attributes:
        terms: What they find around them.
        provided: The sets of requirements that environments were provided with.
    """

    terms: HookContext
    provided: list[tuple[str, ...]]

    def provide(self, requirements: Collection[str]) -> Environment:
        """An environment with these requirements.

        Raises:
            Failed: They cannot be installed.
        """

    def run(
        self, environment: Environment, argv: Sequence[str], *, cwd: Path | None, more: Mapping[str, str]
    ) -> process.Completed:
        """Run a hook.

        Args:
            environment: What `provide` gave.
            argv: Its interpreter, the script that calls the hook, and the script's arguments.
            cwd: Where.
            more: Variables besides those of every build.
        """

    def close(self) -> None:
        """End what may still wait for another hook."""


class BuildEnvironmentPool:
    """What all builds of a run share; closed when they are through.

    Args:
        installer: What makes environments.
        python: The interpreter that they are made with.
        folder: Makes a new folder, called after what it is for, that lasts as long as the run.
        installing: The environment variables of the installer, which may name the user's own index.
        cache: Keeps environments between runs; None to make all of them anew.
        sources: Addresses that the installer is told to take packages from; none for its own default.
        on_install: Called before something is asked of an index.
        project: The folder whose settings uv reads.
    """

    def __init__(  # noqa: PLR0913 - what builds share
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
        # The same release may be another file elsewhere.
        self._kind = " ".join([installer.name, *sources])
        self._on_install = on_install
        self._project = project
        self.sources = sources
        self._pins: _Once[tuple[tuple[str, ...], Constraints], tuple[str, ...]] = _Once()
        self._environments: _Once[tuple[tuple[str, ...], Constraints], Environment] = _Once()
        self._servers: _Once[tuple[Path, str], ForkServer] = _Once()
        self._running: list[ForkServer] = []
        self._closed = False

    def bench(self, source: Path, isolation: Isolation, terms: HookContext, *, both: bool = False) -> BuildSession:
        """Where to build a package, or one of its archives.

        Args:
            source: The package's folder.
            isolation: `fast` shares what may be shared; `strict` shares nothing.
            terms: What its hooks find around them.
            both: Whether its wheel is built here after its sdist.
        """
        backend = _backend(source)
        if isolation == "fast" and backend is not None and backend in SHAREABLE_BACKENDS:
            return _SharedSession(self, backend, terms, both=both)
        return _IsolatedSession(self, terms)

    @property
    def cache_problem(self) -> str | None:
        """Why environments are not kept, or one that was kept is not used; None if all is well."""
        return self._cache.problem if self._cache is not None else None

    def pins(self, requirements: Collection[str], constraints: Constraints = UNCONSTRAINED) -> tuple[str, ...]:
        """What requirements stand for today within constraints, what those need included.

        Raises:
            Failed: Nothing, or the index does not answer.
        """
        wanted = tuple(sorted(requirements))
        if not wanted:
            return ()
        self._on_install()
        return self._pins.get(
            (wanted, constraints),
            lambda: self._installer.resolve(
                wanted, self._python, env=self._installing, constraints=constraints, project=self._project
            ),
        )

    def shared_environment(
        self, requirements: Collection[str], siblings: Mapping[str, Path], constraints: Constraints = UNCONSTRAINED
    ) -> Environment:
        """The environment of all packages that require the same, kept between runs if no siblings are in it."""
        plain = tuple(sorted(requirements))
        wanted = tuple(_with_siblings(plain, siblings))
        return self._environments.get(
            (wanted, constraints),
            lambda: self._kept(wanted, constraints) if wanted == plain else self._made(wanted, constraints),
        )

    def own_environment(self) -> Environment:
        """A new, empty environment."""
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
            Failed: It is not possible; the installer's last lines are told.
        """
        if requirements:
            self._on_install()
            ran = self._installer.install(
                environment,
                requirements,
                env=self._installing,
                on_line=on_line,
                constraints=constraints,
                project=self._project,
            )
            _check_installed(ran, requirements)

    def make_ready(
        self,
        requirements: Collection[str],
        backend: str,
        variables: Mapping[str, str],
        constraints: Constraints = UNCONSTRAINED,
    ) -> Environment:
        """Provide the environment of packages that require the same, and start to warm their backend up.

        The one that served them last is warmed up while the index is asked: most often it still does.

        Raises:
            Failed: The requirements cannot be installed.
        """
        if self._cache is not None:
            last = self._cache.last(sorted(requirements), self._python, self._kind_within(constraints))
            if last is not None:
                self._started(last, backend, variables)
        environment = self.shared_environment(requirements, {}, constraints)
        self._started(environment, backend, variables)
        return environment

    def server(self, environment: Environment, backend: str, variables: Mapping[str, str]) -> ForkServer | None:
        """The warm process of a backend in an environment; None where its hooks are to run in fresh ones."""
        server = self._started(environment, backend, variables)
        return server if server is not None and server.is_single_threaded() else None

    def _started(self, environment: Environment, backend: str, variables: Mapping[str, str]) -> ForkServer | None:
        def start() -> ForkServer:
            modules = (backend, *SHAREABLE_BACKENDS[backend])
            server = ForkServer(environment.python, modules, variables, self._folder("printed"))
            self._running.append(server)
            if self._closed:  # while this one started
                server.close()
            return server

        return self._servers.get((environment.folder, backend), start) if has_fork() else None

    def close(self) -> None:
        """End the warm processes, and what still runs in them."""
        self._closed = True
        for server in self._running:  # all at once, then one after the other
            server.close_stdin()
        for server in self._running:
            server.close()

    def _kind_within(self, constraints: Constraints) -> str:
        """What an environment is made by, for its key: constraints count for what is built on the way as well."""
        return self._kind if constraints == UNCONSTRAINED else f"{self._kind} {digest(constraints)}"

    def _made(self, requirements: tuple[str, ...], constraints: Constraints) -> Environment:
        environment = self.own_environment()
        self.install(environment, requirements, constraints=constraints)
        return environment

    def _kept(self, requirements: tuple[str, ...], constraints: Constraints) -> Environment:
        pins = self.pins(requirements, constraints)
        kind = self._kind_within(constraints)

        def make(folder: Path) -> Environment:
            environment = self._installer.create(folder, self._python, env=self._installing)
            if pins:
                ran = self._installer.install(
                    environment,
                    pins,
                    env=self._installing,
                    no_deps=True,
                    constraints=constraints,
                    project=self._project,
                )
                _check_installed(ran, requirements)
            return environment

        linked = any(" @ " in pin for pin in pins)  # to what may be another thing tomorrow
        if self._cache is not None and not linked:
            with contextlib.suppress(OSError):  # no room, or no right, to keep anything
                environment = self._cache.get(pins, self._python, kind, make)
                self._cache.tell(requirements, pins, self._python, kind)
                return environment
        return make(self._folder("environment") / "env")


class _SharedSession:
    """Environments that packages share; hooks run in forks of warm processes, as few as they may."""

    def __init__(self, workshop: BuildEnvironmentPool, backend: str, terms: HookContext, *, both: bool) -> None:
        self._workshop = workshop
        self._backend = backend
        self._last = "build_wheel" if both else "build_"
        self._fork: Fork | None = None
        self.terms = terms
        self.provided: list[tuple[str, ...]] = []

    def provide(self, requirements: Collection[str]) -> Environment:
        self.provided.append(tuple(sorted(requirements)))
        return self._workshop.shared_environment(requirements, self.terms.siblings, self.terms.constraints)

    def run(
        self, environment: Environment, argv: Sequence[str], *, cwd: Path | None, more: Mapping[str, str]
    ) -> process.Completed:
        _, script, *arguments = argv  # the server runs in that interpreter
        variables = {**self.terms.variables, **more}
        server = self._workshop.server(environment, self._backend, variables)
        if server is None:
            return _freshly(argv, cwd, more, self.terms)
        if self._fork is None or self._fork.server is not server:
            self.close()
            self._fork = Fork(server)
        return self._fork.run(
            [script, *arguments],
            cwd=cwd,
            env=variables,
            timeout=_HOOK_LIMIT,
            on_line=self.terms.on_line,
            stays=self._backend in SINGLE_PROCESS_BACKENDS and not arguments[0].startswith(self._last),
        )

    def close(self) -> None:
        if self._fork is not None:
            self._fork.end()
            self._fork = None


class _IsolatedSession:
    """One new environment for the package; each hook in a new process."""

    def __init__(self, workshop: BuildEnvironmentPool, terms: HookContext) -> None:
        self._workshop = workshop
        self._environment: Environment | None = None
        self._installed: set[str] = set()
        self.terms = terms
        self.provided: list[tuple[str, ...]] = []

    def provide(self, requirements: Collection[str]) -> Environment:
        self.provided.append(tuple(sorted(requirements)))
        if self._environment is None:
            self._environment = self._workshop.own_environment()
        missing = set(_with_siblings(sorted(requirements), self.terms.siblings)) - self._installed
        self._workshop.install(self._environment, sorted(missing), self.terms.on_line, self.terms.constraints)
        self._installed |= missing
        return self._environment

    def run(
        self, environment: Environment, argv: Sequence[str], *, cwd: Path | None, more: Mapping[str, str]
    ) -> process.Completed:
        del environment  # its interpreter is the first word
        return _freshly(argv, cwd, more, self.terms)

    def close(self) -> None:
        """Nothing goes on."""


def _freshly(
    argv: Sequence[str], cwd: Path | None, more: Mapping[str, str], terms: HookContext
) -> process.Completed:
    """Run a hook in a new process."""
    variables = {**terms.variables, **more}
    return process.run(
        argv,
        cwd=cwd,
        env=variables,
        umask=terms.umask,
        leaves_nothing=True,
        timeout=_HOOK_LIMIT,
        on_line=terms.on_line,
    )


class _Once(Generic[K, V]):
    """Values that are made once for a key, however many threads ask at once."""

    def __init__(self) -> None:
        self._made: dict[K, Future[V]] = {}
        self._deciding = threading.Lock()

    def get(self, key: K, make: Callable[[], V]) -> V:
        with self._deciding:
            mine = key not in self._made
            future = self._made.setdefault(key, Future())
        if mine:
            try:
                future.set_result(make())
            except BaseException as error:  # noqa: BLE001 - whoever waits gets it as well
                future.set_exception(error)
        return future.result()


def digest(constraints: Constraints) -> str:
    """A digest of constraints, and of what files of them hold today."""
    contents = []
    for name in constraints.files:
        with contextlib.suppress(OSError):
            contents.append(Path(name).read_bytes().decode(errors="replace"))
    document = serialization.encode(replace(constraints, files=()))
    # A file that is an address may hold something else tomorrow; so may an index, and both are asked for pins.
    addresses = [name for name in constraints.files if "://" in name]
    return hashlib.sha256(json.dumps([document, contents, addresses]).encode()).hexdigest()


def _backend(source: Path) -> str | None:
    """The module of a package's build backend; None for one in its own tree (PEP 517, `backend-path`)."""
    file = source / "pyproject.toml"
    table = tomllib.loads(file.read_text(encoding="utf-8")).get("build-system", {}) if file.is_file() else {}
    if not isinstance(table, dict) or "backend-path" in table:
        return None
    name = table.get("build-backend", _DEFAULT)
    return name.partition(":")[0] if isinstance(name, str) else None


def _with_siblings(requirements: Sequence[str], siblings: Mapping[str, Path]) -> list[str]:
    """Requirements, with the wheels of siblings that were just built for those that they answer.

    A requirement that excludes a sibling's new version means an older one, and stays as it is.
    """
    if not siblings:
        return list(requirements)
    parsed = {text: Requirement(text) for text in requirements}
    asked = {text: canonicalize_name(each.name) for text, each in parsed.items()}
    excluded = {
        asked[text]
        for text, each in parsed.items()
        if (wheel := siblings.get(asked[text])) is not None
        and not each.specifier.contains(parse_wheel_filename(wheel.name)[1], prereleases=True)
    }
    used = {name: wheel for name, wheel in siblings.items() if name not in excluded}
    if used.keys().isdisjoint(asked.values()):
        return list(requirements)
    kept = [text for text, each in parsed.items() if asked[text] not in used or each.extras]
    return [*kept, *(f"{name} @ {wheel.as_uri()}" for name, wheel in used.items())]


def _check_installed(ran: process.Completed, requirements: Sequence[str]) -> None:
    ran.check(
        f"installing what the build requires ({', '.join(requirements)})",
        fix="is the package index reachable? then type the same command again",
    )
