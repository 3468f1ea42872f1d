"""Preflight checks of a new bump: problems that always block it, and problems that an option ignores."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from relnox.commands.bump import pull_requests
from relnox.commands.bump.changes import tag_names
from relnox.commands.bump.project_state import Observation
from relnox.commands.bump.snapshot import NewBump
from relnox.commands.options import BumpOptions as Options
from relnox.commands.shared import tag_checks
from relnox.core import text
from relnox.core.bump import bump_checks, release_notes
from relnox.core.bump.version_bumps import VersionBump
from relnox.core.planning.changes import NewTag
from relnox.core.settings import release_lines
from relnox.core.tagging import tag_proposals
from relnox.errors import Blocked, Problem
from relnox.source.git import GitState


def blocking_problems(new: NewBump, options: Options, tags: tuple[NewTag, ...]) -> Iterator[Problem]:
    """Yield the problems that no option ignores; none outside git."""
    state = new.observation.state
    if state is None:
        return
    yield from _tag_problems(new, options, tags, state)
    yield from _version_problems(new, options)
    yield from bump_checks.check_no_uncommitted_changes(
        (file for file in state.changed_files if file in new.generated), new.generated, ()
    )
    if options.commit or options.tag or options.pull_request:
        yield from _file_problems(new, options, state)
    if options.commit and not new.edits and not tags:
        is_kept = any(bump.before == bump.after for bump in new.decision.bumps)
        yield Blocked(
            "nothing-to-commit",
            "nothing to commit (no file changes)",
            fix="add --tag to tag the current version" if is_kept else "choose another version",
        )
    yield from _branch_problems(new, options, state)
    yield from pull_requests.problems(new, options)


def _tag_problems(new: NewBump, options: Options, tags: tuple[NewTag, ...], state: GitState) -> Iterator[Problem]:
    """Yield problems with the tags that are planned, and with those that exist."""
    observation, bumps, remote = new.observation, new.decision.bumps, new.observation.remote
    head, remote_name = state.head if not new.edits else None, observation.config.remote
    yield from bump_checks.check_tags_do_not_exist(tags, state.tags, remote.tags or {}, head, remote_name)
    if options.tag:
        yield from _backend_problems(bumps, tag_names(observation, bumps))
        yield from tag_checks.ambiguous_tag_problems(bumps, (tag.name for tag in tags), observation.tag_formats)
    if options.tag and not state.tags and remote.error is not None:
        yield Blocked(
            "clone-shallow",
            f"this clone has no tags, and those of {remote_name} could not be read: {remote.error}",
            fix=f"git fetch --tags {remote_name}",
        )
    if options.tag or options.pull_request or options.part == "auto":
        yield from format_problems(observation, options, bumps)


def _version_problems(new: NewBump, options: Options) -> Iterator[Problem]:
    """Yield a problem for each version below the last tag, or outside the bounds of the release lines."""
    observation, bumps = new.observation, new.decision.bumps
    names, reported_tags = tag_names(observation, bumps), set()
    for bump in bumps if (options.tag or options.number is not None) and not options.allow_lower else ():
        tag, last = observation.newer_tags.reachable.get(bump.package.name, ("", None))
        if last is None or bump.after > last or tag == names[bump.package.name]:  # else the tag exists
            continue
        if (tag, bump.after) not in reported_tags:
            reported_tags.add((tag, bump.after))
            yield Blocked(
                "version-not-higher",
                f"{bump.package.name} {bump.after} is not higher than the last release ({tag})",
                fix="choose a higher version: --to VERSION; to release a lower one, add --allow-lower",
            )
    for bump in (*bumps, *new.development.bumps):
        if not release_lines.allows_version(observation.lines, bump.after):
            lines = observation.config.branch
            others = [line.branch for line in lines if line.contains(bump.after) and not line.is_glob]
            switch = f"; or release from its branch: git switch {others[0]}" if others else ""
            yield Blocked(
                "version-outside-bounds",
                f"{bump.package.name} {bump.after} is outside the bounds of "
                f"{release_lines.describe_lines(observation.lines)} ([tool.relnox] branch)",
                fix=f"choose another version: --to VERSION{switch}",
            )


def _branch_problems(new: NewBump, options: Options, state: GitState) -> Iterator[Problem]:
    """Yield problems with the branch that is committed to and pushed."""
    remote, remote_name = new.observation.remote, new.observation.config.remote
    if options.commit:
        yield from bump_checks.check_no_operation_in_progress(state.operation)
        if state.operation != "rebase":  # which detaches HEAD until it ends
            yield from bump_checks.check_head_not_detached(state.branch)
    if options.push:
        yield from bump_checks.check_upstream_is_pushed_to(
            state.branch, remote_name, state.upstream, state.upstream_remote
        )
    yield from bump_checks.check_not_behind_remote(state.branch, remote_name, is_ancestor=remote.is_ancestor)
    if options.commit and remote.is_ancestor is None and state.upstream is not None and state.commits_behind:
        yield Blocked(
            "branch-behind",
            f"the branch is behind {state.upstream} by {text.format_count(state.commits_behind, 'commit')}",
            fix="git pull --rebase",
        )


def _backend_problems(bumps: tuple[VersionBump, ...], names: Mapping[str, str]) -> Iterator[Problem]:
    """Yield a problem for each planned tag that the package's build backend would not read the version from."""
    for bump in bumps:
        source, name = bump.package.source, names[bump.package.name]
        if source.kind == "tags" and source.key and not name.startswith(str(source.key[0])):
            yield Blocked(
                "tag-format-unknown",
                f"{source.text} of {bump.package.name} ignores tag {name} (it reads only tags that begin "
                f"with {source.key[0]})",
                fix=f'set [tool.relnox] tag-format = "{source.key[0]}{{version}}", or remove that setting',
            )


def _file_problems(new: NewBump, options: Options, state: GitState) -> Iterator[Problem]:
    """Yield the problems that keep git from committing the edits of the bump, and nothing else."""
    observation = new.observation
    packages = [bump.package for bump in new.decision.bumps]
    files = {package.pyproject for package in packages}
    if options.commit or options.pull_request:
        created_files = {edit.file for edit in new.edits if edit.before is None}
        edited_files = {edit.file for edit in (*new.edits, *new.development.edits)} - created_files
        yield from bump_checks.check_no_hidden_files(edited_files, observation.index_states)
        files |= edited_files
    if options.commit and (changed_files := _changed_files_to_edit(new)):
        yield Blocked(
            "tree-dirty",
            f"files that the bump edits have uncommitted changes: {text.join_names(changed_files)}",
            fix="commit the changes, or put them aside: git stash",
        )
    links = [edit.file for edit in new.edits if edit.file in new.links]
    if options.commit and links:
        yield Blocked(
            "file-is-link",
            f"{text.join_names(links)}: the release commit cannot change a file through a symbolic link",
            fix="name the file that the link leads to in [tool.relnox] (changelog-file, packages, version-files), "
            "or replace the link with the file",
        )
    untracked_files = files.difference(observation.index_states, new.links)
    yield from bump_checks.check_files_tracked(
        untracked_files,
        packages,
        ignored_files=untracked_files.difference(state.untracked_files),
        changelogs=tuple(release_notes.changelog_paths(observation.workspace, observation.config)),
    )


def allowable_problems(new: NewBump, options: Options) -> Iterator[tuple[str, Problem]]:
    """Yield each problem that an option ignores, after the name of that option, such as `allow_dirty`.

    There are none outside git.
    """
    observation = new.observation
    state, bumps = observation.state, new.decision.bumps
    if state is None:
        return
    never_allowed = {*new.generated, *(_changed_files_to_edit(new) if options.commit else ())}
    dirty = (file for file in state.changed_files if file not in never_allowed)
    packages = (bump.package for bump in bumps)
    edited_files = (edit.file for edit in (*new.edits, *new.development.edits))
    for problem in bump_checks.check_no_uncommitted_changes(dirty, edited_files, packages):
        yield "allow_dirty", problem
    if options.commit or options.tag or options.pull_request:
        for problem in bump_checks.check_no_untracked_imports(observation.untracked_imports):
            yield "allow_dirty", problem
        for problem in bump_checks.check_branch_allows_releases(
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
    return tag_proposals.unclear_format_problems(
        packages, observation.workspace, observation.config, observation.tag_forms, observation.tags
    )
