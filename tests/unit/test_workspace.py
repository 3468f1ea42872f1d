from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from packaging.version import Version

from relnox.core.packages import Dependency, Package, VersionSource
from relnox.core.workspace import Workspace
from relnox.errors import Blocked

if TYPE_CHECKING:
    from relnox.core.packages import DependencyTable


def package(name: str, *, directory: str = "", **needs: list[str]) -> Package:
    """A package; `needs` are lists of names by table."""
    tables: dict[str, DependencyTable] = {
        "runtime": "runtime",
        "extra": "extra",
        "group": "group",
        "build": "build",
    }
    directory = directory or f"packages/{name}"
    return Package(
        name=name,
        directory=directory,
        version=Version("1.0"),
        source=VersionSource(
            kind="toml", file=f"{directory}/pyproject.toml", key=("project", "version"), text="1.0"
        ),
        backend="hatchling.build",
        dependencies=tuple(
            Dependency(name=need, text=need, table=tables[table]) for table, of in needs.items() for need in of
        ),
    )


WORKSPACE = Workspace(
    (
        package("acme-agents", directory="libs/agents", runtime=["acme-core", "requests"]),
        package("acme-builder", directory="tools/builder", group=["acme-core", "acme-builder"]),
        package("acme-core", directory="libs/core", build=["acme-builder"], extra=["acme-agents", "acme-runtime"]),
        package("acme-runtime", directory="libs/run_time", runtime=["acme-agents"], extra=["acme-runtime"]),
        package("acme-twin", directory="tools/core"),
    )
)


def names(packages: tuple[Package, ...]) -> list[str]:
    return [each.name for each in packages]


def test_requirements_to_build_and_to_install_order_the_waves_and_extras_and_groups_do_not() -> None:
    # an extra lists every sibling, groups form a circle, a backend is a sibling.
    assert [names(wave) for wave in WORKSPACE.waves] == [
        ["acme-builder", "acme-twin"],
        ["acme-core"],
        ["acme-agents"],
        ["acme-runtime"],
    ]


def test_the_release_order_of_some() -> None:
    some = WORKSPACE.select(["acme-runtime", "acme-core", "acme-builder"])
    assert names(WORKSPACE.release_order(some)) == ["acme-builder", "acme-core", "acme-runtime"]
    assert len(WORKSPACE.release_order()) == 5


def test_dependents_name_a_package_in_any_table() -> None:
    assert names(WORKSPACE.dependents("acme-core")) == ["acme-agents", "acme-builder"]
    assert names(WORKSPACE.dependents("acme-builder")) == ["acme-core"]
    assert names(WORKSPACE.dependents("requests")) == ["acme-agents"]


def test_what_an_installation_needs() -> None:
    runtime = WORKSPACE.by_name["acme-runtime"]
    assert WORKSPACE.runtime_dependencies(runtime) == {"acme-agents", "acme-core"}


@pytest.mark.parametrize(
    ("name", "package"),
    [
        ("acme-agents", "acme-agents"),
        ("ACME.Agents", "acme-agents"),
        ("acme_core", "acme-core"),
        ("agents", "acme-agents"),
        ("run_time", "acme-runtime"),
        ("libs/core", "acme-core"),
        ("tools/core", "acme-twin"),
        ("tools/core/", "acme-twin"),  # with the slash of shell completion
    ],
)
def test_a_package_is_selected_by_its_name_or_its_directory(name: str, package: str) -> None:
    assert names(WORKSPACE.select([name])) == [package]


def test_a_selection_has_the_order_of_the_workspace_and_no_duplicates() -> None:
    assert names(WORKSPACE.select(["libs/core", "agents", "acme-core"])) == ["acme-agents", "acme-core"]


@pytest.mark.parametrize(
    ("name", "fix"),
    [
        ("acme-agent", "did you mean acme-agents?"),
        ("runtime", "did you mean run_time?"),
        (
            "zebra",
            "choose one of acme-agents, acme-builder, acme-core, acme-runtime, acme-twin",
        ),
    ],
)
def test_an_unknown_name_is_rejected_with_a_suggestion(name: str, fix: str) -> None:
    with pytest.raises(Blocked) as caught:
        WORKSPACE.select(["acme-core", name])
    assert name in caught.value.message
    assert caught.value.fix == fix


def test_the_name_of_two_directories_is_rejected_with_both() -> None:
    with pytest.raises(Blocked) as caught:
        WORKSPACE.select(["core"])
    assert "libs/core, tools/core" in caught.value.message
    assert caught.value.fix == "use the name of the distribution: --package acme-core"


def test_a_distribution_wins_over_a_directory_of_that_name() -> None:
    workspace = Workspace((package("core", directory="libs/base"), package("base", directory="libs/core")))
    assert names(workspace.select(["core"])) == ["core"]
