"""The next development versions, which `--then-dev` commits after the release."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from relnox.commands.bump import changes, generated_files
from relnox.commands.bump.project_state import Observation
from relnox.commands.bump.snapshot import Decision, Development
from relnox.commands.options import BumpOptions as Options
from relnox.commands.shared.project import Project
from relnox.core import records
from relnox.core.bump import editing, version_bumps
from relnox.core.bump.version_bumps import BumpRequest
from relnox.core.planning.changes import Edit
from relnox.core.planning.step import Step
from relnox.core.versions.requested_bump import Bump
from relnox.errors import Blocked
from relnox.steps.edit_files import EditFiles
from relnox.steps.git import Commit


def check_options(options: Options) -> None:
    """Check that `--then-dev` is combined with `--tag`, since `auto-tag` would not find the release later.

    Raises:
        Blocked: `--tag` is missing, or `--pull-request` is given.
    """
    if not options.then_dev or options.undo or options.part == "dev":
        return
    if options.pull_request:
        raise Blocked(
            "options-conflict",
            "--then-dev and --pull-request cannot be combined (the tags are on the merged release)",
            fix="remove one of them, or pass --no-then-dev",
        )
    if not options.tag:
        raise Blocked(
            "option-missing",
            "--then-dev needs --tag (once the next commit exists, auto-tag cannot tag the release)",
            fix="add --commit --tag, or pass --no-then-dev",
        )


def decide_development_versions(
    observation: Observation, decision: Decision, edits: Sequence[Edit], options: Options, project: Project
) -> Development:
    """Decide the development versions that follow a release, and the edits that set them on top of its `edits`.

    Without edits, the project has the released versions already.
    """
    requests = {
        bump.package.name: BumpRequest(Bump(part="dev"), f"after {bump.after}")
        for bump in decision.bumps
        if bump.package.source.is_in_file and not bump.after.is_devrelease
    }
    if not options.then_dev or not decision.bumps:
        return Development()
    if not requests:
        why = (
            "that is one"
            if any(bump.after.is_devrelease for bump in decision.bumps)
            else "no file has the version"
        )
        return Development(note=f"no development version follows ({why})")
    config = observation.config
    workspace = editing.workspace_after_release(observation.workspace, decision.bumps, decision.updates, config)
    contents = {**observation.contents, **{edit.file: edit.after for edit in edits if edit.after is not None}}
    try:
        bumps, updates = version_bumps.resolve_bumps(
            workspace, requests, released_versions={}, config=config, today=observation.today
        )
        after: dict[str, bytes | None] = dict(editing.edited_contents(workspace, bumps, updates, contents, config))
    except Blocked as error:
        if error.code != "version-invalid":
            raise
        return Development(note=f"no development version follows: {error.message}")
    if options.lock:
        following = records.replace(decision, bumps=bumps, updates=updates)
        planned = {**{edit.file: edit.after for edit in edits}, **after}
        after |= generated_files.generate_locks(observation, following, planned, project).after
    return Development(bumps, tuple(editing.edits_between(contents, after)))


def development_steps(development: Development, observation: Observation) -> Iterator[Step]:
    """Yield the steps that commit the development versions, if there are any."""
    if development.edits:
        files = tuple(edit.file for edit in development.edits)
        message = changes.commit_message(observation, development.bumps, is_development=True)
        yield EditFiles(edits=development.edits, is_development=True)
        yield Commit(message=message, files=files, is_development=True)
