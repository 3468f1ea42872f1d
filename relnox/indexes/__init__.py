"""Package indexes: settings, credentials, listings, downloads, uploads, signing, and the embedded index."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path

from relnox.core.release.manifest import Distribution
from relnox.core.release.publication import FileCheck
from relnox.core.settings.config import Config
from relnox.indexes import client, credentials, targets, trusted_publishing, uploads
from relnox.indexes.client import ServedContent
from relnox.indexes.credentials import Credentials
from relnox.indexes.embedded import EmbeddedIndex
from relnox.indexes.listings import IndexFile, Listing
from relnox.indexes.trusted_publishing import Identity
from relnox.system import http, retries
from relnox.system.retries import Deadline
from relnox.system.run_scope import call_concurrently
from relnox.system.secrets import Secret

_RETRY_TIME = 1200.0
"""The maximum seconds to retry the request of each listing."""
_MAX_LISTING_AGE = 10.0
"""The maximum age in seconds of a cached listing: after that, files may have been added."""


class Indexes:
    """The indexes of a project. Each one is opened when it is first used.

    Args:
        config: The settings of the project.
        directory: The directory of the embedded index.
        environment: The environment variables, which may contain credentials; None for those of this process.
    """

    def __init__(self, config: Config, directory: Path, environment: Mapping[str, str] | None = None) -> None:
        self._config = config
        self._directory = directory
        self._environment = os.environ if environment is None else environment
        self._targets: dict[str, targets.Target] = {}
        self._credentials: dict[str, Credentials] = {}
        self._named: set[str] = set()
        self._downloaded_hashes: dict[str, str] = {}
        self._listings: dict[tuple[str, str], tuple[float, Listing]] = {}
        """Maps an index name and a project name to the time of the last request and the listing it returned."""
        self._upload_token = os.urandom(32).hex()
        self._opening = threading.RLock()
        self._open = ExitStack()

    def close(self) -> None:
        """Stop the embedded index."""
        self._open.close()

    @cached_property
    def embedded(self) -> EmbeddedIndex:
        """The embedded index; it is not running until `target` starts it."""
        return EmbeddedIndex(
            self._directory, trusted_simple_url=self.trusted_simple_url, upload_token=self._upload_token
        )

    def clear_embedded(self) -> None:
        """Delete all files of the embedded index, and forget its cached listings."""
        self.embedded.store.clear()
        self._listings = {key: listing for key, listing in self._listings.items() if key[0] != targets.EMBEDDED}

    @property
    def trusted_simple_url(self) -> str:
        """The URL of the simple API from which third-party requirements are installed."""
        return targets.trusted_simple_url(self._config)

    def target(self, name: str) -> targets.Target:
        """Return an index by name; start the embedded index if it is the one.

        Raises:
            Blocked: There is no such index, or its settings are not valid.
        """
        with self._opening:
            if name not in self._targets:
                self._targets[name] = (
                    self._start_embedded() if name == targets.EMBEDDED else self._resolved_target(name)
                )
            return self._targets[name]

    def is_production(self, name: str) -> bool:
        """Return whether an index is a production index, or has the same upload host as one."""
        if name == targets.EMBEDDED:
            return False
        target = self.target(name)
        return target.production or targets.is_production_host(target, self._config)

    def fetch_listing(self, index: str, project: str, deadline: Deadline | None = None) -> Listing:
        """Request the listing of a project's files from an index, and cache it."""
        start = retries.CLOCK.now()
        listing = client.fetch_listing(self.target(index).simple_url, project, deadline)
        self._listings[index, project] = start, listing
        return listing

    def cached_listing(self, index: str, project: str) -> Listing:
        """Return the last listing of a project requested in this run, whatever its age; request it if needed."""
        listing = self._listings.get((index, project))
        return self.fetch_listing(index, project) if listing is None else listing[1]

    def fetch_listings(self, index: str, projects: Iterable[str], seconds: float = _RETRY_TIME) -> None:
        """Request the listings of many projects concurrently, each for at most `seconds`, for `cached_listing`."""
        self.target(index)
        call_concurrently(lambda project: self.fetch_listing(index, project, retries.Deadline(seconds)), projects)

    def hashes(
        self,
        index: str,
        project: str,
        filenames: Collection[str],
        *,
        refresh: bool = True,
        deadline: Deadline | None = None,
    ) -> dict[str, str]:
        """Return the SHA-256 hashes (hex) of files on an index by name, without files that it does not list.

        If the listing does not contain the hash of a file, the file is downloaded. With `refresh`, the listing is
        requested again even if the cached one is recent.
        """
        cached_listing = self._listings.get((index, project))
        if refresh or cached_listing is None or retries.CLOCK.now() - cached_listing[0] > _MAX_LISTING_AGE:
            listing = self.fetch_listing(index, project, deadline)
        else:
            listing = cached_listing[1]
        return {name: self._sha256_of(listing[name], deadline) for name in filenames if name in listing}

    def compare_served(
        self, file: IndexFile, built_file: Distribution, deadline: Deadline | None = None
    ) -> ServedContent:
        """Compare the content of a file on an index with that of a built file; see `client.compare_served`."""
        if self._downloaded_hashes.get(file.url) == built_file.sha256:  # there was no hash in the listing
            return client.ServedContent(FileCheck.MATCH, "")
        return client.compare_served(file, built_file, deadline)

    def choose(self, index: str) -> None:
        """Note that the user named this index for uploads, so that credentials without an index are for it."""
        self._named.add(index)

    def credentials(self, index: str) -> Credentials:
        """Return the credentials for uploads to an index.

        Raises:
            Blocked: There are no usable credentials; see `credentials.find`.
        """
        if index == targets.EMBEDDED:
            secret = Secret(self._upload_token)
            return credentials.Credentials(credentials.TOKEN_USER, secret, "the embedded index")
        with self._opening:
            if index not in self._credentials:
                self._credentials[index] = credentials.find(
                    self.target(index), self._environment, is_chosen=index in self._named
                )
            return self._credentials[index]

    def warnings(self, index: str) -> tuple[str, ...]:
        """Return warnings about variables that set another index for other tools, and that relnox ignores."""
        if index == targets.EMBEDDED:
            return ()
        return tuple(targets.ignored_variable_warnings(self.target(index), self._environment))

    def upload(
        self,
        index: str,
        path: Path,
        file: Distribution,
        attestations: Sequence[Path] = (),
        before_sending: Callable[[], None] | None = None,
    ) -> str:
        """Upload a file without retries, and return a summary of the response; see `uploads.upload_file`."""
        target = self.target(index)
        return uploads.upload_file(
            path, file, target, self.credentials(index), attestations, before_sending=before_sending
        )

    def signing_identity(self) -> Identity | str:
        """Return the identity of the CI job for the signing service, or the reason why there is none."""
        return trusted_publishing.request_identity(trusted_publishing.SIGNING_AUDIENCE, self._environment)

    def _sha256_of(self, file: IndexFile, deadline: Deadline | None) -> str:
        """Return the SHA-256 (hex) of a listed file; download the file if the listing does not have it."""
        if file.sha256 is not None:
            return file.sha256
        if file.url not in self._downloaded_hashes:
            self._downloaded_hashes[file.url] = client.download(file, None, deadline)
        return self._downloaded_hashes[file.url]

    def _resolved_target(self, name: str) -> targets.Target:
        """Return a declared or predefined index; requests that read from it use the login in `.netrc`."""
        try:
            target = targets.resolve(name, self._config)
        except targets.UnknownIndex as error:
            raise credentials.undeclared_index_error(name, self._environment) or error from None
        if name in self._config.indexes:
            login = credentials.netrc_login(target, self._environment)
            if login is not None:
                http.authenticate_reads(target.simple_url, login)
        return target

    def _start_embedded(self) -> targets.Target:
        index = self._open.enter_context(self.embedded)
        return targets.Target(
            name=targets.EMBEDDED, upload_url=index.upload_url, simple_url=index.simple_url, production=False
        )
