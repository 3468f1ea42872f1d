"""Steps of `verify-install`."""

from __future__ import annotations

from typing import ClassVar

from packaging.version import Version  # noqa: TC002 - plans are read back by these types

from relnox.core.release.manifest import Distribution  # noqa: TC001 - likewise
from relnox.core.settings.config import InstallChecks  # noqa: TC001 - likewise
from relnox.core.steps.base import BaseStep, listing

__all__ = [
    "CopyFiles",
    "Download",
    "VerifyInstall",
]


class Download(BaseStep, kw_only=True):
    """Download the files of a package and compare their hashes.

    Attributes:
        deadline: How long the index may take to serve the files that it lists, in seconds.
    """

    concurrent: ClassVar[bool] = True
    index: str
    package: str
    files: tuple[Distribution, ...]
    deadline: int

    @property
    def key(self) -> str:
        return f"fetch {self.package}"

    @property
    def title(self) -> str:
        return f"download {listing([file.filename for file in self.files])} from {self.index}, compare hashes"


class CopyFiles(BaseStep, kw_only=True):
    """Copy the files of a package from a folder and compare their hashes."""

    concurrent: ClassVar[bool] = True
    folder: str
    package: str
    files: tuple[Distribution, ...]

    @property
    def key(self) -> str:
        return f"fetch {self.package}"

    @property
    def title(self) -> str:
        return f"copy {listing([file.filename for file in self.files])} from {self.folder}, compare hashes"


class VerifyInstall(BaseStep, kw_only=True):
    """Install a package in a fresh environment, and check that it is complete and works.

    Attributes:
        python: The Python, such as `3.12`; empty for the running one.
        siblings: Packages of the same release that it needs; installed from the release's files too.
        others: Projects whose wheels are available in a folder; installed from there if required.
        checks: The checks to run.
        skip: The reason to skip it; None to run it.
    """

    concurrent: ClassVar[bool] = True
    package: str
    version: Version
    python: str
    siblings: tuple[str, ...]
    installer: str
    checks: InstallChecks
    skip: str | None = None
    others: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        return f"verify {self.package}{f' on {self.python}' if self.python else ''}"

    @property
    def title(self) -> str:
        python = f"Python {self.python}" if self.python else "this Python"
        siblings = f" (with {listing(self.siblings)} of this release)" if self.siblings else ""
        smoke = f", run {listing(self.checks.smoke)}" if self.checks.smoke else ""
        return (
            f"install {self.package} {self.version}{siblings} on {python} in a fresh environment, check it{smoke}"
        )
