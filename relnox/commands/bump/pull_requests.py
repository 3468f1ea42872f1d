"""`--pull-request`: the branch and the pull request that propose a bump instead of a commit in the checkout."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from relnox.commands.bump import changes, versions
from relnox.commands.options import DEFAULT_OUTPUT
from relnox.commands.options import BumpOptions as Options
from relnox.commands.shared import checks, release_diffs, releases
from relnox.core import fixes
from relnox.core.bump import changelog_updates, pull_request_text
from relnox.core.bump.pull_request_text import PullRequestPackage
from relnox.core.bump.version_bumps import VersionBump
from relnox.core.changelog import section_of_version
from relnox.core.planning import step
from relnox.core.planning.plan import PlanBuilder
from relnox.core.planning.step import Edit
from relnox.core.records import replace
from relnox.core.release.differences import ReleaseDiff
from relnox.core.settings.checklist import task_list
from relnox.core.text import join_names
from relnox.errors import Blocked, Problem
from relnox.project import Project
from relnox.source.git import Git, commits, remotes
from relnox.steps.pull_request import CommitToBranch, OpenPullRequest
from relnox.system.files import project_path

_LISTING_LIMIT = 20.0
"""The time limit for reading the listings of the index, in seconds."""
_BRANCH_PREFIX = "relnox/release/"
"""What the name of a branch of release pull requests begins with; the branch to merge into follows."""
_TREE = r"(?m)^Relnox-Tree: (\w+)$"
"""Matches the line that ends the commit messages of this command, with the id of the commit's tree."""


def add_pull_request(
    options: Options, project: Project, bumps: Sequence[VersionBump], edits: tuple[Edit, ...], new: PlanBuilder
) -> None:
    """Add the steps that commit the bump to a branch and open or update its pull request, and their problems."""
    from relnox import forges  # with requests, which is slow to import

    git, state, commit = project.require_commit("--pull-request")
    remote, branches = project.config.remote, project.remote.branches
    forge = project.once(forges.forge_of, project.once(remotes.read_remote_url, git, remote))
    base = state.branch or _only_branch_at(commit, branches)
    head = f"{_BRANCH_PREFIX}{base or 'HEAD'}"
    try:
        forge.require_token()
    except Blocked as error:
        new.problems.append(error)
    else:
        request = project.once(forge.find_open_pull_request, head, base) if base is not None else None
        if request is not None:
            new.notes.append(f"updates pull request {request.number}: {request.url}")
    new.problems += checks.committer_problems(project)
    new.problems += _branch_problems(base, head, project, git)
    changed_files = [edit.file for edit in edits if edit.file in state.changed_files]
    if changed_files and options.allow_dirty:  # without it they are reported anyway
        new.problems.append(
            Blocked(
                "tree-dirty",
                f"files to edit have uncommitted changes, which would be in the pull request: "
                f"{join_names(changed_files)}",
                "commit and push them; or put them aside: git stash",
            )
        )
    tree = project.once(commits.plan_tree, git, edits)
    if not tree.is_changed:
        new.problems.append(
            Blocked(
                "nothing-to-commit",
                "nothing to commit (the bump changes no file)",
                "choose another version: --to VERSION",
            )
        )
    if tree.links:
        new.problems.append(
            Blocked(
                "file-is-link",
                f"{join_names(tree.links)}: a symbolic link cannot be edited in a pull request",
                "name the file that it points to in the settings, or replace it by that file",
            )
        )
    new.problems += _untagged_version_problems(options, project, bumps)
    if base is None or base not in branches:
        return
    message = changes.commit_message(project, bumps).rstrip()
    commit_step = CommitToBranch(
        remote_name=remote,
        branch=head,
        parent=branches[base],
        message=f"{message}\nRelnox-Tree: {tree.id}",
        edits=edits,
        tree=tree.id,
        replaces=branches.get(head),
    )
    request_step = OpenPullRequest(
        remote_name=remote,
        head=head,
        base=base,
        name=pull_request_text.format_pull_request_title(message),
        body=pull_request_text.format_pull_request_body(
            tuple(_pull_request_packages(project, bumps, edits)),
            base,
            tasks=task_list(project.config.check.manual),
        ),
        needs=step.keys_of(commit_step),
    )
    new.add(commit_step, request_step)


def _only_branch_at(commit: str, branches: Mapping[str, str]) -> str | None:
    """Return the name of the one branch whose tip is `commit`, of the remote's `branches` (name to tip).

    The result is None if there are none or several. Branches of release pull requests are ignored.
    """
    names = [name for name, tip in branches.items() if tip == commit and not name.startswith(_BRANCH_PREFIX)]
    return names[0] if len(names) == 1 else None


def _branch_problems(base: str | None, head: str, project: Project, git: Git) -> Iterator[Problem]:
    """Yield problems if HEAD is not the tip of `base`, or if `head` has commits that relnox did not make.

    `base` is the branch to merge into, or None if it is unknown; `head` is the one to merge.
    """
    remote, branches, commit = project.config.remote, project.remote.branches, project.commit or ""
    tip = branches.get(base or "")
    if base is None:
        yield Blocked(
            "branch-unknown",
            f"the checkout is detached, and {commit[:10]} is not the head of exactly one branch of {remote}",
            checks.switch_command(project),
        )
    elif base.startswith(_BRANCH_PREFIX):
        yield Blocked(
            "branch-wrong",
            f"{base} is the branch of a release pull request (a release starts from a release branch)",
            f"switch to the release branch: git switch {base.removeprefix(_BRANCH_PREFIX)}",
        )
    elif tip is None:
        yield Blocked(
            "branch-changed", f"{remote} has no branch {base} to merge into", f"git push {remote} {base}"
        )
    elif tip != commit and checks.head_contains_remote_branch(project) is not False:
        yield Blocked(
            "branch-not-pushed",
            f"HEAD ({commit[:10]}) is not the head of {base} on {remote} ({tip[:10]})",
            f"git push {remote} {base}",
        )
    if foreign := _describe_foreign_commit(head, project, git):
        yield Blocked(
            "branch-has-commits",
            f"branch {head} of {remote} has a change that relnox did not make: {foreign}",
            f"merge the pull request; or move the change to {base} and delete the branch by hand; to "
            f"see the change: git fetch {remote} {head} && git log FETCH_HEAD",
        )


def _describe_foreign_commit(branch: str, project: Project, git: Git) -> str:
    """Return a description of the tip of a remote branch that no run of this command made; "" if one did.

    It is "" also if there is no such branch. This command writes the id of the tree into its commit message. An
    amended commit has another tree, and a later commit has another message. A tip that this clone lacks is
    fetched.
    """
    commit = project.remote.branches.get(branch)
    if commit is None:
        return ""
    content = project.once(commits.read_or_fetch_commit, git, commit, project.config.remote, branch)
    if content is None:
        return f"commit {commit[:10]}, which cannot be fetched"
    match = re.search(_TREE, content.message)
    if match is not None and match[1] == content.tree and len(content.parents) == 1:
        return ""
    subject = content.message.partition("\n")[0]
    return f"commit {commit[:10]} ({subject})"


def _untagged_version_problems(
    options: Options, project: Project, bumps: Sequence[VersionBump]
) -> Iterator[Problem]:
    """Yield a problem for the first package whose current version is not tagged yet, if commits decide the next.

    The commits in that version would be released twice.
    """
    history_by_name = (
        project.history if versions.versions_depend_on_history(options, [bump.package for bump in bumps]) else {}
    )
    for bump in bumps:
        history, before = history_by_name.get(bump.package.name), bump.before
        if history is None or history.version is None or before is None or before.is_devrelease:
            continue
        if before > history.version:
            yield Blocked(
                "release-not-tagged",
                f"{bump.package.name} {before} is not tagged yet (its last tag is {history.tag})",
                fixes.task_command("auto-tag"),
            )
            return


def _pull_request_packages(
    project: Project, bumps: Sequence[VersionBump], edits: Sequence[Edit]
) -> Iterator[PullRequestPackage]:
    """Yield the packages of the release, for the text of the pull request; `edits` have the new changelogs."""
    tags = changes.tags_by_package(project, bumps)
    contents = {edit.file: edit.after for edit in edits if edit.after is not None}
    workspace, candidates = project.version_literals.workspace, project.changelog_candidates
    changelogs = changelog_updates.find_changelogs(workspace, candidates, contents, project.config)
    diffs = {diff.package: diff for diff in _compare_archives(project, bumps, tags)}
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
            changes=section_of_version(changelog, after) or "",
            last_release=f"{diffs[name].before} on {diffs[name].index}" if name in diffs else "",
            differences=tuple(diffs[name].changes()) if name in diffs else (),
        )


def _compare_archives(
    project: Project, bumps: Sequence[VersionBump], tags: Mapping[str, str]
) -> tuple[ReleaseDiff, ...]:
    """Compare archives that were built of this commit with the last releases of the packages on an index.

    `tags`, the new tag of each package, select the index, and only releases below the new versions are compared.
    The result is empty if this commit has no archives, or if the index cannot be read.
    """
    from relnox.indexes import targets  # with requests, which is slow to import

    directory = str(project.config.build.options.get("output", DEFAULT_OUTPUT))
    versions = {bump.package.name: bump.after for bump in bumps if not bump.package.is_private}
    try:
        project_path(project.root, directory)  # which settings may not lead out of the checkout
        manifest = project.once(releases.read_manifest, project.root, directory)
        if manifest.commit != project.commit or manifest.dirty:
            return ()
        index = project.indexes[
            targets.select_index_by_tags(
                project.config, {name: (tags[name], after) for name, after in versions.items()}
            )
        ]
        files = (file for file in manifest.distributions if file.package in versions)
        built = replace(
            manifest, distributions=tuple(replace(file, version=versions[file.package]) for file in files)
        )
        project.once(index.fetch_listings, built.packages, seconds=_LISTING_LIMIT)
        return release_diffs.compare_with_last_releases(built, directory, index, project)
    except Problem:
        return ()
