"""Build every package: its sdist, and its wheel from that sdist, in dependency order, checked and recorded.

Each package is built isolated, with what its backend asks for. The archives are looked into before they move
to the output folder. The manifest, dist/manifest.json and dist/BUILD_MANIFEST.txt, is written when all is built.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

from relnox import core
from relnox.core.options import CommonOptions, option
from relnox.errors import Refused

if TYPE_CHECKING:
    from pathlib import Path

    from relnox.commands.project import Project
    from relnox.core.config import TestConfig
    from relnox.core.events import Outcome
    from relnox.core.packages import Package
    from relnox.core.plan import Plan, Table
    from relnox.core.steps import Build, RunTests, Step
    from relnox.source.git import GitState

__all__ = ["Options", "Snapshot", "conclude", "observe", "plan"]


class Options(CommonOptions):
    """Options of `build-all`."""

    package: tuple[str, ...] = option(
        (),
        "Build this package only (distribution or folder name; repeatable).",
        metavar="NAME",
        anywhere=False,
    )
    output: str = option("dist", "The folder for the archives.", metavar="DIR")
    clean: bool = option(False, "Remove the archives of earlier builds from the output folder first.")
    test: bool = option(False, "Run the configured tests against each built wheel.")
    strict: bool = option(False, "Take warnings about the archives for errors.")
    continue_on_error: bool = option(False, "Build what does not need a package that failed.")
    isolation: Literal["fast", "strict"] = option(
        "fast",
        "fast shares environments and warm processes where that changes no byte; strict shares nothing.",
        choices=("fast", "strict"),
        metavar="KIND",
    )
    installer: str = option("auto", "What fills the environments.", choices=("auto", "uv", "pip"), metavar="NAME")


class Snapshot(NamedTuple):
    """What a build must know.

    Attributes:
        packages: What to build, in release order.
        needs: For each of them those of them that installing it needs.
        state: What git says; None outside git.
        old: Files of earlier builds in the output folder.
        test: How the tests are run.
        warnings: What discovery passed over.
    """

    packages: tuple[Package, ...]
    needs: dict[str, frozenset[str]]
    state: GitState | None
    epoch: int | None
    old: tuple[str, ...]
    test: TestConfig
    warnings: tuple[str, ...]
    untagged: tuple[str, ...]


def observe(options: Options, project: Project) -> Snapshot:
    """Look at the packages, git, and the output folder."""
    packages = project.chosen(options.package)
    folder = project.root / options.output
    return Snapshot(
        packages=packages,
        needs={package.name: project.workspace.needed_by(package) for package in packages},
        state=project.state,
        epoch=project.git.commit_time() if project.git is not None else None,
        old=tuple(sorted(path.name for path in folder.iterdir())) if folder.is_dir() else (),
        test=project.config.test,
        warnings=project.workspace.warnings,
        untagged=_untagged(packages, project),
    )


def plan(snapshot: Snapshot, options: Options) -> Plan:
    """A build for each package, one check of all archives, the manifest."""
    if options.test and not snapshot.test.command:
        raise Refused(
            "--test is given, but no tests are configured",
            hint='add [tool.relnox.test] command = ["python", "-m", "pytest"] and requires = ["pytest"]',
        )
    chosen = {package.name for package in snapshot.packages}
    steps: list[Step] = []
    old = tuple(name for name in snapshot.old if _is_ours(name))
    if options.clean and old:
        steps.append(core.steps.CleanFolder(folder=options.output, files=old))
    for package in snapshot.packages:
        steps.append(_build(package, snapshot, options))
        if options.test:
            siblings = tuple(sorted(snapshot.needs[package.name] & chosen))
            steps.append(_tests(package, siblings, snapshot.test, options))
    steps.append(core.steps.CheckDistributions(output=options.output, strict=options.strict))
    order = tuple(
        (package.name, tuple(sorted(snapshot.needs[package.name] & chosen))) for package in snapshot.packages
    )
    state = snapshot.state
    steps.append(
        core.steps.WriteManifest(
            output=options.output,
            commit=state.head if state is not None else None,
            dirty=bool(state is not None and state.dirty),
            order=order,
            needs=tuple(
                step.key
                for step in steps
                if isinstance(step, core.steps.Build | core.steps.RunTests | core.steps.CheckDistributions)
            ),
        )
    )
    return core.plan.Plan(
        task="build-all",
        steps=tuple(steps),
        notes=(*snapshot.warnings, *_notes(snapshot, options)),
        continue_on_error=options.continue_on_error,
    )


def conclude(outcome: Outcome, folder: Path) -> tuple[Table, ...]:
    """The manifest says it all."""
    del outcome, folder
    return ()


def _build(package: Package, snapshot: Snapshot, options: Options) -> Build:
    direct = package.needs("build") & snapshot.needs.keys()
    before = sorted(direct.union(*(snapshot.needs[name] & snapshot.needs.keys() for name in direct)))
    return core.steps.Build(
        package=package.name,
        version=package.version,
        folder=package.folder,
        output=options.output,
        epoch=snapshot.epoch,
        strict=options.strict,
        installer=options.installer,
        isolation=options.isolation,
        siblings=tuple(before),
        needs=tuple(f"build {name}" for name in before),
    )


def _tests(package: Package, siblings: tuple[str, ...], test: TestConfig, options: Options) -> RunTests:
    return core.steps.RunTests(
        package=package.name,
        folder=package.folder,
        output=options.output,
        command=test.command,
        requires=test.requires,
        environment=tuple(sorted(test.env.items())),
        siblings=siblings,
        installer=options.installer,
        needs=tuple(f"build {name}" for name in (package.name, *siblings)),
    )


def _notes(snapshot: Snapshot, options: Options) -> list[str]:
    notes = [
        f"{name}: this commit has no tag of its own, so its backend makes up a version between two tags, "
        "which is not for publishing"
        for name in snapshot.untagged
    ]
    if snapshot.state is not None and snapshot.state.dirty:
        notes.append("the tree has uncommitted changes: they are in the archives, and the manifest says so")
    foreign = [name for name in snapshot.old if not _is_ours(name) and not name.startswith(".")]
    if foreign:
        notes.append(f"left alone in {options.output}, not an archive: {', '.join(foreign)}")
    return notes


def _untagged(packages: tuple[Package, ...], project: Project) -> tuple[str, ...]:
    """Packages whose versions come from tags, and that have none on the present commit."""
    state, formats = project.state, project.tag_formats
    here = [tag for tag, commit in state.tags.items() if commit == state.head] if state is not None else []
    return tuple(
        package.name
        for package in packages
        if package.source.kind == "tags" and formats[package.name].latest(here) is None
    )


def _is_ours(name: str) -> bool:
    return (
        name.endswith((".whl", ".tar.gz"))
        or name in (core.manifest.MANIFEST_JSON, core.manifest.MANIFEST_TEXT)
        or name.startswith(".relnox-")
    )
