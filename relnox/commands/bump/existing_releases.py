"""Releases that exist already: at HEAD, so that they are finished and not made again, or made from HEAD elsewhere.

The trailers of commits and tags say what they release (`core.bump.trailers`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from packaging.version import Version

from relnox.commands.bump import changes
from relnox.commands.bump.development import decide_development_versions, development_steps
from relnox.commands.bump.options import requested_bump
from relnox.commands.bump.project_state import Observation
from relnox.commands.bump.snapshot import Decision, Development
from relnox.commands.options import BumpOptions as Options
from relnox.commands.shared.project import Project
from relnox.core import fixes
from relnox.core.bump import bump_checks, trailers
from relnox.core.bump.trailers import DEVELOPMENT
from relnox.core.bump.version_bumps import VersionBump
from relnox.core.planning.plan import Plan
from relnox.core.planning.step import Step
from relnox.core.text import join_names
from relnox.core.versions import versioning
from relnox.core.versions.requested_bump import check_bump
from relnox.errors import Blocked, Problem
from relnox.source import file_edits
from relnox.source.git import Git, remotes
from relnox.source.git.repository import TagMessage
from relnox.steps.git import CreateTags, Push, ResetIndex


class _Release(NamedTuple):
    """A released commit, its versions by package, and whether a development version follows it."""

    commit: str
    versions: Mapping[str, Version]
    is_followed: bool


def plan_release_at_head(
    observation: Observation, options: Options, project: Project, checkout: Project
) -> Plan | None:
    """Plan to finish the release at HEAD, or one below it that was not pushed; None if another one is requested.

    If nothing is missing, the plan has no steps: another release of the same commits is hardly wanted. With
    `--again` or `--part auto`, which asks the commits, the result is None then.

    Args:
        observation: The state of the project.
        options: The options of the command.
        project: The project, with the files of HEAD.
        checkout: The project with the files of the checkout.
    """
    git, state, config = project.git, observation.state, observation.config
    if git is None or state is None or state.head is None or not (options.commit or options.tag):
        return None
    releases = _find_releases(observation, options, git)
    release = next((release for release in releases if _is_requested(release, observation, options)), None)
    if release is None:
        return None
    commit, bumps = release.commit, _bumps(release, observation)
    tags = changes.new_tags(observation, bumps) if options.tag else ()
    remote_tags = observation.remote.tags or {}
    unpushed_tags = [tag for tag in tags if remote_tags.get(tag.name) != commit]
    missing_tags = tuple(tag for tag in unpushed_tags if state.tags.get(tag.name) != commit)
    following = Development()
    if not release.is_followed and (unpushed_tags or not tags):  # or it would have been pushed with the tags
        following = decide_development_versions(observation, Decision(bumps, {}, ()), (), options, project)
    planned: list[Step] = []
    if stale_files := _stale_files(checkout):
        planned.append(ResetIndex(files=stale_files))
    if missing_tags:
        planned.append(CreateTags(tags=missing_tags, commit=commit))
    planned += development_steps(following, observation)
    pushes_branch = options.push and (
        bool(following.edits) or not is_on_remote_branch(state.head, state.branch, observation, git)
    )
    if pushes_branch or (options.push and unpushed_tags):
        branch, names = state.branch if pushes_branch else None, tuple(tag.name for tag in unpushed_tags)
        planned.append(Push(remote_name=config.remote, branch=branch or "", tags=names))
    if not planned and (options.again or options.part == "auto"):
        return None
    problems = [
        *bump_checks.check_tags_do_not_exist(tags, {}, remote_tags, commit, config.remote),
        *(_branch_problems(observation, options) if pushes_branch or following.edits else ()),
        *(_push_problems(observation, is_public=len(unpushed_tags) < len(tags)) if pushes_branch else ()),
    ]
    if changed_files := file_edits.changed_files(checkout.root, following.edits):
        problems.append(
            Blocked(
                "tree-dirty",
                f"files that the bump edits have uncommitted changes: {join_names(changed_files)}",
                fix="commit the changes, or put them aside: git stash",
            )
        )
    where = "HEAD" if commit == state.head else "the commit below HEAD" if release.is_followed else "a commit"
    versions = join_names(f"{bump.package.name} {bump.after}" for bump in bumps)
    what = f"{where} ({commit[:10]}) is the release of {versions}"
    note = f"finishing a release: {what}; to make another one afterwards: --again"
    if not planned:
        note = f"already released: {what}; to bump once more: --again"
    return Plan(task="bump", steps=tuple(planned), notes=(note,), problems=tuple(problems))


def _bumps(release: _Release, observation: Observation) -> tuple[VersionBump, ...]:
    packages = observation.workspace.by_name
    return tuple(
        VersionBump(packages[name], None, version, "")
        for name, version in sorted(release.versions.items())
        if name in packages
    )


def _branch_problems(observation: Observation, options: Options) -> Iterator[Problem]:
    """Yield the problems that keep the branch from being committed to or pushed."""
    state = observation.state
    if state is None:
        return
    yield from bump_checks.check_no_operation_in_progress(state.operation)
    if state.operation != "rebase":  # which detaches HEAD until it ends
        yield from bump_checks.check_head_not_detached(state.branch)
    if not options.allow_branch:
        yield from bump_checks.check_branch_allows_releases(
            state.branch, observation.lines, observation.config.branch
        )


def _push_problems(observation: Observation, *, is_public: bool) -> Iterator[Problem]:
    """Yield the problems that keep the branch from being pushed; `is_public` is whether a tag of it is."""
    state, remote = observation.state, observation.config.remote
    if state is None:
        return
    yield from bump_checks.check_upstream_is_pushed_to(state.branch, remote, state.upstream, state.upstream_remote)
    is_ancestor = observation.remote.is_ancestor
    for problem in bump_checks.check_not_behind_remote(state.branch, remote, is_ancestor=is_ancestor):
        undo = fixes.task_command("bump", "--undo")
        fix = f"{problem.fix}, then rerun the command; or undo the release: {undo}"
        if is_public:  # a rebased release would be another commit than that of the tags
            fix = f"git pull --no-rebase --no-edit {remote} {state.branch}, then rerun the command"
        yield problem.but(fix=fix)


def _find_releases(observation: Observation, options: Options, git: Git) -> Iterator[_Release]:
    """Yield the release at HEAD or below a development version there; with `--push`, also the unpushed ones below.

    A release without a commit of its own is known by its tags. Of a package, only the last release counts.
    """
    state, remote = observation.state, observation.remote
    if state is None:
        return
    later_names: set[str] = set()
    commits, count = git.messages("-2"), 1
    if options.push:
        tip = remote.branches.get(state.branch or "")
        if tip is not None and git.resolve_commit(tip) is not None:
            unpushed = git.messages("HEAD", f"^{tip}")
            count, commits = max(1, len(unpushed)), [*commits, *unpushed[2:]]
    ids = {commit for commit, _ in commits}
    unpushed_names = state.tags.keys() - remote.tags.keys() if options.push and remote.tags is not None else set()
    names = {name for name, commit in state.tags.items() if commit in ids or name in unpushed_names}
    tags = [tag for tag in git.tag_messages("--merged=HEAD") if tag.name in names] if names else []
    is_followed = False
    for position, (commit, message) in enumerate(commits):
        if position >= count and not is_followed:
            break
        if versions := trailers.read_trailers(message) | _tagged_versions(tags, commit):
            if later_names.isdisjoint(versions):
                yield _Release(commit, versions, is_followed)
            later_names |= versions.keys()
            is_followed = False
        is_followed |= bool(trailers.read_trailers(message, DEVELOPMENT))
    for tag in tags:
        versions = _tagged_versions(tags, tag.commit)
        if tag.name in unpushed_names and versions and later_names.isdisjoint(versions):
            yield _Release(tag.commit, versions, is_followed)
        later_names |= versions.keys()


def _tagged_versions(tags: Sequence[TagMessage], commit: str) -> dict[str, Version]:
    """Return the versions that tags of a commit release, by package."""
    versions: dict[str, Version] = {}
    for tag in tags:
        if tag.commit == commit:
            versions |= trailers.read_trailers(tag.message)
    return versions


def _is_requested(release: _Release, observation: Observation, options: Options) -> bool:
    """Return whether the options ask for the versions of a release: for those packages, and for such versions.

    Its versions do not count if a commit has changed them since.
    """
    packages = observation.workspace.by_name
    if not release.is_followed and any(
        packages[name].version != version
        for name, version in release.versions.items()
        if name in packages and packages[name].source.is_in_file
    ):
        return False
    if options.part == "auto":
        return True
    bump = requested_bump(options)
    check_bump(bump)
    tagged_packages = {name for name, history in observation.history.items() if history.version is not None}
    names = [
        package.name
        for package in observation.selected
        if package.version is not None or package.name in tagged_packages
    ]
    return bool(names) and all(
        name in release.versions and versioning.is_result_of(release.versions[name], bump) for name in names
    )


def _stale_files(checkout: Project) -> tuple[str, ...]:
    """Return the files that git's index has as they are before HEAD, and HEAD has not."""
    git, state = checkout.git, checkout.state
    if git is None or state is None or not state.changed_files or (parent := git.parent_commit()) is None:
        return ()
    return tuple(sorted(git.files_staged_since("HEAD") - git.files_staged_since(parent)))


def find_release_after_head(
    observation: Observation, decision: Decision, options: Options, project: Project
) -> str | None:
    """Return why nothing is left to do, if the remote has this release, made from HEAD; None if it has not.

    This is so in a job that is run again, on the commit that its first run began with. Tags that only this clone
    has are no release: their commit may have been dropped since.
    """
    git, state, remote_tags = project.git, observation.state, observation.remote.tags or {}
    if git is None or state is None or not options.tag or options.again or options.part == "auto":
        return None
    names = tuple(dict.fromkeys(changes.tag_names(observation, decision.bumps).values()))
    commits = {remote_tags.get(name) for name in names}
    commit = commits.pop() if len(commits) == 1 else None
    if commit is None or commit == state.head:
        return None
    if git.resolve_commit(commit) is None:
        remotes.try_to_fetch_objects(git, project.config.remote, f"refs/tags/{names[0]}")
    if git.parent_commit(commit) != state.head or not is_on_remote_branch(commit, state.branch, observation, git):
        return None
    which = f"{join_names(names)} ({commit[:10]}) was released from this commit ({(state.head or '')[:10]})"
    return f"already released: {which}"


def is_on_remote_branch(commit: str, branch: str | None, observation: Observation, git: Git) -> bool:
    """Return whether the remote's branch has a commit; if HEAD is detached, whether any branch has it."""
    branches = observation.remote.branches
    if branch is None:
        return commit in branches.values() or any(git.is_ancestor(commit, tip) for tip in branches.values())
    if branch not in branches:
        return False
    if git.resolve_commit(branches[branch]) is None:
        remotes.try_to_fetch_objects(git, observation.config.remote, f"refs/heads/{branch}")
    return git.is_ancestor(commit, branches[branch])
