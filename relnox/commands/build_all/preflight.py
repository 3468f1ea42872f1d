"""Preflight checks of `build-all`, and the notes of its plan."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from relnox import core
from relnox.commands.shared import consistency
from relnox.commands.shared.project import top_directory
from relnox.core.text import format_count, join_names
from relnox.steps.built_archives import read_manifest_if_valid

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from relnox.commands.build_all.snapshot import Snapshot
    from relnox.commands.options import BuildOptions as Options
    from relnox.commands.shared.project import Project
    from relnox.core.packages import Package
    from relnox.core.problems import Problem
    from relnox.source.copies import EmptySubmodule


def clean_problems(output: Path, removable_files: Sequence[str], project: Project) -> Iterator[Problem]:
    """Yield a problem if `--clean` would remove files outside the checkout from a directory without a manifest."""
    top = top_directory(project.git) or project.root
    output = output.resolve()
    is_outside = not output.is_relative_to(top.resolve())
    if is_outside and removable_files and read_manifest_if_valid(output) is None:
        yield core.problems.Problem(
            code="output-outside-checkout",
            message=f"{output} is outside the checkout, and --clean would remove {join_names(removable_files)} "
            f"(it has no {core.manifest.MANIFEST_JSON} of an earlier build)",
            fix=f"build into dist: {core.fixes.task_command('build-all')}",
        )


def project_problems(packages: tuple[Package, ...], project: Project, commit: str | None) -> Iterator[Problem]:
    """Yield problems if the versions of a package differ, or if modules of the commit import untracked ones."""
    for package in packages:
        package_with_literals = project.literals.workspace.by_name[package.name]
        if package_with_literals.other_locations and not core.version_locations.locations_agree(
            package_with_literals, package_with_literals.version
        ):
            yield core.problems.Problem(
                code="version-locations-differ",
                message=core.version_locations.describe_disagreement(package_with_literals),
                fix=f"set one version everywhere: {core.fixes.task_command('bump', '--to', 'VERSION')}; or ignore "
                "version literals: version-literals = false",
            )
    if commit is not None:
        yield from core.bump_checks.check_no_untracked_imports(project.untracked_imports(packages))


def check_submodules(
    submodules: Iterable[EmptySubmodule], packages: tuple[Package, ...], prefix: str
) -> tuple[list[Problem], list[str]]:
    """Return problems for submodules in the packages that are not initialized, and notes on the others.

    Args:
        submodules: The submodules of the commit that are not initialized.
        packages: The packages to build.
        prefix: The path of the project relative to the top level of the checkout: empty, or ending in a slash.
    """
    directories = [prefix if package.directory == "." else f"{prefix}{package.directory}/" for package in packages]
    missing: list[str] = []
    unlisted: list[str] = []
    others: list[str] = []
    for submodule in submodules:
        is_inside = any(f"{submodule.path}/".startswith(directory) for directory in directories)
        needed = unlisted if not submodule.is_listed else missing
        (needed if is_inside and not submodule.is_optional else others).append(submodule.path)
    problems = []
    if missing:
        problems.append(
            core.problems.Problem(
                code="file-untracked",
                message=f"{join_names(missing)} would be empty in the archives "
                f"({format_count(len(missing), 'submodule')} not initialized)",
                fix="git submodule update --init --recursive",
            )
        )
    problems += [
        core.problems.Problem(
            code="file-untracked",
            message=f"submodule {path} would be empty in the archives (.gitmodules does not list it)",
            fix=f"list it: git submodule add URL {path}; or remove it: git rm --cached {path}",
        )
        for path in unlisted
    ]
    notes = [f"not initialized, and empty in the build: submodules {join_names(others)}"] if others else []
    return problems, notes


def uncommitted_problems(snapshot: Snapshot) -> Iterator[Problem]:
    """Yield problems if packages or their version files, from which the plan is made, differ from the commit."""
    if snapshot.commit is None or snapshot.state is None:
        return
    for name in snapshot.uncommitted_packages:
        yield core.problems.Problem(
            code="tree-dirty",
            message=f"{name} is not committed (only committed files are built)",
            fix=f"commit it; to build the working tree: {core.fixes.task_command('build-all', '--from-tree')}",
        )
    decisive_files = {
        file
        for package in snapshot.packages
        for file in (package.pyproject, *(place.file for place in package.locations if place.kind != "lock"))
    }
    if changed_files := sorted(decisive_files.intersection(snapshot.state.changed_files)):
        yield core.problems.Problem(
            code="tree-dirty",
            message=f"uncommitted changes in {', '.join(changed_files)} (only committed files are built)",
            fix="commit the changes; to build the working tree: "
            f"{core.fixes.task_command('build-all', '--from-tree')}",
        )


def notes(snapshot: Snapshot, options: Options) -> list[str]:
    """Return the notes on missing tags, settings, uncommitted changes, and other files in the output directory."""
    lines = [
        f"{name} has no tag on this commit: its build backend derives a development version, which is not for "
        "publishing"
        for name in snapshot.untagged_packages
    ]
    lines += snapshot.notes
    if options.allow_mismatch:
        lines += consistency.ignored_mismatch_notes(snapshot.mismatches)
    if changed_files := uncommitted_files(snapshot, options):
        if snapshot.commit is not None:
            files = f"{join_names(changed_files)} {'is' if len(changed_files) == 1 else 'are'}"
            lines.append(
                f"left out: {files} not committed, and not built (--from-tree includes uncommitted changes)"
            )
        else:
            lines.append("archives include uncommitted changes, and the manifest records that")
    foreign = [
        name
        for name in snapshot.existing_files
        if name not in snapshot.removable_files and not name.startswith(".")
    ]
    if foreign:
        lines.append(
            f"left out: {options.output} has files that are not archives of this project: {', '.join(foreign)}"
        )
    return lines


def uncommitted_files(snapshot: Snapshot, options: Options) -> list[str]:
    """Return the changed and untracked files of the checkout, except those in the output directory."""
    if snapshot.state is None:
        return []
    changed_files = (*snapshot.state.changed_files, *snapshot.state.untracked_files)
    output = PurePosixPath(options.output)
    return [name for name in changed_files if not PurePosixPath(name).is_relative_to(output)]
