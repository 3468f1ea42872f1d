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

Kind = Literal["wheels", "packages", "verify"]
_T = TypeVar("_T")


def matrix(
    kind: Kind,
    packages: Sequence[str],
    *,
    settings: Mapping[str, tuple[str, ...]],
    pythons: Sequence[str],
    limit: int = MAX_JOBS,
) -> dict[str, Any]:
    """Return a matrix as GitHub reads it, `{"include": ROWS}`; it has no rows if there is nothing to do.

    Args:
        kind: What the jobs do.
        packages: The packages, in release order.
        settings: The setting `[tool.relnox.wheels]`.
        pythons: The Pythons to verify with.
        limit: The maximum number of jobs.
    """
    if kind == "wheels":
        return {"include": _wheel_rows(packages, settings, limit)}
    if kind == "packages":
        rows = [_package_row(group) for group in groups(packages, limit)]
    else:
        count = max(1, limit // max(1, len(pythons)))
        rows = [
            {**row, "name": f"{row['name']}-{python}", "python": python}
            for python in pythons
            for row in (_package_row(group) for group in groups(packages, count))
        ]
    return {"include": rows}


def groups(items: Sequence[_T], limit: int) -> list[Sequence[_T]]:
    """Return consecutive items in at most `limit` groups, whose sizes differ by at most one."""
    count = min(len(items), limit)
    return [items[number * len(items) // count : (number + 1) * len(items) // count] for number in range(count)]


def _package_row(packages: Sequence[str]) -> dict[str, str]:
    """Return the row of a job for some packages, with the options that select them."""
    options = shlex.join([word for package in packages for word in ("--package", package)])
    return {"name": _name(packages), "packages": options}


def _name(packages: Sequence[str]) -> str:
    """Return the name of a job: it is also that of an artifact, so that it is unique and has no spaces."""
    return packages[0] if len(packages) == 1 else f"{packages[0]}-and-{len(packages) - 1}-more"


def _wheel_rows(
    packages: Sequence[str], settings: Mapping[str, tuple[str, ...]], limit: int
) -> list[dict[str, Any]]:
    """Return the rows of jobs that build platform wheels, each for a package and a platform.

    Packages share a job, with spaces between their names, only if there are too many jobs, and if they have the
    same wheels.

    Raises:
        Blocked: There are more kinds of jobs than jobs.
    """
    rows: list[dict[str, Any]] = wheels.github_matrix(packages, settings)["include"]
    if len(rows) <= limit:
        return rows
    kinds: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in rows:
        platform = row["name"].removeprefix(f"{row['package']}-")
        kinds.setdefault((platform, row["build"]), []).append(row)
    if len(kinds) > limit:
        raise Blocked(
            "setting-invalid",
            f"[tool.relnox.wheels] needs {len(kinds)} jobs, since packages have different wheels (at most {limit} "
            "jobs run for one matrix)",
            fix="give packages the same list of wheels",
        )
    shared = []
    for (platform, _), own in kinds.items():
        for group in groups(own, 1 + (limit - len(kinds)) * len(own) // len(rows)):
            names = [row["package"] for row in group]
            texts = {key: " ".join(row[key] for row in group) for key in ("package", "sdist")}
            shared.append({**group[0], "name": f"{_name(names)}-{platform}", **texts})
    return shared
