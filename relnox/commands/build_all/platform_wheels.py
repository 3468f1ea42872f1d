"""The plans for platform wheels: `--matrix` lists the CI jobs, and `--wheels` builds the wheels of one job."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from relnox import core, steps
from relnox.commands.build_all.package_steps import build_step
from relnox.core.planning.step import after
from relnox.errors import Blocked

if TYPE_CHECKING:
    from relnox.commands.build_all import Options
    from relnox.commands.build_all.snapshot import Snapshot
    from relnox.core.planning.plan import Plan
    from relnox.core.release.wheels import WheelJob


def plan_matrix(snapshot: Snapshot, file: str) -> Plan:
    """Plan to write the file that lists the CI jobs for platform wheels."""
    text = json.dumps(core.wheels.github_matrix(_wheel_jobs(snapshot)), separators=(",", ":"))
    return core.plan.Plan(task="build-all", steps=(steps.WriteMatrix(file=file, text=text),))


def plan_wheels_of_job(snapshot: Snapshot, name: str, options: Options) -> Plan:
    """Plan to build and check the platform wheels of one job of the matrix.

    Args:
        snapshot: The state of the project.
        name: The name of the job.
        options: The options of the command.

    Raises:
        Blocked: The matrix has no such job.
    """
    jobs = {job.name: job for job in _wheel_jobs(snapshot)}
    if name not in jobs:
        raise Blocked(
            "wheel-job-unknown",
            f"job {name} is not in the matrix of platform wheels",
            fix=f"use one of {', '.join(jobs)}" if jobs else "list packages in [tool.relnox.wheels] first",
        )
    job = jobs[name]
    package = next(package for package in snapshot.packages if package.name == job.package)
    build = build_step(package, snapshot, options)
    abi = snapshot.wheels.abi.get(package.name, "cpython")
    wheels = steps.BuildWheels(job=job, abi=abi, build=build)
    check = steps.CheckDistributions(output=options.output, strict=options.strict)
    manifest = steps.WriteManifest(
        output=options.output,
        commit=snapshot.state.head if snapshot.state is not None else None,
        dirty=False,
        order=tuple((package.name, ()) for package in snapshot.packages),
        needs=after(wheels, check),
    )
    return core.plan.Plan(task="build-all", steps=(wheels, check, manifest), notes=snapshot.warnings)


def _wheel_jobs(snapshot: Snapshot) -> list[WheelJob]:
    """Return the CI jobs that build the platform wheels of the packages."""
    return [job for package in snapshot.packages for job in core.wheels.plan_wheel_jobs(package, snapshot.wheels)]
