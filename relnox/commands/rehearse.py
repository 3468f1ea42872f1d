"""Rehearse the whole release on a throw-away clone against the embedded index.

Clones the present commit, bumps, commits, tags and pushes there, builds, publishes to an index that relnox
starts on this machine, and verifies the install in fresh environments. Your tree is not touched, nothing is
sent anywhere, and the table at the end says what a release would have made.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from relnox import core
from relnox.commands import bump
from relnox.commands.verify_install import read_manifest
from relnox.core import fixes
from relnox.core.options import CommonOptions, option
from relnox.errors import Blocked

if TYPE_CHECKING:
    from relnox.commands.project import Project
    from relnox.core.events import Outcome
    from relnox.core.packages import Package
    from relnox.core.plan import Plan, Table
    from relnox.source.git import GitState

__all__ = ["Options", "Snapshot", "observe", "plan", "summarize"]


class Options(CommonOptions):
    """Options of `rehearse`."""

    part: str | None = bump.Options.part
    pre: str | None = bump.Options.pre
    to: str | None = bump.Options.to
    package: tuple[str, ...] = option(
        (), "Rehearse the release of this package only (repeatable).", metavar="NAME", anywhere=False
    )
    find_links: tuple[str, ...] = option(
        (),
        "Install requirements from the wheels of another repository in this folder (repeatable).",
        metavar="DIR",
        anywhere=False,
    )
    pypi_rules: bool = option(True, "Refuse what the public index would refuse; --no-pypi-rules takes all.")
    python: tuple[str, ...] = option(
        (), "Verify with this Python, such as 3.12 (repeatable); the running one if none.", metavar="VERSION"
    )
    installer: str = option("auto", "What fills the environments.", choices=("auto", "uv", "pip"), metavar="NAME")


class Snapshot(NamedTuple):
    """What a rehearsal must know.

    Attributes:
        state: What git says.
        branch: The branch that releases are made from.
        lockstep: Whether all packages share one version.
        named: The packages that were asked for; none for all.
        released: They, and those that they need and that get a new version with them.
        others: Folders with wheels of other repositories, by absolute path.
    """

    state: GitState
    branch: str
    lockstep: bool
    named: tuple[str, ...] = ()
    released: tuple[str, ...] = ()
    others: tuple[str, ...] = ()


def observe(options: Options, project: Project) -> Snapshot:
    """Look at the commit to rehearse, and at the packages."""
    state = project.state
    if state is None:
        raise Blocked("todo", f"{project.root} is no git checkout: there is nothing to clone", fix="git init")
    if state.head is None:
        raise Blocked("todo", "there is no commit yet to rehearse", fix="git add -A && git commit")
    branch = project.config.branch or state.branch or "rehearsal"
    named = project.workspace.select(options.package)
    others = tuple(str((project.root / folder).resolve()) for folder in options.find_links)
    for folder, path in zip(options.find_links, others, strict=True):
        if not any(Path(path).glob("*.whl")):
            raise Blocked(
                "todo",
                f"there are no wheels in {folder}",
                fix=f"build them in the other repository: {fixes.command('build-all')}",
            )
    return Snapshot(
        state,
        branch,
        project.release_config.versions == "lockstep",
        tuple(package.name for package in named),
        tuple(sorted(_released(named, project))),
        others,
    )


def _released(named: tuple[Package, ...], project: Project) -> set[str]:
    """Packages, and those that they need and that share their versions: these are new in the same release."""
    released = {package.name for package in named}
    for track in core.version_bumps.version_groups(project.workspace, project.release_config):
        if track.kind == "fixed":
            together = {package.name for package in track.packages}
            for package in named:
                if package.name in together:
                    released |= project.workspace.needed_by(package) & together
    return released


def plan(snapshot: Snapshot, options: Options) -> Plan:
    """Clone, then every stage of a release in the clone."""
    chosen = {name: value for name in ("part", "pre", "to") if (value := getattr(options, name)) is not None}
    if not chosen:
        # The present phase goes on; a final version starts an alpha.
        chosen = {"part": "pre", "pre": "alpha"}
    what: tuple[tuple[str, bool | tuple[str, ...]], ...] = ()
    if not snapshot.lockstep:
        what = (("package", snapshot.named),) if snapshot.named else (("all", True),)
    only = (("package", snapshot.released),) if snapshot.released else ()
    others = (("find_links", snapshot.others),) if snapshot.others else ()
    moved = (*chosen.items(), *what, ("commit", True), ("tag", True), ("push", True))
    embedded = ("index", "embedded")
    published = (embedded, *only, ("pypi_rules", options.pypi_rules), ("verify", False))
    installer = () if options.installer == "auto" else (("installer", options.installer),)
    pythons = (("python", options.python),) if options.python else ()
    steps = (
        core.steps.CloneCheckout(commit=snapshot.state.head or "", branch=snapshot.branch),
        core.steps.Stage(task="bump", options=moved),
        core.steps.Stage(task="build-all", options=(*only, *installer)),
        core.steps.Stage(task="publish-test", options=published),
        core.steps.Stage(task="verify-install", options=(embedded, *only, *others, *pythons, *installer)),
    )
    dirty = len(snapshot.state.dirty)
    notes = (f"{dirty} files with uncommitted changes: the rehearsal is of the last commit",) if dirty else ()
    return core.plan.Plan(task="rehearse", steps=steps, notes=notes)


def summarize(outcome: Outcome, folder: Path) -> tuple[Table, ...]:
    """What a release would have made, and how long each stage took."""
    seconds = tuple((result.step.key, result.status.value, f"{result.seconds:.1f}") for result in outcome.results)
    stages = core.plan.Table(title="Stages", columns=("stage", "status", "seconds"), rows=seconds)
    if not (folder / "dist" / core.manifest.MANIFEST_JSON).is_file():
        return (stages,)
    manifest = read_manifest(folder, "dist")
    files = tuple(
        (file.package, str(file.version), file.filename, f"{file.size:,}", file.sha256)
        for file in manifest.distributions
    )
    columns = ("package", "version", "file", "bytes", "sha256")
    return (core.plan.Table(title="Files", columns=columns, rows=files), stages)
