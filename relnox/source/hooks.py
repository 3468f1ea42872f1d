"""Hooks of the project, as programs: their command, environment, time limit, and the files that they write."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import sys
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relnox.core.planning import fixes
from relnox.core.text import listing
from relnox.errors import Failed
from relnox.source import edits
from relnox.source.tools import planned_copy
from relnox.system import process
from relnox.system.environment_variables import clean_environment
from relnox.system.temporary_folders import TemporaryFolder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from relnox.core.settings.hook_settings import Hook
    from relnox.source.git import Git

__all__ = [
    "EVENT",
    "RUNNING",
    "check_archives",
    "check_position",
    "check_writes",
    "edits_in_copy",
    "hook_name",
    "naming_hook",
    "run",
    "written_files",
]

EVENT = "RELNOX_EVENT"
"""The variable with the path of the event."""
RUNNING = "RELNOX_RUNNING_HOOKS"
"""The variable with the events whose hooks are running, separated by commas."""
_REGULAR, _EXECUTABLE, _LINK = "100644", "100755", "120000"
"""Modes of files in git."""
_UMASK = 0o022
"""As in exports: backends copy the permissions of files."""
_CACHES = frozenset({"__pycache__", ".pytest_cache", ".mypy_cache", ".ruff_cache", ".nox"})


def run(  # noqa: PLR0913 - the surroundings of a program
    hook: Hook,
    event: Mapping[str, Any],
    root: Path,
    *,
    on_line: Callable[[str], None] | None = None,
    variables: Mapping[str, str] | None = None,
    is_copy: bool = False,
) -> None:
    """Run a hook to its end.

    Args:
        hook: The hook.
        event: The event, which it reads.
        root: The project's folder, or its copy.
        on_line: Called with each line of its output.
        variables: More environment variables.
        is_copy: Whether the folder is a copy, in which the hook must leave no environments of nox.

    Raises:
        Failed: It cannot be started, fails, or takes too long.
    """
    name = hook_name(hook, event)
    where = _settings_of(event)
    folder = root / hook.folder
    if not folder.is_dir():
        raise Failed(
            "hook-folder-missing", f"{name}: folder {hook.folder} does not exist", fix=f"correct folder in {where}"
        )
    with TemporaryFolder() as scratch:
        path = scratch.path / "event.json"
        path.write_text(json.dumps(event, indent=2), encoding="utf-8")
        environments = scratch.path / "nox" if is_copy else None
        environment = _environment(hook, event, path, variables or {})
        try:
            process.run(
                _argv(hook, folder, environment["PATH"], environments, name, where),
                cwd=folder,
                env=environment,
                timeout=hook.time_limit,
                on_line=on_line,
                umask=_UMASK if is_copy else -1,
                kill_leftovers=True,
            ).check(name)
        except Failed as error:
            if error.code == "program-timeout":
                raise Failed(
                    "hook-timeout",
                    f"{name} did not end within {hook.time_limit} s, and was killed",
                    fix=f"make it faster, or set a higher time-limit in {where}",
                ) from error
            if error.code == "program-not-runnable":
                raise Failed(
                    "hook-not-runnable",
                    f"{name}: {error.message}",
                    fix=f"make the program executable, or correct run in {where}",
                ) from error
            if error.code == "program-failed":
                raise Failed(
                    "hook-failed",
                    error.message,
                    fix=f"correct what it reports, or its settings in {where}; then rerun the command",
                ) from error
            if error.code == "program-output-too-long":
                raise Failed(
                    "hook-output-too-long",
                    f"{name}: {error.message}",
                    fix=f"let it print less, or into a file: run in {where}",
                ) from error
            raise


def hook_name(hook: Hook, event: Mapping[str, Any]) -> str:
    """Return how messages name a hook."""
    return f"{event['event']} hook ({hook.command})"


def _settings_of(event: Mapping[str, Any]) -> str:
    return f"[[tool.relnox.hooks.{event['event']}]]"


def _environment(hook: Hook, event: Mapping[str, Any], path: Path, variables: Mapping[str, str]) -> dict[str, str]:
    running = [*filter(None, os.environ.get(RUNNING, "").split(",")), str(event["event"])]
    search_path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    own = {EVENT: str(path), RUNNING: ",".join(running), "PYTHONDONTWRITEBYTECODE": "1", "PATH": search_path}
    return clean_environment(
        os.environ, own_indexes=True, passed=hook.pass_env, more={**variables, **own, **dict(hook.env)}
    )


def _argv(  # noqa: PLR0913, PLR0917 - a command, and where its program is looked for
    hook: Hook, folder: Path, search_path: str, environments: Path | None, name: str, where: str
) -> list[str]:
    if hook.session is not None:
        options = [] if environments is None else ["--envdir", str(environments)]
        return [sys.executable, "-m", "nox", *options, "-s", hook.session]
    if hook.task is not None:
        return [sys.executable, "-m", "invoke", hook.task]
    program = hook.run[0]
    has_folder = "/" in program or os.sep in program
    path = shutil.which(str(folder / program) if has_folder else program, path=search_path)
    if path is None:
        raise Failed(
            "hook-program-missing",
            f"{name}: {program} does not exist" if has_folder else f"{name}: {program} is not on PATH",
            fix=f"install {program}, or correct run in {where}",
        )
    return [path, *hook.run[1:]]


def written_files(git: Git, ignored: Iterable[str] = ()) -> dict[str, str | None]:
    """Return the files of a checkout that differ from its commit, with their SHA-256; None for a removed one.

    Ignored files are included if they match one of the globs; caches never are.
    """
    names = set(git.changed_files())
    if globs := tuple(ignored):
        ignored_files = git.entries("ls-files", "--others", "--ignored", "--exclude-standard")
        names |= {name for name in ignored_files if _matches(name, globs)}
    return {
        name: _digest(git.root / name)
        for name in sorted(names)
        if not set(name.split("/")) & _CACHES
        and ((git.root / name).is_symlink() or not (git.root / name).is_dir())
    }


def check_writes(hook: Hook, event: Mapping[str, Any], names: Iterable[str]) -> None:
    """Check that a hook wrote only files that it declares; names are relative to the root.

    Raises:
        Failed: It wrote others.
    """
    undeclared = sorted(name for name in names if not _matches(name, hook.writes))
    if undeclared:
        globs = f"writes = [{', '.join(json.dumps(name) for name in undeclared[:3])}]"
        raise Failed(
            "hook-wrote-undeclared-files",
            f"{hook_name(hook, event)} wrote files that its setting writes does not name: {listing(undeclared)}",
            fix=f"add them to {_settings_of(event)} {globs}, or let the hook write elsewhere",
        )


@contextmanager
def naming_hook(hook: Hook, event: Mapping[str, Any]) -> Iterator[None]:
    """Name the hook if git fails after it: it worked before.

    Raises:
        Failed: git cannot read the checkout any more.
    """
    try:
        yield
    except Failed as error:
        if error.code not in {"program-failed", "program-not-runnable"}:
            raise
        raise Failed(
            "hook-broke-checkout",
            f"{hook_name(hook, event)} left a checkout that git cannot read: {error.message}",
            fix=f"let the hook leave git's files and the folder as they are: {_settings_of(event)}",
        ) from error


def check_archives(hook: Hook, event: Mapping[str, Any], changed: Sequence[str]) -> None:
    """Check that a hook changed no archive: others were checked than would be published.

    Raises:
        Failed: It changed or removed some.
    """
    if changed:
        raise Failed(
            "archive-changed",
            f"{hook_name(hook, event)} changed or removed {listing(changed)}",
            fix=f"let the hook leave the archives as they are: {_settings_of(event)}; then rebuild: "
            f"{fixes.command('build-all', '--clean')}",
        )


def check_position(
    hook: Hook, event: Mapping[str, Any], git: Git, before: tuple[str | None, str | None], *, is_copy: bool = False
) -> None:
    """Check that a hook left the current commit and branch as they were.

    Otherwise files that it commits are released without being in the plan, or the release is on another branch.
    In a copy there is nothing to go back to.

    Raises:
        Failed: The commit or the branch is another one.
    """
    if git.position() == before:
        return
    commit, branch = before
    fix = f"let the hook make no commits and switch no branches: {_settings_of(event)}"
    if not is_copy:
        switch = branch.removeprefix("refs/heads/") if branch is not None else f"--detach {commit}"
        fix += f"; to go back: git switch {switch}, and if it committed: git reset --soft {commit}"
    raise Failed("hook-changed-commit", f"{hook_name(hook, event)} changed the current commit or branch", fix=fix)


def check_kinds(hook: Hook, event: Mapping[str, Any], git: Git, names: Iterable[str]) -> None:
    """Check that changed files are regular files with their old permissions: a plan has only their contents.

    Raises:
        Failed: A hook made links, or changed permissions.
    """
    names = list(names)
    modes = git.modes(names) if names else {}
    unsupported = [name for name in names if _kind(git.root / name) not in {None, modes.get(name, _REGULAR)}]
    if unsupported:
        raise Failed(
            "hook-wrote-unsupported-files",
            f"{hook_name(hook, event)} made links or changed permissions: {listing(unsupported)}",
            fix=f"let it write regular files, not executable ones: {_settings_of(event)}",
        )


def _kind(path: Path) -> str | None:
    """Return the mode of a file as git writes it; None if it does not exist, or the system has no modes."""
    try:
        mode = path.lstat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return None
    if not stat.S_ISREG(mode):
        return _LINK
    if os.name == "nt":
        return None
    return _EXECUTABLE if mode & stat.S_IXUSR else _REGULAR


def _matches(name: str, globs: Iterable[str]) -> bool:
    return any(fnmatchcase(name, pattern.removeprefix("./")) for pattern in globs)


def _digest(path: Path) -> str | None:
    try:
        is_target = path.is_symlink() and not path.is_file()  # reading a pipe or a device may never end
        return hashlib.sha256(os.fsencode(path.readlink()) if is_target else path.read_bytes()).hexdigest()
    except (FileNotFoundError, NotADirectoryError):
        return None


def edits_in_copy(
    hook: Hook,
    event: Mapping[str, Any],
    git: Git,
    planned: Mapping[str, bytes | None],
    on_line: Callable[[str], None] | None = None,
) -> dict[str, bytes | None]:
    """Run a hook in a copy of the checkout with the planned edits; return the files that it changes.

    Args:
        hook: The hook.
        event: The event, except for the folder.
        git: The checkout.
        planned: New contents of files, None for one that is removed.
        on_line: Called with each line of its output.

    Returns:
        Contents by path relative to the root, None for a file that it removes, without those that are as planned.

    Raises:
        Failed: It fails, commits, or writes links or files that it does not declare.
    """
    with planned_copy(git, planned) as clone:
        before, position = written_files(clone), clone.position()
        run(hook, {**event, "root": str(clone.root)}, clone.root, on_line=on_line, is_copy=True)
        with naming_hook(hook, event):
            check_position(hook, event, clone, position, is_copy=True)
            after = written_files(clone)
            changed = [name for name in {**before, **after} if before.get(name, "") != after.get(name, "")]
            if hook.writes:
                check_writes(hook, event, changed)
            check_kinds(hook, event, clone, changed)
        return {name: edits.read_content(clone.root / name) for name in sorted(changed)}
