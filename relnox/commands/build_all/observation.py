"""Observing the project before a build: its packages, the checkout, build settings, and the output directory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relnox import core
from relnox.building.interpreters import find_interpreter
from relnox.commands.build_all import preflight
from relnox.commands.build_all.build_settings import read_build_settings
from relnox.commands.build_all.snapshot import Snapshot
from relnox.commands.shared import consistency, hooks
from relnox.source.copies import find_empty_submodules
from relnox.source.declarative_builds import has_declarative_build
from relnox.steps.built_archives import read_manifest_if_valid

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from pathlib import Path

    from relnox.commands.options import BuildOptions as Options
    from relnox.commands.shared.project import Project
    from relnox.core.packages import Package
    from relnox.core.tagging.derived_versions import CommitTags
    from relnox.core.tagging.tags import TagFormat
    from relnox.source.copies import EmptySubmodule

_MANIFEST_FILES = (core.manifest.MANIFEST_JSON, core.manifest.MANIFEST_TEXT)


def observe(options: Options, project: Project) -> Snapshot:
    """Read the packages, the state of the checkout, the build settings, and the output directory."""
    packages = project.select(consistency.selected_packages(options, options.package, project))
    for version in options.python:
        find_interpreter(version)  # fails now, not after half of the builds
    git, state = project.git, project.state
    commit: str | None = None
    uncommitted_packages: tuple[str, ...] = ()
    empty_submodules: tuple[EmptySubmodule, ...] = ()
    if git is not None and state is not None and state.head is not None and not options.from_tree:
        commit = state.head
        object_ids = git.object_ids(commit, [package.pyproject for package in packages])
        uncommitted_packages = tuple(package.name for package in packages if object_ids[package.pyproject] is None)
        empty_submodules = tuple(find_empty_submodules(git, commit, git.tree_entries(commit)))
    output = project.root / options.output
    existing_files = tuple(sorted(_file_names(output))) if output.is_dir() else ()
    manifest_files = tuple(name for name in _MANIFEST_FILES if name in existing_files)
    removable_files = (*manifest_files, *_removable_archives(output, existing_files, project.workspace.by_name))
    tags_here = [tag for tag, tagged in state.tags.items() if tagged == state.head] if state is not None else []
    versions = consistency.compare_versions(options, project, tuple(package.name for package in packages))
    mismatches, consistency_notes = consistency.check_build(packages, project, commit, versions.tag)
    settings, settings_notes = read_build_settings(packages, project)
    formats = project.tag_formats
    prefix = git.prefix if git is not None else ""
    submodule_problems, submodule_notes = preflight.check_submodules(empty_submodules, packages, prefix)
    return Snapshot(
        packages=packages,
        needs={package.name: project.workspace.needed_by(package) for package in packages},
        state=state,
        commit=commit,
        uncommitted_packages=uncommitted_packages,
        epoch=git.head_time() if git is not None else None,
        config=project.config,
        existing_files=existing_files,
        manifest_files=manifest_files,
        removable_files=removable_files,
        tags=dict(_commit_tags(packages, formats, tags_here)) if commit is not None else {},
        settings=settings,
        warnings=project.workspace.warnings,
        untagged_packages=tuple(
            package.name
            for package in packages
            if package.source.kind == "tags" and formats[package.name].latest_tag(tags_here) is None
        ),
        declarative=frozenset(
            package.name for package in packages if has_declarative_build(project.root, package)
        ),
        problems=(
            *preflight.project_problems(packages, project, commit),
            *(preflight.clean_problems(output, removable_files, project) if options.clean else ()),
            *submodule_problems,
        ),
        notes=(
            *core.requirements.unbounded_sibling_warnings(packages, project.workspace),
            *versions.notes,
            *consistency_notes,
            *settings_notes,
            *submodule_notes,
        ),
        mismatches=(*versions.problems, *mismatches),
        hooks=hooks.read_hooks(project),
    )


def _file_names(directory: Path) -> Iterator[str]:
    """Yield the names in a directory, with a slash after those of directories."""
    for path in directory.iterdir():
        yield f"{path.name}/" if path.is_dir() and not path.is_symlink() else path.name


def _removable_archives(directory: Path, files: Sequence[str], packages: Collection[str]) -> Iterator[str]:
    """Yield the archives that a build may have written: those in the manifest, and those of the packages."""
    manifest = read_manifest_if_valid(directory)
    built = {file.filename for file in manifest.distributions} if manifest is not None else set()
    for name in files:
        # The version follows the last dash in the name of an sdist, and the first one in the name of a wheel.
        project = name.partition("-")[0] if name.endswith(".whl") else name.rpartition("-")[0]
        is_archive = name.endswith((".whl", ".tar.gz")) and core.names.normalize_name(project) in packages
        if is_archive or name in built:
            yield name


def _commit_tags(
    packages: tuple[Package, ...], formats: Mapping[str, TagFormat], tags_here: list[str]
) -> Iterator[tuple[str, CommitTags]]:
    """Yield each package whose version is computed by its build backend, with the tags on the current commit."""
    from relnox.source import tag_versions

    for package in packages:
        if package.source.kind in ("tags", "dynamic"):
            derives = package.source.kind == "tags"
            remedy = ""
            if derives:
                settings = tag_versions.settings_for_own_tags(package, formats[package.name].prefix)
                remedy = f"make the build backend use the package's own tags; add to the named file:\n{settings}"
            commit_tags = core.derived_versions.tags_of_commit
            yield package.name, commit_tags(package.name, tags_here, formats, derives=derives, remedy=remedy)
