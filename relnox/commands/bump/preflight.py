"""Preflight checks of a new bump: problems that always block it, and problems that an option ignores."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relnox import core
from relnox.commands.bump import pull_requests
from relnox.commands.bump.changes import tag_names
from relnox.commands.shared import tag_checks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from relnox.commands.bump.project_state import Observation
    from relnox.commands.bump.snapshot import NewBump
    from relnox.commands.options import BumpOptions as Options
    from relnox.core.bump.version_bumps import VersionBump
    from relnox.core.planning.changes import NewTag
    from relnox.core.problems import Problem


def blocking_problems(new: NewBump, options: Options, tags: tuple[NewTag, ...]) -> Iterator[Problem]:
    """Yield the problems that no option ignores; none outside git."""
    checks, observation, bumps = core.bump_checks, new.observation, new.decision.bumps
    state, config, remote = observation.state, observation.config, observation.remote
    if state is None:
        return
    head = state.head if not new.edits else None
    yield from checks.check_tags_do_not_exist(tags, state.tags, remote.tags or {}, head, config.remote)
    yield from checks.check_no_uncommitted_changes(
        (file for file in state.changed_files if file in new.generated), new.generated, ()
    )
    if options.tag:
        yield from checks.check_tags_readable_by_backends(bumps, tag_names(observation, bumps))
        yield from tag_checks.ambiguous_tag_problems(bumps, (tag.name for tag in tags), observation.tag_formats)
    yield from _commit_problems(new, options)
    if options.push:
        yield from checks.check_upstream_is_pushed_to(
            state.branch, config.remote, state.upstream, state.upstream_remote
        )
    yield from checks.check_not_behind_remote(state.branch, config.remote, is_ancestor=remote.is_ancestor)
    yield from pull_requests.problems(new, options)
    if (options.tag or options.number is not None) and not options.allow_lower:
        yield from checks.check_versions_above_last_tags(
            bumps, tag_names(observation, bumps), observation.newer_tags.reachable
        )
    if options.tag:
        yield from checks.check_tags_can_be_read(state.tags, remote.error, config.remote)
    if options.tag or options.pull_request or options.part == "auto":
        yield from format_problems(observation, options, bumps)
    yield from checks.check_versions_within_bounds(
        (*bumps, *new.development.bumps), observation.lines, config.branch
    )
    if options.commit and remote.is_ancestor is None and state.upstream is not None:
        yield from checks.check_not_behind_upstream(state.commits_behind, state.upstream)
    if options.commit and not new.edits and not tags:
        is_kept = any(bump.before == bump.after for bump in bumps)
        yield core.problems.Problem(
            code="nothing-to-commit",
            message="nothing to commit (no file changes)",
            fix="add --tag to tag the current version" if is_kept else "choose another version",
        )


def _commit_problems(new: NewBump, options: Options) -> Iterator[Problem]:
    """Yield the problems that keep git from committing the edits of the bump, and nothing else."""
    checks, observation, state = core.commit_checks, new.observation, new.observation.state
    if state is None or not (options.commit or options.tag or options.pull_request):
        return
    packages = [bump.package for bump in new.decision.bumps]
    files = {package.pyproject for package in packages}
    if options.commit or options.pull_request:
        created_files = {edit.file for edit in new.edits if edit.before is None}
        edited_files = {edit.file for edit in (*new.edits, *new.development.edits)} - created_files
        yield from checks.check_no_hidden_files(edited_files, observation.index_states)
        files |= edited_files
    if options.commit:
        yield from checks.check_no_operation_in_progress(state.operation)
        if state.operation != "rebase":  # which detaches HEAD until it ends
            yield from core.bump_checks.check_head_not_detached(state.branch)
        links = [edit.file for edit in new.edits if edit.file in new.links]
        yield from checks.check_files_can_be_committed(_changed_files_to_edit(new), links)
    untracked_files = files.difference(observation.index_states, new.links)
    yield from checks.check_files_tracked(
        untracked_files,
        packages,
        ignored_files=untracked_files.difference(state.untracked_files),
        changelogs=tuple(core.release_notes.changelog_paths(observation.workspace, observation.config)),
    )


def allowable_problems(new: NewBump, options: Options) -> Iterator[tuple[str, Problem]]:
    """Yield each problem that an option ignores, after the name of that option, such as `allow_dirty`.

    There are none outside git.
    """
    checks, observation = core.bump_checks, new.observation
    state, bumps = observation.state, new.decision.bumps
    if state is None:
        return
    never_allowed = {*new.generated, *(_changed_files_to_edit(new) if options.commit else ())}
    dirty = (file for file in state.changed_files if file not in never_allowed)
    packages = (bump.package for bump in bumps)
    edited_files = (edit.file for edit in (*new.edits, *new.development.edits))
    for problem in checks.check_no_uncommitted_changes(dirty, edited_files, packages):
        yield "allow_dirty", problem
    if options.commit or options.tag or options.pull_request:
        for problem in core.commit_checks.check_no_untracked_imports(observation.untracked_imports):
            yield "allow_dirty", problem
        for problem in checks.check_branch_allows_releases(
            state.branch, observation.lines, observation.config.branch
        ):
            yield "allow_branch", problem


def _changed_files_to_edit(new: NewBump) -> list[str]:
    """Return the files with uncommitted changes that the bump edits itself, not those that tools generate."""
    state, edited_files = new.observation.state, {edit.file for edit in (*new.edits, *new.development.edits)}
    changed_files = state.changed_files if state is not None else ()
    return [file for file in changed_files if file in edited_files - new.generated]


def format_problems(
    observation: Observation, options: Options, bumps: tuple[VersionBump, ...]
) -> Iterator[Problem]:
    """Return problems if the new tags of bumped packages would have another format than the existing tags.

    With `--part auto`, packages that are not bumped because they have no tag are checked as well.
    """
    bumped_packages = {bump.package.name for bump in bumps}
    untagged_packages = {name for name, history in observation.history.items() if history.tag is None}
    packages = [
        package
        for package in observation.workspace.packages
        if package.name in bumped_packages
        or (
            options.part == "auto"
            and package in observation.selected
            and package.name in untagged_packages
            and not package.is_private
        )
    ]
    return core.tag_proposals.unclear_format_problems(
        packages, observation.workspace, observation.config, observation.tag_forms, observation.tags
    )
