"""Forges, GitHub and GitLab, behind one class: refs, commits, pull requests and runs of CI workflows.

`forge_of` detects the forge of a git remote (`remotes`). `refs`, `pull_requests` and `runs` have the operations,
`github` and `gitlab` what differs, `repository`, `requests` and `answers` the requests to the API.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from relnox.errors import Blocked
from relnox.forges.forge import Forge
from relnox.forges.pull_requests import PullRequest, PullRequestState
from relnox.forges.refs import Commit, FileChange
from relnox.forges.remotes import locate
from relnox.forges.runs import Run, RunStatus
from relnox.system.secrets import Secret

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "Commit",
    "FileChange",
    "Forge",
    "PullRequest",
    "PullRequestState",
    "Run",
    "RunStatus",
    "forge_of",
]


def forge_of(remote_url: str, environment: Mapping[str, str] | None = None, *, kind: str = "") -> Forge:
    """Return the forge that a git remote is on. No request is sent.

    Args:
        remote_url: The URL of the remote, as in git's configuration.
        environment: Environment variables: those of the CI provider, and a token; None for those of this process.
            Without a token only requests that read are sent.
        kind: `github` or `gitlab`; empty to detect it from the host and `RELNOX_FORGE`.

    Raises:
        Blocked: The remote is not on a known forge, or the token cannot be one.
    """
    variables = os.environ if environment is None else environment
    location = locate(remote_url, variables, kind)
    token = Secret(variables[location.token_variable].strip()) if location.token_variable else None
    if token is not None and not re.fullmatch("[!-~]+", token.reveal()):
        variable = location.token_variable
        raise Blocked(
            "forge-token-invalid",
            f"{variable} is not a token (it contains spaces, line ends or other characters that no token has)",
            fix=f"set {variable} to the token alone",
        )
    if location.kind == "gitlab":
        from relnox.forges.gitlab import GitLab

        return GitLab(location, token)
    from relnox.forges.github import GitHub

    return GitHub(location, token)
