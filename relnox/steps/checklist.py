"""What `check` runs or fixes: lock files, and files that git should not track."""

from __future__ import annotations

import posixpath
import shutil
from typing import Literal

from relnox.building import environments
from relnox.core import lock_hashes
from relnox.core.planning.step import Step
from relnox.core.text import join_names
from relnox.errors import Blocked, Failed
from relnox.steps.build_environments import BuildingServices
from relnox.steps.run import Run
from relnox.system import process
from relnox.system.files import read_project_file

_LOCK_TIMEOUT = 300.0
_STALE = 1
"""The exit status of `uv lock --check` for a lock file that would change."""


class LockFile(Step, key="lock {self.file}"):
    """Check that a lock file matches its pyproject.toml; with `writes`, let its tool update it."""

    runs_project_code = True
    file: str
    tool: Literal["uv", "poetry", "pdm"]
    writes: bool = False

    @property
    def title(self) -> str:
        return f"update {self.file}: {self.tool} lock" if self.writes else f"compare {self.file}: uv lock --check"

    def done(self, run: Run) -> str | None:
        """Return why nothing is left to do if the lock file is current, else None."""
        return f"{self.file} is current" if self._is_current(run) else None

    def apply(self, run: Run) -> None:
        if not self.writes:
            raise outdated_lock_error(self.file, self.tool)
        self._run_tool(run).check(f"{self.tool} lock")

    def _is_current(self, run: Run) -> bool:
        if self.tool == "uv":
            completed = self._run_tool(run, "--check")
            if completed.returncode != _STALE:
                completed.check("uv lock --check")
            return completed.returncode == 0
        pyproject = posixpath.join(posixpath.dirname(self.file), "pyproject.toml")
        texts = (read_project_file(run.root, file).decode("utf-8", "replace") for file in (self.file, pyproject))
        return lock_hashes.is_current(posixpath.basename(self.file), *texts) is True

    def _run_tool(self, run: Run, *options: str) -> process.Completed:
        program = str(environments.find_uv()) if self.tool == "uv" else shutil.which(self.tool)
        if program is None:
            raise Failed("tool-not-found", f"{self.tool} is not installed", f"install {self.tool}")
        variables = run.service(BuildingServices).installer_variables()
        directory = run.root / posixpath.dirname(self.file)
        return process.run([program, "lock", *options], cwd=directory, env=variables, timeout=_LOCK_TIMEOUT)


def outdated_lock_error(file: str, tool: str) -> Blocked:
    """Return the problem that a lock file does not match its pyproject.toml."""
    directory = posixpath.dirname(file)
    command = f"cd {directory} && {tool} lock" if directory else f"{tool} lock"
    return Blocked("lock-outdated", f"{file} does not match pyproject.toml (which changed since)", command)


class UntrackFiles(Step, key="untrack"):
    """Remove files from git's index; they stay on the disk, and in the history."""

    exclusive = True
    files: tuple[str, ...]

    @property
    def title(self) -> str:
        return f"git rm --cached {join_names(self.files)}"

    def done(self, run: Run) -> str | None:
        """Return why nothing is left to do if git tracks none of the files, else None."""
        tracked = run.checkout.read_entries("ls-files", "--", *self.files)
        return None if tracked else "git does not track them; revoke the secrets: the history has them"

    def apply(self, run: Run) -> None:
        run.checkout.run("rm", "--cached", "--quiet", "--", *self.files).check("git rm --cached")
