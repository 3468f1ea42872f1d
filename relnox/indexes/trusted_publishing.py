"""Trusted Publishing: the exchange of identity tokens from the CI provider for upload tokens of an index.

It takes three requests: the index returns its audience, the CI provider issues an identity token for that
audience, and the index issues an upload token for the identity token. Unlike in twine, this works with every index
that has the two endpoints on its upload host, and each project has a token of its own, as pending publishers need.
An upload token is valid for 15 minutes; an identity token can be used once.
"""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Mapping
from http import HTTPStatus
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

import urllib3
from id import AmbientCredentialError, GitHubOidcPermissionCredentialError, detect_credential

from relnox.errors import ANY_STATUS, Blocked, Failed, Problem, ProblemRule, TryLater, find_problem
from relnox.indexes.targets import Target
from relnox.system import addresses, http, retries
from relnox.system.secrets import Secret, mask_to_one_line

if TYPE_CHECKING:
    from requests import Response

SIGNING_AUDIENCE = "sigstore"
"""The audience of identity tokens for the signing service."""
_GITHUB = "GitHub Actions"
_GITLAB = "GitLab CI"
_CI_PROVIDERS = {
    "GITHUB_ACTIONS": _GITHUB,
    "GITLAB_CI": _GITLAB,
    "BUILDKITE": "Buildkite",
    "CIRCLECI": "CircleCI",
    "GOOGLE_SERVICE_ACCOUNT_NAME": "Google Cloud",
}
"""Maps the environment variables by which the package `id` detects CI providers to the names of the providers."""
_PRODUCT_NAME = Path("/sys/class/dmi/id/product_name")
"""Where machines of Google Cloud name it."""
_NO_PROVIDER = "not running on a supported CI provider"
_AUDIENCE = "/_/oidc/audience"
_MINT_PATH = "/_/oidc/mint-token"
_IDENTITY_TIMEOUT = 60.0
_AUDIENCE_TIMEOUT = 30.0
_RENEW_BEFORE = 300.0
"""A token is renewed if it expires in less than this many seconds, so that an upload can finish."""
_USE_UNTIL = 60.0
"""A token that cannot be renewed is not used any more if it expires in less than this many seconds."""
_LIFETIME = 900.0
"""The lifetime in seconds of an upload token if the index does not return its expiry."""
_SHOWN_CLAIMS = (
    *("sub", "repository", "repository_owner", "workflow_ref", "job_workflow_ref", "ref", "environment"),
    *("project_path", "ci_config_ref_uri", "organization_slug", "pipeline_slug", "email"),
)
"""The claims of identity tokens that indexes compare with the publishers of a project, for messages."""
_CLOCK_FIX = "check that the index supports this CI provider, and that the clock of this machine is correct"
_REJECTED = "{index} did not issue an upload token for {project} ({reason})"
_FIXES: tuple[tuple[str, type[Problem], str], ...] = (
    ("service-unavailable", retries.TransientError, ""),
    ("not-enabled", TryLater, "check the status page of the index, or use a token"),
    (
        "invalid-reuse-token",
        Failed,
        "rerun the job, which uploads only missing files; publish all packages with one command in the job",
    ),
    (
        "invalid-pending-publisher",
        Blocked,
        "add the publisher to the project if it exists already, or choose another name",
    ),
    ("invalid-token|invalid-payload", Failed, _CLOCK_FIX),
    ("", Failed, "check that the index supports Trusted Publishing, or use a token"),
)
"""The error codes of indexes, and what each stands for."""
_RULES = (
    ProblemRule(
        ANY_STATUS,
        "invalid-publisher",
        Blocked,
        "publisher-missing",
        f"{_REJECTED}: it has no trusted publisher with the claims\n{{claims}}",
        "compare owner, repository, workflow file and environment with the publisher in the settings of the "
        "project; {first_release}",
    ),
    *(ProblemRule(ANY_STATUS, code, error, "identity-missing", _REJECTED, fix) for code, error, fix in _FIXES),
)


class JobIdentity:
    """An identity token of a CI job (a JSON Web Token, RFC 7519) and those of its claims that are strings.

    Only the index verifies the token; an unreadable one has no claims.
    """

    def __init__(self, token: Secret) -> None:
        self.token = token
        self.claims: dict[str, str] = {}
        try:
            body = token.reveal().split(".")[1]
            claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
            self.claims = {name: value for name, value in claims.items() if isinstance(value, str)}
        except (ValueError, IndexError, AttributeError):  # the index rejects it
            pass

    @property
    def description(self) -> str:
        """The repository or project of the job, or else the subject of the token, for messages; may be empty."""
        names = ("repository", "project_path", "sub")
        return next((self.claims[name] for name in names if name in self.claims), "")


def request_identity(audience: str, environment: Mapping[str, str]) -> JobIdentity | str:
    """Request an identity token of this CI job for a service, the audience; return the reason if there is none.

    `environment` decides which CI provider is detected; its request uses the variables of this process.

    Raises:
        TransientError: The CI provider did not respond, or with an error; a retry may succeed.
    """
    ci_provider = _detect_ci_provider(environment)
    if ci_provider is None:
        return _NO_PROVIDER
    none = f"{ci_provider} issues no identity token for {audience}: {_permission_hint(ci_provider, audience)}"
    try:
        # The package sends its own requests, and cannot be interrupted.
        token = http.call_with_timeout(lambda: detect_credential(audience), _IDENTITY_TIMEOUT, ci_provider)
    except (AmbientCredentialError, urllib3.exceptions.HTTPError, OSError) as error:
        # The text may quote the response of the CI provider, which may be the token: it is not shown.
        is_permission = isinstance(error, GitHubOidcPermissionCredentialError)
        if isinstance(error, AmbientCredentialError) and (is_permission or ci_provider != _GITHUB):
            return none
        raise retries.TransientError(
            "identity-missing", f"{ci_provider} could not issue an identity token ({type(error).__name__})"
        ) from None
    return JobIdentity(Secret(token)) if token else none


def _detect_ci_provider(environment: Mapping[str, str]) -> str | None:
    """Return the name of the CI provider, such as `GitLab CI`; None without one that issues identity tokens."""
    for variable, name in _CI_PROVIDERS.items():
        if environment.get(variable):
            return name
    try:
        is_google = _PRODUCT_NAME.read_text(encoding="utf-8").startswith("Google")
    except OSError:
        return None
    return "Google Cloud" if is_google else None


def _permission_hint(ci_provider: str, audience: str) -> str:
    """Return a hint for messages: what a CI job needs to get an identity token.

    `audience` is the service that the token is for.
    """
    if ci_provider == _GITHUB:
        return "the job needs permissions: id-token: write (pull requests from forks never have it)"
    if ci_provider == _GITLAB:
        name = "".join(char if char.isalnum() and char.isascii() else "_" for char in audience.upper())
        return f"the job needs id_tokens: {name}_ID_TOKEN: aud: {audience}"
    return f"see the OpenID Connect documentation of {ci_provider}"


class TokenProvider:
    """A provider of upload tokens for the current CI job, one for each project.

    If the CI provider issues only one identity token to a job (GitLab), a single upload token is used for all
    projects; it is valid for every project that has this publisher.

    Args:
        audience: The service that identity tokens are for, as the index names it.
        identity: The first identity token for `audience`; jobs of GitLab get no other.
    """

    def __init__(
        self, target: Target, audience: str, environment: Mapping[str, str], identity: JobIdentity
    ) -> None:
        self._target = target
        self._audience = audience
        self._environment = environment
        self.identity = identity
        self._renewable = _detect_ci_provider(environment) != _GITLAB
        self._tokens: dict[str, tuple[Secret, float]] = {}
        self._locks: dict[str, threading.Lock] = {}
        self._lock = threading.Lock()

    def token(self, project: str) -> Secret:
        """Return an upload token for a project (by its normalized name), valid for five more minutes if possible.

        A token is cached until then. On GitLab, where the only token cannot be renewed, it is used until the last
        minute.

        Raises:
            TransientError: A retry may succeed; it uses a new identity token if possible.
            Failed: The only token that the job can get has expired.
            Problem: The index rejects the identity: `Blocked` if no publisher of the project matches, or see
                `_RULES`.
        """
        name = project if self._renewable else ""
        with self._lock:
            lock = self._locks.setdefault(name, threading.Lock())
        with lock:
            token, expiry = self._tokens.get(name, (None, 0.0))
            seconds_left = expiry - retries.CLOCK.monotonic()
            if token is not None and seconds_left > (_RENEW_BEFORE if self._renewable else _USE_UNTIL):
                return token
            if token is not None and not self._renewable:
                raise Failed(
                    "identity-missing",
                    f"the upload token for {self._target.name} has expired, and this job cannot get another one "
                    f"({_GITLAB} issues one identity token for each job)",
                    fix="rerun the job, which uploads only missing files; or publish each package in its own job: "
                    "--package NAME",
                )
            self._tokens[name] = self._request_upload_token(project)
            return self._tokens[name][0]

    def _request_upload_token(self, project: str) -> tuple[Secret, float]:
        """Exchange an identity token for an upload token; return it with its expiry by the monotonic clock."""
        identity: JobIdentity | str = self.identity
        if self._renewable:
            identity = request_identity(self._audience, self._environment)
        if isinstance(identity, str):  # the job had one before
            raise retries.TransientError("identity-missing", identity)
        start = retries.CLOCK.monotonic()
        response = http.send_once(
            "POST",
            urljoin(self._target.upload_url, _MINT_PATH),
            headers={"Content-Type": "application/json", "Accept": "application/json"},
            body=BytesIO(json.dumps({"token": identity.token.reveal()}).encode()),
            confidential=True,
        )
        document = _parse_document(response)
        token = document.get("token")
        if response.status_code == HTTPStatus.OK and isinstance(token, str) and token:
            expires = document.get("expires")
            now = retries.CLOCK.utc_now().timestamp()
            lifetime = min(expires - now, _LIFETIME) if isinstance(expires, int) else _LIFETIME
            return Secret(token), start + lifetime
        errors = document.get("errors")
        descriptions = [
            f"{error.get('code', '')}: {error.get('description', '')}"
            for error in (errors if isinstance(errors, list) else [])
            if isinstance(error, dict)
        ]
        claims = [f"  {name}: {identity.claims[name]}" for name in _SHOWN_CLAIMS if name in identity.claims]
        raise find_problem(
            _RULES,
            " ".join(description.partition(":")[0] for description in descriptions),
            index=self._target.name,
            project=project,
            reason=mask_to_one_line("; ".join(descriptions) or str(response.status_code)),
            claims="\n".join(claims),
            first_release=first_release_hint(project),
        )


def token_provider(target: Target, environment: Mapping[str, str]) -> TokenProvider | str:
    """Return the provider of upload tokens for this CI job, or the reason why Trusted Publishing cannot be used.

    Raises:
        Blocked: The job is part of a reusable workflow, which is not supported; or the index requests an identity
            token for another service.
        TransientError: The index or the CI provider does not respond.
    """
    if _detect_ci_provider(environment) is None:
        return _NO_PROVIDER
    if not addresses.is_encrypted_url(target.upload_url):
        return f"not used over http ({target.host})"
    url, deadline = urljoin(target.upload_url, _AUDIENCE), retries.Deadline(_AUDIENCE_TIMEOUT)
    response = http.get(url, {"Accept": "application/json"}, deadline=deadline)
    audience = _parse_document(response).get("audience") if response.status_code == HTTPStatus.OK else None
    if not isinstance(audience, str):
        return f"not supported by {target.host}"
    if _is_audience_of_another_service(audience, target):
        # With such a token, it could act at the other service as this job.
        raise Blocked(
            "identity-missing",
            f"{target.name} ({target.host}) requests an identity token for {mask_to_one_line(audience)}, which is "
            "another service",
            fix="report it to the index operator; or publish with a token in RELNOX_INDEX_TOKEN",
        )
    identity = request_identity(audience, environment)
    if isinstance(identity, str):
        return identity
    called_workflow, caller = identity.claims.get("job_workflow_ref"), identity.claims.get("workflow_ref")
    if called_workflow and caller and called_workflow != caller:
        # Indexes check the reusable workflow as the publisher, but attestations name its caller.
        raise Blocked(
            "identity-missing",
            f"the upload job is part of a reusable workflow ({called_workflow}, called by {caller}), which "
            f"{target.name} does not support for Trusted Publishing with attestations",
            fix=f"move the upload job into {caller.partition('@')[0]}; the build jobs can stay in "
            "the reusable workflow",
        )
    return TokenProvider(target, audience, environment, identity)


def _is_audience_of_another_service(audience: str, target: Target) -> bool:
    """Return whether the audience that an index requests identity tokens for is not the index itself.

    PyPI and TestPyPI have to name themselves, `pypi` or `testpypi`; other indexes their host, or a URL there. Any
    server can request a token for another service, such as `sigstore` or `vault`.
    """
    if target.public_name is not None:
        return audience != target.public_name
    try:
        host = urlsplit(audience if "://" in audience else f"//{audience}").hostname
    except ValueError:
        return True
    return host != urlsplit(target.upload_url).hostname


def first_release_hint(project: str) -> str:
    """Return a hint for fixes: a project needs a pending publisher with its name before its first release."""
    return f"for a first release, add a pending publisher with the project name {project} (not older than 30 days)"


def _parse_document(response: Response) -> dict[str, Any]:
    """Return the JSON object in a response, or an empty dictionary if there is none."""
    try:
        document = http.parse_json(response)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}
