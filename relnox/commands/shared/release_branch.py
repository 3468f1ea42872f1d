"""Whether a release branch of the remote contains the commit of a build."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatchcase

from relnox.commands.shared.project import Project
from relnox.core import text
from relnox.errors import Blocked, Failed, Problem
from relnox.source.git import parse_tags, remotes

_FETCH_TIMEOUT = 300.0
"""The timeout for fetching the release branch from the remote, in seconds."""


def unreleased_commit_problems(commit: str, project: Project) -> Iterator[Problem]:
    """Yield a problem if neither a release branch of the remote nor a release tag has the commit of a build.

    A tag or a remote branch of this clone is enough; otherwise, the remote is asked. There is no problem without a
    remote.
    """
    git, state, remote = project.git, project.state, project.config.remote
    if git is None or state is None or remote not in remotes.names(git):
        return
    patterns = [line.branch for line in project.config.branch]
    short_id, allow = commit[:10], "to publish anyway: --allow-branch"
    remote_branches = git.remote_branches_containing(commit) if git.resolve_commit(commit) is not None else ()
    tracking_patterns = [f"{remote}/{pattern}" for pattern in patterns]
    is_on_branch = any(_is_release_branch(name, tracking_patterns) for name in remote_branches)
    if is_on_branch or _has_release_tag(commit, project.tags, project):
        return
    try:
        refs = remotes.read_refs(git, remote)
        patterns = patterns or [remotes.default_branch(git, remote) or str(state.branch)]
    except Failed as error:
        message = f"{error.message}, so it is not known whether a release branch has commit {short_id}"
        yield Blocked(error.code, message, fix=f"{error.fix}; {allow}")
        return
    branches = [name for name in refs if name.startswith("refs/heads/")]
    branches = [name for name in branches if _is_release_branch(name.removeprefix("refs/heads/"), patterns)]
    if missing := [name for name in branches if git.resolve_commit(refs[name]) is None]:
        remotes.try_to_fetch_objects(git, remote, *missing, timeout=_FETCH_TIMEOUT)
    has_commit = any(git.is_ancestor(commit, refs[name]) for name in branches)
    if has_commit or _has_release_tag(commit, parse_tags(refs), project):
        return
    is_here = state.branch is not None and state.head == commit and _is_release_branch(state.branch, patterns)
    push = f"git push {remote} {state.branch}" if is_here else "merge it, push, and build the merged commit"
    yield Blocked(
        "branch-behind",
        f"the files were built from commit {short_id}, which is not on the release branch "
        f"({text.join_names(patterns)} of {remote}) and has no release tag",
        fix=f"{push}; {allow}",
    )


def _is_release_branch(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _has_release_tag(commit: str, tags: Mapping[str, str], project: Project) -> bool:
    """Return whether one of the tags, mapped to their commits, is a release tag at a commit."""
    names = [name for name, tagged in tags.items() if tagged == commit]
    try:
        formats = project.tag_formats.values() if names else ()
    except Blocked:  # ambiguous settings of tag formats, which `bump` reports
        return True
    return any(tag_format.matching_tags(names) for tag_format in formats)
