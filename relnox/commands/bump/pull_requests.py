"""`--pull-request`: the branch and the pull request that propose a bump instead of a commit in the checkout."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from relnox.commands.bump import changes
from relnox.commands.bump.project_state import Observation
from relnox.commands.bump.snapshot import NewBump, Target
from relnox.commands.options import BumpOptions as Options
from relnox.commands.shared.project import Project
from relnox.core import fixes, text
from relnox.core.bump import bump_checks, release_notes
from relnox.core.fixes import CREATE_REPOSITORY
from relnox.core.notes import pull_request
from relnox.core.notes.changelog import text_of_version
from relnox.core.notes.pull_request import PullRequestPackage
from relnox.core.planning import step
from relnox.core.planning.changes import Edit
from relnox.core.planning.step import Step
from relnox.errors import Blocked, Problem
from relnox.source.git import Git, remotes, trees
from relnox.steps.pull_request import CommitToBranch, OpenPullRequest

_BRANCH_PREFIX = "relnox/release/"
"""What the name of a branch of release pull requests begins with; the branch to merge into follows."""
_TREE = r"(?m)^Relnox-Tree: (\w+)$"
"""Matches the line that ends the commit messages of this command, with the id of the commit's tree."""


def check_options(options: Options) -> None:
    """Check that `--pull-request` is not combined with options that change the checkout or the remote.

    Raises:
        Blocked: Such an option is given.
    """
    names = ("commit", "tag", "push", "undo")
    others = [f"--{name}" for name in names if getattr(options, name)]
    if options.pull_request and others:
        switches = " ".join(f"--no-{name[2:]}" for name in others if name != "--undo")
        raise Blocked(
            "options-conflict",
            f"--pull-request cannot be combined with {', '.join(others)} (it leaves this checkout and its "
            "branches as they are)",
            fix=f"remove one of them{f', or pass {switches}' if switches else ''}",
        )


def observe_target(observation: Observation, edits: tuple[Edit, ...], project: Project) -> Target:
    """Read the branches and the pull request from the remote and its forge.

    Raises:
        Blocked: The project is not in a git repository with a commit, or the remote is not on a known forge.
        Problem: The forge does not answer, or rejects the token.
    """
    from relnox import forges  # with requests, which is slow to import

    git, state, refs = project.git, observation.state, observation.remote.branches
    if git is None or state is None or state.head is None:
        raise Blocked(
            "not-a-git-repository",
            "--pull-request needs a git repository with a commit",
            fix=CREATE_REPOSITORY,
        )
    config = observation.config
    forge = forges.forge_of(remotes.url(git, config.remote))
    base = state.branch or _branch_at(state.head, refs)
    head = f"{_BRANCH_PREFIX}{base or 'HEAD'}"
    replaces = refs.get(head)
    token_problem, request = None, None
    try:
        forge.check_token()
    except Blocked as error:
        token_problem = error
    else:
        request = forge.open_pull_request(head, base) if base is not None else None
    return Target(
        base=base,
        base_head=refs.get(base or ""),
        head=head,
        replaces=replaces,
        foreign=_foreign_commit(replaces, head, config.remote, git) if replaces is not None else "",
        tree=trees.plan_tree(git, edits),
        request=request,
        token_problem=token_problem,
        identity_error=git.identity_error("AUTHOR") or git.identity_error(),
    )


def _branch_at(commit: str, refs: Mapping[str, str]) -> str | None:
    """Return the only remote branch at a commit, ignoring branches of pull requests; None if none or several."""
    branches = [name for name, head in refs.items() if head == commit and not name.startswith(_BRANCH_PREFIX)]
    return branches[0] if len(branches) == 1 else None


def _foreign_commit(commit: str, branch: str, remote: str, git: Git) -> str:
    """Describe the head of a remote branch if an earlier run of this command did not make it; otherwise return "".

    This command writes the id of the tree into its commit message. An amended commit has another tree, and a later
    commit has another message.
    """
    content = trees.read_branch_head(git, commit, remote, branch)
    if content is None:
        return f"commit {commit[:10]}, which cannot be fetched"
    subject = content.message.partition("\n")[0]
    match = re.search(_TREE, content.message)
    if match is not None and match[1] == content.tree and len(content.parents) == 1:
        return ""
    return f"commit {commit[:10]} ({subject})"


def problems(new: NewBump, options: Options) -> Iterator[Problem]:
    """Yield the problems that keep the bump from being proposed as a pull request."""
    target, observation = new.target, new.observation
    if target is None or observation.state is None:
        return
    if target.token_problem is not None:
        error = target.token_problem
        yield error
    if target.identity_error is not None:
        yield Blocked(
            "committer-unknown",
            f"git has no name and email address for commits ({target.identity_error})",
            fix="set user.name and user.email with git config, or GIT_AUTHOR_NAME, GIT_AUTHOR_EMAIL, "
            "GIT_COMMITTER_NAME and GIT_COMMITTER_EMAIL",
        )
    yield from _branch_problems(target, new.observation)
    tags, state = changes.new_tags(observation, new.decision.bumps), observation.state
    yield from bump_checks.check_tags_do_not_exist(
        tags, state.tags, observation.remote.tags or {}, None, observation.config.remote
    )
    changed_files = [edit.file for edit in new.edits if edit.file in state.changed_files]
    if changed_files and options.allow_dirty:  # without it they are reported anyway
        yield Blocked(
            "tree-dirty",
            f"files to edit have uncommitted changes, which would be in the pull request: "
            f"{text.join_names(changed_files)}",
            fix="commit and push them, or run: git stash",
        )
    if not target.tree.is_changed:
        yield Blocked(
            code="nothing-to-commit", message="nothing to commit (no file changes)", fix="choose another version"
        )
    if links := text.join_names(target.tree.links):
        yield Blocked(
            "file-is-link",
            f"{links}: a symbolic link cannot be edited in a pull request",
            fix="name the file that it points to in the settings, or replace it by that file",
        )
    yield from _untagged_problems(new)


def _branch_problems(target: Target, observation: Observation) -> Iterator[Problem]:
    """Yield problems if HEAD is not the head of the branch to merge into, or the other has foreign commits."""
    remote = observation.config.remote
    head = observation.state.head or "" if observation.state is not None else ""
    if target.base is None:
        yield Blocked(
            "branch-unknown",
            f"the checkout is detached, and {head[:10]} is not the head of exactly one branch of {remote}",
            fix="git switch BRANCH",
        )
    elif target.base.startswith(_BRANCH_PREFIX):
        yield Blocked(
            "branch-wrong",
            f"{target.base} is the branch of a release pull request",
            fix="switch to the release branch, such as: git switch main",
        )
    elif target.base_head is None:
        yield Blocked(
            "branch-changed",
            f"{remote} has no branch {target.base} to merge into",
            fix=f"git push {remote} {target.base}",
        )
    elif target.base_head != head and observation.remote.is_ancestor is not False:
        yield Blocked(
            "branch-not-pushed",
            f"HEAD ({head[:10]}) is not the head of {target.base} on {remote} ({target.base_head[:10]})",
            fix=f"git push {remote} {target.base}",
        )
    if target.foreign:
        yield Blocked(
            "branch-has-commits",
            f"branch {target.head} of {remote} has a change that relnox did not make: {target.foreign}",
            fix=f"merge the pull request, or move the change to {target.base} and delete the branch by hand; to "
            f"see the change: git fetch {remote} {target.head} && git log FETCH_HEAD",
        )


def _untagged_problems(new: NewBump) -> Iterator[Problem]:
    """Yield a problem if a package's current version is not tagged, since its commits would be released twice."""
    for bump in new.decision.bumps:
        history, before = new.observation.history.get(bump.package.name), bump.before
        if history is None or history.version is None or before is None or before.is_devrelease:
            continue
        if before > history.version:
            yield Blocked(
                "release-not-tagged",
                f"{bump.package.name} {before} is not tagged yet (its last tag is {history.tag})",
                fix=fixes.task_command("auto-tag"),
            )
            return


def notes(new: NewBump) -> Iterator[str]:
    """Yield a note on the open pull request that is updated."""
    if new.target is not None and (request := new.target.request) is not None:
        yield f"updates pull request {request.number}: {request.url}"


def plan_steps(new: NewBump) -> Iterator[Step]:
    """Yield the steps that commit the bump to the branch and open or update the pull request."""
    target, observation = new.target, new.observation
    if target is None or target.base is None or target.base_head is None:
        return
    message = changes.commit_message(observation, new.decision.bumps).rstrip()
    commit = CommitToBranch(
        remote_name=observation.config.remote,
        branch=target.head,
        parent=target.base_head,
        message=f"{message}\nRelnox-Tree: {target.tree.id}",
        edits=new.edits,
        tree=target.tree.id,
        replaces=target.replaces,
    )
    yield commit
    yield OpenPullRequest(
        remote_name=observation.config.remote,
        head=target.head,
        base=target.base,
        name=pull_request.format_title(message),
        body=pull_request.format_body(tuple(_packages(new)), target.base),
        needs=step.after(commit),
    )


def _packages(new: NewBump) -> Iterator[PullRequestPackage]:
    """Yield the packages of the release, for the text of the pull request."""
    observation, bumps = new.observation, new.decision.bumps
    tags = changes.tag_names(observation, bumps)
    contents = {edit.file: edit.after for edit in new.edits if edit.after is not None}
    changelogs = release_notes.find_changelogs(observation.workspace, contents, observation.config)
    for bump in bumps:
        name, after = bump.package.name, str(bump.after)
        changelog = contents[changelogs[name]].decode("utf-8", "replace") if changelogs.get(name) else ""
        yield PullRequestPackage(
            name=name,
            before=str(bump.before) if bump.before is not None else "-",
            after=after,
            reason=bump.reason,
            tag=tags[name],
            private=bump.package.is_private,
            changes=text_of_version(changelog, after) or "",
        )
