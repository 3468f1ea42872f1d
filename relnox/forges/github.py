"""GitHub: github.com, GitHub Enterprise Cloud and GitHub Enterprise Server."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar
from urllib.parse import quote

from relnox.forges.api import Forge, PullRequest

_VERSION = "2022-11-28"
"""The version of the REST API, which GitHub Enterprise Server supports, too."""


class GitHub(Forge):
    """A repository on GitHub."""

    name = "GitHub"
    headers: ClassVar[Mapping[str, str]] = {
        "Accept": "application/vnd.github+json",
        "X-GitHub-Api-Version": _VERSION,
    }
    request_kind = "pull request"
    requests_path = "/pulls"
    change_method = "PATCH"
    fields: ClassVar[Mapping[str, str]] = {"head": "head", "base": "base", "title": "title", "body": "body"}

    @property
    def _root(self) -> str:
        owner, _, name = self.location.path.partition("/")
        return f"repos/{quote(owner)}/{quote(name, safe='')}"

    def _permission_fix(self, permission: str, explanation: str) -> str:
        """Return the fix for the token of a CI job and for a personal access token."""
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

    def _query(self, head: str, base: str) -> Mapping[str, str]:
        return {"state": "open", "head": f"{self.location.path.partition('/')[0]}:{head}", "base": base}

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
