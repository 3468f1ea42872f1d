"""The inputs that archives are built from; while they are unchanged, an earlier build remains valid."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relnox.core import serialization
from relnox.steps.building_services import BuildingServices
from relnox.steps.export_commit import generated_files

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from relnox.building.environment_pool import BuildEnvironmentPool
    from relnox.core.release.manifest import BuildInputs
    from relnox.core.settings.build_settings import Constraints
    from relnox.steps.run import Run


def previous_inputs(run: Run, output: str) -> dict[str, BuildInputs]:
    """Return the inputs from which an earlier run built the packages, by package name."""
    manifest = run.service(BuildingServices).earlier_manifest(output)
    return {} if manifest is None else {inputs.package: inputs for inputs in manifest.inputs}


def digest_with_generated_files(run: Run, package: str, digest: str | None) -> str | None:
    """Return the digest extended by the files that hooks generated for a package, or None if `digest` is None."""
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
    """Return the digest of all inputs of a build: the source, and the releases of its build requirements."""
    pins = [[*requirements, *pool.resolve_pins(requirements, constraints)] for requirements in requires]
    return serialization.digest([inputs, pins, pythons, command, *pool.sources])
