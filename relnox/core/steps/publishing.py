"""Steps that publish archives."""

from __future__ import annotations

from typing import ClassVar

from packaging.version import Version  # noqa: TC002 - plans are read back by these types

from relnox.core.release.manifest import Distribution  # noqa: TC001 - likewise
from relnox.core.release.publishers import Policy, Publisher  # noqa: TC001 - likewise
from relnox.core.steps.base import BaseStep, listing

__all__ = [
    "Attest",
    "AwaitIndex",
    "CheckProvenance",
    "ClearIndex",
    "LogIn",
    "Upload",
]


class Attest(BaseStep, kw_only=True):
    """Sign files as the job that publishes them (PEP 740), and store the attestations next to them.

    Attributes:
        files: Files that are not public yet: indexes accept no attestations later.
        policy: Whether the run fails if a file cannot be signed.
        publisher: Who signs; None where that is unknown, and existing attestations are used.
        deadline: Seconds to retry while the signing service is unavailable.
    """

    index: str
    files: tuple[Distribution, ...]
    folder: str
    policy: Policy
    publisher: Publisher | None
    deadline: int

    @property
    def key(self) -> str:
        return "attest"

    @property
    def title(self) -> str:
        by = f" as {self.publisher.description}" if self.publisher is not None else ""
        return f"sign {listing([file.filename for file in self.files])}{by} ({self.policy})"


class ClearIndex(BaseStep, kw_only=True):
    """Remove all content of the embedded index, unless it has only files of this release.

    Attributes:
        files: The files of the release, which are kept if an interrupted run uploaded them.
    """

    index: str
    files: tuple[Distribution, ...]

    @property
    def key(self) -> str:
        return "clear index"

    @property
    def title(self) -> str:
        return f"remove all content of index {self.index}"


class LogIn(BaseStep, kw_only=True):
    """Get upload tokens for all projects from an index, before any of them is uploaded.

    Attributes:
        packages: The projects.
    """

    index: str
    packages: tuple[str, ...]

    @property
    def key(self) -> str:
        return "log in"

    @property
    def title(self) -> str:
        return f"get upload tokens for {listing(self.packages)} from {self.index}"


class Upload(BaseStep, kw_only=True):
    """Upload a file to an index, unless the index has it.

    Attributes:
        attestations: Whether the attestation of the file is uploaded with it.
        publisher: Who must have signed that; None where it is unknown.
    """

    remote: ClassVar[bool] = True
    concurrent: ClassVar[bool] = True
    index: str
    file: Distribution
    folder: str
    attestations: Policy = "off"
    publisher: Publisher | None = None

    @property
    def key(self) -> str:
        return f"upload {self.file.filename}"

    @property
    def title(self) -> str:
        return f"upload {self.file.filename} ({self.file.size:,} bytes) to {self.index}"

    @property
    def resources(self) -> tuple[tuple[str, int | None], ...]:
        # The public index locks all releases of a project for each of its files.
        return ((f"uploads to {self.index}", 8), (f"{self.file.package} on {self.index}", 2))


class AwaitIndex(BaseStep, kw_only=True):
    """Wait until an index lists files with the hashes of the manifest, and serves them.

    Attributes:
        deadline: Seconds.
        compare_limit: Files up to so many bytes are downloaded and hashed; of larger ones the length and the
            last MiB are compared. None: the served bytes are not compared here.
        folder: The folder with the built files.
    """

    concurrent: ClassVar[bool] = True
    index: str
    package: str
    version: Version
    files: tuple[Distribution, ...]
    deadline: int
    compare_limit: int | None = None
    folder: str = ""

    @property
    def key(self) -> str:
        return f"await {self.package}"

    @property
    def title(self) -> str:
        return f"wait until {self.index} lists and serves {self.package} {self.version} with the built hashes"

    @property
    def resources(self) -> tuple[tuple[str, int | None], ...]:
        # A waiting step must not block uploads, nor other waiting steps.
        return ((f"listings of {self.index}", 32),)


class CheckProvenance(BaseStep, kw_only=True):
    """Verify the provenance that an index serves for files (PEP 740).

    Attributes:
        policy: Whether the run fails if a file has no provenance.
        publisher: Who published them; None where that is unknown, and the index is trusted to name the publisher.
    """

    concurrent: ClassVar[bool] = True
    index: str
    package: str
    version: Version
    files: tuple[Distribution, ...]
    policy: Policy
    publisher: Publisher | None

    @property
    def key(self) -> str:
        return f"provenance {self.package}"

    @property
    def title(self) -> str:
        by = f" by {self.publisher.description}" if self.publisher is not None else ""
        return f"verify the provenance of {self.package} {self.version} on {self.index}{by}"

    @property
    def resources(self) -> tuple[tuple[str, int | None], ...]:
        return ((f"listings of {self.index}", 32),)
