"""Matrices: every package and wheel is in exactly one job, in release order, within the limits of the provider."""

from __future__ import annotations

import shlex
from typing import Any

import pytest

from relnox.ci.matrices import MAX_JOBS, matrix
from relnox.errors import Blocked

PYTHONS = ("3.11", "3.13", "3.14")


def rows(kind: Any, count: int, **more: Any) -> list[dict[str, Any]]:
    """The rows for a number of packages, which have unique names."""
    names = [f"package-{number}" for number in range(count)]
    made: list[dict[str, Any]] = matrix(kind, names, **{"settings": {}, "pythons": PYTHONS, **more})["include"]
    assert len({row["name"] for row in made}) == len(made) <= more.get("limit", MAX_JOBS)
    assert not any(" " in row["name"] for row in made)
    return made


@pytest.mark.parametrize("count", [0, 1, 2, 85, 86, 255, 256, 257, 2000])
def test_every_package_is_in_one_job_of_each_kind(count: int) -> None:
    names = [f"package-{number}" for number in range(count)]
    packages = rows("packages", count)
    assert [name for row in packages for name in shlex.split(row["packages"])[1::2]] == names
    assert len(packages) == min(count, MAX_JOBS)
    verified = rows("verify", count)
    for python in PYTHONS:
        own = [row for row in verified if row["python"] == python]
        assert [name for row in own for name in shlex.split(row["packages"])[1::2]] == names
    sizes = {row["packages"].count("--package") for row in packages}
    assert max(sizes, default=0) - min(sizes, default=0) <= 1


@pytest.mark.parametrize("count", [0, 1, 63, 64, 65, 1000])
def test_wheels_share_jobs_only_if_there_are_too_many(count: int) -> None:
    identifiers = ("cp{312,313}-manylinux_x86_64", "cp313-win_amd64", "cp313-macosx_arm64", "cp313-win32")
    settings = {f"package-{number}": identifiers for number in range(count)}
    made = rows("wheels", count, settings=settings)
    wheels = [(package, row["archs"], row["build"]) for row in made for package in row["package"].split()]
    assert len(wheels) == len(set(wheels)) == 4 * count
    assert all(len(row["sdist"].split()) == len(row["package"].split()) for row in made)
    if 4 * count <= MAX_JOBS:
        assert {len(row["package"].split()) for row in made} <= {1}
    else:
        assert MAX_JOBS - 4 < len(made) <= MAX_JOBS


def test_wheels_of_different_pythons_are_never_in_one_job() -> None:
    settings = {f"package-{number}": (f"cp3{9 + number % 5}-win_amd64",) for number in range(20)}
    made = rows("wheels", 20, settings=settings, limit=5)
    assert sorted(len(row["package"].split()) for row in made) == [4] * 5
    with pytest.raises(Blocked, match="needs 5 jobs"):
        rows("wheels", 20, settings=settings, limit=4)
