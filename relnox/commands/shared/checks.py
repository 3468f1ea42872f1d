"""Checks that several tasks share: of the checkout's branch and files, and of the project's tags.

Each check yields its problems, so that a plan can list those of all checks.
"""

from __future__ import annotations

import posixpath
import re
import shlex
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from operator import itemgetter

from packaging.version import Version

from relnox.building.environments import find_interpreter
from relnox.core import tag_versions
from relnox.core.bump import release_history
from relnox.core.bump.version_bumps import VersionBump
from relnox.core.packages import Package
from relnox.core.records import Record
from relnox.core.settings import release_lines
from relnox.core.settings.release_lines import ReleaseLine
from relnox.core.tags import TagFormat, packages_that_read_any_tag, tags_of_format, tags_with_name
from relnox.core.text import format_count, join_names
from relnox.core.versions import version_locations
from relnox.core.workspace import Workspace, owning_package
from relnox.errors import Blocked, Problem
from relnox.project import Project
from relnox.source import file_edits

_MAX_LISTED = 5
"""The maximum number of files named in a message."""


def disallowed_branch_problems(project: Project) -> Iterator[Problem]:
    """Yield a problem if the settings do not allow releases from the current branch; none if HEAD is detached."""
    branch = project.state.branch if project.state is not None else None
    if branch is not None and project.config.branch and not project.release_lines:
        names = [line.branch for line in project.config.branch]
        yield Blocked(
            "branch-not-allowed",
            f"branch {branch} is not a release branch ([tool.relnox] branch: {join_names(names)})",
            switch_command(project),
        )


def switch_command(project: Project, branches: Iterable[ReleaseLine] = ()) -> str:
    """Return the command that switches to a release branch, for the fix in a problem.

    The branch is the first of `branches` that exists, or else their first one, which the command creates. Globs
    are left out. Without `branches`, those of the settings are used; without these, the only branch of this clone,
    or else the placeholder `BRANCH`.
    """
    local, of_remote = "refs/heads/", f"refs/remotes/{project.config.remote}/"
    words = ("for-each-ref", "--format=%(refname)", local, of_remote)
    refs = project.once(project.git.read_lines, *words) if project.git is not None else []
    existing = {ref.removeprefix(local).removeprefix(of_remote): ref for ref in reversed(refs)}
    names = [line.branch for line in branches or project.config.branch if not line.is_glob]
    if not names:
        names = [name for name, ref in existing.items() if ref.startswith(local)]
        names = names if len(names) == 1 else ["BRANCH"]
    name = next((name for name in names if name in existing), names[0])
    return f"git switch {'' if name in existing or name == 'BRANCH' else '--create '}{shlex.quote(name)}"


def committer_problems(project: Project, *, commits: bool = True) -> Iterator[Problem]:
    """Yield a problem if git has no name and email address of a committer.

    With `commits`, those of an author are needed as well; tags need only a committer.
    """
    if project.git is None:
        return
    ask = project.git.identity_error
    error = (project.once(ask, "AUTHOR") if commits else None) or project.once(ask)
    if error is not None:
        yield Blocked(
            "committer-unknown",
            f"git has no name and email address for commits and annotated tags ({error})",
            'git config user.name "NAME" && git config user.email EMAIL',
        )


def unfinished_operation_problems(project: Project) -> Iterator[Problem]:
    """Yield a problem if a git operation is in progress, such as a merge, which a commit would end."""
    state = project.state
    if state is not None and state.operation is not None:
        yield Blocked(
            "operation-in-progress",
            f"a git {state.operation} is in progress (a release commit cannot be made or undone before it ends)",
            f"finish it: git {state.operation} --continue",
        )


def head_contains_remote_branch(project: Project) -> bool | None:
    """Return whether HEAD contains the remote's branch that is named like the current one; True if it has none.

    None means that it is unknown, such as if the task does not look at the remote.
    """
    git, state = project.git, project.state
    if git is None or state is None or not project.includes_remote_refs or project.remote.refs is None:
        return None
    tip = project.remote.branches.get(state.branch or "")
    return tip in (None, state.head) or project.once(git.is_ancestor, tip)


def behind_remote_problem(project: Project) -> Problem:
    """Return the problem that the remote's branch has commits that HEAD does not contain."""
    remote, branch = project.config.remote, project.state.branch if project.state is not None else ""
    return Blocked(
        "branch-behind",
        f"{remote} has commits on {branch} that this checkout does not have",
        f"git pull --rebase {remote} {branch}",
    )


def upstream_mismatch_problems(project: Project) -> Iterator[Problem]:
    """Yield a problem if the current branch would be pushed to another branch than the one it tracks."""
    state, remote = project.state, project.config.remote
    if state is None or state.branch is None or state.upstream is None:
        return
    if state.upstream_remote in (None, ".") or state.upstream == f"{remote}/{state.branch}":
        return
    name = state.upstream.removeprefix(f"{state.upstream_remote}/")
    fix = f"git branch --unset-upstream; or release on {name}: git switch {name}"
    if state.upstream_remote != remote:
        own = f"git branch --set-upstream-to {remote}/{state.branch}"
        fix = f'[tool.relnox] remote = "{state.upstream_remote}"; or {own}'
    yield Blocked(
        "branch-not-allowed",
        f"branch {state.branch} would be pushed to {remote}/{state.branch}, but it tracks {state.upstream}",
        fix,
    )


def inconsistent_version_file_problems(packages: Iterable[Package], project: Project) -> Iterator[Problem]:
    """Yield a problem for each package whose version files or version literals disagree."""
    for package in packages:
        own = project.version_literals.workspace.by_name[package.name]
        if own.other_locations and not version_locations.all_locations_have_version(own, own.version):
            bump = project.bump_command(package.name, "--to", "VERSION")
            yield version_locations.inconsistent_version_error(own, own.version, bump)


def uncommitted_change_problems(
    changed_files: Iterable[str], files: Collection[str], packages: Sequence[Package]
) -> Iterator[Problem]:
    """Yield one problem if any of `changed_files` is in `files` or in a directory of `packages`.

    All paths are relative to the root.
    """
    directories = tuple("./" if package.directory == "." else f"./{package.directory}/" for package in packages)
    names = [name for name in changed_files if name in files or f"./{name}".startswith(directories)]
    if names:
        fix = "commit them; or put them aside: git stash"
        yield Blocked("tree-dirty", f"uncommitted changes: {join_names(names, _MAX_LISTED)}", fix)


def hidden_change_problems(files: Iterable[str], project: Project) -> Iterator[Problem]:
    """Yield a problem if any of `files` are marked skip-worktree in git's index, and one for assume-unchanged.

    Git commits no changes of such files.
    """
    states = {file: project.tracked_file_states.get(file, "H") for file in sorted(files)}
    for bit, names in (
        ("skip-worktree", [file for file, state in states.items() if state in "Ss"]),
        ("assume-unchanged", [file for file, state in states.items() if state.islower()]),
    ):
        if names:
            are, them = ("is", "it") if len(names) == 1 else ("are", "them")
            yield Blocked(
                "git-setting-invalid",
                f"{join_names(names, _MAX_LISTED)} {are} marked {bit} (git commits no changes of {them})",
                f"git update-index --no-{bit} -- {shlex.join(names)}",
            )


def untracked_file_problems(
    files: Collection[str], packages: Iterable[Package], project: Project, *, changelogs: Collection[str] = ()
) -> Iterator[Problem]:
    """Yield problems for those of `files` that git does not track, except files behind symbolic links.

    If the pyproject.toml of one of `packages` is among them, the untracked files of that package have a problem of
    their own. For files in `changelogs`, the fix also names the setting that leaves changelogs unchanged.
    """
    links = project.once(file_edits.find_linked_files, project.root, frozenset(files))
    others = sorted(set(files).difference(project.tracked_file_states, links))
    ignored = set(others).difference(project.state.untracked_files if project.state is not None else ())
    for package in packages:
        if package.pyproject in others and package.directory != ".":
            own = [file for file in others if file.startswith(f"{package.directory}/")]
            others = [file for file in others if file not in own]
            commit = f"commit it: git add -- {shlex.quote(package.directory)} && git commit"
            if package.pyproject in ignored:
                commit = "commit it, after its directory is removed from .gitignore"
            yield Blocked(
                "file-untracked",
                f"git does not track {join_names(own, _MAX_LISTED)} ({package.name} is not committed)",
                f'{commit}; or leave the package out: [tool.relnox] exclude = ["{package.directory}"]',
            )
    leave_unchanged = '; or leave it unchanged: [tool.relnox] changelog = "none"'
    for is_changelog, alternative in ((True, leave_unchanged), (False, "")):
        if names := [file for file in others if (file in changelogs) == is_changelog]:
            was, them = ("it was", "it") if len(names) == 1 else ("they were", "them")
            force = "--force " if any(file in ignored for file in names) else ""
            yield Blocked(
                "file-untracked",
                f"git does not track {join_names(names, _MAX_LISTED)} ({was} never committed)",
                f"commit {them}: git add {force}-- {shlex.join(names)} && git commit{alternative}",
            )


def untracked_import_problems(packages: Iterable[Package], project: Project) -> Iterator[Problem]:
    """Yield a problem for each committed module of the packages that imports an untracked one."""
    for importing, imported_module in project.untracked_imports(packages):
        yield Blocked(
            "imported-module-untracked",
            f"{importing} imports {imported_module} (untracked: not in the commit)",
            f"git add {imported_module}, and commit it",
        )


_NO_MODULE = re.compile(r"(tests?|docs?|examples?|\..*)/.*|(conftest|fabfile|noxfile|tasks)\.py")
"""Matches files of a package that are no modules of it, although they may be in Python."""


def empty_wheel_problems(packages: Iterable[Package], project: Project) -> Iterator[Problem]:
    """Yield a problem for each package whose wheel would be empty, since git tracks no module in its directory.

    Checked are packages with runtime requirements whose build backend finds modules by itself, and that the
    settings do not declare to be metadata-only or to have a build command. There is no problem at all if the
    settings have `before-build` hooks, which may create modules.
    """
    config, owners = project.config, {package.directory: package.name for package in project.workspace.packages}
    declared = {*project.metadata_only_packages, *config.build.commands}
    looking = {
        package.name: package
        for package in packages
        if package.finds_modules and package.required_names("runtime") and package.name not in declared
    }
    if config.hooks.before_build or project.git is None:
        return
    cache: dict[str, str | None] = {}
    for file in project.tracked_file_states if looking else ():
        name = owning_package(file, owners, cache) or ""
        own_path = posixpath.relpath(file, looking[name].directory) if name in looking else ""
        if own_path.endswith((".py", ".pyi", ".so", ".pyd")) and not _NO_MODULE.fullmatch(own_path):
            del looking[name]
    for package in looking.values():
        is_hatchling = package.backend == "hatchling.build"
        setting = "[tool.hatch.build.targets.wheel] bypass-selection = true"
        yield Blocked(
            "archive-content",
            f"the wheel of {package.name} would be empty (git tracks no module in {package.directory})",
            "commit its modules; or, if it only consists of requirements: "
            + (setting if is_hatchling else f'[tool.relnox] metadata-only = ["{package.name}"]'),
        )


class NewerTags(Record):
    """Tags whose version is higher than the current one of their package, by package name.

    Attributes:
        reachable: The highest such tag on HEAD or an ancestor, with its version.
        ignored: Such a tag that does not count, with the reason, as text. A package may be in both.
    """

    reachable: Mapping[str, tuple[str, Version]]
    ignored: Mapping[str, tuple[str, str]]

    def ignored_tag_notes(self, packages: Collection[str]) -> Iterator[str]:
        """Yield notes on the ignored tags of these packages; if there are many, the last one counts the others."""
        by_tag: dict[tuple[str, str], list[str]] = {}
        for name, ignored in self.ignored.items():
            if name in packages:
                by_tag.setdefault(ignored, []).append(name)
        for (tag, reason), names in list(by_tag.items())[:_MAX_LISTED]:
            yield f"tag {tag} is newer than the current version of {join_names(names)} ({reason})"
        if len(by_tag) > _MAX_LISTED:
            yield f"{len(by_tag) - _MAX_LISTED} more tags are newer than the current versions of their packages"


def newer_tags(project: Project) -> NewerTags:
    """Return which packages have tags above their current versions, and which of these tags do not count.

    A tag does not count if it is not on HEAD or an ancestor; or if it is on an ancestor of the commit that is
    tagged with the current version, since its version was abandoned.
    """
    reachable: dict[str, tuple[str, Version]] = {}
    ignored: dict[str, tuple[str, str]] = {}
    if project.commit is None or not project.tags:
        return NewerTags(reachable, ignored)
    (git, state, _), tags = project.require_commit(), project.tags
    for name, newer in _tags_above_current_versions(project):
        merged_tags, (highest, _) = project.once(git.merged_tags), newer[0]
        if highest not in merged_tags:
            elsewhere = f"only on {project.config.remote}; run: git fetch --tags"
            ignored[name] = highest, "not an ancestor of HEAD" if highest in state.tags else elsewhere
        for tag, version in [pair for pair in newer if pair[0] in merged_tags][:1]:
            own_tag = project.tag_formats[name].render(project.current_versions[name])
            if own_tag not in tags or not project.once(git.is_ancestor, tags[tag], tags[own_tag]):
                reachable[name] = tag, version
            else:
                ignored.setdefault(name, (tag, f"an ancestor of {own_tag}, so it does not count"))
    return NewerTags(reachable, ignored)


def _tags_above_current_versions(project: Project) -> Iterator[tuple[str, list[tuple[str, Version]]]]:
    """Yield each package that has tags above its current version, with pairs of such a tag and its version.

    The highest is first. A tag belongs to a package if it has the tag format of the package, or contains its name.
    If the settings bind release branches to versions, tags that the current branch does not release are left out.
    """
    names, formats = sorted(project.tags), project.tag_formats
    by_format = {tag_format: tags_of_format(tag_format, names) for tag_format in set(formats.values())}
    for package in project.workspace.packages:
        current = project.current_versions.get(package.name)
        reads_own_tags = package.source.kind == "tags" and package.source.key
        named = [] if reads_own_tags else tags_with_name(package, names)
        newer = [
            (tag, version)
            for tag, version in (*named, *by_format[formats[package.name]])
            if current is not None
            and version > current
            and release_lines.allows_version(project.release_lines, version)
        ]
        if newer:
            yield package.name, sorted(newer, key=itemgetter(1), reverse=True)


def unfetched_tag_notes(project: Project) -> Iterator[str]:
    """Yield a note if this clone has no tags, but the remote has some or could not be read."""
    remote = project.config.remote
    if project.state is None or project.state.tags:
        return
    if project.tags:
        yield (
            f"this clone has no tags, but {remote} has {len(project.tags)} (the last releases and changes "
            f"since are not known); run: git fetch --tags {remote}"
        )
    elif project.remote.error is not None:
        yield f"this clone has no tags, and those of {remote} could not be read: {project.remote.error}"


def backend_reads_any_tag_problems(
    bumps: tuple[VersionBump, ...], tags: Iterable[str], formats: Mapping[str, TagFormat]
) -> Iterator[Problem]:
    """Yield a problem if a bump creates several tags, and a bumped package takes its version from any of them.

    `tags` are the names of the tags to create; `formats` has the tag format of each package by name.
    """
    readers = packages_that_read_any_tag(bump.package for bump in bumps)
    planned_tags = list(dict.fromkeys(tags))
    if not readers or len(planned_tags) < 2:  # noqa: PLR2004 - one tag is right for all of them
        return

    names = join_names([package.name for package in readers])
    counts = Counter(tag_format.prefix for tag_format in formats.values())
    settings = []
    for package in readers:
        prefix = formats[package.name].prefix
        own_prefix = prefix if counts[prefix] == 1 else f"{package.name}-v"
        settings.append(tag_versions.settings_for_own_tags(package, own_prefix))
    yield Blocked(
        "setting-invalid",
        f"{names}: {readers[0].source.text} takes the version from any tag, and this bump creates "
        f"{join_names(planned_tags)}",
        fix="configure each backend to read its own tags; add to the files:\n" + "\n".join(settings),
    )


def indirectly_bumped_package_notes(bumps: tuple[VersionBump, ...], workspace: Workspace) -> Iterator[str]:
    """Yield a note if the tags of this bump also change the versions of packages that are not bumped.

    That is so if their build backends take the version from any tag.
    """
    bumped_packages = {bump.package.name for bump in bumps}
    all_readers = packages_that_read_any_tag(workspace.packages)
    readers = [package for package in all_readers if package.name not in bumped_packages]
    if readers and bumped_packages:
        names = join_names([package.name for package in readers])
        yield (
            f"{names}: {readers[0].source.text} takes the version from any tag, so the next build uses the "
            "tags of this bump; to avoid it, configure the backend to read its own tags"
        )


def unreleased_sibling_messages(project: Project, released: Iterable[Package]) -> Iterator[tuple[str, str]]:
    """Yield the name of each workspace package that may have to be released too, and a message that says why.

    It is required by a package in `released`, is not in `released` itself, and has commits since its last tag.
    Private packages in `released` do not count. Nothing is yielded in a shallow clone.
    """
    state, workspace = project.state, project.version_literals.workspace
    by_name = {package.name: package for package in released}
    dependents: dict[str, list[str]] = {}
    for package in by_name.values():
        siblings = package.required_names("runtime", "extra") & workspace.by_name.keys() - by_name.keys()
        for name in siblings if not package.is_private else ():
            dependents.setdefault(name, []).append(package.name)
    if state is None or state.is_shallow or not dependents:
        return
    for name, names in sorted(dependents.items()):
        history = project.history.get(name)
        commits = release_history.changes_since_release(history) if history is not None else []
        if history is not None and history.tag is not None and commits:
            count = f"{format_count(len(commits), 'commit')} since {history.tag} that no release has"
            yield name, f"{join_names(names)} may need {name} as it is here, but {name} has {count}"


def unreleased_sibling_notes(project: Project, released: Iterable[Package]) -> Iterator[str]:
    """Yield a note on each workspace package that may have to be bumped too, since a released one requires it.

    It has commits since its last tag, and is not in `released`.
    """
    for name, message in unreleased_sibling_messages(project, released):
        yield f"{message}; if so, bump it as well: --package {name}"


def missing_python_problems(versions: Iterable[str], project: Project) -> Iterator[Problem]:
    """Yield a problem for each Python version, such as `3.12`, that is not installed."""
    for version in dict.fromkeys(versions):
        try:
            project.once(find_interpreter, version)
        except Blocked as error:
            yield error
