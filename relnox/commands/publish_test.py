"""Publish to a test index, and verify the release by installing from there.

The test index is TestPyPI, a private one, or the embedded one (--index embedded), which needs neither network nor
account. Production indexes are blocked.
"""

from __future__ import annotations

from typing import NamedTuple

from relnox.commands import publish
from relnox.commands.options import PublishTestOptions as Options
from relnox.commands.publish import preflight
from relnox.commands.publish.preflight import Snapshot as PublishingSnapshot
from relnox.commands.shared import verification
from relnox.commands.shared.project import Project
from relnox.core import fixes
from relnox.core.planning.plan import Plan
from relnox.core.planning.step import after
from relnox.core.records import replace
from relnox.core.settings.config_tables import VerifyConfig
from relnox.errors import Blocked
from relnox.steps.await_index import AwaitIndex
from relnox.steps.fetch_release import Download
from relnox.steps.removal import ClearIndex

_VERIFY_TIMEOUT = 600
"""How long to wait until the index lists the files for installation, in seconds."""


class Snapshot(NamedTuple):
    """The release and the state of the index, as for `publish`, and how it is verified.

    `verify` are the settings of `[tool.relnox.verify]`. `siblings` are steps that download packages which the
    release needs, and which were released earlier.
    """

    publishing: PublishingSnapshot
    verify: VerifyConfig
    siblings: tuple[Download, ...]


def observe(options: Options, project: Project) -> Snapshot:
    """Read the manifest and its files, the index and the credentials, as `publish` does.

    Raises:
        Blocked: The index is a production index, or cannot be cleared as requested.
    """
    if project.indexes[options.index].production:
        raise Blocked(
            "production-index",
            f"{options.index} is a production index; publish-test only publishes to test indexes",
            fix=f"{fixes.task_command('publish', '--index', options.index)}, or use a test index",
        )
    if options.clear and options.index != "embedded":
        raise Blocked(
            "index-unknown",
            f"index {options.index} cannot be cleared (--clear works only on the embedded index, "
            "relnox's own test index)",
            fix="pass --index embedded, or remove --clear",
        )
    project.indexes[options.index].is_chosen = True
    verify = verification.verify_settings(project)
    publishing = preflight.read_snapshot(options.index, options, project, clear=options.clear)
    state = publishing.state
    siblings = verification.earlier_downloads(state.manifest, state.earlier, options.index, project)
    return Snapshot(publishing, verify, tuple(siblings))


def plan(snapshot: Snapshot, options: Options) -> Plan:
    """Plan to upload the files, and then to verify the release by installing it from the index."""
    manifest = snapshot.publishing.state.manifest
    publishing = publish.publishing_plan("publish-test", snapshot.publishing, options)
    planned_steps = publishing.steps
    if options.verify:
        listings = [step for step in planned_steps if isinstance(step, AwaitIndex)]
        own_files = verification.downloads(replace(step, deadline=_VERIFY_TIMEOUT) for step in listings)
        files = (*own_files, *snapshot.siblings)
        checks = (*files, *verification.install_checks(manifest, snapshot.verify, (), files))
        planned_steps = (*planned_steps, *checks)
    if options.clear:
        clear = ClearIndex(index=options.index, files=manifest.distributions)
        planned_steps = (clear, *(replace(step, needs=after(clear) + step.needs) for step in planned_steps))
    return replace(publishing, steps=planned_steps)
