"""Lock the requirements of CI jobs: each package in one version, with the hashes of its files."""

from __future__ import annotations

import re

from relnox.building.environments import INDEX_FIX, choose_installer_fix, find_uv
from relnox.core.planning.step import Step
from relnox.core.text import format_count
from relnox.steps.run import Run
from relnox.system import process
from relnox.system.files import replace_file, temporary_directory

_TIMEOUT = 300
_OPTIONS = ("--universal", "--python-version", "3.11", "--generate-hashes", "--only-binary", ":all:")
"""For all platforms and Pythons that relnox runs on; nothing is built to read its metadata."""
_QUIET_OPTIONS = ("--quiet", "--no-header", "--no-annotate", "--no-emit-index-url", "--no-emit-find-links")


class LockRequirements(Step, key="lock {self.file}", title="lock what jobs install in {self.file}"):
    """Write a requirements file with pinned versions and hashes, without the address of any index.

    Attributes:
        purpose: Which jobs install it, for its first line.
        requirements: What is locked, with everything that it requires.
        without: The packages to leave out, with what only they require.
    """

    exclusive = True
    file: str
    purpose: str
    requirements: tuple[str, ...]
    without: tuple[str, ...] = ()

    @property
    def _header(self) -> str:
        lines = [f"{self.purpose}. Written by relnox ci, from:", *self.requirements]
        lines += [f"without {', '.join(self.without)}"] if self.without else []
        return "".join(f"# {line}\n" for line in lines)

    def done(self, run: Run) -> str | None:
        """Return why nothing is left to do if the file pins these requirements, else None."""
        path = run.root / self.file
        is_written = path.is_file() and path.read_text(encoding="utf-8").startswith(self._header)
        return "it is locked already; to lock it again, delete the file" if is_written else None

    def verify(self, run: Run, result: None) -> str:
        """Count the pinned packages."""
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
                    *(find_uv(), "pip", "compile", *_OPTIONS, *_QUIET_OPTIONS, "--overrides", overrides),
                    *("--output-file", output, "-"),
                ],
                cwd=run.root,
                env=run.variables(own_indexes=True),
                stdin="\n".join(self.requirements),
                timeout=_TIMEOUT,
            )
            fix = choose_installer_fix(completed, INDEX_FIX)
            completed.check(f"locking {', '.join(self.requirements)}", fix=fix)
            locked = output.read_text(encoding="utf-8")
        replace_file(run.root / self.file, (self._header + locked).encode())
