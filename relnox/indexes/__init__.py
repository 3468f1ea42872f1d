"""Package indexes: where they are, what they hold, how a file is sent to one, and one of our own."""

from __future__ import annotations

import os
import threading
from contextlib import ExitStack
from typing import TYPE_CHECKING, TypeVar

from relnox.errors import Blocked
from relnox.files import TemporaryFolder, make_private
from relnox.indexes import targets

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    from relnox.core.availability import Available, Need
    from relnox.core.config import Config
    from relnox.core.manifest import Distribution
    from relnox.indexes.attestations import Signatory
    from relnox.indexes.client import IndexFile, Listing, Served
    from relnox.indexes.credentials import Credentials
    from relnox.indexes.embedded.rules import Rules
    from relnox.indexes.trusted_publishing import Identity
    from relnox.network import Deadline

__all__ = ["Indexes"]

T = TypeVar("T")

_CONNECTIONS = 16
"""How many projects are asked about at once."""
_OUTAGE = 1200.0
"""Seconds of trouble that a look at all projects outlasts."""
_GLANCE = 0.05
_FRESH = 10.0
"""Seconds that an answer counts for: where files can be replaced, one that came meanwhile must be seen."""


class Indexes:
    """The indexes that a project's tasks name, each opened when it is first asked.

    Args:
        config: The project's settings.
        folder: Where the embedded index keeps its files.
        environment: Variables that may hold credentials.
    """

    def __init__(self, config: Config, folder: Path, environment: Mapping[str, str] | None = None) -> None:
        self._config = config
        self._folder = folder
        self._environment = os.environ if environment is None else environment
        self._targets: dict[str, targets.Target] = {}
        self._credentials: dict[str, Credentials] = {}
        self._fetched: dict[str, str] = {}
        self._seen: dict[tuple[str, str], Listing] = {}
        self._asked: dict[tuple[str, str], float] = {}
        self._rules: Rules | None = None
        self._upload_token = os.urandom(32).hex()
        self._is_expected_clear = False
        self._opening = threading.RLock()
        self._open = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop what was started: the embedded index."""
        self._open.close()

    def keep_open(self, context: AbstractContextManager[object]) -> None:
        """Enter a context that ends when the indexes are closed."""
        self._open.enter_context(context)

    @property
    def trusted_simple_url(self) -> str:
        """The simple API that third-party requirements are installed from."""
        return targets.trusted_simple_url(self._config)

    def target(self, name: str) -> targets.Target:
        """The index of that name; the embedded one is started.

        Raises:
            Blocked: There is no such index.
        """
        with self._opening:
            if name not in self._targets:
                self._targets[name] = self._embedded() if name == targets.EMBEDDED else self._known(name)
            return self._targets[name]

    def is_production(self, name: str) -> bool:
        """Whether what is sent there is public for good, or reaches the production index under another name."""
        if name == targets.EMBEDDED:
            return False
        target = self.target(name)
        return target.production or targets.is_production_host(target, self._config)

    def files(self, index: str, project: str, deadline: Deadline | None = None) -> Listing:
        """What an index lists of a project, asked anew each time."""
        from relnox import network
        from relnox.indexes import client

        if index == targets.EMBEDDED and self._is_expected_clear:
            return client.Listing()
        self._asked[index, project] = network.CLOCK.now()
        listed = client.listed_files(self.target(index).simple_url, project, deadline)
        self._seen[index, project] = listed
        return listed

    def seen(self, index: str, project: str) -> Listing:
        """What an index listed of a project when it was last asked in this run; asked now if it never was."""
        listed = self._seen.get((index, project))
        return self.files(index, project) if listed is None else listed

    def look(self, index: str, projects: Iterable[str], seconds: float = _OUTAGE) -> None:
        """Ask an index about many projects, side by side; `seen` has the answers.

        What sending files needs is opened meanwhile, since it takes as long as the asking does.

        Args:
            index: Its name.
            projects: Normalized names (PEP 503).
            seconds: How long each question may take.
        """
        from relnox import network

        self.target(index)
        import requests  # noqa: F401 - both of the next need it

        threading.Thread(target=_open_wire, daemon=True).start()
        _side_by_side(lambda project: self.files(index, project, network.Deadline(seconds)), projects)

    def available(
        self, index: str, projects: Mapping[str, Sequence[Need]], *, trusted: Collection[str]
    ) -> dict[str, Available]:
        """What users find of projects that packages require, on the indexes that they install from.

        The index that is published to is asked first, then those of `extra-indexes`, then the trusted index, until
        what is required is there.

        Args:
            index: The index that is published to.
            projects: What is required of each project.
            trusted: The projects that the trusted index is asked for, too.
        """
        from relnox import network
        from relnox.indexes import availability

        sources = {index: self.target(index).simple_url, **targets.extra_simple_urls(self._config)}
        for name in self._config.publish.extra_indexes:
            if name in self._config.indexes:
                self.target(name)  # with who may read it
        last = self.trusted_simple_url
        asked = availability.Asked(network.Deadline(availability.LIMIT))

        def find(project: str) -> Available:
            more = {targets.origin(last): last} if project in trusted and last not in sources.values() else {}
            return asked.find(project, projects[project], sources | more)

        return dict(zip(projects, _side_by_side(find, projects), strict=True))

    def hashes(
        self,
        index: str,
        project: str,
        wanted: Collection[str],
        *,
        refresh: bool = True,
        deadline: Deadline | None = None,
    ) -> dict[str, str]:
        """SHA-256 (hex) of those of the wanted files that an index lists.

        Where the listing tells no hash the file itself is fetched: a name alone proves nothing.

        Args:
            index: Its name.
            project: Normalised name (PEP 503).
            wanted: File names.
            refresh: Whether the index is asked again if it was a moment ago.
            deadline: How long to try.

        Raises:
            ContradictoryListing: It lists one of them more than once, with different content.
        """
        from relnox import network

        refresh = refresh or network.CLOCK.now() - self._asked.get((index, project), 0.0) > _FRESH
        listed = self.files(index, project, deadline) if refresh else self.seen(index, project)
        for name in wanted:
            listed.check(name)
        return {name: self._hash(listed[name], deadline) for name in wanted if name in listed}

    def is_served(self, file: IndexFile, deadline: Deadline | None = None) -> bool:
        """Whether a listed file can be fetched."""
        from relnox.indexes import client

        return client.is_served(file, deadline)

    def compare_served(
        self,
        file: IndexFile,
        built: Distribution,
        *,
        limit: int,
        path: Path | None = None,
        deadline: Deadline | None = None,
    ) -> Served:
        """Whether an index serves our bytes as a file that it lists; see `client.compare_served`."""
        from relnox.core.publication import Seen
        from relnox.indexes import client

        if self._fetched.get(file.url) == built.sha256:  # its listing tells no hash, so it was fetched for that
            return client.Served(Seen.OURS, "sha256 compared")
        return client.compare_served(file, built, limit=limit, path=path, deadline=deadline)

    def download(self, file: IndexFile, to: Path, deadline: Deadline | None = None) -> str:
        """Fetch a file and return its SHA-256 (hex)."""
        from relnox.indexes import client

        return client.download(file, to, deadline)

    def credentials(self, index: str) -> Credentials:
        """Who uploads to an index.

        Raises:
            Blocked: Nobody can be found.
        """
        from relnox.indexes import credentials

        if index == targets.EMBEDDED:
            secret = credentials.Secret(self._upload_token)
            return credentials.Credentials(credentials.TOKEN_USER, secret, "the embedded index")
        with self._opening:
            if index not in self._credentials:
                self._credentials[index] = credentials.find(self.target(index), self._environment)
            return self._credentials[index]

    def remarks(self, index: str) -> tuple[str, ...]:
        """What a reader should know of variables that choose an index for other tools, and not here."""
        if index == targets.EMBEDDED:
            return ()
        return tuple(targets.passed_over(self.target(index), self._environment))

    def upload(
        self,
        index: str,
        path: Path,
        file: Distribution,
        attestations: Sequence[Path] = (),
        sending: Callable[[], None] | None = None,
    ) -> str:
        """Send a file to an index once, and return its answer; see `uploader.send` for what is raised.

        Args:
            index: Its name.
            path: Where the file is.
            file: What it is.
            attestations: Files with what attests it (PEP 740).
            sending: Called right before the first byte of it goes.
        """
        target = self.target(index)
        from relnox.indexes import uploader

        return uploader.send(path, file, target, self.credentials(index), attestations, sending=sending)

    def rule_embedded(self, judge: Callable[[Path], Iterable[str]]) -> None:
        """Have the embedded index refuse what the public one would; to be said before it is first asked.

        Args:
            judge: Says what speaks against an archive.
        """
        from relnox.indexes.embedded.rules import Rules

        self._rules = Rules(judge=judge)

    def identity(self, index: str) -> Identity | str:
        """Who signs what is published to an index, or why nobody does.

        Raises:
            Blocked: An identity that no index takes.
        """
        from relnox.indexes import attestations, trusted_publishing

        identity = trusted_publishing.identify(attestations.AUDIENCE, self._environment)
        if not isinstance(identity, str):
            identity.check(index)
        return identity

    def signatory(self, index: str) -> Signatory:
        """Signs files for an index, as the job that is running."""
        from relnox.indexes import attestations

        def identify() -> Identity:
            identity = self.identity(index)
            if isinstance(identity, str):
                raise Blocked(
                    "todo", f"nothing can be signed: {identity}", fix="sign where the CI engine gives an identity"
                )
            return identity

        return attestations.Signatory(identify)

    def provenance(self, file: IndexFile, deadline: Deadline | None = None) -> bytes | None:
        """What an index serves as a file's provenance (PEP 740); None where it has none."""
        from relnox.indexes import client

        return client.provenance(file, deadline)

    def embedded_holds_only(self, files: Sequence[Distribution]) -> bool:
        """Whether the embedded index holds nothing but some of these files."""
        from relnox.indexes.embedded import EmbeddedIndex

        return EmbeddedIndex(self._folder).holds_only({file.filename: file.sha256 for file in files})

    def expect_clear_embedded(self) -> None:
        """Answer as the embedded index will when it is cleared: a plan is about that state."""
        self._is_expected_clear = True

    def clear_embedded(self) -> None:
        """Remove everything that the embedded index holds."""
        from relnox.indexes.embedded import EmbeddedIndex

        EmbeddedIndex(self._folder).clear()
        self._is_expected_clear = False
        for cache in (self._seen, self._asked):
            for key in [key for key in cache if key[0] == targets.EMBEDDED]:
                del cache[key]

    def _hash(self, file: IndexFile, deadline: Deadline | None) -> str:
        if file.sha256 is not None:
            return file.sha256
        if file.url not in self._fetched:
            with TemporaryFolder() as folder:
                self._fetched[file.url] = self.download(file, folder.path / "file", deadline)
        return self._fetched[file.url]

    def _known(self, name: str) -> targets.Target:
        from relnox.indexes import credentials

        try:
            target = targets.resolve(name, self._config)
        except targets.NoSuchIndex as error:
            raise credentials.only_in_pypirc(name, self._environment) or error from None
        if name in self._config.indexes:
            from relnox import network

            login = credentials.for_reading(target, self._environment)
            if login is not None:
                network.authenticate_reads(target.simple_url, login)
        return target

    def _embedded(self) -> targets.Target:
        from relnox.indexes.embedded import EmbeddedIndex

        make_private(self._folder)
        index = EmbeddedIndex(
            self._folder,
            trusted_simple_url=self.trusted_simple_url,
            rules=self._rules,
            upload_token=self._upload_token,
        )
        self._open.enter_context(index)
        return targets.Target(
            name=targets.EMBEDDED,
            upload_url=index.upload_url,
            simple_url=index.simple_url,
            production=False,
        )


def _side_by_side(call: Callable[[str], T], projects: Iterable[str]) -> list[T]:
    """Call something for each of many projects, several at once; a signal ends the requests under way."""
    from concurrent.futures import ThreadPoolExecutor, wait

    from relnox import network

    with ThreadPoolExecutor(_CONNECTIONS, thread_name_prefix="look") as pool:
        asked = [pool.submit(call, project) for project in projects]
        try:
            wait(asked)
        except BaseException:  # an interruption too ends the requests: leaving the pool waits for them
            pool.shutdown(wait=False, cancel_futures=True)
            while wait(asked, timeout=_GLANCE).not_done:
                network.cancel_all()
            raise
    return [each.result() for each in asked]


def _open_wire() -> None:
    from relnox.indexes import twine_compat  # noqa: F401 - imported early, in a thread
