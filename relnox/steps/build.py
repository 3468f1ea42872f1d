"""Export the commit; build packages from it, check and move the archives; build again, and compare."""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

from packaging.version import Version

from relnox.building import archives, build_environments, package_builds
from relnox.building.build_environments import BuildConditions, BuildEnvironment
from relnox.building.checks.expected import ExpectedArchive
from relnox.core.planning.step import Step
from relnox.core.records import Record, replace
from relnox.core.release.wheels import is_installable_on
from relnox.core.settings.build_settings import DEFAULT as DEFAULT_SETTINGS
from relnox.core.settings.build_settings import BuildSettings
from relnox.core.tag_versions import CommitTags
from relnox.core.text import format_count
from relnox.errors import Failed
from relnox.source.copies import copy_commit
from relnox.source.git import Git
from relnox.steps.build_environments import BuildingServices
from relnox.steps.built_archives import (
    BuiltPackage,
    archive_staging_directory,
    built_packages,
    check_archives,
    move_files,
    wheels_or_sdist,
)
from relnox.steps.run import Run

_export_lock = threading.Lock()
"""Held during an export: the list of exports is one file."""


class BuildSource(Record, kw_only=True):
    """The source of a build: an exported commit, or the working tree.

    Attributes:
        directory: The project's directory in the source.
        commit: The full commit id, or None for the working tree.
        tracked_files: The files of the commit, relative to `directory`; None for the working tree.
    """

    directory: Path
    commit: str | None = None
    tracked_files: tuple[str, ...] | None = None


class HookGeneratedFiles(Record, kw_only=True):
    """Files that a `before-build` hook generated in the exported commit, and that git ignores there.

    The paths are relative to the project's directory.
    """

    files: tuple[str, ...]


def hook_generated_files(run: Run) -> set[str]:
    """Return the files that `before-build` hooks of the run generated, relative to the project's directory."""
    return {name for generated in run.results(HookGeneratedFiles) for name in generated.files}


def source_to_build(run: Run) -> BuildSource:
    """Return the source that a run builds: the exported commit, or the working tree if none was exported.

    The files that hooks generated in an exported commit count as tracked.
    """
    source = run.result(BuildSource) or BuildSource(directory=run.root)
    generated = hook_generated_files(run)
    if source.tracked_files is None or not generated:
        return source
    return replace(source, tracked_files=(*source.tracked_files, *generated))


class Export(Step, key="export", title="export commit {self.commit:.10} (without uncommitted changes)"):
    """Export a commit to a temporary directory, so that only committed files are built."""

    exclusive = True
    concurrent = True
    commit: str

    def apply(self, run: Run) -> BuildSource:
        copy = copy_commit(run.checkout, self.commit, run.scratch / "source")
        return BuildSource(directory=copy.root, commit=self.commit, tracked_files=copy.tracked_files())

    def verify(self, run: Run, result: BuildSource) -> str:
        """Name the commit; raise `Failed` if the project's directory is not in it."""
        del run
        if not result.directory.is_dir():
            raise Failed(
                "tree-dirty",
                f"the project directory is not in commit {self.commit[:10]}",
                fix="commit the project: git add . && git commit",
            )
        return f"exported {self.commit[:10]}"


class Build(Step, key="build {self.package}"):
    """Build a package's sdist, and its wheel from that sdist, in isolation; check and move them to `output`.

    Attributes:
        version: The version, or None if it comes from the backend.
        directory: The package's directory, relative to that of the project.
        output: The archive directory, relative to the root.
        siblings: The packages of the same plan that the build requires; their new wheels are installed.
        epoch: `SOURCE_DATE_EPOCH` of the build: the commit's time, seconds since 1970; None to leave it unset.
        strict: Whether warnings about the archives are errors.
        pythons: The Pythons to build platform wheels for, such as `3.12`; empty for the running one.
        wheels: `release`; `check`, to build one from the sdist, but not to release it; `skip`, because other jobs
            build them for several platforms.
        requires: The expected `Requires-Dist` values, or None if the backend determines them.
        private: Whether the rules of the public index cause warnings only, because it goes to another index.
        command: The project's own command that builds all archives; empty for the build backend.
        tags: The tags of the commit if the version comes from tags, else None.
        settings: The project's settings for the build besides `[build-system]`.
        may_be_empty: Whether the wheel may have no module, script or data: a package that only has requirements.
        optional_extensions: Whether the wheel may lack the native modules that the source declares.
        fake_secrets: Globs for the end of paths: files in which what looks like a secret is allowed.
        ignored_imports: Pairs of paths: a module, and a module that it imports and git ignores, so that the wheel
            has it only if the build generates it.
    """

    runs_project_code = True
    exclusive = True
    concurrent = True
    package: str
    version: Version | None
    directory: str
    output: str
    siblings: tuple[str, ...] = ()
    epoch: int | None
    strict: bool
    pythons: tuple[str, ...] = ()
    wheels: Literal["release", "check", "skip"] = "release"
    requires: tuple[str, ...] | None
    private: bool
    command: tuple[str, ...] = ()
    tags: CommitTags | None = None
    settings: BuildSettings = DEFAULT_SETTINGS
    may_be_empty: bool = False
    optional_extensions: bool = False
    fake_secrets: tuple[str, ...] = ()
    ignored_imports: tuple[tuple[str, str], ...] = ()

    @property
    def title(self) -> str:
        built = {
            "release": "sdist, then wheel from sdist",
            "check": "sdist (and a wheel from it, which is not released)",
            "skip": "sdist",
        }
        return f"build {self.package} {self.version or '(version from its backend)'}: {built[self.wheels]}"

    @property
    def package_invalidated_by_failure(self) -> str:
        return self.package

    def apply(self, run: Run) -> BuiltPackage:
        source = source_to_build(run)
        output = run.root / self.output
        with archive_staging_directory(output, self.package) as staging:
            paths = build_archives(self, source.directory / self.directory, staging, run)
            built = self._check_archives(paths, run)
            move_files(output, paths)
        return built

    def verify(self, run: Run, result: BuiltPackage) -> str:
        del run
        return ", ".join(file.filename for file in result.files)

    def _check_archives(self, paths: Sequence[Path], run: Run) -> BuiltPackage:
        """Check built archives against this step's fields, and add warnings to its result."""
        source = source_to_build(run)
        expected = ExpectedArchive(
            name=self.package,
            version=self.version,
            requires=self.requires,
            tracked_files=None
            if source.tracked_files is None
            else _files_below(self.directory, source.tracked_files),
            generated_files=_files_below(self.directory, hook_generated_files(run)),
            is_private=self.private,
            may_be_empty=self.may_be_empty,
            extensions_are_optional=self.optional_extensions,
            fake_secrets=self.fake_secrets,
            ignored_imports=self.ignored_imports,
        )
        warn = functools.partial(run.add_warnings, self)
        return check_archives(paths, expected, warn, tags=self.tags, strict=self.strict)


def _files_below(directory: str, files: Iterable[str]) -> frozenset[str]:
    """Return those files that are below a directory (`.`: all), as paths relative to it."""
    prefix = "" if directory == "." else f"{directory}/"
    return frozenset(name.removeprefix(prefix) for name in files if name.startswith(prefix))


def build_archives(
    step: Build, source: Path, into: Path, run: Run, conditions: BuildConditions | None = None
) -> list[Path]:
    """Build the archives of a step in the directory `into`, and return the paths of those to release.

    They come from the project's own build command; without one, they are an sdist, and wheels built from it.
    `source` is the package's directory; `conditions` is None for the default umask, time zone and locale. `Failed`
    is raised if a build fails.
    """
    conditions = conditions or build_environments.DEFAULT_CONDITIONS
    variables = run.environment_variables(more=conditions.environment_variables(step.epoch))
    if step.command:
        return package_builds.run_build_command(
            step.package,
            step.command,
            source,
            into,
            umask=conditions.umask,
            variables=variables,
            on_line=run.line_callback(step),
            builds_wheels=step.wheels != "check",
        )
    packages = built_packages(run)
    siblings = {
        name: run.root / step.output / file.filename
        for name in step.siblings
        if name in packages
        for file in wheels_or_sdist(packages[name])
    }
    context = build_environments.BuildHookContext(
        variables=variables,
        umask=conditions.umask,
        siblings=siblings,
        on_line=run.line_callback(step),
        constraints=step.settings.constraints,
    )

    shared = conditions is build_environments.DEFAULT_CONDITIONS

    def environment(source: Path, python: str) -> BuildEnvironment:
        pool = run.service(BuildingServices).environment_pool(python)
        return build_environments.create_build_environment(pool, source, context, shared=shared)

    build_archive = package_builds.build_archive
    paths = [build_archive(step.package, "sdist", source, into, environment(source, ""), step.settings)]
    if step.epoch is not None:
        archives.limit_sdist_times(paths[0], step.epoch)
    pythons = sorted(step.pythons, key=Version) if step.wheels == "release" else []
    for python in pythons or ([] if step.wheels == "skip" else [""]):
        if python and any(is_installable_on(wheel.name, python) for wheel in paths[1:]):
            continue
        scratch = run.create_temporary_directory("build")
        sdist_directory = archives.unpack_sdist(paths[0], scratch)
        output = into if step.wheels == "release" else scratch
        wheel = build_archive(
            step.package, "wheel", sdist_directory, output, environment(source, python), step.settings
        )
        shutil.rmtree(scratch, ignore_errors=True)  # in parallel with other builds, not when the run ends
        if step.wheels == "release":
            paths.append(wheel)
    return paths


class CheckReproducibility(
    Step,
    key="compare {self.build.package}",
    title="build {self.build.package} again in another directory, and compare",
):
    """Build a package again with another path, umask, time zone, locale and file times; fail if a hash differs.

    Attributes:
        build: The step that built the package before, in the same run.
    """

    runs_project_code = True
    concurrent = True
    build: Build

    @property
    def package_invalidated_by_failure(self) -> str:
        return self.build.package

    def apply(self, run: Run) -> str:
        again = run.create_temporary_directory("again")
        source = self._create_second_source(again, run) / self.build.directory
        output = again / "archives"
        output.mkdir()
        paths = build_archives(self.build, source, output, run, build_environments.VARIED_CONDITIONS)
        rebuilt = {path.name: archives.hash_file(path).sha256 for path in paths}
        first = {file.filename: file.sha256 for file in built_packages(run)[self.build.package].files}
        common = sorted(first.keys() & rebuilt.keys())
        lines = [f"  {name} differs" for name in common if first[name] != rebuilt[name]]
        lines += [f"  {name} is only in the first build" for name in sorted(first.keys() - rebuilt.keys())]
        lines += [f"  {name} is only in the second build" for name in sorted(rebuilt.keys() - first.keys())]
        if lines:
            raise Failed(
                "build-not-reproducible",
                "\n".join([f"{self.build.package} is not reproducible:", *lines]),
                fix="compare the archives of two builds with diffoscope; use a build backend that normalizes "
                "permissions and times (hatchling, flit-core, poetry-core, uv_build)",
            )
        return f"{format_count(len(first), 'archive')} identical in both builds"

    def _create_second_source(self, directory: Path, run: Run) -> Path:
        """Copy the source below a directory, with other times and modes; return the project's directory there."""
        checkout = directory / "checkout"
        first = source_to_build(run)
        if first.commit is not None and run.git is not None:
            with _export_lock:
                source = copy_commit(run.git, first.commit, directory).root
            for name in hook_generated_files(run):
                (source / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(first.directory / name, source / name)
        else:
            source = checkout
            own_paths = (run.root / self.build.output, run.scratch)  # relnox's archives, and the copy itself

            def own_names(directory: str, names: Iterable[str]) -> list[str]:
                return [name for name in names if Path(directory, name) in own_paths]

            with contextlib.suppress(shutil.Error):  # sockets, and files that parallel builds create and remove
                shutil.copytree(first.directory, source, symlinks=True, ignore=own_names)
        for path in checkout.rglob("*"):
            if not path.is_symlink():
                path.chmod(path.stat().st_mode & ~build_environments.VARIED_CONDITIONS.umask)
                os.utime(path)
        if run.git is not None:  # else git reports all files as changed
            Git(source).run("update-index", "-q", "--refresh")
        return source
