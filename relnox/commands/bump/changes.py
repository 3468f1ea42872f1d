"""What a bump changes: the contents of files, with those that tools and hooks of the project write, and tags."""

from __future__ import annotations

import os
import posixpath
import shlex
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from relnox.commands.options import BumpOptions as Options
from relnox.commands.shared import hooks
from relnox.core.bump import changelog_updates, editing, lock_files, release_history, version_bumps
from relnox.core.bump.version_bumps import BumpRequest, DependencyUpdates, ResolvedBumps, VersionBump
from relnox.core.packages import VersionSource
from relnox.core.planning.plan import PlanBuilder, ReleasedPackage
from relnox.core.planning.step import Edit, NewTag
from relnox.core.text import join_names
from relnox.core.versions import semver_compat, version_locations
from relnox.core.versions.versioning import Bump
from relnox.errors import Blocked, Failed
from relnox.project import Project
from relnox.source import changelog_files, file_edits, history, tools_on_copy
from relnox.source.tools_on_copy import ChangelogRelease, Tool
from relnox.steps.edit_files import EditFiles
from relnox.steps.git import Commit
from relnox.system.process import clean_environment

if TYPE_CHECKING:
    from relnox.source.git import Git
    from relnox.steps.hooks import RunHook

_CHANGELOG = "CHANGELOG.md"
"""The changelog that git-cliff creates if there is none."""
_NAMELESS_PREFIXES = ("", "v")
"""The tag prefixes of packages whose versions are shown without a name in shared changelog headings."""


class FileContents:
    """The contents of files by path, before and after a bump.

    Attributes:
        before: The contents before the bump; for links in `links`, their targets.
        after: The contents after the bump, None for a file to remove; files that are not in it stay unchanged.
        generated: The files that tools or hooks wrote or removed.
        links: The symbolic links that tools or hooks removed.
        edited: The files that have their new content already, from an interrupted run or one without `--commit`.
    """

    def __init__(self, before: Mapping[str, bytes]) -> None:
        self.before = dict(before)
        self.after: dict[str, bytes | None] = {}
        self.generated: set[str] = set()
        self.links: set[str] = set()
        self.edited: tuple[str, ...] = ()

    @property
    def current(self) -> dict[str, bytes]:
        """The content of each file after the changes so far, without removed files."""
        contents = {**self.before, **self.after}
        return {file: content for file, content in contents.items() if content is not None}

    @property
    def edits(self) -> tuple[Edit, ...]:
        """The edits from `before` to `after`, those of generated files last.

        They are made in this order, since a later run looks for the first ones, before it runs tools, to find out
        whether a run was interrupted.
        """
        edits = editing.edits_between(self.before, self.after, self.links)
        return tuple(sorted(edits, key=lambda edit: edit.file in self.generated))

    def add_generated_files(self, after: Mapping[str, bytes | None], project: Project) -> None:
        """Add the files that a tool wrote, given with their content, or None for those that it removed."""
        removed_files = tuple(file for file in after if after[file] is None)
        targets = project.once(file_edits.read_link_targets, project.root, removed_files)
        self.links |= targets.keys()
        self.before = {**project.read_files(after), **self.before, **targets}
        self.after |= after
        self.generated |= after.keys()


def read_contents(project: Project) -> FileContents:
    """Read the existing files that a bump may edit: versions and requirements, changelogs, and lock files."""
    workspace = project.version_literals.workspace
    return FileContents(
        project.read_files(
            {
                *editing.editable_files(workspace),
                *(path for paths in project.changelog_candidates.values() for path in paths),
                *project.poetry_and_pdm_locks,
            }
        )
    )


def plan_file_contents(
    options: Options, project: Project, checkout: Project, resolved: ResolvedBumps, new: PlanBuilder
) -> FileContents | None:
    """Return the contents of files before and after a bump; None if no interrupted bump is found.

    If `project` is not `checkout`, it has the files of HEAD, to find an interrupted bump: the result is None
    unless `checkout` has some of the edits already, and no other changes in the files. Tools and hooks run in
    copies of the checkout. Notes are added to `new`.

    Raises:
        Problem: A tool or hook fails, or a file cannot be edited.
    """
    (bumps, updates), config, workspace = resolved, project.config, project.version_literals.workspace
    files = read_contents(project)
    files.after |= dict(editing.edit_contents(workspace, bumps, updates, files.before, config))
    new.notes += _outdated_uv_lock_notes(project, bumps, updates, files)
    tools = _bumps_by_changelog_run(project, bumps, files)
    generated = {bump.package.name for own in tools.values() for bump in own}
    own = [bump for bump in bumps if bump.package.name not in generated]
    changelogs: Mapping[str, str] | None = None
    if config.changelog in ("auto", "keep-a-changelog"):
        changelogs = changelog_updates.find_changelogs(
            workspace, project.changelog_candidates, files.before, config
        )
        tags = {bump.package.name: _new_and_previous_tag(bump, project) for bump in own}
        files.after |= dict(
            changelog_updates.updated_changelogs(own, changelogs, files.current, tags, config, project.today)
        )
    if checkout is not project and files.edits and not _already_edited_files(files.edits, checkout):
        return None  # before tools run for nothing
    _generate_changelogs(tools, project, files)
    outdated = outdated_lock_files(project, updates)
    if outdated and options.lock:
        files.add_generated_files(_run_lock_tools(outdated, files.after, project), project)
    elif outdated:
        new.notes.append(f"{', '.join(outdated)}: out of date after this bump; to update it: --lock")
    new.notes += _run_edit_hooks(project, bumps, files)
    if config.changelog != "none":
        new.notes += _changelog_notes(project, bumps, own, changelogs, files)
    if checkout is not project:
        files.edited = _already_edited_files(files.edits, checkout)
        if not _is_interrupted_bump(files, checkout, options):
            return None
        if len(files.edited) == len(files.edits) and not options.commit:
            done = "already done: the files have their new versions; to bump once more: --again --allow-dirty"
            new.notes.append(done)
        else:
            new.notes.append(f"going on with an earlier run, which has edited {join_names(files.edited)}")
    project.once(file_edits.check_edit_paths, project.root, files.edits)
    return files


# --- a bump whose edits are made and not committed


def _already_edited_files(edits: Sequence[Edit], checkout: Project) -> tuple[str, ...]:
    """Return the files that have their new content in the checkout already."""
    return tuple(
        edit.file for edit in edits if checkout.once(file_edits.are_edits_applied, checkout.root, (edit,))
    )


def _is_interrupted_bump(files: FileContents, checkout: Project, options: Options) -> bool:
    """Return whether the checkout has edits of an earlier run, and no other changes in the files concerned.

    With `--again`, those of a finished bump without a commit do not count, since another bump is wanted.
    """
    edits = files.edits
    if (
        not files.edited
        or checkout.git is None
        or checkout.once(file_edits.conflicting_files, checkout.root, edits)
    ):
        return False
    if options.again and not options.commit and len(files.edited) == len(edits):
        return False
    # What is staged must be the content of HEAD or that of the file.
    options_of_diff = ("--name-only", "--no-renames", "--relative")
    staged_files = set(checkout.once(checkout.git.read_entries, "diff", "--cached", *options_of_diff))
    if not staged_files.isdisjoint(edit.file for edit in edits):
        staged_files &= set(checkout.once(checkout.git.read_entries, "diff", *options_of_diff))
    return staged_files.isdisjoint(edit.file for edit in edits)


# --- changelogs


def _new_and_previous_tag(bump: VersionBump, project: Project) -> tuple[str, str | None]:
    """Return the tags of the new and of the current version of a bump, for the link in a changelog.

    The second one is None if it does not exist, or is of a prerelease: a final release has all changes since the
    last final one. Then the tag in the present link of the changelog is used.
    """
    tag_format = project.tag_formats[bump.package.name]
    existing_tags = project.state.tags if project.state is not None else {}
    is_listed = bump.before is not None and not bump.before.is_prerelease
    before = tag_format.render(bump.before) if bump.before is not None and is_listed else None
    return tag_format.render(bump.after), before if before in existing_tags else None


def _changelog_notes(
    project: Project,
    bumps: Sequence[VersionBump],
    own: Sequence[VersionBump],
    changelogs: Mapping[str, str] | None,
    files: FileContents,
) -> list[str]:
    """Return notes on change files that the release leaves or, if none, on changelogs that it does not change.

    Change files, such as those of scriv, have entries for the next changelog. `own` are the bumps whose changelogs
    no tool writes. `changelogs` maps packages to paths, or is None if only tools may write changelogs.
    """
    directories = tuple(dict.fromkeys((".", *(bump.package.directory for bump in bumps))))
    change_files = project.once(changelog_files.find_change_files, project.root, directories)
    removed = {file for file, content in files.after.items() if content is None}
    notes = list(changelog_updates.remaining_change_file_notes(bumps, change_files, removed))
    if not notes and changelogs is not None:
        arguments = (
            own,
            changelogs,
            project.changelog_candidates,
            files.before,
            files.after.keys(),
            project.config,
        )
        notes += changelog_updates.unchanged_changelog_notes(*arguments)
    return notes


def _bumps_by_changelog_run(
    project: Project, bumps: Sequence[VersionBump], files: FileContents
) -> dict[tuple[str, Tool, str], list[VersionBump]]:
    """Map the necessary runs of changelog tools to the bumps that each of them lists.

    The key of a run consists of its directory, its tool, and the one package that it is for ("" for all packages).
    """
    config, workspace = project.config, project.version_literals.workspace
    if config.changelog in ("keep-a-changelog", "none") or project.git is None:
        return {}
    is_lockstep = config.versions == "lockstep"
    directories = {"."} | {package.directory for package in workspace.packages if not is_lockstep}
    detect = tools_on_copy.detect_changelog_tool
    tools = {name: project.once(detect, project.root / name, config.changelog) for name in directories}
    runs: dict[tuple[str, Tool, str], list[VersionBump]] = {}
    for bump in filter(changelog_updates.belongs_in_changelogs, bumps):
        directory = "." if is_lockstep else bump.package.directory
        if tools[directory] is None:
            own = changelog_updates.choose_changelog(
                bump.package.directory, project.changelog_candidates, files.before
            )
            directory = "." if own is None or tools["."] == "git-cliff" else directory
        if (tool := tools[directory]) is not None:
            # The root's git-cliff writes a changelog for each package, its towncrier one for all of them.
            single = bump.package.name if tool == "git-cliff" and not is_lockstep else ""
            runs.setdefault((directory, tool, single), []).append(bump)
    return runs


def _generate_changelogs(
    runs: Mapping[tuple[str, Tool, str], list[VersionBump]], project: Project, files: FileContents
) -> None:
    """Run changelog tools in copies of the checkout, and add what they write to `files`."""
    config, git = project.config, project.git
    if not runs or git is None:
        return
    project.before_tools()
    commits: Mapping[str, frozenset[str]] = {}
    if any(tool == "git-cliff" for _, tool, _ in runs) and (config.paths or len(project.version_groups) > 1):
        commits = project.once(history.packages_by_commit, git, project.version_literals.workspace, config.paths)
    after: dict[str, bytes | None] = {}
    for (directory, tool, _), bumps in runs.items():
        release = _changelog_release(directory, bumps, project, files, commits)
        run, name = tools_on_copy.run_changelog_tool, config.changelog_file or _CHANGELOG
        after |= project.once(run, tool, git, release, project.today, name, pass_env=config.pass_env)
    files.add_generated_files(after, project)


def _changelog_release(
    directory: str,
    bumps: list[VersionBump],
    project: Project,
    files: FileContents,
    commits: Mapping[str, frozenset[str]],
) -> ChangelogRelease:
    """Return what the changelog tool with settings in `directory` has to know about the release of `bumps`.

    `commits` maps the ids of commits to the packages that they change, so that those of others are excluded.
    """
    config, first = project.config, bumps[0]
    groups = project.version_groups
    names = {
        package.name: group.name if group.kind == "fixed" else package.name
        for group in groups
        for package in group.packages
    }
    labels: dict[str, None] = {}
    for bump in bumps:
        label = semver_compat.format_version(bump.after, config.scheme)
        if project.tag_formats[bump.package.name].prefix not in _NAMELESS_PREFIXES:
            label = f"{names[bump.package.name]} {label}"
        labels[label] = None
    tag_format = project.tag_formats[first.package.name]
    is_shared = len(groups) > 1 and directory == "." and directory != first.package.directory
    own = changelog_updates.choose_changelog(first.package.directory, project.changelog_candidates, files.before)
    released_packages = {bump.package.name for bump in bumps}
    return ChangelogRelease(
        directory=directory,
        version=", ".join(labels) if is_shared else semver_compat.format_version(first.after, config.scheme),
        tag=tag_format.render(first.after),
        tag_prefix=tag_format.prefix if len(groups) > 1 else None,
        excluded_commits=tuple(commit for commit, names in commits.items() if released_packages.isdisjoint(names)),
        changelog=(own or f"{first.package.directory}/{config.changelog_file or _CHANGELOG}")
        if is_shared
        else None,
    )


# --- lock files and hooks


def outdated_lock_files(project: Project, updates: DependencyUpdates) -> list[str]:
    """Return the lock files of Poetry and PDM next to packages whose requirements change with `updates`."""
    by_name = project.version_literals.workspace.by_name
    directories = {
        by_name[name].directory
        for name, needs in updates.items()
        if any(need.syntax != "cargo" for need, _ in needs)
    }
    return [lock for lock in project.poetry_and_pdm_locks if (lock.rpartition("/")[0] or ".") in directories]


def _outdated_uv_lock_notes(
    project: Project, bumps: Sequence[VersionBump], updates: DependencyUpdates, files: FileContents
) -> Iterator[str]:
    """Yield a note on each uv.lock that cannot have new requirements before the packages are published.

    Such a file takes these packages from an index.
    """
    workspace = project.version_literals.workspace
    after = {bump.package.name: bump.after for bump in bumps}
    after |= {name: after[own] for name, own in project.config.dependency_updates.items() if own in after}
    for file in workspace.lock_files:
        names = lock_files.packages_locked_from_index(file, files.before[file].decode(), updates, workspace)
        if names:
            versions = join_names(f"{name} {after[name]}" for name in names)
            directory = f" --project {shlex.quote(posixpath.dirname(file))}" if "/" in file else ""
            yield (
                f"{file}: out of date after this bump (it takes {join_names(names)} from an index); when "
                f"{versions} is published: uv lock{directory}"
            )


def _run_lock_tools(
    locks: Sequence[str], planned: Mapping[str, bytes | None], project: Project
) -> dict[str, bytes | None]:
    """Run Poetry and PDM in a copy of the checkout with the `planned` contents; return the locks they change.

    In both, None stands for a removed file.
    """
    git, _, _ = project.require_commit("--lock")
    project.before_tools()
    update, pass_env = tools_on_copy.update_lock_files, project.config.pass_env
    return project.once(update, git, locks, planned=planned, pass_env=pass_env)


def _run_edit_hooks(project: Project, bumps: Sequence[VersionBump], files: FileContents) -> Iterator[str]:
    """Run each `edit-bump` hook in a copy of the checkout, and add what it edits to `files`; yield a note on each.

    A hook that fails or changes a version raises `Failed`.
    """
    before = {bump.package.name: bump.before for bump in bumps}
    versions = {bump.package.name: bump.after for bump in bumps}
    for step in hooks.hook_steps("edit-bump", "bump", versions, project, old_versions=before):
        git, _, _ = project.require_commit("the edit-bump hook")
        project.before_tools()
        after = project.once(_run_edit_hook, step, git, files.after, project)
        for bump in bumps:
            for location in bump.package.locations:
                if location.file in after and _versions_at(files.after, location) != _versions_at(after, location):
                    raise Failed(
                        "hook-failed",
                        f"edit-bump hook ({step.hook.command}) changed the version of {bump.package.name} in "
                        f"{location.file}",
                        "remove that edit from the hook (the bump sets the version itself)",
                    )
        files.add_generated_files(after, project)
        yield f"edit-bump hook ({step.hook.command}) edits {join_names(after) if after else 'nothing'}"


def _run_edit_hook(
    step: RunHook, git: Git, contents: Mapping[str, bytes | None], project: Project
) -> dict[str, bytes | None]:
    """Run a hook in a copy of the checkout with these new contents; return those it changes (None: removed)."""
    variables = clean_environment(os.environ, own_indexes=True, passed=project.config.pass_env)
    return step.run_in_copy(git, contents, variables=variables, on_line=partial(project.on_output, step))


def _versions_at(contents: Mapping[str, bytes | None], location: VersionSource) -> list[str] | None:
    """Return the versions at a version location, or None if its file is missing or has no version there."""
    content = contents.get(location.file)
    try:
        return version_locations.read_versions((content or b"").decode(), location)
    except (ValueError, Blocked):  # a removed file, or one without the version
        return None


# --- the development version after the release


def add_development_commit(
    options: Options, project: Project, resolved: ResolvedBumps, files: FileContents, new: PlanBuilder
) -> tuple[tuple[VersionBump, ...], tuple[Edit, ...]]:
    """Add the commit that starts the next development versions to `new`; return its bumps and edits.

    `files` has the contents in the release commit. Both results are empty without `--then-dev`, or if no
    development version can follow, with a note in `new`.
    """
    bumps, updates = resolved
    if not options.then_dev or not bumps:
        return (), ()
    requests = {
        bump.package.name: BumpRequest(Bump(part="dev"), f"after {bump.after}")
        for bump in bumps
        if bump.package.source.is_in_file and not bump.after.is_devrelease
    }
    if not requests:
        is_one = any(bump.after.is_devrelease for bump in bumps)
        why = "that is one" if is_one else "no file has the version"
        new.notes.append(f"no development version follows ({why})")
        return (), ()
    config = project.config
    workspace = editing.workspace_after_release(project.version_literals.workspace, bumps, updates, config)
    following = FileContents(files.current)
    try:
        bumps, updates = version_bumps.resolve_bumps(
            workspace,
            requests,
            current_versions=release_history.current_versions(workspace.packages, {}),
            config=config,
            today=project.today,
        )
        following.after |= dict(editing.edit_contents(workspace, bumps, updates, following.before, config))
    except Blocked as error:
        if error.code != "version-invalid":
            raise
        new.notes.append(f"no development version follows: {error.message}")
        return (), ()
    if options.lock and (outdated := outdated_lock_files(project, updates)):
        following.after |= _run_lock_tools(outdated, {**files.after, **following.after}, project)
    if edits := following.edits:
        message = commit_message(project, bumps, is_development=True)
        new.add(EditFiles(edits=edits, is_development=True))
        new.add(Commit(message=message, files=tuple(edit.file for edit in edits), is_development=True))
    return bumps, edits


# --- messages and tags


def tags_by_package(project: Project, bumps: Sequence[VersionBump]) -> dict[str, str]:
    """Map the name of each bumped package to the tag of its new version."""
    return {bump.package.name: project.tag_formats[bump.package.name].render(bump.after) for bump in bumps}


def released_packages(
    project: Project, bumps: Sequence[VersionBump], *, is_tagged: bool
) -> Iterator[ReleasedPackage]:
    """Yield the packages that bumps release, with their tags if `is_tagged`, else with empty ones."""
    names = tags_by_package(project, bumps) if is_tagged else {}
    for bump in bumps:
        name = bump.package.name
        yield ReleasedPackage(package=name, version=str(bump.after), tag=names.get(name, ""))


def new_tags(project: Project, bumps: Sequence[VersionBump]) -> tuple[NewTag, ...]:
    """Return the tags of the bumps, with messages; a tag that several packages share is listed once."""
    names = tags_by_package(project, bumps)
    bumps_of_tag: dict[str, list[VersionBump]] = {}
    for bump in bumps:
        bumps_of_tag.setdefault(names[bump.package.name], []).append(bump)
    tags = []
    for name, own in bumps_of_tag.items():
        subject = "Release" if project.config.versions == "lockstep" else own[0].package.name
        message = release_history.add_trailers(f"{subject} {own[0].after}", release_history.RELEASE, own)
        tags.append(NewTag(name=name, message=message))
    return tuple(tags)


def commit_message(project: Project, bumps: Sequence[VersionBump], *, is_development: bool = False) -> str:
    """Return the commit message of the bumps, with the trailers that say what is released.

    In `[tool.relnox] commit-message`, `{packages}` becomes a list of packages with their new versions, and
    `{version}` the new version if all packages of the workspace get the same one, else the same list. With
    `is_development`, the message is not configurable.
    """
    packages = ", ".join(f"{bump.package.name} {bump.after}" for bump in bumps)
    is_common = len({bump.after for bump in bumps}) == 1 and len(bumps) == len(project.workspace.packages)
    version = str(bumps[0].after) if is_common else packages
    template = "Start development of {version}" if is_development else project.config.commit_message
    message = template.replace("{version}", version).replace("{packages}", packages)
    return release_history.add_trailers(
        message, release_history.DEVELOPMENT if is_development else release_history.RELEASE, bumps
    )
