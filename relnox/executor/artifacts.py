"""What is done with archives: old ones are removed, new ones tested, checked together, and recorded."""

from __future__ import annotations

import re
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from relnox import process
from relnox.building import twine_output
from relnox.building.environments import find_python
from relnox.building.wheels import serves
from relnox.building.workers import Fork, twine_program
from relnox.core import collection, graph, missing_modules
from relnox.core.events import StepWarning
from relnox.core.manifest import MANIFEST_JSON, MANIFEST_TEXT, Manifest
from relnox.core.records import replace
from relnox.core.steps import Build, CheckReproducibility, RunTests
from relnox.errors import Failed
from relnox.executor.side_by_side import processors
from relnox.files import replace_file, sync_folder
from relnox.source import module_owners

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from relnox.core.steps import CheckDistributions, CleanFolder, WriteManifest
    from relnox.executor.run import Run

__all__ = ["Checking", "Cleaning", "Testing", "WritingManifest"]

_TEST_LIMIT = 3600.0
_CHECK_LIMIT = 3600.0
_TWINE_HINT = "change what the metadata is made of (the readme, and the settings beside it)"
_NO_MODULE = re.compile(r"ModuleNotFoundError: No module named '([\w.]+)'")
_WORTH_A_PROCESS = 20
"""Archives that are."""


@dataclass
class Cleaning:
    """Removes files of an output folder: those that the plan names, never a folder."""

    step: CleanFolder
    run: Run

    def check(self) -> str | None:
        """Done when none of them is there."""
        return None if self._left() else "nothing to remove"

    def do(self) -> None:
        """Remove them."""
        for path in self._left():
            path.unlink()

    def verify(self) -> str:
        """None is there."""
        if left := self._left():
            raise Failed("todo", f"{left[0]} is still there", fix="who else writes into that folder?")
        return f"{len(self.step.files)} files removed"

    def _left(self) -> list[Path]:
        folder = self.run.root / self.step.folder
        return [path for name in self.step.files if (path := folder / name).is_file() or path.is_symlink()]


@dataclass
class Testing:
    """Runs the project's tests against the built wheel, in a fresh environment."""

    step: RunTests
    run: Run

    def check(self) -> str | None:
        """Tests are always run."""
        return None

    def do(self) -> None:
        """Install the wheels, run the command in the package's folder."""
        installer = self.run.installer(self.step.installer)
        folder = self.run.folder(self.step.key)
        variables = self.run.installer_variables()
        self.run.tell_sources(installer.name)
        environment = installer.create(folder / "env", find_python(self.step.python), env=variables)
        python = self.step.python or f"{sys.version_info.major}.{sys.version_info.minor}"
        wheels = [
            str(self.run.root / self.step.output / built.filename)
            for package in (self.step.package, *self.step.siblings)
            for built in self.run.built[package]
            if built.kind == "wheel" and serves(built.filename, python)
        ]
        installer.install(
            environment, [*wheels, *self.step.requires], env=variables, on_line=self.run.tell(self.step)
        ).check(f"{self.step.package}: installing the wheel for its tests")
        ran = process.run(
            self.step.command,
            cwd=self.run.source / self.step.folder,
            env=environment.variables(self.run.variables(more=dict(self.step.environment))),
            timeout=_TEST_LIMIT,
            on_line=self.run.tell(self.step),
        )
        fix = self._remedy(ran.output) or "fix what the tests show"
        ran.check(f"{self.step.package}: the tests ({' '.join(self.step.command)})", fix=fix)

    def _remedy(self, output: str) -> str | None:
        """How a module that the tests lack is brought: by a sibling, an extra, or another requirement."""
        if not (missing := _NO_MODULE.findall(output)):
            return None
        module, package = missing[-1], self.step.package
        others = {name: folder for name, folder in self.run.folders.items() if name != package}
        wanted = missing_modules.candidate_modules(output.splitlines(), module)
        owned, found = module_owners.nearest(self.run.source, others, wanted)
        if found:
            return f'{owned} is of {" and ".join(found)}: add "{found[0]}" to the dependencies of {package}'
        if extra := missing_modules.extra_providing(module, self.run.wheel_requires.get(package, ())):
            return (
                f"{module} comes with the extra {extra} of {package}: add "
                f'"{package}[{extra}]" to [tool.relnox.test] requires, or import it only where it is there'
            )
        distribution = missing_modules.distribution_for(module)
        return (
            f'if {package} needs {module}, add "{distribution}" to its dependencies; if the tests do, to '
            "[tool.relnox.test] requires"
        )

    def verify(self) -> str:
        """The command's success is all there is to see."""
        return "the tests pass on the built wheel"


@dataclass
class Checking:
    """Checks all archives together, with a twine that was warmed up while they were built."""

    step: CheckDistributions
    run: Run

    def check(self) -> str | None:
        """Done when there is nothing new: kept archives passed it when they were built."""
        if not self.run.built:
            return "nothing was built"
        return None if self._files else "nothing new was built"

    def do(self) -> None:
        """Run `twine check`, and say of each file what it says.

        Archives of packages that it refuses are removed: they are as little for publishing as those that a build
        refuses.
        """
        files = self._files
        count = min(processors(), 1 + len(files) // _WORTH_A_PROCESS)
        with ThreadPoolExecutor(count) as pool:
            ran = tuple(pool.map(self._twine, (files[start::count] for start in range(count))))
        results = [each for done in ran for each in twine_output.results(done.output.splitlines())]
        owners = {file.filename: name for name, built in self.run.built.items() for file in built}
        bad = [each for each in results if each.result == "failed" or (self.step.strict and each.said)]
        self.run.warnings[self.step.key] = tuple(
            StepWarning("twine-check", each.file, said, _TWINE_HINT)
            for each in results
            if each not in bad
            for said in each.said
        )
        for package in {owners[each.file] for each in results if each.said} & self.run.inputs.keys():
            self.run.inputs[package] = replace(self.run.inputs[package], has_warnings=True)
        failed = next((each for each in ran if each.returncode != 0), None)
        if failed is None:
            return
        if not bad:  # it ended before it came to the files
            failed.check("twine check", fix="run it by hand: twine check dist/*")
        listed: dict[tuple[str, tuple[str, ...]], list[str]] = {}
        for each in bad:
            listed.setdefault((owners[each.file], each.said), []).append(each.file)
        self._refuse({owner for owner, _ in listed})
        lines = [
            f"  {owner}: {', '.join(files)}: {' '.join(said) or 'refused'}"
            for (owner, said), files in sorted(listed.items())
        ]
        raise Failed("todo", "\n".join(["twine check refuses archives:", *lines]), fix=_TWINE_HINT)

    def _refuse(self, packages: set[str]) -> None:
        self.run.refused |= packages
        for name in packages - self.run.reused:
            for built in self.run.built[name]:
                (self.run.root / self.step.output / built.filename).unlink(missing_ok=True)

    def _twine(self, files: Sequence[Path]) -> process.Completed:
        words = ["check", *(["--strict"] if self.step.strict else []), *map(str, files)]
        variables = self.run.variables(more={"NO_COLOR": "1", "TERM": "dumb", "COLUMNS": "200"})
        tell = self.run.tell(self.step)
        if (warm := self.run.warm_twine()) is None:
            return process.run([sys.executable, "-m", "twine", *words], env=variables, on_line=tell)
        return Fork(warm).run(
            [twine_program(), *words], cwd=None, env=variables, timeout=_CHECK_LIMIT, on_line=tell
        )

    def verify(self) -> str:
        """What was checked."""
        return f"{len(self._files)} archives pass twine check"

    @property
    def _files(self) -> list[Path]:
        """All archives where warnings count, else those that are new, and those that were warned about."""
        return [
            self.run.root / self.step.output / each.filename
            for name, built in self.run.built.items()
            for each in built
            if self.step.strict or name not in self.run.reused or self.run.inputs[name].has_warnings
        ]


@dataclass
class WritingManifest:
    """Writes what was built, in both spellings."""

    step: WriteManifest
    run: Run
    manifest: Manifest = field(init=False)

    def check(self) -> str | None:
        """The manifest follows every build."""
        return None

    def do(self) -> None:
        """Write the spelling for people first: the other one is what counts."""
        output = self.run.root / self.step.output
        needs = self._needs()
        missing = self._missing(set(needs))
        if missing == set(needs):
            raise Failed(
                "todo", "no package was built to its end: there is nothing to record", fix="fix the first failure"
            )
        order = [name for wave in graph.waves(needs) for name in wave if name not in missing]
        self.manifest = Manifest(
            distributions=tuple(each for name in order for each in self.run.built.get(name, ())),
            commit=self.step.commit,
            dirty=self.step.dirty,
            time=datetime.now(UTC).isoformat(timespec="seconds"),
            needs=tuple((name, tuple(sorted(graph.closure([name], needs) - {name}))) for name in order),
            missing=tuple(sorted(missing)),
            inputs=tuple(self.run.inputs[name] for name in order if name in self.run.inputs),
        )
        sync_folder(output)  # what the manifest names is on the disk before it
        replace_file(output / MANIFEST_TEXT, self.manifest.to_text().encode(), keep_mode=False)
        replace_file(output / MANIFEST_JSON, self.manifest.to_json().encode(), keep_mode=False)

    def _missing(self, packages: set[str]) -> set[str]:
        """Packages that could not be built, or whose archives a later step found fault with."""
        failed = {
            step.build.package if isinstance(step, CheckReproducibility) else step.package
            for step in self.run.unsuccessful
            if isinstance(step, Build | CheckReproducibility | RunTests)
        }
        return packages & (failed | self.run.refused)

    def _needs(self) -> dict[str, set[str]]:
        """What each package needs of the others: what its sources say, and what its wheel says when it is built.

        Requirements that a build hook adds are in the metadata alone.
        """
        needs = {name: set(before) for name, before in self.step.order}
        for name in self.run.built:
            needs[name] |= collection.required_names(self.run.wheel_requires.get(name, ())) & needs.keys() - {name}
        return needs

    def verify(self) -> str:
        """It reads back as written."""
        path = self.run.root / self.step.output / MANIFEST_JSON
        if Manifest.from_json(path.read_text(encoding="utf-8"), where=str(path)) != self.manifest:
            raise Failed("todo", f"{path} does not read as it was written", fix="does something else write it?")
        without = f", without {', '.join(self.manifest.missing)}" if self.manifest.missing else ""
        return f"{self.step.output}/{MANIFEST_JSON}{without}"
