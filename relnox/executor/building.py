"""From a folder of source to archives that were looked into and are in their place."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from relnox.building import archives, checks
from relnox.building.backend import build_package
from relnox.core.manifest import BuildInputs, Distribution
from relnox.errors import Failed
from relnox.source import exports

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from relnox.building.workshop import Workshop
    from relnox.core.steps import Build, ClearCache, Export
    from relnox.executor.run import Run

__all__ = ["Building", "ClearingCache", "Exporting"]


@dataclass
class ClearingCache:
    """Removes the environments that earlier runs kept."""

    step: ClearCache
    run: Run

    def check(self) -> str | None:
        """Done when there is none."""
        return None if self.run.environment_cache.folder.exists() else "there are none"

    def do(self) -> None:
        """Remove them."""
        self.run.environment_cache.clear()

    def prove(self) -> str:
        """They are gone."""
        if (folder := self.run.environment_cache.folder).exists():
            raise Failed(f"{folder} is still there", hint="does another run use it?")
        return "they are gone"


@dataclass
class Exporting:
    """Checks the commit that is built out into a folder of its own."""

    step: Export
    run: Run

    def check(self) -> str | None:
        """It is always a fresh checkout."""
        return None

    def do(self) -> None:
        """Check it out."""
        if self.run.git is None:
            raise Failed("this is no git checkout", hint="git init")
        exports.remove_left_behind(self.run.git)
        self.run.export = self.run.scratch / "source"
        self.run.source = exports.export(self.run.git, self.step.commit, self.run.export)

    def prove(self) -> str:
        """It is there."""
        if not self.run.source.is_dir():
            raise Failed(f"the project is not in commit {self.step.commit[:10]}", hint="commit it")
        return f"at {self.step.commit[:10]}"


@dataclass
class Building:
    """Builds a package into a staging folder; what holds against the plan moves to its place."""

    step: Build
    run: Run

    def check(self) -> str | None:
        """Done when it was built from the same before, and its archives are there and still right."""
        before = self.run.previous(self.step.output)
        known = {} if before is None else {inputs.package: inputs for inputs in before.inputs}
        inputs = known.get(self.step.package)
        if self.step.inputs is None or before is None or inputs is None:
            return None
        if inputs.digest != self._digest(inputs.requires):
            return None
        output = self.run.root / self.step.output
        found = [
            self._inspected(path)
            for built in before.of(self.step.package)
            if (path := output / built.filename).is_file()
        ]
        if found != list(before.of(self.step.package)):
            return None
        self.run.built[self.step.package] = found
        self.run.inputs[self.step.package] = inputs
        return f"unchanged: its archives of commit {(inputs.commit or '')[:10]} are still right"

    def do(self) -> None:
        """Build, look into the archives, move them to their place."""
        output = self.run.root / self.step.output
        output.mkdir(parents=True, exist_ok=True)
        staging = output / f".relnox-{self.step.package}"
        shutil.rmtree(staging, ignore_errors=True)
        staging.mkdir()
        try:
            source = self.run.source / self.step.folder
            bench = self._workshop.bench(
                source,
                isolation=self.step.isolation,
                variables=self.run.variables(more=_reproducible(self.step.epoch)),
                siblings={
                    name: output / built.filename
                    for name in self.step.siblings
                    for built in self.run.built.get(name, ())
                    if built.kind == "wheel"
                },
                on_line=self.run.tell(self.step),
            )
            made = build_package(self.step.package, source, staging, self._workshop.folder("build"), bench)
            distributions = [self._inspected(path) for path in made]
            _move(made, output)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
        self.run.built[self.step.package] = distributions
        if self.step.inputs is not None:
            self.run.inputs[self.step.package] = self._inputs(bench.provided)

    def prove(self) -> str:
        """The archives are in their place, with the bytes that were looked into."""
        for built in self.run.built[self.step.package]:
            _same_bytes(self.run.root / self.step.output / built.filename, built)
        return ", ".join(built.filename for built in self.run.built[self.step.package])

    @property
    def _workshop(self) -> Workshop:
        return self.run.workshop(self.step.installer, keep_environments=self.step.keep_environments)

    def _inputs(self, provided: Iterable[tuple[str, ...]]) -> BuildInputs:
        requires = tuple(sorted(set(provided)))
        commit = self.run.git.head() if self.run.git is not None else None
        return BuildInputs(
            package=self.step.package, digest=self._digest(requires), requires=requires, commit=commit
        )

    def _digest(self, requires: Iterable[tuple[str, ...]]) -> str:
        """Of all that the archives come from: the source, and the releases that build requirements stand for."""
        pins = [[*each, *self._workshop.pins(each)] for each in requires]
        return hashlib.sha256(json.dumps([self.step.inputs, pins]).encode()).hexdigest()

    def _inspected(self, path: Path) -> Distribution:
        """The archive as the manifest will tell it, if it is what was planned."""
        archive = archives.read(path)
        findings = checks.verify(archive, checks.Expected(name=self.step.package, version=self.step.version))
        for finding in findings:
            self.run.tell(self.step)(f"{finding.level}: {finding.file}: {finding.message}")
        bad = [finding for finding in findings if finding.level == "error" or self.step.strict]
        if bad:
            listed = "\n".join(f"  {finding.file}: {finding.message}" for finding in bad)
            raise Failed(f"{self.step.package}: the built archive is not right:\n{listed}", hint=bad[0].hint)
        digests = archives.digests(path)
        return Distribution(
            package=archive.name,
            version=archive.version,
            filename=path.name,
            kind=archive.kind,
            size=digests.size,
            sha256=digests.sha256,
            blake2b_256=digests.blake2b_256,
        )


def _move(files: Iterable[Path], folder: Path) -> None:
    """Give files their final names, whole and durably: a name that is there belongs to a whole file."""
    for path in files:
        with path.open("rb") as content:
            os.fsync(content.fileno())
        path.replace(folder / path.name)
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _same_bytes(path: Path, built: Distribution) -> None:
    digests = archives.digests(path)
    if digests.sha256 != built.sha256:
        raise Failed(
            f"{path.name} changed after it was built: {digests.sha256} instead of {built.sha256}",
            hint="who else writes into that folder? build again",
        )


def _reproducible(epoch: int | None) -> dict[str, str]:
    """Variables that keep the clock, the place and the language out of the archives."""
    return {"TZ": "UTC", "LC_ALL": "C.UTF-8"} | ({} if epoch is None else {"SOURCE_DATE_EPOCH": str(epoch)})
