"""One package index: its listings and files (PEP 503, PEP 691, PEP 740), and its credentials."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from threading import Lock
from typing import NamedTuple
from urllib.parse import urljoin

from relnox.core.documents import describe_parsing_error
from relnox.core.release.manifest import Distribution
from relnox.core.release.publication import FileCheck
from relnox.core.text import format_count
from relnox.errors import Blocked, Failed, TryLater
from relnox.indexes import credentials
from relnox.indexes.credentials import Credentials
from relnox.indexes.listings import IndexFile, Listing, parse_html_listing, parse_json_listing
from relnox.indexes.targets import EMBEDDED, Target, name_or_host
from relnox.system import http, retries
from relnox.system.addresses import host_of, quote_url
from relnox.system.retries import Deadline
from relnox.system.run_scope import call_concurrently

_ACCEPT = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1"
_PROVENANCE = "application/vnd.pypi.integrity.v1+json"
_RETRY_TIME = 1200.0
"""The maximum seconds to retry the request of each listing."""
_MAX_LISTING_AGE = 10.0
"""The maximum age in seconds of a cached listing: after that, files may have been added."""
_PARSING_TIMEOUT = 60.0
"""The maximum seconds to parse HTML, since the parser is slow for some invalid input."""
_OK = 200
_NOT_FOUND = (404, 410)
_LOGIN_NEEDED = 401
_VARIABLES_OF_OTHER_TOOLS = (
    *("TWINE_REPOSITORY_URL", "TWINE_REPOSITORY", "UV_PUBLISH_URL", "UV_PUBLISH_INDEX"),
    *("PDM_PUBLISH_REPO", "HATCH_INDEX_REPO", "FLIT_INDEX_URL"),
)
"""The environment variables that set the index of other upload tools."""


class ServedContent(NamedTuple):
    """The result of comparing a file on an index with a built file.

    Attributes:
        observation: `MATCH` or `MISMATCH` of the SHA-256, or `ABSENT` if the index does not serve the file.
        detail: What differs, or the response for an `ABSENT` file, for messages; empty for `MATCH`.
    """

    observation: FileCheck
    detail: str


class Index(Target):
    """A package index with its listings, files and credentials.

    Its requests are retried until a deadline, by default for ten minutes.

    Args:
        environment: The environment variables, which may contain credentials.
        own_credentials: The credentials for uploads; None to search for them.

    Attributes:
        is_chosen: Whether the user selected this index for uploads; then twine's credentials that name no index
            may be used for it.
    """

    def __init__(
        self, target: Target, environment: Mapping[str, str], own_credentials: Credentials | None = None
    ) -> None:
        super().__init__(target.name, target.upload_url, target.simple_url, public_rules=target.has_public_rules)
        self.production = target.production
        self.in_lockstep = target.in_lockstep
        self.is_chosen = False
        self._environment = environment
        self._credentials = own_credentials
        self._lock = Lock()
        self._downloaded_hashes: dict[str, str] = {}
        self._listings: dict[str, tuple[float, Listing]] = {}
        """Maps each project to the time of the last request and the listing it returned."""

    # --- listings

    def fetch_listing(self, project: str, deadline: Deadline | None = None) -> Listing:
        """Request and cache the listing of a project (by its normalized name); empty if there is no such project.

        The request is retried until `deadline`, by default for ten minutes.

        Raises:
            TryLater: The index does not respond in time.
            Blocked: The index requires a login.
            Failed: The index responds with an error, or with a page that is not a listing.
        """
        start = retries.CLOCK.monotonic()
        listing = _request_listing(self.simple_url, project, deadline)
        self._listings[project] = start, listing
        return listing

    def fetch_listings(self, projects: Iterable[str], seconds: float = _RETRY_TIME) -> None:
        """Fill the cache with the listings of many projects concurrently, each requested for at most `seconds`.

        The first error, as of `fetch_listing`, is raised after all requests.
        """
        call_concurrently(lambda project: self.fetch_listing(project, Deadline(seconds)), projects)

    def cached_listing(self, project: str) -> Listing:
        """Return the last listing of a project requested in this run, whatever its age, or else request it."""
        return self._listings[project][1] if project in self._listings else self.fetch_listing(project)

    def forget_listings(self) -> None:
        """Drop all cached listings, so that the next use requests them again."""
        self._listings.clear()

    def hashes(
        self,
        project: str,
        filenames: Collection[str],
        *,
        refresh: bool = True,
        deadline: Deadline | None = None,
    ) -> dict[str, str]:
        """Return the SHA-256 hashes (hex) of files on the index by name, without files that it does not list.

        The listing is requested again, unless `refresh` is false and it was requested in the last ten seconds. A
        file without a hash in the listing is downloaded. Each request is retried until `deadline`, by default for
        ten minutes; errors are those of `fetch_listing` and `download`.
        """
        requested, _ = self._listings.get(project, (None, None))
        if refresh or requested is None or retries.CLOCK.monotonic() - requested > _MAX_LISTING_AGE:
            self.fetch_listing(project, deadline)
        listing = self.cached_listing(project)
        return {
            name: self._listed_or_downloaded_hash(listing[name], deadline) for name in filenames if name in listing
        }

    def _listed_or_downloaded_hash(self, file: IndexFile, deadline: Deadline | None) -> str:
        if file.sha256 is not None:
            return file.sha256
        if file.url not in self._downloaded_hashes:
            self._downloaded_hashes[file.url] = self.download(file, None, deadline)
        return self._downloaded_hashes[file.url]

    # --- files

    def download(
        self,
        file: IndexFile,
        to: Path | None,
        deadline: Deadline | None = None,
        limit: http.ResponseLimit | None = None,
    ) -> str:
        """Download a listed file to `to`, or only compute its hash if that is None; return its SHA-256 (hex).

        The caller has to compare the hash with the listed one. The request is retried until `deadline`, by default
        for ten minutes. Without `limit`, the file may have 4 GiB, and take an hour.

        Raises:
            TryLater: The index does not respond, or lists the file but does not serve it.
            ResponseTooLarge: The file has more bytes than the limit.
        """
        response, sha256, _ = http.download(file.url, to, deadline=deadline, limit=limit)
        if response.status_code != _OK:
            raise TryLater(
                "index-unavailable",
                f"{file.filename} is listed, but its download returned {response.status_code} {response.reason}",
                fix="rerun the command in a few minutes",
            )
        return sha256

    def compare_download(self, built_file: Distribution, deadline: Deadline | None = None) -> ServedContent:
        """Compare a built file with the file of the same name on the index, by SHA-256.

        The cached listing must have that name. The file is downloaded but not stored, unless `hashes` downloaded
        it before and it had the right hash. The request is retried until `deadline`, by default for ten minutes.

        Raises:
            TryLater: The index does not respond.
        """
        file = self.cached_listing(built_file.package)[built_file.filename]
        if self._downloaded_hashes.get(file.url) == built_file.sha256:  # there was no hash in the listing
            return ServedContent(FileCheck.MATCH, "")
        limit = http.file_limit(built_file.size)
        try:
            response, sha256, size = http.download(file.url, None, deadline=deadline, limit=limit)
        except http.ResponseTooLarge:
            built_size = format_count(built_file.size, "byte")
            return ServedContent(FileCheck.MISMATCH, f"larger than the built file ({built_size})")
        if response.status_code != _OK:
            detail = f"listed, but its download returned {response.status_code} {response.reason or ''}".rstrip()
            return ServedContent(FileCheck.ABSENT, detail)
        if sha256 != built_file.sha256:
            kind = response.headers.get("Content-Type", "")
            details = f"{format_count(size, 'byte')}{f', {kind}' if kind else ''}"
            return ServedContent(FileCheck.MISMATCH, f"different bytes ({details}): sha256 {sha256}")
        return ServedContent(FileCheck.MATCH, "")

    def provenance(self, file: IndexFile, deadline: Deadline | None = None) -> bytes | None:
        """Request the provenance of a file (PEP 740), as JSON; return None if the listing has no URL of it.

        The request is retried until `deadline`, by default for ten minutes.

        Raises:
            TryLater: The index does not respond, or lists provenance but does not serve it.
        """
        if file.provenance is None:
            return None
        response = http.get(file.provenance, {"Accept": _PROVENANCE}, deadline=deadline)
        if response.status_code != _OK:
            raise TryLater(
                "index-unavailable",
                f"the provenance of {file.filename} is listed, but its download returned {response.status_code} "
                f"{response.reason}",
                fix="rerun the command in a few minutes",
            )
        return response.content

    # --- credentials

    @property
    def credentials(self) -> Credentials:
        """The credentials for uploads, searched for at first use.

        Raises:
            Problem: There are no usable credentials; see `credentials.find_credentials`.
        """
        with self._lock:
            if self._credentials is None:
                self._credentials = credentials.find_credentials(self, self._environment, is_chosen=self.is_chosen)
            return self._credentials

    def ignored_variable_warnings(self) -> Iterator[str]:
        """Yield a warning for each environment variable that selects another index for other upload tools.

        Such a variable, for example `TWINE_REPOSITORY`, does not change where relnox uploads files. There are no
        warnings for the embedded index.
        """
        for name in _VARIABLES_OF_OTHER_TOOLS if self.name != EMBEDDED else ():
            if (value := self._environment.get(name)) and not self.matches_name_or_url(value):
                yield (
                    f"{name} ({name_or_host(value)}) is ignored: files are uploaded to {self.name} ({self.host})"
                )


def _request_listing(simple_url: str, project: str, deadline: Deadline | None) -> Listing:
    """Request the listing of a project as JSON or HTML; empty if the index has no such project.

    An index that redirects to another server does not have it. Errors and `deadline` are as in
    `Index.fetch_listing`.
    """
    page = urljoin(simple_url, f"{project}/")
    response = http.get(page, {"Accept": _ACCEPT}, deadline=deadline, limit=http.LISTING)
    # An index that redirects to another one does not have the project itself.
    if response.status_code in _NOT_FOUND or response.is_redirect:
        return Listing()
    base = response.url or page  # links are relative to the URL after redirects
    fix = f"correct `simple` in [tool.relnox.indexes] ({quote_url(page)} is read); or add a login to ~/.netrc"
    if response.status_code == _LOGIN_NEEDED:
        raise Blocked(
            "credentials-rejected",
            f"{host_of(page)} returned {response.status_code} {response.reason} for the listing of {project} "
            "(a login is needed to read it; credentials for uploads are used for uploads only)",
            fix=f"add a login to ~/.netrc: machine {host_of(page).partition(':')[0]} login USER password PASSWORD",
        )
    if response.status_code != _OK:
        raise Failed(
            "index-unavailable",
            f"{host_of(page)} returned {response.status_code} {response.reason} for the listing of {project}",
            fix=fix,
        )
    is_json = "json" in response.headers.get("Content-Type", "")
    try:
        if not is_json:
            text = response.text
            return http.call_with_timeout(lambda: parse_html_listing(text, base), _PARSING_TIMEOUT, host_of(page))
        return parse_json_listing(http.parse_json(response), base)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, AssertionError) as error:
        why = f"PEP {691 if is_json else 503}: {describe_parsing_error(error)}"
        raise Failed(
            "listing-invalid",
            f"the listing of {project} on {host_of(page)} is not valid ({why})",
            fix=fix,
        ) from error
