"""Items about files of the repository: secrets, lock files, imports that linters remove."""

from __future__ import annotations

import ast
import posixpath
import re
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Any, Literal, NamedTuple

from relnox.building.checks.files import MAX_INSPECTED_BYTES, find_secrets, is_test_or_documentation
from relnox.commands.check.context import CheckContext, Finding, NotCheckable
from relnox.core import fixes, lock_hashes
from relnox.core.documents import parse_toml, strings_in, table_at
from relnox.core.planning.step import Edit
from relnox.core.text import join_names
from relnox.errors import Blocked
from relnox.project import Project
from relnox.steps.git import UntrackFiles
from relnox.steps.locks import LockFile, outdated_lock_error

_LOCK_TOOLS: Mapping[str, Literal["poetry", "pdm"]] = {"poetry.lock": "poetry", "pdm.lock": "pdm"}
_IMPORTING_FILES = ("noxfile.py", "tasks.py", "tasks/__init__.py")
_NOQA = re.compile(r"#\s*noqa(?::\s*(?P<codes>[A-Z0-9, ]+))?", re.IGNORECASE)
_FILE_NOQA = re.compile(
    r"^\s*#\s*(?:ruff|flake8):\s*noqa(?::\s*(?P<codes>[A-Z0-9, ]+))?\s*$", re.IGNORECASE | re.MULTILINE
)
_UNUSED_IMPORT = "F401"


# --- secrets -----------------------------------------------------------------------------------------------------


class TrackedSecret(NamedTuple):
    """A tracked file that contains a secret or is named like one.

    Attributes:
        clause: What is wrong with it, such as `contains a private key`.
        is_certain: Whether it is certainly a secret; otherwise, it is only a warning.
    """

    file: str
    clause: str
    is_certain: bool


def check_secrets(context: CheckContext) -> Iterator[Finding]:
    """Yield a problem for each tracked file with a secret.

    With `--fix`, files that are named like secrets are no problems: a step untracks them, and an edit adds them to
    .gitignore.
    """
    project, _ = context.project, context.git
    tracked_secrets = project.once(
        _find_tracked_secrets, project.root, tuple(project.tracked_file_states), project.config.fake_secrets
    )
    removable = [secret.file for secret in tracked_secrets if secret.clause.endswith("(according to its name)")]
    if context.options.fix and removable:
        yield UntrackFiles(files=tuple(removable))
        yield _gitignore_edit(removable, project)
    for name, what, is_certain in tracked_secrets:
        if context.options.fix and name in removable:
            continue
        fix = f"remove it from {name}, revoke it, and commit"
        if name in removable:
            command = fixes.task_command("check", "--only", "secrets", "--fix")
            fix = f"{command}, and commit it; then revoke the secret"
        yield Blocked(
            "secret-tracked",
            f"git tracks {name}, which {what}",
            f'{fix}; or, if it is not a secret: [tool.relnox] fake-secrets = ["{name}"]',
            level="error" if is_certain else "warning",
        )


def _find_tracked_secrets(
    root: Path, names: tuple[str, ...], fake_secrets: tuple[str, ...]
) -> tuple[TrackedSecret, ...]:
    """Return the files with secrets, sorted, of the tracked files `names`.

    Files of tests and documentation, symbolic links, and files that one of the patterns `fake_secrets` matches are
    left out.
    """
    tracked_secrets = []
    for name in sorted(names):
        path = PurePosixPath("project", name)  # as in an sdist
        if is_test_or_documentation(path) or any(map(path.match, fake_secrets)) or (root / name).is_symlink():
            continue
        try:
            with (root / name).open("rb") as file:
                content = file.read(MAX_INSPECTED_BYTES)
        except OSError:  # a submodule, or deleted in the checkout
            continue
        kinds = dict(find_secrets(path, content))
        if kinds:
            what = max(kinds, key=lambda kind: kinds[kind])
            tracked_secrets.append(TrackedSecret(name, what, kinds[what]))
    return tuple(tracked_secrets)


def _gitignore_edit(names: list[str], project: Project) -> Edit:
    """Return the edit that adds these names to .gitignore, also to a missing one."""
    before = project.read_files([".gitignore"]).get(".gitignore")
    text = before or b""
    start = text if not text or text.endswith(b"\n") else text + b"\n"
    after = start + b"".join(f"/{name}\n".encode() for name in names)
    return Edit(file=".gitignore", before=before, after=after)


# --- lock files --------------------------------------------------------------------------------------------------


def check_lock_files(context: CheckContext) -> Iterator[Finding]:
    """Yield a step that checks each uv.lock, and a problem for each outdated lock file of Poetry or PDM.

    With `--fix`, steps update them instead. At the end, `NotCheckable` is raised if a lock file of Poetry or PDM
    has no hash that can be compared.
    """
    project, writes, unknown = context.project, context.options.fix, []
    for file in project.version_literals.workspace.lock_files:
        if posixpath.basename(file) == "uv.lock":
            yield LockFile(file=file, tool="uv", writes=writes)
    for file in project.poetry_and_pdm_locks:
        name, directory = posixpath.basename(file), posixpath.dirname(file)
        pyproject = posixpath.join(directory, "pyproject.toml")
        texts = {
            name: content.decode("utf-8", "replace")
            for name, content in project.read_files([file, pyproject]).items()
        }
        is_current = lock_hashes.is_lock_current(name, texts.get(file, ""), texts.get(pyproject, ""))
        if is_current is None:
            unknown.append(file)
        elif not is_current and writes:
            yield LockFile(file=file, tool=_LOCK_TOOLS[name], writes=True)
        elif not is_current:
            yield outdated_lock_error(file, _LOCK_TOOLS[name])
    if unknown:
        raise NotCheckable(f"{join_names(unknown)} has no hash that can be compared")


# --- imports -----------------------------------------------------------------------------------------------------


def check_noxfile_imports(context: CheckContext) -> Iterator[Finding]:
    """Yield a problem for imports of relnox that `ruff --fix` would remove from noxfile.py or tasks.py.

    With `--fix`, yield edits that keep the imports instead.
    """
    project = context.project
    contents = project.read_files((*_IMPORTING_FILES, "pyproject.toml", "ruff.toml", ".ruff.toml"))
    settings = _ruff_settings(contents)
    for file in _IMPORTING_FILES:
        if file not in contents or _ruff_keeps_unused_imports(file, settings):
            continue
        text = contents[file].decode("utf-8", "replace")
        unused_names = dict(_unused_imports_from_relnox(text))
        if not unused_names:
            continue
        if context.options.fix:
            lines = text.split("\n")
            lines.insert(min(unused_names) - 1, f"# ruff: noqa: {_UNUSED_IMPORT}")
            yield Edit(file=file, before=contents[file], after="\n".join(lines).encode())
            continue
        names = [name for of_line in unused_names.values() for name in of_line]
        yield Blocked(
            "import-unused",
            f"ruff --fix would remove {join_names(names)} from {file} (F401: no name of the file uses them)",
            fixes.task_command("check", "--only", "noxfile-imports", "--fix"),
        )


def _unused_imports_from_relnox(text: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the line number and the unused names of each import from relnox in the text of a module.

    Imports without unused names, or with a `noqa` comment that keeps them, are left out. There are none if the
    module cannot be parsed.
    """
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # which nox and invoke report
        return
    if any(_allows_unused_imports(match) for match in _FILE_NOQA.finditer(text)):
        return
    lines = text.split("\n")
    used_names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    for node in tree.body:
        is_export = isinstance(node, ast.Assign | ast.AugAssign | ast.AnnAssign) and "__all__" in ast.unparse(node)
        if is_export:
            used_names |= {
                item.value
                for item in ast.walk(node)
                if isinstance(item, ast.Constant) and isinstance(item.value, str)
            }
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "relnox":
            import_lines = [lines[number - 1] for number in (node.lineno, node.end_lineno or node.lineno)]
            if any((match := _NOQA.search(line)) and _allows_unused_imports(match) for line in import_lines):
                continue
            names = [
                alias.name
                for alias in node.names
                if alias.name not in ("*", alias.asname) and (alias.asname or alias.name) not in used_names
            ]
            if names:
                yield node.lineno, names


def _allows_unused_imports(match: re.Match[str]) -> bool:
    """Return whether a `noqa` comment lists no code, or the one of unused imports."""
    return match["codes"] is None or _UNUSED_IMPORT in match["codes"].upper()


def _ruff_settings(contents: Mapping[str, bytes]) -> list[Mapping[str, Any]]:
    """Return the tables with ruff's settings, from pyproject.toml, ruff.toml and .ruff.toml.

    `contents` are those of files by name; a file that is missing or invalid counts as empty.
    """
    tables = []
    for file in ("pyproject.toml", "ruff.toml", ".ruff.toml"):
        try:
            document = parse_toml(contents.get(file, b"").decode())
        except (ValueError, RecursionError):
            continue
        ruff = table_at(document, "tool", "ruff") if file == "pyproject.toml" else document
        tables += [ruff, table_at(ruff, "lint")]
    return tables


def _ruff_keeps_unused_imports(file: str, settings: list[Mapping[str, Any]]) -> bool:
    """Return whether ruff's settings exclude a file, or keep its unused imports."""
    for table in settings:
        codes = [code for key in ("ignore", "extend-ignore", "unfixable") for code in strings_in(table.get(key))]
        for key in ("per-file-ignores", "extend-per-file-ignores"):
            for pattern, pattern_codes in table_at(table, key).items():
                codes += (
                    strings_in(pattern_codes)
                    if fnmatchcase(file, pattern) or fnmatchcase(Path(file).name, pattern)
                    else []
                )
        excluded_patterns = [name for key in ("exclude", "extend-exclude") for name in strings_in(table.get(key))]
        if any(fnmatchcase(file, pattern) for pattern in excluded_patterns):
            return True
        if any(_UNUSED_IMPORT.startswith(code) or code == "ALL" for code in codes if code):
            return True
    return False
