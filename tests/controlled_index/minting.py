"""Trusted publishing: exchange of the identity token of a CI job for an upload token, as on PyPI.

    GET  /_/oidc/audience       {"audience": ...}
    POST /_/oidc/mint-token     {"token": IDENTITY TOKEN} -> {"success": true, "token": ..., "expires": ...}

An identity token is accepted once (by its `jti`); its signature is not checked.
"""

from __future__ import annotations

import base64
import json
import threading
import time
from typing import TYPE_CHECKING, Any

from packaging.utils import canonicalize_name

from controlled_index.accounts import Identity
from relnox.core.records import Record

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from controlled_index.accounts import Accounts

__all__ = ["AUDIENCE", "Publisher", "TokenIssuer"]

AUDIENCE = "relnox-embedded"
LIFETIME = 900


class Publisher(Record, kw_only=True):
    """A workflow of a repository on GitHub that may upload to a project."""

    project: str
    repository: str
    workflow: str

    def matches(self, claims: Mapping[str, Any]) -> bool:
        """Return whether an identity token is that of the workflow."""
        workflow = str(claims.get("job_workflow_ref")).partition("@")[0].rpartition("/.github/workflows/")[2]
        return claims.get("repository") == self.repository and workflow == self.workflow


class TokenIssuer:
    """Issues upload tokens for identity tokens.

    Args:
        publishers: The publishers.
        accounts: The accounts to which tokens are added.
    """

    def __init__(self, publishers: Sequence[Publisher], accounts: Accounts) -> None:
        self._publishers = publishers
        self._accounts = accounts
        self._lock = threading.Lock()
        self._used: set[str] = set()

    def exchange(self, body: bytes) -> tuple[int, Mapping[str, Any]]:
        """Return status and document of the response to a request."""
        claims = json.loads(base64.urlsafe_b64decode(json.loads(body)["token"].split(".")[1] + "=="))
        matching = [publisher for publisher in self._publishers if publisher.matches(claims)]
        with self._lock:
            is_used = claims["jti"] in self._used
            self._used.add(claims["jti"])
        if claims["aud"] != AUDIENCE or not matching or is_used:
            code = "invalid-reuse-token" if is_used else "invalid-publisher"
            return 422, {"message": "Token request failed", "errors": [{"code": code, "description": code}]}
        identity = Identity(
            projects=tuple(canonicalize_name(publisher.project) for publisher in matching),
            publisher={
                "kind": "GitHub",
                "repository": matching[0].repository,
                "workflow": matching[0].workflow,
                "environment": "",
            },
        )
        return 200, {
            "success": True,
            "token": self._accounts.mint(identity),
            "expires": int(time.time()) + LIFETIME,
        }
