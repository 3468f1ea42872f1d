"""Accounts: users, scoped tokens, and tokens issued for identities; with the responses of PyPI.

Tokens are sent as the password of the user `__token__`; passwords of users work too, as on other indexes.
"""

from __future__ import annotations

import secrets
import threading
from hmac import compare_digest
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name

from controlled_index import messages
from relnox.core.records import Record
from relnox.errors import Blocked

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from controlled_index.index import Project

__all__ = ["Accounts", "Denied", "Identity", "Token", "authorize"]

_TOKEN_USER = "__token__"


class Denied(Blocked):
    """The error of an upload that is not allowed.

    Args:
        message: The reason.
        status: HTTP status of the response.
    """

    def __init__(self, message: str, *, status: int = 403) -> None:
        super().__init__("upload-denied", message)
        self.status = status


class Identity(Record, kw_only=True):
    """The sender of a request.

    Attributes:
        user: The user; None for a trusted publisher.
        projects: Normalized names of the projects that the credentials are valid for; None for all of the user's.
        publisher: The `publisher` object of provenance (PEP 740); None for a user.
    """

    user: str | None = None
    projects: tuple[str, ...] | None = None
    publisher: Mapping[str, str] | None = None


class Token(Record, kw_only=True):
    """An upload token of a user.

    Attributes:
        secret: The token.
        user: Its owner.
        projects: The projects that it is scoped to; None for all of the user's.
    """

    secret: str
    user: str
    projects: tuple[str, ...] | None = None

    def __repr__(self) -> str:
        """Show everything but the secret."""
        return f"Token(user={self.user!r}, projects={self.projects!r})"


class Accounts:
    """The users of an index.

    Args:
        passwords: Passwords by user.
        tokens: Tokens of users.
    """

    def __init__(self, passwords: Mapping[str, str] | None = None, tokens: Sequence[Token] = ()) -> None:
        self._lock = threading.Lock()
        self._credentials: list[tuple[str, str, Identity]] = [
            (user, password, Identity(user=user)) for user, password in (passwords or {}).items()
        ]
        for token in tokens:
            projects = None if token.projects is None else tuple(map(canonicalize_name, token.projects))
            identity = Identity(user=token.user, projects=projects)
            self._credentials.append((_TOKEN_USER, token.secret, identity))

    def mint(self, identity: Identity) -> str:
        """Create a token for an identity."""
        token = f"pypi-{secrets.token_urlsafe(32)}"
        with self._lock:
            self._credentials.append((_TOKEN_USER, token, identity))
        return token

    def identify(self, user: str | None, password: str | None) -> Identity:
        """Return the identity with these credentials.

        Raises:
            Denied: They are unknown or missing.
        """
        with self._lock:
            credentials = tuple(self._credentials)
        for name, secret, identity in credentials:
            if name == user and compare_digest(secret.encode(), (password or "").encode()):
                return identity
        raise Denied(messages.REJECTED)


def authorize(identity: Identity, name: str, project: Project | None) -> None:
    """Check that an upload to a project is allowed.

    Args:
        identity: The sender.
        name: The project's name, as it was sent.
        project: The project; None if it does not exist yet.

    Raises:
        Denied: It is not, with the message of PyPI.
    """
    normalized = canonicalize_name(name)
    if project is None and identity.user is None:
        raise Denied(messages.NEW_PROJECT_BY_IDENTITY, status=400)
    if identity.projects is not None and (project is None or normalized not in identity.projects):
        scope = "OIDC scoped" if identity.user is None else "project-scoped"
        raise Denied(f"Invalid API Token: {scope} token is not valid for project: {normalized!r}")
    if project is not None and identity.user is not None and project.owner not in (None, identity.user):
        raise Denied(f"The user {identity.user!r} isn't allowed to upload to project {name!r}.")
