"""The steps that verify a release by installing it, for `verify-install` and `publish-test`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from relnox.commands.shared import releases
from relnox.commands.shared.project import Project
from relnox.core import graph
from relnox.core.planning.step import after
from relnox.core.records import replace
from relnox.core.release.manifest import Distribution, Manifest
from relnox.core.settings.config import VerifyConfig
from relnox.indexes.index import Index
from relnox.steps.fetch_release import CopyFiles, Download
from relnox.steps.publication import AwaitIndex
from relnox.steps.verify_install import VerifyInstall

_EARLIER_TIMEOUT = 60
"""How long to retry the download of files that have been public for some time, in seconds."""


def verify_settings(project: Project) -> VerifyConfig:
    """Return the settings in `[tool.relnox.verify]`, with those of the project that concern installations."""
    return replace(project.config.verify, metadata_only=project.config.metadata_only)


def install_checks(
    manifest: Manifest,
    verify: VerifyConfig,
    pythons: Sequence[str],
    files: Sequence[Download | CopyFiles],
) -> Iterator[VerifyInstall]:
    """Yield a step for each package and Python that installs the package in its own environment and checks it.

    `files` are the steps that download or copy the files of the packages, and of projects of other repositories.
    """
    needs = dict(manifest.needs)
    available = {step.package: step for step in files}
    others = tuple(name for name in available if name not in manifest.packages)
    for package in manifest.packages:
        siblings = tuple(name for name in needs.get(package, ()) if name in manifest.packages)
        for python in dict.fromkeys(pythons or ("",)):
            yield VerifyInstall(
                package=package,
                version=manifest.version(package),
                python=python,
                siblings=siblings,
                others=others,
                checks=verify.checks(package),
                skip=verify.skip.get(package),
                needs=after(*(available[name] for name in (package, *siblings, *others))),
            )


def await_listings(
    manifest: Manifest,
    index: str,
    deadline: Mapping[str, int],
    *,
    download: bool = True,
) -> Iterator[AwaitIndex]:
    """Yield a step for each package that waits until its files are listed, up to its deadline in seconds.

    With `download`, it also waits until the files that the index serves have the built hashes.
    """
    for package in manifest.packages:
        yield AwaitIndex(
            index=index,
            package=package,
            version=manifest.version(package),
            files=manifest.files_of(package),
            deadline=deadline[package],
            download=download,
        )


def downloads(listings: Iterable[AwaitIndex]) -> Iterator[Download]:
    """Yield a step for each package that downloads its files as soon as the index lists them."""
    for release in listings:
        yield Download(
            index=release.index,
            package=release.package,
            files=release.files,
            deadline=release.deadline,
            needs=after(release),
        )


def earlier_downloads(release: Manifest, earlier: Manifest, index: Index) -> Iterator[Download]:
    """Yield a step for each package that was released earlier and is needed, which downloads its public files."""
    needed = graph.closure(frozenset(release.packages), dict(release.needs))
    for package in earlier.packages:
        version = earlier.version(package)
        files = (
            Distribution(
                package=package,
                version=version,
                filename=filename,
                kind="wheel" if filename.endswith(".whl") else "sdist",
                size=0,  # not known, and not needed to install the file
                sha256=sha256,
                blake2b_256="",
            )
            for filename, sha256 in releases.public_files(package, version, index).items()
            if sha256 is not None
        )
        if package in needed:
            yield Download(index=index.name, package=package, files=tuple(files), deadline=_EARLIER_TIMEOUT)
