"""Run hooks of the project, and look at what they leave in the checkout."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from typing import TYPE_CHECKING, Any

from relnox.core.text import join_names
from relnox.errors import Failed
from relnox.source.copies import copy_of
from relnox.system import files, process
from relnox.system.environment_variables import search_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from relnox.core.settings.hook_settings import Hook
    from relnox.source.git import Git

EVENT_VARIABLE = "RELNOX_EVENT"
"""The environment variable with the path of the file that describes the event."""
_UMASK = 0o022
"""The umask of hooks in copies, as in exports: backends copy the permissions of files into archives."""


def run_hook(  # noqa: PLR0913 - the surroundings of a program
    hook: Hook,
    event: Mapping[str, Any],
    root: Path,
    *,
    variables: Mapping[str, str],
    on_line: Callable[[str], None] | None = None,
    is_copy: bool = False,
) -> None:
    """Run a hook and wait until it ends.

    Args:
        hook: The hook.
        event: The description of the event, which is passed to the hook as a JSON file.
        root: The project's directory, or a temporary copy of it.
        variables: The environment variables of programs of the project.
        on_line: Called with each line of the hook's output.
        is_copy: Whether `root` is a copy.

    Raises:
        Failed: The hook cannot be started, fails, or exceeds its time limit.
    """
    name = _name(hook, event)
    with files.TemporaryDirectory() as scratch:
        path = scratch.path / "event.json"
        path.write_text(json.dumps(event, indent=2), encoding="utf-8")
        own = {EVENT_VARIABLE: str(path), "PYTHONDONTWRITEBYTECODE": "1", "PATH": search_path(os.environ)}
        program = str(root / hook.run[0]) if "/" in hook.run[0] or os.sep in hook.run[0] else hook.run[0]
        try:
            process.run(
                [shutil.which(program, path=own["PATH"]) or program, *hook.run[1:]],
                cwd=root,
                env={**variables, **own, **dict(hook.env)},
                timeout=hook.time_limit,
                on_line=on_line,
                umask=_UMASK if is_copy else -1,
                kill_leftovers=True,
            ).check(name)
        except Failed as error:
            raise Failed(
                "hook-failed",
                error.message if error.message.startswith(name) else f"{name}: {error.message}",
                fix="fix what the hook reports, or its command and time limit in "
                f"[[tool.relnox.hooks.{event['event']}]]; then rerun the command",
            ) from error


@contextlib.contextmanager
def unchanged_checkout(hook: Hook, event: Mapping[str, Any], git: Git | None) -> Iterator[None]:
    """Check that a hook that runs in the `with` block leaves nothing behind that git would commit.

    Raises:
        Failed: The current commit or branch differs from before, or git reports other changed files.
    """
    if git is None:
        yield
        return
    head, changed_files = git.head_and_branch(), set(git.changed_files())
    yield
    _check_head(hook, event, git, head)
    if left := sorted(changed_files ^ set(git.changed_files())):
        raise _left_behind(hook, event, join_names(left))


def run_hook_in_copy(  # noqa: PLR0913 - as above
    hook: Hook,
    event: Mapping[str, Any],
    git: Git,
    contents: Mapping[str, bytes | None],
    *,
    variables: Mapping[str, str],
    on_line: Callable[[str], None] | None = None,
) -> dict[str, bytes | None]:
    """Run a hook in a temporary copy of the checkout with the planned edits, and return the files that it changes.

    The planned edits (`contents`) and the result are the new contents of files by path relative to the root, or
    None for a removed file. The event that the hook gets has the directory of the copy as its `root`.

    Raises:
        Failed: The hook fails, makes commits, or leaves anything but regular files with unchanged permissions.
    """
    with files.TemporaryDirectory() as scratch:
        clone = copy_of(git, git.head() or "HEAD", scratch.path, contents)
        head = clone.head_and_branch()
        event = {**event, "root": str(clone.root)}
        run_hook(hook, event, clone.root, variables=variables, on_line=on_line, is_copy=True)
        _check_head(hook, event, clone, head)
        names = sorted({*clone.changed_files(), *contents})
        modes = clone.run("diff", "--summary", "HEAD", stderr=False).output.splitlines()
        unsupported = [
            *(name for name in names if (clone.root / name).is_symlink() or (clone.root / name).is_dir()),
            *(line.split(maxsplit=5)[5] for line in modes if line.startswith(" mode change ")),
        ]
        if unsupported:
            raise _left_behind(hook, event, f"links, repositories or other permissions: {join_names(unsupported)}")
        after = {
            name: files.read_project_file(clone.root, name) if (clone.root / name).is_file() else None
            for name in names
        }
    return {name: content for name, content in after.items() if name not in contents or contents[name] != content}


def _name(hook: Hook, event: Mapping[str, Any]) -> str:
    """Return the name of a hook for messages, such as `before-build hook (COMMAND)`."""
    return f"{event['event']} hook ({hook.command})"


def _check_head(hook: Hook, event: Mapping[str, Any], git: Git, before: tuple[str | None, str | None]) -> None:
    if git.head_and_branch() != before:
        raise _left_behind(hook, event, "another current commit or branch")


def _left_behind(hook: Hook, event: Mapping[str, Any], what: str) -> Failed:
    return Failed(
        "hook-failed",
        f"{_name(hook, event)} left changes in the checkout: {what}",
        fix=f"change the hook in [[tool.relnox.hooks.{event['event']}]], so that it writes elsewhere or into "
        "files that git ignores; look at what it left: git status",
    )
