"""What GitHub and GitLab have in common. Their modules say how each of them names things, and what it rejects."""

from __future__ import annotations

from relnox.forges.pull_requests import PullRequests
from relnox.forges.refs import Refs
from relnox.forges.runs import Runs


class Forge(Refs, PullRequests, Runs):
    """A repository on a forge. Each method sends requests, with retries, and waits at most about ten minutes.

    Methods that create something can be repeated: if the answer to a request is lost, or is an error although the
    request had an effect, they look before they send it again.

    Refs have full names: `refs/heads/main`, `refs/tags/v1.0`. Commits have full hashes.

    All methods raise `TryLater` if the forge is down, or rate-limits requests for longer than they wait; `Blocked`
    if the token is missing, not accepted or lacks a permission, and if the request is not possible; `Conflict` if
    something else is in the way; and `Failed` for an answer that is not understood.
    """
