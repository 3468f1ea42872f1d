"""Undoing the release at HEAD, which the trailers of its commit tell, unless a remote has it."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from relnox.commands.bump.options import command_line_words
from relnox.commands.options import BumpOptions as Options
from relnox.commands.shared.project import Project
from relnox.core import fixes
from relnox.core.bump import bump_checks, trailers
from relnox.core.bump.trailers import DEVELOPMENT
from relnox.core.planning.changes import Edit
from relnox.core.planning.plan import Plan
from relnox.core.text import join_names
from relnox.errors import Blocked
from relnox.source import file_edits
from relnox.source.git import Git, GitState, remotes
from relnox.source.git.committed import files_of_commit
from relnox.steps.undo_bump import UndoBump

_REQUEST = ("part", "pre", "to", "number", "package", "all", "always_increment", "allow_lower")
"""The field names of the options that request a bump."""


def undo_plan(options: Options, project: Project) -> Plan:
    """Plan to undo the release at HEAD: its tags, its commits and their edits.

    Raises:
        Blocked: HEAD is not a release, or a remote has a part of it; the fix is the git command that undoes it.
        Failed: The remote does not answer.
    """
    if command_line_words(options, _REQUEST):
        raise Blocked(
            "options-conflict", "--undo takes no other options of bump", fix=fixes.task_command("bump", "--undo")
        )
    git, state = project.git, project.state
    if git is None or state is None or state.head is None:
        raise Blocked(
            "bump-missing",
            "there is no commit to undo (the project is not in a git repository with a commit)",
            fix="set the versions by hand",
        )
    commits = _find_release_commits(git)
    parent = git.parent_commit(commits[-1]) if commits else None
    if parent is None:
        raise _no_release_at_head(git, state, project.config.remote)
    tags = [tag for tag in git.tag_messages(f"--points-at={commits[-1]}") if trailers.read_trailers(tag.message)]
    _check_not_pushed(commits[-1], [tag.name for tag in tags], project.config.remote, git)
    files = git.files_changed_between(parent, state.head) or ()
    with files_of_commit(git, parent) as earlier:
        edits, changed_files = _find_edits(git, files, parent, earlier.root)
    problems = list(bump_checks.check_no_operation_in_progress(state.operation))
    if changed_files:
        problems.append(
            Blocked(
                "tree-dirty",
                f"files changed since the release: {join_names(changed_files)}",
                fix="commit the changes, or put them aside: git stash",
            )
        )
    refs = git.local_refs()
    step = UndoBump(
        commits=commits,
        parent=parent,
        tags={tag.name: refs[f"refs/tags/{tag.name}"] for tag in tags},
        edits=edits,
        files=files,
    )
    return Plan(task="bump", steps=(step,), problems=tuple(problems))


def _find_release_commits(git: Git) -> tuple[str, ...]:
    """Return the release commit at HEAD, after that of the development version on it; empty if there is none."""
    commits: list[str] = []
    for commit, message in git.messages("-2"):
        commits.append(commit)
        if trailers.read_trailers(message):
            return tuple(commits)
        if not trailers.read_trailers(message, DEVELOPMENT):
            break
    return ()


def _no_release_at_head(git: Git, state: GitState, remote: str) -> Blocked:
    """Return the error for a HEAD that is no release commit, with the git command that undoes what there is."""
    message = f"HEAD ({(state.head or '')[:10]}) is not a release commit"
    tags = [tag.name for tag in git.tag_messages("--points-at=HEAD") if trailers.read_trailers(tag.message)]
    fix = "git revert the commit of the release, or release a higher version"
    if state.changed_files:
        fix = "look at the changes: git diff; to revert those of a file: git restore FILE"
    elif public_tags := _tags_on_remote(git, tags, remote):
        message += f" (already on {remote}: {join_names(public_tags)})"
        fix = "release a higher version"
    elif tags:
        fix = f"git tag --delete {shlex.join(tags)}"
    return Blocked("bump-missing", message, fix=fix)


def _tags_on_remote(git: Git, tags: Sequence[str], remote: str) -> list[str]:
    refs = remotes.read_refs(git, remote) if tags and remote in remotes.names(git) else {}
    return [tag for tag in tags if f"refs/tags/{tag}" in refs]


def _check_not_pushed(commit: str, tags: Sequence[str], remote: str, git: Git) -> None:
    """Raise `Blocked` if a remote has a commit or its tags, as of the last fetch or as `remote` answers."""
    pushed_to = git.remote_branches_containing(commit)
    if not pushed_to and remote in remotes.names(git):
        refs = remotes.read_refs(git, remote)
        branches = [ref for ref in refs if ref.startswith("refs/heads/") and git.is_ancestor(commit, refs[ref])]
        public_tags = [tag for tag in tags if f"refs/tags/{tag}" in refs]
        pushed_to = (f"{remote} ({join_names([*branches, *public_tags])})",) if branches or public_tags else ()
    if pushed_to:
        raise Blocked(
            "bump-missing",
            f"the release {commit[:10]} is already pushed to {', '.join(pushed_to)}",
            fix=f"release a higher version; to revert it in a new commit: git revert {commit[:10]}",
        )


def _find_edits(
    git: Git, files: Sequence[str], parent: str, earlier: Path
) -> tuple[tuple[Edit, ...], tuple[str, ...]]:
    """Return the edits that restore files as they were before a release, and files with other changes.

    A file that is restored already, by a run that was interrupted, needs no edit. `earlier` has the files as they
    were, with the line ends of a checkout.
    """
    changed = git.files_differing_from("HEAD", files)
    restored = set(files) - git.files_differing_from(parent, files)
    others = changed - restored | (git.files_staged_since("HEAD") & git.files_staged_since(parent) & set(files))
    edits = (
        Edit(
            file=name,
            before=file_edits.read_content(git.root / name),
            after=file_edits.read_content(earlier / name),
        )
        for name in files
        if name not in changed | restored | others
    )
    return tuple(edits), tuple(sorted(others))
