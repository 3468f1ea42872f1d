"""`status --versions`: the version of every pyproject.toml of the repository."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from relnox import core
from relnox.errors import Blocked
from relnox.source.directory_search import PYPROJECT, walk_directories
from relnox.source.repository_versions import read_versions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from relnox.commands.shared.project import Project
    from relnox.commands.status import Options, Snapshot
    from relnox.core.packages import Package
    from relnox.core.planning.plan import Plan
    from relnox.core.problems import Problem
    from relnox.source.repository_versions import FileVersion


def observe(options: Options, project: Project) -> tuple[tuple[FileVersion, ...], tuple[str, ...]]:
    """Return the version of every pyproject.toml, and a note if the packages of the project cannot be read.

    Raises:
        Blocked: --package or --index is given as well.
    """
    if options.package or options.index:
        raise Blocked(
            "options-conflict",
            "--versions shows every pyproject.toml, and takes neither --package nor --index",
            fix="remove --package and --index, or remove --versions",
        )
    notes: tuple[str, ...] = ()
    packages: dict[str, Package] | None = None
    try:
        packages = {package.directory: package for package in project.workspace.packages}
    except Blocked as error:  # as for a package without a version, which has its own line
        notes = (f"the packages of the project are not known: {error.message}\n  fix: {error.fix}",)
    return tuple(read_versions(_pyproject_paths(project), project.root, project.config, packages)), notes


def _pyproject_paths(project: Project) -> list[str]:
    """Return the path of every pyproject.toml that git does not ignore, or of all outside git."""
    if project.state is None:
        directories = [
            Path(top).relative_to(project.root)
            for top, _, names in walk_directories(project.root)
            if PYPROJECT in names
        ]
        return sorted((directory / PYPROJECT).as_posix() for directory in directories)
    files = (*project.tracked_project_files, *project.state.untracked_files)
    names = {name for name in files if name.rpartition("/")[2] == PYPROJECT and (project.root / name).is_file()}
    return sorted(names, key=lambda name: (name.startswith("../"), name))


def plan(snapshot: Snapshot, options: Options) -> Plan:
    """Return a plan without steps: a table, and a problem for each file whose version cannot be read."""
    rows = tuple(_format_row(file) for file in snapshot.files)
    table = core.plan.Table(title="", columns=("file", "package", "version", "in the project", "from"), rows=rows)
    return core.plan.Plan(
        task="status",
        tables=() if options.json else (table,),
        notes=snapshot.notes,
        problems=tuple(_find_problems(snapshot)),
    )


def _format_row(file: FileVersion) -> tuple[str, ...]:
    """Return the cells of a file in the table."""
    in_project = "yes" if file.outside is None else file.outside
    if file.error is not None:
        version = "missing" if file.error.code == "version-missing" else "unknown"
        why = file.error.message.removeprefix(file.file).lstrip(": ")
        return (file.file, "-", version, in_project, why)
    if file.package is None:
        return (file.file, "-", "-", in_project, "no package (settings of tools only)")
    return (file.file, file.package, file.version or "dynamic", in_project, file.source)


def _find_problems(snapshot: Snapshot) -> Iterator[Problem]:
    """Yield a problem for each file whose version cannot be read, except in examples, templates and tests."""
    for file in snapshot.files:
        if file.error is not None and not file.is_sample:
            yield core.problems.Problem(code=file.error.code, message=file.error.message, fix=file.error.fix or "")


def document(snapshot: Snapshot) -> dict[str, Any]:
    """Return the files as a JSON object, with null for missing values."""
    return {
        "files": [
            {
                "file": file.file,
                "package": file.package,
                "version": file.version,
                "source": file.source or None,
                "in_project": file.outside is None,
                "outside": file.outside,
                "error": None if file.error is None else {"code": file.error.code, "message": file.error.message},
            }
            for file in snapshot.files
        ],
        "notes": list(snapshot.notes),
    }
