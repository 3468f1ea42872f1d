"""Package indexes: settings, credentials, listings, downloads, uploads, signing, and the embedded index."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path

from relnox.core.settings.config import Config
from relnox.indexes import credentials, targets, trusted_publishing
from relnox.indexes.credentials import TOKEN_USER, Credentials
from relnox.indexes.embedded import EmbeddedIndex
from relnox.indexes.index import Index
from relnox.indexes.targets import EMBEDDED, Target
from relnox.indexes.trusted_publishing import JobIdentity
from relnox.system import http
from relnox.system.secrets import Secret


class Indexes:
    """The indexes of a project, looked up by name (`indexes[name]`). Each one is opened when it is first used.

    The names are those in the settings, `pypi`, `testpypi`, and `embedded` for the index that runs on this
    machine.

    Args:
        directory: The directory in which the embedded index keeps its files.
        environment: The environment variables, which may contain credentials; None for those of this process.
    """

    def __init__(self, config: Config, directory: Path, environment: Mapping[str, str] | None = None) -> None:
        self._config = config
        self._directory = directory
        self._environment = os.environ if environment is None else environment
        self._indexes: dict[str, Index] = {}
        self._upload_token = os.urandom(32).hex()
        self._opening = threading.RLock()
        self._open = ExitStack()

    def close(self) -> None:
        """Stop the embedded index, if it is running."""
        self._open.close()

    def __getitem__(self, name: str) -> Index:
        """Return an index; start the embedded index if it is the one.

        Raises:
            Blocked: There is no such index, or its settings are not valid.
        """
        with self._opening:
            if name not in self._indexes:
                self._indexes[name] = self._start_embedded_index() if name == EMBEDDED else self._open_index(name)
            return self._indexes[name]

    @cached_property
    def trusted_index(self) -> Index:
        """The index from which third-party requirements are installed; it takes no uploads.

        It is that of the setting `trusted-index`, by default PyPI.
        """
        return Index(Target("trusted-index", "", targets.trusted_simple_url(self._config)), {})

    @cached_property
    def embedded_index(self) -> EmbeddedIndex:
        """The index that runs on this machine; it is not started until it is looked up by its name, `embedded`."""
        return EmbeddedIndex(self._directory, upload_token=self._upload_token)

    def request_signing_identity(self) -> JobIdentity | str:
        """Request an identity token of the CI job for the signing service (Sigstore).

        If there is none, return the reason as text.

        Raises:
            TransientError: The CI provider did not respond; a retry may succeed.
        """
        return trusted_publishing.request_identity(trusted_publishing.SIGNING_AUDIENCE, self._environment)

    def _open_index(self, name: str) -> Index:
        """Return a declared or predefined index; let reads from a declared one use the login in `.netrc`."""
        try:
            target = targets.find_target(name, self._config)
        except targets.UnknownIndex as error:
            raise credentials.undeclared_index_error(name, self._environment) or error from None
        if name in self._config.indexes:
            login = credentials.netrc_login(target, self._environment)
            if login is not None:
                http.authenticate_reads(target.simple_url, login)
        return Index(target, self._environment)

    def _start_embedded_index(self) -> Index:
        """Return the embedded index, which runs until `close`."""
        running = self._open.enter_context(self.embedded_index)
        own = Credentials(TOKEN_USER, Secret(self._upload_token), "the embedded index")
        return Index(Target(EMBEDDED, running.upload_url, running.simple_url), self._environment, own)
