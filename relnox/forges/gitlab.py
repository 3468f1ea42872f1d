"""GitLab: gitlab.com and self-managed servers. Merge requests are used as pull requests."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import quote

from packaging.version import Version

from relnox.errors import Blocked
from relnox.forges.api import CheckRun, Environment, Forge, PullRequest, ReleaseFile, ReleasePage, RequestRejected
from relnox.system import retries

_DEVELOPER = 30
"""The access level of the role Developer."""
_JOB_TOKEN = "CI_JOB_TOKEN"  # noqa: S105 - the name of a variable
_JOB_FIX = "set GITLAB_TOKEN to a project access token with the scope api: the token of a job may only read"
_PERMISSION_FIX = (
    "give the token the scope api, and its user the role Developer (Maintainer for what is protected)"
)
_PASSED = ("success", "skipped", "manual")
"""The states of pipelines without failed jobs; `manual` waits for a person."""


class GitLab(Forge):
    """A repository on GitLab."""

    name = "GitLab"
    program = "glab"
    headers: ClassVar[Mapping[str, str]] = {"Accept": "application/json"}
    pull_request_term = "merge request"
    pull_requests_path = "/merge_requests"
    update_method = "PUT"
    field_names: ClassVar[Mapping[str, str]] = {
        "head": "source_branch",
        "base": "target_branch",
        "body": "description",
    }
    has_drafts = False
    max_body = 1_000_000
    environment_fix = (
        "in Settings > CI/CD > Protected environments: add approval rules to {name}, and clear "
        '"Allow pipeline triggerer to approve deployments"'
    )
    pages_path = "/-"

    def check_runs(self, commit: str) -> tuple[CheckRun, ...]:
        """Return the latest pipeline of a commit for each branch or tag and each source, such as `push`."""
        failure = f"cannot read the pipelines of {commit[:10]}"
        return self._get_quickly("/pipelines", failure, "api", _parse_latest_pipelines, sha=commit, per_page="100")

    def environment(self, name: str) -> Environment | None:
        """Return a protected environment.

        It is never None: for one that is missing or not protected, and on free plans, GitLab returns an error,
        which raises `Blocked`.
        """
        failure = f"cannot read whether environment {name} is protected (GitLab says it on paid plans only)"
        path = f"/protected_environments/{quote(name, safe='')}"
        has_reviewers = self._get_quickly(path, failure, "api", _has_approval_rules)
        may_self_review = self._get_quickly("", failure, "api", _allows_self_review)
        return Environment(
            has_reviewers=has_reviewers,
            prevents_self_review=None if may_self_review is None else not may_self_review,
        )

    @property
    def _repository_path(self) -> str:
        return f"projects/{quote(self.location.path, safe='')}"

    @property
    def _token_header(self) -> tuple[str, str]:
        return ("JOB-TOKEN", "") if self._has_job_token else super()._token_header

    @property
    def _has_job_token(self) -> bool:
        return self.location.token_variable == _JOB_TOKEN

    def _permission_fix(self, permission: str, explanation: str) -> str:
        del explanation
        is_job_fix = self._has_job_token and permission.startswith("pull-requests")
        return _JOB_FIX if is_job_fix else _PERMISSION_FIX

    def _open_pull_requests_query(self, head: str, base: str) -> Mapping[str, str]:
        return {"state": "opened", "source_branch": head, "target_branch": base, "per_page": "100"}

    def _parse_pull_request(self, document: Any) -> PullRequest:
        return PullRequest(
            number=int(document["iid"]),
            url=str(document["web_url"]),
            title=str(document["title"]),
            body=str(document["description"] or ""),
            head=document["source_branch"],
            base=document["target_branch"],
            is_open=document["state"] in ("opened", "locked"),  # locked while it is merged
            is_own=document["source_project_id"] == document["target_project_id"],
        )

    # --- releases

    def check_release_permission(self, tag: str, commit: str) -> None:
        """Raise `Blocked` without a token, or if GitLab states that its user has a lower role than Developer.

        The token of a CI job is accepted without a request. The tag and the commit are ignored.
        """
        del tag, commit
        self.require_token()
        if self._has_job_token:
            return
        failure = f"cannot write releases of {self.location.path}"
        document = self.request("GET", "", failure, "contents: write")
        levels = self._parse(_parse_access_levels, document, failure)
        if levels and max(levels) < _DEVELOPER:
            raise Blocked(
                "forge-rejected",
                f"{failure}: the token in {self.location.token_variable} has a lower role than Developer",
                fix=_PERMISSION_FIX,
            )

    def releases(self, tag: str) -> tuple[ReleasePage, ...]:
        """Return the release of a tag as the only item, or an empty tuple if there is none."""
        failure = f"cannot read the release of {tag}"
        path = f"/releases/{quote(tag, safe='')}"
        document = self.request("GET", path, failure, "contents: read", may_be_missing=True)
        return () if document is None else (self._parse(_parse_release, document, failure),)

    def create_release(
        self, tag: str, title: str, body: str, *, prerelease: bool, files: Sequence[ReleaseFile] = ()
    ) -> tuple[ReleasePage, ...]:
        """Create a public release with links to `files`, and return it; an existing one is returned unchanged.

        `prerelease` is ignored.
        """
        del prerelease
        links = [self._file_link(file) for file in files]
        values = {"tag_name": tag, "name": title, "description": body, "assets": {"links": links}}
        failure = f"cannot create a release of {tag}"
        try:
            document = self.request("POST", "/releases", failure, "contents: write", body=values)
        except RequestRejected:
            if pages := self.releases(tag):
                return pages
            raise
        return (self._parse(_parse_release, document, failure),)

    def change_release(self, page: ReleasePage, body: str, files: Sequence[ReleaseFile] = ()) -> None:
        """Change the text if it differs, and add links to those of `files` that the release has no link to."""
        path, failure = f"/releases/{quote(page.tag, safe='')}", f"cannot change the release of {page.tag}"
        if body != page.body:
            self.request("PUT", path, failure, "contents: write", body={"description": body})
        for file in files:
            if file.name in page.links:
                continue
            try:
                self.request(
                    "POST", f"{path}/assets/links", failure, "contents: write", body=self._file_link(file)
                )
            except RequestRejected:  # it may have been added all the same
                if file.name not in self.releases(page.tag)[0].links:
                    raise

    def publish_release(self, page: ReleasePage, *, prerelease: bool, latest: bool) -> None:
        """Do nothing: GitLab has neither drafts nor flags."""

    def latest_release(self) -> str | None:
        """Return None: GitLab always takes the release with the latest date as the latest one."""

    def files(self, page: ReleasePage | None, package: str, version: str) -> dict[str, ReleaseFile]:
        """Return the files of the generic package with this name and version, the newest one of each file name.

        `page` is ignored.
        """
        del page
        failure = f"cannot list the files of the generic package {package} {version}"
        version = _valid_package_version(version)
        query = {"package_type": "generic", "package_name": package, "package_version": version}
        packages = list(self.request_all("/packages", failure, "contents: read", **query))
        files: dict[str, ReleaseFile] = {}
        for number in self._parse(lambda packages: _package_ids(packages, package, version), packages, failure):
            path = f"/packages/{number}/package_files"
            for document in self.request_all(path, failure, "contents: read"):
                name, sha256 = self._parse(_parse_package_file, document, failure)
                files[name] = ReleaseFile(name=name, url=self._file_url(package, version, name), sha256=sha256)
        return files

    def upload(self, page: ReleasePage | None, package: str, version: str, path: Path) -> None:
        """Upload a file to the generic package with this name and version, as the newest one of its file name.

        `page` is ignored.
        """
        del page
        self.require_token()
        address, deadline = self._file_url(package, version, path.name), retries.Deadline()

        def send() -> None:
            with path.open("rb") as content:
                response = self._send("PUT", address, content, deadline.read_timeout, "application/octet-stream")
            self._parse_response(response, f"cannot upload {path.name}", "contents: write")

        retries.retry(send, deadline)

    def delete_release(self, page: ReleasePage) -> None:
        """Do nothing: there are no drafts."""

    def delete_file(self, file: ReleaseFile) -> None:
        """Do nothing: a newer file of the same name replaces this one."""

    def generated_notes(self, tag: str, previous: str, version: Version) -> str:
        """Return notes that GitLab generates from the commits with a trailer `Changelog:` since tag `previous`."""
        failure = f"cannot generate notes for {tag}"
        number = f"{version.major}.{version.minor}.{version.micro}"  # GitLab demands three numbers
        query = {"version": number, "from": previous, "to": tag}
        document = self.request("GET", "/repository/changelog", failure, "contents: read", query=query)
        return self._parse(lambda document: str(document["notes"]), document, failure)

    def _file_url(self, package: str, version: str, name: str) -> str:
        """Return the URL of a file of a generic package."""
        path = f"packages/generic/{package}/{quote(_valid_package_version(version))}/{quote(name)}"
        return f"{self.location.api}/{self._repository_path}/{path}"

    def _file_link(self, file: ReleaseFile) -> dict[str, str]:
        kind = "package" if file.name.endswith((".whl", ".tar.gz")) else "other"
        return {"name": file.name, "url": file.url, "direct_asset_path": f"/{file.name}", "link_type": kind}


def _valid_package_version(version: str) -> str:
    """Return a version for a generic package, with `-` for characters that GitLab rejects, as in `1!2.0`."""
    return re.sub(r"[^\w.+-]", "-", version)


def _package_ids(packages: Any, name: str, version: str) -> list[int]:
    """Return the ids of the packages with exactly this name and version.

    `packages` is the JSON list in a response; GitLab also lists packages with similar names.
    """
    return [int(item["id"]) for item in packages if (item["name"], item["version"]) == (name, version)]


def _parse_access_levels(document: Any) -> list[int]:
    """Return the access levels of the token's user in the project and in its group, as far as GitLab states them.

    The list is empty for administrators, and for members of a group that was invited. `document` describes the
    project.
    """
    permissions = document["permissions"]
    levels = (permissions["project_access"], permissions["group_access"])
    return [int(access["access_level"]) for access in levels if access]


def _parse_package_file(document: Any) -> tuple[str, str | None]:
    """Return the name and the SHA-256 of the file that a JSON document describes; None if it has no SHA-256."""
    return str(document["file_name"]), document.get("file_sha256")


def _parse_release(document: Any) -> ReleasePage:
    """Return the release that a JSON document of GitLab's API describes."""
    return ReleasePage(
        tag=str(document["tag_name"]),
        body=str(document["description"] or ""),
        url=str(document["_links"]["self"]),
        links=tuple(str(link["name"]) for link in document["assets"]["links"]),
    )


def _parse_latest_pipelines(document: Any) -> tuple[CheckRun, ...]:
    """Return the latest pipeline of each ref and source in a JSON list of pipelines.

    Canceled pipelines count as failed, and those that wait for a person as passed.
    """
    latest: dict[tuple[str, str], CheckRun] = {}
    for pipeline in sorted(document, key=lambda pipeline: int(pipeline["id"])):
        status, ref = str(pipeline["status"]), str(pipeline["ref"])
        latest[ref, str(pipeline["source"])] = CheckRun(
            name=f"pipeline {pipeline['id']} of {ref}",
            state="passed" if status in _PASSED else "failed" if status in ("failed", "canceled") else "pending",
            url=str(pipeline["web_url"]),
        )
    return tuple(latest.values())


def _has_approval_rules(document: Any) -> bool:
    """Return whether someone must approve deployments to the protected environment in a JSON document."""
    rules = (rule["required_approvals"] for rule in document.get("approval_rules") or ())
    return bool(document.get("required_approval_count")) or any(rules)


def _allows_self_review(document: Any) -> bool | None:
    """Return whether users may approve the deployments that they started themselves; None if GitLab does not say.

    `document` describes the project.
    """
    value = document.get("allow_pipeline_trigger_approve_deployment")
    return value if isinstance(value, bool) else None
