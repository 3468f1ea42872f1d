"""The interface of a forge; `github` and `gitlab` implement it."""

from __future__ import annotations

from relnox.forges.branches import Branches
from relnox.forges.pull_requests import PullRequests


class Forge(Branches, PullRequests):
    """A repository on a forge. Each method sends requests, with retries, for at most about ten minutes.

    Methods that create something can be called again: if the response to a request is lost, or is an error
    although the request had an effect, they check whether the object exists before they send the request again.

    Branches are given by their short names, and commits by full hashes.

    All methods raise `TryLater` if the forge is down, or limits the rate of requests for too long; `Blocked` if
    the token is missing, is rejected or lacks a permission, or if the request is not possible; `Conflict` if
    something different exists already; and `Failed` if a response is not valid.
    """
