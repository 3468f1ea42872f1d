"""Releases that exist already: at HEAD or below it, to be finished or undone, or made from HEAD elsewhere.

The trailers of commits and tags say what they release (`core.bump.release_history`).
"""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

from packaging.version import Version

from relnox.commands.bump import changes, preflight
from relnox.commands.bump.versions import requested_bump
from relnox.commands.options import BumpOptions as Options
from relnox.commands.shared import checks
from relnox.core import fixes
from relnox.core.bump import release_history
from relnox.core.bump.version_bumps import ResolvedBumps, VersionBump
from relnox.core.packages import Package
from relnox.core.planning.plan import Plan, PlanBuilder, Table
from relnox.core.planning.step import Edit
from relnox.core.text import join_names
from relnox.core.versions import versioning
from relnox.core.versions.versioning import Bump, check_bump
from relnox.errors import Blocked, Problem
from relnox.project import Project
from relnox.source import file_edits
from relnox.source.git import Git, remotes
from relnox.source.git.commits import temporary_checkout
from relnox.source.git.repository import TagMessage
from relnox.source.version_files import version_at_commit
from relnox.steps.git import CreateTags, Push, ResetIndex, UndoBump

_MAX_COMMITS = 100
"""The maximum number of commits at HEAD and below it that are searched for releases."""


class ReleasedCommit(NamedTuple):
    """A released commit, its versions by package, and whether a development version follows it."""

    commit: str
    versions: Mapping[str, Version]
    is_followed: bool

    def bumps(self, project: Project) -> tuple[VersionBump, ...]:
        """Return the bumps that the commit released, of packages that the project still has.

        Their `before` is None, since the earlier versions are not read.
        """
        packages = project.version_literals.workspace.by_name
        return tuple(
            VersionBump(packages[name], None, version, "")
            for name, version in sorted(self.versions.items())
            if name in packages
        )


def find_requested_release(
    options: Options, project: Project, selected: Sequence[Package]
) -> ReleasedCommit | None:
    """Return the existing release, at HEAD or below it, that the options ask for; None if there is none.

    Without `--commit` and `--tag`, they ask for none. Below HEAD, the search ends at the first commit that neither
    releases nor starts a development version; with `--push`, it includes unpushed releases below that.
    """
    if not (options.commit or options.tag) or project.commit is None:
        return None
    releases = _find_releases(options, project)
    return next((one for one in releases if _is_release_requested(one, options, project, selected)), None)


def plan_to_finish_release(
    release: ReleasedCommit, options: Options, project: Project, checkout: Project
) -> Plan | None:
    """Plan the missing steps of a release: its tags, the development version, the push.

    `project` has the files of HEAD, or is `checkout`. If no step is missing, the plan has none, or is None if
    another release is wanted: with `--again` or `--part auto`, or if `checkout` has other versions than `project`.
    """
    git, state, head = project.require_commit()
    new, commit = PlanBuilder("bump"), release.commit
    remote_tags, bumps = project.remote.tags, release.bumps(project)
    new.releases += changes.released_packages(project, bumps, is_tagged=options.tag)
    tags = changes.new_tags(project, bumps) if options.tag else ()
    unpushed_tags = [tag for tag in tags if remote_tags.get(tag.name) != commit]
    missing_tags = tuple(tag for tag in unpushed_tags if state.tags.get(tag.name) != commit)
    following: tuple[Edit, ...] = ()
    if stale_files := _files_staged_as_in_parent(checkout):
        new.add(ResetIndex(files=stale_files))
    if missing_tags:
        new.add(CreateTags(tags=missing_tags, commit=commit))
    if not release.is_followed and (unpushed_tags or not tags):  # or it would have been pushed with the tags
        files = changes.read_contents(project)
        following = changes.add_development_commit(options, project, ResolvedBumps(bumps, {}), files, new)[1]
    pushes_branch = options.push and (bool(following) or not _is_on_remote(head, project, git))
    if pushes_branch or (options.push and unpushed_tags):
        branch, names = state.branch if pushes_branch else None, tuple(tag.name for tag in unpushed_tags)
        new.add(Push(remote_name=project.config.remote, branch=branch or "", tags=names))
    is_finished = not new.build().steps
    if is_finished and (options.again or options.part == "auto" or _has_other_versions(checkout, bumps)):
        return None
    new.problems += preflight.existing_tag_problems(tags, project, commit, is_local=False)
    if pushes_branch or following:
        new.add_problems(
            (*preflight.cannot_commit_problems(project), *preflight.branch_problems(project)), options
        )
    if pushes_branch:
        new.problems += _push_problems(project, is_public=len(unpushed_tags) < len(tags))
    if changed_files := checkout.once(file_edits.conflicting_files, checkout.root, following):
        new.problems.append(preflight.changed_files_problem(changed_files))
    where = "HEAD" if commit == head else "the commit below HEAD" if release.is_followed else "a commit"
    released = [f"{bump.package.name} {bump.after}" for bump in bumps]
    what = f"{where} ({commit[:10]}) is the release of {join_names(released)}"
    if is_finished:
        rows = tuple((bump.package.name, str(bump.after), commit[:10]) for bump in bumps)
        # Unlike a note, a table is shown with --quiet as well.
        new.tables.append(Table(title="already released", columns=("package", "version", "commit"), rows=rows))
        new.notes.append(f"already released: {what}; to bump once more: --again")
    else:
        new.notes.append(f"finishing a release: {what}; to make another one afterwards: --again")
    new.notes += unpushed_tag_notes(options, project, () if is_finished else [tag.name for tag in tags])
    return new.build()


def _has_other_versions(checkout: Project, bumps: Sequence[VersionBump]) -> bool:
    """Return whether packages have other versions in the checkout than in the project that `bumps` belong to.

    This is so after a bump without a commit, if that project has the files of HEAD.
    """
    here = {package.name: package.version for package in checkout.workspace.packages}
    return any(here.get(bump.package.name) != bump.package.version for bump in bumps)


def _push_problems(project: Project, *, is_public: bool) -> Iterator[Problem]:
    """Yield problems that keep the branch from being pushed.

    If the remote's branch has commits that HEAD lacks, the fix is a rebase. It is a merge if `is_public`: a tag of
    the release is on the remote, and a rebase would put the release on another commit.
    """
    yield from checks.upstream_mismatch_problems(project)
    if checks.head_contains_remote_branch(project) is False:
        behind, rerun = checks.behind_remote_problem(project), "then rerun the command"
        fix = f"{behind.fix}, {rerun}; or undo the release: {fixes.task_command('bump', '--undo')}"
        if is_public:  # a rebased release would be another commit than that of the tags
            fix = f"{behind.fix.replace('--rebase', '--no-rebase --no-edit')}, {rerun}"
        yield behind.but(fix=fix)


def release_on_remote_problems(
    options: Options, project: Project, bumps: Sequence[VersionBump]
) -> Iterator[Problem]:
    """Yield a problem if the remote has the tags that this run would create, at a commit whose parent is HEAD.

    A job that is run again, on the commit that its first run released, would build HEAD next, not the release.
    Tags that only this clone has do not count: their commit may be dropped. The remote's commit is fetched.
    """
    if not options.tag or options.again:
        return
    git, state, head = project.require_commit()
    names = tuple(dict.fromkeys(changes.tags_by_package(project, bumps).values()))
    remote_tags = project.remote.tags
    commits = {remote_tags.get(name) for name in names}
    commit = commits.pop() if len(commits) == 1 else None
    if commit is None or commit == head:
        return
    if project.once(git.resolve_commit, commit) is None:
        project.once(remotes.try_to_fetch_objects, git, project.config.remote, f"refs/tags/{names[0]}")
    if project.once(git.parent_commit, commit) != head or not _is_on_remote(commit, project, git):
        return
    fetch = f"git fetch --tags {project.config.remote}, then " if names[0] not in state.tags else ""
    build, publish = fixes.task_command("build-all", "--commit", names[0]), fixes.task_command("publish")
    yield Blocked(
        "already-released",
        f"{join_names(names)} ({commit[:10]}) was released from this commit ({head[:10]}) already",
        f"{fetch}{build}, then {publish}",
    )


def unpushed_tag_notes(options: Options, project: Project, pushed: Sequence[str]) -> Iterator[str]:
    """Yield a note on tags of earlier releases that the remote lacks, except those that this run pushes.

    Without `--push`, there is none.
    """
    if not options.push:
        return
    git, state, _ = project.require_commit()
    names = state.tags.keys() - project.remote.tags.keys() - set(pushed)
    if tags := sorted(tag.name for tag in _release_tags(project, git) if tag.name in names):
        remote = project.config.remote
        yield (
            f"not pushed: {join_names(tags)} of earlier releases; to push {'it' if len(tags) == 1 else 'them'}: "
            f"git push {remote} {shlex.join(tags)}"
        )


def _release_tags(project: Project, git: Git, where: str = "--merged=HEAD") -> list[TagMessage]:
    """Return the annotated tags of releases, the newest first; `where` is a filter for `git for-each-ref`."""
    tags = project.once(git.tag_messages, where)
    return [tag for tag in tags if release_history.read_trailers(tag.message)]


def _find_releases(options: Options, project: Project) -> Iterator[ReleasedCommit]:
    """Yield the releases at HEAD and below it, newest first, down to the first commit that does something else.

    Commits that release or that start a development version do not end the search. With `--push`, unpushed
    releases further below follow. A release without a commit of its own is known by its tags. A release is left
    out if a later one has one of its packages.
    """
    (git, state, _), remote = project.require_commit(), project.remote
    tip = remote.branches.get(state.branch or "") if options.push else None
    unpushed_commits: Collection[tuple[str, str]] = ()
    if tip is not None and project.once(git.resolve_commit, tip) is not None:
        unpushed_commits = project.once(git.commit_messages, "HEAD", f"^{tip}")
    unpushed_tags = state.tags.keys() - remote.tags.keys() if options.push else set()
    tags, later_names = _release_tags(project, git), set[str]()
    is_followed, has_others = False, False
    for position, (commit, message) in enumerate(project.once(git.commit_messages, f"-{_MAX_COMMITS}")):
        if has_others and position >= max(1, len(unpushed_commits)):
            break
        is_development = bool(release_history.read_trailers(message, release_history.DEVELOPMENT))
        has_others |= not (is_development or release_history.read_trailers(message))
        if versions := release_history.read_trailers(message) | _tagged_versions(tags, commit):
            if later_names.isdisjoint(versions):
                yield ReleasedCommit(commit, versions, is_followed)
            later_names |= versions.keys()
            is_followed = False
        is_followed |= is_development
    for tag in tags:
        versions = _tagged_versions(tags, tag.commit)
        if tag.name in unpushed_tags and versions and later_names.isdisjoint(versions):
            yield ReleasedCommit(tag.commit, versions, is_followed)
        later_names |= versions.keys()


def _tagged_versions(tags: Sequence[TagMessage], commit: str) -> dict[str, Version]:
    """Return the highest version of each package that a tag at a commit releases, according to its message."""
    versions: dict[str, Version] = {}
    for tag in tags:
        for name, version in release_history.read_trailers(tag.message).items() if tag.commit == commit else ():
            versions[name] = max(version, versions.get(name, version))
    return versions


def _is_release_requested(
    release: ReleasedCommit, options: Options, project: Project, selected: Sequence[Package]
) -> bool:
    """Return whether a release has the selected packages in versions that the options may ask for.

    With `--part auto`, the options ask for any release. They ask for none if files have other versions by now,
    unless a development version follows the release.
    """
    packages = project.version_literals.workspace.by_name
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
    versioned = [package for package in selected if package.name in project.current_versions]
    return (
        bool(versioned)
        and all(
            package.name in release.versions
            and versioning.may_result_from_bump(release.versions[package.name], bump)
            for package in versioned
        )
        and (bump.part != "phase" or any(_is_next_phase(release, bump, one, project) for one in versioned))
    )


def _is_next_phase(release: ReleasedCommit, bump: Bump, package: Package, project: Project) -> bool:
    """Return whether the version of a release results from `--part phase`; True if the one before is unknown."""
    (git, _, _), version = project.require_commit(), release.versions[package.name]
    if package.source.is_in_file:
        before = project.once(version_at_commit, f"{release.commit}^", package, git)
    else:
        tags = project.tag_formats[package.name].matching_tags(project.once(git.merged_tags, release.commit))
        before = max((other for _, other in tags if other < version), default=None)
    if before is None:
        return True
    scheme, start = project.config.scheme, project.config.prerelease_start
    try:
        return version == versioning.next_version(
            before, bump, scheme=scheme, prerelease_start=start, today=project.today
        )
    except Blocked:  # there is no phase after it
        return False


def _files_staged_as_in_parent(checkout: Project) -> tuple[str, ...]:
    """Return the files that are staged with the content of HEAD's parent, instead of that of HEAD.

    A commit that was killed leaves them so. The result is empty if nothing is changed, or outside git.
    """
    git, state = checkout.git, checkout.state
    if git is None or state is None or not state.changed_files:
        return ()
    if (parent := checkout.once(git.parent_commit)) is None:
        return ()
    return tuple(
        sorted(checkout.once(git.files_staged_since, "HEAD") - checkout.once(git.files_staged_since, parent))
    )


def _is_on_remote(commit: str, project: Project, git: Git) -> bool:
    """Return whether the remote has a commit on the current branch or, if HEAD is detached, on any branch.

    The current branch is fetched if this clone lacks the tip that it has on the remote.
    """
    branches = project.remote.branches
    branch = project.state.branch if project.state is not None else None
    if branch is None:
        tips = branches.values()
        return commit in tips or any(project.once(git.is_ancestor, commit, tip) for tip in tips)
    if branch not in branches:
        return False
    if project.once(git.resolve_commit, branches[branch]) is None:
        project.once(remotes.try_to_fetch_objects, git, project.config.remote, f"refs/heads/{branch}")
    return project.once(git.is_ancestor, commit, branches[branch])


# --- undoing the release at HEAD


def plan_undo(project: Project) -> Plan:
    """Plan to undo the release at HEAD: delete its tags and its commits, and restore the files that it edited.

    Raises:
        Blocked: There is no release at HEAD, or it is pushed.
    """
    git, state = project.git, project.state
    if git is None or state is None or state.head is None:
        raise Blocked(
            "bump-missing",
            "--undo has no commit to undo (the project is not in a git repository, or has no commit there)",
            fixes.task_command("bump", "--to", "VERSION", "--allow-lower"),
        )
    commits = _find_release_commits(project, git)
    parent = project.once(git.parent_commit, commits[-1]) if commits else None
    if parent is None:
        raise _no_release_error(git, project)
    tags = [tag.name for tag in _release_tags(project, git, f"--points-at={commits[-1]}")]
    _check_not_pushed(commits[-1], tags, project, git)
    files = project.once(git.files_changed_between, parent, state.head) or ()
    # A file that is restored already, by a run that was interrupted, needs no edit.
    changed = project.once(git.files_differing_from, "HEAD", files)
    restored = set(files) - project.once(git.files_differing_from, parent, files)
    staged_since_head = project.once(git.files_staged_since, "HEAD")
    staged = staged_since_head & project.once(git.files_staged_since, parent) & set(files)
    changed_files = sorted(changed - restored | staged)
    edited_files = tuple(name for name in files if name not in changed | restored | staged)
    edits = project.once(_edits_restoring, parent, edited_files, git)
    new, refs = PlanBuilder("bump"), project.once(git.local_refs)
    new.problems += checks.unfinished_operation_problems(project)
    if changed_files:
        message = f"files changed since the release: {join_names(changed_files)}"
        new.problems.append(preflight.changed_files_problem(changed_files).but(message=message))
    tag_refs = {tag: refs[f"refs/tags/{tag}"] for tag in tags}
    new.add(UndoBump(commits=commits, parent=parent, tags=tag_refs, edits=edits, files=files))
    return new.build()


def _edits_restoring(commit: str, files: Sequence[str], git: Git) -> tuple[Edit, ...]:
    """Return the edits that give files the content that they had in a commit, or remove those that it lacks."""
    with temporary_checkout(git, commit) as earlier:  # with the line ends of a checkout
        return tuple(file_edits.copying_edit(git.root, name, earlier.root) for name in files)


def _find_release_commits(project: Project, git: Git) -> tuple[str, ...]:
    """Return the release commit at HEAD; if a development version follows it, the commit of that comes first.

    The result is empty if there is no release commit.
    """
    commits: list[str] = []
    for commit, message in project.once(git.commit_messages, "-2"):
        commits.append(commit)
        if release_history.read_trailers(message):
            return tuple(commits)
        if not release_history.read_trailers(message, release_history.DEVELOPMENT):
            break
    return ()


def _no_release_error(git: Git, project: Project) -> Blocked:
    """Return the error for a HEAD that is no release commit; its fix undoes uncommitted edits or tags, if any."""
    remote, head = project.config.remote, (project.commit or "")[:10]
    message = f"--undo has no bump to undo: HEAD ({head}) is not a release commit"
    fix = "to revert a release in a new commit: git revert COMMIT"
    tags = [tag.name for tag in _release_tags(project, git, "--points-at=HEAD")]
    changed_files = project.state.changed_files if project.state is not None else ()
    if edited_files := sorted(changes.read_contents(project).before.keys() & set(changed_files)):
        files = shlex.join(edited_files)
        fix = f"to see what would be lost: git diff {files}; to undo a bump without --commit: git restore {files}"
    elif tags:
        refs = _refs_of_remote(project, git)
        fix = f"git tag --delete {shlex.join(tags)}"
        if public_tags := [tag for tag in tags if f"refs/tags/{tag}" in refs]:
            message += f" (already on {remote}: {join_names(public_tags)})"
            fix = f"release a higher version: {fixes.task_command('bump', '--part', 'patch', '--tag')}"
    return Blocked("bump-missing", message, fix)


def _refs_of_remote(project: Project, git: Git) -> Mapping[str, str]:
    """Return the commits of the remote's refs by name, none without a remote; raise a `Problem` if this fails."""
    remote = project.remote
    return remote.require_refs("--undo") if remote.name in remotes.remote_names(git) else {}


def _check_not_pushed(commit: str, tags: Sequence[str], project: Project, git: Git) -> None:
    """Raise `Blocked` if a release, given by its commit and its tags, is on a remote.

    Branches are looked up as of the last fetch; if none has the commit, the remote is asked for branches and tags.
    """
    pushed_to = project.once(git.remote_branches_containing, commit)
    if not pushed_to:
        refs, remote = _refs_of_remote(project, git), project.config.remote
        heads = [ref for ref in refs if ref.startswith("refs/heads/")]
        branches = [ref for ref in heads if project.once(git.is_ancestor, commit, refs[ref])]
        public_tags = [tag for tag in tags if f"refs/tags/{tag}" in refs]
        pushed_to = (f"{remote} ({join_names([*branches, *public_tags])})",) if branches or public_tags else ()
    if pushed_to:
        higher = fixes.task_command("bump", "--part", "patch", "--commit", "--tag")
        raise Blocked(
            "bump-missing",
            f"the release {commit[:10]} is already pushed to {', '.join(pushed_to)}",
            f"to revert it in a new commit: git revert {commit[:10]}; or release a higher version: {higher}",
        )
