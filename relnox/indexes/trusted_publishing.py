"""Trusted Publishing: the exchange of identity tokens from the CI provider for upload tokens of an index.

It takes three requests: the index returns its audience, the CI provider issues an identity token for that
audience, and the index issues an upload token for the identity token. This works with every index that has the two
endpoints on its upload host, not only with PyPI. An upload token is valid for 15 minutes; an identity token can be
used once.
"""

from __future__ import annotations

import json
import threading
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from io import BytesIO
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urljoin, urlsplit

from relnox.errors import Blocked, Failed, TryLater
from relnox.indexes.identities import (
    GITLAB_CI,
    NO_PROVIDER,
    SIGNING_AUDIENCE,
    detect_provider,
    permission_hint,
    request_identity,
)
from relnox.indexes.targets import PRODUCTION, TEST, public_index
from relnox.indexes.upload_fixes import first_release_hint
from relnox.system import network
from relnox.system.secrets import Secret, mask_to_one_line

if TYPE_CHECKING:
    from collections.abc import Mapping

    from requests import Response

    from relnox.errors import RelnoxError
    from relnox.indexes.identities import Identity
    from relnox.indexes.targets import Target

_AUDIENCE = "/_/oidc/audience"
_MINT_PATH = "/_/oidc/mint-token"
_RENEW_BEFORE = 300.0
"""A token is renewed if it expires in less than this many seconds, so that an upload can finish."""
_USE_UNTIL = 60.0
"""A token that cannot be renewed is not used any more if it expires in less than this many seconds."""
_MAX_TIME = 1 << 40
"""The latest expiry in seconds since 1970: in the far future, but small enough for exact calculations."""
_DEFAULT_LIFETIME = 900.0
"""The lifetime in seconds of an upload token if the index does not return its expiry."""
_RETRY_TIME = 30.0
_MAX_TOKEN = 8192
"""The maximum length of an upload token in characters; servers reject longer headers."""
_SHOWN_CLAIMS = (
    *("sub", "repository", "repository_owner", "workflow_ref", "job_workflow_ref", "ref", "environment"),
    *("project_path", "ci_config_ref_uri", "organization_slug", "pipeline_slug", "email"),
)
"""The claims of identity tokens that indexes compare with the publishers of a project, for messages."""
_RERUN_FIX = "rerun the job, which uploads only missing files"


class _Token(NamedTuple):
    """An upload token, and the time of the monotonic clock in seconds when it expires."""

    secret: Secret
    expiry: float


class TokenProvider:
    """A provider of upload tokens for the current CI job, one for each project.

    If the CI provider issues only one identity token to a job (GitLab), a single upload token is used for all
    projects; it is valid for every project that has this publisher.

    Args:
        upload_url: The URL of the upload API; the endpoints of Trusted Publishing are on the same host.
        index: The name of the index, for messages.
        audience: The audience of identity tokens for the index.
        ci_provider: The name of the CI provider.
        identity: The identity of the CI job.
    """

    def __init__(self, upload_url: str, index: str, audience: str, ci_provider: str, identity: Identity) -> None:
        self._index = index
        self._mint_url = urljoin(upload_url, _MINT_PATH)
        self._audience = audience
        self._ci_provider = ci_provider
        self.identity = identity
        self._renewable = ci_provider != GITLAB_CI
        self._identity_used = False
        self._tokens: dict[str, _Token] = {}
        self._locks: dict[str, threading.Lock] = {}
        self._lock = threading.Lock()

    def token(self, project: str) -> Secret:
        """Return an upload token for a project, valid for at least five minutes if it can be renewed.

        Args:
            project: The normalized name of the project (PEP 503).

        Raises:
            Blocked: The index has no matching publisher for this CI job.
            Failed: The only identity token of this job was used before, or the index rejects it.
            TransientError: A retry may succeed; it uses a new identity token if possible.
            TryLater: The index has disabled Trusted Publishing.
        """
        name = project if self._renewable else ""
        with self._lock:
            lock = self._locks.setdefault(name, threading.Lock())
        with lock:
            token = self._tokens.get(name)
            seconds_left = token.expiry - network.deadlines.CLOCK.now() if token is not None else 0.0
            if token is None or seconds_left < (_RENEW_BEFORE if self._renewable else _USE_UNTIL):
                token = self._tokens[name] = self._exchange_identity(project)
            return token.secret

    def _exchange_identity(self, project: str) -> _Token:
        """Exchange an identity token for an upload token without retries.

        The identity token is a new one if the CI provider issues more than one to a job.
        """
        if self._identity_used and not self._renewable:
            raise Failed(
                "identity-missing",
                f"the upload token for {self._index} has expired, and this job cannot get another one "
                f"({self._ci_provider} issues one identity token for each job)",
                fix=f"{_RERUN_FIX}; or publish each package in its own job: --package NAME",
            )
        identity = self._new_identity() if self._renewable else self.identity
        start = network.deadlines.CLOCK.now()
        response = network.send_once(
            "POST",
            self._mint_url,
            headers={"Content-Type": "application/json", "Accept": "application/json"},
            body=BytesIO(
                json.dumps({"token": identity.token.reveal()}).encode()
            ),  # not in a variable, which tracebacks may show
            confidential=True,
        )
        document = _parse_document(response)
        if response.status_code == HTTPStatus.OK and _is_token(document.get("token")):
            self._identity_used = True
            return _Token(Secret(document.pop("token")), start + _token_lifetime(document, response))
        raise self._rejection_error(response, document, identity, project)

    def _new_identity(self) -> Identity:
        """Request another identity token for this CI job.

        Raises:
            Failed: The CI provider does not issue any more.
        """
        identity = request_identity(self._audience, self._ci_provider)
        if identity is None:
            raise Failed(
                "identity-missing",
                f"{self._ci_provider} issues no more identity tokens for this job",
                fix=permission_hint(self._ci_provider, self._audience),
            )
        return identity

    def _rejection_error(
        self, response: Response, document: dict[str, Any], identity: Identity, project: str
    ) -> RelnoxError:
        """Return the error for an identity token that the index rejected.

        Args:
            response: The response of the index.
            document: The JSON document in the response.
            identity: The rejected identity.
            project: The normalized name of the project, or an empty string if the token is for all projects.
        """
        descriptions = _error_descriptions(document)
        text = "; ".join(f"{code}: {description}" for code, description in descriptions.items())
        reason = mask_to_one_line(text or str(response.status_code))
        for_project = f" for {project}" if project else ""
        message = f"{self._index} did not issue an upload token{for_project} ({reason})"
        if "service-unavailable" in descriptions:
            return network.TransientError("identity-missing", message)
        if "not-enabled" in descriptions:
            return TryLater(
                "trusted-publishing-disabled",
                f"{self._index} has disabled Trusted Publishing for {self._ci_provider} ({reason})",
                fix="check the status page of the index, or publish with a token",
            )
        if "invalid-reuse-token" in descriptions:
            return Failed(
                "identity-missing",
                f"{self._index} has already accepted the identity token of this job ({reason})",
                fix=f"{_RERUN_FIX}; publish all packages with one command in the job",
            )
        if "invalid-pending-publisher" in descriptions:
            return Blocked(
                "identity-missing",
                f"the pending publisher{for_project} on {self._index} cannot create the project (the project "
                f"already exists, or its name is not allowed: {reason})",
                fix="add the publisher to the existing project, or choose another name",
            )
        if "invalid-publisher" in descriptions:
            claims = "\n".join(
                f"  {name}: {value}" for name, value in identity.claims.items() if name in _SHOWN_CLAIMS
            )
            return Blocked(
                "publisher-missing",
                f"{self._index} has no trusted publisher{for_project} for this job ({reason}) with "
                f"the claims\n{claims}",
                fix="compare owner, repository, workflow file and environment with the publisher in the settings "
                f"of the project; {first_release_hint(project)}",
            )
        if descriptions.keys() & {"invalid-token", "invalid-payload"}:
            return Failed(
                "identity-missing",
                f"{self._index} does not accept identity tokens of {self._ci_provider} ({reason})",
                fix=f"check that the index supports {self._ci_provider}, and that the clock of this "
                "machine is correct",
            )
        return Failed(
            "identity-missing",
            message,
            fix="check that the index supports Trusted Publishing, or publish with a token",
        )

    def __repr__(self) -> str:
        return f"TokenProvider({self._index!r})"


def token_provider(target: Target, environment: Mapping[str, str]) -> TokenProvider | str:
    """Return the provider of upload tokens for this CI job, or the reason why Trusted Publishing cannot be used.

    Args:
        target: The index.
        environment: The environment variables, which identify the CI provider.

    Raises:
        Blocked: Indexes reject the identity of this CI job, or the CI provider cannot issue an identity token.
            Or the index requests an identity token for another index or for the signing service.
        TryLater: The index or the CI provider does not respond.
    """
    ci_provider = detect_provider(environment)
    if ci_provider is None:
        return NO_PROVIDER
    upload_url, parts = target.upload_url, urlsplit(target.upload_url)
    if not network.is_encrypted(upload_url):
        return f"not used over http ({parts.hostname})"
    deadline = network.Deadline(_RETRY_TIME)
    response = network.get(urljoin(upload_url, _AUDIENCE), {"Accept": "application/json"}, deadline=deadline)
    audience = _parse_document(response).get("audience") if response.status_code == HTTPStatus.OK else None
    if not isinstance(audience, str):
        return f"not supported by {parts.netloc}"
    _check_audience(audience, target)
    identity = request_identity(audience, ci_provider)
    if identity is None:
        return f"{ci_provider} issues no identity token for this job: {permission_hint(ci_provider, audience)}"
    identity.check_workflow(target.name)
    return TokenProvider(upload_url, target.name, audience, ci_provider, identity)


def _check_audience(audience: str, target: Target) -> None:
    """Check that an index does not request identity tokens that it could use elsewhere, as this job."""
    if audience in (PRODUCTION, TEST, SIGNING_AUDIENCE) and public_index(target) != audience:
        raise Blocked(
            "identity-missing",
            f"{target.name} ({target.host}) requests an identity token for {audience}, which is another service",
            fix="report it to the index operator, or publish with a token",
        )


def _token_lifetime(document: dict[str, Any], response: Response) -> float:
    """Return the seconds until a token expires, by the clock of the index, since the local clock may be wrong."""
    expires = document.get("expires")
    if not isinstance(expires, int):
        return _DEFAULT_LIFETIME
    try:
        now = parsedate_to_datetime(response.headers["Date"]).timestamp()
    except (KeyError, ValueError, TypeError, OverflowError):  # missing, invalid or out of range
        now = network.deadlines.CLOCK.today().timestamp()
    return min(max(expires, 0), _MAX_TIME) - now


def _error_descriptions(document: dict[str, Any]) -> dict[str, str]:
    """Return the descriptions of the errors in a response by error code."""
    errors = document.get("errors")
    return {
        str(error.get("code", "")): str(error.get("description", ""))
        for error in (errors if isinstance(errors, list) else [])
        if isinstance(error, dict)
    }


def _parse_document(response: Response) -> dict[str, Any]:
    """Return the JSON object in a response, or an empty dictionary if there is none."""
    try:
        document = network.json_document(response)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def _is_token(value: object) -> bool:
    """Return whether a value is an upload token that can be sent as a password."""
    return isinstance(value, str) and 0 < len(value) <= _MAX_TOKEN and value.isascii() and value.isprintable()
