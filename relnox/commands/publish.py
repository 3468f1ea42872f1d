"""Publish exactly the manifest's files to the production index, and see that they are there.

Packages go up after those that they need. A file that the index has with our hash is skipped; one that it has
with another hash stops everything before the first byte. The same command finishes what was interrupted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from relnox import core
from relnox.commands import attesting, consistency
from relnox.commands.publishing import inspection, ordering, preflight, resolving
from relnox.core.options import CommonOptions, option

if TYPE_CHECKING:
    from pathlib import Path

    from relnox.commands.project import Project
    from relnox.commands.publishing.inspection import Snapshot
    from relnox.core.events import Outcome
    from relnox.core.plan import Plan, Table

__all__ = ["Options", "observe", "plan", "summarize"]


class Options(CommonOptions):
    """Options of `publish`."""

    index: str | None = option(
        None,
        "The index to publish to; without it what [tool.relnox.targets] says of the release's tag, or else pypi.",
        metavar="NAME",
        anywhere=False,
    )
    package: tuple[str, ...] = option(
        (), "Publish this package only (repeatable).", metavar="NAME", anywhere=False
    )
    dist: str = option("dist", "The folder with the manifest and its files.", metavar="DIR")
    attestations: str = option("auto", attesting.HELP, choices=attesting.CHOICES, metavar="POLICY")
    compare_limit: int = option(ordering.COMPARE_LIMIT, ordering.COMPARE_HELP, metavar="MIB")
    check_requirements: bool = option(True, resolving.HELP)
    allow_mismatch: bool = option(False, consistency.HELP, anywhere=False)
    yes: bool = option(False, "Publish without asking.", anywhere=False)


def observe(options: Options, project: Project) -> Snapshot:
    """Read the manifest, hash its files, ask the index what it has, look for credentials."""
    index = options.index or _by_rule(options, project)
    return inspection.look(
        index,
        options.dist,
        options.package,
        project,
        options.attestations,
        check_requirements=options.check_requirements,
        lock=not options.dry_run,
    )


def plan(snapshot: Snapshot, options: Options) -> Plan:
    """Upload what is missing, package after package, and see that it is listed."""
    index = snapshot.target
    steps = tuple(ordering.steps(snapshot, options.dist, options.compare_limit))
    consent = None
    if snapshot.missing and snapshot.production and not options.yes and snapshot.skipped is None:
        listed = ", ".join(f"{name} {snapshot.manifest.version(name)}" for name in snapshot.manifest.packages)
        consent = f"Publish {listed} to {index} ({snapshot.host}), for good?"
    return core.plan.Plan(
        task="publish",
        steps=steps,
        notes=tuple(preflight.notes(snapshot, index, allow_mismatch=options.allow_mismatch)),
        problems=preflight.problems(snapshot, index, options.dist, allow_mismatch=options.allow_mismatch),
        consent=consent,
        continue_on_error=True,
        skipped=snapshot.skipped,
        public=preflight.public(snapshot, allow_mismatch=options.allow_mismatch),
    )


def summarize(outcome: Outcome, folder: Path) -> tuple[Table, ...]:
    """The steps say it all."""
    del outcome, folder
    return ()


def _by_rule(options: Options, project: Project) -> str:
    """The index that the project's rules have for the tags at the commit that was built."""
    from relnox.indexes import targets

    if not project.config.targets:
        return targets.PRODUCTION
    manifest, _ = inspection.chosen(options.dist, options.package, project)
    tags = project.state.tags if project.state is not None else {}
    here = [name for name, commit in tags.items() if commit == manifest.commit]
    return targets.by_rule(
        project.config,
        {
            name: next(
                (
                    (tag, version)
                    for tag, version in project.tag_formats[name].matches(sorted(here))
                    if version == manifest.version(name)
                ),
                None,
            )
            for name in manifest.packages
        },
    )
