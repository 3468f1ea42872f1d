"""What a build is planned from."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from relnox.commands.shared.hooks import Hooks
    from relnox.core.packages import Package
    from relnox.core.planning.plan import Problem
    from relnox.core.settings.build_settings import BuildSettings
    from relnox.core.settings.config_tables import TestConfig, WheelsConfig
    from relnox.core.versions.derived_versions import CommitTags
    from relnox.source.git import GitState


class Snapshot(NamedTuple):
    """The state that the plan of a build depends on.

    Attributes:
        packages: The packages to build, in release order.
        needs: The workspace packages that installing a package needs, by package.
        state: The state of the checkout; None outside git.
        commit: The commit to build; None to build the working tree.
        uncommitted_packages: Packages that are not in that commit.
        inputs: A digest of the inputs of each package; empty when the working tree is built.
        epoch: The time of the commit, seconds since 1970; None outside git.
        existing_files: The names in the output folder; those of folders end in a slash.
        removable_files: Those of them that --clean removes: the manifest, archives that it lists, and archives of
            packages of this workspace.
        test: The test configuration.
        commands: The project's own build commands, by package.
        metadata_only: Packages that consist of requirements only, whose wheels may be empty.
        optional_extensions: Packages whose wheels may lack their native modules.
        tags: The tags of the commit, for packages whose versions only their backends know.
        settings: The project's settings for the builds besides `[build-system]`, by package.
        wheels: The packages that have platform wheels, and their platforms.
        warnings: Warnings of discovery.
        untagged_packages: Packages whose versions come from tags, and that have no tag on the commit.
        declarative: Packages whose builds run no code but the backend's.
        problems: Contradicting versions, and imported modules that are not committed.
        notes: Notes on requirements and settings of the packages.
        mismatches: Contradictions between tags, inputs and the versions of packages.
        hooks: The project's hooks.
    """

    packages: tuple[Package, ...]
    needs: dict[str, frozenset[str]]
    state: GitState | None
    commit: str | None
    uncommitted_packages: tuple[str, ...]
    inputs: dict[str, str]
    epoch: int | None
    existing_files: tuple[str, ...]
    removable_files: frozenset[str]
    test: TestConfig
    commands: Mapping[str, tuple[str, ...]]
    metadata_only: frozenset[str]
    optional_extensions: frozenset[str]
    tags: Mapping[str, CommitTags]
    settings: Mapping[str, BuildSettings]
    wheels: WheelsConfig
    warnings: tuple[str, ...]
    untagged_packages: tuple[str, ...]
    declarative: frozenset[str]
    problems: tuple[Problem, ...]
    notes: tuple[str, ...]
    mismatches: tuple[Problem, ...]
    hooks: Hooks
