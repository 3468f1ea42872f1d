"""Preflight checks of `auto-tag`, and notes on packages that get no tag."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from relnox import core
from relnox.commands.auto_tag.decisions import State
from relnox.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from relnox.commands.auto_tag.decisions import Decision
    from relnox.commands.auto_tag.snapshot import Snapshot
    from relnox.core.packages import Package
    from relnox.core.problems import Problem
    from relnox.core.tagging.tags import TagFormat


def notes(snapshot: Snapshot, package_decisions: Sequence[Decision]) -> Iterator[str]:
    """Yield notes on tags of the remote that could not be read, and on each package that may need a tag."""
    observation = snapshot.observation
    if observation.remote_error is not None:
        yield f"{observation.remote_error}: its tags were not checked"
    for decision in package_decisions:
        if decision.state is State.REPORTED:
            which = f"{decision.package.name} {decision.package.version}"
            yield f"{which} is {decision.reason}, and gets no tag\n  to tag it: {decision.fix}"
    untagged_packages = [decision.package for decision in package_decisions if decision.is_untagged]
    for problem in _unclear_formats(untagged_packages, snapshot):
        yield f"{problem.message}\n  fix: {problem.fix}"


def problems(snapshot: Snapshot, package_decisions: Sequence[Decision]) -> Iterator[Problem]:
    """Yield the problems that keep the tags from being created; it is no problem if there is nothing to tag."""
    for decision in package_decisions:
        package = decision.package
        if decision.state is State.REJECTED:
            message = f"{package.name} {package.version} is {decision.reason}"
            yield core.problems.Problem(code="version-not-higher", message=message, fix=decision.fix)
        elif decision.state is State.OUTSIDE:
            message = f"{package.name} {package.version} is {decision.reason} ([tool.relnox] branch)"
            yield core.problems.Problem(code="version-outside-bounds", message=message, fix=decision.fix)
        elif decision.state is State.CONFLICT:
            yield core.problems.Problem(
                code="tag-exists", message=decision.reason, fix=decision.fix, exit_code=ExitCode.CONFLICT
            )
    new = [decision for decision in package_decisions if decision.state is State.NEW]
    if new or any(decision.is_unpushed for decision in package_decisions):
        yield from _branch_problems(snapshot)
    if new:
        yield from _version_problems(snapshot, new)
        yield from _name_problems(snapshot, new)
        packages = [decision.package for decision in new]
        yield from _unclear_formats(packages, snapshot)
        if snapshot.identity_error is not None:
            yield core.problems.Problem(
                code="committer-unknown",
                message=f"git has no name and email address for annotated tags ({snapshot.identity_error})",
                fix="set GIT_COMMITTER_NAME and GIT_COMMITTER_EMAIL, or user.name and user.email with git config",
            )


def _unclear_formats(packages: Sequence[Package], snapshot: Snapshot) -> Iterator[Problem]:
    observation = snapshot.observation
    return core.tag_proposals.unclear_format_problems(
        packages, snapshot.workspace, snapshot.config, observation.tag_forms, observation.tags
    )


def _branch_problems(snapshot: Snapshot) -> Iterator[Problem]:
    """Yield a problem if releases are not made from the current branch, or the remote's branch lacks HEAD.

    The branch on the remote is only checked if tags are pushed.
    """
    state, branch, remote = snapshot.observation.state, snapshot.branch, snapshot.config.remote
    configured_branches = snapshot.config.branch
    lines = core.release_lines.release_lines_of_branch(state.branch or "", configured_branches)
    if wrong := list(core.bump_checks.check_branch_allows_releases(state.branch, lines, configured_branches)):
        yield from wrong
    if branch is not None and state.upstream_remote != remote:
        yield from core.bump_checks.check_upstream_is_pushed_to(
            state.branch, remote, state.upstream, state.upstream_remote
        )
    if wrong or branch is None or branch.has_head:
        return
    head = snapshot.head[:10]
    if not branch.exists:
        name = branch.name or "(not known: HEAD is detached)"
        yield core.problems.Problem(
            code="branch-changed",
            message=f"release branch {name} does not exist on {remote}",
            fix=f'set [tool.relnox] branch = "NAME" to a branch that {remote} has',
        )
    elif branch.is_behind_head:
        yield core.problems.Problem(
            code="branch-behind",
            message=f"HEAD ({head}) is not on branch {branch.name} of {remote} yet",
            fix=f"git push {remote} HEAD:refs/heads/{branch.name}",
        )
    else:
        yield core.problems.Problem(
            code="branch-behind",
            message=f"HEAD ({head}) is not on the release branch ({branch.name} of {remote})",
            fix=f"merge it first; to release from another branch than {branch.name}, set [tool.relnox] branch",
        )


def _version_problems(snapshot: Snapshot, new: Sequence[Decision]) -> Iterator[Problem]:
    """Yield problems if version files have uncommitted changes, or if versions that must be equal differ."""
    state, index_states = snapshot.observation.state, snapshot.observation.index_states
    packages = [decision.package for decision in new]
    files = [location.file for package in packages for location in package.locations]
    yield from core.bump_checks.check_no_uncommitted_changes(state.changed_files, files, ())
    yield from core.commit_checks.check_no_hidden_files(files, index_states)
    own_files = {*files, *(package.pyproject for package in packages)}
    untracked_files = own_files.difference(index_states, snapshot.links)
    yield from core.commit_checks.check_files_tracked(
        untracked_files, packages, ignored_files=untracked_files.difference(state.untracked_files)
    )
    for package in snapshot.disagreeing:
        yield core.problems.Problem(
            code="version-locations-differ",
            message=core.version_locations.describe_disagreement(package),
            fix=core.fixes.task_command("bump", "--package", package.name, "--to", "VERSION"),
        )
    versions: dict[TagFormat, dict[str, str]] = {}
    for package in snapshot.workspace.packages:
        if package.version is not None:
            tag_format = snapshot.observation.formats[package.name]
            versions.setdefault(tag_format, {}).setdefault(str(package.version), package.name)
    for tag_format in dict.fromkeys(snapshot.observation.formats[decision.package.name] for decision in new):
        if len(by_version := versions[tag_format]) > 1:
            packages_and_versions = core.text.join_names(
                [f"{name} {version}" for version, name in by_version.items()]
            )
            yield core.problems.Problem(
                code="version-locations-differ",
                message=f"packages with common tags have different versions: {packages_and_versions}",
                fix=core.fixes.task_command("bump", "--all", "--to", "VERSION"),
            )


def _name_problems(snapshot: Snapshot, new: Sequence[Decision]) -> Iterator[Problem]:
    """Yield problems if a new tag could be that of another package, or if git cannot create or push its name."""
    formats, tags = snapshot.observation.formats, snapshot.observation.tags
    directories = {tag[: match.start()] for tag in tags for match in re.finditer("/", tag)}
    for decision in new:
        name, tag = decision.package.name, decision.tag
        others = [
            other for other, form in formats.items() if form != formats[name] and form.parse(tag) is not None
        ]
        if others:
            yield core.problems.Problem(
                code="tag-format-unknown",
                message=f"tag {tag} of {name} could be a tag of {core.text.join_names(others)} as well",
                fix='separate name and version clearly, as in tag-format = "{name}-v{version}"',
            )
        if f"refs/tags/{tag}" in tags:  # `git push` would take it for the destination of refs/tags/TAG
            yield core.problems.Problem(
                code="tag-exists",
                message=f"git cannot push tag {tag}, since there is a tag named refs/tags/{tag}",
                fix="set another [tool.relnox] tag-format",
            )
        parents = [tag[: match.start()] for match in re.finditer("/", tag)]
        if other_tag := next(
            (parent for parent in parents if parent in tags), tag if tag in directories else None
        ):
            yield core.problems.Problem(
                code="tag-exists",
                message=f"tag {tag} conflicts with existing tags "
                f"(git cannot store both {other_tag} and {other_tag}/…)",
                fix="set another [tool.relnox] tag-format",
            )
