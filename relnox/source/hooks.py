"""Run hooks of the project: their commands, environment variables and time limits."""

from __future__ import annotations

import json
import os
import shutil
import sys
from typing import TYPE_CHECKING, Any

from relnox.errors import Failed
from relnox.system import process
from relnox.system.environment_variables import clean_environment, search_path
from relnox.system.files import TemporaryDirectory

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from relnox.core.settings.hook_settings import Hook

EVENT_VARIABLE = "RELNOX_EVENT"
"""The environment variable with the path of the file that describes the event."""
RUNNING_HOOKS_VARIABLE = "RELNOX_RUNNING_HOOKS"
"""The environment variable with the events whose hooks are running, separated by commas."""
_UMASK = 0o022
"""The umask of hooks in copies, as in exports: backends copy the permissions of files into archives."""


def run_hook(  # noqa: PLR0913 - the surroundings of a program
    hook: Hook,
    event: Mapping[str, Any],
    root: Path,
    *,
    on_line: Callable[[str], None] | None = None,
    variables: Mapping[str, str] | None = None,
    is_copy: bool = False,
) -> None:
    """Run a hook and wait until it ends.

    Args:
        hook: The hook.
        event: The description of the event, which is passed to the hook as a JSON file.
        root: The project's directory, or a temporary copy of it.
        on_line: Called with each line of the hook's output.
        variables: Additional environment variables.
        is_copy: Whether `root` is a copy, in which nox must not create its environments.

    Raises:
        Failed: The hook cannot be started, fails, or exceeds its time limit.
    """
    name = hook_name(hook, event)
    where = settings_table(event)
    directory = root / hook.directory
    if not directory.is_dir():
        raise Failed(
            "hook-directory-missing",
            f"{name}: directory {hook.directory} does not exist",
            fix=f"correct the key `directory` in {where}",
        )
    with TemporaryDirectory() as scratch:
        path = scratch.path / "event.json"
        path.write_text(json.dumps(event, indent=2), encoding="utf-8")
        environments = scratch.path / "nox" if is_copy else None
        environment = _hook_variables(hook, event, path, variables or {})
        try:
            process.run(
                _hook_command(hook, directory, environment["PATH"], environments, name, where),
                cwd=directory,
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
                    f"{name} timed out after {hook.time_limit} s and was killed",
                    fix=f"raise `time-limit` in {where}",
                ) from error
            if error.code == "program-not-runnable":
                raise Failed(
                    "hook-not-runnable",
                    f"{name}: {error.message}",
                    fix=f"make the program executable, or correct the key `run` in {where}",
                ) from error
            if error.code == "program-failed":
                raise Failed(
                    "hook-failed",
                    error.message,
                    fix=f"fix what the hook reports, or its settings in {where}; then rerun the command",
                ) from error
            if error.code == "program-output-too-long":
                raise Failed(
                    "hook-output-too-long",
                    f"{name}: {error.message}",
                    fix="make the hook print less, or redirect its output to a file: change the key "
                    f"`run` in {where}",
                ) from error
            raise


def hook_name(hook: Hook, event: Mapping[str, Any]) -> str:
    """Return the name of a hook for messages, such as `before-build hook (COMMAND)`."""
    return f"{event['event']} hook ({hook.command})"


def settings_table(event: Mapping[str, Any]) -> str:
    """Return the settings table of an event's hooks for messages, such as `[[tool.relnox.hooks.before-build]]`."""
    return f"[[tool.relnox.hooks.{event['event']}]]"


def _hook_variables(
    hook: Hook, event: Mapping[str, Any], path: Path, variables: Mapping[str, str]
) -> dict[str, str]:
    running = [*filter(None, os.environ.get(RUNNING_HOOKS_VARIABLE, "").split(",")), str(event["event"])]
    own = {
        EVENT_VARIABLE: str(path),
        RUNNING_HOOKS_VARIABLE: ",".join(running),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PATH": search_path(os.environ),
    }
    return clean_environment(
        os.environ, own_indexes=True, passed=hook.pass_env, more={**variables, **own, **dict(hook.env)}
    )


def _hook_command(  # noqa: PLR0913, PLR0917 - a command, and where its program is looked for
    hook: Hook, directory: Path, path: str, environments: Path | None, name: str, where: str
) -> list[str]:
    if hook.session is not None:
        options = [] if environments is None else ["--envdir", str(environments)]
        return [sys.executable, "-m", "nox", *options, "-s", hook.session]
    if hook.task is not None:
        return [sys.executable, "-m", "invoke", hook.task]
    program = hook.run[0]
    has_directory = "/" in program or os.sep in program
    executable = shutil.which(str(directory / program) if has_directory else program, path=path)
    if executable is None:
        raise Failed(
            "hook-program-missing",
            f"{name}: {program} does not exist" if has_directory else f"{name}: {program} is not on PATH",
            fix=f"install {program}, or correct the key `run` in {where}",
        )
    return [executable, *hook.run[1:]]
