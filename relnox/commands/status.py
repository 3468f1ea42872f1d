"""Show every package with its version, its last tag, the changes since, and its next version.

The next version is that of `bump --part auto`. The command stays offline unless --index is given, or this clone
has no tags: then the remote's tags are read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from packaging.version import Version

from relnox.commands.bump import versions
from relnox.commands.options import BumpOptions
from relnox.commands.options import StatusOptions as Options
from relnox.commands.shared import checks
from relnox.core import documents, setting_proposals, text
from relnox.core.bump.version_bumps import VersionBump
from relnox.core.packages import Package
from relnox.core.planning.plan import Plan, PlanBuilder, Table
from relnox.core.settings import release_lines
from relnox.core.settings.release_lines import ReleaseLine
from relnox.errors import Blocked
from relnox.project import Project

SCHEMA = 1
"""The version of the JSON format, which increases with each incompatible change."""

_INDEX_TIMEOUT = 10.0
"""The time limit for all queries of one index, including retries, in seconds."""


class StatusRow(NamedTuple):
    """What `status` shows about a package.

    Attributes:
        version: The version in its files, or else of `tag`; None if there is neither.
        tag: Its last tag, or None.
        commit_count: The number of its commits since `tag`, or None without a tag.
        bump: What `bump --part auto` would do, or None if nothing.
        versions: Maps each index of `--index` to the versions that it has of the package.
    """

    package: Package
    version: Version | None
    tag: str | None
    commit_count: int | None
    bump: VersionBump | None
    versions: Mapping[str, frozenset[Version]]


def plan(options: Options, project: Project) -> Plan:
    """Return a plan without steps, whose table lists the packages; with `--json`, it only has the notes."""
    new = PlanBuilder("status")
    packages = project.workspace.select(options.package) or project.workspace.packages
    new.notes += project.workspace.warnings
    new.notes += _release_line_notes(project)
    new.notes += _tag_notes(packages, project)
    differing = checks.inconsistent_version_file_problems(project.workspace.packages, project)
    new.notes += (problem.as_note for problem in differing)
    bumps, reasons = _next_bumps(project)
    new.notes += reasons
    new.notes += checks.unreleased_sibling_notes(project, [bump.package for bump in bumps.values()])
    if project.unlisted_packages:
        new.notes.append(
            setting_proposals.describe_unlisted_packages(
                project.unlisted_packages, project.workspace, project.config
            )
        )
    columns = ("package", "version", "last tag", "changed since", "next", "why", *options.index)
    cells = tuple(_table_cells(row, project.release_lines) for row in _status_rows(options, project))
    if not options.json:
        new.tables.append(Table(title="", columns=columns, rows=cells))
    return new.build()


def document(options: Options, project: Project) -> str:
    """Return what `--json` prints: the packages, the current release lines and the notes, as a JSON object.

    Missing or unknown values are null.
    """
    packages = [
        {
            "name": row.package.name,
            "directory": row.package.directory,
            "private": row.package.is_private,
            "version": str(row.version) if row.version is not None else None,
            "tag": row.tag,
            "commits": row.commit_count,
            "next": {"version": str(row.bump.after), "reason": row.bump.reason} if row.bump is not None else None,
            "indexes": {index: list(map(str, sorted(versions))) for index, versions in row.versions.items()},
        }
        for row in _status_rows(options, project)
    ]
    lines = [{"branch": line.branch, "bounds": line.bounds or None} for line in project.release_lines]
    notes = plan(options, project).notes
    return documents.to_json({"schema": SCHEMA, "lines": lines, "packages": packages, "notes": notes})


def _status_rows(options: Options, project: Project) -> list[StatusRow]:
    """Return a row for each selected package; raise `TryLater` if an index does not answer."""
    packages = project.workspace.select(options.package) or project.workspace.packages
    names = tuple(package.name for package in packages)
    listed_versions = {
        index: project.versions_on(
            index, names, seconds=_INDEX_TIMEOUT, fix=f"rerun the command later, or remove --index {index}"
        )
        for index in options.index
    }
    bumps, _ = _next_bumps(project)
    rows = []
    for package in packages:
        history, version = project.history.get(package.name), project.current_versions.get(package.name)
        tag = history.tag if history is not None else None
        commit_count = len(history.commits) if history is not None and tag is not None else None
        own = {index: by_package[package.name] for index, by_package in listed_versions.items()}
        rows.append(StatusRow(package, version, tag, commit_count, bumps.get(package.name), own))
    return rows


def _table_cells(row: StatusRow, lines: Sequence[ReleaseLine]) -> tuple[str, ...]:
    """Return the cells of a package's row as text: name, version, last tag, commits since, next version and why.

    For each index of `--index`, a cell with the latest version there follows. `lines` are the release lines
    (branches with their range of versions) that HEAD is on; if it is empty, versions of all count.
    """
    package, count, bump = row.package, row.commit_count, row.bump
    return (
        package.name + (" (private)" if package.is_private else ""),
        str(row.version or f"({package.source.text})"),
        row.tag or "-",
        "-" if count is None else text.format_count(count, "commit") if count else "no",
        *((str(bump.after), bump.reason) if bump is not None else ("-", "-")),
        *(_describe_latest_version(row.version, versions, lines) for versions in row.versions.values()),
    )


def _next_bumps(project: Project) -> tuple[dict[str, VersionBump], tuple[str, ...]]:
    """Return what `bump --part auto` would do, by package name, and notes on why it is blocked.

    Both are empty without a commit, or if only the remote has tags.
    """
    if project.state is None or project.state.head is None or (project.tags and not project.state.tags):
        return {}, ()  # there is no history, or _tag_notes says that the tags are missing
    options = BumpOptions(part="auto", commit=True, tag=True)
    try:
        bumps, _ = versions.resolve_versions(options, project, project.workspace.packages)
    except Blocked as error:
        return {}, (f"cannot release: {error.as_note}",)
    return {bump.package.name: bump for bump in bumps}, ()


def _release_line_notes(project: Project) -> Iterator[str]:
    """Yield a note on which release lines the current commit belongs to, such as `main (>=2)`.

    A release line is a branch with a range of versions. Nothing is yielded if the settings have none.
    """
    lines, configured_branches = project.release_lines, project.config.branch
    if not release_lines.has_release_lines(configured_branches):
        return
    if lines:
        yield f"release line: {release_lines.describe_release_lines(lines)}"
    else:
        yield f"no release line (release branches: {release_lines.describe_release_lines(configured_branches)})"


def _tag_notes(packages: tuple[Package, ...], project: Project) -> Iterator[str]:
    """Yield notes on missing tags, unclear tag formats, packages always released together, and ignored tags.

    Ignored tags are those above a current version that do not count. Nothing is yielded without a commit.
    """
    if project.state is None or project.state.head is None:
        return
    yield from checks.unfetched_tag_notes(project)
    try:
        problems = project.tag_format_problems(package for package in packages if not package.is_private)
        yield from (problem.as_note for problem in problems)
        yield from setting_proposals.version_group_notes(project.detected_tag_formats, project.tags)
        yield from checks.newer_tags(project).ignored_tag_notes([package.name for package in packages])
    except Blocked:  # an invalid format, which _next_bumps reports
        return


def _describe_latest_version(
    version: Version | None, versions: frozenset[Version], lines: Sequence[ReleaseLine]
) -> str:
    """Return the latest of `versions` on an index as text, or `none`; only versions in `lines` count, if any.

    `version` is the current one: the text says if the index has it, such as `1.2.0 (this version)` or `1.3.0, has
    this version`.
    """
    latest = max((other for other in versions if release_lines.allows_version(lines, other)), default=None)
    if latest is None:
        return "none"
    if latest == version:
        return f"{latest} (this version)"
    return f"{latest}{', has this version' if version in versions else ''}"
