"""Check all archives with `twine check`."""

from __future__ import annotations

import sys
from collections import Counter
from typing import TYPE_CHECKING

from relnox import building
from relnox.core import fixes
from relnox.core.planning.events import StepWarning
from relnox.core.planning.step import Step
from relnox.core.records import Record
from relnox.core.text import format_count, join_names
from relnox.errors import Failed
from relnox.steps.action import Action
from relnox.steps.build_environments import BuildingServices
from relnox.steps.built_archives import built_packages
from relnox.system import process

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


_CHECK_TIMEOUT = 3600.0
_TWINE_FIX = "fix the readme, or its content type in pyproject.toml"

_README_MISSING = "`long_description` missing."
"""What twine says of archives without a readme, besides a warning that its content type is missing."""
_README_FIX = 'add readme = "README.md" to [project]'
_FILES_PER_PROCESS = 20
"""Archives per twine process, at least."""


class RejectedPackages(Record):
    """The names of the packages whose archives must not be released."""

    names: frozenset[str] = frozenset()


class CheckDistributions(Step, kw_only=True):
    """Run `twine check` on all built archives."""

    key = "check"
    output: str
    strict: bool

    @property
    def title(self) -> str:
        return f"check the archives' metadata{', warnings are errors' if self.strict else ''}"


class CheckDistributionsAction(Action[CheckDistributions]):
    """Checks all archives with `twine check`, in processes that were started during the builds."""

    def check(self) -> str | None:
        return None if built_packages(self.run) else "nothing was built"

    def apply(self) -> None:
        """Run `twine check`, and report its results for each file.

        The archives of packages that fail are removed, as after a failed check of a build.
        """
        from relnox.system.threads import ThreadPool

        files = self._files_to_check
        count = min(process.processors(), 1 + len(files) // _FILES_PER_PROCESS)
        with ThreadPool(count) as pool:
            processes = tuple(pool.map(self._run_twine, (files[start::count] for start in range(count))))
        packages = built_packages(self.run)
        owners = {file.filename: name for name, package in packages.items() for file in package.files}
        results = [
            result
            for completed in processes
            for result in building.twine_check.parse_results(completed.output.splitlines())
            if result.file in owners
        ]
        counts = Counter(result.file for result in results)
        unchecked_files = [file.name for file in files if counts[file.name] != 1]
        files_by_warning: dict[tuple[str, str], list[str]] = {}
        files_by_problem: dict[tuple[str, tuple[str, ...]], list[str]] = {}
        for result in results:
            owner, messages = owners[result.file], _without_missing_content_type(result.messages)
            if result.result == "failed" or (self.step.strict and messages):
                files_by_problem.setdefault((owner, messages), []).append(result.file)
            else:
                for message in messages:
                    files_by_warning.setdefault((owner, message), []).append(result.file)
        self.warnings = tuple(
            StepWarning("twine-check", ", ".join(names), message, _readme_fix([message]))
            for (_, message), names in files_by_warning.items()
        )
        rejected_packages = {owner for owner, _ in files_by_problem} | {owners[name] for name in unchecked_files}
        self.result = RejectedPackages(frozenset(rejected_packages))
        for file in (file for name in rejected_packages for file in packages[name].files):
            (self.run.root / self.step.output / file.filename).unlink(missing_ok=True)
        if files_by_problem:
            lines = [
                f"  {owner}: {', '.join(names)}: {' '.join(messages) or 'failed'}"
                for (owner, messages), names in sorted(files_by_problem.items())
            ]
            lines += [f"  {owners[name]}: {name}: no result" for name in unchecked_files]
            raise Failed(
                "twine-check",
                "\n".join(["archives fail twine check:", *lines]),
                fix=_readme_fix([message for _, messages in files_by_problem for message in messages]),
            )
        for completed in processes:  # one that ended before it reached the files, or after the last one
            completed.check("twine check", fix=_upgrade_fix())
        if unchecked_files:
            raise Failed(
                "twine-result-missing",
                f"{join_names(unchecked_files)} cannot be checked (twine check printed no result for it)",
                fix=_upgrade_fix(),
            )

    def _run_twine(self, files: Sequence[Path]) -> process.Completed:
        arguments = ["check", *(["--strict"] if self.step.strict else []), *(file.name for file in files)]
        variables = self.run.variables(more=building.twine_check.OUTPUT_VARIABLES)
        directory, on_line = self.run.root / self.step.output, self.on_line
        if (warm := self.run.service(BuildingServices).start_twine_server()) is None:
            # With -P, files in the output directory are not imported.
            command = [sys.executable, "-P", "-m", "twine", *arguments]
            return process.run(command, cwd=directory, env=variables, on_line=on_line)
        return building.fork_client.Fork(warm).run_script(
            [building.twine_check.find_script(), *arguments],
            cwd=directory,
            env=variables,
            timeout=_CHECK_TIMEOUT,
            on_line=on_line,
        )

    def verify(self) -> str:
        return f"twine check passed ({format_count(len(self._files_to_check), 'archive')})"

    @property
    def _files_to_check(self) -> list[Path]:
        return [
            self.run.root / self.step.output / file.filename
            for package in built_packages(self.run).values()
            for file in package.files
        ]


def _without_missing_content_type(messages: tuple[str, ...]) -> tuple[str, ...]:
    """Return the messages without the one that a missing readme has no content type."""
    return (_README_MISSING,) if _README_MISSING in messages else messages


def _upgrade_fix() -> str:
    return fixes.install_command("twine", upgrade=True)


def _readme_fix(messages: Sequence[str]) -> str:
    """Return the fix for what twine reports: add a readme if it is only missing, otherwise correct it."""
    if messages and all(message == _README_MISSING for message in messages):
        return _README_FIX
    return _TWINE_FIX
