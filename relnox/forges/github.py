"""GitHub: github.com, GitHub Enterprise Cloud and GitHub Enterprise Server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal
from urllib.parse import quote, urlsplit

from packaging.version import Version

from relnox.core import fixes
from relnox.errors import Conflict
from relnox.forges.api import CheckRun, Environment, Forge, PullRequest, ReleaseFile, ReleasePage, RequestRejected
from relnox.system import retries
from relnox.system.addresses import have_same_origin

_VERSION = "2022-11-28"
"""The version of the REST API, which GitHub Enterprise Server supports, too."""
_LISTING_TIMEOUT = 60.0
"""How long to wait until a new release is listed, in seconds."""
_MAX_PAGES = 10
_STATES: Mapping[str, Literal["passed", "pending"]] = {"success": "passed", "pending": "pending"}
_PASSED = ("success", "neutral", "skipped")


class GitHub(Forge):
    """A repository on GitHub."""

    name = "GitHub"
    program = "gh"
    headers: ClassVar[Mapping[str, str]] = {
        "Accept": "application/vnd.github+json",
        "X-GitHub-Api-Version": _VERSION,
    }
    pull_request_term = "pull request"
    pull_requests_path = "/pulls"
    update_method = "PATCH"
    field_names: ClassVar[Mapping[str, str]] = {}
    has_drafts = True
    max_body = 125_000
    environment_fix = "in Settings > Environments > {name}: add required reviewers, and prevent self-review"
    pages_path = ""

    def check_runs(self, commit: str) -> tuple[CheckRun, ...]:
        """Return the check runs and the statuses of a commit, the latest of each name."""
        failure = f"cannot read the checks of {commit[:10]}"
        runs: list[CheckRun] = []
        for page in range(1, _MAX_PAGES + 1):
            path, more = f"/commits/{commit}/check-runs", {"per_page": "100", "page": str(page)}
            of_page = self._get_quickly(path, failure, "checks: read", _parse_check_runs, **more)
            runs += of_page
            if len(of_page) < 100:  # noqa: PLR2004 - the size of a page
                break
        path = f"/commits/{commit}/status"
        return (*runs, *self._get_quickly(path, failure, "statuses: read", _parse_statuses, per_page="100"))

    def environment(self, name: str) -> Environment | None:
        """Return an environment with its protection rules, or None if there is none of this name."""
        failure = f"cannot read the environments of {self.location.path}"
        path = "/environments"
        return self._get_quickly(path, failure, "actions: read", _parse_environments, per_page="100").get(name)

    @property
    def _repository_path(self) -> str:
        owner, _, name = self.location.path.partition("/")
        return f"repos/{quote(owner)}/{quote(name, safe='')}"

    def _permission_fix(self, permission: str, explanation: str) -> str:
        if "not permitted to create or approve pull requests" in explanation.lower():
            return (
                'enable "Allow GitHub Actions to create and approve pull requests" in Settings > Actions > '
                "General of the repository or organization, or set RELNOX_FORGE_TOKEN to an app's token"
            )
        scope, _, access = permission.partition(": ")
        return (
            f'grant "{permission}": under "permissions:" of the CI job, or as '
            f"{scope.replace('-', ' ').capitalize()} ({access}) of the personal access token"
        )

    def _open_pull_requests_query(self, head: str, base: str) -> Mapping[str, str]:
        return {"state": "open", "head": f"{self.location.path.partition('/')[0]}:{head}", "base": base}

    def _parse_pull_request(self, document: Any) -> PullRequest:
        head, base = document["head"], document["base"]
        return PullRequest(
            number=int(document["number"]),
            url=str(document["html_url"]),
            title=str(document["title"]),
            body=str(document["body"] or ""),
            head=head["ref"],
            base=base["ref"],
            is_open=document["state"] == "open",
            # The repository of a deleted fork is null.
            is_own=head["repo"] is not None and head["repo"]["full_name"] == base["repo"]["full_name"],
        )

    # --- releases

    def check_release_permission(self, tag: str, commit: str) -> None:
        """Have notes generated, which GitHub does not store, as a test: this needs the same permission."""
        failure = f"cannot write releases of {self.location.path}"
        self.request(
            "POST",
            "/releases/generate-notes",
            failure,
            "contents: write",
            body={"tag_name": tag, "target_commitish": commit},
        )

    def releases(self, tag: str) -> tuple[ReleasePage, ...]:
        """Return the releases of a tag, the oldest first, selected from a list of all: no other has drafts."""
        failure = f"cannot list the releases of {self.location.path}"
        documents = self.request_all("/releases", failure, "contents: read")
        pages = [self._parse(_parse_release, document, failure) for document in documents]
        return tuple(sorted((page for page in pages if page.tag == tag), key=lambda page: page.id))

    def create_release(
        self, tag: str, title: str, body: str, *, prerelease: bool, files: Sequence[ReleaseFile] = ()
    ) -> tuple[ReleasePage, ...]:
        """Create a draft, wait until it is listed, and return all listed releases of the tag.

        `files` is ignored: files are uploaded to the draft.

        Raises:
            TryLater: The draft is not listed within a minute.
        """
        del files
        failure = f"cannot create a draft release of {tag}"
        values = {"tag_name": tag, "name": title, "body": body, "draft": True, "prerelease": prerelease}
        created = self._parse(_parse_release, self._write_release("POST", "/releases", failure, values), failure)

        def look() -> tuple[ReleasePage, ...]:
            if not (pages := self.releases(tag)):
                raise retries.TransientError("step-not-done", f"{self.name} does not list {created.url} yet")
            return pages

        return retries.retry(look, retries.Deadline(_LISTING_TIMEOUT))

    def change_release(self, page: ReleasePage, body: str, files: Sequence[ReleaseFile] = ()) -> None:
        """Change the text, which is possible even if the release is immutable; `files` is ignored."""
        del files
        failure = f"cannot change the release of {page.tag}"
        self._write_release("PATCH", f"/releases/{page.id}", failure, {"body": body})

    def publish_release(self, page: ReleasePage, *, prerelease: bool, latest: bool) -> None:
        """Publish a draft; `latest` is always sent, since GitHub would by default make it the latest release."""
        values = {"draft": False, "prerelease": prerelease, "make_latest": str(latest).lower()}
        self._write_release("PATCH", f"/releases/{page.id}", f"cannot publish the release of {page.tag}", values)

    def latest_release(self) -> str | None:
        """Return the tag of the latest release, or None without one; drafts and prereleases do not count."""
        failure = f"cannot read the latest release of {self.location.path}"
        document = self.request("GET", "/releases/latest", failure, "contents: read", may_be_missing=True)
        return None if document is None else self._parse(_parse_release, document, failure).tag

    def files(self, page: ReleasePage | None, package: str, version: str) -> dict[str, ReleaseFile]:
        """Return the files of a release by name; empty if `page` is None. `package` and `version` are ignored."""
        del package, version
        if page is None:
            return {}
        failure = f"cannot list the files of the release of {page.tag}"
        documents = self.request_all(f"/releases/{page.id}/assets", failure, "contents: read")
        files = [self._parse(self._parse_file, document, failure) for document in documents]
        return {file.name: file for file in files}

    def upload(self, page: ReleasePage | None, package: str, version: str, path: Path) -> None:
        """Upload a file to a draft, unless it is there completely; an incomplete file is deleted first.

        Each attempt looks for the file, since GitHub refuses a second one of the same name. `package` and
        `version` are ignored.
        """
        assert page is not None  # noqa: S101 - there is a draft
        self.require_token()
        failure = f"cannot upload {path.name} to the release of {page.tag}"
        upload_url = page.upload_url.partition("{")[0]
        api, server = self.location.api, urlsplit(upload_url).hostname or ""
        if not have_same_origin(api, upload_url) and server != f"uploads.{self.location.host}":
            raise self.unexpected_response_error(failure)  # the token is for no other server
        address, deadline = f"{upload_url}?name={quote(path.name)}", retries.Deadline()

        def send() -> None:
            file = self.files(page, package, version).get(path.name)
            if file is not None and file.is_complete:
                return
            if file is not None:
                self.delete_file(file)
            with path.open("rb") as content:
                response = self._send("POST", address, content, deadline.read_timeout, "application/octet-stream")
            try:
                self._parse_response(response, failure, "contents: write")
            except RequestRejected as error:  # it may have arrived all the same
                if path.name not in self.files(page, package, version):
                    raise
                raise retries.TransientError("forge-rejected", error.message) from error

        retries.retry(send, deadline)

    def delete_release(self, page: ReleasePage) -> None:
        """Delete a draft by its id; do nothing if it does not exist."""
        failure = f"cannot delete draft {page.id}"
        self.request("DELETE", f"/releases/{page.id}", failure, "contents: write", may_be_missing=True)

    def delete_file(self, file: ReleaseFile) -> None:
        """Delete a file by its URL; do nothing if it does not exist."""
        path = file.url.removeprefix(f"{self.location.api}/{self._repository_path}")
        self.request("DELETE", path, f"cannot delete {file.name}", "contents: write", may_be_missing=True)

    def generated_notes(self, tag: str, previous: str, version: Version) -> str:
        """Return notes that GitHub generates for the changes since tag `previous`.

        The tag is passed because GitHub would otherwise choose the release to compare with. `version` is ignored.
        """
        del version
        failure = f"cannot generate notes for {tag}"
        values = {"tag_name": tag, "previous_tag_name": previous}
        document = self.request("POST", "/releases/generate-notes", failure, "contents: write", body=values)
        return self._parse(lambda document: str(document["body"]), document, failure)

    def _write_release(self, method: str, path: str, failure: str, values: Mapping[str, Any]) -> Any:
        """Send a request that writes a release; raise `Conflict` if an immutable release has used its tag."""
        try:
            return self.request(method, path, failure, "contents: write", body=values)
        except RequestRejected as error:
            if "immutable" not in error.message:
                raise
            # GitHub keeps such a tag taken even if the release and the tag were deleted.
            raise Conflict(
                "forge-release-immutable",
                f"{error.message}; the tag was used by an immutable release, and cannot be used again",
                f"release a higher version: {fixes.task_command('bump', '--part', 'patch')}",
            ) from error

    def _parse_file(self, document: Any) -> ReleaseFile:
        digest = document.get("digest") or ""
        return ReleaseFile(
            name=str(document["name"]),
            url=f"{self.location.api}/{self._repository_path}/releases/assets/{int(document['id'])}",
            sha256=digest.removeprefix("sha256:") if digest.startswith("sha256:") else None,
            is_complete=document["state"] == "uploaded",  # `starter` is left by an upload that broke off
        )


def _parse_release(document: Any) -> ReleasePage:
    """Return the release that a JSON document of GitHub's API describes."""
    return ReleasePage(
        id=int(document["id"]),
        tag=str(document["tag_name"]),
        body=str(document["body"] or ""),
        url=str(document["html_url"]),
        is_draft=bool(document["draft"]),
        is_immutable=bool(document.get("immutable")),
        upload_url=str(document["upload_url"]),
    )


def _parse_check_runs(document: Any) -> list[CheckRun]:
    """Return the check runs in a JSON document of GitHub's API."""
    return [
        CheckRun(
            name=str(run["name"]),
            state="pending"
            if run["status"] != "completed"
            else "passed"
            if run["conclusion"] in _PASSED
            else "failed",
            url=str(run["details_url"] or run["html_url"] or ""),
        )
        for run in document["check_runs"]
    ]


def _parse_statuses(document: Any) -> list[CheckRun]:
    """Return the commit statuses in a JSON document of GitHub's API as check runs."""
    return [
        CheckRun(
            name=str(status["context"]),
            state=_STATES.get(status["state"], "failed"),
            url=str(status["target_url"] or ""),
        )
        for status in document["statuses"]
    ]


def _parse_environments(document: Any) -> dict[str, Environment]:
    """Return the environments in a JSON document of GitHub's API, by name."""
    environments = {}
    for environment in document["environments"]:
        rules = [rule for rule in environment.get("protection_rules", ()) if rule["type"] == "required_reviewers"]
        environments[str(environment["name"])] = Environment(
            has_reviewers=any(rule.get("reviewers") for rule in rules),
            prevents_self_review=any(rule.get("prevent_self_review") for rule in rules),
        )
    return environments
