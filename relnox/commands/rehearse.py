"""Rehearse a whole release in a temporary clone, with the embedded index.

Clones the current commit; bumps, commits, tags and pushes in the clone; builds; publishes to an index that relnox
starts on this machine; verifies the installation in new environments. Your checkout is not changed and nothing is
uploaded. The table at the end lists the files of the release.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from relnox import core, steps
from relnox.commands.shared.manifests import read_manifest
from relnox.core import fixes
from relnox.errors import Blocked

if TYPE_CHECKING:
    from relnox.commands.options import RehearseOptions as Options
    from relnox.commands.shared.project import Project
    from relnox.core.packages import Package
    from relnox.core.planning.events import Outcome
    from relnox.core.planning.plan import Plan, Table
    from relnox.source.git import GitState


_DIST = "dist"  # in the clone


class Snapshot(NamedTuple):
    """The state of a project before a rehearsal.

    `released` are the selected packages, and the packages they need that are bumped together with them. The paths
    of directories with wheels of other repositories are absolute.
    """

    state: GitState
    branch: str
    remote_name: str
    lockstep: bool
    selected: tuple[str, ...]
    released: tuple[str, ...]
    wheel_directories: tuple[str, ...]


def observe(options: Options, project: Project) -> Snapshot:
    """Read the commit to rehearse and the packages."""
    state = project.state
    if state is None:
        raise Blocked(
            "not-a-git-repository", f"{project.root} is not in a git repository", fix=fixes.CREATE_REPOSITORY
        )
    if state.head is None:
        raise Blocked("branch-changed", "the git repository has no commit yet", fix="git add -A && git commit")
    branch = state.branch if project.lines else None
    names = (line.branch for line in (*project.lines, *project.config.branch) if not line.is_glob)
    branch = branch or next(names, state.branch or "rehearsal")
    selected_packages = project.workspace.select(options.package)
    wheel_directories = tuple(str((project.root / directory).resolve()) for directory in options.find_links)
    for directory, path in zip(options.find_links, wheel_directories, strict=True):
        if not any(Path(path).glob("*.whl")):
            raise Blocked(
                "wheels-missing",
                f"{directory} has no wheels",
                fix=f"build them in the other repository: {fixes.task_command('build-all')}",
            )
    return Snapshot(
        state,
        branch,
        project.config.remote,
        project.config.versions == "lockstep",
        tuple(package.name for package in selected_packages),
        tuple(sorted(_packages_to_release(selected_packages, project))),
        wheel_directories,
    )


def _packages_to_release(selected_packages: tuple[Package, ...], project: Project) -> set[str]:
    """Return the selected packages, and those that they need in the same fixed version group."""
    package_names = {package.name for package in selected_packages}
    for group in core.version_groups.find_version_groups(project.workspace, project.config):
        if group.kind == "fixed":
            in_group = {package.name for package in group.packages}
            for package in selected_packages:
                if package.name in in_group:
                    package_names |= project.workspace.needed_by(package) & in_group
    return package_names


def plan(snapshot: Snapshot, options: Options) -> Plan:
    """Plan to clone the checkout, and to run every stage of a release in the clone."""
    version = {name: value for name in ("part", "pre", "to") if (value := getattr(options, name)) is not None}
    if not version:
        # The next prerelease of the current phase; an alpha after a final version.
        version = {"part": "pre", "pre": "alpha"}
    bump_options: dict[str, str | bool | tuple[str, ...]] = dict(version)
    if not snapshot.lockstep:
        bump_options |= {"package": snapshot.selected} if snapshot.selected else {"all": True}
    bump_options |= {"commit": True, "tag": True, "then_dev": False, "push": True}
    packages = (("package", snapshot.released),) if snapshot.released else ()
    wheel_directories = (("find_links", snapshot.wheel_directories),) if snapshot.wheel_directories else ()
    embedded, dist = ("index", "embedded"), ("dist", _DIST)
    publish_options = (embedded, dist, *packages, ("verify", False))
    pythons = (("python", options.python),) if options.python else ()
    stages = (
        steps.CloneCheckout(
            commit=snapshot.state.head or "",
            branch=snapshot.branch,
            remote_name=snapshot.remote_name,
            output=_DIST,
        ),
        steps.Stage(task="bump", options=tuple(bump_options.items())),
        # Explicit, since settings and variables may name directories outside the clone.
        steps.Stage(task="build-all", options=(("output", _DIST), *packages)),
        steps.Stage(task="publish-test", options=publish_options),
        steps.Stage(task="verify-install", options=(embedded, dist, *packages, *wheel_directories, *pythons)),
    )
    notes: tuple[str, ...] = ()
    if dirty := len(snapshot.state.changed_files):
        files = core.text.format_count(dirty, "file")
        notes = (f"left out: uncommitted changes in {files} (the last commit is rehearsed)",)
    return core.plan.Plan(task="rehearse", steps=stages, notes=notes)


def summarize(outcome: Outcome, directory: Path) -> tuple[Table, ...]:
    """Return a table of the files of the release, and one of the stages with their status and duration."""
    seconds = tuple((result.step.key, result.status.value, f"{result.seconds:.1f}") for result in outcome.results)
    stages = core.plan.Table(title="Stages", columns=("stage", "status", "seconds"), rows=seconds)
    if not (directory / _DIST / core.manifest.MANIFEST_JSON).is_file():
        return (stages,)
    published = {file.filename for stage in outcome.stages for file in stage.publication}  # none before that stage
    files = tuple(
        (file.package, str(file.version), file.filename, f"{file.size:,}", file.sha256)
        for file in read_manifest(directory, _DIST).distributions
        if not published or file.filename in published
    )
    columns = ("package", "version", "file", "bytes", "sha256")
    return (core.plan.Table(title="Files", columns=columns, rows=files), stages)
