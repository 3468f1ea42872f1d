"""The next development version, which `--then-dev` commits after the release."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from relnox import core
from relnox.commands.bump import generated_files
from relnox.errors import Blocked

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from relnox.commands.bump.observation import Observation
    from relnox.commands.bump.options import Options
    from relnox.commands.bump.snapshot import Decision
    from relnox.commands.shared.project import Project
    from relnox.core.bump.changes import Edit
    from relnox.core.bump.version_bumps import VersionBump


class Development(NamedTuple):
    """What follows the release.

    Attributes:
        bumps: The bumps of packages from their released versions.
        edits: The edits of files, from their contents in the release commit.
        note: Why nothing follows, although it is requested; empty otherwise.
    """

    bumps: tuple[VersionBump, ...] = ()
    edits: tuple[Edit, ...] = ()
    note: str = ""


NO_DEVELOPMENT = Development()


def check_options(options: Options) -> None:
    """Check that the release is committed and tagged: no other commit could get its tag later.

    Raises:
        Blocked: It is not.
    """
    if not options.then_dev or options.undo or options.abort or options.part == "dev":
        return
    if options.pull_request:
        raise Blocked(
            "options-conflict",
            "--then-dev and --pull-request cannot be combined (the tags are on the merged release)",
            fix="leave one of them out, or pass --no-then-dev",
        )
    if not options.tag:
        raise Blocked(
            "option-missing",
            "--then-dev needs --tag (auto-tag would not see the release under the commit that follows)",
            fix="add --commit --tag, or pass --no-then-dev",
        )


def decide(
    observed: Observation, decision: Decision, edits: Sequence[Edit], options: Options, project: Project
) -> Development:
    """Decide the next development versions, and edit files from what they are in the release commit.

    Args:
        observed: The project.
        decision: The release.
        edits: The edits of the release.
        options: The options.
        project: The project, for tools that write lock files.
    """
    requests = core.development.development_requests(decision.bumps)
    if not options.then_dev or not decision.bumps:
        return NO_DEVELOPMENT
    if not requests:
        why = (
            "that is one"
            if any(bump.after.is_devrelease for bump in decision.bumps)
            else "no file has the version"
        )
        return Development(note=f"no development version follows ({why})")
    config = observed.config
    workspace = core.development.released_workspace(observed.workspace, decision.bumps, decision.updates, config)
    contents = {**observed.contents, **{edit.file: edit.after for edit in edits if edit.after is not None}}
    try:
        bumps, updates = core.version_bumps.plan_bumps(
            workspace, requests, released={}, config=config, today=observed.today
        )
        after: dict[str, bytes | None] = dict(
            core.editing.bumped_files(workspace, bumps, updates, contents, config)
        )
    except Blocked as error:
        if error.code != "version-not-semver":
            raise
        return Development(note=f"no development version follows: {error.message}")
    if options.lock:
        following = core.records.replace(decision, bumps=bumps, updates=updates)
        after |= generated_files.generate_locks(observed, following, _planned(edits, after), project).after
    return Development(bumps, tuple(core.editing.edits_between(contents, after)))


def _planned(edits: Sequence[Edit], after: Mapping[str, bytes | None]) -> dict[str, bytes | None]:
    return {**{edit.file: edit.after for edit in edits}, **after}
