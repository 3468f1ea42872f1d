"""Rehearse a whole release in a temporary clone, with the embedded index.

Clones the current commit; bumps, commits, tags and pushes in the clone; builds; publishes to an index that relnox
starts on this machine; verifies the installation in new environments. Your checkout is not changed and nothing is
uploaded. The table at the end lists the files of the release.
"""

from __future__ import annotations

from pathlib import Path

from relnox.commands.options import RehearseOptions as Options
from relnox.commands.shared.project import Project
from relnox.commands.shared.releases import read_manifest
from relnox.core import fixes, text, version_groups
from relnox.core.packages import Package
from relnox.core.planning.events import Outcome
from relnox.core.planning.plan import Plan, PlanBuilder, Table
from relnox.core.release.manifest import MANIFEST_JSON
from relnox.errors import Blocked
from relnox.steps.stages import CloneCheckout, Stage

_DIST = "dist"  # in the clone


def plan(options: Options, project: Project) -> Plan:
    """Plan to clone the checkout, and to run every stage of a release in the clone."""
    new = PlanBuilder("rehearse")
    _, state, head = project.require_commit()
    branch = state.branch if project.lines else None
    names = (line.branch for line in (*project.lines, *project.config.branch) if not line.is_glob)
    new.add(
        CloneCheckout(
            commit=head,
            branch=branch or next(names, state.branch or "rehearsal"),
            remote_name=project.config.remote,
            output=_DIST,
        )
    )

    selected = project.workspace.select(options.package)
    version = {name: value for name in ("part", "pre", "to") if (value := getattr(options, name)) is not None}
    # Without a version: the next prerelease of the current phase; an alpha after a final version.
    bump: dict[str, str | bool | tuple[str, ...]] = {**(version or {"part": "pre", "pre": "alpha"})}
    if project.config.versions != "lockstep":
        bump |= {"package": tuple(package.name for package in selected)} if selected else {"all": True}
    bump |= {"commit": True, "tag": True, "then_dev": False, "push": True}

    released = tuple(sorted(_packages_to_release(selected, project)))
    packages = (("package", released),) if released else ()
    embedded, dist = ("index", "embedded"), ("dist", _DIST)
    wheels = _wheel_directories(options, project)
    find_links = (("find_links", wheels),) if wheels else ()
    pythons = (("python", options.python),) if options.python else ()
    new.add(
        Stage(task="bump", options=tuple(bump.items())),
        # Explicit, since settings and variables may name directories outside the clone.
        Stage(task="build-all", options=(("output", _DIST), *packages)),
        Stage(task="publish-test", options=(embedded, dist, *packages, ("verify", False))),
        Stage(task="verify-install", options=(embedded, dist, *packages, *find_links, *pythons)),
    )
    if state.changed_files:
        files = text.format_count(len(state.changed_files), "file")
        new.notes.append(f"left out: uncommitted changes in {files} (the last commit is rehearsed)")
    return new.plan()


def _wheel_directories(options: Options, project: Project) -> tuple[str, ...]:
    """Return the absolute paths of the directories with wheels of other repositories."""
    directories = tuple((project.root / directory).resolve() for directory in options.find_links)
    for directory, path in zip(options.find_links, directories, strict=True):
        if not project.once(_has_wheels, path):
            raise Blocked(
                "wheels-missing",
                f"{directory} has no wheels",
                fix=f"build them in the other repository: {fixes.task_command('build-all')}",
            )
    return tuple(map(str, directories))


def _has_wheels(directory: Path) -> bool:
    return any(directory.glob("*.whl"))


def _packages_to_release(selected_packages: tuple[Package, ...], project: Project) -> set[str]:
    """Return the selected packages, and those that they need in the same fixed version group."""
    package_names = {package.name for package in selected_packages}
    for group in version_groups.find_version_groups(project.workspace, project.config):
        if group.kind == "fixed":
            in_group = {package.name for package in group.packages}
            for package in selected_packages:
                if package.name in in_group:
                    package_names |= project.workspace.needed_by(package) & in_group
    return package_names


def summarize(outcome: Outcome, directory: Path) -> tuple[Table, ...]:
    """Return a table of the files of the release, and one of the stages with their status and duration."""
    seconds = tuple((result.step.key, result.status.value, f"{result.seconds:.1f}") for result in outcome.results)
    stages = Table(title="Stages", columns=("stage", "status", "seconds"), rows=seconds)
    if not (directory / _DIST / MANIFEST_JSON).is_file():
        return (stages,)
    published = {file.filename for stage in outcome.stages for file in stage.publication}  # none before that stage
    files = tuple(
        (file.package, str(file.version), file.filename, f"{file.size:,}", file.sha256)
        for file in read_manifest(directory, _DIST).distributions
        if not published or file.filename in published
    )
    columns = ("package", "version", "file", "bytes", "sha256")
    return (Table(title="Files", columns=columns, rows=files), stages)
