"""The plan of a bump with `--pull-request`: preflight checks, notes, steps, and the text of the pull request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relnox import core, steps
from relnox.commands.bump import changes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from relnox.commands.bump.snapshot import NewBump, Target
    from relnox.commands.options import BumpOptions as Options
    from relnox.core.planning.step import Step
    from relnox.core.problems import Problem

_SYMBOLIC_LINK = "120000"
_EXECUTABLE = "100755"


def problems(new: NewBump, options: Options) -> Iterator[Problem]:
    """Yield the problems that keep the bump from being proposed as a pull request."""
    target, observation = new.target, new.observation
    if target is None or observation.state is None:
        return
    remote, head = observation.config.remote, observation.state.head or ""
    problem = core.problems.Problem
    if target.token_problem is not None:
        error = target.token_problem
        yield problem(code=error.code, message=error.message, fix=error.fix or "set a token")
    if target.base is None:
        yield problem(
            code="branch-unknown",
            message=f"the checkout is detached, and {head[:10]} is not the head of exactly one branch of {remote}",
            fix="git switch BRANCH",
        )
    elif target.base == target.head:
        yield problem(
            code="branch-wrong",
            message=f"{target.base} is the branch of the pull request itself",
            fix="switch to the release branch, such as: git switch main",
        )
    elif target.base_head is None:
        yield problem(
            code="branch-changed",
            message=f"{remote} has no branch {target.base} to merge into",
            fix=f"git push {remote} {target.base}",
        )
    elif target.base_head != head and observation.remote.is_ancestor is not False:
        yield problem(
            code="branch-not-pushed",
            message=f"HEAD ({head[:10]}) is not the head of {target.base} on {remote} ({target.base_head[:10]})",
            fix=f"git push {remote} {target.base}",
        )
    if target.foreign:
        yield problem(
            code="branch-has-commits",
            message=f"branch {target.head} of {remote} has a change that relnox did not make: {target.foreign}",
            fix=f"merge the pull request, or move the changes to {target.base}, then rerun the command",
        )
    tags, state = changes.new_tags(observation, new.decision.bumps), observation.state
    yield from core.bump_checks.check_tags_do_not_exist(
        tags, state.tags, observation.remote.tags or {}, None, remote
    )
    yield from _file_problems(new, target, options)
    yield from _unreleased_problems(new)


def _file_problems(new: NewBump, target: Target, options: Options) -> Iterator[Problem]:
    """Yield problems if a file to edit has uncommitted changes or is a symbolic link, or if no file changes."""
    files = target.tree.files if target.tree is not None else ()
    dirty = new.observation.state.changed_files if new.observation.state is not None else ()
    changed_files = [edit.file for edit in new.edits if edit.file in dirty]
    if changed_files and options.allow_dirty:  # without it they are reported anyway
        yield core.problems.Problem(
            code="tree-dirty",
            message=f"files to edit have uncommitted changes, which would be in the pull request: "
            f"{core.text.join_names(changed_files)}",
            fix="commit and push them, or run: git stash",
        )
    if not files and new.decision.bumps:
        yield core.problems.Problem(
            code="nothing-to-commit", message="nothing to commit (no file changes)", fix="choose another version"
        )
    links = [file.path for file in files if file.mode == _SYMBOLIC_LINK]
    if links:
        yield core.problems.Problem(
            code="file-is-link",
            message=f"{core.text.join_names(links)}: a symbolic link cannot be edited in a pull request",
            fix="name the file that it points to in the settings, or replace it by that file",
        )


def _unreleased_problems(new: NewBump) -> Iterator[Problem]:
    """Yield a problem if a package's current version is not tagged, since its commits would be released twice."""
    for bump in new.decision.bumps:
        history, before = new.observation.history.get(bump.package.name), bump.before
        if history is None or history.version is None or before is None or before.is_devrelease:
            continue
        if before > history.version:
            yield core.problems.Problem(
                code="release-not-tagged",
                message=f"{bump.package.name} {before} is not tagged yet (its last tag is {history.tag})",
                fix=core.fixes.task_command("auto-tag"),
            )
            return


def notes(new: NewBump) -> Iterator[str]:
    """Yield a note on the open pull request that is updated, or on a closed one that a new one replaces."""
    target = new.target
    if target is None or target.token_problem is not None or not new.decision.bumps:
        return
    states = {str(request.state): request for request in reversed(target.requests)}
    if (request := states.get("open")) is not None:
        yield f"updates pull request {request.number}: {request.url}"
    elif (request := states.get("closed")) is not None:
        yield f"pull request {request.number} was closed without a merge; a new one is opened"


def plan_steps(new: NewBump) -> Iterator[Step]:
    """Yield the steps that commit the bump to the branch and open or update the pull request."""
    target, observation = new.target, new.observation
    if target is None or target.tree is None or target.base is None or target.base_head is None:
        return
    message = changes.commit_message(observation, new.decision.bumps).rstrip()
    prefix = len(target.prefix)
    files = target.tree.files
    commit = steps.CommitToBranch(
        remote_name=observation.config.remote,
        branch=target.head,
        parent=target.base_head,
        message=f"{message}\n\nRelnox-Tree: {target.tree.id}",
        edits=tuple(
            core.changes.Edit(file=file.path[prefix:], before=file.before, after=file.after) for file in files
        ),
        prefix=target.prefix,
        executable=tuple(file.path[prefix:] for file in files if file.mode == _EXECUTABLE),
        tree=target.tree.id,
        replaces=target.replaces,
    )
    yield commit
    yield steps.OpenPullRequest(
        remote_name=observation.config.remote,
        head=target.head,
        base=target.base,
        name=core.pull_request.format_title(message),
        body=core.pull_request.format_body(_release(new, target.base)),
        needs=core.step.after(commit),
    )


def _release(new: NewBump, base: str) -> core.pull_request.PullRequestContent:
    """Return the data for the text of a pull request into the branch `base`."""
    observation, bumps = new.observation, new.decision.bumps
    names = {bump.package.name for bump in bumps}
    tags = changes.tag_names(observation, bumps)
    contents = {edit.file: edit.after for edit in new.edits if edit.after is not None}
    changelogs = core.release_notes.find_changelogs(observation.workspace, contents, observation.config)
    return core.pull_request.PullRequestContent(
        packages=tuple(
            core.pull_request.PullRequestPackage(
                name=bump.package.name,
                before=str(bump.before) if bump.before is not None else "-",
                after=str(bump.after),
                reason=bump.reason,
                tag=tags[bump.package.name],
                private=bump.package.is_private,
                changes=_changelog_text(changelogs.get(bump.package.name), str(bump.after), contents),
            )
            for bump in bumps
        ),
        unchanged=tuple(package.name for package in observation.workspace.packages if package.name not in names),
        files=tuple(edit.file for edit in new.edits),
        branch=base,
    )


def _changelog_text(file: str | None, version: str, contents: Mapping[str, bytes]) -> str | None:
    """Return the section of a changelog for a version, or None if there is none."""
    if file is None:
        return None
    return core.changelog.text_of_version(contents[file].decode("utf-8", "replace"), version)
