"""Show every package with its version, its last tag, the changes since, and its next version.

The next version is that of `bump --part auto`. The command stays offline unless --index is given, or this clone
has no tags: then the remote's tags are read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from packaging.version import Version

from relnox.commands.options import StatusOptions as Options
from relnox.commands.shared import tag_checks
from relnox.commands.shared.project import Project
from relnox.core import serialization, text, unlisted
from relnox.core.bump import release_history, version_bumps
from relnox.core.bump.version_bumps import VersionBump
from relnox.core.packages import Package
from relnox.core.planning.plan import Plan, Table
from relnox.core.settings import release_lines
from relnox.core.settings.release_lines import ReleaseLine
from relnox.core.tagging import tag_proposals
from relnox.core.versions import version_locations
from relnox.errors import Blocked, TryLater
from relnox.system.retries import Deadline, TransientError

SCHEMA = 1
"""The version of the JSON format, which increases with each incompatible change."""

_INDEX_TIMEOUT = 10.0
"""The time limit for all queries of one index, including retries, in seconds."""


class Snapshot(NamedTuple):
    """What `status` shows.

    Attributes:
        rows: The rows of the table, one for each package.
        packages: The packages as JSON, with null for missing or unknown values.
        notes: Notes on skipped packages, on tags and versions, and on why nothing can be released.
        lines: The release lines that the current commit belongs to.
    """

    rows: tuple[tuple[str, ...], ...]
    packages: tuple[dict[str, Any], ...]
    notes: tuple[str, ...]
    lines: tuple[ReleaseLine, ...]


def observe(options: Options, project: Project) -> Snapshot:
    """Read the packages, their history and their versions on the indexes."""
    packages = project.workspace.select(options.package) if options.package else project.workspace.packages
    bumps, notes = _next_bumps(project)
    deadlines = {index: Deadline(_INDEX_TIMEOUT) for index in options.index}
    rows, documents = [], []
    for package in packages:
        history, bump = project.history.get(package.name), bumps.get(package.name)
        version = package.version
        if version is None and package.source.kind == "tags" and history is not None:
            version = history.version
        tag = history.tag if history is not None else None
        commit_count = len(history.commits) if history is not None and tag is not None else None
        indexes = {
            index: _index_versions(index, package, project, deadline) for index, deadline in deadlines.items()
        }
        rows.append(
            (
                package.name + (" (private)" if package.is_private else ""),
                str(version or f"({package.source.text})"),
                tag or "-",
                "-"
                if commit_count is None
                else text.format_count(commit_count, "commit")
                if commit_count
                else "no",
                *((str(bump.after), bump.reason) if bump is not None else ("-", "-")),
                *(_on_index(package.version, versions, project.lines) for versions in indexes.values()),
            )
        )
        documents.append(
            {
                "name": package.name,
                "directory": package.directory,
                "private": package.is_private,
                "version": str(version) if version is not None else None,
                "tag": tag,
                "commits": commit_count,
                "next": {"version": str(bump.after), "reason": bump.reason} if bump is not None else None,
                "indexes": {index: list(map(str, sorted(versions))) for index, versions in indexes.items()},
            }
        )
    all_notes = [
        *project.workspace.warnings,
        *_line_notes(project),
        *_tag_notes(packages, project),
        *_disagreement_notes(project),
        *notes,
    ]
    if project.unlisted:
        all_notes.append(unlisted.describe_unlisted_packages(project.unlisted, project.workspace, project.config))
    return Snapshot(tuple(rows), tuple(documents), tuple(all_notes), project.lines)


def plan(snapshot: Snapshot, options: Options) -> Plan:
    """Return a plan without steps, whose table lists the packages."""
    columns = ("package", "version", "last tag", "changed since", "next", "why", *options.index)
    table = Table(title="", columns=columns, rows=snapshot.rows)
    return Plan(task="status", tables=() if options.json else (table,), notes=snapshot.notes)


def document(snapshot: Snapshot, options: Options) -> str:
    """Return the packages as JSON."""
    del options
    return serialization.to_json(
        {
            "schema": SCHEMA,
            "lines": [{"branch": line.branch, "bounds": line.bounds or None} for line in snapshot.lines],
            "packages": snapshot.packages,
            "notes": snapshot.notes,
        }
    )


def _next_bumps(project: Project) -> tuple[dict[str, VersionBump], tuple[str, ...]]:
    """Return what `bump --part auto` would do for each package, and notes on why it would do nothing."""
    if project.state is None or project.state.head is None:
        return {}, ()
    if project.state.is_shallow:
        return {}, (
            "this clone is shallow, so tags and commits may be missing; run: git fetch --unshallow --tags",
        )
    if project.tags and not project.state.tags:
        return {}, ()
    try:
        workspace, history, config = project.workspace, project.history, project.config
        released = {name: last.version for name, last in history.items() if last.version is not None}
        bumps, _ = version_bumps.resolve_bumps(
            workspace,
            release_history.requests_from_changes(workspace, history, config),
            released_versions=released,
            config=config,
            today=project.today,
            own_changes=release_history.requests_for_bumped_packages(workspace, history, config),
        )
    except Blocked as error:
        return {}, (f"cannot release: {error.message}\n  fix: {error.fix}",)
    return {bump.package.name: bump for bump in bumps}, ()


def _line_notes(project: Project) -> Iterator[str]:
    """Yield a note on the release lines of the current commit, if release lines are configured."""
    lines, configured_branches = project.lines, project.config.branch
    if not release_lines.has_release_lines(configured_branches):
        return
    if lines:
        yield f"release line: {release_lines.describe_lines(lines)}"
    else:
        yield f"no release line (release branches: {release_lines.describe_lines(configured_branches)})"


def _tag_notes(packages: tuple[Package, ...], project: Project) -> Iterator[str]:
    """Yield notes on missing tags, assumed lockstep versions, unexpected tag formats, and newer tags."""
    if project.state is None or project.state.head is None:
        return
    yield from tag_checks.missing_tag_notes(project)
    try:
        public = [package for package in packages if not package.is_private]
        problems = tag_proposals.unclear_format_problems(
            public, project.workspace, project.config, project.tag_forms, project.tags
        )
        yield from (f"{problem.message}\n  fix: {problem.fix}" for problem in problems)
        yield from tag_checks.newer_tags(project).notes(
            [package.name for package in packages], project.config, project.state.tags
        )
    except Blocked:  # an invalid format, which _next_bumps reports
        return


def _disagreement_notes(project: Project) -> Iterator[str]:
    """Yield a note for each package whose version files or version literals disagree."""
    for package in project.literals.workspace.packages:
        if package.other_locations and not version_locations.locations_agree(package, package.version):
            fix = project.bump_command(package.name, "--to", "VERSION")
            yield f"{version_locations.describe_disagreement(package)}\n  fix: {fix}"


def _index_versions(index: str, package: Package, project: Project, deadline: Deadline) -> frozenset[Version]:
    """Return the versions of a package on an index.

    Raises:
        TryLater: The index does not answer.
    """
    try:
        files = project.indexes[index].fetch_listing(package.name, deadline).values()
    except TransientError as transient_error:
        raise TryLater(
            "index-unavailable",
            f"cannot read the files of {package.name} on {index}: {transient_error.message}",
            fix=f"rerun the command later, or remove --index {index}",
        ) from transient_error
    return frozenset(file.version for file in files if file.version is not None)


def _on_index(version: Version | None, versions: frozenset[Version], lines: Sequence[ReleaseLine]) -> str:
    """Describe the latest version on an index in these release lines, compared with the current version."""
    latest = max((other for other in versions if release_lines.allows_version(lines, other)), default=None)
    if latest is None:
        return "none"
    if latest == version:
        return f"{latest} (this version)"
    return f"{latest}{', has this version' if version in versions else ''}"
