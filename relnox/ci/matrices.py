"""The matrices of jobs that build or verify packages: at most as many jobs as a provider runs.

A row has what the command of the job needs, as text: a job is `build-all`, `verify-install` or cibuildwheel for
the packages of its row. Packages stay in release order, so that those that need each other are in the same job or
in neighboring ones.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from relnox.core.release import wheels
from relnox.errors import Blocked

MAX_JOBS = 256
"""The jobs that GitHub runs for a matrix."""

Kind = Literal["wheels", "packages", "verify"]


def matrix(
    kind: Kind,
    packages: Sequence[str],
    *,
    settings: Mapping[str, tuple[str, ...]],
    pythons: Sequence[str],
    limit: int = MAX_JOBS,
) -> dict[str, Any]:
    """Return a matrix as GitHub reads it: `{"include": ROWS}`, without rows if there is nothing to do.

    Packages, in release order, share jobs if there are more than `limit`. `settings` are `[tool.relnox.wheels]`.

    Raises:
        Blocked: Wheels need more jobs than the limit.
    """
    if kind == "wheels":
        matrix_of_wheels = wheels.github_matrix(packages, settings)
        if (count := len(matrix_of_wheels["include"])) > limit:
            raise Blocked(
                "setting-invalid",
                f"[tool.relnox.wheels] needs {count} jobs (at most {limit} run for one matrix)",
                fix="release fewer packages at once, or remove wheels from the setting",
            )
        return matrix_of_wheels
    if kind == "packages":
        rows = [_package_row(group) for group in _split_evenly(packages, limit)]
    else:
        count = max(1, limit // max(1, len(pythons)))
        rows = [
            {**row, "name": f"{row['name']}-{python}", "python": python}
            for python in pythons
            for row in (_package_row(group) for group in _split_evenly(packages, count))
        ]
    return {"include": rows}


def _split_evenly(items: Sequence[str], limit: int) -> list[Sequence[str]]:
    """Split items into at most `limit` consecutive groups, whose sizes differ by at most one."""
    count = min(len(items), limit)
    return [items[number * len(items) // count : (number + 1) * len(items) // count] for number in range(count)]


def _package_row(packages: Sequence[str]) -> dict[str, str]:
    """Return the row of a job for packages: `name`, for the job and its artifact, and the options `packages`."""
    name = packages[0] if len(packages) == 1 else f"{packages[0]}-and-{len(packages) - 1}-more"
    options = shlex.join([word for package in packages for word in ("--package", package)])
    return {"name": name, "packages": options}
