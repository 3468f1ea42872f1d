"""GitHub: github.com, GitHub Enterprise Cloud and GitHub Enterprise Server."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar
from urllib.parse import quote

from relnox.forges.api import Api, Forge, PullRequest
from relnox.forges.remotes import Location
from relnox.system.secrets import Secret

_VERSION = "2022-11-28"
"""The version of the REST API, which GitHub Enterprise Server supports, too."""


class GitHub(Forge):
    """A repository on GitHub.

    Args:
        location: The location of the repository.
        token: The token, or None to only read, without authentication.
    """

    request_kind = "pull request"
    requests_path = "/pulls"
    change_method = "PATCH"
    fields: ClassVar[Mapping[str, str]] = {"head": "head", "base": "base", "title": "title", "body": "body"}

    def __init__(self, location: Location, token: Secret | None) -> None:
        self._owner, _, name = location.path.partition("/")
        api = Api(
            "GitHub",
            location,
            token,
            root=f"repos/{quote(self._owner)}/{quote(name, safe='')}",
            headers={"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": _VERSION},
            token_header=("Authorization", "Bearer "),
            permission_fix=_permission_fix,
        )
        super().__init__(api)

    def _query(self, head: str, base: str) -> Mapping[str, str]:
        return {"state": "open", "head": f"{self._owner}:{head}", "base": base}

    def _read(self, document: Any) -> PullRequest:
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


def _permission_fix(permission: str, explanation: str) -> str:
    """Return the fix for a missing permission, for the token of a CI job and for a personal access token."""
    if "not permitted to create or approve pull requests" in explanation.lower():
        return (
            'enable "Allow GitHub Actions to create and approve pull requests" in Settings > Actions > General of '
            "the repository or organization, or set RELNOX_FORGE_TOKEN to an app's token"
        )
    scope, _, access = permission.partition(": ")
    return (
        f'grant "{permission}": under "permissions:" of the CI job, or as '
        f"{scope.replace('-', ' ').capitalize()} ({access}) of the personal access token"
    )
