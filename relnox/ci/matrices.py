"""The matrices of jobs that build or verify packages: at most as many jobs as a provider runs.

A row has what the command of the job needs, as text: a job is `build-all`, `verify-install` or cibuildwheel for
the packages of its row. Packages stay in release order, so that those that need each other are in the same job or
in neighboring ones.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeVar

from relnox.core.release import wheels
from relnox.errors import Blocked

MAX_JOBS = 256
"""The jobs that GitHub runs for a matrix."""

T = TypeVar("T")
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

    Args:
        kind: What the jobs do: build platform wheels (`wheels`), build packages (`packages`), or install packages
            on each Python (`verify`).
        packages: The packages in release order.
        settings: `[tool.relnox.wheels]`, which maps packages to the build identifiers of their platform wheels.
        pythons: The versions of Python for `verify`.
        limit: The maximum number of jobs; if packages need more, several share a job.

    Raises:
        Blocked: Packages have so many different wheels that their jobs are more than the limit, or a build
            identifier is not valid.
    """
    if kind == "wheels":
        return {"include": _wheel_rows(packages, settings, limit)}
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


def _split_evenly(items: Sequence[T], limit: int) -> list[Sequence[T]]:
    """Split items into at most `limit` consecutive groups, whose sizes differ by at most one."""
    count = min(len(items), limit)
    return [items[number * len(items) // count : (number + 1) * len(items) // count] for number in range(count)]


def _package_row(packages: Sequence[str]) -> dict[str, str]:
    """Return the matrix row for packages: the `name` of the job, and `packages`, its options (`--package A …`)."""
    options = shlex.join([word for package in packages for word in ("--package", package)])
    return {"name": _job_name(packages), "packages": options}


def _job_name(packages: Sequence[str]) -> str:
    """Return the name of the matrix job of packages, by the first one: such as `core` or `core-and-3-more`."""
    return packages[0] if len(packages) == 1 else f"{packages[0]}-and-{len(packages) - 1}-more"


def _wheel_rows(
    packages: Sequence[str], settings: Mapping[str, tuple[str, ...]], limit: int
) -> list[dict[str, Any]]:
    """Return the rows of jobs that build platform wheels, one for each package and platform.

    `settings` is `[tool.relnox.wheels]`. If there would be more than `limit` rows, packages with the same wheels
    share a row, whose `package` and `sdist` then list several, separated by spaces.

    Raises:
        Blocked: Even with shared rows there are more than `limit`, or a build identifier in `settings` is not
            valid.
    """
    rows: list[dict[str, Any]] = wheels.github_matrix(packages, settings)["include"]
    if len(rows) <= limit:
        return rows
    shareable: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in rows:
        platform = row["name"].removeprefix(f"{row['package']}-")
        shareable.setdefault((platform, row["build"]), []).append(row)
    if len(shareable) > limit:
        raise Blocked(
            "setting-invalid",
            f"[tool.relnox.wheels] needs {len(shareable)} jobs, since packages have different wheels (at most "
            f"{limit} jobs run for one matrix)",
            fix="give packages the same list of wheels in [tool.relnox.wheels]",
        )
    shared = []
    for (platform, _), own in shareable.items():
        for group in _split_evenly(own, 1 + (limit - len(shareable)) * len(own) // len(rows)):
            texts = {key: " ".join(row[key] for row in group) for key in ("package", "sdist")}
            shared.append({**group[0], **texts, "name": f"{_job_name(texts['package'].split())}-{platform}"})
    return shared
