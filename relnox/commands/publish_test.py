"""Publish to a test index, and verify the release by installing from there.

The test index is TestPyPI, a private one, or the embedded one (--index embedded), which needs neither network nor
account. Production indexes are blocked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from relnox import core, steps
from relnox.commands.publish import inspection, planning
from relnox.commands.publish.options import PublishingOptions
from relnox.commands.shared import hooks, release_versions, verification
from relnox.commands.shared.manifests import read_public_part
from relnox.core.planning.step import after
from relnox.core.records import replace
from relnox.core.settings.options import option
from relnox.errors import Blocked

if TYPE_CHECKING:
    from relnox.commands.publish.inspection import Snapshot as PublishingSnapshot
    from relnox.commands.shared.project import Project
    from relnox.core.planning.plan import Plan
    from relnox.core.settings.config_tables import VerifyConfig

_VERIFY_TIMEOUT = 600
"""How long to wait until the index lists the files for installation, in seconds."""


class Options(PublishingOptions):
    """Options of `publish-test`."""

    index: str = option("testpypi", "The index to publish to.", metavar="NAME", anywhere=False)
    verify: bool = option(True, "Install from the index afterwards.")
    pypi_rules: bool = option(
        False, "Enforce the rules of PyPI on the embedded index, relnox's own test index.", anywhere=False
    )
    clear: bool = option(False, "Empty the embedded index first.", anywhere=False)
    installer: str = option(
        "auto", "The installer for the environments.", choices=("auto", "uv", "pip"), metavar="NAME"
    )


class Snapshot(NamedTuple):
    """The release and the state of the index, as for `publish`, and the settings of `[tool.relnox.verify]`."""

    publishing: PublishingSnapshot
    verify: VerifyConfig


def observe(options: Options, project: Project) -> Snapshot:
    """Read the manifest and its files, the index and the credentials, as `publish` does.

    Raises:
        Blocked: The index is a production index, or cannot be cleared as requested.
    """
    if project.indexes.is_production(options.index):
        raise Blocked(
            "production-index",
            f"{options.index} is a production index; publish-test only publishes to test indexes",
            fix=f"{core.fixes.task_command('publish', '--index', options.index)}, or use a test index",
        )
    verify = verification.verify_settings(project)
    will_be_cleared = False
    if options.clear:
        if options.index != "embedded":
            raise Blocked(
                "clear-not-supported",
                f"index {options.index} cannot be cleared (--clear works only on the embedded index, "
                "relnox's own test index)",
                fix="pass --index embedded, or remove --clear",
            )
        manifest, _ = read_public_part(
            options.dist, release_versions.selected_packages(options, options.package, project), project
        )
        files = {file.filename: file.sha256 for file in manifest.distributions}
        will_be_cleared = not project.indexes.embedded.store.holds_only(files)
    if options.pypi_rules:
        from relnox.indexes.embedded.rules import Rules

        project.indexes.embedded.rules = Rules()
    publishing = inspection.read_snapshot(
        options.index, options, project, pypi_rules=options.pypi_rules, will_be_cleared=will_be_cleared
    )
    return Snapshot(publishing, verify)


def plan(snapshot: Snapshot, options: Options) -> Plan:
    """Plan to upload the files, and then to verify the release by installing it from the index."""
    inspected, manifest = snapshot.publishing, snapshot.publishing.state.manifest
    publishing = planning.publishing_plan("publish-test", inspected, options)
    planned_steps = publishing.steps
    if options.verify:
        listings = [step for step in planned_steps if isinstance(step, steps.AwaitIndex)]
        files = tuple(verification.downloads(replace(step, deadline=_VERIFY_TIMEOUT) for step in listings))
        checks = (*files, *verification.install_checks(manifest, snapshot.verify, (), options.installer, files))
        after_verify = hooks.plan_after_verify_hooks(
            inspected.hooks,
            "publish-test",
            manifest,
            rehearsal=True,
            index=options.index,
            directory=options.dist,
            needs=after(*checks),
        )
        planned_steps = (*planned_steps, *checks, *after_verify)
    if options.clear:
        clear = steps.ClearIndex(index=options.index, files=manifest.distributions)
        planned_steps = (clear, *(replace(step, needs=after(clear) + step.needs) for step in planned_steps))
    return replace(publishing, steps=planned_steps)
