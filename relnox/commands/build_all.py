"""Build every package: its sdist, and its wheel from that sdist, in dependency order, checked and recorded.

What is built is the present commit, checked out beside the tree, so that nothing that is not committed can ship.
Each package is built isolated, with what its backend asks for, several at once. The archives are looked into
before they move to the output folder; a package whose inputs did not change keeps those it has. The manifest,
dist/manifest.json and dist/BUILD_MANIFEST.txt, is written when all is built.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from relnox import core
from relnox.commands import consistency
from relnox.core.options import CommonOptions, option
from relnox.core.steps.base import listing
from relnox.errors import Blocked

if TYPE_CHECKING:
    from collections.abc import Container, Iterator, Mapping

    from relnox.commands.project import Project
    from relnox.core.build_settings import BuildSettings, Constraints
    from relnox.core.config import TestConfig, WheelsConfig
    from relnox.core.derived_versions import CommitTags
    from relnox.core.events import Outcome
    from relnox.core.manifest import Manifest
    from relnox.core.packages import Package
    from relnox.core.plan import Plan, Problem, Table
    from relnox.core.steps import Build, RunTests, Step
    from relnox.core.wheels import WheelJob
    from relnox.source.git import GitState

__all__ = ["Options", "Snapshot", "observe", "plan", "summarize"]


_GROUNDWORK = (
    core.steps.CleanFolder | core.steps.ClearCache | core.steps.Export | core.steps.PrepareBuildEnvironment
)
"""What the manifest tells nothing of."""


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
        "Build the platform wheels of this job of the matrix, with cibuildwheel, from the sdist that is built.",
        metavar="JOB",
        anywhere=False,
    )
    skip_platform_wheels: bool = option(
        False,
        "Build no wheels of packages that have platform wheels: the jobs of the matrix do.",
        anywhere=False,
    )
    output: str = option("dist", "The folder for the archives.", metavar="DIR")
    from_tree: bool = option(
        False, "Build the files as they are, uncommitted ones included, to try them out.", anywhere=False
    )
    allow_mismatch: bool = option(
        False, "Build although a tag at the commit names another version.", anywhere=False
    )
    clean: bool = option(False, "Remove the archives of earlier builds from the output folder first.")
    test: bool = option(False, "Run the configured tests against each built wheel.")
    python: tuple[str, ...] = option(
        (),
        "Build platform wheels for, and run the tests on, this Python, such as 3.12 (repeatable); the running one "
        "if none.",
        metavar="VERSION",
    )
    reproducible: bool = option(
        False, "Build twice, under another path, umask, time zone and file times, and compare byte by byte."
    )
    strict: bool = option(False, "Take warnings about the archives for errors.")
    continue_on_error: bool = option(False, "Build what does not need a package that failed.")
    isolation: Literal["fast", "strict"] = option(
        "fast",
        "fast shares environments and warm processes where that changes no byte; strict shares nothing.",
        choices=("fast", "strict"),
        metavar="KIND",
    )
    cache: bool = option(True, "Keep archives of packages whose inputs did not change, and environments.")
    clear_cache: bool = option(False, "Remove the environments that earlier runs kept first.", anywhere=False)
    installer: str = option("auto", "What fills the environments.", choices=("auto", "uv", "pip"), metavar="NAME")


class Snapshot(NamedTuple):
    """What a build must know.

    Attributes:
        packages: What to build, in release order.
        needs: For each of them those of them that installing it needs.
        state: What git says; None outside git.
        commit: The commit to build; None to build the tree as it is.
        untracked: Packages that are not in that commit.
        inputs: A digest of what each package is built from; of none when the tree is built.
        epoch: When the present commit was made, seconds since 1970; None outside git.
        old: What is in the output folder; a folder's name ends in a slash.
        ours: Those of them that --clean removes: the manifest, archives that it names, and those of packages
            of this workspace.
        test: How the tests are run.
        commands: The project's own commands that make a package's archives, by package.
        meta: Packages of requirements alone, whose wheels may be empty.
        optional_extensions: Packages whose wheels may lack their native modules.
        tags: The tags of the commit, as packages see them whose versions only their backends know.
        settings: What the project says of each package's build beside `[build-system]`.
        wheels: Which packages have platform wheels, and for which platforms.
        warnings: What discovery passed over.
        untagged: Packages whose versions come from tags, and that have none here.
        declarative: Packages in whose builds nothing runs but the backend.
        problems: What is wrong with versions and files of the packages, each with its fix.
        remarks: What is to be told of requirements and files of the packages.
        mismatches: Tags at the commit that name other versions than the packages have.
    """

    packages: tuple[Package, ...]
    needs: dict[str, frozenset[str]]
    state: GitState | None
    commit: str | None
    untracked: tuple[str, ...]
    inputs: dict[str, str]
    epoch: int | None
    old: tuple[str, ...]
    ours: frozenset[str]
    test: TestConfig
    commands: Mapping[str, tuple[str, ...]]
    meta: frozenset[str]
    optional_extensions: frozenset[str]
    tags: Mapping[str, CommitTags]
    settings: Mapping[str, BuildSettings]
    wheels: WheelsConfig
    warnings: tuple[str, ...]
    untagged: tuple[str, ...]
    declarative: frozenset[str]
    problems: tuple[tuple[str, str], ...]
    remarks: tuple[str, ...]
    mismatches: tuple[Problem, ...]


def observe(options: Options, project: Project) -> Snapshot:
    """Look at the packages, git, and the output folder."""
    from relnox.source.inputs import digests, is_declarative

    packages = project.select(options.package)
    _check_usage(options)
    if options.shard is not None:
        packages = core.sharding.shard(packages, options.shard)
    folder = project.root / options.output
    git, state = project.git, project.state
    commit: str | None = None
    untracked: tuple[str, ...] = ()
    inputs: dict[str, str] = {}
    if git is not None and state is not None and state.head is not None and not options.from_tree:
        commit = state.head
        known = git.object_ids(commit, [package.pyproject for package in packages])
        untracked = tuple(package.name for package in packages if known[package.pyproject] is None)
        inputs = digests(project.root, git, commit, packages)
    old = tuple(sorted(_listed(folder))) if folder.is_dir() else ()
    names = {core.names.normalized(package.name) for package in project.workspace.packages}
    mismatches, later = consistency.check_build(packages, project, commit)
    settings, told = _settings(packages, project, options.installer)
    return Snapshot(
        packages=packages,
        needs={package.name: project.workspace.needed_by(package) for package in packages},
        state=state,
        commit=commit,
        untracked=untracked,
        inputs=inputs,
        epoch=project.git.commit_time() if project.git is not None else None,
        old=old,
        ours=frozenset(name for name in old if _is_ours(name, names)) | _named(folder).intersection(old),
        test=project.config.test,
        commands=project.config.build_commands,
        meta=frozenset(filter(project.config.is_metadata_only, names)),
        optional_extensions=frozenset(filter(project.config.has_optional_extensions, names)),
        tags=dict(_tags(packages, project)) if commit is not None else {},
        settings=settings,
        wheels=project.config.wheels,
        warnings=project.workspace.warnings,
        untagged=_untagged(packages, project),
        declarative=frozenset(package.name for package in packages if is_declarative(project.root, package)),
        problems=tuple(_problems(packages, project, commit)),
        remarks=(*core.siblings.unbounded_siblings(packages, project.workspace, project.config), *later, *told),
        mismatches=mismatches,
    )


def _tags(packages: tuple[Package, ...], project: Project) -> Iterator[tuple[str, CommitTags]]:
    """What the tags of the present commit say, for packages whose versions only their backends know."""
    from relnox.source import tag_versions

    state, formats = project.state, project.tag_formats
    here = [tag for tag, commit in state.tags.items() if commit == state.head] if state is not None else []
    for package in packages:
        if package.source.kind in ("tags", "dynamic"):
            derives = package.source.kind == "tags"
            remedy = ""
            if derives:
                settings = tag_versions.settings_for_own_tags(package, formats[package.name].prefix)
                remedy = f"let the backend look at its own tags; paste into the file that is named:\n{settings}"
            tags = core.derived_versions.tags_of_commit(
                package.name, here, formats, derives=derives, remedy=remedy
            )
            yield package.name, tags


def _settings(
    packages: tuple[Package, ...], project: Project, installer: str
) -> tuple[dict[str, BuildSettings], list[str]]:
    """What the project and its surroundings say of each package's build, and what to tell of it.

    Raises:
        Blocked: Constraints lead to other places than the one index that the settings name.
    """
    import os

    from relnox.building.environments import find_installer
    from relnox.building.installer_settings import constraint_files, external_constraints
    from relnox.indexes import targets
    from relnox.source import uv_settings

    files = constraint_files(os.environ, Path.cwd())
    paths = tuple(dict.fromkeys(name for name, _ in files))
    found: dict[str, BuildSettings] = {}
    honored: dict[str, None] = {}
    not_honored: dict[str, list[str]] = {}
    for package in packages:
        uv = uv_settings.read(project.root, package)
        build = uv.build
        constraints = core.records.replace(build.constraints, files=paths)
        if moment := os.environ.get("UV_EXCLUDE_NEWER"):
            constraints = core.records.replace(constraints, exclude_newer=moment)
        found[package.name] = core.records.replace(build, constraints=constraints)
        honored |= dict.fromkeys(f"{key} ({uv.file})" for key in uv.honored)
        for each in (*uv.not_honored, *find_installer(installer).unsupported(constraints)):
            not_honored.setdefault(f"{each} ({uv.file})", []).append(package.name)
    honored |= dict.fromkeys(setting for _, setting in files)
    honored |= {"UV_EXCLUDE_NEWER": None} if os.environ.get("UV_EXCLUDE_NEWER") else {}
    if targets.build_simple_url(project.config) is not None:
        bounds = {each for build in found.values() for each in build.constraints.requirements}
        if elsewhere := list(external_constraints([name for name, _ in files], sorted(bounds))):
            raise Blocked(
                "todo",
                "builds take packages from one index (build-index or trusted-index), but constraints name other "
                f"places: {listing(elsewhere)}",
                fix=f"take the addresses out of {listing(list(honored))}",
            )
    told = [f"builds follow {', '.join(honored)}"] if honored else []
    told += [f"not honored: {each}, for {listing(names)}" for each, names in not_honored.items()]
    told += [
        f"not honored: {name}, as by uv build" for name in ("UV_CONSTRAINT", "UV_OVERRIDE") if os.environ.get(name)
    ]
    told += [
        f"not honored: {name}: relnox builds isolated"
        for name in ("UV_NO_BUILD_ISOLATION", "PIP_NO_BUILD_ISOLATION")
        if os.environ.get(name)
    ]
    return found, told


def _problems(packages: tuple[Package, ...], project: Project, commit: str | None) -> Iterator[tuple[str, str]]:
    """Places that state several versions; modules that are imported and not in the commit."""
    for package in packages:
        located = project.literals.workspace.by_name[package.name]
        if located.other_locations and not core.version_bumps.locations_agree(located, located.version):
            fix = f"give all of them one version: {core.fixes.command('bump', '--to', 'VERSION')}; "
            "or leave literals: version-literals = false"
            yield core.version_bumps.describe_disagreement(located), fix
    if commit is not None:
        for importing, imported in project.untracked_imports(packages):
            yield (
                f"{importing} imports {imported} (untracked: not in the commit)",
                f"git add {imported}, and commit it",
            )


def _check_usage(options: Options) -> None:
    if options.matrix is not None and options.wheels is not None:
        raise Blocked("todo", "--matrix builds nothing, --wheels builds", fix="run the one, then the other")
    if options.python:
        from relnox.building.environments import find_python

        for version in options.python:
            find_python(version)  # refused now rather than after half of the builds


def plan(snapshot: Snapshot, options: Options) -> Plan:
    """A build for each package, one check of all archives, the manifest."""
    if options.test and not snapshot.test.command:
        raise Blocked(
            "todo",
            "--test is given, but no tests are configured",
            fix='add [tool.relnox.test] command = ["python", "-m", "pytest"] and requires = ["pytest"]',
        )
    if options.matrix is not None:
        return _matrix(snapshot, options.matrix)
    if options.wheels is not None:
        return _platform_wheels(snapshot, options.wheels, options)
    chosen = {package.name for package in snapshot.packages}
    steps: list[Step] = []
    old = tuple(name for name in snapshot.old if name in snapshot.ours)
    if options.clean and old:
        steps.append(core.steps.CleanFolder(folder=options.output, files=old))
    if options.clear_cache:
        steps.append(core.steps.ClearCache())
    if snapshot.commit is not None:
        steps.append(core.steps.Export(commit=snapshot.commit))
    steps += _environments(snapshot, options)
    for package in snapshot.packages:
        build = _build(package, snapshot, options)
        steps.append(build)
        if options.reproducible:
            steps.append(core.steps.CheckReproducibility(build=build, needs=(build.key,)))
        if options.test:
            siblings = tuple(sorted(snapshot.needs[package.name] & chosen))
            steps += [
                _tests(package, python, siblings, snapshot.test, options) for python in _pythons(options) or ("",)
            ]
    steps.append(core.steps.CheckDistributions(output=options.output, strict=options.strict))
    order = tuple(
        (package.name, tuple(sorted(snapshot.needs[package.name] & chosen))) for package in snapshot.packages
    )
    state = snapshot.state
    steps.append(
        core.steps.WriteManifest(
            output=options.output,
            commit=state.head if state is not None else None,
            dirty=snapshot.commit is None and bool(_uncommitted(snapshot, options)),
            order=order,
            # What went well is recorded, whatever else failed.
            needs=()
            if options.continue_on_error
            else tuple(step.key for step in steps if not isinstance(step, _GROUNDWORK)),
        )
    )
    return core.plan.Plan(
        task="build-all",
        steps=tuple(steps),
        notes=(*snapshot.warnings, *_notes(snapshot, options)),
        problems=(
            *(core.plan.Problem(code="todo", message=message, fix=fix) for message, fix in snapshot.problems),
            *(() if options.allow_mismatch else snapshot.mismatches),
            *_refusals(snapshot),
        ),
        continue_on_error=options.continue_on_error,
    )


def summarize(outcome: Outcome, folder: Path) -> tuple[Table, ...]:
    """What became of each package, and how many warnings there are."""
    built = [(each, each.step) for each in outcome.results if isinstance(each.step, core.steps.Build)]
    if not built:
        return ()
    manifest = _manifest(folder / built[0][1].output)
    # Those of the check of all archives are about files of single packages as well.
    warned = [each.file for result in outcome.results for each in result.warnings]
    rows = []
    for result, step in built:
        ended_well = result.status in (core.events.Status.SUCCESS, core.events.Status.SKIPPED)
        files = manifest.files_of(step.package) if manifest is not None and ended_well else ()
        version = files[0].version if files else step.version
        refused = ended_well and manifest is not None and step.package in manifest.missing
        status = core.events.Status.FAILED if refused else result.status
        warnings = len(result.warnings)
        if files:
            names = {file.filename for file in files}
            warnings = sum(name in names for name in warned)
        counts = (str(count or "-") for count in (len(files), warnings))
        rows.append((step.package, str(version or "-"), status.value, *counts))
    columns = ("package", "version", "build", "files", "warnings")
    return (core.plan.Table(title="", columns=columns, rows=tuple(rows)),)


def _environments(snapshot: Snapshot, options: Options) -> Iterator[Step]:
    """One for all packages that require the same and may share it, while the commit is exported."""
    from relnox.building.backends import SHAREABLE_BACKENDS

    sharing: dict[tuple[tuple[str, ...], Constraints], list[Package]] = {}
    for package in snapshot.packages:
        settings = snapshot.settings[package.name]
        stated = {need.text for need in package.dependencies if need.table == "build"}
        requires = tuple(sorted(stated | set(settings.extra_requires)))
        if (
            options.isolation == "fast"
            and package.backend.partition(":")[0] in SHAREABLE_BACKENDS
            and requires
            and package.name not in snapshot.commands
            and not package.needs("build") & snapshot.needs.keys()
        ):
            sharing.setdefault((requires, settings.constraints), []).append(package)
    for (requires, constraints), packages in sharing.items():
        yield core.steps.PrepareBuildEnvironment(
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


def _before(package: Package, snapshot: Snapshot) -> list[str]:
    """The packages of the same plan that its build needs."""
    direct = package.needs("build") & snapshot.needs.keys()
    return sorted(direct.union(*(snapshot.needs[name] & snapshot.needs.keys() for name in direct)))


def _inputs(package: Package, snapshot: Snapshot, options: Options) -> str | None:
    """A digest of what it is built from; None where it is built whatever was built before."""
    digest = snapshot.inputs.get(package.name)
    if digest is None or not options.cache or _before(package, snapshot):
        return None
    given = snapshot.settings[package.name].config_settings
    return hashlib.sha256(json.dumps([digest, given]).encode()).hexdigest() if given else digest


def _pythons(options: Options) -> tuple[str, ...]:
    return tuple(dict.fromkeys(options.python))


def _build(package: Package, snapshot: Snapshot, options: Options) -> Build:
    before = _before(package, snapshot)
    return core.steps.Build(
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
        private=package.private or snapshot.commit is None or package.name in snapshot.untagged,
        declarative=package.name in snapshot.declarative,
        command=snapshot.commands.get(package.name, ()),
        tags=snapshot.tags.get(package.name),
        settings=snapshot.settings[package.name],
        may_be_empty=package.name in snapshot.meta,
        optional_extensions=package.name in snapshot.optional_extensions,
        siblings=tuple(before),
        needs=(*(["export"] if snapshot.commit is not None else []), *(f"build {name}" for name in before)),
    )


def _jobs(snapshot: Snapshot) -> list[WheelJob]:
    return [job for package in snapshot.packages for job in core.wheels.jobs(package, snapshot.wheels)]


def _matrix(snapshot: Snapshot, file: str) -> Plan:
    """The jobs that make platform wheels, for CI."""
    text = json.dumps(core.wheels.github_matrix(_jobs(snapshot)), separators=(",", ":"))
    return core.plan.Plan(task="build-all", steps=(core.steps.WriteMatrix(file=file, text=text),))


def _platform_wheels(snapshot: Snapshot, name: str, options: Options) -> Plan:
    """The wheels of one job, by cibuildwheel."""
    jobs = {job.name: job for job in _jobs(snapshot)}
    if name not in jobs:
        raise Blocked(
            "todo",
            f"there is no job {name} in the matrix of platform wheels",
            fix=f"the jobs are {', '.join(jobs)}" if jobs else "name packages in [tool.relnox.wheels] first",
        )
    job = jobs[name]
    package = next(package for package in snapshot.packages if package.name == job.package)
    build = _build(package, snapshot, options)
    abi = snapshot.wheels.abi.get(package.name, "cpython")
    wheels = core.steps.BuildWheels(job=job, abi=abi, build=core.records.replace(build, needs=()))
    check = core.steps.CheckDistributions(output=options.output, strict=options.strict)
    manifest = core.steps.WriteManifest(
        output=options.output,
        commit=snapshot.state.head if snapshot.state is not None else None,
        dirty=False,
        order=tuple((each.name, ()) for each in snapshot.packages),
        needs=(wheels.key, check.key),
    )
    return core.plan.Plan(task="build-all", steps=(wheels, check, manifest), notes=snapshot.warnings)


def _tests(
    package: Package, python: str, siblings: tuple[str, ...], test: TestConfig, options: Options
) -> RunTests:
    return core.steps.RunTests(
        package=package.name,
        python=python,
        folder=package.folder,
        output=options.output,
        command=test.command,
        requires=test.requires,
        environment=tuple(sorted(test.env.items())),
        siblings=siblings,
        installer=options.installer,
        needs=tuple(f"build {name}" for name in (package.name, *siblings)),
    )


def _notes(snapshot: Snapshot, options: Options) -> list[str]:
    notes = [
        f"{name}: this commit has no tag of its own, so its backend makes up a version between two tags, "
        "which is not for publishing"
        for name in snapshot.untagged
    ]
    notes += snapshot.remarks
    if options.allow_mismatch:
        notes += consistency.allowed_notes(snapshot.mismatches)
    if changed := _uncommitted(snapshot, options):
        if snapshot.commit is not None:
            files = f"{listing(changed)} {'is' if len(changed) == 1 else 'are'}"
            notes.append(f"{files} not committed, and left out (--from-tree builds with what is not committed)")
        else:
            notes.append("the tree has uncommitted changes: they are in the archives, and the manifest says so")
    foreign = [name for name in snapshot.old if name not in snapshot.ours and not name.startswith(".")]
    if foreign:
        notes.append(f"left alone in {options.output}, not an archive of this project: {', '.join(foreign)}")
    return notes


def _uncommitted(snapshot: Snapshot, options: Options) -> list[str]:
    """Files that are not as in the present commit, archives left aside."""
    if snapshot.state is None:
        return []
    every = (*snapshot.state.dirty, *snapshot.state.untracked)
    return [name for name in every if not name.startswith(f"{options.output}/")]


def _refusals(snapshot: Snapshot) -> Iterator[Problem]:
    """What is planned from files of the tree must be what is built from the commit."""
    if snapshot.commit is None or snapshot.state is None:
        return
    for name in snapshot.untracked:
        yield core.plan.Problem(
            code="todo",
            message=f"{name} is not in the present commit, which is what is built",
            fix="commit it; to try it out before: --from-tree",
        )
    decisive = {
        file
        for package in snapshot.packages
        for file in (package.pyproject, *(place.file for place in package.locations if place.kind != "lock"))
    }
    if changed := sorted(decisive.intersection(snapshot.state.dirty)):
        yield core.plan.Problem(
            code="todo",
            message=f"{', '.join(changed)}: changed since the present commit, which is what is built",
            fix="commit it; to try it out before: --from-tree",
        )


def _untagged(packages: tuple[Package, ...], project: Project) -> tuple[str, ...]:
    """Packages whose versions come from tags, and that have none on the present commit."""
    state, formats = project.state, project.tag_formats
    here = [tag for tag, commit in state.tags.items() if commit == state.head] if state is not None else []
    return tuple(
        package.name
        for package in packages
        if package.source.kind == "tags" and formats[package.name].latest(here) is None
    )


def _listed(folder: Path) -> Iterator[str]:
    for path in folder.iterdir():
        yield f"{path.name}/" if path.is_dir() and not path.is_symlink() else path.name


def _manifest(folder: Path) -> Manifest | None:
    """The manifest in a folder, if there is one that can be read."""
    path = folder / core.manifest.MANIFEST_JSON
    try:
        return core.manifest.Manifest.from_json(path.read_text(encoding="utf-8"), where=str(path))
    except (OSError, UnicodeDecodeError, Blocked):
        return None


def _named(folder: Path) -> frozenset[str]:
    """The archives that the manifest of an earlier build names; none if there is no manifest that can be read."""
    found = _manifest(folder)
    return frozenset(file.filename for file in found.distributions) if found is not None else frozenset()


def _is_ours(name: str, packages: Container[str]) -> bool:
    """Whether an earlier build may have made a file: the manifest, or an archive of one of these packages."""
    if name in (core.manifest.MANIFEST_JSON, core.manifest.MANIFEST_TEXT):
        return True
    if not name.endswith((".whl", ".tar.gz")):
        return False
    # The version begins behind the last dash of an sdist's name, and behind the first one of a wheel's.
    project = name.partition("-")[0] if name.endswith(".whl") else name.rpartition("-")[0]
    return core.names.normalized(project) in packages
