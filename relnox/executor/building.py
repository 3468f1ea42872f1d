"""Actions that build packages: export the commit, prepare environments, build, check and move the archives."""

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
from relnox.building.conditions import DEFAULT
from relnox.building.sessions import HookContext
from relnox.building.wheels import repair, supports
from relnox.core.planning import fixes
from relnox.core.release.manifest import BuildInputs
from relnox.errors import Failed
from relnox.executor.archive_checks import check_archives
from relnox.files import make_output
from relnox.source import exports, module_owners
from relnox.source.git import Git
from relnox.temporary_folders import TemporaryFolder

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from relnox.building.conditions import Conditions
    from relnox.building.environment_pool import BuildEnvironmentPool
    from relnox.building.sessions import BuildSession
    from relnox.core.release.manifest import Distribution
    from relnox.core.settings.build_settings import Constraints
    from relnox.core.steps import Build, ClearCache, Export, PrepareBuildEnvironment
    from relnox.executor.run import Run

__all__ = [
    "Building",
    "ClearingCache",
    "Exporting",
    "PreparingEnvironment",
    "build",
    "move_to",
    "same_bytes",
    "staging_folder",
]

_COMMAND_TIMEOUT = 4 * 3600.0
_WRITABLE_BY_OTHERS = 0o022


@dataclass
class ClearingCache:
    """Removes cached build environments of earlier runs."""

    step: ClearCache
    run: Run

    def check(self) -> str | None:
        """Done if the cache is empty."""
        return None if self.run.environment_cache.content() else "nothing to remove"

    def apply(self) -> None:
        """Clear the cache."""
        self.run.environment_cache.clear()

    def verify(self) -> str:
        """Check that the cache is empty."""
        if remaining := self.run.environment_cache.content():
            raise Failed(
                "file-not-removed",
                f"{remaining[0]} still exists after it was removed",
                fix="wait until other runs of relnox have ended, then rerun the command",
            )
        return "cache is empty"


@dataclass
class Exporting:
    """Exports the commit to build into a scratch folder."""

    step: Export
    run: Run

    def check(self) -> str | None:
        """Return None: the commit is always exported again."""
        return None

    def apply(self) -> None:
        """Export the commit."""
        if self.run.git is None:
            raise Failed("not-a-git-repository", "project is not in a git checkout", fix="git init")
        exports.remove_leftover(self.run.git)
        self.run.commit = self.step.commit
        self.run.export = self.run.scratch / "source"
        self.run.source = exports.export(self.run.git, self.step.commit, self.run.export)
        self.run.tracked = Git(self.run.source).tracked_files()

    def verify(self) -> str:
        """Check that the project's folder is in the commit."""
        if not self.run.source.is_dir():
            raise Failed(
                "project-not-committed",
                f"project folder is not in commit {self.step.commit[:10]}",
                fix="commit the project: git add . && git commit",
            )
        return f"exported {self.step.commit[:10]}"


@dataclass
class PreparingEnvironment:
    """Creates an environment for builds, and starts the warm process of their backend."""

    step: PrepareBuildEnvironment
    run: Run

    @property
    def pool(self) -> BuildEnvironmentPool:
        """The pool that the environment belongs to."""
        return self.run.environment_pool(self.step.installer, "", keep_environments=self.step.keep)

    def check(self) -> str | None:
        """Not needed if all packages that use it are unchanged."""
        previous = _previous_inputs(self.run, self.step.output)

        def is_unchanged(name: str, inputs: str | None) -> bool:
            if inputs is None or name not in previous:
                return False
            digest = _digest(
                inputs, previous[name].requires, self.pool, self.step.pythons, constraints=self.step.constraints
            )
            return previous[name].digest == digest

        try:
            same = all(is_unchanged(name, inputs) for name, inputs in self.step.inputs)
        except Failed:  # the builds report the problem
            return None
        return "not needed: its packages are unchanged" if same else None

    def apply(self) -> None:
        """Create the environment, or take it from the cache."""
        step = self.step
        self.environment = self.pool.prepare(
            step.requires, step.backend, self.run.variables(more=DEFAULT.variables(step.epoch)), step.constraints
        )

    def verify(self) -> str:
        """Check that the environment has an interpreter."""
        if not self.environment.python.exists():
            raise Failed(
                "environment-without-interpreter",
                f"{self.environment.python} does not exist",
                fix=f"remove cached environments: {fixes.command('build-all', '--clear-cache')}",
            )
        problem = self.pool.cache_problem
        return "ready" if problem is None else f"ready; {problem}"


@dataclass
class Building:
    """Builds a package into a staging folder, checks the archives, and moves them to the output folder."""

    step: Build
    run: Run

    def check(self) -> str | None:
        """Done if it was built from the same inputs before, and its archives exist and are still valid."""
        manifest = self.run.previous(self.step.output)
        inputs = _previous_inputs(self.run, self.step.output).get(self.step.package)
        if self.step.inputs is None or manifest is None or inputs is None:
            return None
        files = list(manifest.files_of(self.step.package))
        paths = [self.run.root / self.step.output / file.filename for file in files]
        try:
            same = inputs.digest == self._digest(inputs.requires)
            if not same or not all(path.is_file() for path in paths):
                return None
            if check_archives(paths, self.step, self.run) != files:
                return None
        except Failed:  # an archive is invalid, or a build requirement is no longer available
            return None
        self.run.reused.add(self.step.package)
        self.run.built[self.step.package] = files
        self.run.inputs[self.step.package] = inputs
        return f"unchanged: archives of commit {(inputs.commit or '')[:10]} are still valid"

    def apply(self) -> None:
        """Build, check the archives, and move them to the output folder."""
        self.run.warm_twine()
        output = self.run.root / self.step.output
        with staging_folder(output, self.step.package) as staging:
            requirement_sets: set[tuple[str, ...]] = set()
            source = self.run.source / self.step.folder
            with _fix_names_sibling(self.step, self.run):
                paths = build(self.step, source, staging, self.run, requirement_sets)
            distributions = check_archives(paths, self.step, self.run)
            move_to(output, paths)
        self.run.built[self.step.package] = distributions
        if self.step.inputs is not None:
            requires = tuple(sorted(requirement_sets))
            self.run.inputs[self.step.package] = BuildInputs(
                package=self.step.package,
                digest=self._digest(requires),
                requires=requires,
                commit=self.run.commit,
            )

    def verify(self) -> str:
        """Check that the archives in the output folder are the checked ones."""
        for built in self.run.built[self.step.package]:
            same_bytes(self.run.root / self.step.output / built.filename, built)
        return ", ".join(built.filename for built in self.run.built[self.step.package])

    def _digest(self, requires: Iterable[tuple[str, ...]]) -> str:
        step = self.step
        pool = self.run.environment_pool(step.installer, "", keep_environments=step.keep_environments)
        return _digest(
            step.inputs, requires, pool, step.pythons, step.command, constraints=step.settings.constraints
        )


@contextlib.contextmanager
def _fix_names_sibling(step: Build, run: Run) -> Iterator[None]:
    """Name the sibling in the fix if a build fails because a module of that sibling is missing."""
    try:
        yield
    except MissingModule as error:
        others = {name: folder for name, folder in run.folders.items() if name != step.package}
        module, owners = module_owners.nearest(run.source, others, error.modules)
        if owners:
            error.fix = (
                f'add "{owners[0]}" to requires in [build-system] of {step.package}, so that it is built first '
                f"({module} is in {' and '.join(owners)}, in this project)"
            )
        raise


def _previous_inputs(run: Run, output: str) -> dict[str, BuildInputs]:
    """Return what an earlier run built the packages from, by name."""
    manifest = run.previous(output)
    return {} if manifest is None else {inputs.package: inputs for inputs in manifest.inputs}


def _digest(  # noqa: PLR0913 - all inputs
    inputs: str | None,
    requires: Iterable[tuple[str, ...]],
    pool: BuildEnvironmentPool,
    pythons: Sequence[str] = (),
    command: Sequence[str] = (),
    *,
    constraints: Constraints,
) -> str:
    """Hash all inputs of a build: the source, and the releases that build requirements resolve to."""
    pins = [[*requirements, *pool.pins(requirements, constraints)] for requirements in requires]
    return hashlib.sha256(json.dumps([inputs, pins, pythons, command, *pool.sources]).encode()).hexdigest()


def build(  # noqa: PLR0913, PLR0917 - the parameters of a build
    step: Build,
    source: Path,
    into: Path,
    run: Run,
    requirement_sets: set[tuple[str, ...]],
    conditions: Conditions = DEFAULT,
) -> list[Path]:
    """Build a package's sdist, and from it a wheel, or one for each Python that no earlier wheel supports.

    Args:
        step: What to build.
        source: The package's folder.
        into: An empty folder for the archives.
        run: The run.
        requirement_sets: Collects the sets of build requirements.
        conditions: The umask, time zone and locale.
    """
    variables = run.variables(more=conditions.variables(step.epoch))
    if step.command:
        return _run_command(step, source, into, run, variables, conditions)
    siblings = {
        name: run.root / step.output / built.filename
        for name in step.siblings
        for built in run.built.get(name, ())
        if built.kind == "wheel"
    }
    context = HookContext(
        variables=variables,
        umask=conditions.umask,
        siblings=siblings,
        on_line=run.on_line(step),
        constraints=step.settings.constraints,
    )

    isolation = step.isolation if conditions is DEFAULT else "strict"
    both = step.declarative and isolation == "fast"

    def session(source: Path, python: str) -> BuildSession:
        pool = run.environment_pool(step.installer, python, keep_environments=step.keep_environments)
        return pool.session(source, isolation, context, both=both)

    with closing(session(source, "")) as first:
        sdist = build_sdist(step.package, source, into, first, step.settings)
        requirement_sets.update(first.requirement_sets)
        paths = [sdist]
        pythons = () if step.sdist_only else sorted(step.pythons, key=Version) or ("",)
        for python in pythons:
            if python and any(supports(wheel.name, python) for wheel in paths[1:]):
                continue
            scratch = run.folder("build")
            with closing(first if both and not python else session(source, python)) as current:
                wheel = build_wheel(step.package, sdist, into, scratch, current, step.settings)
            shutil.rmtree(scratch, ignore_errors=True)  # in parallel with other builds, not when the run ends
            requirement_sets.update(current.requirement_sets)
            paths.append(repair(wheel, into, variables, run.on_line(step)))
        return paths


def _run_command(  # noqa: PLR0913, PLR0917 - as above
    step: Build, source: Path, into: Path, run: Run, variables: Mapping[str, str], conditions: Conditions
) -> list[Path]:
    """Build the archives with the project's own build command."""
    arguments = [argument.replace("{output}", str(into)) for argument in step.command]
    process.run(
        arguments,
        cwd=source,
        env=variables,
        umask=conditions.umask,
        timeout=_COMMAND_TIMEOUT,
        on_line=run.on_line(step),
    ).check(f"{step.package}: build command", fix=f"run it yourself in {step.folder}: {shlex.join(step.command)}")
    paths = sorted(path for path in into.iterdir() if path.name.endswith((".tar.gz", ".whl")))
    if not paths:
        raise Failed(
            "build-command-without-archives",
            f"{step.package}: build command wrote no archives",
            fix="make it write the sdist and the wheels into the folder that replaces {output}",
        )
    return paths


@contextlib.contextmanager
def staging_folder(output: Path, package: str) -> Iterator[Path]:
    """Create a temporary folder for a package's archives in the output folder; remove those of killed runs.

    Its name is unique, since processes of a killed run may still write into the old one.
    """
    make_output(output)
    with TemporaryFolder(output) as folder:
        staging = folder.path / package
        staging.mkdir()
        yield staging


def move_to(folder: Path, files: Iterable[Path]) -> None:
    """Move files to a folder atomically: their content is on disk before the name exists."""
    for path in files:
        with path.open("rb") as content:
            path.chmod(path.stat().st_mode & ~_WRITABLE_BY_OTHERS)
            os.fsync(content.fileno())
        path.replace(folder / path.name)


def same_bytes(path: Path, built: Distribution) -> None:
    """Check that a file is the one that was checked before.

    Raises:
        Failed: Its hash differs.
    """
    digests = archives.digests(path)
    if digests.sha256 != built.sha256:
        raise Failed(
            "archive-changed",
            f"{path.name} was changed after it was built (sha256 {digests.sha256}, expected {built.sha256})",
            fix="stop other processes that write into that folder, then build again: "
            f"{fixes.command('build-all', '--clean')}",
        )
