"""Sessions: the environments and processes in which the build hooks of one package run."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

from relnox.building.environment_pool import BuildEnvironmentPool
from relnox.building.environments import VirtualEnvironment
from relnox.building.known_backends import SHAREABLE_BACKENDS
from relnox.building.sibling_archives import use_sibling_archives
from relnox.core.documents import parse_toml, table_at
from relnox.core.records import Record
from relnox.core.settings.build_settings import Constraints
from relnox.system import process

_DEFAULT_BACKEND = "setuptools.build_meta"
"""The backend of a project without `build-backend` (PEP 517)."""
_HOOK_TIMEOUT = 4 * 3600.0


class BuildConditions(Record, kw_only=True):
    """Umask, time zone (`TZ`) and locale (`LC_ALL`) of a build."""

    umask: int
    time_zone: str
    locale: str

    def environment_variables(self, epoch: int | None) -> dict[str, str]:
        """Return the environment variables of a build; `epoch` (`SOURCE_DATE_EPOCH`) is omitted if None."""
        variables = {"TZ": self.time_zone, "LC_ALL": self.locale}
        return variables | ({} if epoch is None else {"SOURCE_DATE_EPOCH": str(epoch)})


DEFAULT_CONDITIONS = BuildConditions(umask=0o022, time_zone="UTC", locale="C.UTF-8")
VARIED_CONDITIONS = BuildConditions(umask=0o077, time_zone="Pacific/Kiritimati", locale="C")
"""The conditions of a second build, which gives the same archives if the build is reproducible."""


class HookContext(Record, kw_only=True):
    """What all build hooks of one package have in common.

    Attributes:
        variables: The environment variables, without credentials.
        siblings: Maps the names of other packages of the project that the build requires to their new wheels, or
            to sdists of packages without wheels.
    """

    variables: Mapping[str, str]
    umask: int
    siblings: Mapping[str, Path]
    on_line: Callable[[str], None]
    constraints: Constraints


class BuildSession:
    """The environment that builds one archive, or both archives of a package; each hook has a new process."""

    def __init__(self, pool: BuildEnvironmentPool, context: HookContext) -> None:
        self.context = context
        self._pool = pool
        self._environment: VirtualEnvironment | None = None
        self._installed: set[str] = set()

    def get_environment(self, requirements: Collection[str]) -> VirtualEnvironment:
        """Return an environment in which these requirements are installed; raise `Failed` if that fails."""
        if self._environment is None:
            self._environment = self._pool.create_environment()
        missing = set(use_sibling_archives(sorted(requirements), self.context.siblings)) - self._installed
        self._pool.install(
            self._environment, sorted(missing), on_line=self.context.on_line, constraints=self.context.constraints
        )
        self._installed |= missing
        return self._environment

    def run_hook(
        self,
        environment: VirtualEnvironment,  # noqa: ARG002 - its interpreter is argv[0]; warm processes are per environment
        argv: Sequence[str],
        *,
        cwd: Path | None,
        extra_variables: Mapping[str, str],
    ) -> process.Completed:
        """Run a hook.

        Args:
            environment: An environment returned by `get_environment`.
            argv: The interpreter of the environment, the script that calls the hook, and the script's arguments.
            cwd: The working directory.
            extra_variables: Environment variables in addition to those of the context.
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


class _SharedSession(BuildSession):
    """A session that shares environments with other packages, and runs each hook in a fork of a warm process."""

    def __init__(self, pool: BuildEnvironmentPool, backend: str, context: HookContext) -> None:
        super().__init__(pool, context)
        self._backend = backend

    def get_environment(self, requirements: Collection[str]) -> VirtualEnvironment:
        return self._pool.get_shared_environment(requirements, self.context.siblings, self.context.constraints)

    def run_hook(
        self,
        environment: VirtualEnvironment,
        argv: Sequence[str],
        *,
        cwd: Path | None,
        extra_variables: Mapping[str, str],
    ) -> process.Completed:
        _, script, *arguments = argv  # the server already runs in that interpreter
        variables = {**self.context.variables, **extra_variables}
        server = self._pool.get_backend_server(environment, self._backend, variables)
        if server is None:
            return super().run_hook(environment, argv, cwd=cwd, extra_variables=extra_variables)
        return server.run_script(
            [script, *arguments],
            cwd=cwd,
            env=variables,
            timeout=_HOOK_TIMEOUT,
            on_line=self.context.on_line,
        )


def open_session(pool: BuildEnvironmentPool, source: Path, context: HookContext, *, shared: bool) -> BuildSession:
    """Open a session to build a package, or one of its archives.

    If `shared`, environments and warm processes are shared where that is safe.
    """
    backend = _module_of_build_backend(source)
    if shared and backend is not None and backend in SHAREABLE_BACKENDS:
        return _SharedSession(pool, backend, context)
    return BuildSession(pool, context)


def _module_of_build_backend(source: Path) -> str | None:
    """Return the module of a package's build backend, or None for one in its own directory (`backend-path`)."""
    file = source / "pyproject.toml"
    document = parse_toml(file.read_text(encoding="utf-8")) if file.is_file() else {}
    table = table_at(document, "build-system")
    if "backend-path" in table:
        return None
    name = table.get("build-backend", _DEFAULT_BACKEND)
    return name.partition(":")[0] if isinstance(name, str) else None
