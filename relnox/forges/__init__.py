"""Pull requests on GitHub and GitLab, through their REST APIs.

`forge_of` returns the forge of a git remote, which `remotes` detects. The operations and their requests are
in `api`, what the forges do differently in `github` and `gitlab`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

from relnox.errors import Blocked
from relnox.forges.api import Forge, PullRequest
from relnox.forges.github import GitHub
from relnox.forges.gitlab import GitLab
from relnox.forges.remotes import repository_location
from relnox.system.secrets import Secret

__all__ = ["Forge", "PullRequest", "forge_of"]


def forge_of(remote_url: str, environment: Mapping[str, str] | None = None) -> Forge:
    """Return the repository on GitHub or GitLab that the URL of a git remote refers to, without a request.

    `environment` has the variables, such as `GITHUB_TOKEN`, that may hold a token (None: those of this process);
    without a token, the forge can only be read.

    Raises:
        Blocked: The remote is not on a known forge, or the token has characters that tokens never have.
    """
    variables = os.environ if environment is None else environment
    location = repository_location(remote_url, variables)
    token = Secret(variables[location.token_variable].strip()) if location.token_variable else None
    if token is not None and not re.fullmatch("[!-~]+", token.reveal()):
        variable = location.token_variable
        raise Blocked(
            "forge-token-missing",
            f"{variable} is not a token (it contains spaces, line breaks or other invalid characters)",
            fix=f"set {variable} to the token alone, without quotes, spaces or line breaks",
        )
    return GitLab(location, token) if location.kind == "gitlab" else GitHub(location, token)
