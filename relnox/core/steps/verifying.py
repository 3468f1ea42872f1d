"""A release is installed and used."""

from __future__ import annotations

from typing import ClassVar

from packaging.version import Version  # noqa: TC002 - plans are read back by these types

from relnox.core.config import InstallChecks  # noqa: TC001 - likewise
from relnox.core.manifest import Distribution  # noqa: TC001 - likewise
from relnox.core.steps.base import BaseStep, listing

__all__ = [
    "CopyFiles",
    "Download",
    "VerifyInstall",
]


class Download(BaseStep, kw_only=True):
    """Fetch the files that an index serves and compare their hashes.

    Attributes:
        deadline: How long the index may take to serve what it lists, in seconds.
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
    """Copy the files of a package from where they were built to, and compare their hashes."""

    concurrent: ClassVar[bool] = True
    folder: str
    package: str
    files: tuple[Distribution, ...]

    @property
    def key(self) -> str:
        return f"fetch {self.package}"

    @property
    def title(self) -> str:
        return f"take {listing([file.filename for file in self.files])} from {self.folder}, compare hashes"


class VerifyInstall(BaseStep, kw_only=True):
    """Install our fetched files in a fresh environment, and see that they are complete and work.

    Attributes:
        python: The Python, such as `3.12`; empty for the running one.
        siblings: Packages of the same release that it needs: installed from our files too.
        others: Projects whose wheels are at hand: installed from these where they are required.
        trial: What is tried.
        skip: Why nothing is tried; None where it is.
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
        beside = f" (with {listing(self.siblings)} as built)" if self.siblings else ""
        smoke = f", run {listing(self.checks.smoke)}" if self.checks.smoke else ""
        return (
            f"install {self.package} {self.version}{beside} on {python} in a fresh environment and use it{smoke}"
        )
