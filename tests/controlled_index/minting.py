"""Trusted publishing: exchange of the identity token of a CI job for an upload token, as on PyPI.

    GET  /_/oidc/audience       {"audience": ...}
    POST /_/oidc/mint-token     {"token": IDENTITY TOKEN} -> {"success": true, "token": ..., "expires": ...}

An identity token is accepted once (by its `jti`). Its signature is checked by `verify`; without it only the
audience and the times are checked, which is enough on loopback.
"""

from __future__ import annotations

import base64
import binascii
import json
import threading
from typing import TYPE_CHECKING, Any

from packaging.utils import canonicalize_name

from controlled_index.accounts import Identity
from relnox.core.records import Record

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from controlled_index.accounts import Accounts
    from controlled_index.index import ControlledIndex

__all__ = ["Publisher", "TokenIssuer", "TrustedPublishing"]

_JWT_PARTS = 3


class Publisher(Record, kw_only=True):
    """A workflow that may upload to a project.

    Attributes:
        project: The project.
        repository: `owner/name`, or a GitLab project's path.
        workflow: File name of the workflow, or path of a GitLab pipeline's configuration.
        environment: The environment that its job must run in; empty for any or none.
        pending: Whether this publisher may create the project.
    """

    project: str
    repository: str
    workflow: str
    environment: str = ""
    pending: bool = False

    def mismatch(self, claims: Mapping[str, Any]) -> str | None:
        """Return the first claim that does not match this publisher; None if all match."""
        environment = claims.get("environment", "")
        for claim, matches in (
            ("repository", _repository(claims).lower() == self.repository.lower()),
            ("job_workflow_ref", _workflow(claims) == self.workflow),
            ("environment", self.environment in ("", environment)),
        ):
            if not matches:
                return claim
        return None

    @property
    def provenance(self) -> Mapping[str, str]:
        """The `publisher` object of provenance (PEP 740)."""
        return {
            "kind": "GitHub",
            "repository": self.repository,
            "workflow": self.workflow,
            "environment": self.environment,
        }


class TrustedPublishing(Record, kw_only=True):
    """Settings of trusted publishing.

    Attributes:
        publishers: The publishers.
        audience: The audience of identity tokens.
        lifetime: Seconds for which an upload token is valid.
        verify: Returns the claims of an identity token, or None if it is not valid; None to skip checking the
            signature.
    """

    publishers: Sequence[Publisher]
    audience: str = "relnox-embedded"
    lifetime: float = 900.0
    verify: Callable[[str], Mapping[str, Any] | None] | None = None


class _ExchangeError(Exception):
    def __init__(self, code: str, description: str) -> None:
        super().__init__(description)
        self.code = code


class TokenIssuer:
    """Issues upload tokens for identity tokens.

    Args:
        settings: The publishers.
        accounts: The accounts to which tokens are added.
        index: The index in which pending projects are created.
    """

    def __init__(self, settings: TrustedPublishing, accounts: Accounts, index: ControlledIndex) -> None:
        self._settings = settings
        self._accounts = accounts
        self._index = index
        self._lock = threading.Lock()
        self._pending = {publisher for publisher in settings.publishers if publisher.pending}
        self._used: set[str] = set()

    @property
    def audience(self) -> str:
        """The audience of identity tokens."""
        return self._settings.audience

    def exchange(self, body: bytes) -> tuple[int, Mapping[str, Any]]:
        """Return status and document of the response to a request."""
        try:
            with self._lock:
                return 200, self._issue(self._claims(_token(body)))
        except _ExchangeError as error:
            document = {"code": error.code, "description": str(error)}
            return 422, {"message": "Token request failed", "errors": [document]}

    def _claims(self, token: str) -> Mapping[str, Any]:
        claims = _unverified(token) if self._settings.verify is None else self._settings.verify(token)
        if claims is None:
            raise _ExchangeError("invalid-token", "malformed or invalid token")
        audience = claims.get("aud")
        now = self._index.store.clock()
        if (
            self.audience not in (audience if isinstance(audience, list) else [audience])
            or now >= claims.get("exp", now + 1)
            or now < claims.get("nbf", now)
        ):
            raise _ExchangeError("invalid-token", "malformed or invalid token")
        return claims

    def _issue(self, claims: Mapping[str, Any]) -> Mapping[str, Any]:
        self._create_pending_project(claims)
        active = [publisher for publisher in self._settings.publishers if publisher not in self._pending]
        matching = [publisher for publisher in active if publisher.mismatch(claims) is None]
        if not matching:
            claim = next((name for publisher in active if (name := publisher.mismatch(claims))), None)
            reason = f"Check failed for required claim {claim!r}" if claim else "there is no publisher"
            raise _ExchangeError("invalid-publisher", f"valid token, but no corresponding publisher ({reason})")
        if (jti := claims.get("jti")) is not None:
            if jti in self._used:
                raise _ExchangeError("invalid-reuse-token", "invalid token: already used")
            self._used.add(jti)
        expires = int(self._index.store.clock() + self._settings.lifetime)
        identity = Identity(
            projects=tuple(canonicalize_name(publisher.project) for publisher in matching),
            expires=expires,
            publisher=matching[0].provenance,
        )
        return {"success": True, "token": self._accounts.mint(identity), "expires": expires}

    def _create_pending_project(self, claims: Mapping[str, Any]) -> None:
        """Create the project of a pending publisher that matches the claims."""
        for publisher in sorted(self._pending, key=lambda publisher: publisher.project):
            if publisher.mismatch(claims) is None:
                self._pending.discard(publisher)
                project = canonicalize_name(publisher.project)
                if self._index.find_project(project) is not None:
                    raise _ExchangeError("invalid-pending-publisher", "valid token, but project already exists")
                self._index.create_project(project)
                return


def _token(body: bytes) -> str:
    try:
        return str(json.loads(body)["token"])
    except (ValueError, KeyError, TypeError) as error:
        raise _ExchangeError(
            "invalid-payload", f"the request is not a JSON object with a token: {error}"
        ) from error


def _unverified(token: str) -> Mapping[str, Any]:
    """Parse the claims of a JSON Web Token (RFC 7519) without checking its signature."""
    parts = token.split(".")
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (IndexError, ValueError, binascii.Error) as error:
        raise _ExchangeError("invalid-payload", "malformed JWT") from error
    if len(parts) != _JWT_PARTS or not isinstance(claims, dict) or "iss" not in claims:
        raise _ExchangeError("invalid-payload", "malformed JWT")
    return claims


def _repository(claims: Mapping[str, Any]) -> str:
    return str(claims.get("repository") or claims.get("project_path") or "")


def _workflow(claims: Mapping[str, Any]) -> str:
    """Return the file name of the workflow: `…/.github/workflows/FILE@ref`, or `host/path//FILE@ref` on GitLab."""
    reference = str(claims.get("job_workflow_ref") or "").partition("@")[0]
    if reference:
        return reference.rpartition("/.github/workflows/")[2]
    return str(claims.get("ci_config_ref_uri") or "").partition("@")[0].rpartition("//")[2]
