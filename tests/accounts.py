"""Who may upload to an index: users, scoped tokens, trusted publishers; with the messages of PyPI.

Tokens are sent as the password of the user `__token__`. An identity token of a CI job is accepted once (by its
`jti`); neither its signature nor those of attestations are checked.
"""

from __future__ import annotations

import base64
import json
import secrets
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from package_index import Request

AUDIENCE = "https://127.0.0.1"
LIFETIME = 900
REJECTED = "Invalid or non-existent authentication information."
NEW_PROJECT_BY_IDENTITY = (
    "Non-user identities cannot create new projects. This was probably caused by successfully using a pending "
    "publisher but specifying the project name incorrectly (either in the publisher or in your project's "
    "metadata). Please ensure that both match."
)


class Denied(Exception):
    """An upload that is not allowed."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Identity:
    """The sender of a request.

    Attributes:
        user: The user; None for a trusted publisher.
        projects: The projects that the credentials are valid for; None for all of the user's.
        publisher: The `publisher` object of provenance (PEP 740); None for a user.
    """

    user: str | None = None
    projects: tuple[str, ...] | None = None
    publisher: Mapping[str, Any] | None = None

    def authorize(self, name: str, project: str, owner: str | None, *, exists: bool) -> None:
        """Check that an upload to a project is allowed."""
        if not exists and self.user is None:
            raise Denied(400, NEW_PROJECT_BY_IDENTITY)
        if self.projects is not None and not (exists and project in self.projects):
            scope = "OIDC scoped" if self.user is None else "project-scoped"
            raise Denied(403, f"Invalid API Token: {scope} token is not valid for project: {project!r}")
        if exists and self.user is not None and owner not in (None, self.user):
            raise Denied(403, f"The user {self.user!r} isn't allowed to upload to project {name!r}.")


@dataclass(frozen=True, kw_only=True)
class Token:
    """An upload token of a user, for some projects or for all."""

    secret: str
    user: str
    projects: tuple[str, ...] | None = None


class Accounts:
    """The users of an index: passwords by user, and tokens."""

    def __init__(self, passwords: Mapping[str, str] | None = None, tokens: Sequence[Token] = ()) -> None:
        self._identities = {login: Identity(login[0]) for login in (passwords or {}).items()}
        self._identities |= {("__token__", token.secret): Identity(token.user, token.projects) for token in tokens}

    def mint(self, identity: Identity) -> str:
        """Create a token for an identity."""
        token = f"pypi-{secrets.token_urlsafe(32)}"
        self._identities["__token__", token] = identity
        return token

    def identify(self, user: str, password: str) -> Identity:
        """Return the identity with these credentials."""
        if (user, password) not in self._identities:
            raise Denied(403, REJECTED)
        return self._identities[user, password]


@dataclass(frozen=True, kw_only=True)
class Publisher:
    """A workflow of a repository on GitHub that may upload to a project."""

    project: str
    repository: str
    workflow: str

    def matches(self, claims: Mapping[str, Any]) -> bool:
        """Whether an identity token is that of the workflow."""
        workflow = str(claims.get("job_workflow_ref")).partition("@")[0].rpartition("/.github/workflows/")[2]
        return (claims.get("repository"), workflow) == (self.repository, self.workflow)


class TokenIssuer:
    """Exchanges identity tokens of publishers for upload tokens."""

    def __init__(self, publishers: Sequence[Publisher], accounts: Accounts) -> None:
        self._publishers = publishers
        self._accounts = accounts
        self._used: set[str] = set()

    def exchange(self, request: Mapping[str, Any]) -> tuple[int, Mapping[str, Any]]:
        """Status and document of the response."""
        claims = json.loads(base64.urlsafe_b64decode(request["token"].split(".")[1] + "=="))
        matching = [publisher for publisher in self._publishers if publisher.matches(claims)]
        is_used = claims["jti"] in self._used
        self._used.add(claims["jti"])
        if claims["aud"] != AUDIENCE or not matching or is_used:
            code = "invalid-reuse-token" if is_used else "invalid-publisher"
            return 422, {"message": "Token request failed", "errors": [{"code": code, "description": code}]}
        first = matching[0]
        publisher = {
            "kind": "GitHub",
            "repository": first.repository,
            "workflow": first.workflow,
            "environment": "",
        }
        projects = tuple(publisher.project for publisher in matching)
        token = self._accounts.mint(Identity(projects=projects, publisher=publisher))
        return 200, {"success": True, "token": token, "expires": int(time.time()) + LIFETIME}


def provenance(upload: Request, sender: Identity | None, *, has_accounts: bool) -> bytes | None:
    """The provenance object of an upload with attestations; only their subjects are checked (PEP 740)."""
    text = upload.fields.get("attestations")
    if text is None:
        return None
    publisher = None if sender is None else sender.publisher
    if has_accounts and publisher is None:
        raise _rejected("Attestations are only supported when using Trusted Publishing")
    try:
        attestations = json.loads(text)
        subjects = [_subject(attestation) for attestation in attestations]
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise _rejected(f"Malformed attestations: {error}") from error
    if not subjects:
        raise _rejected("Malformed attestations: an empty attestation set is not permitted")
    for name, sha256 in subjects:
        if (name, sha256) != (upload.filename, upload.sha256):
            raise _rejected(
                "Could not verify the uploaded artifact using the included attestation: it is for "
                f"{name} with sha256 {sha256}, not for {upload.filename} with {upload.sha256}"
            )
    bundle = {"publisher": {"claims": None, **(publisher or {"kind": "test"})}, "attestations": attestations}
    return json.dumps({"version": 1, "attestation_bundles": [bundle]}).encode()


def _subject(attestation: Any) -> tuple[str, str]:
    """Name and SHA-256 of the subject of an attestation."""
    if attestation["version"] != 1:
        raise ValueError(f"version {attestation['version']!r}")
    attestation["verification_material"]["certificate"]
    attestation["envelope"]["signature"]
    statement = json.loads(base64.b64decode(attestation["envelope"]["statement"], validate=True))
    (subject,) = statement["subject"]
    return subject["name"], subject["digest"]["sha256"]


def _rejected(reason: str) -> Denied:
    return Denied(400, f"Invalid attestations supplied during upload: {reason}")
