"""What archives are built from: unchanged inputs make an earlier build valid."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from relnox.building.environment_pool import BuildEnvironmentPool
    from relnox.core.release.manifest import BuildInputs
    from relnox.core.settings.build_settings import Constraints
    from relnox.steps.run import Run

__all__ = ["digest", "previous_inputs"]


def previous_inputs(run: Run, output: str) -> dict[str, BuildInputs]:
    """Return what an earlier run built the packages from, by name."""
    manifest = run.previous(output)
    return {} if manifest is None else {inputs.package: inputs for inputs in manifest.inputs}


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
    pins = [[*requirements, *pool.pins(requirements, constraints)] for requirements in requires]
    return hashlib.sha256(json.dumps([inputs, pins, pythons, command, *pool.sources]).encode()).hexdigest()
