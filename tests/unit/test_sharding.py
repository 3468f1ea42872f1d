"""A workspace split over jobs: all of it, what belongs together in one job, about the same for each."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relnox.core.packages import Dependency, Package, VersionSource
from relnox.core.release.sharding import select_shard
from relnox.errors import Blocked

if TYPE_CHECKING:
    from relnox.core.packages import DependencyTable

NAMES = tuple(f"p{number:02}" for number in range(12))


def package(name: str, build: tuple[str, ...] = (), runtime: tuple[str, ...] = ()) -> Package:
    tables: tuple[tuple[DependencyTable, tuple[str, ...]], ...] = (("build", build), ("runtime", runtime))
    return Package(
        name=name,
        directory=name,
        version=None,
        source=VersionSource(kind="dynamic", file=f"{name}/pyproject.toml"),
        backend="hatchling.build",
        dependencies=tuple(
            Dependency(name=need, text=need, table=table) for table, needs in tables for need in needs
        ),
    )


def split(packages: list[Package], parts: int) -> list[list[str]]:
    return [[each.name for each in select_shard(packages, f"{number + 1}/{parts}")] for number in range(parts)]


def test_independent_packages_are_distributed_evenly() -> None:
    parts = split([package(f"p{number:03}") for number in range(500)], 7)

    assert sorted(map(len, parts)) == [71, 71, 71, 71, 72, 72, 72]


def test_build_requirements_are_in_the_same_shard() -> None:
    packages = [
        package("tool", runtime=("library",)),
        package("library"),
        package("one", build=("tool",)),
        package("two", build=("tool",)),
        *(package(name) for name in ("a", "b", "c")),
        package("later", runtime=("one", "a")),  # is built without them
    ]

    parts = split(packages, 2)

    assert sorted(map(sorted, parts)) == [["a", "b", "c", "later"], ["library", "one", "tool", "two"]]


def test_the_order_is_kept_and_irrelevant() -> None:
    packages = [package(name) for name in NAMES]
    shuffled = random.Random(7).sample(packages, len(packages))

    parts = split(packages, 5)

    assert all(part == sorted(part) for part in parts)
    assert [sorted(part) for part in split(shuffled, 5)] == parts


def test_more_shards_than_packages() -> None:
    assert sorted(split([package("a"), package("b")], 3)) == [[], ["a"], ["b"]]


@given(st.dictionaries(st.sampled_from(NAMES), st.sets(st.sampled_from(NAMES)), min_size=1), st.integers(1, 6))
def test_every_package_is_in_exactly_one_shard_with_its_build_requirements(
    needs: dict[str, set[str]], count: int
) -> None:
    parts = split([package(name, build=tuple(sorted(of))) for name, of in needs.items()], count)

    assert sorted(name for part in parts for name in part) == sorted(needs)
    for part in parts:
        for name in part:
            assert needs[name] & needs.keys() <= set(part)


@pytest.mark.parametrize("part", ["", "0/3", "4/3", "1/0", "2", "a/b", "-1/2", "1/2/3", " 1/2"])
def test_invalid_shards_are_rejected(part: str) -> None:
    with pytest.raises(Blocked, match="is not a valid shard"):
        select_shard([package("a")], part)
