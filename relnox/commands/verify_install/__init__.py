"""Install published packages in fresh environments, and verify that they are the built files and that they work.

The release's files are downloaded and their hashes compared with the manifest. Requirements come from the trusted
index only. Each package gets its own environment, so that a missing requirement shows. Checked are requirements,
version, RECORD, imports of the top-level modules of the wheel, scripts, and the configured smoke tests.
`--from dist` does the same with the files on disk, before anything is published. `--public` needs no manifest: it
verifies the newest final release of each package that the index has now, or the one of `--package NAME==VERSION`,
also of a project that is not in this workspace. A Python that a package does not support is skipped with a note; a
requested Python that is not installed is an error.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path

from relnox.building.archives import is_file_inside
from relnox.building.environments import RUNNING_PYTHON
from relnox.commands.options import VerifyOptions as Options
from relnox.commands.shared import checks, release_diffs, releases
from relnox.commands.verify_install import public
from relnox.core import fixes, graph
from relnox.core.planning.events import Outcome, Status, StepFinished
from relnox.core.planning.plan import Plan, PlanBuilder, Table
from relnox.core.planning.step import keys_of
from relnox.core.release.manifest import Distribution, Manifest
from relnox.errors import Blocked, Problem
from relnox.indexes.index import Index
from relnox.project import Project
from relnox.steps.fetch_release import CopyFiles, Download, LookUpRelease
from relnox.steps.publication import AwaitIndex
from relnox.steps.verify_install import FROM_SDIST, VerifyInstall

_LONG_WAIT = 600
"""How long to wait for an index to list uploaded files, in seconds."""
_SHORT_WAIT = 30
"""How long to wait for an index to list files that were probably never uploaded, in seconds."""
_RECENT_UPLOAD = timedelta(hours=1)
_LISTING_LIMIT = 20.0
"""The time limit for reading the listings of the index before planning, in seconds."""
_RESULTS = {"success": "works", "skipped": "skipped", "failed": "FAILED", "aborted": "not run"}
_EARLIER_TIMEOUT = 60
"""How long to retry the download of files that have been public for some time, in seconds."""


def plan(options: Options, project: Project) -> Plan:
    """Plan to download or copy the files of all packages, and to install and check each package on each Python."""
    new = PlanBuilder("verify-install", continue_on_error=True)
    new.problems += checks.missing_python_problems(options.python, project)
    if options.public:
        return _plan_public_verification(options, project, new)
    index = project.indexes[options.index] if options.from_ == "index" else None
    packages = project.select(options.package) if options.package else ()
    selected_names = frozenset(package.name for package in packages)
    release = project.once(releases.read_manifest_of_packages, project.root, options.dist, selected_names)
    built, private = releases.split_private_packages(release, project)
    if selected_names:  # and what they need
        built = built.restricted_to(graph.reachable_names(selected_names, dict(built.needs)))
    new.problems += _private_requirement_problems(built, private)
    manifest, earlier = built, built.restricted_to(frozenset())
    unlisted = frozenset[str]()
    if index is not None and not new.problems and project.once(_can_read_listings, index, built.packages):
        manifest, earlier = releases.split_earlier_packages(built, index, project, selected_names)
        if options.wait is None:
            unlisted = _packages_with_files_never_uploaded(manifest, index, project)
    if options.from_ == "dist" and options.is_set("index") and not options.show_files:
        new.notes.append(f"--index {options.index} is not used: --from dist verifies the files in {options.dist}")
    if options.show_files:
        _add_file_tables(new, built, options, project)
    new.notes += releases.private_package_notes(private)
    new.notes += releases.released_earlier_notes(earlier, options.index)

    deadline = {name: _SHORT_WAIT if name in unlisted else _LONG_WAIT for name in manifest.packages}
    if options.wait is not None:
        deadline = dict.fromkeys(manifest.packages, options.wait)
    files: list[Download | CopyFiles] = []
    if index is not None:
        listings = new.add(*listing_steps(manifest, options.index, deadline, download=False))
        files += (*download_steps(listings), *earlier_download_steps(manifest, earlier, index))
    else:
        files += (
            CopyFiles(directory=options.dist, package=package, files=manifest.files_of(package))
            for package in manifest.packages
        )
    files += project.once(_copy_steps_for_find_links, project.root, options.find_links, built.packages)
    new.add(*files)
    new.add(*installation_steps(manifest, project, options.python, files))
    if index is None and not built.dirty:
        new.next_command = fixes.task_command("publish", *releases.directory_option(options.dist, project))
    return new.build()


def _add_file_tables(new: PlanBuilder, built: Manifest, options: Options, project: Project) -> None:
    """Add tables to `new` of the files in the archives of `built`, and of what changes since the last release.

    If the index cannot be read, there is a note instead of the second table.
    """
    new.tables += release_diffs.archive_file_tables(built, options.dist, project)
    own_index = next(iter(project.config.targets.values()), options.index)
    index = project.indexes[options.index if options.is_set("index") else own_index]
    try:
        project.once(index.fetch_listings, built.packages)
        diffs = release_diffs.compare_with_last_releases(built, options.dist, index, project)
    except Problem as error:
        new.notes.append(f"not compared with the last release: {error.message}")
    else:
        new.tables += release_diffs.diff_tables(diffs, full=True)
        new.notes += release_diffs.incomplete_diff_notes(diffs)


def _plan_public_verification(options: Options, project: Project, new: PlanBuilder) -> Plan:
    """Plan in `new` to verify what an index has now, without a manifest; raise `Blocked` with `--from dist`."""
    if options.from_ == "dist":
        raise Blocked(
            "options-conflict",
            "--public cannot be used with --from dist (it verifies what an index has)",
            "remove --public or --from dist",
        )
    manifest, steps, notes = public.find_public_releases(options, project, project.indexes[options.index])
    new.notes += notes
    look_ups = {step.package: step for step in new.add(*steps)}
    files: list[Download | CopyFiles] = [
        Download(
            index=options.index,
            package=package,
            files=manifest.files_of(package),
            deadline=public.retry_seconds(options),
            needs=keys_of(look_ups[package]),
        )
        for package in manifest.packages
    ]
    files += project.once(_copy_steps_for_find_links, project.root, options.find_links, manifest.packages)
    new.add(*files)
    new.add(*installation_steps(manifest, project, options.python, files))
    return new.build()


def summarize(outcome: Outcome, directory: Path) -> tuple[Table, ...]:
    """Return tables of the public releases, and of the packages with their result on each Python.

    A table without rows is left out. `directory` is not used.
    """
    del directory
    look_ups = [(step, result) for result in outcome.results if isinstance(step := result.step, LookUpRelease)]
    releases = tuple(
        (
            step.package,
            str(step.version or "-"),
            result.detail if result.error is None else "-",
            _problem_codes(result),
        )
        for step, result in look_ups
    )
    cells = {
        (step.package, str(step.version or "-"), python): "FAILED" if result.status is Status.FAILED else "not run"
        for step, result in look_ups
        for python in step.pythons
    }
    cells |= {
        (step.package, str(step.version), step.python): _RESULTS[result.status.value]
        + (" (sdist)" if FROM_SDIST in result.detail else "")
        for result in outcome.results
        if isinstance(step := result.step, VerifyInstall)
    }
    pythons = tuple(dict.fromkeys(python for _, _, python in cells))
    installations = tuple(
        (package, version, *(cells.get((package, version, python), "") for python in pythons))
        for package, version in dict.fromkeys((package, version) for package, version, _ in cells)
    )
    columns = ("package", "version", *(f"Python {python}" for python in pythons))
    tables = (
        Table(title="Public releases", columns=("package", "version", "files", "problems"), rows=releases),
        Table(title="Installations", columns=columns, rows=installations),
    )
    return tuple(table for table in tables if table.rows)


def _problem_codes(result: StepFinished) -> str:
    """Return the codes of the error and the warnings of a step, or a dash if there are none."""
    problems = (*([result.error] if result.error is not None else []), *result.warnings)
    return ", ".join(dict.fromkeys(problem.code for problem in problems)) or "-"


def _private_requirement_problems(manifest: Manifest, private: Sequence[str]) -> Iterator[Problem]:
    """Yield a problem for each package that needs one of the `private` packages, which are not published."""
    for package, needs in manifest.needs:
        if package in manifest.packages and (names := sorted(set(needs) & set(private))):
            yield Blocked(
                "requirement-unavailable",
                f"{package} needs {', '.join(names)}, which is private and is not published: installing "
                f"{package} fails, or installs another project of that name",
                fix=f"remove the Private :: classifier of {names[0]}, or the requirement of {package}",
            )


def _can_read_listings(index: Index, packages: Collection[str]) -> bool:
    """Fetch the listings of packages, which are then cached, and return whether the index answered."""
    try:
        index.fetch_listings(packages, _LISTING_LIMIT)
    except Problem:
        return False
    return True


def _packages_with_files_never_uploaded(manifest: Manifest, index: Index, project: Project) -> frozenset[str]:
    """Return the names of packages with files that the index does not list, and that were probably never uploaded.

    The result is empty if a listed file of any package was uploaded in the last hour or has no upload time, since
    the index may list the others soon.
    """
    incomplete_packages: set[str] = set()
    for name in manifest.packages:
        listing = index.cached_listing(name)
        files = [listing[file.filename] for file in manifest.files_of(name) if file.filename in listing]
        if any(file.upload_time is None or project.now - file.upload_time < _RECENT_UPLOAD for file in files):
            return frozenset()
        if len(files) < len(manifest.files_of(name)):
            incomplete_packages.add(name)
    return frozenset(incomplete_packages)


def _copy_steps_for_find_links(
    root: Path, directories: Sequence[str], packages: Collection[str]
) -> list[CopyFiles]:
    """Return steps that copy wheels from the directories of `--find-links`, one step for each project.

    A step copies the wheels of the newest version, from the first directory that has it. Projects in `packages`
    are left out.

    Raises:
        Blocked: A directory does not exist or has no wheels, or a wheel has an invalid file name.
    """
    wheels: dict[str, list[tuple[Distribution, str]]] = {}
    for directory in directories:
        path = root / directory
        fix = f"build the wheels in the other repository: {fixes.task_command('build-all')}"
        if not path.is_dir():
            raise Blocked("wheels-missing", f"--find-links {directory} is not a directory", fix=fix)
        names = sorted(file.name for file in path.glob("*.whl") if is_file_inside(path, file))
        if not names:
            raise Blocked("wheels-missing", f"--find-links {directory} has no wheels", fix=fix)
        for wheel in (releases.distribution_of_wheel(root, directory, name) for name in names):
            if wheel.package not in packages:
                wheels.setdefault(wheel.package, []).append((wheel, directory))
    steps = []
    for project_name, candidates in sorted(wheels.items()):
        newest = max(wheel.version for wheel, _ in candidates)
        first = next(directory for wheel, directory in candidates if wheel.version == newest)
        files = tuple(wheel for wheel, directory in candidates if (wheel.version, directory) == (newest, first))
        steps.append(CopyFiles(directory=first, package=project_name, files=files))
    return steps


def installation_steps(
    manifest: Manifest,
    project: Project,
    pythons: Sequence[str],
    files: Sequence[Download | CopyFiles],
) -> Iterator[VerifyInstall]:
    """Yield a step for each package and Python that installs the package in a new environment and checks it.

    Without `pythons`, it is the running one. `files` are the steps that bring the files of all packages of
    `manifest`, and those of projects of other repositories, which packages may require.
    """
    needs, settings = dict(manifest.needs), project.config.verify
    available = {step.package: step for step in files}
    others = tuple(name for name in available if name not in manifest.packages)
    for package in manifest.packages:
        siblings = tuple(name for name in needs.get(package, ()) if name in manifest.packages)
        for python in dict.fromkeys(pythons or (RUNNING_PYTHON,)):
            yield VerifyInstall(
                package=package,
                version=manifest.version_of(package),
                python=python,
                siblings=siblings,
                others=others,
                checks=settings.install_checks(package, metadata_only=package in project.metadata_only_packages),
                skip=settings.skip.get(package),
                is_own=package in project.workspace.by_name,
                needs=keys_of(*(available[name] for name in (package, *siblings, *others))),
            )


def listing_steps(
    manifest: Manifest,
    index: str,
    deadline: Mapping[str, int],
    *,
    download: bool = True,
) -> Iterator[AwaitIndex]:
    """Yield a step for each package that waits until its files are listed on `index`.

    `deadline` has the seconds that it waits at most, by package. With `download`, it also waits until the files
    that the index serves have the built hashes.
    """
    for package in manifest.packages:
        yield AwaitIndex(
            index=index,
            package=package,
            version=manifest.version_of(package),
            files=manifest.files_of(package),
            deadline=deadline[package],
            download=download,
        )


def download_steps(listings: Iterable[AwaitIndex]) -> Iterator[Download]:
    """Yield a step for each listed package that downloads its files as soon as the index lists them."""
    for release in listings:
        yield Download(
            index=release.index,
            package=release.package,
            files=release.files,
            deadline=release.deadline,
            needs=keys_of(release),
        )


def earlier_download_steps(release: Manifest, earlier: Manifest, index: Index) -> Iterator[Download]:
    """Yield a step for each package of `earlier` that `release` needs, which downloads its public files.

    Both are parts of one build: `earlier` has the packages that were released before, from other commits. Files
    without a listed hash are left out.
    """
    needed_packages = graph.reachable_names(frozenset(release.packages), dict(release.needs))
    for package in earlier.packages:
        version = earlier.version_of(package)
        files = tuple(
            public.distribution_of_listed_file(package, version, filename, sha256)
            for filename, sha256 in releases.public_files(package, version, index).items()
            if sha256 is not None
        )
        if package in needed_packages:
            yield Download(index=index.name, package=package, files=files, deadline=_EARLIER_TIMEOUT)
