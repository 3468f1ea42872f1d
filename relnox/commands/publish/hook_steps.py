"""The hooks that run before and after the uploads of a release."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from relnox import steps
from relnox.commands.shared import hooks
from relnox.core.records import replace

if TYPE_CHECKING:
    from collections.abc import Sequence

    from relnox.commands.publish.snapshot import Snapshot
    from relnox.core.planning.step import Step


def add_publish_hooks(publishing: Sequence[Step], snapshot: Snapshot, of: str, dist: str) -> tuple[Step, ...]:
    """Return the steps of publishing together with the `before-publish` and `after-publish` hooks.

    An `after-publish` hook runs once for a release. It is recorded as due before the first upload, so that a rerun
    runs it if this run is killed.

    Args:
        publishing: The steps that publish the release.
        snapshot: The release and the state of the index.
        of: The name of the task.
        dist: The folder with the files.
    """
    plan = partial(
        snapshot.hooks.hook_steps,
        of=of,
        packages=hooks.hook_packages_of_manifest(snapshot.manifest, snapshot.hooks),
        rehearsal=not snapshot.production,
        index=snapshot.target,
        folder=dist,
        files=snapshot.manifest.distributions,
    )
    before = plan(
        "before-publish", skip=None if snapshot.missing else f"all files are already on {snapshot.target}"
    )
    after = plan("after-publish", needs=tuple(step.key for step in publishing))
    keys = tuple(step.key for step in before)
    due = tuple(steps.RecordDueHook(hook=step, needs=keys) for step in after if snapshot.missing)
    needs = (*keys, *(step.key for step in due))
    return (
        *before,
        *due,
        *(replace(step, needs=(*needs, *step.needs)) if needs else step for step in publishing),
        *after,
    )
