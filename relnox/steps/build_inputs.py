"""What archives are built from: unchanged inputs make an earlier build valid."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relnox.core import serialization
from relnox.steps.building_services import BuildingServices
from relnox.steps.export import generated_files

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from relnox.building.environment_pool import BuildEnvironmentPool
    from relnox.core.release.manifest import BuildInputs
    from relnox.core.settings.build_settings import Constraints
    from relnox.steps.run import Run


def previous_inputs(run: Run, output: str) -> dict[str, BuildInputs]:
    """Return what an earlier run built the packages from, by name."""
    manifest = run.service(BuildingServices).earlier_manifest(output)
    return {} if manifest is None else {inputs.package: inputs for inputs in manifest.inputs}


def with_generated_files(run: Run, package: str, digest: str | None) -> str | None:
    """Return a digest of a package's inputs with the files that hooks generated; None without a digest."""
    generated = generated_files(run, package)
    if digest is None or not generated:
        return digest
    return serialization.digest([digest, sorted(generated.items())])


def digest(  # noqa: PLR0913 - all inputs
    inputs: str | None,
    requires: Iterable[tuple[str, ...]],
    pool: BuildEnvironmentPool,
    pythons: Sequence[str] = (),
    command: Sequence[str] = (),
    *,
    constraints: Constraints,
) -> str:
    """Hash all inputs of a build: the source, and the releases that build requirements resolve to."""
    pins = [[*requirements, *pool.resolve_pins(requirements, constraints)] for requirements in requires]
    return serialization.digest([inputs, pins, pythons, command, *pool.sources])
