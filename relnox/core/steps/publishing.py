"""From archives to a release that an index shows."""

from __future__ import annotations

from typing import ClassVar

from packaging.version import Version  # noqa: TC002 - plans are read back by these types

from relnox.core.manifest import Distribution  # noqa: TC001 - likewise
from relnox.core.publishers import Policy, Publisher  # noqa: TC001 - likewise
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
    """Sign files as the job that publishes them (PEP 740), beside the files.

    Attributes:
        files: Those that are not public yet: an index takes no attestation later.
        policy: Whether one that cannot be signed ends the run.
        publisher: Who signs; None where that is not known, and attestations that are there already are taken.
        deadline: Seconds of trouble that signing outlasts.
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
        by = f", as {self.publisher.told}" if self.publisher is not None else ""
        return f"sign {listing([file.filename for file in self.files])} ({self.policy}){by}"


class ClearIndex(BaseStep, kw_only=True):
    """Remove everything from the embedded index, unless it holds files of this release alone.

    Attributes:
        files: The files of the release: those that an interrupted run uploaded stay, so that it can be resumed.
    """

    index: str
    files: tuple[Distribution, ...]

    @property
    def key(self) -> str:
        return "clear index"

    @property
    def title(self) -> str:
        return f"remove everything from {self.index}"


class LogIn(BaseStep, kw_only=True):
    """Ask an index for the tokens of all projects that are uploaded to, so that none is missing halfway.

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
        return f"ask {self.index} for tokens for {listing(self.packages)}"


class Upload(BaseStep, kw_only=True):
    """Send one file to an index, unless it is there.

    Attributes:
        attestations: Whether what attests the file goes with it.
        publisher: Who must have signed that; None where it is not known.
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
    """Wait until an index lists these files with our hashes, and serves them.

    Attributes:
        deadline: Seconds.
        compare_limit: Bytes up to which all of a file is fetched and hashed; of a larger one its length and its
            end are compared with the built file. None: what is served is not compared here.
        folder: Where the built files are.
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
        return f"see that {self.index} lists {self.package} {self.version} with these hashes, and serves it"

    @property
    def resources(self) -> tuple[tuple[str, int | None], ...]:
        # Who waits for a listing does not keep others from sending, nor from looking.
        return ((f"looks at {self.index}", 32),)


class CheckProvenance(BaseStep, kw_only=True):
    """See that an index serves provenance of these files, and verify it (PEP 740).

    Attributes:
        policy: Whether a file without provenance ends the run.
        publisher: Who published them; None where that is not known, and the index's word is taken.
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
        by = f" by {self.publisher.told}" if self.publisher is not None else ""
        return f"verify what {self.index} serves as provenance of {self.package} {self.version}{by}"

    @property
    def resources(self) -> tuple[tuple[str, int | None], ...]:
        return ((f"looks at {self.index}", 32),)
