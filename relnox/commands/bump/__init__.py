"""Bump versions: in every version location and in dependents' requirements, as one commit with tags.

Without --commit, only files are edited. The trailers of the commit say what it releases, so that the same command
finishes an interrupted bump; --undo reverts a release that is not pushed yet.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from relnox.commands.bump import changes, preflight, pull_requests, releases, versions
from relnox.commands.options import BumpOptions as Options
from relnox.commands.shared import checks
from relnox.core import fixes
from relnox.core.bump.version_bumps import ResolvedBumps, VersionBump
from relnox.core.planning.plan import Plan, PlanBuilder, Table
from relnox.core.planning.step import Edit, NewTag
from relnox.errors import Blocked, Problem
from relnox.project import Project
from relnox.source.git import remotes
from relnox.steps.edit_files import EditFiles
from relnox.steps.git import Commit, CreateTags, Push

_REPEATED = (*versions.REQUEST, "commit", "tag", "then_dev", "lock", "allow_branch", "allow_dirty")
"""The field names of options that another run for the same release needs as well."""


def plan(options: Options, project: Project) -> Plan:
    """Plan a new bump, or to finish or undo a release.

    If files of the checkout are changed, an earlier run may have been interrupted. So the bump is first planned
    from the files of HEAD: if the checkout has some of its edits already, this plan finishes it.
    """
    preflight.check_option_combinations(options)
    if options.undo:
        return releases.plan_undo(project)
    state = project.state
    if state is not None and (options.push or options.pull_request):
        project.remote.require_refs("--push" if options.push else "--pull-request")
    interrupted = None
    if state is not None and state.head is not None and state.changed_files and not options.pull_request:
        interrupted = project.once(_plan_interrupted_bump, options, project)
    new = interrupted or _plan_bump(options, project, project)
    assert new is not None  # noqa: S101 - the edits of a checkout are new
    return new


def _plan_interrupted_bump(options: Options, project: Project) -> Plan | None:
    """Plan to finish a bump that was interrupted; None if none was, or if HEAD cannot be bumped."""
    # The files of the checkout, which are read next, may not have what is an error in those of HEAD.
    with contextlib.suppress(Problem), project.at_head() as committed:
        return _plan_bump(options, committed, project)
    return None


def _plan_bump(options: Options, project: Project, checkout: Project) -> Plan | None:
    """Plan a bump, or to finish a release that exists already; None if no interrupted bump is found.

    `project` is either `checkout`, and the result is a plan, or it has the files of HEAD, to find an interrupted
    bump. In the second case, the result is None if `checkout` has none of the bump's edits, or other changes in
    the files.
    """
    packages = versions.select_packages(options, project)
    release = releases.find_requested_release(options, project, packages)
    if release is not None and (finishing := releases.plan_to_finish_release(release, options, project, checkout)):
        return finishing
    resolved, problems = versions.decide_versions(options, project, packages)
    bumps = resolved.bumps
    new = PlanBuilder("bump")
    if problems and (len(problems) == 1 or checkout is not project):
        raise problems[0]
    if problems := problems or list(releases.release_on_remote_problems(options, project, bumps)):
        new.problems += problems
        return new.build()
    new.notes += project.workspace.warnings
    new.notes += versions.selection_notes(options, project, packages, bumps)
    # With --part auto, the tags of all packages say what changed.
    others = [package for package in packages if not package.is_private and options.part == "auto"]
    unclear = list(project.tag_format_problems([*(bump.package for bump in bumps), *others]))
    is_needed = options.tag or options.pull_request or options.part == "auto"
    new.problems += unclear if is_needed else ()
    new.notes += [problem.as_note for problem in unclear if not is_needed]
    try:
        files = changes.plan_file_contents(options, project, checkout, resolved, new)
    except Blocked as error:
        if checkout is not project or not new.problems:
            raise
        new.problems.append(error)
        return new.build()
    if files is None:
        return None
    if bumps:
        _add_bump_steps(options, project, resolved, files, new)
    elif release is not None:  # with --part auto: HEAD may be a release that only git has
        new.releases += changes.released_packages(project, release.bumps(project), is_tagged=options.tag)
    return new.build()


def _add_bump_steps(
    options: Options, project: Project, resolved: ResolvedBumps, files: changes.FileContents, new: PlanBuilder
) -> None:
    """Add the steps of a bump to a plan, its problems, notes and tables; only the last steps change the remote."""
    (bumps, updates), edits = resolved, files.edits
    if options.commit or options.tag:
        new.releases += changes.released_packages(project, bumps, is_tagged=options.tag)
    tags = changes.new_tags(project, bumps) if options.tag or options.pull_request else ()
    if edits and not options.pull_request:
        new.add(EditFiles(edits=edits))
    if options.commit and edits:
        message = changes.commit_message(project, bumps)
        new.add(Commit(message=message, files=tuple(edit.file for edit in edits)))
    if options.tag and tags:
        new.add(CreateTags(tags=tags))
    following = changes.add_development_commit(options, project, resolved, files, new)
    if options.push and project.state is not None:
        names = tuple(tag.name for tag in tags)
        new.add(Push(remote_name=project.config.remote, branch=project.state.branch or "", tags=names))
        new.notes += releases.unpushed_tag_notes(options, project, names)
    planned = preflight.PlannedBump(bumps, files, tags, following, checks.newer_tags(project))
    new.add_problems(preflight.bump_problems(planned, options, project), options)
    if options.pull_request:
        pull_requests.add_pull_request(options, project, bumps, edits, new)
    new.notes += preflight.bump_notes(planned, options, project)
    new.notes += versions.version_notes(options, project, bumps, updates)
    new.notes[:] = dict.fromkeys(new.notes)
    new.next_command = _next_command(options, project, edits, tags, is_followed=bool(following[0]))
    new.tables += (_table_of_bumps(title, own) for title, own in (("", bumps), ("then", following[0])) if own)


def _next_command(
    options: Options, project: Project, edits: Sequence[Edit], tags: Sequence[NewTag], *, is_followed: bool
) -> str:
    """Return the command to run next: the same with `--commit --tag` or `--push`, or the build; empty if none.

    If a development version follows the release (`is_followed`), the build is of the commit of the first tag, not
    of HEAD.
    """
    git, words = project.git, versions.command_line_words(options, _REPEATED)
    if git is None or options.pull_request or options.again:
        return ""
    if options.push:
        of_tag = ("--commit", tags[0].name) if is_followed and tags else ()
        return fixes.task_command("build-all", *of_tag) if tags else ""
    if options.tag:
        return (
            fixes.task_command("bump", *words, "--push")
            if project.config.remote in remotes.remote_names(git)
            else ""
        )
    record = ("--commit",) if options.part == "dev" else ("--commit", "--tag")
    return fixes.task_command("bump", *words, *record) if edits and not options.commit else ""


def _table_of_bumps(title: str, bumps: Sequence[VersionBump]) -> Table:
    """Return a table with one row for each bump; a version that is unknown is shown as `-`."""
    rows = tuple(
        (bump.package.name, str(bump.before) if bump.before is not None else "-", str(bump.after), bump.reason)
        for bump in bumps
    )
    return Table(title=title, columns=("package", "from", "to", "why"), rows=rows)
