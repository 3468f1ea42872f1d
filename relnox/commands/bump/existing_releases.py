"""Releases that already exist with the result of the requested bump, recognized by their tags."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relnox import core, steps
from relnox.commands.bump.changes import tag_names
from relnox.commands.bump.options import requested_bump
from relnox.commands.bump.repeated_bumps import AGAIN, ALREADY_DONE
from relnox.commands.bump.snapshot import ExistingRelease
from relnox.core.text import join_names
from relnox.errors import Blocked

if TYPE_CHECKING:
    from collections.abc import Mapping

    from packaging.version import Version

    from relnox.commands.bump.project_state import Observation
    from relnox.commands.bump.snapshot import Decision
    from relnox.commands.options import BumpOptions as Options
    from relnox.commands.shared.project import Project
    from relnox.core.packages import Package
    from relnox.core.planning.plan import Plan
    from relnox.core.planning.step import Step
    from relnox.source.git import Git


def existing_release_plan(release: ExistingRelease, options: Options) -> Plan:
    """Plan an existing release: nothing is left to do, except to push what the remote lacks."""
    tags = tuple(core.changes.NewTag(name=name, message=name) for name in release.tags)
    # With a development version the tags are below HEAD, where this step would not put them.
    planned_steps: tuple[Step, ...] = () if options.then_dev and options.push else (steps.CreateTags(tags=tags),)
    if options.push:
        planned_steps = (
            *planned_steps,
            steps.Push(remote_name=release.remote_name, branch=release.branch, tags=release.tags),
        )
    needs_push = options.push and not release.is_on_remote
    return core.plan.Plan(
        task="bump",
        steps=planned_steps,
        notes=(release.reason,),
        skipped=None if needs_push else ALREADY_DONE,
        problems=release.problems if needs_push else (),
    )


def find_release_at_head(observation: Observation, options: Options, project: Project) -> ExistingRelease | None:
    """Return the release at HEAD if the requested bump, applied to the parent commit, would make the same one.

    It is recognized by its tags, since a rerun of a CI job has no record of the first run. With `--then-dev`, the
    release may also be at the parent of HEAD.
    """
    state, git = observation.state, project.git
    if git is None or state is None or state.head is None or not _may_already_be_released(observation, options):
        return None
    head, versions = state.head, {package.name: package.version for package in observation.selected}
    if options.then_dev and all(package.source.is_in_file for package in observation.selected):
        head, versions = _before_development(observation, git)
    tagged_packages = _tagged_at(head, versions, observation)
    parent = git.parent_commit(head) if tagged_packages else None
    if parent is None:
        return None
    from relnox.source.version_files import version_at

    earlier = {}
    if not all(package.source.is_in_file for package in tagged_packages.values()):
        earlier = _tagged_before(parent, observation, git)
    try:
        for (_, version), package in tagged_packages.items():
            if options.to is not None:
                if core.versioning.parse(options.to, where="--to") != version:
                    return None
                continue
            old = version_at(parent, package, git) if package.source.is_in_file else earlier.get(package.name)
            if old is None or old == version or _version_after_request(old, observation, options) != version:
                return None
    except Blocked:  # deciding the bump raises it again
        return None
    tags = tuple(dict.fromkeys(tag for tag, _ in tagged_packages))
    which = "HEAD" if head == state.head else "the release below HEAD"
    reason = f"already done: {which} ({head[:10]}) is tagged {join_names(tags)}, no commits since; {AGAIN}"
    return _existing_release(reason, tags, head, observation, options, project)


def find_release_after_head(
    observation: Observation, decision: Decision, options: Options, project: Project
) -> ExistingRelease | None:
    """Return the release that already has the tags of this bump, if its commit is a child of HEAD on the remote.

    This is so in a job that is run again, on the commit that its first run began with. Tags that only this clone
    has are no release: their commit may have been dropped since.
    """
    git, state = project.git, observation.state
    if git is None or state is None or not options.tag or not _may_already_be_released(observation, options):
        return None
    existing_tags = state.tags | dict(observation.remote.tags or {})
    names = tuple(dict.fromkeys(tag_names(observation, decision.bumps).values()))
    commits = {existing_tags.get(name) for name in names}
    commit = commits.pop() if len(commits) == 1 else None
    if commit is None:
        return None
    if names[0] not in state.tags:
        from relnox.source.git import remotes

        remotes.try_to_fetch_objects(git, project.config.remote, f"refs/tags/{names[0]}")
    if commit == state.head or git.parent_commit(commit) != state.head:
        return None
    where = f"{join_names(names)} ({commit[:10]}) was released from this commit ({(state.head or '')[:10]})"
    release = _existing_release(f"already done: {where}", names, commit, observation, options, project)
    return release if release.is_on_remote else None


def _may_already_be_released(observation: Observation, options: Options) -> bool:
    """Return whether the requested release may already exist, which is impossible right after another bump."""
    is_new = observation.previous is None and not options.again and options.part != "auto"
    return is_new and (options.commit or options.tag)


def _existing_release(  # noqa: PLR0913, PLR0917 - all that the release is found from
    reason: str, tags: tuple[str, ...], commit: str, observation: Observation, options: Options, project: Project
) -> ExistingRelease:
    """Return a release of this clone, with what keeps it from being pushed if the remote lacks a part of it."""
    checks, remote_name, state = core.bump_checks, observation.config.remote, observation.state
    remote_tags = observation.remote.tags or {}
    branch = state.branch if state is not None else None
    is_on_remote_branch = _is_on_remote_branch(commit, branch, observation, project)
    problems = [
        *checks.check_tags_do_not_exist(
            [core.changes.NewTag(name=tag, message=tag) for tag in tags], {}, remote_tags, commit, remote_name
        )
    ]
    if not is_on_remote_branch:
        problems += checks.check_head_not_detached(branch)
        if not options.allow_branch:
            problems += checks.check_branch_allows_releases(branch, observation.lines, observation.config.branch)
    return ExistingRelease(
        reason=reason,
        tags=tags,
        is_on_remote=is_on_remote_branch and all(remote_tags.get(tag) == commit for tag in tags),
        problems=tuple(problems),
        branch=branch or "",
        remote_name=remote_name,
        head=state.head if state is not None else None,
    )


def _is_on_remote_branch(commit: str, branch: str | None, observation: Observation, project: Project) -> bool:
    """Return whether the remote's branch has a commit; if HEAD is detached, whether any branch has it."""
    git, branches = project.git, observation.remote.branches
    if git is None:
        return False
    if branch is None:
        return commit in branches.values() or any(git.is_ancestor(commit, tip) for tip in branches.values())
    if branch not in branches:
        return False
    if git.resolve_commit(branches[branch]) is None:
        from relnox.source.git import remotes

        remotes.try_to_fetch_objects(git, observation.config.remote, f"refs/heads/{branch}")
    return git.is_ancestor(commit, branches[branch])


def _before_development(observation: Observation, git: Git) -> tuple[str, dict[str, Version | None]]:
    """Return the parent of HEAD and the versions there, if HEAD sets the next development version of each package.

    Returns:
        The id of the parent commit, and the version of each package in it; otherwise `("", {})`.
    """
    from relnox.source.version_files import version_at

    parent = git.parent_commit() or ""
    versions = {package.name: version_at(parent, package, git) for package in observation.selected}
    config = observation.config
    for package in observation.selected:
        version = versions[package.name]
        if version is None or package.version is None or not package.version.is_devrelease:
            return "", {}
        following = core.versioning.next_version(
            version,
            core.requested_bump.Bump(part="dev"),
            scheme=config.scheme,
            today=observation.today,
        )
        if following != package.version:
            return "", {}
    return parent, versions


def _tagged_at(
    head: str, versions: Mapping[str, Version | None], observation: Observation
) -> dict[tuple[str, Version], Package]:
    """Map each tag and version of the selected packages at a commit to the first package that has them.

    The result is empty if a package has no tag on the commit. A version is None if it is not in a file.
    """
    tags = observation.state.tags if observation.state is not None else {}
    packages: dict[tuple[str, Version], Package] = {}
    for package in observation.selected:
        version = versions.get(package.name)
        if version is None and package.source.kind == "tags":
            history = observation.history.get(package.name)
            version = history.version if history is not None else None
        tag = observation.tag_formats[package.name].render(version) if version is not None else ""
        if version is None or tags.get(tag) != head:
            return {}
        packages.setdefault((tag, version), package)
    return packages


def _tagged_before(commit: str, observation: Observation, git: Git) -> dict[str, Version]:
    """Return the version of each package's last tag in the history of a commit, by package."""
    latest = core.tags.latest_tags(observation.tag_formats, git.merged_tags(commit), lines=observation.lines)
    return {name: version for name, (_, version) in latest.items()}


def _version_after_request(version: Version, observation: Observation, options: Options) -> Version:
    """Return the version that the requested bump gives a package whose version was `version` before."""
    config = observation.config
    return core.versioning.next_version(
        version,
        requested_bump(options),
        scheme=config.scheme,
        prerelease_start=config.prerelease_start,
        today=observation.today,
    )
