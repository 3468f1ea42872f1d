"""Install published packages in fresh environments, and verify that they are the built files and that they work.

The release's files are downloaded and their hashes compared with the manifest. Requirements come from the trusted
index only. Each package gets its own environment, so that a missing requirement shows. Checked are requirements,
version, RECORD, imports of the top-level modules of the wheel, scripts, and the configured smoke tests.
`--from dist` does the same with the files on disk, before anything is published. A Python that a package does not
support is skipped with a note; a requested Python that is not installed is an error.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

from packaging.utils import InvalidWheelFilename, parse_wheel_filename
from packaging.version import Version

from relnox.building.file_hashes import hash_file, is_file_inside
from relnox.building.interpreters import find_interpreter
from relnox.commands.options import VerifyOptions as Options
from relnox.commands.shared import releases
from relnox.commands.shared.project import Project
from relnox.commands.shared.verification import (
    await_listings,
    downloads,
    earlier_downloads,
    install_checks,
    verify_settings,
)
from relnox.core import fixes, graph
from relnox.core.planning.events import Outcome
from relnox.core.planning.plan import Plan, Table
from relnox.core.release.manifest import Distribution, Manifest
from relnox.core.settings.config import VerifyConfig
from relnox.errors import Blocked, Problem
from relnox.steps.fetch_release import CopyFiles, Download
from relnox.steps.verify_install import VerifyInstall
from relnox.system import retries

_LONG_WAIT = 600
"""How long to wait for an index to list uploaded files, in seconds."""
_SHORT_WAIT = 30
"""How long to wait for an index to list files that were probably never uploaded, in seconds."""
_RECENT = timedelta(hours=1)
_LISTING_LIMIT = 20.0
"""The time limit for reading the listings of the index before planning, in seconds."""
_RESULTS = {"success": "works", "skipped": "skipped", "failed": "FAILED", "aborted": "not run"}


class Snapshot(NamedTuple):
    """The release to verify, without its `private` packages, which are not published, and what is known of it.

    Attributes:
        unlisted: Packages whose files are not all listed and were probably never uploaded; see `_find_unlisted`.
        others: Steps that get files to install requirements with: packages that were released earlier, and the
            wheels from `--find-links`.
        notes: Notes on packages that are not verified.
        production: Whether the files come from a production index.
    """

    manifest: Manifest
    verify: VerifyConfig
    problems: tuple[Problem, ...]
    unlisted: frozenset[str]
    others: tuple[Download | CopyFiles, ...]
    notes: tuple[str, ...]


def observe(options: Options, project: Project) -> Snapshot:
    """Read the manifest, and check that the requirements and the Pythons to verify with are available."""
    if options.from_ == "index":
        project.indexes.open(options.index)
    verify = verify_settings(project)
    selected_packages = (
        frozenset(package.name for package in project.select(options.package)) if options.package else None
    )
    release = releases.read_release(project.root, options.dist, selected_packages or ())
    manifest, private = releases.public_part(release, project)
    if selected_packages is not None:
        manifest = manifest.restricted_to(
            graph.closure(selected_packages, dict(manifest.needs))
        )  # and what they need
    problems = (
        *_private_requirement_problems(manifest, private),
        *_missing_python_problems(options.python),
    )
    built, earlier = manifest, manifest.restricted_to(frozenset())
    unlisted_packages = frozenset[str]()
    if options.from_ == "index" and not problems and _read_listings(built, options.index, project):
        manifest, earlier = releases.split_release(
            built, project.indexes[options.index], project, selected_packages or frozenset()
        )
        if options.wait is None:
            unlisted_packages = _find_unlisted(manifest, options.index, project)
    others: tuple[Download | CopyFiles, ...] = (
        *(earlier_downloads(manifest, earlier, project.indexes[options.index]) if earlier.packages else ()),
        *_copy_other_wheels(options.find_links, built, project),
    )
    return Snapshot(
        manifest,
        verify,
        problems,
        unlisted_packages,
        others,
        (*releases.private_notes(private), *releases.released_earlier_notes(earlier, options.index)),
    )


def plan(snapshot: Snapshot, options: Options) -> Plan:
    """Plan to download or copy the files of all packages, and then to verify each package with each Python."""
    manifest = snapshot.manifest
    default = {name: _SHORT_WAIT if name in snapshot.unlisted else _LONG_WAIT for name in manifest.packages}
    deadline = default if options.wait is None else dict.fromkeys(manifest.packages, options.wait)
    from_index = options.from_ == "index"
    listings = tuple(await_listings(manifest, options.index, deadline, download=False)) if from_index else ()
    files: list[Download | CopyFiles] = [
        CopyFiles(directory=options.dist, package=package, files=manifest.files_of(package))
        for package in manifest.packages
    ]
    if from_index:
        files = [*downloads(listings)]
    files += snapshot.others
    installations = install_checks(manifest, snapshot.verify, options.python, files)
    checks = (*listings, *files, *installations)
    return Plan(
        task="verify-install",
        steps=checks,
        notes=snapshot.notes,
        problems=snapshot.problems,
        continue_on_error=True,
    )


def summarize(outcome: Outcome, directory: Path) -> tuple[Table, ...]:
    """Return a table with the result of each package on each Python."""
    del directory
    cells = {
        (step.package, str(step.version), step.python): _RESULTS[result.status.value]
        for result in outcome.results
        if isinstance(step := result.step, VerifyInstall)
    }
    pythons = tuple(dict.fromkeys(python for _, _, python in cells))
    rows = tuple(
        (package, version, *(cells.get((package, version, python), "") for python in pythons))
        for package, version in dict.fromkeys((package, version) for package, version, _ in cells)
    )
    columns = ("package", "version", *(python or "this Python" for python in pythons))
    return (Table(title="Verified", columns=columns, rows=rows),) if rows else ()


def _private_requirement_problems(manifest: Manifest, private: Sequence[str]) -> Iterator[Problem]:
    """Yield a problem for each package that needs a private package, which is not published."""
    for package, needs in manifest.needs:
        if package in manifest.packages and (names := sorted(set(needs) & set(private))):
            yield Blocked(
                "requirement-unavailable",
                f"{package} needs {', '.join(names)}, which is private and is not published: installing "
                f"{package} fails, or installs another project of that name",
                fix=f"remove the Private :: classifier of {names[0]}, or the requirement of {package}",
            )


def _missing_python_problems(pythons: Sequence[str]) -> Iterator[Problem]:
    """Yield a problem for each requested Python that is not installed."""
    for python in dict.fromkeys(pythons):
        try:
            find_interpreter(python)
        except Blocked as error:
            yield error


def _read_listings(manifest: Manifest, index: str, project: Project) -> bool:
    """Request the listings of the packages, and return whether the index answers."""
    try:
        project.indexes[index].fetch_listings(manifest.packages, _LISTING_LIMIT)
    except Problem:
        return False
    return True


def _find_unlisted(manifest: Manifest, index: str, project: Project) -> frozenset[str]:
    """Return the packages whose files are not all listed on the index and were probably never uploaded.

    The result is empty if the index provides no upload times, or if a file of the release was uploaded in the last
    hour: the index may list the other files soon.
    """
    now = retries.CLOCK.today()
    missing: set[str] = set()
    for name in manifest.packages:
        listing = project.indexes[index].cached_listing(name)
        files = [listing[file.filename] for file in manifest.files_of(name) if file.filename in listing]
        if any(file.upload_time is None or now - file.upload_time < _RECENT for file in files):
            return frozenset()
        if len(files) < len(manifest.files_of(name)):
            missing.add(name)
    return frozenset(missing)


def _copy_other_wheels(directories: Sequence[str], manifest: Manifest, project: Project) -> Iterator[CopyFiles]:
    """Yield a step for each project outside the manifest that copies its newest wheels from the directories."""
    newest: dict[str, tuple[Version, str, list[Path]]] = {}
    for directory in directories:
        resolved = project.root / directory
        fix = f"build the wheels in the other repository: {fixes.task_command('build-all')}"
        if not resolved.is_dir():
            raise Blocked("file-not-writable", f"{directory} is not a directory", fix=fix)
        wheels = sorted(path for path in resolved.glob("*.whl") if is_file_inside(resolved, path))
        if not wheels:
            raise Blocked("wheels-missing", f"{directory} has no wheels", fix=fix)
        for path in wheels:
            try:
                name, version, _, _ = parse_wheel_filename(path.name)
            except InvalidWheelFilename as error:
                raise Blocked(
                    "archive-invalid",
                    f"{directory}/{path.name} is not a valid file name of a wheel ({error})",
                    fix="rename it: NAME-VERSION-PYTHON-ABI-PLATFORM.whl",
                ) from error
            if name in manifest.packages:
                continue
            if name not in newest or newest[name][0] < version:
                newest[name] = (version, directory, [])
            if newest[name][:2] == (version, directory):
                newest[name][2].append(path)
    for project_name, (version, directory, paths) in sorted(newest.items()):
        files = [
            Distribution(
                package=project_name,
                version=version,
                filename=path.name,
                kind="wheel",
                size=(digest := hash_file(path)).size,
                sha256=digest.sha256,
                blake2b_256=digest.blake2b_256,
            )
            for path in paths
        ]
        yield CopyFiles(directory=directory, package=project_name, files=tuple(files))
