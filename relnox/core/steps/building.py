"""From a commit to checked archives and their manifest, in one job or in many."""

from __future__ import annotations

from typing import ClassVar, Literal

from packaging.version import Version  # noqa: TC002 - plans are read back by these types

from relnox.core.build_settings import UNCONSTRAINED, USUAL, BuildSettings, Constraints  # noqa: TC001 - likewise
from relnox.core.config import Abi  # noqa: TC001 - likewise
from relnox.core.derived_versions import CommitTags  # noqa: TC001 - likewise
from relnox.core.manifest import Distribution, Manifest  # noqa: TC001 - likewise
from relnox.core.steps.base import BaseStep, listing
from relnox.core.wheels import WheelJob  # noqa: TC001 - likewise

__all__ = [
    "Build",
    "BuildWheels",
    "CheckDistributions",
    "CheckReproducibility",
    "CleanFolder",
    "ClearCache",
    "Collect",
    "Export",
    "PrepareBuildEnvironment",
    "RunTests",
    "WriteCollection",
    "WriteManifest",
    "WriteMatrix",
]


_INSTALLATIONS = 8
"""Environments that are made at once: most of the time the index, or the disk, is waited for."""


class CleanFolder(BaseStep, kw_only=True):
    """Remove every file of a folder of artefacts."""

    folder: str
    files: tuple[str, ...]

    @property
    def key(self) -> str:
        return "clean"

    @property
    def title(self) -> str:
        return f"remove {listing(self.files)} from {self.folder}"


class ClearCache(BaseStep, kw_only=True):
    """Remove the build environments that earlier runs kept."""

    @property
    def key(self) -> str:
        return "clear cache"

    @property
    def title(self) -> str:
        return "remove the build environments that earlier runs kept"


class Export(BaseStep, kw_only=True):
    """Check a commit out beside the tree, so that nothing that is not committed is built.

    Attributes:
        commit: The full commit id.
    """

    concurrent: ClassVar[bool] = True
    commit: str

    @property
    def key(self) -> str:
        return "export"

    @property
    def title(self) -> str:
        return f"export commit {self.commit[:10]}, without what is not committed"


class PrepareBuildEnvironment(BaseStep, kw_only=True):
    """Make an environment for the builds of all packages that require the same, or find the one that was kept.

    Attributes:
        requires: The requirements of their builds, as written.
        backend: The module of their build backend, which is warmed up.
        epoch: `SOURCE_DATE_EPOCH` of the builds; some backends read it when they are imported.
        keep: Whether environments of earlier runs serve, and this one stays.
        constraints: Which releases may be in it.
        output: Where an earlier run's archives may be.
        inputs: Each package that it is for, with a digest of what that is built from; None as in `Build`.
    """

    concurrent: ClassVar[bool] = True
    requires: tuple[str, ...]
    backend: str
    epoch: int | None
    installer: str
    keep: bool
    output: str
    inputs: tuple[tuple[str, str | None], ...]
    pythons: tuple[str, ...]
    constraints: Constraints = UNCONSTRAINED

    @property
    def resources(self) -> tuple[tuple[str, int | None], ...]:
        return (("installing", _INSTALLATIONS),)

    @property
    def key(self) -> str:
        return f"environment with {', '.join(self.requires)}"

    @property
    def title(self) -> str:
        return f"provide an environment with {', '.join(self.requires)}"


class Build(BaseStep, kw_only=True):
    """Build a package's sdist, and its wheel from that sdist, each isolated.

    Attributes:
        siblings: Packages of the same plan that the build needs: installed as they were just built.
        epoch: `SOURCE_DATE_EPOCH` of the build: the commit's time, seconds since 1970.
        strict: Whether warnings about the archives are errors.
        isolation: Whether environments and processes are shared where that changes no byte.
        inputs: A digest of what it is built from; None where it is built whatever was built before.
        keep_environments: Whether environments of earlier runs serve, and those of this one stay.
        pythons: The Pythons that platform wheels are built for, such as `3.12`; none for the running one.
        sdist_alone: Whether its wheels are built elsewhere, for many platforms.
        requires: What the archives' metadata has to require; None where the backend decides.
        private: Whether the public index never sees it, and what that one refuses does not matter.
        declarative: Whether nothing runs in its build but the backend, so that one process may make both archives.
        command: The project's own command that makes the archives; none for the build backend.
        tags: The tags of the commit that is built; None where no version comes from them.
        settings: What the project says of the build beside `[build-system]`.
        may_be_empty: Whether its wheel may have no module, script or data: a package of requirements alone.
        optional_extensions: Whether its wheel may lack the native modules that the source declares.
    """

    concurrent: ClassVar[bool] = True
    package: str
    version: Version | None
    folder: str
    output: str
    siblings: tuple[str, ...] = ()
    epoch: int | None
    strict: bool
    installer: str
    isolation: Literal["fast", "strict"]
    inputs: str | None
    keep_environments: bool
    pythons: tuple[str, ...] = ()
    sdist_alone: bool = False
    requires: tuple[str, ...] | None
    private: bool
    declarative: bool = False
    command: tuple[str, ...] = ()
    tags: CommitTags | None = None
    settings: BuildSettings = USUAL
    may_be_empty: bool = False
    optional_extensions: bool = False

    @property
    def key(self) -> str:
        return f"build {self.package}"

    @property
    def title(self) -> str:
        return f"build {self.package} {self.version or '(version from its backend)'}: sdist, then wheel from it"


class CheckReproducibility(BaseStep, kw_only=True):
    """Build a package again under another path, umask, time zone, locale and file times, and compare byte by byte.

    Attributes:
        build: How it was built before.
    """

    concurrent: ClassVar[bool] = True
    build: Build

    @property
    def key(self) -> str:
        return f"compare {self.build.package}"

    @property
    def title(self) -> str:
        return f"build {self.build.package} again, elsewhere, and compare"


class BuildWheels(BaseStep, kw_only=True):
    """Build the platform wheels of one job of the matrix from the sdist that is in the output folder.

    Attributes:
        job: The wheels, and what they are built on.
        abi: What they are bound to.
        build: What is planned of the package.
    """

    job: WheelJob
    abi: Abi
    build: Build

    @property
    def key(self) -> str:
        return f"wheels {self.job.name}"

    @property
    def title(self) -> str:
        return f"build {len(self.job.identifiers)} wheels of {self.job.name} with cibuildwheel"


class WriteMatrix(BaseStep, kw_only=True):
    """Write the jobs that make platform wheels, as CI reads them."""

    file: str
    text: str

    @property
    def key(self) -> str:
        return "matrix"

    @property
    def title(self) -> str:
        return f"write the jobs for platform wheels to {self.file}"


class RunTests(BaseStep, kw_only=True):
    """Run the configured tests against the built wheel in a fresh environment.

    Attributes:
        python: The Python to run them on, such as `3.12`; empty for the running one.
    """

    concurrent: ClassVar[bool] = True
    package: str
    python: str
    folder: str
    output: str
    command: tuple[str, ...]
    requires: tuple[str, ...]
    environment: tuple[tuple[str, str], ...]
    siblings: tuple[str, ...]
    installer: str

    @property
    def key(self) -> str:
        return " ".join(["test", self.package, *filter(None, [self.python])])

    @property
    def title(self) -> str:
        return f"{self.key}: {' '.join(self.command)}"


class CheckDistributions(BaseStep, kw_only=True):
    """Check the built archives together, as the index would (`twine check`)."""

    output: str
    strict: bool

    @property
    def key(self) -> str:
        return "check"

    @property
    def title(self) -> str:
        return f"check the archives' metadata{', warnings are errors' if self.strict else ''}"


class WriteManifest(BaseStep, kw_only=True):
    """Write the record of what was built, in both spellings."""

    atomic: ClassVar[bool] = True
    output: str
    commit: str | None
    dirty: bool
    order: tuple[tuple[str, tuple[str, ...]], ...]

    @property
    def key(self) -> str:
        return "manifest"

    @property
    def title(self) -> str:
        return f"write the manifest into {self.output}"


class Collect(BaseStep, kw_only=True):
    """Copy one package's files from where jobs left them, unless they are there.

    Attributes:
        files: Each file with the folder that it is in.
        attestations: What lies beside them (PEP 740): the folder, the name and the SHA-256 of each.
    """

    package: str
    version: Version
    files: tuple[tuple[str, Distribution], ...]
    attestations: tuple[tuple[str, str, str], ...] = ()
    output: str

    @property
    def key(self) -> str:
        return f"collect {self.package}"

    @property
    def title(self) -> str:
        files = listing([file.filename for _, file in self.files])
        signed = f", and {len(self.attestations)} attestations" if self.attestations else ""
        return f"collect {self.package} {self.version} into {self.output}: {files}{signed}"


class WriteCollection(BaseStep, kw_only=True):
    """Write the manifest of all that was collected."""

    output: str
    manifest: Manifest

    @property
    def key(self) -> str:
        return "manifest"

    @property
    def title(self) -> str:
        return f"write the manifest of {len(self.manifest.distributions)} files into {self.output}"
