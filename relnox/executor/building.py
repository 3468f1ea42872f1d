"""From a folder of source to archives that were looked into and are in their place."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shlex
import shutil
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from packaging.version import Version

from relnox import process
from relnox.building import archives
from relnox.building.backend import MissingModule, build_sdist, build_wheel
from relnox.building.conditions import USUAL
from relnox.building.environment_pool import HookContext
from relnox.building.wheels import repaired, serves
from relnox.core.manifest import BuildInputs
from relnox.errors import Failed
from relnox.executor.archive_checks import check_archives
from relnox.files import TemporaryFolder, make_output
from relnox.source import exports, module_owners
from relnox.source.git import Git

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from relnox.building.conditions import Conditions
    from relnox.building.environment_pool import BuildEnvironmentPool, BuildSession
    from relnox.core.build_settings import Constraints
    from relnox.core.manifest import Distribution
    from relnox.core.steps import Build, ClearCache, Export, PrepareBuildEnvironment
    from relnox.executor.run import Run

__all__ = [
    "Building",
    "ClearingCache",
    "Exporting",
    "Providing",
    "build",
    "move_to",
    "same_bytes",
    "staging_folder",
]

_COMMAND_LIMIT = 4 * 3600.0
_WRITABLE_BY_OTHERS = 0o022


@dataclass
class ClearingCache:
    """Removes the environments that earlier runs kept."""

    step: ClearCache
    run: Run

    def check(self) -> str | None:
        """Done when there is none."""
        return None if self.run.environment_cache.content() else "there are none"

    def do(self) -> None:
        """Remove them."""
        self.run.environment_cache.clear()

    def verify(self) -> str:
        """They are gone."""
        if left := self.run.environment_cache.content():
            raise Failed("todo", f"{left[0]} is still there", fix="does another run use it?")
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
            raise Failed("todo", "this is no git checkout", fix="git init")
        exports.remove_leftover(self.run.git)
        self.run.commit = self.step.commit
        self.run.export = self.run.scratch / "source"
        self.run.source = exports.export(self.run.git, self.step.commit, self.run.export)
        self.run.tracked = Git(self.run.source).tracked_files()

    def verify(self) -> str:
        """It is there."""
        if not self.run.source.is_dir():
            raise Failed("todo", f"the project is not in commit {self.step.commit[:10]}", fix="commit it")
        return f"at {self.step.commit[:10]}"


@dataclass
class Providing:
    """Makes an environment for builds, and starts to warm their backend up."""

    step: PrepareBuildEnvironment
    run: Run

    @property
    def workshop(self) -> BuildEnvironmentPool:
        """Where it is."""
        return self.run.environment_pool(self.step.installer, "", keep_environments=self.step.keep)

    def check(self) -> str | None:
        """Not needed when nothing that it is for changed; whether one was kept is seen when it is asked for."""
        known = _known_inputs(self.run, self.step.output)

        def unchanged(name: str, inputs: str | None) -> bool:
            if inputs is None or name not in known:
                return False
            digest = _digest(
                inputs, known[name].requires, self.workshop, self.step.pythons, constraints=self.step.constraints
            )
            return known[name].digest == digest

        try:
            same = all(unchanged(*each) for each in self.step.inputs)
        except Failed:  # the builds tell what is wrong
            return None
        return "what it is for is unchanged" if same else None

    def do(self) -> None:
        """Ask for it, as builds do."""
        step = self.step
        self.environment = self.workshop.make_ready(
            step.requires, step.backend, self.run.variables(more=USUAL.variables(step.epoch)), step.constraints
        )

    def verify(self) -> str:
        """Its interpreter is there."""
        if not self.environment.python.exists():
            raise Failed(
                "todo", f"{self.environment.python} is not there", fix="type the same command again: --clear-cache"
            )
        problem = self.workshop.cache_problem
        return "it is there" if problem is None else f"it is there; {problem}"


@dataclass
class Building:
    """Builds a package into a staging folder; what holds against the plan moves to its place."""

    step: Build
    run: Run

    def check(self) -> str | None:
        """Done when it was built from the same before, and its archives are there and still right."""
        before = self.run.previous(self.step.output)
        inputs = _known_inputs(self.run, self.step.output).get(self.step.package)
        if self.step.inputs is None or before is None or inputs is None:
            return None
        wanted = list(before.files_of(self.step.package))
        paths = [self.run.root / self.step.output / built.filename for built in wanted]
        try:
            same = inputs.digest == self._digest(inputs.requires)
            if not same or not all(path.is_file() for path in paths):
                return None
            if check_archives(paths, self.step, self.run) != wanted:
                return None
        except Failed:  # what is there is not right, or what it was built with is gone: it is built
            return None
        self.run.reused.add(self.step.package)
        self.run.built[self.step.package] = wanted
        self.run.inputs[self.step.package] = inputs
        return f"unchanged: its archives of commit {(inputs.commit or '')[:10]} are still right"

    def do(self) -> None:
        """Build, look into the archives, move them to their place."""
        self.run.warm_twine()
        output = self.run.root / self.step.output
        with staging_folder(output, self.step.package) as staging:
            provided: set[tuple[str, ...]] = set()
            source = self.run.source / self.step.folder
            with _naming_siblings(self.step, self.run):
                made = build(self.step, source, staging, self.run, provided)
            distributions = check_archives(made, self.step, self.run)
            move_to(output, made)
        self.run.built[self.step.package] = distributions
        if self.step.inputs is not None:
            requires = tuple(sorted(provided))
            self.run.inputs[self.step.package] = BuildInputs(
                package=self.step.package,
                digest=self._digest(requires),
                requires=requires,
                commit=self.run.commit,
            )

    def verify(self) -> str:
        """The archives are in their place, with the bytes that were looked into."""
        for built in self.run.built[self.step.package]:
            same_bytes(self.run.root / self.step.output / built.filename, built)
        return ", ".join(built.filename for built in self.run.built[self.step.package])

    def _digest(self, requires: Iterable[tuple[str, ...]]) -> str:
        step = self.step
        workshop = self.run.environment_pool(step.installer, "", keep_environments=step.keep_environments)
        return _digest(
            step.inputs, requires, workshop, step.pythons, step.command, constraints=step.settings.constraints
        )


@contextlib.contextmanager
def _naming_siblings(step: Build, run: Run) -> Iterator[None]:
    """Say which package of the project has a module that a build lacks: a namespace may be shared by many."""
    try:
        yield
    except MissingModule as error:
        others = {name: folder for name, folder in run.folders.items() if name != step.package}
        module, found = module_owners.nearest(run.source, others, error.modules)
        if found:
            error.fix = (
                f"{module} is of {' and '.join(found)}, in this project: add "
                f'"{found[0]}" to requires of [build-system] of {step.package}, and it is built first'
            )
        raise


def _known_inputs(run: Run, output: str) -> dict[str, BuildInputs]:
    """What packages were built from by an earlier run, by their names."""
    before = run.previous(output)
    return {} if before is None else {inputs.package: inputs for inputs in before.inputs}


def _digest(  # noqa: PLR0913 - all that counts
    inputs: str | None,
    requires: Iterable[tuple[str, ...]],
    workshop: BuildEnvironmentPool,
    pythons: Sequence[str] = (),
    command: Sequence[str] = (),
    *,
    constraints: Constraints,
) -> str:
    """Of all that archives come from: the source, and the releases that build requirements stand for."""
    pins = [[*each, *workshop.pins(each, constraints)] for each in requires]
    return hashlib.sha256(json.dumps([inputs, pins, pythons, command, *workshop.sources]).encode()).hexdigest()


def build(  # noqa: PLR0913, PLR0917 - what a build is given
    step: Build,
    source: Path,
    into: Path,
    run: Run,
    provided: set[tuple[str, ...]],
    conditions: Conditions = USUAL,
) -> list[Path]:
    """Build a package's sdist, and from it a wheel, or one for each Python that the others do not serve.

    Args:
        step: What to build.
        source: The package's folder.
        into: An empty folder for the archives.
        run: Where and with what.
        provided: The sets of build requirements are added to it.
        conditions: What the build finds around it.
    """
    variables = run.variables(more=conditions.variables(step.epoch))
    if step.command:
        return _by_command(step, source, into, run, variables, conditions)
    siblings = {
        name: run.root / step.output / built.filename
        for name in step.siblings
        for built in run.built.get(name, ())
        if built.kind == "wheel"
    }
    terms = HookContext(
        variables=variables,
        umask=conditions.umask,
        siblings=siblings,
        on_line=run.tell(step),
        constraints=step.settings.constraints,
    )

    isolation = step.isolation if conditions is USUAL else "strict"
    both = step.declarative and isolation == "fast"

    def bench(source: Path, python: str) -> BuildSession:
        workshop = run.environment_pool(step.installer, python, keep_environments=step.keep_environments)
        return workshop.bench(source, isolation, terms, both=both)

    with closing(bench(source, "")) as first:
        sdist = build_sdist(step.package, source, into, first, step.settings)
        provided.update(first.provided)
        made = [sdist]
        pythons = () if step.sdist_alone else sorted(step.pythons, key=Version) or ("",)
        for python in pythons:
            if python and any(serves(wheel.name, python) for wheel in made[1:]):
                continue
            scratch = run.folder("build")
            with closing(first if both and not python else bench(source, python)) as at_work:
                wheel = build_wheel(step.package, sdist, into, scratch, at_work, step.settings)
            shutil.rmtree(scratch, ignore_errors=True)  # now, side by side, rather than all at the end
            provided.update(at_work.provided)
            made.append(repaired(wheel, into, variables, run.tell(step)))
        return made


def _by_command(  # noqa: PLR0913, PLR0917 - as above
    step: Build, source: Path, into: Path, run: Run, variables: Mapping[str, str], conditions: Conditions
) -> list[Path]:
    """Let the project's own command make the archives."""
    words = [word.replace("{output}", str(into)) for word in step.command]
    process.run(
        words, cwd=source, env=variables, umask=conditions.umask, timeout=_COMMAND_LIMIT, on_line=run.tell(step)
    ).check(f"{step.package}: its own build command", fix=f"try it in {step.folder}: {shlex.join(step.command)}")
    made = sorted(path for path in into.iterdir() if path.name.endswith((".tar.gz", ".whl")))
    if not made:
        raise Failed(
            "todo",
            f"{step.package}: its own build command left no archive",
            fix="let it write the sdist and the wheels into the folder that {output} stands for",
        )
    return made


@contextlib.contextmanager
def staging_folder(output: Path, package: str) -> Iterator[Path]:
    """A new folder for what is built of a package, in the folder that it then moves to; those of killed runs go.

    Its name is its own: what a killed run started may go on, and must not write over what this run makes.
    """
    make_output(output)
    with TemporaryFolder(output) as folder:
        staging = folder.path / package
        staging.mkdir()
        yield staging


def move_to(folder: Path, files: Iterable[Path]) -> None:
    """Give files their final names, whole: a name that is there belongs to a file whose bytes are on the disk."""
    for path in files:
        with path.open("rb") as content:
            path.chmod(path.stat().st_mode & ~_WRITABLE_BY_OTHERS)
            os.fsync(content.fileno())
        path.replace(folder / path.name)


def same_bytes(path: Path, built: Distribution) -> None:
    """See that a file is the one that was looked into.

    Raises:
        Failed: It is not.
    """
    digests = archives.digests(path)
    if digests.sha256 != built.sha256:
        raise Failed(
            "todo",
            f"{path.name} changed after it was built: {digests.sha256} instead of {built.sha256}",
            fix="who else writes into that folder? build again",
        )
