"""Publish to a test index, and prove it by installing from there.

The same as `publish`, to an index that is for trying: the public test index, one of your own, or the embedded
one (--index embedded), which needs neither network nor account. It can never reach the production index.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from relnox import core
from relnox.commands import attesting, consistency, verify_install
from relnox.commands.publishing import inspection, ordering, preflight, resolving
from relnox.core.options import CommonOptions, option
from relnox.core.records import replace
from relnox.errors import Blocked

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from relnox.commands.project import Project
    from relnox.core.config import ArchiveLimits, VerifyConfig
    from relnox.core.events import Outcome
    from relnox.core.plan import Plan, Table

__all__ = ["Options", "Snapshot", "observe", "plan", "summarize"]

_PATIENCE = 600


class Options(CommonOptions):
    """Options of `publish-test`."""

    index: str = option("testpypi", "The index to publish to.", metavar="NAME", anywhere=False)
    package: tuple[str, ...] = option(
        (), "Publish this package only (repeatable).", metavar="NAME", anywhere=False
    )
    dist: str = option("dist", "The folder with the manifest and its files.", metavar="DIR")
    attestations: str = option("auto", attesting.HELP, choices=attesting.CHOICES, metavar="POLICY")
    compare_limit: int = option(ordering.COMPARE_LIMIT, ordering.COMPARE_HELP, metavar="MIB")
    check_requirements: bool = option(True, resolving.HELP)
    allow_mismatch: bool = option(False, consistency.HELP, anywhere=False)
    verify: bool = option(True, "Install from the index afterwards; --no-verify leaves it out.")
    pypi_rules: bool = option(False, "Have the embedded index refuse what the public one would.", anywhere=False)
    clear: bool = option(False, "Empty the embedded index first.", anywhere=False)
    installer: str = option("auto", "What fills the environments.", choices=("auto", "uv", "pip"), metavar="NAME")


class Snapshot(NamedTuple):
    """What publishing must know, and what else to try when verifying."""

    published: inspection.Snapshot
    verify: VerifyConfig


def observe(options: Options, project: Project) -> Snapshot:
    """Refuse the production index, then look as `publish` does."""
    if project.indexes.is_production(options.index):
        raise Blocked(
            "todo",
            f"{options.index} is for good, and publish-test is for trying",
            fix=f"{core.fixes.command('publish', '--index', options.index)}, or choose a test index here",
        )
    verify = verify_install.settings(project)
    if options.clear:
        if options.index != "embedded":
            raise Blocked("todo", f"{options.index} cannot be emptied", fix="--clear goes with --index embedded")
        manifest, _ = inspection.chosen(options.dist, options.package, project)
        if not project.indexes.embedded_holds_only(manifest.distributions):
            project.indexes.expect_clear_embedded()
    if options.pypi_rules:
        project.indexes.rule_embedded(partial(_refusals, limits=project.config.archives))
    looked = inspection.look(
        options.index,
        options.dist,
        options.package,
        project,
        options.attestations,
        as_public=options.pypi_rules,
        check_requirements=options.check_requirements,
        lock=not options.dry_run,
    )
    return Snapshot(looked, verify)


def _refusals(path: Path, limits: ArchiveLimits) -> Iterator[str]:
    """Why the public index would refuse an archive."""
    from relnox.building import checks

    found = checks.errors(path, public=True, limits=limits, may_be_empty=True, optional_extensions=True)
    return (finding.message for finding in found)


def plan(snapshot: Snapshot, options: Options) -> Plan:
    """The uploads, then the proof."""
    looked = snapshot.published
    steps = list(ordering.steps(looked, options.dist, options.compare_limit))
    if options.clear:
        clear = core.steps.ClearIndex(index=options.index, files=looked.manifest.distributions)
        steps = [clear, *(replace(step, needs=(clear.key, *step.needs)) for step in steps)]
    if options.verify:
        waiting = {step.key for step in steps}
        proof = verify_install.verification(
            looked.manifest,
            snapshot.verify,
            index=options.index,
            deadline=_PATIENCE,
            installer=options.installer,
        )
        # Publishing waits for the listing itself.
        steps += [step for step in proof if step.key not in waiting]
    return core.plan.Plan(
        task="publish-test",
        steps=tuple(steps),
        notes=tuple(preflight.notes(looked, options.index, allow_mismatch=options.allow_mismatch)),
        problems=preflight.problems(looked, options.index, options.dist, allow_mismatch=options.allow_mismatch),
        continue_on_error=True,
        skipped=looked.skipped,
        public=preflight.public(looked, allow_mismatch=options.allow_mismatch),
    )


def summarize(outcome: Outcome, folder: Path) -> tuple[Table, ...]:
    """The steps say it all."""
    del outcome, folder
    return ()
