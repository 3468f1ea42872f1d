"""Set up a project: write a noxfile, a tasks file and the settings; existing files are never overwritten.

Writes noxfile.py and tasks.py if they are missing, adds a [tool.relnox] table to pyproject.toml if it has none,
and adds the directories of nox and of built archives to .gitignore. With --update, proposed settings are added to
an existing table; comments and order are kept. Nothing is committed.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator, Mapping
from typing import Any

import tomlkit

from relnox.commands import options_by_table
from relnox.commands.options import InitOptions as Options
from relnox.core import fixes, records, setting_proposals
from relnox.core.documents import load_toml, table_at
from relnox.core.planning.plan import Plan, PlanBuilder
from relnox.core.planning.step import Edit
from relnox.core.settings.config import Config
from relnox.core.text import join_names
from relnox.errors import Blocked
from relnox.project import Project
from relnox.steps.edit_files import EditFiles

NOXFILE = """\
# /// script
# dependencies = ["nox>=2025.2.9", "relnox"]
# ///
import nox
from relnox.sessions import *  # noqa: F403

if __name__ == "__main__":
    nox.main()
"""

_PYPROJECT = "pyproject.toml"
TASKS_PACKAGE = "tasks/__init__.py"
"""The tasks file of projects that have a package instead of tasks.py, which would hide it."""
TASKS_FILE = """\
from relnox.tasks import *  # noqa: F403
"""

_GITIGNORE_LINES = (b"/.nox/", b"/dist/")


def plan(options: Options, project: Project) -> Plan:
    """Plan to write missing files, and to add missing settings and lines to existing files."""
    new = PlanBuilder("init")
    settings = _propose_settings(project)
    files = project.read_files((_PYPROJECT, "noxfile.py", "tasks.py", TASKS_PACKAGE, ".gitignore"))
    edits = tuple(_file_edits(files, settings, options))
    contents = next((edit.after for edit in edits if edit.file == _PYPROJECT), b"")
    after = project.once(_project_with_settings, contents, project) if contents else project
    new.notes += project.workspace.warnings
    new.notes += setting_proposals.version_group_notes(project.detected_tag_formats, project.tags)
    new.notes += _init_notes(files, settings, options, after)
    if edits:
        new.add(EditFiles(edits=edits))
    else:
        new.notes.append("nothing to do: all files exist already")
    return new.build()


def _propose_settings(project: Project) -> dict[str, Any]:
    """Return the settings to add to `[tool.relnox]`, by key, that the project lacks.

    They are about versions, package directories, tag formats and the release branch.
    """
    config, workspace = project.config, project.workspace
    settings = setting_proposals.propose_settings(project.detected_tag_formats, project.tags)
    if "versions" not in settings and config.versions is None and len(project.version_groups) > 1:
        settings = {"versions": "independent", **settings}
    uv = table_at(load_toml(_pyproject_text(project.read_files((_PYPROJECT,)))), "tool", "uv")
    if len(workspace.packages) > 1 and not config.packages and "workspace" not in uv:
        every = (*workspace.packages, *project.unlisted_packages)
        patterns = setting_proposals.directory_globs(workspace.packages, every)
        settings["packages"] = [pattern for pattern in patterns if not pattern.startswith("!")]
        if excluded_patterns := [pattern[1:] for pattern in patterns if pattern.startswith("!")]:
            settings["exclude"] = [*config.exclude, *excluded_patterns]
    if not config.branch and project.state is not None and project.state.branch is not None:
        settings["branch"] = project.state.branch
    first = ("versions", "packages", "exclude", "branch")
    return {key: settings[key] for key in (*first, *settings) if key in settings}


def _project_with_settings(contents: bytes, project: Project) -> Project:
    """Return the project with the settings of a new pyproject.toml, given by its contents.

    Raises:
        Blocked: The settings would change the packages or their tags.
    """
    settings = load_toml(contents.decode("utf-8-sig"))["tool"]["relnox"]
    after = records.replace(project, config=Config.parse(settings, options_by_table(settings)))
    vars(after).update(state=project.state, remote=project.remote, tracked_file_states=project.tracked_file_states)
    clear = {
        name: own for name, own in project.tag_formats.items() if name not in project.detected_tag_formats.unclear
    }
    changed = [name for name, own in clear.items() if after.tag_formats.get(name) != own]
    changed += after.detected_tag_formats.unclear.keys() - project.detected_tag_formats.unclear.keys()
    changed += after.workspace.by_name.keys() ^ project.workspace.by_name.keys()
    if changed:
        raise Blocked(
            "tag-format-unknown",
            f"init found no settings that keep the form of the tags of {join_names(sorted(changed))}",
            fix='write it by hand: [tool.relnox] tag-format = "{name}-v{version}"',
        )
    return after


def _file_edits(files: Mapping[str, bytes], settings: Mapping[str, Any], options: Options) -> Iterator[Edit]:
    """Yield the edits that create or complete noxfile.py, tasks.py, pyproject.toml and .gitignore.

    `files` maps the paths of those that exist to their content; `settings` are the proposed ones for
    `[tool.relnox]`. Files that `options` exclude, and those that need no change, have no edit.
    """
    if options.nox and "noxfile.py" not in files:
        yield Edit(file="noxfile.py", before=None, after=NOXFILE.encode())
    if options.invoke and "tasks.py" not in files and TASKS_PACKAGE not in files:
        yield Edit(file="tasks.py", before=None, after=TASKS_FILE.encode())
    if (after := _pyproject_with_settings(files, settings, update=options.update)) is not None:
        yield Edit(file=_PYPROJECT, before=files.get(_PYPROJECT), after=after)
    if (after := _gitignore_with_missing_lines(files.get(".gitignore", b""))) is not None:
        yield Edit(file=".gitignore", before=files.get(".gitignore"), after=after)


def _pyproject_text(files: Mapping[str, bytes]) -> str:
    """Return the text of pyproject.toml in `files`, which maps paths to content; empty if it is missing.

    A byte-order mark is removed.
    """
    return files.get(_PYPROJECT, b"").decode("utf-8-sig")


def _pyproject_with_settings(
    files: Mapping[str, bytes], settings: Mapping[str, Any], *, update: bool
) -> bytes | None:
    """Return the new content of pyproject.toml with `settings` in `[tool.relnox]`, or None if it stays as it is.

    `files` maps the paths of existing files to their content. If the table exists, it changes only with `update`,
    which adds the settings to it.

    Raises:
        Blocked: The settings cannot be added without changing others.
    """
    text = _pyproject_text(files)
    existing = table_at(load_toml(text), "tool").get("relnox")
    if existing is not None and not (update and settings):
        return None
    if existing is None:
        newline = "\r\n" if "\r\n" in text else "\n"
        separator = "" if not text else newline if text.endswith("\n") else 2 * newline
        after = text + separator + (fixes.settings_to_toml(settings) + "\n").replace("\n", newline)
        expected = settings
    else:
        after, expected = _add_settings(text, settings)
    try:
        is_added = load_toml(after)["tool"]["relnox"] == expected
    except ValueError:  # tool is an inline table
        is_added = False
    if not is_added:
        config = None if existing is None else Config.parse(existing, options_by_table(existing))
        raise Blocked(
            "bump-not-possible",
            "[tool.relnox] in pyproject.toml cannot be added or updated without changing other settings",
            fix=f"add by hand:\n{fixes.settings_to_toml(settings, config)}",
        )
    bom = codecs.BOM_UTF8 if files.get(_PYPROJECT, b"").startswith(codecs.BOM_UTF8) else b""
    return bom + after.encode()


def _add_settings(text: str, settings: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return a pyproject.toml with `settings` added to its `[tool.relnox]`, and the new content of that table.

    `text` is its current text; the table must exist.
    """
    document = tomlkit.parse(text)
    table: Any = document["tool"]["relnox"]
    expected = load_toml(text)["tool"]["relnox"]
    for key, value in settings.items():
        if not isinstance(value, dict):
            table[key] = expected[key] = value
            continue
        if key not in table:
            table[key] = tomlkit.table(is_super_table=key == "groups")
        for name, item in value.items():
            table[key][name] = expected.setdefault(key, {})[name] = item
    return tomlkit.dumps(document), expected


def _gitignore_with_missing_lines(before: bytes) -> bytes | None:  # bytes, because git requires no encoding
    """Return .gitignore with the directories of nox and of built archives added, or None if it has both.

    `before` is its current content, empty if there is no such file.
    """
    existing_lines = {line.strip().strip(b"/") for line in before.splitlines()}
    missing = [line for line in _GITIGNORE_LINES if line.strip(b"/") not in existing_lines]
    if not missing:
        return None
    newline = b"\r\n" if b"\r\n" in before else b"\n"
    start = before if not before or before.endswith(b"\n") else before + newline
    return start + b"".join(line + newline for line in missing)


def _init_notes(
    files: Mapping[str, bytes], settings: Mapping[str, Any], options: Options, project: Project
) -> Iterator[str]:
    """Yield the notes of the plan of init: what it leaves unchanged, and the commands to run next.

    `files` maps existing files to their content before init; `project` has the settings that init writes.
    """
    if project.unlisted_packages:
        yield setting_proposals.describe_unlisted_packages(
            project.unlisted_packages, project.workspace, project.config
        )
    has_table = b"[tool.relnox" in files.get(_PYPROJECT, b"")
    missing = {key: value for key, value in settings.items() if key not in ("branch", "packages")}
    if has_table and missing and not options.update:
        added = fixes.settings_to_toml(missing, project.config)
        yield f"[tool.relnox] exists and is not changed; --update adds:\n{added}"
    yield from (problem.as_note for problem in project.tag_format_problems(project.workspace.packages))
    if options.nox and b"relnox" not in files.get("noxfile.py", b"relnox"):
        yield "noxfile.py exists and is not changed; add to it: from relnox.sessions import *  # noqa: F403"
    for name in ("tasks.py", TASKS_PACKAGE):
        if options.invoke and b"relnox" not in files.get(name, b"relnox"):
            yield f"{name} exists and is not changed; add to it: from relnox.tasks import *"
    package = f" --package {project.workspace.packages[0].name}" if len(project.version_groups) > 1 else ""
    if project.git is not None:
        yield "commit what init wrote before the next bump: git add --all && git commit"
    yield (
        f"next: {fixes.task_command('status')}, then {fixes.task_command('bump', '--part', 'patch')}{package} "
        f"--dry-run, then {fixes.task_command('rehearse')}"
    )
