"""Actions on archives: remove old ones, test new ones, check them together, write their manifest."""

from __future__ import annotations

import re
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from relnox import process
from relnox.building import twine_output
from relnox.building.interpreters import find_interpreter
from relnox.building.wheels import supports
from relnox.building.workers import Fork, twine_program
from relnox.core import graph
from relnox.core.planning.events import StepWarning
from relnox.core.records import replace
from relnox.core.release import collection, missing_modules
from relnox.core.release.manifest import MANIFEST_JSON, MANIFEST_TEXT, Manifest
from relnox.core.steps import Build, CheckReproducibility, RunTests
from relnox.errors import Failed
from relnox.executor.parallel import processors
from relnox.files import replace_file, sync_folder
from relnox.source import module_owners

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from relnox.core.steps import CheckDistributions, CleanFolder, WriteManifest
    from relnox.executor.run import Run

__all__ = ["Checking", "Cleaning", "Testing", "WritingManifest"]

_TEST_TIMEOUT = 3600.0
_CHECK_TIMEOUT = 3600.0
_TWINE_FIX = "fix the readme, or its content type in pyproject.toml"
_NO_MODULE = re.compile(r"ModuleNotFoundError: No module named '([\w.]+)'")
_FILES_PER_PROCESS = 20
"""Archives per twine process, at least."""


@dataclass
class Cleaning:
    """Removes the files of an output folder that the plan names, never folders."""

    step: CleanFolder
    run: Run

    def check(self) -> str | None:
        """Done if none of them exists."""
        return None if self._remaining() else "nothing to remove"

    def apply(self) -> None:
        """Remove the files."""
        for path in self._remaining():
            path.unlink()

    def verify(self) -> str:
        """Check that none of them exists."""
        if remaining := self._remaining():
            raise Failed(
                "file-not-removed",
                f"{remaining[0]} still exists after it was removed",
                fix="stop other processes that write into that folder, then rerun the command",
            )
        return f"{len(self.step.files)} files removed"

    def _remaining(self) -> list[Path]:
        folder = self.run.root / self.step.folder
        return [path for name in self.step.files if (path := folder / name).is_file() or path.is_symlink()]


@dataclass
class Testing:
    """Runs the project's tests against the built wheel, in a fresh environment."""

    step: RunTests
    run: Run

    def check(self) -> str | None:
        """Return None: tests always run."""
        return None

    def apply(self) -> None:
        """Install the wheels, and run the test command in the package's folder."""
        installer = self.run.installer(self.step.installer)
        folder = self.run.folder(self.step.key)
        variables = self.run.installer_variables()
        self.run.report_package_sources(installer.name)
        environment = installer.create(folder / "env", find_interpreter(self.step.python).path, env=variables)
        python = self.step.python or f"{sys.version_info.major}.{sys.version_info.minor}"
        wheels = [
            str(self.run.root / self.step.output / built.filename)
            for package in (self.step.package, *self.step.siblings)
            for built in self.run.built[package]
            if built.kind == "wheel" and supports(built.filename, python)
        ]
        installer.install(
            environment, [*wheels, *self.step.requires], env=variables, on_line=self.run.on_line(self.step)
        ).check(f"{self.step.package}: installing the wheel for its tests")
        completed = process.run(
            self.step.command,
            cwd=self.run.source / self.step.folder,
            env=environment.variables(self.run.variables(more=dict(self.step.environment))),
            timeout=_TEST_TIMEOUT,
            on_line=self.run.on_line(self.step),
        )
        fix = self._missing_module_fix(completed.output) or f"fix the failing tests of {self.step.package}"
        completed.check(f"{self.step.package}: the tests ({' '.join(self.step.command)})", fix=fix)

    def _missing_module_fix(self, output: str) -> str | None:
        """Return how to get a module that the tests lack: from a sibling, an extra, or another requirement."""
        if not (missing := _NO_MODULE.findall(output)):
            return None
        module, package = missing[-1], self.step.package
        others = {name: folder for name, folder in self.run.folders.items() if name != package}
        candidates = missing_modules.candidate_modules(output.splitlines(), module)
        sibling_module, owners = module_owners.nearest(self.run.source, others, candidates)
        if owners:
            places = " and ".join(owners)
            return f'add "{owners[0]}" to the dependencies of {package} ({sibling_module} is in {places})'
        if extra := missing_modules.extra_providing(module, self.run.wheel_requires.get(package, ())):
            return (
                f'add "{package}[{extra}]" to [tool.relnox.test] requires ({module} is in the extra {extra}), '
                f"or make the import of {module} optional"
            )
        distribution = missing_modules.distribution_for(module)
        return (
            f'add "{distribution}" to the dependencies of {package}, or to [tool.relnox.test] requires if only '
            f"the tests import {module}"
        )

    def verify(self) -> str:
        """Return the result; the command's exit status was checked."""
        return "tests pass with the built wheel"


@dataclass
class Checking:
    """Checks all archives with `twine check`, in processes that were started during the builds."""

    step: CheckDistributions
    run: Run

    def check(self) -> str | None:
        """Done if nothing is new: reused archives passed it when they were built."""
        if not self.run.built:
            return "nothing was built"
        return None if self._files else "nothing new was built"

    def apply(self) -> None:
        """Run `twine check`, and report its results by file.

        Archives of packages that fail are removed, like those that fail the checks of a build.
        """
        files = self._files
        count = min(processors(), 1 + len(files) // _FILES_PER_PROCESS)
        with ThreadPoolExecutor(count) as pool:
            processes = tuple(pool.map(self._twine, (files[start::count] for start in range(count))))
        results = [
            result for completed in processes for result in twine_output.results(completed.output.splitlines())
        ]
        failures = [
            result for result in results if result.result == "failed" or (self.step.strict and result.messages)
        ]
        self.run.warnings[self.step.key] = tuple(
            StepWarning("twine-check", result.file, message, _TWINE_FIX)
            for result in results
            if result not in failures
            for message in result.messages
        )
        owners = {file.filename: name for name, built in self.run.built.items() for file in built}
        for package in {owners[result.file] for result in results if result.messages} & self.run.inputs.keys():
            self.run.inputs[package] = replace(self.run.inputs[package], has_warnings=True)
        failed = next((completed for completed in processes if completed.returncode != 0), None)
        if failed is None:
            return
        if not failures:  # twine ended before it reached the files
            failed.check("twine check", fix=f"run it yourself: twine check {self.step.output}/*")
        files_by_problem: dict[tuple[str, tuple[str, ...]], list[str]] = {}
        for result in failures:
            files_by_problem.setdefault((owners[result.file], result.messages), []).append(result.file)
        self._remove_archives({owner for owner, _ in files_by_problem})
        lines = [
            f"  {owner}: {', '.join(names)}: {' '.join(messages) or 'failed'}"
            for (owner, messages), names in sorted(files_by_problem.items())
        ]
        raise Failed("twine-check", "\n".join(["archives fail twine check:", *lines]), fix=_TWINE_FIX)

    def _remove_archives(self, packages: set[str]) -> None:
        self.run.rejected |= packages
        for name in packages - self.run.reused:
            for built in self.run.built[name]:
                (self.run.root / self.step.output / built.filename).unlink(missing_ok=True)

    def _twine(self, files: Sequence[Path]) -> process.Completed:
        arguments = ["check", *(["--strict"] if self.step.strict else []), *map(str, files)]
        variables = self.run.variables(more={"NO_COLOR": "1", "TERM": "dumb", "COLUMNS": "200"})
        on_line = self.run.on_line(self.step)
        if (warm := self.run.warm_twine()) is None:
            return process.run([sys.executable, "-m", "twine", *arguments], env=variables, on_line=on_line)
        return Fork(warm).run(
            [twine_program(), *arguments], cwd=None, env=variables, timeout=_CHECK_TIMEOUT, on_line=on_line
        )

    def verify(self) -> str:
        """Return the number of checked archives."""
        return f"{len(self._files)} archives pass twine check"

    @property
    def _files(self) -> list[Path]:
        """With --strict all archives, else the new ones and those with warnings."""
        return [
            self.run.root / self.step.output / file.filename
            for name, built in self.run.built.items()
            for file in built
            if self.step.strict or name not in self.run.reused or self.run.inputs[name].has_warnings
        ]


@dataclass
class WritingManifest:
    """Writes the manifest of what was built, as JSON and as text."""

    step: WriteManifest
    run: Run
    manifest: Manifest = field(init=False)

    def check(self) -> str | None:
        """Return None: the manifest is written after every build."""
        return None

    def apply(self) -> None:
        """Write the text form first, since the JSON form is the authoritative one."""
        output = self.run.root / self.step.output
        needs = self._needs()
        missing = self._missing(set(needs))
        if missing == set(needs):
            raise Failed(
                "nothing-built",
                "no package was built completely: the manifest is not written",
                fix="fix the first failure above, then rerun the command",
            )
        order = [name for wave in graph.waves(needs) for name in wave if name not in missing]
        self.manifest = Manifest(
            distributions=tuple(file for name in order for file in self.run.built.get(name, ())),
            commit=self.step.commit,
            dirty=self.step.dirty,
            time=datetime.now(UTC).isoformat(timespec="seconds"),
            needs=tuple((name, tuple(sorted(graph.closure([name], needs) - {name}))) for name in order),
            missing=tuple(sorted(missing)),
            inputs=tuple(self.run.inputs[name] for name in order if name in self.run.inputs),
        )
        sync_folder(output)  # the files have to be on disk before the manifest that names them
        replace_file(output / MANIFEST_TEXT, self.manifest.to_text().encode(), keep_mode=False)
        replace_file(output / MANIFEST_JSON, self.manifest.to_json().encode(), keep_mode=False)

    def _missing(self, packages: set[str]) -> set[str]:
        """Return the packages that were not built, or whose archives failed a later step."""
        failed = {
            step.build.package if isinstance(step, CheckReproducibility) else step.package
            for step in self.run.unsuccessful
            if isinstance(step, Build | CheckReproducibility | RunTests)
        }
        return packages & (failed | self.run.rejected)

    def _needs(self) -> dict[str, set[str]]:
        """Return the siblings that each package requires, according to its sources and the metadata of its wheel.

        Requirements that a build hook adds are in the metadata only.
        """
        needs = {name: set(siblings) for name, siblings in self.step.order}
        for name in self.run.built:
            needs[name] |= collection.required_names(self.run.wheel_requires.get(name, ())) & needs.keys() - {name}
        return needs

    def verify(self) -> str:
        """Check that the manifest reads back as written."""
        path = self.run.root / self.step.output / MANIFEST_JSON
        if Manifest.from_json(path.read_text(encoding="utf-8"), where=str(path)) != self.manifest:
            raise Failed(
                "file-changed",
                f"{path} differs from what was written",
                fix="stop other processes that write into that folder, then rerun the command",
            )
        without = f", without {', '.join(self.manifest.missing)}" if self.manifest.missing else ""
        return f"{self.step.output}/{MANIFEST_JSON}{without}"
