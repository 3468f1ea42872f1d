"""Who may upload what: users, tokens with their scopes, and tokens that an identity was exchanged for.

The public index's answers and words. Tokens are sent as the password of the user `__token__`; a user's own
password works too, as other indexes have it.
"""

from __future__ import annotations

import secrets
import threading
from hmac import compare_digest
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name

from relnox.core.records import Record
from relnox.errors import Blocked
from relnox.indexes.embedded import messages

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from relnox.indexes.embedded.projects import Project

__all__ = ["Accounts", "Denied", "Identity", "Token", "authorise"]

_TOKEN_USER = "__token__"  # noqa: S105 - a user name


class Denied(Blocked):
    """An upload that its sender may not do.

    Args:
        code: As for every error.
        message: Why.
        status: HTTP status to answer with.
    """

    def __init__(self, code: str, message: str, *, status: int = 403) -> None:
        super().__init__(code, message)
        self.status = status


class Identity(Record, kw_only=True):
    """Who a request comes from.

    Attributes:
        user: The user; None for a trusted publisher.
        projects: Normalised names of the projects that the credentials are good for; None: all of the user's.
        expires: From when on they are not, in seconds since the epoch; None: never.
        publisher: What is said of a trusted publisher in provenance (PEP 740); None for a user.
    """

    user: str | None = None
    projects: tuple[str, ...] | None = None
    expires: float | None = None
    publisher: Mapping[str, str] | None = None


class Token(Record, kw_only=True):
    """An upload token of a user.

    Attributes:
        secret: The token.
        user: Whose it is.
        projects: The projects that it is scoped to; None: all of the user's.
        expires: From when on it is refused, in seconds since the epoch; None: never.
    """

    secret: str
    user: str
    projects: tuple[str, ...] | None = None
    expires: float | None = None

    def __repr__(self) -> str:
        """Everything but the secret."""
        return f"Token(user={self.user!r}, projects={self.projects!r})"


class Accounts:
    """The users of an index.

    Args:
        passwords: Users and their passwords.
        tokens: Their tokens.
    """

    def __init__(self, passwords: Mapping[str, str] | None = None, tokens: Sequence[Token] = ()) -> None:
        self._lock = threading.Lock()
        self._known: list[tuple[str, str, Identity]] = [
            (user, password, Identity(user=user)) for user, password in (passwords or {}).items()
        ]
        for token in tokens:
            projects = None if token.projects is None else tuple(map(canonicalize_name, token.projects))
            identity = Identity(user=token.user, projects=projects, expires=token.expires)
            self._known.append((_TOKEN_USER, token.secret, identity))

    def mint(self, identity: Identity) -> str:
        """A new token, good for one identity."""
        token = f"pypi-{secrets.token_urlsafe(32)}"
        with self._lock:
            self._known.append((_TOKEN_USER, token, identity))
        return token

    def identify(self, user: str | None, password: str | None) -> Identity:
        """Who sent these credentials.

        Raises:
            Denied: Nobody known, or none were sent.
        """
        with self._lock:
            known = tuple(self._known)
        for name, secret, identity in known:
            if name == user and compare_digest(secret.encode(), (password or "").encode()):
                return identity
        raise Denied("todo", messages.REJECTED)


def authorise(identity: Identity, name: str, project: Project | None, now: float) -> None:
    """Judge whether an upload to a project is allowed.

    Args:
        identity: Who sends it.
        name: The project's name, as it was sent.
        project: The project; None when it is not there yet.
        now: Seconds since the epoch.

    Raises:
        Denied: In the public index's words.
    """
    normalized = canonicalize_name(name)
    if project is None and identity.user is None:
        raise Denied("todo", messages.NEW_PROJECT_BY_IDENTITY, status=400)
    if identity.expires is not None and now >= identity.expires:
        raise Denied("todo", "Invalid API Token: token is expired")
    if identity.projects is not None and (project is None or normalized not in identity.projects):
        scope = "OIDC scoped" if identity.user is None else "project-scoped"
        raise Denied("todo", f"Invalid API Token: {scope} token is not valid for project: {normalized!r}")
    if project is not None and identity.user is not None and project.owner not in (None, identity.user):
        raise Denied("todo", f"The user {identity.user!r} isn't allowed to upload to project {name!r}.")
