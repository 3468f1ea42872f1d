"""Tag packages whose version changed, and push the tags: for a CI job after a merge.

A package gets a tag if its version at HEAD differs from that of its last tag. Tags are pushed at most three at a
time, since GitHub starts no workflows for more. The commit must be on the remote's release branch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import NamedTuple

from packaging.version import Version

from relnox.commands.options import AutoTagOptions as Options
from relnox.commands.shared.project import Project
from relnox.commands.shared.release_branch import FETCH_TIMEOUT, ReleaseBranch, find_release_branch
from relnox.core import text
from relnox.core.bump import bump_checks, trailers
from relnox.core.fixes import CREATE_REPOSITORY, task_command
from relnox.core.packages import Package
from relnox.core.planning.changes import NewTag
from relnox.core.planning.plan import Plan, Table
from relnox.core.planning.step import Step, after
from relnox.core.settings import release_lines
from relnox.core.tagging import tag_proposals
from relnox.core.tagging.tags import TagFormat, tags_naming
from relnox.core.versions import version_locations
from relnox.errors import Blocked, Conflict, Problem, TryLater
from relnox.indexes import targets
from relnox.source import file_edits
from relnox.source.git import Git, GitState, remotes
from relnox.source.version_files import version_at
from relnox.steps.git import CreateTags
from relnox.steps.push_tags import MAX_TAGS, PushTags
from relnox.system.retries import Deadline, TransientError

_INDEX_TIMEOUT = 60.0
"""The time limit for all queries of indexes together, in seconds."""


class Decision(NamedTuple):
    """Whether a package gets a tag, and why.

    Attributes:
        package: The package.
        reason: The reason, as a phrase.
        tag: The tag of the package's version; empty if no file contains the version.
        commit: The commit that has the tag or gets it; empty if there is none.
        is_new: Whether the tag is created.
        is_pushed: Whether the tag is pushed.
        fix: How to have the package tagged, if that may be what the user wants.
        problem: Why the version cannot be released.
    """

    package: Package
    reason: str
    tag: str = ""
    commit: str = ""
    is_new: bool = False
    is_pushed: bool = False
    fix: str = ""
    problem: Problem | None = None


class Snapshot(NamedTuple):
    """The decisions, with the notes and the problems that follow from them."""

    decisions: tuple[Decision, ...]
    notes: tuple[str, ...]
    problems: tuple[Problem, ...]
    remote: str
    is_lockstep: bool


def observe(options: Options, project: Project) -> Snapshot:
    """Decide for each selected package whether it gets a tag, and check what the new tags need.

    Raises:
        Blocked: There is no commit, or the remote to push to does not exist.
        Failed: The remote to push to does not answer.
        TryLater: The index does not answer.
    """
    git, state = project.git, project.state
    if git is None or state is None:
        raise Blocked("not-a-git-repository", "the project is not in a git repository", fix=CREATE_REPOSITORY)
    if state.head is None:
        raise Blocked("branch-changed", "the repository has no commit", fix="git add -A && git commit")
    remote = project.remote
    if options.push:
        remote.require("pushing")
    rules = _Rules(options, project, git, state, state.head)
    decisions = tuple(map(rules.decide, project.select(options.package)))
    notes = [*project.workspace.warnings]
    if remote.refs is None and remote.error is not None:
        notes.append(f"{remote.error}: its tags were not checked")
    for decision in decisions:
        if decision.fix:
            which = f"{decision.package.name} {decision.package.version}"
            notes.append(f"{which} is {decision.reason}, and gets no tag\n  to tag it: {decision.fix}")
    untagged_packages = [decision.package for decision in decisions if decision.fix]
    notes += [
        f"{problem.message}\n  fix: {problem.fix}" for problem in _unclear_formats(untagged_packages, project)
    ]
    problems = [decision.problem for decision in decisions if decision.problem is not None]
    new = [decision for decision in decisions if decision.is_new]
    if new or any(decision.is_pushed for decision in decisions):
        branch = find_release_branch(remote.refs or {}, state, project, git) if options.push else None
        problems += _branch_problems(branch, state, project)
    if new:
        problems += _tag_problems(new, project, git)
        problems += _file_problems([decision.package for decision in new], state, project)
    return Snapshot(
        decisions, tuple(notes), tuple(problems), project.config.remote, project.config.versions == "lockstep"
    )


def plan(snapshot: Snapshot, options: Options) -> Plan:
    """Plan to create and push tags, with a table of all selected packages."""
    del options
    rows = tuple(
        (decision.package.name, str(decision.package.version or "-"), decision.tag or "-", decision.reason)
        for decision in snapshot.decisions
    )
    return Plan(
        task="auto-tag",
        steps=tuple(_plan_steps(snapshot)),
        notes=snapshot.notes,
        problems=snapshot.problems,
        tables=(Table(title="", columns=("package", "version", "tag", "state"), rows=rows),),
    )


def _plan_steps(snapshot: Snapshot) -> Iterator[Step]:
    """Yield a step that creates all tags, and steps that push up to `MAX_TAGS` of them."""
    tags: dict[str, NewTag] = {}
    for decision in (decision for decision in snapshot.decisions if decision.is_new):
        subject = "Release" if snapshot.is_lockstep else decision.package.name
        message = f"{subject} {decision.package.version}"
        tags.setdefault(decision.tag, NewTag(name=decision.tag, message=message))
    create = CreateTags(tags=tuple(tags.values())) if tags else None
    if create is not None:
        yield create
    pushed = {decision.tag: decision.commit for decision in snapshot.decisions if decision.is_pushed}
    refs = tuple(pushed.items())
    for start in range(0, len(refs), MAX_TAGS):
        batch = refs[start : start + MAX_TAGS]
        yield PushTags(remote_name=snapshot.remote, tags=batch, created=tuple(tags), needs=after(create))


class _Rules:
    """The rules by which packages are tagged."""

    def __init__(self, options: Options, project: Project, git: Git, state: GitState, head: str) -> None:
        self._options = options
        self._project = project
        self._git = git
        self._state = state
        self._head = head
        self._deadline = Deadline(_INDEX_TIMEOUT)
        self._relation = cache(self._find_relation)
        self._released = trailers.read_trailers(git.messages("-1")[0].message)

    def decide(self, package: Package) -> Decision:
        """Decide whether a package gets a tag: the first rule that applies decides."""
        project, version, name = self._project, package.version, package.name
        if version is None:
            return Decision(package, f"version comes from {package.source.text or 'its backend'}")
        tag_format = project.tag_formats[name]
        tag = tag_format.render(version)
        tags = [*tag_format.matching_tags(project.tags), *tags_naming(package, project.tags)]
        if existing := [existing for existing, tagged in tags if tagged == version]:
            return self._decide_tagged(package, tag if tag in existing else existing[0])
        tags = [pair for pair in tags if release_lines.allows_version(project.lines, pair[1])] or tags
        last_tag, last = max(tags, key=lambda pair: pair[1]) if tags else ("", None)
        if last is None and not self._options.package and self._released.get(name) != version:
            fix = "" if package.is_private else task_command("auto-tag", "--package", name)
            return Decision(
                package, "private, and never tagged" if package.is_private else "never tagged", tag, fix=fix
            )
        is_development = version.is_devrelease and (last is None or not last.is_devrelease)
        if not is_development and not release_lines.allows_version(project.lines, version):
            return self._decide_out_of_bounds(package, version, tag)
        if last is not None and version < last:
            reason = f"lower than the last tag, {last_tag}"
            problem = Blocked(
                "version-not-higher",
                f"{name} {version} is {reason}",
                fix=project.bump_command(name, "--to", "VERSION"),
            )
            return Decision(package, reason, tag, problem=problem)
        if is_development:
            return Decision(package, "development version", tag)
        if self._options.check_index and (index := self._index_with(package, version, tag)):
            fix = task_command("auto-tag", "--package", name, "--no-check-index")
            return Decision(package, f"already on {index}", tag, fix=fix)
        reason = f"new, after {last_tag}" if last_tag else "new"
        return Decision(package, reason, tag, self._head, is_new=True, is_pushed=self._options.push)

    def _decide_out_of_bounds(self, package: Package, version: Version, tag: str) -> Decision:
        reason = f"outside the bounds of {release_lines.describe_lines(self._project.lines)}"
        others = [line.branch for line in self._project.config.branch if line.contains(version)]
        where = f"merge it to {others[0]} instead, or " if others else ""
        bump = self._project.bump_command(package.name, "--to", "VERSION")
        problem = Blocked(
            "version-outside-bounds",
            f"{package.name} {version} is {reason} ([tool.relnox] branch)",
            fix=f"{where}set another version: {bump}",
        )
        return Decision(package, reason, tag, problem=problem)

    def _decide_tagged(self, package: Package, tag: str) -> Decision:
        """Decide for a package whose current version has a tag: it is either correct or a conflict."""
        name, remote, head = package.name, self._project.config.remote, self._head
        here, there = self._state.tags.get(tag), self._project.remote.tags.get(tag)
        higher = f"release a higher version: {self._project.bump_command(name, '--part', 'patch')}"
        if here is not None and there is not None and here != there:
            reason = f"tag {tag} is on {here[:10]} here, but on {there[:10]} on {remote}"
            compare = f"git show {tag}; git fetch {remote} refs/tags/{tag} && git show FETCH_HEAD"
            return _conflict(package, tag, reason, f"{higher}; to compare them: {compare}")
        commit = there or here or ""
        is_pushed = self._options.push and there is None
        if commit == head:
            reason = "tagged at HEAD" + (f", not on {remote}" if is_pushed else "")
            return Decision(package, reason, tag, commit, is_pushed=is_pushed)
        if self._git.resolve_commit(commit) is None and not self._state.is_shallow:
            remotes.try_to_fetch_objects(self._git, remote, f"refs/tags/{tag}", timeout=FETCH_TIMEOUT)
        is_related = self._relation(commit)
        version = version_at(commit, package, self._git) if is_related is not None else None
        if is_related is False or version not in (None, package.version):
            why = f"has {name} {version}" if version not in (None, package.version) else "is on another branch"
            reason = f"tag {tag} is on {commit[:10]}, which {why}; HEAD ({head[:10]}) has {name} {package.version}"
            return _conflict(package, tag, reason, f"{higher}; to see the tag: git show {commit}")
        reason = f"tagged at {commit[:10]}" + (" (not in this shallow clone)" if is_related is None else "")
        return Decision(package, reason, tag, commit, is_pushed=is_pushed)

    def _find_relation(self, commit: str) -> bool | None:
        """Return whether a commit is an ancestor or a descendant of HEAD; None if this clone lacks the history."""
        if self._git.is_ancestor(commit) or self._git.is_ancestor("HEAD", commit):
            return True
        return None if self._state.is_shallow or self._git.resolve_commit(commit) is None else False

    def _index_with(self, package: Package, version: Version, tag: str) -> str | None:
        """Return the name of the package's production index if that has the version already."""
        if package.is_private:
            return None
        indexes = self._project.indexes
        index = targets.select_by_tags(self._project.config, {package.name: (tag, version)})
        if not indexes[index].production:
            return None
        try:
            files = indexes[index].fetch_listing(package.name, self._deadline).values()
        except TransientError as error:
            raise TryLater(
                "index-unavailable",
                f"cannot check whether {index} has {package.name} {version}: {error.message}",
                fix="rerun the command later, or skip the check: --no-check-index",
            ) from error
        return index if any(file.version == version for file in files) else None


def _conflict(package: Package, tag: str, reason: str, fix: str) -> Decision:
    problem = Conflict("tag-exists", reason, fix=fix)
    return Decision(package, reason, tag, problem=problem)


def _branch_problems(branch: ReleaseBranch | None, state: GitState, project: Project) -> Iterator[Problem]:
    """Yield a problem if releases are not made from the current branch, or the remote's branch lacks HEAD.

    The branch on the remote is None if no tags are pushed.
    """
    remote, configured_branches, head = project.config.remote, project.config.branch, (state.head or "")[:10]
    lines = release_lines.release_lines_of_branch(state.branch or "", configured_branches)
    if wrong := list(bump_checks.check_branch_allows_releases(state.branch, lines, configured_branches)):
        yield from wrong
    if branch is not None and state.upstream_remote != remote:
        yield from bump_checks.check_upstream_is_pushed_to(
            state.branch, remote, state.upstream, state.upstream_remote
        )
    if wrong or branch is None or branch.has_head:
        return
    if not branch.exists:
        name = branch.name or "(not known: HEAD is detached)"
        yield Blocked(
            "branch-changed",
            f"release branch {name} does not exist on {remote}",
            fix=f'set [tool.relnox] branch = "NAME" to a branch that {remote} has',
        )
    elif branch.is_behind_head:
        yield Blocked(
            "branch-behind",
            f"HEAD ({head}) is not on branch {branch.name} of {remote} yet",
            fix=f"git push {remote} HEAD:refs/heads/{branch.name}",
        )
    else:
        yield Blocked(
            "branch-behind",
            f"HEAD ({head}) is not on the release branch ({branch.name} of {remote})",
            fix=f"merge it first; to release from another branch than {branch.name}, set [tool.relnox] branch",
        )


def _tag_problems(new: Sequence[Decision], project: Project, git: Git) -> Iterator[Problem]:
    """Yield problems if a new tag would be unclear, shared by different versions, or without a tagger."""
    formats = project.tag_formats
    yield from _unclear_formats([decision.package for decision in new], project)
    for package, _, tag, *_ in new:
        own = formats[package.name]
        others = [name for name, other in formats.items() if other != own and other.parse(tag) is not None]
        if others:
            yield Blocked(
                "tag-format-unknown",
                f"tag {tag} of {package.name} could be a tag of {text.join_names(others)} as well",
                fix='separate name and version clearly, as in tag-format = "{name}-v{version}"',
            )
    versions: dict[TagFormat, dict[str, str]] = {}
    for package in project.workspace.packages:
        if package.version is not None:
            versions.setdefault(formats[package.name], {}).setdefault(str(package.version), package.name)
    for tag_format in dict.fromkeys(formats[decision.package.name] for decision in new):
        if len(by_version := versions[tag_format]) > 1:
            packages = text.join_names([f"{name} {version}" for version, name in by_version.items()])
            yield Blocked(
                "version-locations-differ",
                f"packages with common tags have different versions: {packages}",
                fix=task_command("bump", "--all", "--to", "VERSION"),
            )
    if (identity_error := git.identity_error()) is not None:
        yield Blocked(
            "committer-unknown",
            f"git has no name and email address for annotated tags ({identity_error})",
            fix="set GIT_COMMITTER_NAME and GIT_COMMITTER_EMAIL, or user.name and user.email with git config",
        )


def _file_problems(packages: Sequence[Package], state: GitState, project: Project) -> Iterator[Problem]:
    """Yield problems if files with versions are not as in the commit, or do not agree."""
    index_states: Mapping[str, str] = project.index_states
    files = [location.file for package in packages for location in package.locations]
    yield from bump_checks.check_no_uncommitted_changes(state.changed_files, files, ())
    yield from bump_checks.check_no_hidden_files(files, index_states)
    own_files = {*files, *(package.pyproject for package in packages)}
    untracked_files = own_files.difference(index_states, file_edits.find_links(project.root, own_files))
    yield from bump_checks.check_files_tracked(
        untracked_files, packages, ignored_files=untracked_files.difference(state.untracked_files)
    )
    for package in packages:
        with_literals = project.literals.workspace.by_name[package.name]
        if not version_locations.locations_agree(with_literals, package.version):
            yield Blocked(
                "version-locations-differ",
                version_locations.describe_disagreement(with_literals),
                fix=project.bump_command(package.name, "--to", "VERSION"),
            )


def _unclear_formats(packages: Sequence[Package], project: Project) -> Iterator[Problem]:
    return tag_proposals.unclear_format_problems(
        packages, project.workspace, project.config, project.tag_forms, project.tags
    )
