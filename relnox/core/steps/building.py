"""Steps from a commit to checked archives and their manifest, in one CI job or several."""

from __future__ import annotations

from typing import ClassVar, Literal

from packaging.version import Version  # noqa: TC002 - plans are read back by these types

from relnox.core.release.manifest import Distribution, Manifest  # noqa: TC001 - likewise
from relnox.core.release.wheels import WheelJob  # noqa: TC001 - likewise
from relnox.core.settings.build_settings import DEFAULT, UNCONSTRAINED, BuildSettings, Constraints  # noqa: TC001 - likewise
from relnox.core.settings.config import Abi  # noqa: TC001 - likewise
from relnox.core.steps.base import BaseStep, listing
from relnox.core.versions.derived_versions import CommitTags  # noqa: TC001 - likewise

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
"""Environments that are created at once: they mostly wait for the index or the disk."""


class CleanFolder(BaseStep, kw_only=True):
    """Remove files of earlier builds from the output folder."""

    folder: str
    files: tuple[str, ...]

    @property
    def key(self) -> str:
        return "clean"

    @property
    def title(self) -> str:
        return f"remove {listing(self.files)} from {self.folder}"


class ClearCache(BaseStep, kw_only=True):
    """Remove cached build environments."""

    @property
    def key(self) -> str:
        return "clear cache"

    @property
    def title(self) -> str:
        return "remove cached build environments"


class Export(BaseStep, kw_only=True):
    """Export a commit to a scratch folder, so that only committed files are built.

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
        return f"export commit {self.commit[:10]} (without uncommitted changes)"


class PrepareBuildEnvironment(BaseStep, kw_only=True):
    """Create the environment shared by all packages with the same build requirements, or take it from the cache.

    Attributes:
        requires: The build requirements, as written.
        backend: The module of their build backend, which a warm process imports.
        epoch: `SOURCE_DATE_EPOCH` of the builds; some backends read it when they are imported.
        keep: Whether to use environments of earlier runs, and to cache this one.
        constraints: Which releases may be installed.
        output: The folder that may have archives of an earlier run.
        inputs: The packages that use it, with a digest of their inputs; None as in `Build`.
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
        return f"prepare build environment with {', '.join(self.requires)}"


class Build(BaseStep, kw_only=True):
    """Build a package's sdist, and its wheel from that sdist, in isolation.

    Attributes:
        siblings: Packages of the same plan that the build requires: their new wheels are installed.
        epoch: `SOURCE_DATE_EPOCH` of the build: the commit's time, seconds since 1970.
        strict: Whether warnings about the archives are errors.
        isolation: Whether environments and processes may be shared where that changes no byte of the archives.
        inputs: A digest of the package's inputs; None to build even if nothing changed.
        keep_environments: Whether to use environments of earlier runs, and to cache those of this one.
        pythons: The Pythons to build platform wheels for, such as `3.12`; empty for the running one.
        sdist_only: Whether its wheels are built by other jobs, for several platforms.
        requires: The expected requirements in the metadata; None if the backend decides.
        private: Whether it is never published to the public index, so that the rules of this index do not apply.
        declarative: Whether the build runs no code but the backend's, so that one process may build both archives.
        command: The project's own build command; empty for the build backend.
        tags: The tags of the commit; None if the version does not come from tags.
        settings: The project's settings for the build besides `[build-system]`.
        may_be_empty: Whether its wheel may have no module, script or data: a package that only has requirements.
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
    sdist_only: bool = False
    requires: tuple[str, ...] | None
    private: bool
    declarative: bool = False
    command: tuple[str, ...] = ()
    tags: CommitTags | None = None
    settings: BuildSettings = DEFAULT
    may_be_empty: bool = False
    optional_extensions: bool = False

    @property
    def key(self) -> str:
        return f"build {self.package}"

    @property
    def title(self) -> str:
        return f"build {self.package} {self.version or '(version from its backend)'}: sdist, then wheel from sdist"


class CheckReproducibility(BaseStep, kw_only=True):
    """Build a package again with another path, umask, time zone, locale and file times, and compare byte by byte.

    Attributes:
        build: The first build.
    """

    concurrent: ClassVar[bool] = True
    build: Build

    @property
    def key(self) -> str:
        return f"compare {self.build.package}"

    @property
    def title(self) -> str:
        return f"build {self.build.package} again in another folder, and compare"


class BuildWheels(BaseStep, kw_only=True):
    """Build the platform wheels of one job of the matrix from the sdist in the output folder.

    Attributes:
        job: The wheels, and the platform to build them on.
        abi: The ABI that they use.
        build: The planned build of the package.
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
    """Write the CI jobs that build platform wheels, as JSON."""

    file: str
    text: str

    @property
    def key(self) -> str:
        return "matrix"

    @property
    def title(self) -> str:
        return f"write the jobs for platform wheels to {self.file}"


class RunTests(BaseStep, kw_only=True):
    """Run the configured tests with the built wheel in a new environment.

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
    """Run `twine check` on all built archives."""

    output: str
    strict: bool

    @property
    def key(self) -> str:
        return "check"

    @property
    def title(self) -> str:
        return f"check the archives' metadata{', warnings are errors' if self.strict else ''}"


class WriteManifest(BaseStep, kw_only=True):
    """Write the manifest of what was built, as JSON and as text."""

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
    """Copy one package's files from the folders of build jobs, unless they are already there.

    Attributes:
        files: Pairs of a folder and a file in it.
        attestations: The attestations beside them (PEP 740): folder, name and SHA-256.
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
    """Write the manifest of the collected files."""

    output: str
    manifest: Manifest

    @property
    def key(self) -> str:
        return "manifest"

    @property
    def title(self) -> str:
        return f"write the manifest of {len(self.manifest.distributions)} files into {self.output}"
