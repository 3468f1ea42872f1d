"""A bump as a pull request: its branch, its preflight checks, its steps, and its body."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from relnox import core, steps
from relnox.commands.bump import changes
from relnox.core.records import Record
from relnox.errors import Blocked
from relnox.source.git import remotes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from relnox import forges
    from relnox.commands.bump.observation import Observation
    from relnox.commands.bump.options import Options
    from relnox.commands.bump.snapshot import NewBump
    from relnox.commands.shared.project import Project
    from relnox.core.bump.changes import Edit
    from relnox.core.planning.plan import Problem
    from relnox.core.planning.step import Step
    from relnox.source.git import Git
    from relnox.source.git.trees import PlannedTree

__all__ = ["Target", "check_options", "notes", "observe_target", "plan_steps", "problems"]

_FETCH_TIMEOUT = 300.0
_SYMBOLIC_LINK = "120000"
_EXECUTABLE = "100755"
_TREE = re.compile(r"^Relnox-Tree: (\w+)$", re.MULTILINE)
"""The last line of the message of a commit that this command makes: the tree that it made it with."""


class Target(Record):
    """Where a bump is proposed.

    Attributes:
        base: The branch to merge into; None if the checkout is detached, and not at the head of one branch.
        base_head: The commit of that branch on the remote; None if it has no such branch.
        head: The branch of the pull request.
        replaces: The commit of that branch; None if the remote has no such branch.
        foreign: What is on that branch that this command did not put there, as a phrase; empty if nothing is.
        tree: The tree with the edited files; None if nothing is edited.
        prefix: Path of the project's root in the repository, empty or ending in a slash.
        requests: All pull requests of that branch into `base`, the newest first.
        token_problem: Why nothing can be sent to the forge; None if there is a token.
    """

    base: str | None
    base_head: str | None
    head: str
    replaces: str | None
    foreign: str
    tree: PlannedTree | None
    prefix: str
    requests: tuple[forges.PullRequest, ...]
    token_problem: Blocked | None


def check_options(options: Options) -> None:
    """Check that nothing else is to be done with the bump.

    Raises:
        Blocked: Something is.
    """
    names = ("commit", "tag", "push", "undo", "abort")
    others = [f"--{name}" for name in names if getattr(options, name)]
    if options.force_branch and not options.pull_request:
        raise Blocked(
            "option-missing", "--force-branch needs --pull-request", fix="add --pull-request, or leave it out"
        )
    if options.pull_request and others:
        switches = " ".join(f"--no-{name[2:]}" for name in others if name not in ("--undo", "--abort"))
        raise Blocked(
            "options-conflict",
            f"--pull-request changes nothing here, and cannot be combined with {', '.join(others)}",
            fix=f"leave one of them out{f', or pass {switches}' if switches else ''}",
        )


def observe_target(observed: Observation, edits: tuple[Edit, ...], options: Options, project: Project) -> Target:
    """Read the branch and the pull requests from the remote and its forge.

    Raises:
        Blocked: There is no git, or the remote is not on a known forge.
        RelnoxError: The forge does not answer, or rejects the token.
    """
    from relnox import forges
    from relnox.source.git import trees

    git, state, refs = project.git, observed.state, observed.remote.branches
    if git is None or state is None or state.head is None:
        raise Blocked(
            "not-a-git-repository",
            "--pull-request needs a git repository with a commit",
            fix="run git init and commit first",
        )
    config = observed.config
    forge = forges.forge_of(remotes.url(git, config.remote))
    base = state.branch or _branch_at(state.head, refs, config.pull_request_branch)
    head = _branch_name(config.pull_request_branch, base or "HEAD")
    replaces = refs.get(head)
    foreign = ""
    if replaces is not None and not options.force_branch:
        foreign = _foreign_commits(replaces, head, config.remote, git)
    token_problem = None
    try:
        forge.check_token()
    except Blocked as error:
        token_problem = error
    requests = forge.pull_requests(head, state=None) if token_problem is None else ()
    return Target(
        base=base,
        base_head=refs.get(base or ""),
        head=head,
        replaces=replaces,
        foreign=foreign,
        tree=trees.plan_tree(git, edits) if edits else None,
        prefix=git.prefix,
        requests=tuple(request for request in requests if request.base == base),
        token_problem=token_problem,
    )


def _branch_at(commit: str, refs: Mapping[str, str], template: str) -> str | None:
    """Return the only branch of the remote that is on a commit, branches of pull requests aside."""
    own = re.escape(template).replace(re.escape("{branch}"), ".+")
    branches = [name for name, head in refs.items() if head == commit and not re.fullmatch(own, name)]
    return branches[0] if len(branches) == 1 else None


def _branch_name(template: str, base: str) -> str:
    return template.replace("{branch}", base)


def _foreign_commits(commit: str, branch: str, remote: str, git: Git) -> str:
    """Return what is on a branch besides the commit of an earlier run; empty if nothing is.

    That commit names its tree: a commit that amends it has another tree, and one on top of it has another message.
    """
    from relnox.source.git import trees

    content = trees.read_commit(git, commit)
    if content is None:
        remotes.fetch_objects(git, remote, f"refs/heads/{branch}", timeout=_FETCH_TIMEOUT)
        content = trees.read_commit(git, commit)
    if content is None:
        return f"commit {commit[:10]}, which cannot be fetched"
    subject = content.message.strip().partition("\n")[0]
    match = _TREE.search(content.message)
    if match is not None and match[1] == content.tree and len(content.parents) == 1:
        return ""
    return f"commit {commit[:10]} ({subject})"


def problems(new: NewBump, options: Options) -> Iterator[Problem]:
    """Check that the commit can be put on the present head of the release branch."""
    target, observed = new.target, new.observation
    if target is None or observed.state is None:
        return
    remote, head = observed.config.remote, observed.state.head or ""
    problem = core.plan.Problem
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
            fix="switch to the branch that releases are made from, such as: git switch main",
        )
    elif target.base_head is None:
        yield problem(
            code="branch-missing",
            message=f"{remote} has no branch {target.base} to merge into",
            fix=f"git push {remote} {target.base}",
        )
    elif target.base_head != head and observed.remote.is_ancestor is not False:
        yield problem(
            code="branch-not-pushed",
            message=f"HEAD ({head[:10]}) is not the head of {target.base} on {remote} ({target.base_head[:10]})",
            fix=f"git push {remote} {target.base}",
        )
    if target.foreign:
        flag = "--force-branch"
        yield problem(
            code="branch-has-commits",
            message=f"branch {target.head} of {remote} has a change that relnox did not make: {target.foreign}",
            fix=f"merge the pull request, or move the changes to {target.base}; to overwrite them: {flag}",
        )
    tags, state = changes.tags(observed, new.decision.bumps), observed.state
    yield from core.bump_checks.check_tags_free(tags, state.tags, observed.remote.tags or {}, None, remote)
    yield from _file_problems(new, target, options)
    yield from _unreleased_problems(new)


def _file_problems(new: NewBump, target: Target, options: Options) -> Iterator[Problem]:
    """Check the files: only what is at HEAD can be edited in a commit on top of it."""
    files = target.tree.files if target.tree is not None else ()
    dirty = new.observation.state.dirty if new.observation.state is not None else ()
    changed = [edit.file for edit in new.edits if edit.file in dirty]
    if changed and options.allow_dirty:  # without it they are reported anyway
        yield core.plan.Problem(
            code="tree-dirty",
            message=f"files to edit have uncommitted changes, which would be in the pull request: "
            f"{core.text.listing(changed)}",
            fix="git stash, or commit and push them",
        )
    if not files and new.decision.bumps:
        yield core.plan.Problem(
            code="nothing-to-commit", message="nothing to commit (no file changes)", fix="choose another version"
        )
    links = [file.path for file in files if file.mode == _SYMBOLIC_LINK]
    if links:
        yield core.plan.Problem(
            code="file-is-link",
            message=f"{core.text.listing(links)}: a symbolic link cannot be edited in a pull request",
            fix="name the file that it points to in the settings, or replace it by that file",
        )


def _unreleased_problems(new: NewBump) -> Iterator[Problem]:
    """Check with `auto` that the last release is tagged: its commits would be released once more."""
    for bump in new.decision.bumps:
        history, before = new.observation.history.get(bump.package.name), bump.before
        if history is None or history.version is None or before is None or before.is_devrelease:
            continue
        if before > history.version:
            yield core.plan.Problem(
                code="release-untagged",
                message=f"{bump.package.name} {before} is not tagged yet (its last tag is {history.tag})",
                fix=core.fixes.command("auto-tag"),
            )
            return


def notes(new: NewBump) -> Iterator[str]:
    """Yield what happens to pull requests of the branch."""
    target = new.target
    if target is None or target.token_problem is not None or not new.decision.bumps:
        return
    states = {str(request.state): request for request in reversed(target.requests)}
    if (request := states.get("open")) is not None:
        yield f"updates pull request {request.number}: {request.url}"
    elif (request := states.get("closed")) is not None:
        yield f"pull request {request.number} was closed without a merge; a new one is opened"


def plan_steps(new: NewBump) -> Iterator[Step]:
    """Yield the commit and the pull request."""
    target, observed = new.target, new.observation
    if target is None or target.tree is None or target.base is None or target.base_head is None:
        return
    message = changes.commit_message(observed, new.decision.bumps).rstrip()
    prefix = len(target.prefix)
    files = target.tree.files
    commit = steps.CommitToBranch(
        on=observed.config.remote,
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
        on=observed.config.remote,
        head=target.head,
        base=target.base,
        name=core.pull_request.title(message),
        body=core.pull_request.body(_release(new, target.base)),
        needs=core.step.after(commit),
    )


def _release(new: NewBump, base: str) -> core.pull_request.Release:
    observed, bumps = new.observation, new.decision.bumps
    names = {bump.package.name for bump in bumps}
    tags = changes.tag_names(observed, bumps)
    return core.pull_request.Release(
        packages=tuple(
            core.pull_request.Package(
                name=bump.package.name,
                before=str(bump.before) if bump.before is not None else "-",
                after=str(bump.after),
                reason=bump.reason,
                tag=tags[bump.package.name],
                changes=_changelog(bump.package, str(bump.after), new),
            )
            for bump in bumps
        ),
        published=tuple(bump.package.name for bump in bumps if not bump.package.private),
        private=tuple(bump.package.name for bump in bumps if bump.package.private),
        unchanged=tuple(package.name for package in observed.workspace.packages if package.name not in names),
        files=tuple(edit.file for edit in new.edits),
        branch=base,
    )


def _changelog(package: core.packages.Package, version: str, new: NewBump) -> str | None:
    """Return the text of the changelog of a package about a version."""
    contents = {edit.file: edit.after for edit in new.edits if edit.after is not None}
    file = core.release_notes.find_changelog(package, contents, new.observation.config)
    if file is None:
        return None
    return core.changelog.section(contents[file].decode("utf-8", "replace"), version)
