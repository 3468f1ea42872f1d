"""Build every package: its sdist, and its wheel from that sdist, in dependency order, checked and recorded.

The present commit is exported and built, so that uncommitted changes cannot be released. Packages are built in
isolated environments, several at a time. Archives are checked before they move to the output folder; packages
whose inputs are unchanged keep their archives. At the end the manifest is written: dist/manifest.json and
dist/BUILD_MANIFEST.txt.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from relnox import core, steps
from relnox.commands.shared import consistency, hooks
from relnox.commands.shared.hooks import NO_HOOKS
from relnox.core.planning.step import after
from relnox.core.settings.options import CommonOptions, option
from relnox.core.text import listing
from relnox.errors import Blocked

if TYPE_CHECKING:
    from collections.abc import Container, Iterator, Mapping, Sequence

    from relnox.commands.shared.hooks import Hooks
    from relnox.commands.shared.project import Project
    from relnox.core.packages import Package
    from relnox.core.planning.events import Outcome
    from relnox.core.planning.plan import Plan, Problem, Table
    from relnox.core.planning.step import Step
    from relnox.core.release.manifest import Manifest
    from relnox.core.release.wheels import WheelJob
    from relnox.core.settings.build_settings import BuildSettings, Constraints
    from relnox.core.settings.config import TestConfig, WheelsConfig
    from relnox.core.versions.derived_versions import CommitTags
    from relnox.source.git import GitState

__all__ = ["Options", "Snapshot", "observe", "plan", "summarize"]


class Options(CommonOptions):
    """Options of `build-all`."""

    package: tuple[str, ...] = option(
        (),
        "Build this package only (distribution or folder name; repeatable).",
        metavar="NAME",
        anywhere=False,
    )
    shard: str | None = option(
        None,
        "Build one part of the packages, such as 2/5 in the second of five jobs.",
        metavar="I/N",
        anywhere=False,
    )
    matrix: str | None = option(
        None,
        "Write the jobs for platform wheels to a file, as JSON for CI; build nothing.",
        metavar="FILE",
        anywhere=False,
    )
    wheels: str | None = option(
        None,
        "Build the platform wheels of this job of the matrix, with cibuildwheel, from the sdist in the output.",
        metavar="JOB",
        anywhere=False,
    )
    skip_platform_wheels: bool = option(
        False,
        "Build no wheels of packages that have platform wheels (the jobs of the matrix build them).",
        anywhere=False,
    )
    output: str = option("dist", "The folder for the archives.", metavar="DIR")
    from_tree: bool = option(
        False, "Build the working tree, uncommitted changes included, for local tests.", anywhere=False
    )
    allow_mismatch: bool = option(False, "Build even if a tag of the commit has another version.", anywhere=False)
    clean: bool = option(False, "Remove the archives of earlier builds from the output folder first.")
    test: bool = option(False, "Run the configured tests against each built wheel.")
    python: tuple[str, ...] = option(
        (),
        "Build platform wheels for this Python, and run the tests on it, such as 3.12 (repeatable); default: the "
        "running one.",
        metavar="VERSION",
    )
    reproducible: bool = option(
        False, "Build twice, with another path, umask, time zone and file times, and compare byte by byte."
    )
    strict: bool = option(False, "Treat warnings about the archives as errors.")
    continue_on_error: bool = option(False, "After a failure, build the packages that do not need the failed one.")
    isolation: Literal["fast", "strict"] = option(
        "fast",
        "fast shares environments and warm processes where that changes no byte; strict shares nothing.",
        choices=("fast", "strict"),
        metavar="KIND",
    )
    cache: bool = option(True, "Reuse archives of packages whose inputs are unchanged, and build environments.")
    clear_cache: bool = option(False, "Remove cached build environments first.", anywhere=False)
    installer: str = option(
        "auto", "The installer for build environments.", choices=("auto", "uv", "pip"), metavar="NAME"
    )


class Snapshot(NamedTuple):
    """What the plan of a build depends on.

    Attributes:
        packages: The packages to build, in release order.
        needs: The workspace packages that installing a package needs, by package.
        state: The state of the checkout; None outside git.
        commit: The commit to build; None to build the working tree.
        uncommitted_packages: Packages that are not in that commit.
        inputs: A digest of the inputs of each package; empty when the working tree is built.
        epoch: The time of the commit, seconds since 1970; None outside git.
        existing_files: The names in the output folder; those of folders end in a slash.
        removable_files: Those of them that --clean removes: the manifest, archives that it lists, and archives of
            packages of this workspace.
        test: The test configuration.
        commands: The project's own build commands, by package.
        metadata_only: Packages that consist of requirements only, whose wheels may be empty.
        optional_extensions: Packages whose wheels may lack their native modules.
        tags: The tags of the commit, for packages whose versions only their backends know.
        settings: The project's settings for the builds besides `[build-system]`, by package.
        wheels: The packages that have platform wheels, and their platforms.
        warnings: Warnings of discovery.
        untagged_packages: Packages whose versions come from tags, and that have no tag on the commit.
        declarative: Packages whose builds run no code but the backend's.
        problems: Contradicting versions, and imported modules that are not committed.
        notes: Notes on requirements and settings of the packages.
        mismatches: Tags of the commit that have other versions than their packages.
        hooks: The project's hooks.
    """

    packages: tuple[Package, ...]
    needs: dict[str, frozenset[str]]
    state: GitState | None
    commit: str | None
    uncommitted_packages: tuple[str, ...]
    inputs: dict[str, str]
    epoch: int | None
    existing_files: tuple[str, ...]
    removable_files: frozenset[str]
    test: TestConfig
    commands: Mapping[str, tuple[str, ...]]
    metadata_only: frozenset[str]
    optional_extensions: frozenset[str]
    tags: Mapping[str, CommitTags]
    settings: Mapping[str, BuildSettings]
    wheels: WheelsConfig
    warnings: tuple[str, ...]
    untagged_packages: tuple[str, ...]
    declarative: frozenset[str]
    problems: tuple[Problem, ...]
    notes: tuple[str, ...]
    mismatches: tuple[Problem, ...]
    hooks: Hooks = NO_HOOKS


def observe(options: Options, project: Project) -> Snapshot:
    """Read the packages, the state of git, and the output folder."""
    from relnox.source.inputs import digests, is_declarative

    packages = project.select(options.package)
    _check_usage(options)
    if options.shard is not None:
        packages = core.sharding.shard(packages, options.shard)
    folder = project.root / options.output
    git, state = project.git, project.state
    commit: str | None = None
    uncommitted_packages: tuple[str, ...] = ()
    inputs: dict[str, str] = {}
    if git is not None and state is not None and state.head is not None and not options.from_tree:
        commit = state.head
        object_ids = git.object_ids(commit, [package.pyproject for package in packages])
        uncommitted_packages = tuple(package.name for package in packages if object_ids[package.pyproject] is None)
        inputs = digests(project.root, git, commit, packages)
    existing_files = tuple(sorted(_file_names(folder))) if folder.is_dir() else ()
    names = {core.names.normalized(package.name) for package in project.workspace.packages}
    mismatches, consistency_notes = consistency.check_build(packages, project, commit)
    settings, settings_notes = _settings(packages, project, options.installer)
    return Snapshot(
        packages=packages,
        needs={package.name: project.workspace.needed_by(package) for package in packages},
        state=state,
        commit=commit,
        uncommitted_packages=uncommitted_packages,
        inputs=inputs,
        epoch=project.git.commit_time() if project.git is not None else None,
        existing_files=existing_files,
        removable_files=frozenset(name for name in existing_files if _may_be_from_build(name, names))
        | _files_of_manifest(folder).intersection(existing_files),
        test=project.config.test,
        commands=project.config.build.commands,
        metadata_only=frozenset(filter(project.config.is_metadata_only, names)),
        optional_extensions=frozenset(filter(project.config.has_optional_extensions, names)),
        tags=dict(_tags(packages, project)) if commit is not None else {},
        settings=settings,
        wheels=project.config.wheels,
        warnings=project.workspace.warnings,
        untagged_packages=_untagged(packages, project),
        declarative=frozenset(package.name for package in packages if is_declarative(project.root, package)),
        problems=tuple(_problems(packages, project, commit)),
        notes=(
            *core.siblings.unbounded_siblings(packages, project.workspace, project.config),
            *consistency_notes,
            *settings_notes,
        ),
        mismatches=mismatches,
        hooks=hooks.observe(project),
    )


def _tags(packages: tuple[Package, ...], project: Project) -> Iterator[tuple[str, CommitTags]]:
    """Return the tags of the present commit, for packages whose versions only their backends know."""
    from relnox.source import tag_versions

    state, formats = project.state, project.tag_formats
    here = [tag for tag, commit in state.tags.items() if commit == state.head] if state is not None else []
    for package in packages:
        if package.source.kind in ("tags", "dynamic"):
            derives = package.source.kind == "tags"
            remedy = ""
            if derives:
                settings = tag_versions.settings_for_own_tags(package, formats[package.name].prefix)
                remedy = f"make the build backend use the package's own tags; add to the named file:\n{settings}"
            tags = core.derived_versions.tags_of_commit(
                package.name, here, formats, derives=derives, remedy=remedy
            )
            yield package.name, tags


def _settings(
    packages: tuple[Package, ...], project: Project, installer: str
) -> tuple[dict[str, BuildSettings], list[str]]:
    """Return the build settings of each package, from project and environment, and notes about them.

    Raises:
        Blocked: Constraints name other places than the one index of the settings.
    """
    import os

    from relnox.building.environments import find_installer
    from relnox.building.installer_settings import constraint_files, external_constraints
    from relnox.indexes import targets
    from relnox.source import uv_settings

    files = constraint_files(os.environ, Path.cwd())
    paths = tuple(dict.fromkeys(name for name, _ in files))
    by_package: dict[str, BuildSettings] = {}
    honored: dict[str, None] = {}
    not_honored: dict[str, list[str]] = {}
    for package in packages:
        uv = uv_settings.read(project.root, package)
        build = uv.build
        constraints = core.records.replace(build.constraints, files=paths)
        if exclude_newer := os.environ.get("UV_EXCLUDE_NEWER"):
            constraints = core.records.replace(constraints, exclude_newer=exclude_newer)
        by_package[package.name] = core.records.replace(build, constraints=constraints)
        honored |= dict.fromkeys(f"{key} ({uv.file})" for key in uv.honored)
        for setting in (*uv.not_honored, *find_installer(installer).unsupported(constraints)):
            not_honored.setdefault(f"{setting} ({uv.file})", []).append(package.name)
    honored |= dict.fromkeys(setting for _, setting in files)
    honored |= {"UV_EXCLUDE_NEWER": None} if os.environ.get("UV_EXCLUDE_NEWER") else {}
    if targets.build_simple_url(project.config) is not None:
        bounds = {bound for build in by_package.values() for bound in build.constraints.requirements}
        if addresses := list(external_constraints([name for name, _ in files], sorted(bounds))):
            raise Blocked(
                "constraint-names-address",
                "constraints name addresses, but builds may use only one index (build-index or trusted-index): "
                f"{listing(addresses)}",
                fix=f"remove the addresses from {listing(list(honored))}",
            )
    notes = [f"builds follow {', '.join(honored)}"] if honored else []
    notes += [f"not honored: {setting}, for {listing(names)}" for setting, names in not_honored.items()]
    notes += [
        f"not honored: {name} (uv build ignores it too)"
        for name in ("UV_CONSTRAINT", "UV_OVERRIDE")
        if os.environ.get(name)
    ]
    notes += [
        f"not honored: {name} (relnox builds in isolated environments)"
        for name in ("UV_NO_BUILD_ISOLATION", "PIP_NO_BUILD_ISOLATION")
        if os.environ.get(name)
    ]
    return by_package, notes


def _problems(packages: tuple[Package, ...], project: Project, commit: str | None) -> Iterator[Problem]:
    """Find packages with contradicting versions, and imported modules that are not in the commit."""
    for package in packages:
        located = project.literals.workspace.by_name[package.name]
        if located.other_locations and not core.version_bumps.locations_agree(located, located.version):
            yield core.plan.Problem(
                code="versions-disagree",
                message=core.version_bumps.describe_disagreement(located),
                fix=f"set one version everywhere: {core.fixes.command('bump', '--to', 'VERSION')}; or ignore "
                "version literals: version-literals = false",
            )
    if commit is not None:
        for importing, imported in project.untracked_imports(packages):
            yield core.plan.Problem(
                code="imported-module-untracked",
                message=f"{importing} imports {imported} (untracked: not in the commit)",
                fix=f"git add {imported}, and commit it",
            )


def _check_usage(options: Options) -> None:
    if options.matrix is not None and options.wheels is not None:
        raise Blocked(
            "options-conflict",
            "--matrix and --wheels cannot be combined (--matrix builds nothing)",
            fix="run the command once with each of them",
        )
    if options.python:
        from relnox.building.interpreters import find_interpreter

        for version in options.python:
            find_interpreter(version)  # fails now, not after half of the builds


def plan(snapshot: Snapshot, options: Options) -> Plan:
    """Plan a build of every package, one check of all archives, and the manifest."""
    if options.test and not snapshot.test.command:
        raise Blocked(
            "tests-not-configured",
            "--test needs [tool.relnox.test] command (not set)",
            fix='add [tool.relnox.test] command = ["python", "-m", "pytest"] and requires = ["pytest"]',
        )
    if options.matrix is not None:
        return _matrix(snapshot, options.matrix)
    if options.wheels is not None:
        return _platform_wheels(snapshot, options.wheels, options)
    names = {package.name for package in snapshot.packages}
    preparation: list[Step] = []
    files = tuple(name for name in snapshot.existing_files if name in snapshot.removable_files)
    if options.clean and files:
        preparation.append(steps.CleanFolder(folder=options.output, files=files))
    if options.clear_cache:
        preparation.append(steps.ClearCache())
    export = steps.Export(commit=snapshot.commit) if snapshot.commit is not None else None
    if export is not None:
        preparation.append(export)
    participants = hooks.of_packages(snapshot.packages, snapshot.hooks)
    generators = snapshot.hooks.plan("before-build", "build-all", participants, needs=after(export))
    preparation += generators
    preparation += _environments(snapshot, options)
    builds: dict[str, steps.Build] = {}
    for package in snapshot.packages:
        siblings = [builds[name] for name in _siblings_for_build(package, snapshot)]
        own = [step for step in generators if any(package.name == of.name for of in step.packages)]
        builds[package.name] = _build(package, snapshot, options, needs=after(export, *own, *siblings))
    check = steps.CheckDistributions(output=options.output, strict=options.strict)
    work = (*_work(builds, snapshot, options), check)
    # With --continue-on-error, successful builds are recorded although others failed, and hooks get these.
    successful = () if options.continue_on_error else after(*work)
    hooks_after = snapshot.hooks.plan(
        "after-build", "build-all", participants, folder=options.output, needs=successful
    )
    order = tuple(
        (package.name, tuple(sorted(snapshot.needs[package.name] & names))) for package in snapshot.packages
    )
    state = snapshot.state
    manifest = steps.WriteManifest(
        output=options.output,
        commit=state.head if state is not None else None,
        dirty=snapshot.commit is None and bool(_uncommitted(snapshot, options)),
        order=order,
        needs=(*successful, *after(*(step for step in hooks_after if step.hook.on_failure == "fail"))),
    )
    return core.plan.Plan(
        task="build-all",
        steps=(*preparation, *work, *hooks_after, manifest),
        notes=(*snapshot.warnings, *_notes(snapshot, options)),
        problems=(
            *snapshot.problems,
            *(() if options.allow_mismatch else snapshot.mismatches),
            *_uncommitted_problems(snapshot),
        ),
        continue_on_error=options.continue_on_error,
    )


def summarize(outcome: Outcome, folder: Path) -> tuple[Table, ...]:
    """Return a table of the packages: how their builds ended, their files and warnings."""
    builds = [(result, result.step) for result in outcome.results if isinstance(result.step, steps.Build)]
    if not builds:
        return ()
    manifest = _read_manifest(folder / builds[0][1].output)
    # Warnings of the check of all archives belong to files of packages as well.
    files_with_warnings = [warning.file for result in outcome.results for warning in result.warnings]
    rows = []
    for result, step in builds:
        succeeded = result.status in (core.events.Status.SUCCESS, core.events.Status.SKIPPED)
        files = manifest.files_of(step.package) if manifest is not None and succeeded else ()
        version = files[0].version if files else step.version
        failed_later = succeeded and manifest is not None and step.package in manifest.missing
        status = core.events.Status.FAILED if failed_later else result.status
        warnings = len(result.warnings)
        if files:
            names = {file.filename for file in files}
            warnings = sum(name in names for name in files_with_warnings)
        counts = (str(count or "-") for count in (len(files), warnings))
        rows.append((step.package, str(version or "-"), status.value, *counts))
    columns = ("package", "version", "build", "files", "warnings")
    return (core.plan.Table(title="", columns=columns, rows=tuple(rows)),)


def _work(builds: Mapping[str, steps.Build], snapshot: Snapshot, options: Options) -> Iterator[Step]:
    """Yield the builds, each followed by what is done with its archives."""
    for package, build in builds.items():
        yield build
        if options.reproducible:
            yield steps.CheckReproducibility(build=build, needs=after(build))
        if options.test:
            siblings = [builds[name] for name in sorted(snapshot.needs[package] & builds.keys())]
            for python in _pythons(options) or ("",):
                yield _tests(build, python, siblings, snapshot.test)


def _environments(snapshot: Snapshot, options: Options) -> Iterator[Step]:
    """Yield a step for every environment that packages with the same requirements share."""
    from relnox.building.backends import SHAREABLE_BACKENDS

    sharing: dict[tuple[tuple[str, ...], Constraints], list[Package]] = {}
    for package in snapshot.packages:
        settings = snapshot.settings[package.name]
        requirements = {need.text for need in package.dependencies if need.table == "build"}
        requires = tuple(sorted(requirements | set(settings.extra_requires)))
        if (
            options.isolation == "fast"
            and package.backend.partition(":")[0] in SHAREABLE_BACKENDS
            and requires
            and package.name not in snapshot.commands
            and not package.needs("build") & snapshot.needs.keys()
        ):
            sharing.setdefault((requires, settings.constraints), []).append(package)
    for (requires, constraints), packages in sharing.items():
        yield steps.PrepareBuildEnvironment(
            requires=requires,
            backend=packages[0].backend.partition(":")[0],
            epoch=snapshot.epoch,
            installer=options.installer,
            keep=options.cache,
            output=options.output,
            inputs=tuple((package.name, _inputs(package, snapshot, options)) for package in packages),
            pythons=_pythons(options),
            constraints=constraints,
        )


def _siblings_for_build(package: Package, snapshot: Snapshot) -> list[str]:
    """Return the packages of the same plan that the build of a package needs."""
    direct = package.needs("build") & snapshot.needs.keys()
    return sorted(direct.union(*(snapshot.needs[name] & snapshot.needs.keys() for name in direct)))


def _inputs(package: Package, snapshot: Snapshot, options: Options) -> str | None:
    """Return a digest of a package's inputs; None to build it even if nothing changed."""
    digest = snapshot.inputs.get(package.name)
    if digest is None or not options.cache or _siblings_for_build(package, snapshot):
        return None
    settings = snapshot.settings[package.name].config_settings
    return hashlib.sha256(json.dumps([digest, settings]).encode()).hexdigest() if settings else digest


def _pythons(options: Options) -> tuple[str, ...]:
    return tuple(dict.fromkeys(options.python))


def _build(package: Package, snapshot: Snapshot, options: Options, *, needs: tuple[str, ...] = ()) -> steps.Build:
    siblings = _siblings_for_build(package, snapshot)
    return steps.Build(
        package=package.name,
        version=package.version,
        folder=package.folder,
        output=options.output,
        epoch=snapshot.epoch,
        strict=options.strict,
        installer=options.installer,
        isolation=options.isolation,
        inputs=_inputs(package, snapshot, options),
        keep_environments=options.cache,
        pythons=_pythons(options),
        sdist_only=options.skip_platform_wheels and bool(core.wheels.jobs(package, snapshot.wheels)),
        requires=core.requirements.requires_dist(package),
        private=package.private or snapshot.commit is None or package.name in snapshot.untagged_packages,
        declarative=package.name in snapshot.declarative,
        command=snapshot.commands.get(package.name, ()),
        tags=snapshot.tags.get(package.name),
        settings=snapshot.settings[package.name],
        may_be_empty=package.name in snapshot.metadata_only,
        optional_extensions=package.name in snapshot.optional_extensions,
        siblings=tuple(siblings),
        needs=needs,
    )


def _jobs(snapshot: Snapshot) -> list[WheelJob]:
    return [job for package in snapshot.packages for job in core.wheels.jobs(package, snapshot.wheels)]


def _matrix(snapshot: Snapshot, file: str) -> Plan:
    """Plan the file with the CI jobs that build platform wheels."""
    text = json.dumps(core.wheels.github_matrix(_jobs(snapshot)), separators=(",", ":"))
    return core.plan.Plan(task="build-all", steps=(steps.WriteMatrix(file=file, text=text),))


def _platform_wheels(snapshot: Snapshot, name: str, options: Options) -> Plan:
    """Plan the wheels of one job of the matrix."""
    jobs = {job.name: job for job in _jobs(snapshot)}
    if name not in jobs:
        raise Blocked(
            "wheel-job-unknown",
            f"job {name} is not in the matrix of platform wheels",
            fix=f"use one of {', '.join(jobs)}" if jobs else "list packages in [tool.relnox.wheels] first",
        )
    job = jobs[name]
    package = next(package for package in snapshot.packages if package.name == job.package)
    build = _build(package, snapshot, options)
    abi = snapshot.wheels.abi.get(package.name, "cpython")
    wheels = steps.BuildWheels(job=job, abi=abi, build=build)
    check = steps.CheckDistributions(output=options.output, strict=options.strict)
    manifest = steps.WriteManifest(
        output=options.output,
        commit=snapshot.state.head if snapshot.state is not None else None,
        dirty=False,
        order=tuple((package.name, ()) for package in snapshot.packages),
        needs=after(wheels, check),
    )
    return core.plan.Plan(task="build-all", steps=(wheels, check, manifest), notes=snapshot.warnings)


def _tests(build: steps.Build, python: str, siblings: Sequence[steps.Build], test: TestConfig) -> steps.RunTests:
    return steps.RunTests(
        package=build.package,
        python=python,
        folder=build.folder,
        output=build.output,
        command=test.command,
        requires=test.requires,
        environment=tuple(sorted(test.env.items())),
        siblings=tuple(sibling.package for sibling in siblings),
        installer=build.installer,
        needs=after(build, *siblings),
    )


def _notes(snapshot: Snapshot, options: Options) -> list[str]:
    notes = [
        f"{name} has no tag on this commit: its build backend derives a development version, which is not for "
        "publishing"
        for name in snapshot.untagged_packages
    ]
    notes += snapshot.notes
    if options.allow_mismatch:
        notes += consistency.allowed_notes(snapshot.mismatches)
    if changed := _uncommitted(snapshot, options):
        if snapshot.commit is not None:
            files = f"{listing(changed)} {'is' if len(changed) == 1 else 'are'}"
            notes.append(f"{files} not committed, and not built (--from-tree includes uncommitted changes)")
        else:
            notes.append("archives include uncommitted changes, and the manifest records that")
    foreign = [
        name
        for name in snapshot.existing_files
        if name not in snapshot.removable_files and not name.startswith(".")
    ]
    if foreign:
        notes.append(f"{options.output} has files that are not archives of this project: {', '.join(foreign)}")
    return notes


def _uncommitted(snapshot: Snapshot, options: Options) -> list[str]:
    """Return files that differ from the present commit, except those in the output folder."""
    if snapshot.state is None:
        return []
    changed = (*snapshot.state.dirty, *snapshot.state.untracked)
    return [name for name in changed if not name.startswith(f"{options.output}/")]


def _uncommitted_problems(snapshot: Snapshot) -> Iterator[Problem]:
    """Find packages and version files that the plan is made from and that differ from the commit."""
    if snapshot.commit is None or snapshot.state is None:
        return
    for name in snapshot.uncommitted_packages:
        yield core.plan.Problem(
            code="package-not-committed",
            message=f"{name} is not in the present commit (only committed files are built)",
            fix=f"commit it; to build the working tree: {core.fixes.command('build-all', '--from-tree')}",
        )
    decisive_files = {
        file
        for package in snapshot.packages
        for file in (package.pyproject, *(place.file for place in package.locations if place.kind != "lock"))
    }
    if changed := sorted(decisive_files.intersection(snapshot.state.dirty)):
        yield core.plan.Problem(
            code="tree-dirty",
            message=f"{', '.join(changed)}: changed since the present commit (only committed files are built)",
            fix=f"commit the changes; to build the working tree: {core.fixes.command('build-all', '--from-tree')}",
        )


def _untagged(packages: tuple[Package, ...], project: Project) -> tuple[str, ...]:
    """Return packages whose versions come from tags, and that have none on the present commit."""
    state, formats = project.state, project.tag_formats
    here = [tag for tag, commit in state.tags.items() if commit == state.head] if state is not None else []
    return tuple(
        package.name
        for package in packages
        if package.source.kind == "tags" and formats[package.name].latest(here) is None
    )


def _file_names(folder: Path) -> Iterator[str]:
    for path in folder.iterdir():
        yield f"{path.name}/" if path.is_dir() and not path.is_symlink() else path.name


def _read_manifest(folder: Path) -> Manifest | None:
    """Return the manifest in a folder, if there is a readable one."""
    path = folder / core.manifest.MANIFEST_JSON
    try:
        return core.manifest.Manifest.from_json(path.read_text(encoding="utf-8"), where=str(path))
    except (OSError, UnicodeDecodeError, Blocked):
        return None


def _files_of_manifest(folder: Path) -> frozenset[str]:
    """Return the archives in the manifest of an earlier build; none if there is no readable manifest."""
    manifest = _read_manifest(folder)
    return frozenset(file.filename for file in manifest.distributions) if manifest is not None else frozenset()


def _may_be_from_build(name: str, packages: Container[str]) -> bool:
    """Return whether a file may be from an earlier build: the manifest, or an archive of one of these packages."""
    if name in (core.manifest.MANIFEST_JSON, core.manifest.MANIFEST_TEXT):
        return True
    if not name.endswith((".whl", ".tar.gz")):
        return False
    # The version follows the last dash in the name of an sdist, and the first one in the name of a wheel.
    project = name.partition("-")[0] if name.endswith(".whl") else name.rpartition("-")[0]
    return core.names.normalized(project) in packages
