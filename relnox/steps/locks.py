"""Check and update lock files, and lock the requirements of CI jobs."""

from __future__ import annotations

import posixpath
import re
import shutil
from typing import Literal

from relnox.building.environments import INDEX_FIX, choose_installer_fix, find_uv
from relnox.core import fixes, lock_hashes
from relnox.core.planning.step import Step
from relnox.core.text import format_count
from relnox.errors import Blocked, Failed
from relnox.steps.build_environments import BuildingServices
from relnox.steps.run import Run
from relnox.system import process
from relnox.system.files import read_project_file, replace_file, temporary_directory

_LOCK_TIMEOUT = 300.0
_OUTDATED = 1
"""The exit status of `uv lock --check` for a lock file that would change."""
_COMPILE_OPTIONS = ("--universal", "--python-version", "3.11", "--generate-hashes", "--only-binary", ":all:")
"""For all platforms and Pythons that relnox runs on; nothing is built to read its metadata."""
_QUIET_OPTIONS = ("--quiet", "--no-header", "--no-annotate", "--no-emit-index-url", "--no-emit-find-links")


class LockFile(Step, key="lock {self.file}"):
    """Check that a lock file matches the pyproject.toml beside it; if not, update it or, without `writes`, fail.

    Attributes:
        file: The lock file, relative to the root.
        tool: The tool whose command `lock` writes the file.
    """

    runs_project_code = True
    file: str
    tool: Literal["uv", "poetry", "pdm"]
    writes: bool = False

    @property
    def title(self) -> str:
        return f"update {self.file}: {self.tool} lock" if self.writes else f"compare {self.file}: uv lock --check"

    def reason_to_skip(self, run: Run) -> str | None:
        return f"{self.file} is current" if self._is_current(run) else None

    def apply(self, run: Run) -> None:
        if not self.writes:
            raise outdated_lock_error(self.file, self.tool)
        self._run_lock_command(run).check(f"{self.tool} lock")

    def _is_current(self, run: Run) -> bool:
        """Return whether the lock file matches its pyproject.toml, by the hash in it or for uv by running uv.

        Raises:
            Failed: uv fails.
        """
        if self.tool == "uv":
            completed = self._run_lock_command(run, "--check")
            if completed.returncode != _OUTDATED:
                completed.check("uv lock --check")
            return completed.returncode == 0
        pyproject = posixpath.join(posixpath.dirname(self.file), "pyproject.toml")
        texts = (read_project_file(run.root, file).decode("utf-8", "replace") for file in (self.file, pyproject))
        return lock_hashes.is_lock_current(posixpath.basename(self.file), *texts) is True

    def _run_lock_command(self, run: Run, *options: str) -> process.CompletedProgram:
        """Run the tool's `lock` command with options; raise `Failed` if the tool is not installed."""
        program = str(find_uv()) if self.tool == "uv" else shutil.which(self.tool)
        if program is None:
            message = f"{self.file} cannot be locked ({self.tool} is not on PATH)"
            fix = f"{fixes.install_command(self.tool)}; or add its directory to PATH"
            raise Failed("tool-not-found", message, fix)
        variables = run.service(BuildingServices).installer_variables()
        directory = run.root / posixpath.dirname(self.file)
        return process.run([program, "lock", *options], cwd=directory, env=variables, timeout=_LOCK_TIMEOUT)


def outdated_lock_error(file: str, tool: str) -> Blocked:
    """Return the error for a lock file that does not match its pyproject.toml; the fix is to run `tool`."""
    directory = posixpath.dirname(file)
    command = f"cd {directory} && {tool} lock" if directory else f"{tool} lock"
    return Blocked("lock-outdated", f"{file} does not match pyproject.toml (which changed since)", command)


class LockRequirements(Step, key="lock {self.file}", title="lock what jobs install in {self.file}"):
    """Write a requirements file with pinned versions and hashes, without the address of any index.

    Attributes:
        file: The path of the file, relative to the root.
        purpose: The text that says, in the first line of the file, which jobs install it.
        requirements: The requirements (PEP 508) to lock, with everything that they require.
        without: The packages to leave out, with what only they require.
    """

    exclusive = True
    file: str
    purpose: str
    requirements: tuple[str, ...]
    without: tuple[str, ...] = ()

    @property
    def _header_comment(self) -> str:
        lines = [f"{self.purpose}. Written by relnox ci, from:", *self.requirements]
        lines += [f"without {', '.join(self.without)}"] if self.without else []
        return "".join(f"# {line}\n" for line in lines)

    def reason_to_skip(self, run: Run) -> str | None:
        """Return a reason if the first lines of the file name this purpose and these requirements, else None.

        The versions in such a file are not compared with those on the index.
        """
        path = run.root / self.file
        is_written = path.is_file() and path.read_text("utf-8", "replace").startswith(self._header_comment)
        return "it is locked already; to lock it again, delete the file" if is_written else None

    def verify(self, run: Run, result: None) -> str:
        super().verify(run, result)
        text = (run.root / self.file).read_text(encoding="utf-8")
        return format_count(len(re.findall(r"^[\w.-]+==", text, re.MULTILINE)), "package")

    def apply(self, run: Run) -> None:
        with temporary_directory() as directory:
            # A requirement that no environment fulfills removes a package from the resolution.
            overrides, output = directory / "overrides.txt", directory / "locked.txt"
            overrides.write_text("".join(f"{name}; python_version < '0'\n" for name in self.without), "utf-8")
            completed = process.run(
                [
                    *(find_uv(), "pip", "compile", *_COMPILE_OPTIONS, *_QUIET_OPTIONS, "--overrides", overrides),
                    *("--output-file", output, "-"),
                ],
                cwd=run.root,
                env=run.environment_variables(own_indexes=True),
                stdin="\n".join(self.requirements),
                timeout=_LOCK_TIMEOUT,
            )
            fix = choose_installer_fix(completed, INDEX_FIX)
            completed.check(f"locking {', '.join(self.requirements)}", fix=fix)
            locked = output.read_text(encoding="utf-8")
        replace_file(run.root / self.file, (self._header_comment + locked).encode())
