"""Trusted Publishing: the CI engine says who is running, and the index gives a token for that.

Three requests: the index tells which audience it is, the engine gives an identity token for that audience, the
index mints an upload token for the identity. It works with every index that has the two endpoints under its own
origin, not with the public ones alone. A minted token lasts a quarter of an hour; an identity token is taken once.
"""

from __future__ import annotations

import base64
import json
import threading
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from io import BytesIO
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urljoin, urlsplit

from relnox import network
from relnox.errors import Blocked, Failed, TryLater
from relnox.secrets import Secret, masked

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from requests import Response

    from relnox.errors import RelnoxError

__all__ = ["Identity", "Publisher", "first_release_hint", "identify", "publisher"]

_AUDIENCE = "/_/oidc/audience"
_MINT = "/_/oidc/mint-token"
_RENEWED_BEFORE = 300.0
"""Seconds that a token must still be good for: a file that is begun must also be finished."""
_USED_UNTIL = 60.0
"""Seconds before its end until which a token is used that cannot be renewed."""
_LATEST = 1 << 40
"""Seconds since 1970, which is far from now, and which a float holds."""
_LIFETIME = 900.0
"""Seconds, where the index does not say."""
_PATIENCE = 30.0
_SHOWN = 300
_LONGEST_TOKEN = 8192
"""Characters; longer headers are refused by servers anyway."""
_DETECTING = 60.0
"""Seconds that an engine may take to give an identity."""
_GOOGLE = "/sys/class/dmi/id/product_name"
_ENGINES = {
    "GITHUB_ACTIONS": "GitHub Actions",
    "GITLAB_CI": "GitLab CI",
    "BUILDKITE": "Buildkite",
    "CIRCLECI": "CircleCI",
    "GOOGLE_SERVICE_ACCOUNT_NAME": "Google Cloud",
}
"""Variables by which the `id` package knows where it runs."""
_CLAIMS = (
    *("sub", "repository", "repository_owner", "workflow_ref", "job_workflow_ref", "ref", "environment"),
    *("project_path", "ci_config_ref_uri", "organization_slug", "pipeline_slug", "email"),
)
"""Claims that an index compares with a publisher's settings."""
_NOBODY = "no CI engine gives an identity here"
_RERUN = "start the job again: what is on the index already is not sent twice"


class Identity:
    """An identity token and what it says. The index checks the signature; relnox only reads.

    Args:
        token: The token (a JSON Web Token, RFC 7519).
    """

    def __init__(self, token: Secret) -> None:
        self.token = token
        self.claims: dict[str, str] = _claims(token)

    @property
    def told(self) -> str:
        """Who this is, in a few words."""
        return next(
            (self.claims[each] for each in ("repository", "project_path", "sub") if each in self.claims), ""
        )

    def check(self, index: str) -> None:
        """Refuse an identity that no index takes, before anything is sent.

        Raises:
            Blocked: The job belongs to a reusable workflow: indexes look at that one, attestations at its caller.
        """
        called, caller = self.claims.get("job_workflow_ref"), self.claims.get("workflow_ref")
        if called and caller and called != caller:
            raise Blocked(
                "todo",
                f"the upload job stands in a reusable workflow: it is {called}, called by {caller}, and {index} "
                "gives no token that attestations agree with",
                fix=f"move the job that uploads into {caller.partition('@')[0]}; building may stay where it is",
            )


class _Token(NamedTuple):
    """A minted token, and until when it is good, by the clock of whom it was minted for."""

    secret: Secret
    until: float


class Publisher:
    """Mints upload tokens for the job that is running, one for each project.

    Where the engine gives a job one identity and not more (GitLab), one token serves all projects: it is good for
    every project that has this publisher.

    Args:
        upload_url: Where files are sent; the endpoints are beside it.
        index: What users call the index.
        audience: Who the index says it is.
        ci_provider: What runs the job.
        identity: Who the job is.
        detect: Gives an identity token for an audience, None where there is none.
    """

    def __init__(  # noqa: PLR0913 - what minting depends on
        self,
        upload_url: str,
        index: str,
        audience: str,
        ci_provider: str,
        identity: Identity,
        *,
        detect: Callable[[str], str | None],
    ) -> None:
        self._index = index
        self._mint_url = urljoin(upload_url, _MINT)
        self._audience = audience
        self._engine = ci_provider
        self.identity = identity
        self._detect = detect
        self._many = ci_provider != _ENGINES["GITLAB_CI"]
        self._spent = False
        self._minted: dict[str, _Token] = {}
        self._minting: dict[str, threading.Lock] = {}
        self._opening = threading.Lock()

    def token(self, project: str) -> Secret:
        """An upload token for a project, good for five minutes at least where the engine lets it be renewed.

        Args:
            project: Normalised name (PEP 503).

        Raises:
            Blocked: The index does not know this publisher.
            Failed: The only identity of this job is used up.
            TransientError: Another try may go better; it shows another identity, where there are others.
            TryLater: The index has switched Trusted Publishing off.
        """
        name = project if self._many else ""
        with self._opening:
            lock = self._minting.setdefault(name, threading.Lock())
        with lock:
            last = self._minted.get(name)
            left = last.until - network.CLOCK.now() if last is not None else 0.0
            if last is None or left < (_RENEWED_BEFORE if self._many else _USED_UNTIL):
                last = self._minted[name] = self._mint(project)
            return last.secret

    def _mint(self, project: str) -> _Token:
        """Exchange an identity once. The next try shows another one, where the engine gives more than one."""
        if self._spent and not self._many:
            raise Failed(
                "todo",
                f"the upload token for {self._index} has run out, and {self._engine} gives a job one identity",
                fix=f"{_RERUN}; a job for each package has a token of its own: --package NAME",
            )
        identity = self._identify() if self._many else self.identity
        began = network.CLOCK.now()
        response = network.send_once(
            "POST",
            self._mint_url,
            headers={"Content-Type": "application/json", "Accept": "application/json"},
            body=BytesIO(
                json.dumps({"token": identity.token.reveal()}).encode()
            ),  # no variable shows what is in it
            confidential=True,
        )
        answer = _document(response)
        if response.status_code == HTTPStatus.OK and _is_token(answer.get("token")):
            self._spent = True
            return _Token(Secret(answer.pop("token")), began + _lifetime(answer, response))
        raise self._refusal(response, answer, identity, project)

    def _identify(self) -> Identity:
        identity = _identity(self._detect, self._audience, self._engine)
        if identity is None:
            raise Failed(
                "todo",
                f"{self._engine} gives this job no identity any more",
                fix=_permission(self._engine, self._audience),
            )
        return identity

    def _refusal(
        self, response: Response, answer: dict[str, Any], identity: Identity, project: str
    ) -> RelnoxError:
        """The index's refusal in words that say what to do."""
        codes = _codes(answer)
        said = "; ".join(f"{code}: {told}" for code, told in codes.items()) or f"{response.status_code}"
        said = masked(" ".join(said.split()))[:_SHOWN]
        what = f" for {project}" if project else ""
        told = f"{self._index} mints no token{what} ({said})"
        if "service-unavailable" in codes:
            return network.TransientError("todo", told)
        if "not-enabled" in codes:
            return TryLater(
                "todo",
                f"{self._index} has switched Trusted Publishing off for {self._engine} ({said})",
                fix="look at the index's status page; with a token in a variable it goes on without",
            )
        if "invalid-reuse-token" in codes:
            return Failed(
                "todo",
                f"{self._index} has seen this job's identity before, and takes each once ({said})",
                fix=f"{_RERUN}. An earlier command of this job used it up: let one command publish everything",
            )
        if "invalid-pending-publisher" in codes:
            return Blocked(
                "todo",
                f"the pending publisher{what} on {self._index} cannot become a project: it exists already, or its "
                f"name is taken or forbidden ({said})",
                fix="add the publisher to the existing project instead, or choose another name",
            )
        if "invalid-publisher" in codes:
            claims = "\n".join(f"  {name}: {value}" for name, value in identity.claims.items() if name in _CLAIMS)
            return Blocked(
                "todo",
                f"{self._index} knows no publisher{what} that is this job ({said}). The job is:\n{claims}",
                fix="compare owner, repository, workflow file and environment with the publisher in the settings "
                f"of the project there, letter by letter; {first_release_hint(project)}",
            )
        if codes.keys() & {"invalid-token", "invalid-payload"}:
            return Failed(
                "todo",
                f"{self._index} takes no identity such as {self._engine} gives ({said})",
                fix=f"does the index support {self._engine}, and is this machine's clock right?",
            )
        return Failed(
            "todo", told, fix="is it an index with Trusted Publishing? a token in a variable does without"
        )

    def __repr__(self) -> str:
        return f"Publisher({self._index!r})"


def publisher(upload_url: str, index: str, environment: Mapping[str, str]) -> Publisher | str:
    """The publisher that this job is for an index, or why there is none.

    Args:
        upload_url: Where files are sent.
        index: What users call the index.
        environment: Variables that tell which CI engine runs.

    Raises:
        Blocked: The job's identity is one that no index takes.
        TryLater: The index does not answer.
    """
    ci_provider = _engine(environment)
    if ci_provider is None:
        return _NOBODY
    parts = urlsplit(upload_url)
    if not network.is_encrypted(upload_url):
        return f"{parts.hostname} is not asked without TLS"
    deadline = network.Deadline(_PATIENCE)
    response = network.get(urljoin(upload_url, _AUDIENCE), {"Accept": "application/json"}, deadline=deadline)
    audience = _document(response).get("audience") if response.status_code == HTTPStatus.OK else None
    if not isinstance(audience, str):
        return f"{parts.netloc} does not offer it"
    identity = _identity(_detect, audience, ci_provider)
    if identity is None:
        return f"{ci_provider} gives this job no identity: {_permission(ci_provider, audience)}"
    identity.check(index)
    return Publisher(upload_url, index, audience, ci_provider, identity, detect=_detect)


def identify(audience: str, environment: Mapping[str, str]) -> Identity | str:
    """The identity that the CI engine gives this job for somebody, or why there is none.

    Args:
        audience: Whom the identity is shown to.
        environment: Variables that tell which CI engine runs.

    Raises:
        TransientError: Another try may go better.
        Blocked: What the engine gives is no identity for that audience.
    """
    ci_provider = _engine(environment)
    if ci_provider is None:
        return _NOBODY
    return _identity(_detect, audience, ci_provider) or (
        f"{ci_provider} gives this job no identity for {audience}: {_permission(ci_provider, audience)}"
    )


def first_release_hint(project: str) -> str:
    """What goes wrong with first releases: a token that may not create the project."""
    called = f"exactly {project}" if project else "exactly as the package"
    return (
        f"for a first release the pending publisher must be called {called} and be younger than 30 days "
        "(an identity creates no other project)"
    )


def _engine(environment: Mapping[str, str]) -> str | None:
    """What runs the job; None where nothing does that gives identities."""
    return next((told for name, told in _ENGINES.items() if environment.get(name)), _on_google())


def _identity(detect: Callable[[str], str | None], audience: str, ci_provider: str) -> Identity | None:
    """The identity that the engine gives, None if it gives none.

    Raises:
        TransientError: Another try may go better.
        Blocked: What it gives is no identity for that audience.
    """
    import urllib3
    from id import AmbientCredentialError, GitHubOidcPermissionCredentialError

    try:
        # The package asks in its own way, which knows neither deadlines nor the end of the run.
        found = network.call_with_timeout(
            lambda: [Secret(text) for text in (detect(audience),) if text], _DETECTING, ci_provider
        )
    except GitHubOidcPermissionCredentialError:
        return None
    except AmbientCredentialError as error:
        # Such an error may quote the engine's answer, and that may be the token: it is neither told nor kept.
        transient_error = str(error)
        if (
            "not found" in transient_error or "could not find" in transient_error
        ):  # GitLab's variable, the program of others
            return None
        if "timed out" in transient_error or "request failed" in transient_error:
            raise network.TransientError("todo", f"{ci_provider} gives this job no identity now") from None
        raise Blocked(
            "todo",
            f"{ci_provider} gives this job an identity that is not for {audience}",
            fix=_permission(ci_provider, audience),
        ) from None
    except (urllib3.exceptions.HTTPError, OSError) as error:
        told = f"{ci_provider} gives this job no identity now ({type(error).__name__})"
        raise network.TransientError("todo", told) from None
    return Identity(found[0]) if found else None


def _detect(audience: str) -> str | None:
    import id as identities

    return identities.detect_credential(audience)


def _claims(token: Secret) -> dict[str, str]:
    """What the token says, its signature unchecked; nothing for one that cannot be read."""
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


def _permission(ci_provider: str, audience: str) -> str:
    match ci_provider:
        case "GitHub Actions":
            return "the job needs permissions: id-token: write (pull requests from forks never have it)"
        case "GitLab CI":
            name = "".join(each if each.isalnum() and each.isascii() else "_" for each in audience.upper())
            return f"the job needs id_tokens: {name}_ID_TOKEN: aud: {audience}"
        case _:
            return "see the engine's documentation of OpenID Connect"


def _lifetime(answer: dict[str, Any], response: Response) -> float:
    """Seconds that a token lasts, by the index's own clock: ours may be wrong."""
    expires = answer.get("expires")
    if not isinstance(expires, int):
        return _LIFETIME
    try:
        now = parsedate_to_datetime(response.headers["Date"]).timestamp()
    except (KeyError, ValueError, TypeError, OverflowError):  # none, or one that no calendar has
        now = network.CLOCK.today().timestamp()
    return min(max(expires, 0), _LATEST) - now


def _codes(answer: dict[str, Any]) -> dict[str, str]:
    """The errors that the index tells: descriptions by code."""
    errors = answer.get("errors")
    return {
        str(each.get("code", "")): str(each.get("description", ""))
        for each in (errors if isinstance(errors, list) else [])
        if isinstance(each, dict)
    }


def _document(response: Response) -> dict[str, Any]:
    try:
        document = network.json_document(response)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def _is_token(told: object) -> bool:
    """Whether it can be sent as a password."""
    return isinstance(told, str) and 0 < len(told) <= _LONGEST_TOKEN and told.isascii() and told.isprintable()


def _on_google() -> str | None:
    """Machines of Google Cloud have an identity without any variable."""
    try:
        with open(_GOOGLE, encoding="utf-8") as file:  # noqa: PTH123 - a file of the kernel
            return _ENGINES["GOOGLE_SERVICE_ACCOUNT_NAME"] if file.read().startswith("Google") else None
    except OSError:
        return None
