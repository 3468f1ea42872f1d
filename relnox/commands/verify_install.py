"""Install what an index serves in fresh environments, and prove that it is what was built and that it works.

Our own files are fetched by the addresses the index lists and compared with the manifest, hash by hash;
everything else comes from the trusted index only. Each package gets an environment of its own: what it needs
must be what its metadata says. Then: its requirements hold, the version, RECORD, the import of all that the
wheel provides, its scripts, and the configured smoke expressions. `--from dist` proves the same of the files on
disk before anything is published. A Python that a package does not support is skipped, and said; one that is
asked for and is not there is refused.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

from relnox import core
from relnox.core import fixes
from relnox.core.fixes import command
from relnox.core.options import CommonOptions, option
from relnox.errors import Blocked, RelnoxError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from packaging.version import Version

    from relnox.commands.project import Project
    from relnox.core.config import VerifyConfig
    from relnox.core.events import Outcome
    from relnox.core.manifest import Manifest
    from relnox.core.plan import Plan, Problem, Table
    from relnox.core.steps import Step, TakeFiles

__all__ = [
    "Options",
    "Snapshot",
    "install_checks",
    "missing_pythons",
    "observe",
    "plan",
    "private_notes",
    "public_part",
    "read_manifest",
    "read_release",
    "settings",
    "summarize",
    "unmet",
    "verification",
]

_REBUILD = f"build again: {command('build-all')}"

_PYTHON = re.compile(r"3\.[0-9]+")
_LONG_WAIT = 600
"""Seconds that an index may take to list what was sent."""
_SHORT_WAIT = 30
"""Seconds that it may take to list what nothing says was ever sent."""
_RECENT = timedelta(hours=1)
_LOOK = 20.0
"""Seconds for a look at an index before anything is waited for."""
_MANIFEST_LIMIT = 64 << 20
_WORDS = {"success": "works", "skipped": "skipped", "failed": "FAILED", "aborted": "not tried"}


class Options(CommonOptions):
    """Options of `verify-install`."""

    index: str = option("pypi", "The index that it was published to.", metavar="NAME", anywhere=False)
    from_: str = option(
        "index",
        "What is verified: what the index serves, or the files of --dist.",
        choices=("index", "dist"),
        metavar="WHAT",
        anywhere=False,
    )
    package: tuple[str, ...] = option((), "Verify this package only (repeatable).", metavar="NAME", anywhere=False)
    python: tuple[str, ...] = option(
        (), "Verify with this Python, such as 3.12 (repeatable); the running one if none.", metavar="VERSION"
    )
    dist: str = option("dist", "The folder with the manifest.", metavar="DIR")
    find_links: tuple[str, ...] = option(
        (),
        "Install requirements from the wheels in this folder, where it has them (repeatable).",
        metavar="DIR",
        anywhere=False,
    )
    wait: int | None = option(
        None,
        "How long the index may take to list everything, in seconds; by default 600 for a release that was sent "
        "in the last hour, and 30 for one that it does not list.",
        kind=int,
        metavar="SECONDS",
    )
    installer: str = option("auto", "What fills the environments.", choices=("auto", "uv", "pip"), metavar="NAME")


class Snapshot(NamedTuple):
    """What a verification must know.

    Attributes:
        manifest: What was built and published.
        private: Packages of the manifest that stay at home.
        verify: How packages are verified that are not verified as all others are.
        problems: What stands against it.
        unsent: Packages that the index does not list, or not all of, and that nothing says were sent of late.
        others: What takes the wheels of other projects that requirements are installed from.
    """

    manifest: Manifest
    private: tuple[str, ...]
    verify: VerifyConfig
    problems: tuple[Problem, ...]
    unsent: frozenset[str] = frozenset()
    others: tuple[TakeFiles, ...] = ()


def observe(options: Options, project: Project) -> Snapshot:
    """Read the manifest, look for the Pythons."""
    if options.from_ == "index":
        project.indexes.target(options.index)
    verify = settings(project)
    chosen = frozenset(package.name for package in project.select(options.package)) if options.package else None
    manifest, private = public_part(read_release(project.root, options.dist, chosen or ()), project)
    if chosen is not None:
        manifest = manifest.only(_with_needs(manifest, chosen))
    problems = (*unmet(manifest, private), *missing_pythons(manifest, verify, options.python))
    waits = options.from_ == "index" and options.wait is None and not problems
    unsent = _unsent(manifest, options.index, project) if waits else frozenset()
    others = tuple(_others(options.find_links, manifest, project))
    return Snapshot(manifest, private, verify, problems, unsent, others)


def plan(snapshot: Snapshot, options: Options) -> Plan:
    """Fetch every package's files, then an environment for each package and Python."""
    manifest = snapshot.manifest
    deadline = {
        name: options.wait if options.wait is not None else _SHORT_WAIT if name in snapshot.unsent else _LONG_WAIT
        for name in manifest.packages
    }
    fetching = (
        _from_folder(manifest, options.dist)
        if options.from_ == "dist"
        else _from_index(manifest, options.index, deadline)
    )
    return core.plan.Plan(
        task="verify-install",
        steps=(
            *fetching,
            *snapshot.others,
            *install_checks(
                manifest,
                snapshot.verify,
                options.python,
                options.installer,
                tuple(step.package for step in snapshot.others),
            ),
        ),
        notes=tuple(private_notes(snapshot.private)),
        problems=snapshot.problems,
        continue_on_error=True,
    )


def summarize(outcome: Outcome, folder: Path) -> tuple[Table, ...]:
    """Every package and how it did on each Python."""
    del folder
    told = {
        (step.package, str(step.version), step.python): _WORDS[result.status.value]
        for result in outcome.results
        if isinstance(step := result.step, core.steps.VerifyInstall)
    }
    pythons = tuple(dict.fromkeys(python for _, _, python in told))
    rows = tuple(
        (package, version, *(told.get((package, version, python), "") for python in pythons))
        for package, version in dict.fromkeys((package, version) for package, version, _ in told)
    )
    columns = ("package", "version", *(python or "this Python" for python in pythons))
    return (core.plan.Table(title="Verified", columns=columns, rows=rows),) if rows else ()


def verification(
    manifest: Manifest, verify: VerifyConfig, *, index: str, deadline: int, installer: str
) -> Iterator[Step]:
    """The steps that prove a published manifest with the running Python."""
    yield from _from_index(manifest, index, dict.fromkeys(manifest.packages, deadline))
    yield from install_checks(manifest, verify, (), installer)


def install_checks(
    manifest: Manifest,
    verify: VerifyConfig,
    pythons: Sequence[str],
    installer: str,
    others: tuple[str, ...] = (),
) -> Iterator[Step]:
    """An environment for each package and each Python that it is verified with.

    Args:
        manifest: What is verified.
        verify: How packages are verified that are not verified as all others are.
        pythons: The Pythons that were asked for.
        installer: What fills the environments.
        others: Projects of other repositories whose wheels are at hand.
    """
    needs = dict(manifest.needs)
    for package in manifest.packages:
        siblings = tuple(name for name in needs.get(package, ()) if name in manifest.packages)
        only = verify.pythons.get(package, ())
        for python in dict.fromkeys(pythons or only or ("",)):
            skip = verify.skip.get(package)
            if skip is None and only and python not in only:
                skip = f"[tool.relnox.verify] pythons names {', '.join(only)} only"
            yield core.steps.VerifyInstall(
                package=package,
                version=manifest.version(package),
                python=python,
                siblings=siblings,
                others=others,
                installer=installer,
                trial=verify.trial(package),
                skip=skip,
                needs=tuple(f"fetch {name}" for name in (package, *siblings, *others)),
            )


def settings(project: Project) -> VerifyConfig:
    """`[tool.relnox.verify]`.

    Raises:
        Blocked: A Python is none.
    """
    verify = project.config.verify
    for python in (python for only in verify.pythons.values() for python in only):
        _check_form(python)
    return verify


def unmet(manifest: Manifest, private: Sequence[str]) -> Iterator[Problem]:
    """Packages that nobody can install, since they need what is not published."""
    for package, needs in manifest.needs:
        if package in manifest.packages and (kept := sorted(set(needs) & set(private))):
            yield core.plan.Problem(
                code="todo",
                message=f"{package} needs {', '.join(kept)}, and that is private: nobody can install it, or the "
                "name is somebody else's",
                fix=f"take the Private :: classifier from {kept[0]}, or the requirement from {package}",
            )


def missing_pythons(manifest: Manifest, verify: VerifyConfig, pythons: Sequence[str]) -> Iterator[Problem]:
    """Pythons that are asked for and are not on this machine: never a reason to skip."""
    from relnox.building.environments import find_python

    for python in pythons:
        _check_form(python)
    of_their_own = (
        ()
        if pythons
        else (
            python
            for package in manifest.packages
            if package not in verify.skip
            for python in verify.pythons.get(package, ())
        )
    )
    for python in dict.fromkeys((*pythons, *of_their_own)):
        try:
            find_python(python)
        except Blocked as error:
            yield core.plan.Problem(code="todo", message=error.message, fix=error.fix or "")


def public_part(manifest: Manifest, project: Project) -> tuple[Manifest, tuple[str, ...]]:
    """The manifest without the packages that a `Private ::` classifier keeps at home, and their names."""
    at_home = {package.name for package in project.workspace.packages if package.private}
    private = tuple(name for name in manifest.packages if name in at_home)
    return manifest.only(frozenset(manifest.packages) - at_home), private


def private_notes(private: Sequence[str]) -> Iterator[str]:
    """What a reader should know of packages that stay at home."""
    for name in private:
        yield f"{name} is private (a Private :: classifier) and is not published"


def read_release(root: Path, folder: str, asked: Iterable[str]) -> Manifest:
    """The manifest of a folder of artefacts, if what it says can be released.

    Args:
        root: The project's folder.
        folder: The folder of artefacts.
        asked: Names of packages that were asked for; the manifest must have them.

    Raises:
        Blocked: There is none, it names no file, one by a name that is of another package or version, its packages
            need one another in a circle, or one that was asked for is not in it.
    """
    manifest = read_manifest(root, folder)
    where = f"{folder}/{core.manifest.MANIFEST_JSON}"
    again = _REBUILD
    for file in manifest.distributions:
        if not core.collection.is_named_rightly(file):
            raise Blocked("todo", f"{where} calls {file.filename} {file.package} {file.version}", fix=again)
        if file.version != manifest.version(file.package):
            raise Blocked("todo", f"{where} has files of two versions of {file.package}", fix=again)
    core.graph.waves(dict(manifest.needs))
    if not manifest.distributions:
        raise Blocked("todo", f"{where} names no file, so there is nothing to send or to verify", fix=again)
    if absent := sorted(set(asked) - set(manifest.packages)):
        raise Blocked(
            "todo", f"{', '.join(absent)}: not in {where}, so there is nothing to send or to verify", fix=again
        )
    return manifest


def read_manifest(root: Path, folder: str) -> Manifest:
    """The manifest of a folder of artefacts.

    Raises:
        Blocked: There is none.
    """
    path = root / folder / core.manifest.MANIFEST_JSON
    where = f"{folder}/{core.manifest.MANIFEST_JSON}"
    if not path.is_file():
        raise Blocked("todo", f"there is no {where}: nothing was built", fix=command("build-all"))
    if path.stat().st_size > _MANIFEST_LIMIT:
        raise Blocked("todo", f"{where} is too large for a manifest", fix=_REBUILD)
    try:
        if path.exists() and not path.is_file():
            raise Blocked("todo", f"{path} is not a regular file", fix=_REBUILD)
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise Blocked(
            "todo",
            f"{where} is not a manifest that relnox wrote (it is not in UTF-8)",
            fix=_REBUILD,
        ) from None
    except OSError as error:
        raise Blocked("todo", f"{where} cannot be read ({error.strerror})", fix=_REBUILD) from error
    return core.manifest.Manifest.from_json(text, where=where)


def _unsent(manifest: Manifest, index: str, project: Project) -> frozenset[str]:
    """Packages that an index does not list, or not all of, while nothing of the release came in the last hour.

    An index that does not answer, or tells no times, may just have got the release.
    """
    from relnox import network

    try:
        project.indexes.look(index, manifest.packages, _LOOK)
    except RelnoxError:
        return frozenset()
    now = network.CLOCK.today()
    missing: set[str] = set()
    for name in manifest.packages:
        listing = project.indexes.seen(index, name)
        files = [listing[file.filename] for file in manifest.of(name) if file.filename in listing]
        if any(file.upload_time is None or now - file.upload_time < _RECENT for file in files):
            return frozenset()
        if len(files) < len(manifest.of(name)):
            missing.add(name)
    return frozenset(missing)


def _from_index(manifest: Manifest, index: str, deadline: Mapping[str, int]) -> Iterator[Step]:
    """Wait until all is listed, then fetch it; each package may take so many seconds."""
    for package in manifest.packages:
        yield core.steps.AwaitIndex(
            index=index,
            package=package,
            version=manifest.version(package),
            files=manifest.of(package),
            deadline=deadline[package],
        )
    for package in manifest.packages:
        yield core.steps.Download(
            index=index,
            package=package,
            files=manifest.of(package),
            deadline=deadline[package],
            needs=(f"await {package}",),
        )


def _from_folder(manifest: Manifest, folder: str) -> Iterator[Step]:
    for package in manifest.packages:
        yield core.steps.TakeFiles(folder=folder, package=package, files=manifest.of(package))


def _others(folders: Sequence[str], manifest: Manifest, project: Project) -> Iterator[TakeFiles]:
    """What takes the wheels of other projects: of each the newest version, the manifest's own packages left out.

    Raises:
        Blocked: A folder is none, or has no wheels.
    """
    from packaging.utils import InvalidWheelFilename, parse_wheel_filename

    from relnox.building.archives import digests, is_in

    found: dict[str, tuple[Version, str, list[Path]]] = {}
    for folder in folders:
        at = project.root / folder
        wheels = sorted(path for path in at.glob("*.whl") if is_in(at, path)) if at.is_dir() else []
        if not wheels:
            state = "has no wheels" if at.is_dir() else "is no folder"
            raise Blocked(
                "todo",
                f"{folder} {state}",
                fix=f"build them in the other repository: {fixes.command('build-all')}",
            )
        for path in wheels:
            try:
                name, version, _, _ = parse_wheel_filename(path.name)
            except InvalidWheelFilename as error:
                raise Blocked(
                    "todo", f"{folder}/{path.name} is no name of a wheel: {error}", fix="remove it"
                ) from error
            if name in manifest.packages:
                continue
            if name not in found or found[name][0] < version:
                found[name] = (version, folder, [])
            if found[name][:2] == (version, folder):
                found[name][2].append(path)
    for project_name, (version, folder, paths) in sorted(found.items()):
        files = [
            core.manifest.Distribution(
                package=project_name,
                version=version,
                filename=path.name,
                kind="wheel",
                size=(digest := digests(path)).size,
                sha256=digest.sha256,
                blake2b_256=digest.blake2b_256,
            )
            for path in paths
        ]
        yield core.steps.TakeFiles(folder=folder, package=project_name, files=tuple(files))


def _check_form(python: str) -> None:
    if not _PYTHON.fullmatch(python):
        raise Blocked("todo", f"{python} is no Python version", fix="write it as in 3.12")


def _with_needs(manifest: Manifest, chosen: frozenset[str]) -> frozenset[str]:
    return core.graph.closure(chosen, dict(manifest.needs))
