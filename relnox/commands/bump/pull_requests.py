"""The branch and the pull requests for `--pull-request`, as they are on the remote and its forge."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from relnox.commands.bump.snapshot import Target
from relnox.core import fixes
from relnox.errors import Blocked
from relnox.source.git import remotes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from relnox.commands.bump.project_state import Observation
    from relnox.commands.options import BumpOptions as Options
    from relnox.commands.shared.project import Project
    from relnox.core.planning.changes import Edit
    from relnox.source.git import Git

_TREE = r"(?m)^Relnox-Tree: (\w+)$"
"""Matches the line that ends the commit messages of this command, with the id of the commit's tree."""


def check_options(options: Options) -> None:
    """Check that `--pull-request` is not combined with options that change the checkout or the remote.

    Raises:
        Blocked: Such an option is given, or `--force-branch` is given without `--pull-request`.
    """
    names = ("commit", "tag", "push", "undo", "abort")
    others = [f"--{name}" for name in names if getattr(options, name)]
    if options.force_branch and not options.pull_request:
        raise Blocked(
            "option-missing",
            "--force-branch needs --pull-request",
            fix="add --pull-request, or remove --force-branch",
        )
    if options.pull_request and others:
        switches = " ".join(f"--no-{name[2:]}" for name in others if name not in ("--undo", "--abort"))
        raise Blocked(
            "options-conflict",
            f"--pull-request cannot be combined with {', '.join(others)} (it leaves this checkout and its "
            "branches as they are)",
            fix=f"remove one of them{f', or pass {switches}' if switches else ''}",
        )


def observe_target(
    observation: Observation, edits: tuple[Edit, ...], options: Options, project: Project
) -> Target:
    """Read the branches and the pull requests from the remote and its forge.

    Raises:
        Blocked: The project is not in a git repository with a commit, or the remote is not on a known forge.
        RelnoxError: The forge does not answer, or rejects the token.
    """
    from relnox import forges
    from relnox.source.git import trees

    git, state, refs = project.git, observation.state, observation.remote.branches
    if git is None or state is None or state.head is None:
        raise Blocked(
            "not-a-git-repository",
            "--pull-request needs a git repository with a commit",
            fix=fixes.CREATE_REPOSITORY,
        )
    config = observation.config
    forge = forges.forge_of(remotes.url(git, config.remote))
    base = state.branch or _branch_at(state.head, refs, config.pull_request_branch)
    head = config.pull_request_branch.replace("{branch}", base or "HEAD")
    replaces = refs.get(head)
    foreign = ""
    if replaces is not None and not options.force_branch:
        foreign = _foreign_commits(replaces, head, config.remote, git)
    token_problem = None
    try:
        forge.check_token()
    except Blocked as error:
        token_problem = error
    requests = forge.pull_requests(head, only_open=False) if token_problem is None else ()
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
    """Return the only remote branch at a commit, ignoring branches of pull requests; None if none or several.

    The template is the setting for branches of pull requests, with `{branch}` for the branch to merge into.
    """
    own = re.escape(template).replace(re.escape("{branch}"), ".+")
    branches = [name for name, head in refs.items() if head == commit and not re.fullmatch(own, name)]
    return branches[0] if len(branches) == 1 else None


def _foreign_commits(commit: str, branch: str, remote: str, git: Git) -> str:
    """Describe the head of a remote branch if an earlier run of this command did not make it; otherwise return "".

    This command writes the id of the tree into its commit message. An amended commit has another tree, and a later
    commit has another message.
    """
    from relnox.source.git import trees

    content = trees.read_branch_head(git, commit, remote, branch)
    if content is None:
        return f"commit {commit[:10]}, which cannot be fetched"
    subject = content.message.partition("\n")[0]
    match = re.search(_TREE, content.message)
    if match is not None and match[1] == content.tree and len(content.parents) == 1:
        return ""
    return f"commit {commit[:10]} ({subject})"
