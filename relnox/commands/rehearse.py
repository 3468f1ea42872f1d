"""Rehearse a whole release in a temporary clone, with the embedded index.

Clones the current commit; bumps, commits, tags and pushes in the clone; builds; publishes to an index that relnox
starts on this machine; verifies the installation in new environments. Your checkout is not changed and nothing is
uploaded. The table at the end lists the files of the release.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from relnox.commands import release
from relnox.commands.bump import versions
from relnox.commands.options import BumpOptions
from relnox.commands.options import RehearseOptions as Options
from relnox.commands.shared.releases import read_manifest
from relnox.core import fixes, text
from relnox.core.planning.events import Outcome, Status
from relnox.core.planning.plan import Plan, PlanBuilder, ReleasedPackage, Table
from relnox.core.release.manifest import MANIFEST_JSON
from relnox.errors import Blocked, Problem
from relnox.indexes.targets import EMBEDDED
from relnox.project import Project
from relnox.source.git import remotes
from relnox.steps.stages import CreateTemporaryClone

_DIST = "dist"  # in the clone


def plan(options: Options, project: Project) -> Plan:
    """Plan to clone the checkout, and to run every stage of a release in the clone."""
    new = PlanBuilder("rehearse")
    git, state, head = project.require_commit()
    branch = state.branch if project.release_lines else None
    names = (line.branch for line in (*project.release_lines, *project.config.branch) if not line.is_glob)
    new.add(
        CreateTemporaryClone(
            commit=head,
            branch=branch or next(names, state.branch or "rehearsal"),
            remote_name=project.config.remote,
            output=_DIST,
        )
    )

    selected = tuple(package.name for package in project.workspace.select(options.package))
    automatic = _packages_bumped_by_commits(project, selected)
    request = _choose_bump_options(options, project, selected, is_automatic=bool(automatic))
    if request.get("part") == "auto" and not selected:  # those that were released before are not released again
        tags = project.package_tags
        untagged = (package.name for package in project.workspace.packages if not tags.get(package.name))
        released = tuple(sorted({*automatic, *untagged}))
    else:
        released = tuple(sorted(_packages_to_release(selected, project)))
    is_part = bool(released) and len(released) < len(project.workspace.packages)
    wheels = tuple(
        project.once(_resolve_wheel_directory, directory, project.root) for directory in options.find_links
    )
    verify = {"find_links": wheels, "python": options.python}
    if not request:
        new.notes.append(f"versions are managed by {project.config.managed_by}: HEAD is released as it is")
    chain = release.ReleaseChain(
        releases=tuple(ReleasedPackage(package=name, version="") for name in released),
        is_part=is_part,
        dist=_DIST,  # explicit, since settings and variables may name directories outside the clone
        bump={**request, "then_dev": False} if request else {},
        test_index=EMBEDDED,
        verify={name: values for name, values in verify.items() if values},
    )
    new.add(*release.release_stages(chain))
    if state.changed_files:
        files = text.format_count(len(state.changed_files), "file")
        new.notes.append(f"left out: uncommitted changes in {files} (the last commit is rehearsed)")
    if project.config.remote not in remotes.remote_names(git):
        request.pop("push", None)  # the checkout has no remote, unlike its clone
    words = (word for name, value in request.items() for word in fixes.option_words(name, value))
    next_command = fixes.task_command("bump", *words) if request else fixes.task_command("build-all")
    new.next_command = f"git commit --all && {next_command}" if state.changed_files else next_command
    return new.build()


def _choose_bump_options(
    options: Options, project: Project, selected: tuple[str, ...], *, is_automatic: bool
) -> dict[str, Any]:
    """Return the options of the bump by field name.

    Without `--part`, `--pre` and `--to`, the bump is `--part auto` if the commits ask for one (`is_automatic`),
    else `--part patch`; or the result is empty if the settings say that another tool sets the versions. `selected`
    has the names of the packages to bump; if it is empty, all are bumped (with `auto`: those whose commits ask for
    it).
    """
    version = {name: value for name in ("part", "pre", "to") if (value := getattr(options, name)) is not None}
    if project.config.managed_by is not None and not version:
        return {}
    version = version or {"part": "auto" if is_automatic else "patch"}
    which: dict[str, Any] = {"package": selected} if selected else {"all": True}
    if (version == {"part": "auto"} and not selected) or project.config.versions == "lockstep":
        which = {}
    return {**version, **which, "commit": True, "tag": True, "push": True}


def _packages_bumped_by_commits(project: Project, selected: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names of the packages that `--part auto` bumps, of those in `selected`, or of all if it is empty.

    The result is empty if the bump is blocked.
    """
    automatic = BumpOptions(part="auto", package=selected, commit=True, tag=True)
    try:
        packages = versions.select_packages(automatic, project)
        (bumps, _), problems = versions.decide_versions(automatic, project, packages)
        return () if problems else tuple(bump.package.name for bump in bumps)
    except Problem:  # such as no tag yet; what keeps packages from being bumped is reported by the bump
        return ()


def _resolve_wheel_directory(directory: str, root: Path) -> str:
    """Return the absolute path of a directory of `--find-links`, given relative to `root`.

    Raises:
        Blocked: It has no wheels.
    """
    path = (root / directory).resolve()
    if not any(path.glob("*.whl")):
        raise Blocked(
            "wheels-missing",
            f"--find-links {directory} has no wheels",
            fix=f"build them in the other repository: {fixes.task_command('build-all')}",
        )
    return str(path)


def _packages_to_release(selected: tuple[str, ...], project: Project) -> set[str]:
    """Return the names `selected`, and the packages that these need and that share a version with them.

    Packages share a version if the settings put them in one group of kind `fixed`. The result is empty if none are
    selected.
    """
    needed = set(selected)
    for group in project.version_groups:
        if group.kind == "fixed":
            in_group = {package.name for package in group.packages}
            for name in in_group.intersection(selected):
                needed |= project.workspace.runtime_dependencies(project.workspace.by_name[name]) & in_group
    return needed


def summarize(outcome: Outcome, directory: Path) -> tuple[Table, ...]:
    """Return a table of the release's files, if they were built, and one of the stages, with status and time.

    `directory` is the clone in which the stages ran, or the checkout if it was not cloned.
    """
    stages = release.summarize(outcome, directory)
    is_cloned = outcome.results[0].status is Status.SUCCESS  # or else the directory is that of the project
    if not (is_cloned and (directory / _DIST / MANIFEST_JSON).is_file()):
        return stages
    published = {file.filename for stage in outcome.stages for file in stage.publication}  # none before that stage
    files = tuple(
        (file.package, str(file.version), file.filename, f"{file.size:,}", file.sha256)
        for file in read_manifest(directory, _DIST).distributions
        if not published or file.filename in published
    )
    columns = ("package", "version", "file", "bytes", "sha256")
    return (Table(title="Files", columns=columns, rows=files), *stages)
