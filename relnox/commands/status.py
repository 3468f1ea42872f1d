"""Show every package with its version, its last tag and whether it changed since.

Stays offline unless --index asks an index which of its files are there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from relnox import core
from relnox.core.options import CommonOptions, option

if TYPE_CHECKING:
    from pathlib import Path

    from packaging.version import Version

    from relnox.commands.project import Project
    from relnox.core.events import Outcome
    from relnox.core.options import Given
    from relnox.core.packages import Package
    from relnox.core.plan import Plan, Table

__all__ = ["Options", "Row", "Snapshot", "conclude", "explain", "observe", "plan"]


class Options(CommonOptions):
    """Options of `status`."""

    package: tuple[str, ...] = option(
        (),
        "Show this package only (distribution or folder name; repeatable).",
        metavar="NAME",
        anywhere=False,
    )
    index: tuple[str, ...] = option((), "Ask this index as well (repeatable).", metavar="NAME", anywhere=False)
    explain: bool = option(False, "Show where each option's value comes from.", anywhere=False)


class Row(NamedTuple):
    """What is known of one package.

    Attributes:
        package: The package.
        tag: Its last tag, or None.
        changed: Whether its files differ from that tag's; None where there is no tag, or no git.
        listed: For each index that was asked the versions it lists.
    """

    package: Package
    tag: str | None
    changed: bool | None
    listed: tuple[frozenset[Version], ...]


class Snapshot(NamedTuple):
    """What `status` looked at.

    Attributes:
        rows: What is known of each package.
        warnings: What discovery passed over.
        usual_format: How the tags look where none of them has the configured form.
    """

    rows: tuple[Row, ...]
    warnings: tuple[str, ...]
    usual_format: str | None


def observe(options: Options, project: Project) -> Snapshot:
    """Look at the packages, the tags, and the indexes that were asked for."""
    packages = project.workspace.select(options.package) if options.package else project.workspace.packages
    tags = _last_tags(packages, project)
    changed = _changed(packages, tags, project)
    rows = (
        Row(package, tags.get(package.name), changed.get(package.name), _listed(package, options, project))
        for package in packages
    )
    present = project.state.tags if project.state is not None else {}
    usual = core.tags.usual_format(present) if not tags and len(packages) == 1 else None
    return Snapshot(tuple(rows), project.workspace.warnings, usual)


def plan(snapshot: Snapshot, options: Options) -> Plan:
    """Nothing to do: a table."""
    rows = tuple(_row(row) for row in snapshot.rows)
    columns = ("package", "version", "last tag", "changed since", *options.index)
    notes = snapshot.warnings
    if snapshot.usual_format is not None:
        notes += (f'the tags here look otherwise: set [tool.relnox] tag-format = "{snapshot.usual_format}"',)
    table = core.plan.Table(title="", columns=columns, rows=rows)
    return core.plan.Plan(task="status", tables=(table,), notes=notes)


def explain(given: dict[str, Given]) -> Table:
    """Where each option's value comes from."""
    rows = tuple((name.replace("_", "-"), repr(each.value), each.origin) for name, each in given.items())
    return core.plan.Table(title="Options", columns=("option", "value", "comes from"), rows=rows)


def conclude(outcome: Outcome, folder: Path) -> tuple[Table, ...]:
    """The plan's table says it all."""
    del outcome, folder
    return ()


def _last_tags(packages: tuple[Package, ...], project: Project) -> dict[str, str]:
    tags = project.state.tags if project.state is not None else {}
    found = {package.name: project.tag_formats[package.name].latest(tags) for package in packages}
    return {name: pair[0] for name, pair in found.items() if pair is not None}


def _changed(packages: tuple[Package, ...], tags: dict[str, str], project: Project) -> dict[str, bool]:
    """Whether each tagged package changed; packages tagged on one commit are asked for together."""
    if project.git is None or project.state is None:
        return {}
    by_commit: dict[str, list[Package]] = {}
    for package in packages:
        if package.name in tags:
            by_commit.setdefault(project.state.tags[tags[package.name]], []).append(package)
    result: dict[str, bool] = {}
    for commit, group in by_commit.items():
        changed = project.git.changed_since(commit, [package.folder for package in group])
        result |= {package.name: package.folder in changed for package in group}
    return result


def _listed(package: Package, options: Options, project: Project) -> tuple[frozenset[Version], ...]:
    from packaging.utils import (
        InvalidSdistFilename,
        InvalidWheelFilename,
        parse_sdist_filename,
        parse_wheel_filename,
    )

    every = []
    for index in options.index:
        versions = set()
        for name in project.indexes.files(index, package.name):
            try:
                parsed = parse_wheel_filename(name)[1] if name.endswith(".whl") else parse_sdist_filename(name)[1]
            except (InvalidSdistFilename, InvalidWheelFilename):
                continue
            versions.add(parsed)
        every.append(frozenset(versions))
    return tuple(every)


def _row(row: Row) -> tuple[str, ...]:
    package = row.package
    version = str(package.version) if package.version is not None else f"({package.source.text})"
    changed = {None: "-", True: "yes", False: "no"}[row.changed]
    on_indexes = [_on_index(package.version, versions) for versions in row.listed]
    private = " (private)" if package.private else ""
    return (package.name + private, version, row.tag or "-", changed, *on_indexes)


def _on_index(version: Version | None, listed: frozenset[Version]) -> str:
    if not listed:
        return "nothing"
    latest = max(listed)
    return (
        f"{latest} (this one)" if latest == version else f"{latest}{', this one too' if version in listed else ''}"
    )
