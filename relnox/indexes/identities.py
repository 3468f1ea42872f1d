"""Identity tokens, which CI providers issue to jobs (OpenID Connect), for uploads and signatures."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING

from relnox.errors import Blocked
from relnox.system import network
from relnox.system.secrets import Secret

if TYPE_CHECKING:
    from collections.abc import Mapping

GITLAB_CI = "GitLab CI"
SIGNING_AUDIENCE = "sigstore"
"""The audience of identity tokens for the signing service."""
NO_PROVIDER = "not running on a supported CI provider"
_TIMEOUT = 60.0
_PRODUCT_NAME = "/sys/class/dmi/id/product_name"
_CI_PROVIDERS = {
    "GITHUB_ACTIONS": "GitHub Actions",
    "GITLAB_CI": GITLAB_CI,
    "BUILDKITE": "Buildkite",
    "CIRCLECI": "CircleCI",
    "GOOGLE_SERVICE_ACCOUNT_NAME": "Google Cloud",
}
"""Maps the environment variables by which the package `id` detects CI providers to the names of the providers."""


class Identity:
    """An identity token and its claims. The signature of the token is checked only by the index.

    Args:
        token: The token (a JSON Web Token, RFC 7519).
    """

    def __init__(self, token: Secret) -> None:
        self.token = token
        self.claims: dict[str, str] = _claims_of_token(token)

    @property
    def description(self) -> str:
        """The repository or project that the job belongs to, or else the subject of the token, for messages."""
        return next(
            (self.claims[name] for name in ("repository", "project_path", "sub") if name in self.claims), ""
        )

    def check_workflow(self, index: str) -> None:
        """Check that indexes accept the workflow of this identity.

        Args:
            index: The name of the index, for messages.

        Raises:
            Blocked: The job is part of a reusable workflow: indexes check the reusable workflow as the publisher,
                but attestations name its caller.
        """
        called_workflow, caller = self.claims.get("job_workflow_ref"), self.claims.get("workflow_ref")
        if called_workflow and caller and called_workflow != caller:
            raise Blocked(
                "identity-missing",
                f"the upload job is part of a reusable workflow ({called_workflow}, called by {caller}), which "
                f"{index} does not support for Trusted Publishing with attestations",
                fix=f"move the upload job into {caller.partition('@')[0]}; the build jobs can stay in "
                "the reusable workflow",
            )


def identify(audience: str, environment: Mapping[str, str]) -> Identity | str:
    """Return the identity of this CI job for an audience, or the reason why there is none.

    Args:
        audience: The audience of the identity token, which names the service that it is for.
        environment: The environment variables, which identify the CI provider.

    Raises:
        TransientError: The CI provider did not respond; a retry may succeed.
        Blocked: The CI provider could not issue a valid identity token.
    """
    ci_provider = detect_provider(environment)
    if ci_provider is None:
        return NO_PROVIDER
    return request_identity(audience, ci_provider) or (
        f"{ci_provider} issues no identity token for {audience}: {permission_hint(ci_provider, audience)}"
    )


def detect_provider(environment: Mapping[str, str]) -> str | None:
    """Return the name of the CI provider, or None if no provider that issues identity tokens is detected."""
    return next((name for variable, name in _CI_PROVIDERS.items() if environment.get(variable)), _google_cloud())


def request_identity(audience: str, ci_provider: str) -> Identity | None:
    """Request an identity token from the CI provider; return None if it does not issue one to this job.

    Args:
        audience: The audience of the identity token.
        ci_provider: The name of the CI provider.

    Raises:
        TransientError: The CI provider did not respond; a retry may succeed.
        Blocked: The CI provider could not issue a valid identity token.
    """
    import urllib3
    from id import AmbientCredentialError, GitHubOidcPermissionCredentialError, detect_credential

    try:
        # The package sends its own requests, without deadlines, and cannot be interrupted.
        tokens = network.call_with_timeout(
            lambda: [Secret(text) for text in (detect_credential(audience),) if text],
            _TIMEOUT,
            ci_provider,
        )
    except GitHubOidcPermissionCredentialError:
        return None
    except AmbientCredentialError as error:
        # The text may quote the response of the CI provider, which may be the token: it is not shown.
        text = str(error)
        if "not found" in text or "could not find" in text:  # the variable of GitLab, the program of others
            return None
        message = f"{ci_provider} could not issue an identity token"
        if "timed out" in text or "request failed" in text:
            raise network.TransientError("identity-missing", message) from None
        raise Blocked(
            "identity-missing",
            f"{message} for {audience}",
            fix=permission_hint(ci_provider, audience),
        ) from None
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise network.TransientError(
            "identity-missing",
            f"{ci_provider} could not issue an identity token ({type(error).__name__})",
        ) from None
    return Identity(tokens[0]) if tokens else None


def permission_hint(ci_provider: str, audience: str) -> str:
    """Return a hint about what a CI job needs to get an identity token."""
    match ci_provider:
        case "GitHub Actions":
            return "the job needs permissions: id-token: write (pull requests from forks never have it)"
        case "GitLab CI":
            name = "".join(char if char.isalnum() and char.isascii() else "_" for char in audience.upper())
            return f"the job needs id_tokens: {name}_ID_TOKEN: aud: {audience}"
        case _:
            return f"see the OpenID Connect documentation of {ci_provider}"


def _claims_of_token(token: Secret) -> dict[str, str]:
    """Return those claims of a token that are strings, without checking its signature; none if it is not valid."""
    try:
        body = token.reveal().split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    except (ValueError, IndexError):
        return {}
    return (
        {name: value for name, value in claims.items() if isinstance(value, str)}
        if isinstance(claims, dict)
        else {}
    )


def _google_cloud() -> str | None:
    """Return the name of Google Cloud if this is one of its machines, which is not shown by any variable."""
    try:
        with open(_PRODUCT_NAME, encoding="utf-8") as file:  # noqa: PTH123 - a file of the kernel
            return _CI_PROVIDERS["GOOGLE_SERVICE_ACCOUNT_NAME"] if file.read().startswith("Google") else None
    except OSError:
        return None
