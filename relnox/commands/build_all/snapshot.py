"""What `build-all` is planned from: packages, checkout, build settings, and the output directory."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from relnox.commands.shared.hooks import Hooks
    from relnox.core.packages import Package
    from relnox.core.problems import Problem
    from relnox.core.settings.build_settings import BuildSettings
    from relnox.core.settings.config import Config
    from relnox.core.tagging.derived_versions import CommitTags
    from relnox.source.git import GitState


class Snapshot(NamedTuple):
    """The state that the plan of a build depends on.

    Attributes:
        packages: The packages to build, in release order.
        needs: Maps each package to the other packages of the project that must be installed with it.
        state: The state of the checkout; None outside git.
        commit: The commit to build; None to build the working tree.
        uncommitted_packages: The names of packages that are not in that commit.
        epoch: The time of the current commit, in seconds since 1970; None outside git.
        config: The project's settings.
        existing_files: The names of all files and directories in the output directory; those of directories
            end with a slash.
        manifest_files: The names of an earlier build's manifest, which is removed before the first build.
        removable_files: The names that `--clean` removes: the manifest, the archives that it lists, and other
            archives of this project's packages.
        tags: The tags on the commit, for each package whose version is computed by its build backend.
        settings: The build settings of each package, besides `[build-system]`.
        warnings: The warnings found while searching for packages.
        untagged_packages: The names of packages whose versions come from tags, but that have no tag on the commit.
        declarative: The names of packages whose builds run no code except that of the build backend.
        problems: Problems with version locations that differ, imports of untracked modules, and empty submodules.
        notes: Notes on requirements, versions, build settings and submodules of the packages.
        mismatches: Contradictions between the tags, the expected version and the versions of packages.
        hooks: The project's hooks.
    """

    packages: tuple[Package, ...]
    needs: dict[str, frozenset[str]]
    state: GitState | None
    commit: str | None
    uncommitted_packages: tuple[str, ...]
    epoch: int | None
    config: Config
    existing_files: tuple[str, ...]
    manifest_files: tuple[str, ...]
    removable_files: tuple[str, ...]
    tags: Mapping[str, CommitTags]
    settings: Mapping[str, BuildSettings]
    warnings: tuple[str, ...]
    untagged_packages: tuple[str, ...]
    declarative: frozenset[str]
    problems: tuple[Problem, ...]
    notes: tuple[str, ...]
    mismatches: tuple[Problem, ...]
    hooks: Hooks
