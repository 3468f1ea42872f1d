"""Tag packages whose version changed, and push the tags: for a CI job after a merge.

A package gets a tag if its version at HEAD differs from that of its last tag. Tags are pushed at most three at a
time, since GitHub starts no workflows for more. The commit must be on the remote's release branch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from relnox import core, steps
from relnox.commands.auto_tag import decisions, observation, preflight
from relnox.core.planning.step import after
from relnox.steps.push_tags import MAX_TAGS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from relnox.commands.auto_tag.decisions import Decision
    from relnox.commands.auto_tag.snapshot import Snapshot
    from relnox.commands.options import AutoTagOptions as Options
    from relnox.commands.shared.project import Project
    from relnox.core.planning.plan import Plan, Table
    from relnox.core.planning.step import Step


def observe(options: Options, project: Project) -> Snapshot:
    """Read the versions, the tags here and on the remote, and which untagged versions the index already has."""
    return observation.observe(options, project)


def plan(snapshot: Snapshot, options: Options) -> Plan:
    """Plan to create and push tags, with a table of all selected packages."""
    package_decisions = decisions.decide(snapshot, options)
    return core.plan.Plan(
        task="auto-tag",
        steps=tuple(_plan_steps(snapshot, package_decisions, options)),
        notes=(*snapshot.workspace.warnings, *preflight.notes(snapshot, package_decisions)),
        problems=tuple(preflight.problems(snapshot, package_decisions)),
        tables=(_decision_table(package_decisions),),
    )


def _plan_steps(snapshot: Snapshot, package_decisions: Sequence[Decision], options: Options) -> Iterator[Step]:
    """Yield a step that creates all tags, and steps that push up to `MAX_TAGS` of them."""
    tags: dict[str, core.changes.NewTag] = {}
    to_push: dict[str, str] = {}
    for decision in package_decisions:
        if decision.state is decisions.State.NEW:
            is_lockstep = snapshot.config.versions == "lockstep"
            subject = "Release" if is_lockstep else decision.package.name
            message = f"{subject} {decision.package.version}"
            tags.setdefault(decision.tag, core.changes.NewTag(name=decision.tag, message=message))
        if options.push and decision.is_unpushed:
            to_push[decision.tag] = decision.commit
    create = steps.CreateTags(tags=tuple(tags.values())) if tags else None
    if create is not None:
        yield create
    refs_to_push = list(to_push.items())
    remote = snapshot.config.remote
    for start in range(0, len(refs_to_push), MAX_TAGS):
        batch = tuple(refs_to_push[start : start + MAX_TAGS])
        yield steps.PushTags(remote_name=remote, tags=batch, created=tuple(tags), needs=after(create))


def _decision_table(package_decisions: Sequence[Decision]) -> Table:
    """Return a table of the packages with their versions, tags, and the reasons of the decisions."""
    rows = tuple(
        (decision.package.name, str(decision.package.version or "-"), decision.tag or "-", decision.reason)
        for decision in package_decisions
    )
    return core.plan.Table(title="", columns=("package", "version", "tag", "state"), rows=rows)
