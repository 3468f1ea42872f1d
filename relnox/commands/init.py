"""Put a noxfile, a tasks file and the settings into a project; what is there is never overwritten.

Writes noxfile.py and tasks.py where there is none, adds the [tool.relnox] table to pyproject.toml where it is
missing, and what belongs there to .gitignore. Nothing is committed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from relnox import core
from relnox.core.options import CommonOptions, option
from relnox.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from relnox.commands.project import Project
    from relnox.core.events import Outcome
    from relnox.core.plan import Plan, Table
    from relnox.core.steps import Edit
    from relnox.core.workspace import Workspace

__all__ = ["NOXFILE", "TASKS_FILE", "Options", "Snapshot", "conclude", "observe", "plan"]

NOXFILE = """\
# /// script
# dependencies = ["nox>=2025.2.9", "relnox"]
# ///
import nox
from relnox.sessions import (
    build_all,
    collect,
    publish,
    rehearse,
    status,
    testpypi,
    verify_install,
    version_bump,
)

__all__ = [
    "build_all",
    "collect",
    "publish",
    "rehearse",
    "status",
    "testpypi",
    "verify_install",
    "version_bump",
]

if __name__ == "__main__":
    nox.main()
"""

TASKS_FILE = """\
from relnox.tasks import *  # noqa: F403
"""

_IGNORED = (b"/.nox/", b"/dist/")


class Options(CommonOptions):
    """Options of `init`."""

    nox: bool = option(True, "Write noxfile.py.")
    invoke: bool = option(True, "Write tasks.py.")


class Snapshot(NamedTuple):
    """What is in the project already; None for a file that is not there."""

    workspace: Workspace
    pyproject: bytes | None
    noxfile: bytes | None
    tasks: bytes | None
    gitignore: bytes | None
    branch: str | None


def observe(options: Options, project: Project) -> Snapshot:
    """Look at the files that would be written."""
    del options

    def content(name: str) -> bytes | None:
        path = project.root / name
        return path.read_bytes() if path.is_file() else None

    return Snapshot(
        workspace=project.workspace,
        pyproject=content("pyproject.toml"),
        noxfile=content("noxfile.py"),
        tasks=content("tasks.py"),
        gitignore=content(".gitignore"),
        branch=project.state.branch if project.state is not None else None,
    )


def plan(snapshot: Snapshot, options: Options) -> Plan:
    """The files that are missing, and the lines that are missing in the others."""
    edits = tuple(_edits(snapshot, options))
    steps = (core.steps.EditFiles(edits=edits),) if edits else ()
    notes = (*snapshot.workspace.warnings, *_notes(snapshot, options))
    return core.plan.Plan(
        task="init", steps=steps, notes=notes if edits else (*notes, "everything is there already")
    )


def conclude(outcome: Outcome, folder: Path) -> tuple[Table, ...]:
    """The steps say it all."""
    del outcome, folder
    return ()


def _edits(snapshot: Snapshot, options: Options) -> Iterator[Edit]:
    if options.nox and snapshot.noxfile is None:
        yield core.steps.Edit(file="noxfile.py", before=None, after=NOXFILE.encode())
    if options.invoke and snapshot.tasks is None:
        yield core.steps.Edit(file="tasks.py", before=None, after=TASKS_FILE.encode())
    if (after := _with_settings(snapshot)) is not None:
        yield core.steps.Edit(file="pyproject.toml", before=snapshot.pyproject, after=after)
    if (after := _with_ignored(snapshot.gitignore)) is not None:
        yield core.steps.Edit(file=".gitignore", before=snapshot.gitignore, after=after)


def _with_settings(snapshot: Snapshot) -> bytes | None:
    """pyproject.toml with a [tool.relnox] table at its end; None where it has one."""
    import tomllib

    import tomlkit

    from relnox.source.pyproject import table_at

    text = (snapshot.pyproject or b"").decode("utf-8-sig")
    tool = table_at(tomllib.loads(text), "tool")
    if "relnox" in tool:
        return None
    settings = tomlkit.table()
    if len(snapshot.workspace.packages) > 1:
        versions = {package.version for package in snapshot.workspace.packages}
        settings["versions"] = "lockstep" if len(versions) == 1 else "independent"
        if snapshot.pyproject is None or not table_at(tool, "uv").get("workspace"):
            settings["packages"] = [package.folder for package in snapshot.workspace.packages]
    if snapshot.branch is not None:
        settings["branch"] = snapshot.branch
    written = tomlkit.dumps({"tool": {"relnox": settings}})
    newline = "\r\n" if "\r\n" in text else "\n"
    between = "" if not text else newline if text.endswith("\n") else 2 * newline
    mark = b"\xef\xbb\xbf" if (snapshot.pyproject or b"").startswith(b"\xef\xbb\xbf") else b""
    after = text + between + written.replace("\n", newline)
    try:
        tomllib.loads(after)
    except ValueError:
        raise Refused(
            "pyproject.toml cannot be continued with [tool.relnox] (tool is an inline table or no table)",
            hint=f"add to its tool table: {written.removeprefix('[tool.relnox]').strip() or 'relnox = {}'}",
        ) from None
    return mark + after.encode()


def _with_ignored(content: bytes | None) -> bytes | None:
    """.gitignore with the lines that are missing; None where none is."""
    before = content or b""  # git asks for no encoding, and so do we
    present = {line.strip().strip(b"/") for line in before.splitlines()}
    missing = [line for line in _IGNORED if line.strip(b"/") not in present]
    if not missing:
        return None
    newline = b"\r\n" if b"\r\n" in before else b"\n"
    start = before if not before or before.endswith(b"\n") else before + newline
    return start + b"".join(line + newline for line in missing)


def _notes(snapshot: Snapshot, options: Options) -> Iterator[str]:
    if options.nox and snapshot.noxfile is not None and b"relnox" not in snapshot.noxfile:
        yield (
            "noxfile.py is there and stays as it is; add to it: "
            "from relnox.sessions import build_all, publish, testpypi, verify_install, version_bump "
            "(and name them in __all__, or a linter takes the import away)"
        )
    if options.invoke and snapshot.tasks is not None and b"relnox" not in snapshot.tasks:
        yield "tasks.py is there and stays as it is; add to it: from relnox.tasks import *"
