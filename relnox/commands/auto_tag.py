"""Tag packages whose version changed, and push the tags: for a CI job after a merge.

A package gets a tag if its version at HEAD differs from that of its last tag. Tags are pushed at most three at a
time, since GitHub starts no workflows for more. The commit must be on the remote's release branch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

from packaging.version import Version

from relnox.commands.options import AutoTagOptions as Options
from relnox.commands.shared import checks
from relnox.core import text
from relnox.core.bump import release_history
from relnox.core.fixes import task_command
from relnox.core.packages import Package
from relnox.core.planning.plan import Plan, PlanBuilder, ReleasedPackage, Table
from relnox.core.planning.step import NewTag, keys_of
from relnox.core.settings import release_lines
from relnox.core.tags import tags_with_name
from relnox.errors import Blocked, Conflict, Problem
from relnox.indexes import targets
from relnox.project import Project
from relnox.source.git import Git, remotes
from relnox.source.version_files import version_at_commit
from relnox.steps.git import MAX_TAGS, CreateTags, PushTags

_FETCH_TIMEOUT = 300.0
"""The time limit for fetching commits from the remote, in seconds."""
_INDEX_TIMEOUT = 60.0
"""The time limit for the listing of a package, in seconds."""


class TagDecision(NamedTuple):
    """The decision whether a package gets a tag.

    Attributes:
        reason: The reason, as a phrase such as `new, after v1.0`.
        tag: The tag of the package's version; empty if no file has the version.
        commit: The commit that has the tag or gets it; empty if there is none.
        is_new: Whether the run creates the tag.
        needs_push: Whether the run pushes the tag.
        fix: The command that tags the package nevertheless, if it gets no tag; may be empty.
        problem: Why the version cannot be released; None if nothing prevents it.
    """

    package: Package
    reason: str
    tag: str = ""
    commit: str = ""
    is_new: bool = False
    needs_push: bool = False
    fix: str = ""
    problem: Problem | None = None


def plan(options: Options, project: Project) -> Plan:
    """Plan to tag the selected packages whose version changed and, with `--push`, to push the tags.

    A table shows all selected packages.
    """
    project.require_commit()
    if options.push:
        project.remote.require_refs("pushing")
    new = PlanBuilder("auto-tag")
    decisions = [_decide_tag(package, options, project) for package in project.select(options.package)]
    untagged = [decision for decision in decisions if decision.fix]
    tagged = [decision for decision in decisions if decision.is_new]
    pushed = {decision.tag: decision.commit for decision in decisions if decision.needs_push}

    new.notes += project.workspace.warnings
    if project.remote.refs is None and project.remote.error is not None:
        new.notes.append(f"{project.remote.error}: its tags were not checked")
    by_tag: dict[tuple[str, str], list[TagDecision]] = {}
    for decision in untagged:
        by_tag.setdefault((decision.tag, decision.reason), []).append(decision)
    for (_, reason), (first, *others) in by_tag.items():
        statement = _format_statement([first.package, *(other.package for other in others)], reason)
        get, them = ("get", "them") if others else ("gets", "it")
        new.notes.append(f"{statement}, and {get} no tag\n  to tag {them}: {first.fix}")
    unclear = project.tag_format_problems(decision.package for decision in untagged)
    new.notes += [problem.as_note for problem in unclear]
    new.problems += dict.fromkeys(decision.problem for decision in decisions if decision.problem is not None)
    if tagged or pushed:
        new.problems += _branch_problems(options, project)
    if tagged:
        new.problems += _new_tag_problems(tagged, project)
        new.problems += _version_file_problems([decision.package for decision in tagged], project)
        if options.push:
            new.problems += checks.empty_wheel_problems((decision.package for decision in tagged), project)
    rows = (
        (decision.package.name, str(decision.package.version or "-"), decision.tag or "-", decision.reason)
        for decision in decisions
    )
    new.tables.append(Table(title="", columns=("package", "version", "tag", "state"), rows=tuple(rows)))

    new.releases += (
        ReleasedPackage(package=decision.package.name, version=str(decision.package.version), tag=decision.tag)
        for decision in decisions
        if decision.commit == project.commit
    )

    tags: dict[str, NewTag] = {}
    for decision in tagged:
        subject = "Release" if project.config.versions == "lockstep" else decision.package.name
        tags.setdefault(decision.tag, NewTag(name=decision.tag, message=f"{subject} {decision.package.version}"))
    create = new.add(CreateTags(tags=tuple(tags.values()))) if tags else ()
    refs, remote_name = tuple(pushed.items()), project.config.remote
    for start in range(0, len(refs), MAX_TAGS):
        batch = refs[start : start + MAX_TAGS]
        new.add(PushTags(remote_name=remote_name, tags=batch, created=tuple(tags), needs=keys_of(*create)))
    return new.build()


# --- the rules by which packages are tagged: the first one that applies decides


def _decide_tag(package: Package, options: Options, project: Project) -> TagDecision:
    """Decide whether a package gets a tag; raise `TryLater` if its index is asked and does not answer."""
    git, _, head = project.require_commit()
    version, name = package.version, package.name
    if version is None:
        return TagDecision(package, f"version comes from {package.source.text or 'its backend'}")
    tag_format = project.tag_formats[name]
    tag = tag_format.render(version)
    tags = [*tag_format.matching_tags(project.tags), *tags_with_name(package, project.tags)]
    if existing := [existing for existing, tagged in tags if tagged == version]:
        return _decide_existing_tag(package, tag if tag in existing else existing[0], options, project)
    tags = [pair for pair in tags if release_lines.allows_version(project.release_lines, pair[1])] or tags
    last_tag, last = max(tags, key=lambda pair: pair[1]) if tags else ("", None)
    released = release_history.read_trailers(project.once(git.commit_messages, "-1")[0].message)
    if last is None and not options.package and released.get(name) != version:
        if package.is_private:
            return TagDecision(package, "private, and never tagged", tag)
        return TagDecision(package, "never tagged", tag, fix=task_command("auto-tag", "--package", name))
    bump = project.bump_command(name, "--to", "VERSION")
    is_development = version.is_devrelease and (last is None or not last.is_devrelease)
    if not is_development and not release_lines.allows_version(project.release_lines, version):
        reason = f"outside the bounds of {release_lines.describe_release_lines(project.release_lines)}"
        others = [line.branch for line in project.config.branch if line.contains(version)]
        problem = Blocked(
            "version-outside-bounds",
            f"{_format_statement(_packages_with_same_tag(package, project), reason)} ([tool.relnox] branch)",
            fix=f"{f'merge the commit into {others[0]}; or ' if others else ''}set another version: {bump}",
        )
        return TagDecision(package, reason, tag, problem=problem)
    if last is not None and version < last:
        reason = f"lower than the last tag, {last_tag}"
        problem = Blocked(
            "version-not-higher", _format_statement(_packages_with_same_tag(package, project), reason), fix=bump
        )
        return TagDecision(package, reason, tag, problem=problem)
    if is_development:
        return TagDecision(package, "development version", tag)
    if options.check_index and (index := _index_with_version(package, version, tag, project)):
        fix = task_command("auto-tag", "--package", name, "--no-check-index")
        return TagDecision(package, f"already on {index}", tag, fix=fix)
    reason = f"new, after {last_tag}" if last_tag else "new"
    return TagDecision(package, reason, tag, head, is_new=True, needs_push=options.push)


def _decide_existing_tag(package: Package, tag: str, options: Options, project: Project) -> TagDecision:
    """Decide for a package whose version already has `tag`, in this clone or on the remote.

    The decision has a problem if the tag is on another branch, on a commit with another version, or on different
    commits here and on the remote.
    """
    git, state, head = project.require_commit()
    name, remote = package.name, project.config.remote
    here, there = state.tags.get(tag), project.remote.tags.get(tag)
    higher = f"release a higher version: {project.bump_command(name, '--part', 'patch')}"
    if here is not None and there is not None and here != there:
        reason = f"tag {tag} is on {here[:10]} here, but on {there[:10]} on {remote}"
        compare = f"git show {tag}; git fetch {remote} refs/tags/{tag} && git show FETCH_HEAD"
        problem = Conflict("tag-exists", reason, fix=f"{higher}; to compare them: {compare}")
        return TagDecision(package, reason, tag, problem=problem)
    commit = there or here or ""
    needs_push = options.push and there is None
    if commit == head:
        reason = "tagged at HEAD" + (f", not on {remote}" if needs_push else "")
        return TagDecision(package, reason, tag, commit, needs_push=needs_push)
    is_related = project.once(_is_related_to_head, git, commit, tag, remote, state.is_shallow)
    version = project.once(version_at_commit, commit, package, git) if is_related is not None else None
    if is_related is False or version not in (None, package.version):
        why = f"has {name} {version}" if version not in (None, package.version) else "is on another branch"
        reason = f"tag {tag} is on {commit[:10]}, which {why}; HEAD ({head[:10]}) has {name} {package.version}"
        problem = Conflict("tag-exists", reason, fix=f"{higher}; to see the tag: git show {commit}")
        return TagDecision(package, reason, tag, problem=problem)
    reason = f"tagged at {commit[:10]}" + (" (not in this shallow clone)" if is_related is None else "")
    return TagDecision(package, reason, tag, commit, needs_push=needs_push)


def _is_related_to_head(git: Git, commit: str, tag: str, remote: str, is_shallow: bool) -> bool | None:  # noqa: FBT001 - memo
    """Return whether a tagged commit is an ancestor or a descendant of HEAD; None if the clone does not tell.

    A commit that a complete clone lacks is fetched by its tag; None then means that this failed.
    """
    if git.resolve_commit(commit) is None and not is_shallow:
        remotes.try_to_fetch_objects(git, remote, f"refs/tags/{tag}", timeout=_FETCH_TIMEOUT)
    if git.is_ancestor(commit) or git.is_ancestor("HEAD", commit):
        return True
    return None if is_shallow or git.resolve_commit(commit) is None else False


def _index_with_version(package: Package, version: Version, tag: str, project: Project) -> str | None:
    """Return the name of the production index that `tag` selects, if it has the version already; else None.

    The index of a private package is not asked.
    """
    index = targets.select_index_by_tags(project.config, {package.name: (tag, version)})
    if package.is_private or not project.indexes[index].production:
        return None
    fix = "rerun the command later, or skip the check: --no-check-index"
    versions = project.versions_on(index, (package.name,), seconds=_INDEX_TIMEOUT, fix=fix)
    return index if version in versions[package.name] else None


def _packages_with_same_tag(package: Package, project: Project) -> list[Package]:
    """Return the package and all others whose current version has the same tag, in release order."""
    formats, key = project.tag_formats, (project.tag_formats[package.name], package.version)
    return [other for other in project.select(()) if (formats[other.name], other.version) == key]


def _format_statement(packages: Sequence[Package], state: str) -> str:
    """Format a statement on packages that have one version: `core 1.2.0 is new`, if `state` is `new`."""
    names = text.join_names(package.name for package in packages)
    return f"{names} {packages[0].version} {'is' if len(packages) == 1 else 'are'} {state}"


# --- what new tags need


def _branch_problems(options: Options, project: Project) -> Iterator[Problem]:
    """Yield a problem if releases from the current branch are not allowed.

    With `--push`, yield one also if the branch tracks another remote, or if HEAD is not on the release branch of
    the remote.
    """
    git, state, head = project.require_commit()
    remote, branches = project.config.remote, project.config.branch
    wrong = list(checks.disallowed_branch_problems(project))
    yield from wrong
    if options.push and state.upstream_remote != remote:
        yield from checks.upstream_mismatch_problems(project)
    if wrong or not options.push:
        return
    names = (line.branch for line in (*project.release_lines, *branches) if not line.is_glob)
    name = next(names, None) or project.once(remotes.default_branch, git, remote) or state.branch or ""
    tip = project.remote.branches.get(name)
    if tip is None:
        yield Blocked(
            "branch-changed",
            f"release branch {name or '(not known: HEAD is detached)'} does not exist on {remote}",
            fix=f'name a branch that {remote} has: [tool.relnox] branch = "BRANCH"',
        )
    elif tip != head:
        relation = project.once(_relation_of_tip_to_head, git, remote, name, tip)
        if relation == "behind":
            yield Blocked(
                "branch-behind",
                f"HEAD ({head[:10]}) is not on branch {name} of {remote} yet",
                fix=f"git push {remote} HEAD:refs/heads/{name}",
            )
        elif relation == "diverged":
            yield Blocked(
                "branch-behind",
                f"HEAD ({head[:10]}) is not on the release branch ({name} of {remote})",
                fix=f'merge it into {name}; or release from another branch: [tool.relnox] branch = "BRANCH"',
            )


def _relation_of_tip_to_head(
    git: Git, remote: str, branch: str, tip: str
) -> Literal["ahead", "behind", "diverged"]:
    """Return how the tip of a remote's branch, which is another commit than HEAD, relates to HEAD.

    It is `ahead` if it contains HEAD. A missing tip is fetched; if that fails, it counts as `diverged`.
    """
    if git.resolve_commit(tip) is None:
        remotes.try_to_fetch_objects(git, remote, f"refs/heads/{branch}", timeout=_FETCH_TIMEOUT)
    if git.is_ancestor("HEAD", tip):
        return "ahead"
    return "behind" if git.is_ancestor(tip) else "diverged"


def _new_tag_problems(tagged: Sequence[TagDecision], project: Project) -> Iterator[Problem]:
    """Yield problems with the tags to create, those of `tagged`, and one if git has no name and address for them.

    A tag is a problem if its format is unclear, if it could be a tag of another package as well, or if packages
    with a common tag format have different versions.
    """
    formats = project.tag_formats
    yield from project.tag_format_problems(decision.package for decision in tagged)
    new_tags = {(formats[decision.package.name], decision.tag): decision.package.name for decision in tagged}
    for (tag_format, tag), package in new_tags.items():
        if others := [name for name, other in formats.items() if other != tag_format and other.parse(tag)]:
            yield Blocked(
                "tag-format-unknown",
                f"tag {tag} of {package} could be a tag of {text.join_names(others)} as well",
                fix='separate name and version: [tool.relnox] tag-format = "{name}-v{version}"',
            )
    for tag_format in dict.fromkeys(tag_format for tag_format, _ in new_tags):
        sharing = [package for package in project.workspace.packages if formats[package.name] == tag_format]
        versions = {package.version: package.name for package in sharing if package.version is not None}
        if len(versions) > 1:
            packages = text.join_names([f"{name} {version}" for version, name in versions.items()])
            yield Blocked(
                "version-locations-differ",
                f"packages with common tags have different versions: {packages}",
                fix=task_command("bump", "--all", "--to", "VERSION"),
            )
    yield from checks.committer_problems(project, commits=False)


def _version_file_problems(packages: Sequence[Package], project: Project) -> Iterator[Problem]:
    """Yield problems if version files of packages are not as they are committed, or have different versions."""
    _, state, _ = project.require_commit()
    files = [location.file for package in packages for location in package.locations]
    yield from checks.uncommitted_change_problems(state.changed_files, files, ())
    yield from checks.hidden_change_problems(files, project)
    own_files = {*files, *(package.pyproject for package in packages)}
    yield from checks.untracked_file_problems(own_files, packages, project)
    yield from checks.inconsistent_version_file_problems(packages, project)
