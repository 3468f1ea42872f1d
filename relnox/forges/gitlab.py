"""GitLab: gitlab.com and self-managed servers. Merge requests are used as pull requests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar
from urllib.parse import quote

from relnox.forges.api import Forge, PullRequest

_JOB_TOKEN = "CI_JOB_TOKEN"  # noqa: S105 - the name of a variable
_JOB_FIX = "set GITLAB_TOKEN to a project access token with the scope api: the token of a job may only read"
_PERMISSION_FIX = (
    "give the token the scope api, and its user the role Developer (Maintainer for what is protected)"
)


class GitLab(Forge):
    """A repository on GitLab."""

    name = "GitLab"
    headers: ClassVar[Mapping[str, str]] = {"Accept": "application/json"}
    request_kind = "merge request"
    requests_path = "/merge_requests"
    change_method = "PUT"
    fields: ClassVar[Mapping[str, str]] = {
        "head": "source_branch",
        "base": "target_branch",
        "title": "title",
        "body": "description",
    }

    @property
    def _root(self) -> str:
        return f"projects/{quote(self.location.path, safe='')}"

    @property
    def _token_header(self) -> tuple[str, str]:
        return ("JOB-TOKEN", "") if self._has_job_token else super()._token_header

    @property
    def _has_job_token(self) -> bool:
        return self.location.token_variable == _JOB_TOKEN

    def _permission_fix(self, permission: str, explanation: str) -> str:
        del permission, explanation
        return _JOB_FIX if self._has_job_token else _PERMISSION_FIX

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
