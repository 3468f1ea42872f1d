"""The numbers of development versions (`--from`), taken from the CI run, the time, or the git history."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from relnox import core
from relnox.commands.bump.project_state import DevNumbers
from relnox.errors import Blocked

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from relnox.commands.bump.project_state import RemoteState
    from relnox.commands.options import BumpOptions as Options
    from relnox.commands.shared.project import Project
    from relnox.core.problems import Problem
    from relnox.core.settings.release_lines import ReleaseLine
    from relnox.source.git import Git


NO_DEV_NUMBERS = DevNumbers({}, {})


def check_options(options: Options) -> None:
    """Check that `--from` is combined with `--part dev`.

    Raises:
        Blocked: `--from` is given without `--part dev`.
    """
    if options.from_ is not None and options.part != "dev":
        raise Blocked(
            "option-missing", f"--from {options.from_} only numbers development versions", fix="add --part dev"
        )


def ci_run_number(options: Options) -> int | None:
    """Return the number of the current CI run with `--from run`; otherwise None.

    Raises:
        Blocked: No environment variable has a valid run number.
    """
    return core.dev_numbers.number_of_run(os.environ)[0] if options.from_ == "run" else None


def determine_dev_numbers(options: Options, project: Project, remote: RemoteState) -> DevNumbers:
    """Determine the numbers for all packages, since dependents of a package may get development versions as well.

    Raises:
        Blocked: No number can be determined from the CI run or the git history.
    """
    names = [package.name for package in project.workspace.packages]
    match options.from_:
        case None:
            return NO_DEV_NUMBERS
        case "run":
            number, origin = core.dev_numbers.number_of_run(os.environ)
        case "time":
            number, origin = core.dev_numbers.number_of_time(project.now)
        case _:
            return _count_distances(project, remote)
    return DevNumbers(dict.fromkeys(names, number), dict.fromkeys(names, origin))


def _count_distances(project: Project, remote: RemoteState) -> DevNumbers:
    """Count the commits since the last release of each package; tags of development versions are ignored.

    Raises:
        Blocked: The project is not in a git repository with a commit.
    """
    git, state = project.git, project.state
    if git is None or state is None or state.head is None:
        raise Blocked(
            "not-a-git-repository",
            "--from distance needs a git repository with a commit",
            fix="use --from time",
        )
    from relnox.commands.shared.release_branch import find_release_branch

    releases = _last_release_tags(project, [tag for tag in git.merged_tags() if not _is_development_tag(tag)])
    counts: dict[str | None, int] = {}
    numbers, origins = {}, {}
    for package in project.workspace.packages:
        tag = releases.get(package.name)
        if tag not in counts:
            counts[tag] = git.count_commits(tag)
        numbers[package.name] = counts[tag]
        commits = core.text.format_count(counts[tag], "commit")
        origins[package.name] = f"{commits} since {tag}" if tag is not None else f"{commits}, no release yet"
    refs = {f"refs/heads/{name}": commit for name, commit in remote.branches.items()}
    return DevNumbers(
        numbers,
        origins,
        branch=find_release_branch(refs, state, project, git),
        unfetched_tags=tuple(_unfetched_tags(releases, project, remote, git)),
        commit_time=git.head_time(),
    )


def _last_release_tags(project: Project, tags: list[str]) -> dict[str, str]:
    """Return the last release tag of each package among the given tags, by package."""
    versions = {package.name: package.version for package in project.workspace.packages}
    latest = core.tags.latest_tags(project.tag_formats, tags, versions, project.lines)
    return {name: tag for name, (tag, _) in latest.items()}


def _unfetched_tags(releases: Mapping[str, str], project: Project, remote: RemoteState, git: Git) -> Iterator[str]:
    """Yield the remote's tags that would be the last release tag of a package if this clone had fetched them."""
    local_tags = project.state.tags if project.state is not None else {}
    tags = [tag for tag in remote.tags or {} if tag not in local_tags and not _is_development_tag(tag)]
    later = _last_release_tags(project, [*tags, *releases.values()])
    for tag in dict.fromkeys(later.values()):
        if tag not in local_tags and git.is_ancestor((remote.tags or {})[tag]):
            yield tag


def _is_development_tag(tag: str) -> bool:
    """Return whether a tag is that of a development version."""
    parts = core.known_tags.split_tag(tag)
    return parts is not None and parts[1].is_devrelease


def find_distance_problems(
    numbers: DevNumbers, lines: tuple[ReleaseLine, ...], configured_lines: tuple[ReleaseLine, ...], remote: str
) -> Iterator[Problem]:
    """Yield the problems that make the numbers of `--from distance` ambiguous or wrong.

    Commits of one branch have different distances, but a commit of another branch may have the same one.

    Args:
        numbers: The numbers of the development versions.
        lines: The release lines of the current commit.
        configured_lines: All release lines.
        remote: The name of the remote.
    """
    branch = numbers.branch
    if branch is None:
        return
    instead = "use --from run or --from time"
    if not branch.has_head:
        where = f"HEAD is not on branch {branch.name} of {remote}" if branch.exists else "the branch is not known"
        yield core.problems.Problem(
            code="clone-shallow",
            message=f"{where}: a commit of another branch can have the same distance, and would have the same "
            "version",
            fix=f"push it first, or {instead}" if branch.is_behind_head else instead,
        )
    for line in lines:
        others = [
            other.branch
            for other in configured_lines
            if other.bounds == line.bounds and other.branch != line.branch
        ]
        if others:
            yield core.problems.Problem(
                code="clone-shallow",
                message=f"{line.branch} and {core.text.join_names(others)} may release the same versions, so two "
                "commits can have the same distance, and the same version",
                fix=f"{instead}, or give the branches bounds ([tool.relnox] branch)",
            )
            return
    if numbers.unfetched_tags:
        yield core.problems.Problem(
            code="clone-shallow",
            message=f"this clone lacks {core.text.join_names(numbers.unfetched_tags)}, "
            "which the distance counts from",
            fix=f"git fetch --tags {remote}",
        )
