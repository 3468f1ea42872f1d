"""Install what an index serves in fresh environments, and prove that it is what was built and that it works.

Our own files are fetched by the addresses the index lists and compared with the manifest, hash by hash;
everything else comes from the trusted index only. Each package gets an environment of its own: what it needs
must be what its metadata says. Then: `pip check`, the version, RECORD, the import of all that the wheel
provides, its scripts, and the configured smoke expressions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from relnox import core
from relnox.core.options import CommonOptions, option
from relnox.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from relnox.commands.project import Project
    from relnox.core.config import VerifyConfig
    from relnox.core.events import Outcome
    from relnox.core.manifest import Manifest
    from relnox.core.plan import Plan, Table
    from relnox.core.steps import (
        Step,
    )

__all__ = [
    "Options",
    "Snapshot",
    "conclude",
    "observe",
    "plan",
    "private_notes",
    "public_part",
    "read_manifest",
    "verification",
]

_SMOKE_LIMIT = 120
"""Seconds for one smoke expression."""


class Options(CommonOptions):
    """Options of `verify-install`."""

    index: str = option("pypi", "The index that it was published to.", metavar="NAME", anywhere=False)
    package: tuple[str, ...] = option((), "Verify this package only (repeatable).", metavar="NAME", anywhere=False)
    python: tuple[str, ...] = option(
        (), "Verify with this Python, such as 3.12 (repeatable); the running one if none.", metavar="VERSION"
    )
    dist: str = option("dist", "The folder with the manifest.", metavar="DIR")
    wait: int = option(600, "How long the index may take to list everything, in seconds.", metavar="SECONDS")
    installer: str = option("auto", "What fills the environments.", choices=("auto", "uv", "pip"), metavar="NAME")


class Snapshot(NamedTuple):
    """What a verification must know: what was built and published, what stays at home, and what else to try."""

    manifest: Manifest
    private: tuple[str, ...]
    verify: VerifyConfig


def observe(options: Options, project: Project) -> Snapshot:
    """Read the manifest."""
    project.indexes.target(options.index)
    manifest, private = public_part(read_manifest(project.root, options.dist), project)
    if options.package:
        chosen = frozenset(package.name for package in project.chosen(options.package))
        manifest = manifest.only(_with_needs(manifest, chosen))
    return Snapshot(manifest, private, project.config.verify)


def plan(snapshot: Snapshot, options: Options) -> Plan:
    """Fetch every package's files, then an environment for each package and Python."""
    return core.plan.Plan(
        task="verify-install",
        steps=tuple(
            verification(
                snapshot.manifest,
                snapshot.verify,
                index=options.index,
                pythons=options.python,
                patience=options.wait,
                installer=options.installer,
            )
        ),
        notes=tuple(private_notes(snapshot.private)),
        continue_on_error=True,
    )


def conclude(outcome: Outcome, folder: Path) -> tuple[Table, ...]:
    """The steps say it all."""
    del outcome, folder
    return ()


def verification(  # noqa: PLR0913 - the settings of one verification
    manifest: Manifest,
    verify: VerifyConfig,
    *,
    index: str,
    pythons: Sequence[str],
    patience: int,
    installer: str,
) -> Iterator[Step]:
    """The steps that prove a published manifest."""
    for package in manifest.packages:
        files = manifest.of(package)
        version = manifest.version(package)
        yield core.steps.AwaitIndex(index=index, package=package, version=version, files=files, patience=patience)
        yield core.steps.Download(index=index, package=package, files=files, needs=(f"await {package}",))
    needs = dict(manifest.needs)
    for python in pythons or ("",):
        for package in manifest.packages:
            siblings = tuple(name for name in needs.get(package, ()) if name in manifest.packages)
            yield from _one(package, siblings, manifest, verify, python, installer)


def public_part(manifest: Manifest, project: Project) -> tuple[Manifest, tuple[str, ...]]:
    """The manifest without the packages that a `Private ::` classifier keeps at home, and their names."""
    at_home = {package.name for package in project.workspace.packages if package.private}
    private = tuple(name for name in manifest.packages if name in at_home)
    return manifest.only(frozenset(manifest.packages) - at_home), private


def private_notes(private: Sequence[str]) -> Iterator[str]:
    """What a reader should know of packages that stay at home."""
    for name in private:
        yield f"{name} is private (a Private :: classifier) and is not published"


def read_manifest(root: Path, folder: str) -> Manifest:
    """The manifest of a folder of artefacts.

    Raises:
        Refused: There is none.
    """
    path = root / folder / core.manifest.MANIFEST_JSON
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise Refused(
            f"there is no {folder}/{core.manifest.MANIFEST_JSON}: nothing was built", hint="nox -s build-all"
        ) from None
    return core.manifest.Manifest.from_json(text, where=f"{folder}/{core.manifest.MANIFEST_JSON}")


def _one(  # noqa: PLR0913, PLR0917 - one environment
    package: str,
    siblings: tuple[str, ...],
    manifest: Manifest,
    verify: VerifyConfig,
    python: str,
    installer: str,
) -> Iterator[Step]:
    environment = f"{package}-{python}" if python else package
    version = manifest.version(package)
    yield core.steps.CreateEnvironment(
        environment=environment, python=python, installer=installer, needs=(f"download {package}",)
    )
    yield core.steps.Install(
        environment=environment,
        package=package,
        siblings=siblings,
        python=python,
        installer=installer,
        needs=(f"environment {environment}", *(f"download {name}" for name in siblings)),
    )
    installed = (f"install {environment}",)
    yield core.steps.CheckInstalled(
        environment=environment, package=package, version=version, installer=installer, needs=installed
    )
    yield core.steps.ImportCheck(
        environment=environment,
        package=package,
        version=version,
        modules=verify.modules.get(package, ()),
        python=python,
        needs=installed,
    )
    if expressions := verify.smoke.get(package, ()):
        yield core.steps.RunSmoke(
            environment=environment,
            package=package,
            expressions=expressions,
            time_limit=_SMOKE_LIMIT,
            needs=installed,
        )


def _with_needs(manifest: Manifest, chosen: frozenset[str]) -> frozenset[str]:
    return core.graph.closure(chosen, dict(manifest.needs))
