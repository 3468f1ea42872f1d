"""Prepare the environment that packages with the same build requirements share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relnox import building
from relnox.core.planning import fixes
from relnox.core.planning.step import Step
from relnox.core.settings.build_settings import UNCONSTRAINED, Constraints
from relnox.errors import Failed
from relnox.steps.action import Action
from relnox.steps.building_services import BuildingServices

if TYPE_CHECKING:
    from relnox.building.environment_pool import BuildEnvironmentPool

_CONCURRENT_INSTALLATIONS = 8
"""Environments that are created at once: they mostly wait for the index or the disk."""


class PrepareBuildEnvironment(Step, kw_only=True):
    """Create the environment shared by all packages with the same build requirements, or take it from the cache.

    Attributes:
        requires: The build requirements, as written.
        backend: The module of their build backend, which a warm process imports.
        epoch: `SOURCE_DATE_EPOCH` of the builds; some backends read it when they are imported.
        keep: Whether to use cached environments of earlier runs, and to cache this one.
        constraints: The constraints on the releases that may be installed.
        output: The folder that may have archives of an earlier run.
        inputs: Pairs of a package that uses the environment and the digest of its inputs (see `Build.inputs`).
    """

    runs_project_code = True
    concurrent = True
    requires: tuple[str, ...]
    backend: str
    epoch: int | None
    installer: str
    keep: bool
    output: str
    inputs: tuple[tuple[str, str | None], ...]
    pythons: tuple[str, ...]
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


class PrepareBuildEnvironmentAction(Action[PrepareBuildEnvironment]):
    """Creates an environment for builds, and starts the warm process of their backend."""

    @property
    def pool(self) -> BuildEnvironmentPool:
        return self.run.service(BuildingServices).environment_pool(
            self.step.installer, "", keep_environments=self.step.keep
        )

    def check(self) -> str | None:
        services = self.run.service(BuildingServices)
        earlier = services.earlier_inputs(self.step.output)

        def is_unchanged(name: str, source_digest: str | None) -> bool:
            if source_digest is None or name not in earlier:
                return False
            return earlier[name].digest == services.digest_inputs(
                name,
                source_digest,
                earlier[name].requires,
                self.pool,
                pythons=self.step.pythons,
                constraints=self.step.constraints,
            )

        try:
            same = all(is_unchanged(name, inputs) for name, inputs in self.step.inputs)
        except Failed:  # the builds report the problem
            return None
        return "not needed: its packages are unchanged" if same else None

    def apply(self) -> None:
        step = self.step
        self.environment = self.pool.prepare_environment(
            step.requires,
            step.backend,
            self.run.variables(more=building.build_conditions.DEFAULT.environment_variables(step.epoch)),
            step.constraints,
        )

    def verify(self) -> str:
        if not self.environment.python.exists():
            raise Failed(
                "environment-without-interpreter",
                f"{self.environment.python} does not exist",
                fix=f"remove cached environments: {fixes.task_command('build-all', '--clear-cache')}",
            )
        problem = self.pool.cache_problem
        return "ready" if problem is None else f"ready; {problem}"
