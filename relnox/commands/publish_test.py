"""Publish to a test index, and verify the release by installing from there.

The test index is TestPyPI, a private one, or the embedded one (--index embedded), which needs neither network nor
account. Production indexes are blocked.
"""

from __future__ import annotations

from pathlib import Path

from relnox.commands import publish, verify_install
from relnox.commands.options import PublishTestOptions as Options
from relnox.commands.shared import releases
from relnox.core import fixes
from relnox.core.planning.events import Outcome
from relnox.core.planning.plan import Plan, PlanBuilder, Table
from relnox.core.records import replace
from relnox.core.release.manifest import Manifest
from relnox.errors import Blocked
from relnox.indexes import Indexes
from relnox.indexes.targets import EMBEDDED
from relnox.project import Project
from relnox.steps.publication import AwaitIndex, ClearIndex

_VERIFY_TIMEOUT = 600
"""How long to wait until the index lists the files for installation, in seconds."""


def plan(options: Options, project: Project) -> Plan:
    """Plan to upload the files that the test index lacks, and then to install the release from there."""
    new = PlanBuilder("publish-test", continue_on_error=True)
    target, index = project.indexes[options.index], options.index
    if target.production:
        raise Blocked(
            "production-index",
            f"{index} is a production index (publish-test publishes only to test indexes)",
            fix=f"{fixes.task_command('publish', '--index', index)}; or use a test index",
        )
    if options.clear and index != EMBEDDED:
        raise Blocked(
            "index-unknown",
            f"index {index} cannot be cleared (--clear works only on the embedded index, relnox's own test index)",
            fix="pass --index embedded, or remove --clear",
        )
    target.is_chosen = True
    build = releases.read_build(
        options.dist, releases.read_release_request(options, options.package, project), project
    )
    clears = options.clear and not project.once(_embedded_index_has_only, project.indexes, build.manifest)
    release = releases.find_release(build, target, project, clears=clears, insists=options.clear)
    manifest = release.manifest
    clear = (ClearIndex(index=index, files=manifest.distributions),) if options.clear else ()
    public = publish.add_publication(new, release, options, project, *new.add(*clear))
    if options.verify:
        listings = [step for step in new.steps if isinstance(step, AwaitIndex)]
        own_files = verify_install.download_steps(replace(step, deadline=_VERIFY_TIMEOUT) for step in listings)
        earlier = verify_install.earlier_download_steps(manifest, release.earlier, target)
        downloads = new.add(*own_files, *earlier)
        new.add(*verify_install.installation_steps(manifest, project, (), downloads))
    words = releases.directory_option(options.dist, project)
    next_words = ("publish",) if options.verify else ("verify-install", "--index", index)
    new.next_command = fixes.task_command(*next_words, *words)
    return new.build(public=public)


def summarize(outcome: Outcome, directory: Path) -> tuple[Table, ...]:
    """Return the tables of what was published and of what was installed and checked; `directory` is not used."""
    return (*publish.summarize(outcome, directory), *verify_install.summarize(outcome, directory))


def _embedded_index_has_only(indexes: Indexes, manifest: Manifest) -> bool:
    """Return whether each file on relnox's own local index is listed in a manifest, with the same hash."""
    return indexes.embedded_index.store.holds_only({file.filename: file.sha256 for file in manifest.distributions})
