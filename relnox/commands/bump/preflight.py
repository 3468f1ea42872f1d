"""What blocks a bump, and what is worth knowing before it. `Problem.allow` names the option that ignores it."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from relnox.commands.bump import changes, versions
from relnox.commands.bump.changes import FileContents
from relnox.commands.options import BumpOptions as Options
from relnox.commands.shared import checks
from relnox.commands.shared.checks import NewerTags
from relnox.core import fixes
from relnox.core.bump.version_bumps import VersionBump
from relnox.core.planning.step import Edit, NewTag
from relnox.core.settings import release_lines
from relnox.core.text import format_count, join_names
from relnox.errors import Blocked, Conflict, Problem
from relnox.project import Project
from relnox.source import file_edits


def check_option_combinations(options: Options) -> None:
    """Raise `Blocked` if options exclude each other, or lack another one, whatever the project is."""
    others = [f"--{name}" for name in ("commit", "tag", "push", "undo") if getattr(options, name)]
    if options.pull_request and others:
        switches = " ".join(f"--no-{name[2:]}" for name in others if name != "--undo")
        raise Blocked(
            "options-conflict",
            f"--pull-request cannot be combined with {', '.join(others)} (it leaves this checkout and its "
            "branches as they are)",
            f"remove one of them{f', or pass {switches}' if switches else ''}",
        )
    undo = fixes.task_command("bump", "--undo")
    if options.undo and (words := versions.command_line_words(options, versions.REQUEST)):
        raise Blocked("options-conflict", f"--undo cannot be combined with {' '.join(words)}", undo)
    if options.undo:
        return
    if options.number is not None and options.part != "dev":
        raise Blocked("option-missing", f"--number {options.number} needs --part dev", "add --part dev")
    if options.push and not (options.commit or options.tag):
        raise Blocked("option-missing", "--push needs --commit", "add --commit")
    if options.part == "auto" and (options.to or options.always_increment):
        raise Blocked(
            "options-conflict",
            "--part auto cannot be combined with --to or --always-increment",
            "remove --to and --always-increment",
        )
    if not options.then_dev or options.part == "dev":
        return
    if options.pull_request:
        raise Blocked(
            "options-conflict",
            "--then-dev and --pull-request cannot be combined (the release is only tagged after the merge)",
            "remove one of them, or pass --no-then-dev",
        )
    if not options.tag:
        raise Blocked(
            "option-missing",
            "--then-dev needs --tag (once the next commit exists, auto-tag cannot tag the release)",
            "add --commit --tag, or pass --no-then-dev",
        )


class PlannedBump(NamedTuple):
    """A new bump: its packages, files and tags, and the bumps and edits that start the next development version.

    Both members of `following` are empty if none follows; `newer` has the tags above the current versions.
    """

    bumps: Sequence[VersionBump]
    files: FileContents
    tags: Sequence[NewTag]
    following: tuple[Sequence[VersionBump], Sequence[Edit]]
    newer: NewerTags


def bump_problems(  # noqa: PLR0912, PLR0915, C901 - a list of checks, in the order in which they are shown
    planned: PlannedBump, options: Options, project: Project
) -> Iterator[Problem]:
    """Yield everything that blocks a new bump; outside git, nothing does."""
    bumps, files, tags, (following_bumps, following_edits), newer = planned
    state, remote, config, edits = project.state, project.remote, project.config, files.edits
    if state is None:
        return
    is_recorded = options.commit or options.tag or options.pull_request
    # tags
    yield from existing_tag_problems(tags, project, None if edits else state.head)
    names, reported_tags = changes.tags_by_package(project, bumps), set()
    if options.tag:
        for bump in bumps:
            source, name = bump.package.source, names[bump.package.name]
            if source.kind == "tags" and source.key and not name.startswith(str(source.key[0])):
                yield Blocked(
                    "tag-format-unknown",
                    f"{source.text} of {bump.package.name} ignores tag {name} (it reads only tags that begin "
                    f"with {source.key[0]})",
                    f'[tool.relnox] tag-format = "{source.key[0]}{{version}}"; or remove tag-format',
                )
        yield from checks.backend_reads_any_tag_problems(
            tuple(bumps), (tag.name for tag in tags), project.tag_formats
        )
        if not state.tags and remote.refs is None and remote.error is not None:
            yield Blocked(
                "clone-shallow",
                f"this clone has no tags, and those of {config.remote} could not be read: {remote.error}",
                f"git fetch --tags {config.remote}",
            )
    # versions
    for bump in bumps if (options.tag or options.number is not None) and not options.allow_lower else ():
        tag, last = newer.reachable.get(bump.package.name, ("", None))
        if last is None or bump.after > last or tag == names[bump.package.name]:  # else the tag exists
            continue
        if (tag, bump.after) not in reported_tags:
            reported_tags.add((tag, bump.after))
            yield Blocked(
                "version-not-higher",
                f"{bump.package.name} {bump.after} is not higher than the last release ({tag})",
                "choose a higher version: --to VERSION; to release a lower one, add --allow-lower",
            )
    yield from versions.development_pin_problems(project, bumps)
    for bump in (*bumps, *following_bumps):
        if not release_lines.allows_version(project.release_lines, bump.after):
            others = [line for line in config.branch if line.contains(bump.after) and not line.is_glob]
            switch = f"; or release from its branch: {checks.switch_command(project, others)}" if others else ""
            yield Blocked(
                "version-outside-bounds",
                f"{bump.package.name} {bump.after} is outside the bounds of "
                f"{release_lines.describe_release_lines(project.release_lines)} ([tool.relnox] branch)",
                f"choose another version: --to VERSION{switch}",
            )
    # files
    packages = [bump.package for bump in bumps]
    edited_files = {edit.file for edit in (*edits, *following_edits)}
    changed_files = [file for file in state.changed_files if file not in files.edited]
    changed_to_edit = [file for file in changed_files if file in edited_files - files.generated]
    generated = [file for file in changed_files if file in files.generated]
    yield from checks.uncommitted_change_problems(generated, files.generated, ())
    links = project.once(
        file_edits.find_linked_files, project.root, [edit.file for edit in edits if not edit.is_link]
    )
    if options.commit and project.git is not None and state.head is not None:
        # Asked after all files were read: what was saved since the status was read is in these contents.
        linked = {edit.file for edit in edits if edit.is_link}.union(links)
        tracked = sorted(file for file in edited_files - linked if project.tracked_file_states.get(file) == "H")
        late = project.once(project.git.files_differing_from, state.head, tracked)
        changed_to_edit += sorted(late.difference(state.changed_files))
    if options.commit and changed_to_edit:
        yield changed_files_problem(changed_to_edit)
    if options.commit and links:
        yield Blocked(
            "file-is-link",
            f"{join_names(links)}: the release commit cannot change a file through a symbolic link",
            "replace the link with the file; or name the file that it points to in [tool.relnox] (changelog-file, "
            "packages, version-files)",
        )
    if is_recorded:
        depends_on = {package.pyproject for package in packages}
        if options.commit or options.pull_request:
            tracked_files = edited_files - {edit.file for edit in edits if edit.before is None}
            yield from checks.hidden_change_problems(tracked_files, project)
            depends_on |= tracked_files
        changelogs = {path for paths in project.changelog_candidates.values() for path in paths}
        yield from checks.untracked_file_problems(depends_on, packages, project, changelogs=changelogs)
    dirty = [
        file
        for file in changed_files
        if file not in files.generated and not (options.commit and file in changed_to_edit)
    ]
    for problem in checks.uncommitted_change_problems(dirty, edited_files, packages):
        yield problem.but(allow="allow_dirty")
    for problem in checks.untracked_import_problems(packages, project) if is_recorded else ():
        yield problem.but(allow="allow_dirty")
    if options.push:  # before that, a build finds it, and the bump can be undone
        yield from checks.empty_wheel_problems(packages, project)
    if options.tag and edits and not options.commit:
        names_of_files = ", ".join(edit.file for edit in edits[:3])
        yield Blocked(
            "option-missing", f"--tag needs --commit ({names_of_files} would change as well)", "add --commit"
        )
    if options.commit and not edits and not tags:
        is_kept = any(bump.before == bump.after for bump in bumps)
        yield Blocked(
            "nothing-to-commit",
            "nothing to commit (the bump changes no file)",
            "add --tag to tag the current version" if is_kept else "choose another version: --to VERSION",
        )
    # the branch
    if options.commit or options.tag:
        yield from checks.committer_problems(project, commits=options.commit)
    if options.commit:
        yield from cannot_commit_problems(project)
    if is_recorded:
        yield from branch_problems(project)
    if options.push:
        yield from checks.upstream_mismatch_problems(project)
    has_remote = checks.head_contains_remote_branch(project)
    if has_remote is False:
        yield checks.behind_remote_problem(project)
    elif options.commit and has_remote is None and state.upstream is not None and state.commits_behind:
        yield Blocked(
            "branch-behind",
            f"the branch is behind {state.upstream} by {format_count(state.commits_behind, 'commit')}",
            "git pull --rebase",
        )


# --- what a release that exists already needs as well


def existing_tag_problems(
    tags: Sequence[NewTag], project: Project, commit: str | None, *, is_local: bool = True
) -> Iterator[Problem]:
    """Yield a problem for each of these tags that exists already on another commit than `commit`.

    `commit` is None for a commit that is still to be made. Tags of this clone count if `is_local`, and those of
    the remote always.
    """
    if not tags:
        return
    here = project.state.tags if project.state is not None and is_local else {}
    repositories = (("here", here), (f"on {project.config.remote}", project.remote.tags))
    for tag in tags:
        existing = {name: commits[tag.name] for name, commits in repositories if tag.name in commits}
        others = {name: other[:10] for name, other in existing.items() if other != commit}
        if others:
            ids, remote = ", ".join(dict.fromkeys(others.values())), project.config.remote
            fetch = f"git fetch {remote} refs/tags/{tag.name} && git show FETCH_HEAD"
            show = f"git show {tag.name}" if "here" in others else fetch
            yield Conflict(
                "tag-exists",
                f"tag {tag.name} already exists {' and '.join(others)} ({ids})",
                f"choose a higher version: --to VERSION; to see the tag: {show}",
            )


def cannot_commit_problems(project: Project) -> Iterator[Problem]:
    """Yield a problem if git cannot commit to the branch: HEAD is detached, or an operation is unfinished."""
    yield from checks.unfinished_operation_problems(project)
    state = project.state
    if state is not None and state.branch is None and state.operation != "rebase":  # which detaches HEAD
        yield Blocked(
            "head-detached", "HEAD is detached (the commit would be on no branch)", checks.switch_command(project)
        )


def branch_problems(project: Project) -> Iterator[Problem]:
    """Yield a problem if the settings allow no releases from the current branch; `--allow-branch` ignores it."""
    for problem in checks.disallowed_branch_problems(project):
        yield problem.but(allow="allow_branch")


def changed_files_problem(files: Sequence[str]) -> Problem:
    """Return the problem that these files, which the bump edits, have other uncommitted changes."""
    return Blocked(
        "tree-dirty",
        f"files that the bump edits have uncommitted changes: {join_names(files)}",
        "commit the changes; or put them aside: git stash",
    )


# --- notes


def bump_notes(planned: PlannedBump, options: Options, project: Project) -> Iterator[str]:
    """Yield notes on a new bump, such as on skipped checks, untracked files and edits without a commit."""
    bumps, files, _, following, newer = planned
    state, remote = project.state, project.remote
    if project.includes_remote_refs and remote.refs is None and remote.error is not None:
        yield f"{remote.error}: tags and commits of {project.config.remote} were not checked"
    edited_files = {edit.file for edit in (*files.edits, *following[1])}
    packages = [bump.package for bump in bumps]
    directories = tuple("./" if package.directory == "." else f"./{package.directory}/" for package in packages)
    untracked_files = state.untracked_files if state is not None else ()
    if left_out := [
        file for file in untracked_files if file not in edited_files and f"./{file}".startswith(directories)
    ]:
        are = "is" if len(left_out) == 1 else "are"
        yield f"left out: {join_names(left_out)} {are} untracked and not part of the release"
    if project.commit is not None and not (options.commit or options.pull_request):
        yield from _uncommitted_edit_notes(project, files)
    locations = {location.file for package in packages for location in package.other_locations}
    if literals := [
        f"{'.'.join(map(str, literal.key))} in {literal.file}"
        for literal in project.version_literals.locations
        if literal.file in locations
    ]:
        verb, pronoun = ("changes", "it") if len(literals) == 1 else ("change", "them")
        setting = "[tool.relnox] version-literals = false"
        yield f"{join_names(literals)} {verb} as well; to leave {pronoun} unchanged: {setting}"
    if state is not None:
        yield from newer.ignored_tag_notes([package.name for package in packages])
    if bumps and not (files.edits or options.tag):
        yield "no file changes: --commit --tag releases what is there"
    if options.tag:
        yield from checks.indirectly_bumped_package_notes(tuple(bumps), project.version_literals.workspace)


def _uncommitted_edit_notes(project: Project, files: FileContents) -> Iterator[str]:
    """Yield a note that edits are not committed, with a command that undoes them.

    The command leaves out files that had other changes before.
    """
    changed_files = set(project.state.changed_files if project.state is not None else ()).difference(files.edited)
    names = [edit.file for edit in files.edits]
    own = [edit for edit in files.edits if edit.file not in changed_files]
    restored = [edit.file for edit in own if edit.before is not None and edit.file in project.tracked_file_states]
    created = [edit.file for edit in own if edit.before is None]
    commands = [
        *([f"git restore {shlex.join(restored)}"] if restored else []),
        *([f"rm {shlex.join(created)}"] if created else []),
    ]
    if names:
        back = f"; to go back: {' && '.join(commands)}" if commands else ""
        yield f"not committed: {join_names(names)}{back}"
