"""GitLab: gitlab.com and self-managed servers. Merge requests are used as pull requests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar
from urllib.parse import quote

from relnox.forges.api import Api, Forge, PullRequest
from relnox.forges.remotes import Location
from relnox.system.secrets import Secret

_JOB_TOKEN = "CI_JOB_TOKEN"  # noqa: S105 - the name of a variable
_JOB_FIX = "set GITLAB_TOKEN to a project access token with the scope api: the token of a job may only read"
_PERMISSION_FIX = (
    "give the token the scope api, and its user the role Developer (Maintainer for what is protected)"
)


class GitLab(Forge):
    """A repository on GitLab.

    Args:
        location: The location of the repository.
        token: The token, or None to only read, without authentication.
    """

    request_kind = "merge request"
    requests_path = "/merge_requests"
    change_method = "PUT"
    fields: ClassVar[Mapping[str, str]] = {
        "head": "source_branch",
        "base": "target_branch",
        "title": "title",
        "body": "description",
    }

    def __init__(self, location: Location, token: Secret | None) -> None:
        is_of_job = location.token_variable == _JOB_TOKEN
        api = Api(
            "GitLab",
            location,
            token,
            root=f"projects/{quote(location.path, safe='')}",
            headers={"Accept": "application/json"},
            token_header=("JOB-TOKEN", "") if is_of_job else ("Authorization", "Bearer "),
            permission_fix=lambda *_: _JOB_FIX if is_of_job else _PERMISSION_FIX,
        )
        super().__init__(api)

    def _query(self, head: str, base: str) -> Mapping[str, str]:
        return {"state": "opened", "source_branch": head, "target_branch": base, "per_page": "100"}

    def _read(self, document: Any) -> PullRequest:
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
