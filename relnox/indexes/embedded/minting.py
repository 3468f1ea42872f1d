"""Trusted publishing: exchange the identity token of a CI job for an upload token, as the public index does.

    GET  /_/oidc/audience       {"audience": ...}
    POST /_/oidc/mint-token     {"token": IDENTITY TOKEN} -> {"success": true, "token": ..., "expires": ...}

An identity token is taken once (its `jti`). Its signature is the affair of `verify`; without one it is read and
not verified, and only its audience and its times are looked at: enough for loopback, where nobody else asks.
"""

from __future__ import annotations

import base64
import binascii
import json
import threading
from typing import TYPE_CHECKING, Any

from packaging.utils import canonicalize_name

from relnox.core.records import Record
from relnox.indexes.embedded.accounts import Identity

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from relnox.indexes.embedded.accounts import Accounts
    from relnox.indexes.embedded.store import Store

__all__ = ["Mint", "Publisher", "TrustedPublishing"]

_JWT_PARTS = 3


class Publisher(Record, kw_only=True):
    """A workflow that may upload to a project.

    Attributes:
        project: The project.
        repository: `owner/name`, or a GitLab project's path.
        workflow: File name of the workflow, or path of a GitLab pipeline's configuration.
        environment: The environment that its job must run in; empty: any, or none.
        pending: Whether the project is made when this publisher first asks.
    """

    project: str
    repository: str
    workflow: str
    environment: str = ""
    pending: bool = False

    def misfit(self, claims: Mapping[str, Any]) -> str | None:
        """The first claim that does not fit this publisher; None when all do."""
        environment = claims.get("environment", "")
        for claim, fits in (
            ("repository", _repository(claims).lower() == self.repository.lower()),
            ("job_workflow_ref", _workflow(claims) == self.workflow),
            ("environment", self.environment in ("", environment)),
        ):
            if not fits:
                return claim
        return None

    @property
    def provenance(self) -> Mapping[str, str]:
        """What provenance says of it (PEP 740)."""
        return {
            "kind": "GitHub",
            "repository": self.repository,
            "workflow": self.workflow,
            "environment": self.environment,
        }


class TrustedPublishing(Record, kw_only=True):
    """How an index mints tokens.

    Attributes:
        publishers: Who gets one.
        audience: What an identity token must be made for.
        lifetime: Seconds for which a minted token is good.
        verify: Takes an identity token and gives its claims, or None when it is not genuine; None: they are read
            without looking at the signature.
    """

    publishers: Sequence[Publisher]
    audience: str = "relnox-embedded"
    lifetime: float = 900.0
    verify: Callable[[str], Mapping[str, Any] | None] | None = None


class _Refusal(Exception):
    def __init__(self, code: str, description: str) -> None:
        super().__init__(description)
        self.code = code


class Mint:
    """Mints upload tokens.

    Args:
        terms: For whom.
        accounts: Where the tokens are known.
        store: Where pending projects are made.
    """

    def __init__(self, terms: TrustedPublishing, accounts: Accounts, store: Store) -> None:
        self._terms = terms
        self._accounts = accounts
        self._store = store
        self._lock = threading.Lock()
        self._pending = {publisher for publisher in terms.publishers if publisher.pending}
        self._used: set[str] = set()

    @property
    def audience(self) -> str:
        """What an identity token must be made for."""
        return self._terms.audience

    def answer(self, body: bytes) -> tuple[int, Mapping[str, Any]]:
        """Status and document for a request to mint."""
        try:
            with self._lock:
                return 200, self._minted(self._claims(_token(body)))
        except _Refusal as refusal:
            error = {"code": refusal.code, "description": str(refusal)}
            return 422, {"message": "Token request failed", "errors": [error]}

    def _claims(self, token: str) -> Mapping[str, Any]:
        claims = _unverified(token) if self._terms.verify is None else self._terms.verify(token)
        if claims is None:
            raise _Refusal("invalid-token", "malformed or invalid token")
        audience = claims.get("aud")
        now = self._store.clock()
        if (
            self.audience not in (audience if isinstance(audience, list) else [audience])
            or now >= claims.get("exp", now + 1)
            or now < claims.get("nbf", now)
        ):
            raise _Refusal("invalid-token", "malformed or invalid token")
        return claims

    def _minted(self, claims: Mapping[str, Any]) -> Mapping[str, Any]:
        self._make_pending(claims)
        active = [publisher for publisher in self._terms.publishers if publisher not in self._pending]
        fitting = [publisher for publisher in active if publisher.misfit(claims) is None]
        if not fitting:
            claim = next((misfit for each in active if (misfit := each.misfit(claims))), None)
            why = f"Check failed for required claim {claim!r}" if claim else "there is no publisher"
            raise _Refusal("invalid-publisher", f"valid token, but no corresponding publisher ({why})")
        if (jti := claims.get("jti")) is not None:
            if jti in self._used:
                raise _Refusal("invalid-reuse-token", "invalid token: already used")
            self._used.add(jti)
        expires = int(self._store.clock() + self._terms.lifetime)
        identity = Identity(
            projects=tuple(canonicalize_name(publisher.project) for publisher in fitting),
            expires=expires,
            publisher=fitting[0].provenance,
        )
        return {"success": True, "token": self._accounts.mint(identity), "expires": expires}

    def _make_pending(self, claims: Mapping[str, Any]) -> None:
        """Make the project of a pending publisher that these claims fit."""
        for publisher in sorted(self._pending, key=lambda each: each.project):
            if publisher.misfit(claims) is None:
                self._pending.discard(publisher)
                project = canonicalize_name(publisher.project)
                if project in self._store.names():
                    raise _Refusal("invalid-pending-publisher", "valid token, but project already exists")
                self._store.projects.make(project, None)
                return


def _token(body: bytes) -> str:
    try:
        return str(json.loads(body)["token"])
    except (ValueError, KeyError, TypeError) as error:
        raise _Refusal("invalid-payload", f"the request is no JSON object with a token: {error}") from error


def _unverified(token: str) -> Mapping[str, Any]:
    """The claims of a JSON Web Token (RFC 7519), whoever signed it."""
    parts = token.split(".")
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (IndexError, ValueError, binascii.Error) as error:
        raise _Refusal("invalid-payload", "malformed JWT") from error
    if len(parts) != _JWT_PARTS or not isinstance(claims, dict) or "iss" not in claims:
        raise _Refusal("invalid-payload", "malformed JWT")
    return claims


def _repository(claims: Mapping[str, Any]) -> str:
    return str(claims.get("repository") or claims.get("project_path") or "")


def _workflow(claims: Mapping[str, Any]) -> str:
    """File name of the workflow: `owner/name/.github/workflows/FILE@ref`, or `host/path//FILE@ref` on GitLab."""
    reference = str(claims.get("job_workflow_ref") or "").partition("@")[0]
    if reference:
        return reference.rpartition("/.github/workflows/")[2]
    return str(claims.get("ci_config_ref_uri") or "").partition("@")[0].rpartition("//")[2]
